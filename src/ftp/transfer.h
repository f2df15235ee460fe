/* transfer - struct stream over one data connection: RETR (download.c), STOR and APPE (upload.c)
 *
 *     read    EPSV                   none when the data connection is hot
 *             [REST n] RETR          one flight; 150; bytes; the final reply
 *        or   EPRT [REST n] RETR     one flight, where the server opens data connections
 *     write   EPSV
 *             STOR | APPE            not waited for: the bytes follow in the same flight, and a
 *                                    refusal is read when the socket breaks or at finish
 *             settle.h's             in the same flight, where the server reads nothing meanwhile
 *     patch   EPSV
 *             REST n                 its 350 is waited for, see patch.c
 *             STOR                   as above
 */
#ifndef FTPFS_FTP_TRANSFER_H
#define FTPFS_FTP_TRANSFER_H

#include "ftp_private.h"

struct transfer {
	struct stream base;
	struct exchange
		x; /* x.s is NULL once the session has gone back; x.ctx only during a call */
	struct data d;
	enum verb verb;
	int64_t skip;		/* bytes to throw away: the server has no REST */
	int64_t from, received; /* read: where it began, bytes since */
	int64_t opening;	/* read: "(N bytes)" of the 150, -1: it did not say */
	int verdict;		/* code of the final reply, 0: not yet */
	bool started;		/* the 1xx has come */
	bool restarted;		/* write: the server knows where to begin */
	bool parked;
	bool at_once;	 /* the data connection was there, or the server's to open: no flight of its
			  * own */
	bool ended;	 /* the end of data was seen (read), or sent (write) */
	unsigned behind; /* write: replies to commands that wait behind the transfer */
};

/* Borrow a session for `path`: 0 and *out, or -errno. */
int transfer_begin(struct remote *r, const char *path, enum verb verb, const struct stream_ops *ops,
		   struct transfer **out, const struct opctx *ctx);
void transfer_free(struct transfer *t);
/* [REST] and `word` path, in one flight where the server bears it. */
int transfer_send(struct transfer *t, const char *word, int64_t rest);
/* The session goes back (asking for its next data connection when `heat`); the stream has nothing
 * more to say to the server. */
void transfer_let_go(struct transfer *t, bool heat);
/* The session is of no more use.  Returns `error`. */
int transfer_break_off(struct transfer *t, int error);
/* The server refused: -errno; the session goes back. */
int transfer_refused(struct transfer *t);

/* upload.c: ftp_open_write() without a question first. */
int upload_open(struct remote *r, const char *path, enum write_how how, int64_t at,
		struct stream **out, const struct opctx *ctx);

/* patch.c: is it known that bytes may be replaced from `at` on?  0, -EOPNOTSUPP. */
int patch_may(struct remote *r, int64_t at, const struct opctx *ctx);
/* The STOR that is sent next begins at `at`.  0, -EOPNOTSUPP: it would not; or -errno. */
int patch_begin(struct transfer *t, int64_t at);

#endif
