/* ftp/session - one logged-in control connection: commands out, replies in, and the state that the
 * server keeps for it.
 *
 * A session is used by exactly one thread at a time (see ftp/pool), so it has no lock.  It holds
 * the only network wait of the program, session_poll().
 *
 * What the server owes us is counted, never guessed from reply codes: `owed` lists, in order, the
 * replies that nobody waits for (enum owed_kind).  They are taken as they come before the replies
 * that somebody does wait for, usually long after they have arrived.
 *
 * Any error of the link, a 421, or a reply that cannot be one sets `broken`: the session is then
 * closed by the pool and never used again. */
#ifndef FTPFS_FTP_SESSION_H
#define FTPFS_FTP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opctx.h"
#include "ftp/data.h"
#include "ftp/login.h"
#include "parse/caps.h"
#include "parse/reply.h"

enum owed_kind {
	/* The last reply to a transfer that was read to its last byte, or to a NOOP.  Commands may
	 * be sent behind it. */
	OWED_FINAL,
	/* The last reply to a RETR that was cut.  Any code: Pure-FTPd answers with a second 150.
	 * Nothing is sent until it is here, since the transfer may still be running. */
	OWED_CUT,
	/* The 229 to an EPSV sent ahead, so that the next transfer finds its data connection open
	 * ("hot").  No EPRT is sent until it is here. */
	OWED_EPSV,
	/* The 200 to an EPRT that travels with its transfer. */
	OWED_EPRT,
};
enum { SESSION_OWED_MAX = 5 };

struct owed {
	enum owed_kind kind;
	unsigned after; /* replies that somebody waits for and that come before it */
};

/* Bytes of commands sent ahead of their replies: 2,000 short commands, a few round trips for the
 * times of a 10,000-entry directory, and far below what any server's socket buffer takes.  Over TLS
 * each command is a record of its own, which adds a header, a nonce and a tag. */
enum { SESSION_WINDOW = 64 << 10, SESSION_TLS_OVERHEAD = 5 + 8 + 16 };

/* Command lines: RFC 959 sets no limit.  512 is what the strictest server reads as one line (it
 * runs the rest as a second command), 2,048 what all others take. */
enum { SESSION_LINE_SHORT = 500, SESSION_LINE = 2000 };

/* What became of asking the server to open a data connection. */
enum call {
	CALL_NONE,    /* not asked since the session was lent */
	CALL_ASKED,   /* EPRT is on its way */
	CALL_REFUSED, /* by the reply to EPRT */
	CALL_MET,
	CALL_MISSED,
};

/* Data connections that the server opens (ftp/active.c).  The first two are told by the pool when
 * it lends the session. */
struct calling {
	bool probe;	 /* the holder may find out whether it works */
	bool ahead;	 /* the holder looks ahead, and its next transfer follows at once: with
			  * EPRT, so that an EPSV for it would only be in the way */
	bool heat_later; /* no EPSV was sent for the next transfer: the keeper does */
	enum call outcome;
	int64_t answered; /* monotonic ns: when EPRT was; 0: not yet */
	int64_t patience; /* ns from then until the server must have called */
};

struct session {
	unsigned id; /* for the log */
	struct login *login;
	const struct login_conf *conf;
	struct caps caps; /* copy of the pool's; what is learned goes back at pool_put */
	struct buf in;	  /* control bytes not yet parsed */
	struct buf out;	  /* command lines not yet sent */
	struct owed owed[SESSION_OWED_MAX];
	unsigned nowed;
	bool broken;
	bool changing; /* what was sent since it was borrowed may change something */
	bool rest_set; /* a REST whose transfer never came: must be undone before the next */
	bool hash_set; /* OPTS HASH has been answered */
	bool secret;   /* next line is not to be logged */
	int hot;       /* an open (or opening) data connection nobody uses yet; -1 */
	int64_t hot_since;
	struct calling calling;
	int64_t last_used; /* monotonic ns: last command or reply */
	int64_t patience; /* ns beyond conf->timeout that the server may be silent: it is computing;
			   * of this exchange */
	int64_t round_trip; /* ns, the least seen; 0: not known */
};

