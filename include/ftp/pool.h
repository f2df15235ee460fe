/* ftp/pool - the bounded set of sessions of one mount.
 *
 *     FREE     no connection in this slot
 *     OPENING  a thread is logging in (lock dropped)
 *     IDLE     logged in, nobody uses it; the keeper watches it
 *     HELD     exactly one thread uses it
 *     PARKED   in the middle of a RETR, nobody inside: may be stolen, least recently parked first
 *
 *     always: opening + idle + held + parked <= limit <= max_conns
 *
 * Foreground transfers never take the last slot, so a long copy cannot freeze `ls`; work in the
 * background (opctx.background) gets a session only when nobody waits for one; what lasts there
 * leaves the last slot and ends when somebody waits.  The limit is
 * learned: a login refused with "too many connections" lowers it to what is open and the caller
 * queues.
 *
 * The keeper is one thread that collects replies owed to idle sessions (so that their data
 * connections get hot without anybody waiting), notices sessions that the server has closed, keeps
 * the rest alive with NOOP, and lets those go that have not been used for long.  While several
 * transfers of the foreground hold every session it logs one more in, for the next `ls`. */
#ifndef FTPFS_FTP_POOL_H
#define FTPFS_FTP_POOL_H

#include "base/lock.h"
#include "ftp/session.h"

struct pool;

enum purpose { FOR_METADATA, FOR_TRANSFER };

/* Who opens data connections (docs/design.md). */
enum active_mode {
	ACTIVE_AUTO, /* the server, once a transfer in the background has seen that it can; tried
		      * only where it may work and wins something */
	ACTIVE_ON,   /* the server, if the first transfer sees that it can */
	ACTIVE_OFF,  /* we do */
};

/* conf must outlive the pool.  No connection is made. */
int pool_create(const struct login_conf *conf, unsigned max_conns, enum active_mode active,
		struct pool **out);
void pool_destroy(struct pool *p); /* nobody holds a session */

/* A session, logged in, settled, alive.  -EAGAIN for the background when it would have to wait.
 * *failure and *why (may be NULL) as login_open(). */
int pool_get(struct pool *p, enum purpose purpose, struct session **out, const struct opctx *ctx);
int pool_get_first(struct pool *p, struct session **out, enum login_failure *failure,
		   struct buf *why, const struct opctx *ctx);
/* Give it back; a broken one is closed. */
void pool_put(struct pool *p, struct session *s);
/* A data connection of a held session is about to be closed with a reset, which the link may
 * swallow: the server is told once more when it answers again (ftp/half_open). */
void pool_note_reset(struct pool *p, int data_fd);

/* Is a lasting transfer of the background (opctx.lasting), or the help with a batch, to end, for
 * somebody who waits?  One is
 * told for each who does. */
bool pool_wants_back(struct pool *p, struct session *s);

/* A second session for a batch that would take the first one `left` ns more (0: not known): one
 * that is idle while nobody waits, else NULL.  Where a login takes less than that, the keeper
 * begins one: ask again.  Who needs a session meanwhile waits for this one rather than log in: give
 * it back when pool_wants_back(). */
struct session *pool_help(struct pool *p, int64_t left);

/* HELD -> PARKED.  *data stays the caller's, but is closed (fd -1) by whoever steals the session.
 */
void pool_park(struct pool *p, struct session *s, struct data *data);
/* PARKED -> HELD: 0, or -ESTALE: it was stolen; *data was closed and s must not be touched any
 * more. */
int pool_unpark(struct pool *p, struct session *s, struct data *data);

/* A copy of what is known of the server. */
void pool_caps(struct pool *p, struct caps *out);
/* What no single reply tells. */
void pool_learn(struct pool *p, enum cap cap, enum tristate known);
int64_t pool_round_trip(struct pool *p); /* ns, the least seen; 0: not known */
unsigned pool_limit(struct pool *p);
unsigned pool_open(struct pool *p); /* sessions logged in now */

#endif
