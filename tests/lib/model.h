/* model - a plain POSIX filesystem in memory: what the truth must look like.
 *
 * Nothing clever: byte arrays, lists of children, and the rules of the manual pages.  Not locked.
 */
#ifndef FTPFS_TESTS_MODEL_H
#define FTPFS_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/entry.h"

enum { MODEL_NAME = 24, MODEL_FILE_MAX = 4 << 20, MODEL_PASTS = 8 };

/* Bytes that a file once had. */
struct past {
	char *bytes;
	size_t n;
};

struct mnode {
	struct mnode *parent; /* NULL: the root, or removed */
	struct mnode *first, *next;
	char name[MODEL_NAME];
	char target[MODEL_NAME];
	char *bytes;
	size_t size, cap;
	uint32_t mode;
	int64_t mtime; /* ns: exactly this when mtime_exact, otherwise not before it */
	bool mtime_exact;
	unsigned handles;
	uint8_t type;	  /* enum entry_type */
	bool pages;	  /* the kernel may hold pages of it */
	bool pages_stale; /* ... and they are no longer the file's bytes */
	/* What the server may hold once a commit has failed: [0] is what it surely had last. */
	struct past pasts[MODEL_PASTS];
	unsigned npasts;
	bool in_place;	/* a commit that failed may have begun under the name of the file itself */
	bool doubt;	/* a commit may have failed unseen since it was opened */
	bool on_server; /* pasts[0] was confirmed */
};

struct mnode *model_new(enum entry_type type, const char *name);
void model_free(struct mnode *n); /* and everything below it */
struct mnode *model_child(const struct mnode *dir, const char *name);
void model_link(struct mnode *dir, struct mnode *n);
/* Takes n out of its directory; frees it unless it is open. */
void model_unlink(struct mnode *n);
/* n becomes `name` in dir; what had that name is unlinked. */
void model_move(struct mnode *n, struct mnode *dir, const char *name);
void model_closed(struct mnode *n); /* one handle less; frees an orphan at the last one */
bool model_below(const struct mnode *n, const struct mnode *dir); /* or equal */
unsigned model_count(const struct mnode *n);
bool model_any_open(const struct mnode *n);
void model_path(const struct mnode *n,
		struct buf *out); /* from the model's root; "" for the root */

void model_write(struct mnode *n, const void *from, size_t len, size_t at);
void model_resize(struct mnode *n, size_t size);
/* Remember the bytes of now as what the server surely has (confirmed) or may have. */
void model_confirmed(struct mnode *n);
void model_may_be_stored(struct mnode *n);
/* May a commit write under the file's own name?  (There was nothing to spare when it began.) */
bool model_in_place(const struct mnode *n);
/* May the server hold these bytes? */
bool model_plausible(const struct mnode *n, const char *bytes, size_t len);
/* ... after a commit that replaced parts of the file: is each byte of one of its states? */
bool model_mixture(const struct mnode *n, const char *bytes, size_t len);

/* -errno (or 0) that POSIX wants.  n, over: NULL when absent. */
int model_may_create(const struct mnode *n, bool excl);
int model_may_unlink(const struct mnode *n);
int model_may_rmdir(const struct mnode *n);
int model_may_rename(const struct mnode *n, const struct mnode *to, const struct mnode *over,
		     bool noreplace);

#endif
