/* fs/reader - a window over one file, fed by one stream: how read(2) becomes as few RETRs as
 * possible.
 *
 *     CLOSED -> OPEN(at hi) -> ... -> EOF | FAILED(errno)
 *
 * The window holds [lo, kept) of the file; the stream stands at hi, which is kept unless large
 * reads went past the window.  A read inside it is a copy, a large read at hi is received where it
 * is wanted.  A read a little ahead reads through; anywhere else cuts the stream and opens another
 * at its own offset. One thread pulls (`pulling`; the lock is dropped meanwhile), the others wait
 * on `moved`: the kernel's read-ahead arrives concurrently and out of order, so a request slightly
 * ahead of hi waits for the puller before it decides that it is a seek.
 *
 * The file is identified by the size and mtime it had when it was opened.  When a stream has to be
 * opened again (lost, stolen, sought) and the server's file is no longer that one, reads fail with
 * -EIO: never a mixture of two versions.  A file that is only larger, and not older, has grown, as
 * far as FTP can tell: it is read on, to its new end, if the bytes that the stream had last are
 * still where they were.  So is one of which the node says so: what the kernel was told of a file's
 * size and what its reads find are never at odds.
 *
 * What one stream is too slow for, fs/crew brings by several; to the window it is one stream. */
#ifndef FTPFS_FS_READER_H
#define FTPFS_FS_READER_H

#include <sys/types.h>

#include "fs/file.h"

struct reader;

enum {
	READER_WINDOW = 4 << 20, /* bytes kept; bounds the memory of a stream */
	READER_SKIP = 512 << 10, /* forward gap that is read through rather than cut */
	READER_PULL = 256 << 10, /* most that one pull asks of the stream */
};

enum reader_of {
	READER_HANDLE, /* of who reads what the server has, until the file has a spool: then -EIO */
	READER_FILLER, /* of the spool: its first stream, too, is opened after a look */
	READER_PROVED, /* of a spool that is filled before the file is looked at once more */
};

/* For f's content on the server, which reads are checked against: its size (-1: not known) and its
 * mtime (REMOTE_KEEP_MTIME: not known exactly).  One reference. */
int reader_create(struct file *f, int64_t size, int64_t mtime, enum reader_of of,
		  struct reader **out);
void reader_hold(struct reader *r);
void reader_drop(struct reader *r); /* the last one frees; NULL: nothing */
/* Its stream is closed, and its helpers are, when this returns 0: some servers (vsftpd) let nobody
 * write to a file that is being sent.  The next read looks at the version before it opens another
 * one; for_good: there is none, and whoever reads now is told -ESTALE.  A read that has stood at
 * the network for the whole timeout is not waited for.  0, -EINTR. */
int reader_let_go(struct reader *r, bool for_good, const struct opctx *ctx);
/* Count (short only at the end of the file), or -errno. */
ssize_t reader_read(struct reader *r, void *to, size_t n, int64_t at, const struct opctx *ctx);

#endif
