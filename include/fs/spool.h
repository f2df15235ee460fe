/* fs/spool - the local bytes of one file that is being written.
 *
 * A sparse file under cache_dir and two sets of extents over it: `present` (local bytes are the
 * truth) and `dirty` (the server has not got them).  dirty is a subset of present.  Bytes of
 * [0, base_size) that are not present are the server's, at the same offset; bytes from base_size to
 * size that are not present are zeros.
 *
 * Not locked: everything here runs under the file's lock, or while it is `busy` in the hands of one
 * thread.  Errors of the disk are returned as they are (-ENOSPC, -EIO). */
#ifndef FTPFS_FS_SPOOL_H
#define FTPFS_FS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Disjoint, sorted, never touching half-open ranges. At most EXTENTS_MAX; beyond it neighbours with
 * the smallest gap are refused with -EFBIG (dirty) - a caller then commits first. */
enum { EXTENTS_MAX = 65536 };
struct extent {
	int64_t from, to;
};
struct extents {
	struct extent *v;
	size_t n, cap;
};
int extents_add(struct extents *x, int64_t from, int64_t to); /* 0, -ENOMEM, -EFBIG */
int extents_reserve(struct extents *x); /* 0: the next extents_add cannot fail; -ENOMEM, -EFBIG */
int extents_cut(struct extents *x, int64_t from, int64_t to); /* remove; 0, -ENOMEM, -EFBIG */
bool extents_cover(const struct extents *x, int64_t from, int64_t to);
/* The first range of [from, to) that is not covered: true and *gap, or false. */
bool extents_gap(const struct extents *x, int64_t from, int64_t to, struct extent *gap);
int64_t extents_bytes(const struct extents *x);
void extents_free(struct extents *x);

struct spool {
	int fd;
	uint64_t id;	   /* of the file's name; random, never 0 */
	char *path;	   /* in the log when a commit fails */
	int64_t size;	   /* of the file as the application sees it */
	int64_t base_size; /* bytes of the server's file that may still be needed */
	struct extents present, dirty;
	bool whole;  /* the server's copy no longer counts (truncated to 0, or new): commit must
		      * store everything */
	bool shrunk; /* cut below what the server has: APPE cannot express it */
	int64_t reserved; /* where the room on the disk that was asked for ahead ends */
	int sync_error;	  /* the local disk says once only that it lost something */
};

/* The name of a spool's file, and back: 0 when it is none. */
enum { SPOOL_NAME_SIZE = sizeof "spool-0123456789abcdef" };
void spool_name(uint64_t id, char out[SPOOL_NAME_SIZE]);
uint64_t spool_name_id(const char *name);

struct promise; /* fs/journal.h */

/* Make an empty spool under dir for a file whose server copy has base_size bytes. */
int spool_create(const char *dir, int64_t base_size, struct spool **out);
/* The spool of a promise again, after a restart: present is what is dirty.  -ENOENT: its file is
 * gone; -EIO: it lacks bytes that were promised.  What lies beyond the promised size is cut off. */
int spool_open(const char *dir, const struct promise *p, struct spool **out);
/* The server has a file of that size in the place of this one, whose bytes are not here. */
void spool_elsewhere(struct spool *s, int64_t size);
/* The bytes written so far are safe against a power cut (the name: journal_promise()).  An error
 * stays. */
int spool_sync(struct spool *s);
/* Delete the file and free. */
void spool_destroy(struct spool *s);
/* A commit that failed for good: somebody's data.  The file is now kept-<date>-<id> in the same
 * directory, which s->path says, and survives a power cut under that name when this returns 0.
 * After an error of the rename s->path is what it was, and journal_done() would let the next mount
 * delete it. */
int spool_keep(struct spool *s);
/* One that was kept is promised after all: the next mount looks for it under its first name, which
 * s->path says again.  After the promise, until whose record is there the kept name is what keeps
 * the bytes. */
int spool_unkeep(struct spool *s);
/* spool_keep() of a file that nobody has open, without syncing; *kept is its new path, to be freed.
 */
int spool_keep_file(const char *path, char **kept);
/* Keep it, then free. */
void spool_abandon(struct spool *s);
/* Free, and touch nothing: the promise of it holds. */
void spool_leave(struct spool *s);
/* Delete the file of a spool that nobody has open. */
void spool_forget(const char *dir, uint64_t id);
/* All n, dirty.  One that fails does not grow the file.  -EFBIG: too many ranges, commit first. */
int spool_write(struct spool *s, const void *from, size_t n, int64_t at);
int spool_fill(struct spool *s, const void *from, size_t n,
	       int64_t at); /* server bytes: present only where not already present */
/* What was filled in is not wanted: the server's bytes are missing again, as far as there is memory
 * to note it. */
void spool_forget_fill(struct spool *s);
/* Bytes at [at, at+n) clipped to size; every byte must be present or beyond base_size.  Count or
 * -errno. */
ssize_t spool_read(struct spool *s, void *to, size_t n, int64_t at);
/* Has the local file itself every byte of [from, to), so that they can be sent from it?  What lies
 * beyond its end is zeros that spool_read() makes up. */
bool spool_solid(const struct spool *s, int64_t from, int64_t to);
int spool_truncate(struct spool *s, int64_t size);
/* Must bytes of [from, to) come from the server before they can be read? */
bool spool_missing(const struct spool *s, int64_t from, int64_t to, struct extent *gap);
/* Is all of it here, written or fetched? */
bool spool_complete(const struct spool *s);
/* May any of it still have to come from the server's copy?  Nothing does where that was empty. */
bool spool_has_base(const struct spool *s);
/* Does the server lack anything? */
bool spool_changed(const struct spool *s);
/* Is everything dirty beyond what the server has, i.e. will APPE from base_size do? */
bool spool_only_grew(const struct spool *s);
/* The server turns out to have the first `size` bytes of it already. */
void spool_resume(struct spool *s, int64_t size);
void spool_clean(
	struct spool *s,
	int64_t server_size); /* a commit succeeded: nothing dirty; the server has size bytes */

#endif
