/* fs/aside - rename(2) over a name that the server does not rename over: what has the name makes
 * way.
 *
 *     a file        is renamed to .ftpfs-old-<16 hex digits> beside it, and removed in the end
 *     a directory   is empty, and removed
 *
 *     1. the journal knows of it, synced            what follows is asked of the server:
 *     2. the old file aside; or RMD
 *     3. the rename
 *     4. the journal knows the name to be removed
 *     5. the old file is removed
 *     6. done
 *
 * Whatever breaks off is settled by looking which names are there, at once or by the next mount:
 *
 *     name   old file   source
 *     no     yes        any      the rename did not happen: the old file gets its name back
 *     yes    yes        no       it did: the old file is removed
 *     yes    yes        yes      somebody made a file of that name, or the source anew: who knows
 *                                what the old file is worth is told where it is
 *     any    no         any      nothing is left to do; a directory is made again if the source is
 *                                there and the name is not
 *
 * Above the seam, since each step can there be repeated on its own after a lost connection. */
#ifndef FTPFS_FS_ASIDE_H
#define FTPFS_FS_ASIDE_H

#include "fs/journal.h"
#include "rename.h"

/* m->target is on the server, which has refused to rename over it.  0, or -errno and the old one
 * has its name, as far as the server could be asked. */
int aside_replace(struct fs *fs, const struct move *m, const char *from, const char *to,
		  const struct opctx *ctx);
/* What a promise with a `from` has left.  last: a command that is not carried out by now never will
 * be.  0: it is settled, and whether it was renamed in the end; -EAGAIN: look again later; or why
 * it cannot be settled now. */
int aside_settle(struct fs *fs, const struct promise *p, bool last, bool *renamed,
		 const struct opctx *ctx);

#endif
