/* fs/recover - what an earlier process promised and did not store.
 *
 *     at the mount    each promise becomes an open file: the mount shows what was written
 *     later, before   the server's file is ...
 *     it is stored      what it was when it was promised      stored as ever
 *                       gone, and all of ours is here         stored as a new file
 *                       the beginning of ours, or ours (the first and the last 64 KiB of what is
 *                       new in it are compared)               the rest is appended
 *                       a mixture that a patch of ours left   patched again
 *                       anything else                         both survive: ours gets the name
 *                                                             NAME.ftpfs-conflict-DATE
 *     An edit of a file that is gone or another one cannot be stored: its bytes stay in the spool's
 *     directory, under a name that the log tells. */
#ifndef FTPFS_FS_RECOVER_H
#define FTPFS_FS_RECOVER_H

#include "base/opctx.h"

struct fs;

/* Stands in the name of a file that was stored beside somebody else's, followed by the date. */
#define RECOVER_CONFLICT ".ftpfs-conflict-"

/* Before the kernel asks anything; lists the directories that promises are in.  0; -EAGAIN: some of
 * them cannot be gone on with now (the log says which), they stay promised. -ENOMEM. */
int recover_all(struct fs *fs, const struct opctx *ctx);

#endif