/* Log in and learn (or take over) capabilities: 0, or -errno with *failure and *why as
 * login_open(). */
int session_open(const struct login_conf *conf, unsigned id, const struct caps *known,
		 struct session **out, enum login_failure *failure, struct buf *why,
		 const struct opctx *ctx);
void session_close(struct session *s);

/* Wait until a descriptor is ready: of the control connection (control_events) and, when data_fd >=
 * 0, of a data connection (data_events).  Returns bits SESSION_CONTROL and SESSION_DATA, or -EINTR,
 * -ETIMEDOUT (the deadline, or conf->timeout without anything happening). */
enum { SESSION_CONTROL = 1, SESSION_DATA = 2 };
int session_poll(struct session *s, short control_events, int data_fd, short data_events,
		 const struct opctx *ctx);

/* Queue one command line (CRLF is added).  Refuses CR and LF inside: -EINVAL; and a line longer
 * than the server takes: -ENAMETOOLONG. */
int session_queue(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Send what is queued: one flight. */
int session_flush(struct session *s, const struct opctx *ctx);
/* The next reply, in order.  0 whatever its code is; -ECONNRESET after a 421 or a lost link. */
int session_reply(struct session *s, struct reply *r, const struct opctx *ctx);
/* 1 and *r when a whole reply has arrived, 0 when not yet, -errno.  Never waits. */
int session_reply_now(struct session *s, struct reply *r);
/* One command, one reply; the code (100..599), or -errno. */
int session_command(struct session *s, struct reply *r, const struct opctx *ctx, const char *format,
		    ...) __attribute__((format(printf, 4, 5)));

/* n independent commands in as few flights as the window allows.  `command` writes the i-th line
 * into `line` (no CRLF); `answer` sees its reply.  0 or -errno. */
struct session_batch {
	size_t n;
	void *arg;
	int (*command)(void *arg, size_t i, struct buf *line);
	void (*answer)(void *arg, size_t i, const struct reply *r);
};
int session_batch(struct session *s, const struct session_batch *b, const struct opctx *ctx);
/* The same, and where that saves time a second session of `pool` (NULL: none) takes a part of it:
 * the commands must mean the same on both.  Those that were asked on the second one when it was
 * lost are asked once more on the first; what happens to the first happens to the batch. */
struct pool;
int session_batch_helped(struct session *s, struct pool *pool, const struct session_batch *b,
			 const struct opctx *ctx);

/* Collect what the server owes us.  session_settle waits; session_settle_now takes what has
 * arrived. 0 or -errno (the session is then broken). */
int session_settle(struct session *s, const struct opctx *ctx);
int session_settle_now(struct session *s);
/* The next reply that somebody would have waited for is now owed instead. */
void session_owe(struct session *s, enum owed_kind kind);
/* The replies that were to come before what is owed will not come: the transfer was refused. */
void session_owe_no_more(struct session *s);
/* Ask for the next data connection ahead of its use; never waits.  `awaited` replies, that somebody
 * is about to wait for, come before the answer. */
void session_heat(struct session *s, unsigned awaited);
void session_cool(struct session *s); /* close an unused one */
/* EPRT has been queued; `awaited` replies, that somebody is about to wait for, come before its
 * answer. */
void session_asked_call(struct session *s, unsigned awaited);
/* Nothing unread, not closed: may a command be sent? */
bool session_alive(struct session *s);

bool session_pipelines(const struct session *s);
/* Is the server known to open data connections when asked? */
bool session_calls(const struct session *s);
bool session_tls(const struct session *s);
size_t session_line_max(const struct session *s);

/* How `path` (absolute, on the server) is written as an argument: as it is, or, when the line would
 * be too long, relative to a directory that is entered first by CWD steps. Appends to out. */
int session_path(struct session *s, const char *path, struct buf *out, const struct opctx *ctx);

#endif
