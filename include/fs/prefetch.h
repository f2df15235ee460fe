/* fs/prefetch - looking ahead: listings of a walk, and small files read one after the other.
 *
 * Policies that only ever call the server through dircache_list and remote_open_read, on threads of
 * their own, and only on connections that nobody else wants (opctx.background).  Budgets: bytes
 * held and on their way (conf), listings that no user came for yet, one request per thread, and
 * their own hit rate: when fewer than half of the last PREFETCH_SAMPLE things fetched were asked
 * for, looking ahead pauses and must earn its way back.
 *
 * A walk: when a user lists a directory whose parent a user listed lately, what is below it, what
 * comes after it and its other siblings are listed ahead, nearest first in the order of a
 * depth-first walk.  Listing one directory, or the root, begins nothing.
 *
 * Small files: when two files in a row of a directory were opened, in listing order, name order or
 * the order of their inode numbers (cp -r), the next ones of at most PREFETCH_SMALL bytes are
 * fetched whole into memory; a walk that goes from directory to directory carries its order along.
 * What is held is good for the size and mtime the tree had when it was asked for, and no longer
 * than the tree's ttl. */
#ifndef FTPFS_FS_PREFETCH_H
#define FTPFS_FS_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/dircache.h"
#include "fs/tree.h"

enum { PREFETCH_SMALL = 256 << 10, PREFETCH_SAMPLE = 64 };

struct prefetch;

/* Starts `threads` threads. */
int prefetch_create(struct tree *tree, struct dircache *dircache, struct remote *remote,
		    int64_t bytes, unsigned threads, struct prefetch **out);
void prefetch_destroy(struct prefetch *p); /* ends the threads */

/* Events.  Never block; called without locks.  p may be NULL. */
void prefetch_listed(struct prefetch *p, struct node *dir); /* a user listed dir;
							     * dir->last_listed_by_user is now */
void prefetch_opened(struct prefetch *p, struct node *n);   /* a user opened n for reading */
void prefetch_drop(struct prefetch *p, struct node *n);	    /* n's content changes: forget it */

/* The whole content of n, if it is held or on its way (then waits for it): count of bytes copied
 * from `at`, or -EAGAIN: not here, ask the server; or why the wait ended (-EINTR, -ETIMEDOUT). size
 * and mtime are the version wanted.  The bytes are given up when all were handed out once. p may be
 * NULL. */
ssize_t prefetch_read(struct prefetch *p, struct node *n, int64_t size, int64_t mtime, void *to,
		      size_t count, int64_t at, const struct opctx *ctx);

#endif
