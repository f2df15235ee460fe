/* fs/crew - the streams beside a reader's own, where one stream is held back and several are not
 * (fs/pace finds out).
 *
 * From the reader's place on, a big file is cut into segments.  Helpers, each a thread with a
 * stream of its own, fetch whole segments into memory, the nearest first; the reader takes them in
 * order, and reads by its own stream what no helper has in hand.  So a helper that fails, or that
 * loses its connection to somebody who needs it (opctx.lasting), costs nobody more than the speed.
 *
 *     file     |  read  |rrrrrr..|fffffff|fff....|fffff..|ff.....|       |
 *     ring               own      segments, CREW_SEGMENTS at most, of all readers of a mount
 *
 * A helper asks whether the file is still the reader's version after its stream stands and before
 * its first byte is seen, so a segment of another version is never handed out.
 *
 * crew_read, crew_tell and crew_stop are called by one thread at a time, the one that pulls.  The
 * lock is a leaf. */
#ifndef FTPFS_FS_CREW_H
#define FTPFS_FS_CREW_H

#include "fs/file.h"

enum {
	CREW_SEGMENT = 2 << 20,	       /* bytes: some tens of windows of a stream that is slow */
	CREW_SEGMENTS = 16,	       /* in memory at a time, for all readers of a mount */
	CREW_STREAMS = 7,	       /* of one reader; the pool may have fewer */
	CREW_WORTH = 4 * CREW_SEGMENT, /* a file of less is left to one stream */
};

struct crew;

/* For f's content of that size and mtime, as its reader expects it. */
int crew_create(struct file *f, int64_t size, int64_t mtime, struct crew **out);
void crew_destroy(struct crew *c); /* NULL: nothing */

/* Bytes at `at` that a helper has, waiting for those that one is fetching: count > 0, -EINTR or
 * -ETIMEDOUT.  0: the reader's own stream is to read them, at most *n.  -ESTALE: the file looks
 * like another version; crew_stop(), and check. */
ssize_t crew_read(struct crew *c, void *to, size_t *n, int64_t at, const struct opctx *ctx);
/* The reader waited so long, since the last time, and its own stream (NULL: none) brought so many
 * bytes. */
void crew_tell(struct crew *c, int64_t waited, size_t bytes, struct stream *own);
/* The reader goes elsewhere: ends the helpers and frees what they have. */
void crew_stop(struct crew *c);

#endif
