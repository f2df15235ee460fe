/* fs/dircache - what we believe of directories, and when to ask the server again.
 *
 * The only room that decides freshness.  One thread per directory is at the server (single flight);
 * the others wait for its answer, or for its error: a failed listing is everybody's error, never an
 * empty directory. */
#ifndef FTPFS_FS_DIRCACHE_H
#define FTPFS_FS_DIRCACHE_H

#include "base/opctx.h"
#include "fs/tree.h"
#include "remote.h"

struct prefetch;

struct dircache {
	struct tree *tree;
	struct remote *remote;
};

enum list_why { LIST_FOR_USER, LIST_AHEAD };

/* Make dir's listing fresh (no-op when it is).  0, -ENOENT, -ENOTDIR, -EACCES, link errors. */
int dircache_list(struct dircache *c, struct node *dir, enum list_why why, const struct opctx *ctx);

/* Find `name` in `dir`: *out is pinned for the caller; NULL means that it certainly does not exist
 * (returns 0 then, too).  The names of temporaries (commit.h) never do.  A fresh complete listing
 * answers for free; the first miss in an unlisted directory asks remote_stat, the second one lists,
 * and so does one that remote_stat cannot answer.
 */
int dircache_lookup(struct dircache *c, struct node *dir, const char *name, struct node **out,
		    const struct opctx *ctx);

/* Make n's attributes fresh.  -ENOENT when it is gone. */
int dircache_refresh(struct dircache *c, struct node *n, const struct opctx *ctx);

/* Make the mtime of n exact, if it is a regular file and is not, together with up to
 * DIRCACHE_NEIGHBOURS inexact files around it in its directory (in listing order from n on, then
 * from the start): one remote_stat_many. A server that cannot tell leaves it as listed. */
enum { DIRCACHE_NEIGHBOURS = 16384 };
int dircache_exact(struct dircache *c, struct node *n, const struct opctx *ctx);

#endif
