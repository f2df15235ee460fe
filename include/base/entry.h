/* entry - what is known about one name on the server: the plain data that every floor passes. */
#ifndef FTPFS_BASE_ENTRY_H
#define FTPFS_BASE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum entry_type { ENTRY_FILE, ENTRY_DIR, ENTRY_LINK, ENTRY_OTHER };

/* Bits of `have`: what the server told.  A field whose bit is missing is 0. */
enum {
	HAVE_SIZE = 1,
	HAVE_MTIME = 2,	      /* some time, maybe only to the minute or the day */
	HAVE_EXACT_MTIME = 4, /* to the second; implies HAVE_MTIME */
	HAVE_MODE = 8,
	HAVE_TARGET = 16,
};

struct entry {
	char *name;	     /* one component; NULL in the answer to a stat */
	char *target;	     /* of a link, as the server prints it; NULL: unknown */
	int64_t size;	     /* bytes */
	int64_t mtime;	     /* ns since the epoch, UTC */
	int64_t mtime_slack; /* ns: the true time is in [mtime, mtime + slack); 0 when exact */
	uint32_t mode;	     /* permission bits, 07777 */
	uint8_t type;	     /* enum entry_type */
	uint8_t have;
};

/* Frees name and target, not the struct. */
void entry_clear(struct entry *e);

/* The names of one directory in the server's order, without "." and "..".  Owns its entries, whose
 * texts lie in a few blocks of its own: no entry_clear() on them.  At most `max` of them; more is
 * -EOVERFLOW, never a silent cut. */
struct listing_block;
struct listing {
	struct entry *v;
	size_t n, cap, max;
	struct listing_block *blocks; /* the one that is being filled first */
};

enum { LISTING_MAX = 4000000 };

void listing_init(struct listing *l, size_t max);
void listing_free(struct listing *l);
/* Copies *e, its name and target.  0, -ENOMEM, -EOVERFLOW. */
int listing_add(struct listing *l, const struct entry *e);
/* Linear search by name; NULL when absent. */
struct entry *listing_find(struct listing *l, const char *name);

#endif
