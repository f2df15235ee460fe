/* fs/reader_private - what the two rooms of a reader share: reader.c, the window, and
 * reader_stream.c, where its bytes come from. */
#ifndef FTPFS_FS_READER_PRIVATE_H
#define FTPFS_FS_READER_PRIVATE_H

#include <stdatomic.h>

#include "file_private.h"
#include "fs/reader.h"

struct crew;
struct want; /* of reader.c */

/* What is read on in a file that grew begins with so many bytes that are known already. */
enum { TAIL = 256 };

struct reader {
	struct file *file;
	enum reader_of of; /* constant */
	atomic_uint refs;
	struct mutex lock;
	int64_t size GUARDED_BY(lock);	/* expected; -1: not known */
	int64_t mtime GUARDED_BY(lock); /* expected; REMOTE_KEEP_MTIME: not known exactly */
	bool grew GUARDED_BY(lock);	/* ... since the last stream was opened */
	struct cond moved;
	bool pulling
		GUARDED_BY(lock); /* one thread is at the network: stream, ring and hi are its */
	struct want *wants GUARDED_BY(lock);
	char *ring GUARDED_BY(lock);
	size_t cap GUARDED_BY(lock);
	int64_t lo GUARDED_BY(lock), kept GUARDED_BY(lock); /* [lo, kept) is in the ring */
	int64_t hi GUARDED_BY(lock);			    /* where the stream stands */
	bool eof GUARDED_BY(lock);			    /* the file ends at hi */
	int failed GUARDED_BY(lock);			    /* another version: for good */
	int64_t gave_up_at
		GUARDED_BY(lock); /* monotonic ns: a read waited in vain; 0: none since */
	struct stream *stream;	  /* at hi; NULL: closed.  Of the puller */
	bool opened;		  /* a stream was open before.  Of the puller */
	bool lost;		  /* ... and broke: look before the next one.  Of the puller */
	int64_t opened_size;	  /* expected when the stream was opened.  Of the puller */
	int64_t checked_at;	  /* monotonic ns: the version was right.  Of the puller */
	char tail[TAIL];	  /* the last bytes before hi.  Of the puller */
	size_t tail_n;		  /* so many of them.  Of the puller */
	struct crew *crew;	  /* NULL: the file is small, or no memory.  Of the puller */
	int64_t crew_size;	  /* the size that it was made for.  Of the puller */
	bool led;    /* the bytes before hi are the crew's, it has more.  Of the puller */
	bool sought; /* the crew is still where the window was.  Of the puller */
};

/* reader_stream.c: of the puller. */

/* The next bytes at `at`, which is hi, from the crew or by the reader's own stream: count, 0 at the
 * end, -errno. */
ssize_t reader_next_bytes(struct reader *r, char *to, size_t n, int64_t at,
			  const struct opctx *ctx);
/* They are what is before hi now. */
void reader_note_tail(struct reader *r, const char *bytes, size_t n);
void reader_close_stream(struct reader *r);

/* ... and of anybody: has the file grown, by what somebody else has learned of its size and the
 * kernel may have been told?  Then it is read on to there. */
bool reader_follow_node_locked(struct reader *r) REQUIRES(r->lock);

#endif
