/* fs/commit - spool -> server, by the cheapest way that is safe, and proof that it arrived.
 *
 *     what changed                    how                           dialogue
 *     empty now                       STOR of 0 bytes               STOR
 *     new, or the server's is empty   STOR under its name           STOR
 *     new, sent while it is written   STOR to a temporary sibling   STOR.. RNFR RNTO
 *     only grew, at the end           SIZE must be what it was      SIZE.. APPE
 *     little of a big file            SIZE and time, too: patched   SIZE.. REST STOR ...
 *     ... where that is not wanted    in a copy by the server       CPFR CPTO SIZE.. REST STOR ..
 *                                                                   RNFR RNTO
 *     anything else                   STOR to a temporary sibling   STOR.. RNFR RNTO
 *
 * and always what remote_settle() does: mode, mtime, SIZE, MDTM.  Where the server bears it that
 * travels in the flight of the STOR or APPE (stream_finish()), else in one of its own behind it.
 *
 * An APPE that was lost after bytes were given to it is not repeated: some of them may be there,
 * and more may still arrive.  The next try replaces the whole file.  A directory that refuses the
 * temporary sibling has its file written in place.
 *
 * A patch (fs/patch: `inplace`, and only where the server was seen to keep the rest of the file) is
 * in the file itself: others see a mixture until all of it is there.  One that broke off is
 * repeated; file.h says why that is right.
 *
 * `atomic` on: a temporary sibling for everything that has bytes (not for emptying a file), and
 * what is refused is an error.  Off: none ever, and no writer is followed.
 *
 * copy_file_range(2) over an emptied file is a commit, too, if the server can copy (fs/copy).
 *
 * A temporary sibling is named ".ftpfs-" + 16 hex digits; it is removed when its commit fails and
 * the link still stands.  Such a name, ours or another client's, is nobody's file: no listing and
 * no lookup shows it, and none can be made (-EPERM).  SIZE must agree with the spool, else -EIO: a
 * 226 proves nothing on some servers. */
#ifndef FTPFS_FS_COMMIT_H
#define FTPFS_FS_COMMIT_H

#include "fs/file.h"

#define COMMIT_TEMP_PREFIX REMOTE_TEMP_PREFIX
/* Is name (a component) one of those? */
bool commit_is_temp(const char *name);

/* Bring the server up to date, with the time and mode that are noted while this is under way. Takes
 * the file from DIRTY or FAILED through COMMITTING to CLEAN (0) or FAILED (-errno); no-op when
 * CLEAN or ORPHAN.  The file's lock is dropped while the network is used. Waits for another
 * thread's commit first. */
int commit_file(struct file *f, const struct opctx *ctx);
/* The same, if the journal has a promise of what the file is now: whoever has begun to change it
 * since, and has not closed it, wants nobody to see that. */
int commit_promised(struct file *f, const struct opctx *ctx);

/* Give newly written bytes to the STOR that follows the sequential writer of a new file; starts it
 * when enough has been written (COMMIT_STREAM_AFTER).  It goes to a temporary sibling: nobody shall
 * see half of it under its name, whatever happens to us.  A failure here is not the writer's error:
 * the upload is dropped and commit_file() sends everything again, or reports. */
enum { COMMIT_STREAM_AFTER = 1 << 20 };
void commit_follow(struct file *f, const struct opctx *ctx);
/* Drop a following upload (the writer went elsewhere). */
void commit_unfollow_locked(struct file *f) REQUIRES(f->lock);

#endif
