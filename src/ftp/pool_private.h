/* pool_private - the pool as its rooms see it: pool.c hands sessions out, pool_choose.c says which,
 * pool_grow.c logs them in, pool_active.c has its active mode, keeper.c minds the idle ones. */
#ifndef FTPFS_FTP_POOL_PRIVATE_H
#define FTPFS_FTP_POOL_PRIVATE_H

#include "ftp/half_open.h"
#include "ftp/pool.h"

enum { SLOTS_MAX = 64 };

enum slot_state { FREE, OPENING, IDLE, HELD, PARKED };

struct slot {
	enum slot_state state;
	bool minded;   /* the keeper has it: back in a moment, or as soon as it is logged in */
	bool transfer; /* held or parked for a transfer of the foreground */
	bool lasting;  /* held for a transfer of seconds in the background */
	bool yields;   /* ... which was told to end */
	bool probes;   /* its holder finds out whether the server can open data connections */
	struct session *session;
	struct data *data; /* PARKED: the owner's */
	int64_t since;	   /* when it became IDLE or PARKED */
	int64_t wanted;	   /* when anybody but the keeper last used it */
	struct caps taken; /* what its holder was told; only what differs was learned */
};

struct pool {
	struct login_conf
		conf; /* tls=try is settled by the first login, before any second thread */
	struct mutex lock;
	struct cond released;
	struct slot slots[SLOTS_MAX] GUARDED_BY(lock);
	unsigned max;
	unsigned limit GUARDED_BY(lock);
	int64_t raise_at GUARDED_BY(lock);
	unsigned waiting GUARDED_BY(lock); /* foreground callers */
	unsigned next_id GUARDED_BY(lock);
	bool have_caps GUARDED_BY(lock);
	struct caps caps GUARDED_BY(lock);
	int64_t round_trip GUARDED_BY(lock); /* ns, the least seen; 0: not known */
	unsigned colds GUARDED_BY(
		lock); /* transfers that found no open data connection, less those that did */
	int64_t cold_at GUARDED_BY(lock); /* the last of them */
	enum active_mode active;
	int64_t login_took GUARDED_BY(lock); /* ns, the last one; OPCTX_FOREVER: it failed */
	bool help_wanted GUARDED_BY(lock);   /* a batch waits for a second session */
	unsigned missed GUARDED_BY(lock);    /* calls of the server in a row that did not come */
	struct half_open half_open;
	atomic_bool ending; /* also what interrupts the keeper's own login */
	int wake;	    /* eventfd: the keeper should look again */
	pthread_t keeper;
};

unsigned pool_open_locked(const struct pool *p) REQUIRES(p->lock);
unsigned pool_count_locked(const struct pool *p, enum slot_state state) REQUIRES(p->lock);
struct slot *pool_free_slot_locked(struct pool *p) REQUIRES(p->lock);
/* The idle session that suits best, or NULL. */
struct slot *pool_best_idle_locked(struct pool *p, enum purpose purpose) REQUIRES(p->lock);
/* The stream that nobody has read from for longest (transfer: of those of the foreground), or NULL.
 */
struct slot *pool_longest_parked_locked(struct pool *p, bool transfer) REQUIRES(p->lock);
/* Is there one more for the background? */
bool pool_admits_background_locked(const struct pool *p, bool lasting) REQUIRES(p->lock);
/* Will the keeper give one back that is worth waiting for? */
bool pool_minded_locked(const struct pool *p, enum purpose purpose) REQUIRES(p->lock);

/* Who asks for a session. */
struct request {
	enum purpose purpose;
	int64_t since; /* monotonic ns */
	const struct opctx *ctx;
};

/* One session is for who looks around: another transfer takes the place of one that is parked. */
bool pool_transfers_full_locked(const struct pool *p, const struct request *q) REQUIRES(p->lock);
/* Monotonic ns: when q may take the place of the one that is parked in s. */
int64_t pool_ripe_at_locked(const struct pool *p, const struct request *q, const struct slot *s)
	REQUIRES(p->lock);
/* One whose place q may take now, or NULL. */
struct slot *pool_ripe_locked(struct pool *p, const struct request *q) REQUIRES(p->lock);

/* IDLE -> HELD. */
void pool_hold_locked(struct pool *p, struct slot *slot, enum purpose purpose,
		      const struct opctx *ctx) REQUIRES(p->lock);
/* Make a session that was idle, or stolen, ready for its new holder.  Owed replies may come later;
 * only a cut transfer has to be over.  0, or -errno and it is broken. */
int pool_make_ready(struct session *s, const struct opctx *ctx);
void pool_free_slot_up_locked(struct pool *p, struct slot *slot) REQUIRES(p->lock);

/* Log in for a slot that is OPENING: HELD and *out, or FREE again and -errno as session_open(). */
int pool_open_in_slot(struct pool *p, struct slot *slot, unsigned id, const struct caps *known,
		      struct session **out, enum login_failure *failure, struct buf *why,
		      const struct opctx *ctx) EXCLUDES(p->lock);
/* A learned limit is tried again after a while. */
void pool_raise_limit_locked(struct pool *p) REQUIRES(p->lock);
/* What its session has seen comes back with it. */
void pool_note_distance_locked(struct pool *p, const struct session *s) REQUIRES(p->lock);
/* A transfer of the foreground begins on an idle session. */
void pool_note_transfer_locked(struct pool *p, const struct session *s) REQUIRES(p->lock);
/* What the holder of a session is told about data connections that the server opens, and what its
 * session has learned when it comes back.  In s->caps: CAP_EPRT. */
void pool_brief_locked(struct pool *p, struct slot *slot, enum purpose purpose, bool background)
	REQUIRES(p->lock);
void pool_debrief_locked(struct pool *p, struct slot *slot) REQUIRES(p->lock);
/* What is believed before anything was tried (enum tristate). */
uint8_t pool_first_belief(const struct pool *p, const struct session *s);

/* HELD -> IDLE, or closed and gone when it is broken.  From here on s is another thread's. */
void pool_put_back(struct pool *p, struct session *s, bool by_keeper) EXCLUDES(p->lock);

/* Several transfers of the foreground are under way: whoever looks around meanwhile should find a
 * session with an open data connection. */
bool pool_reserves_locked(const struct pool *p) REQUIRES(p->lock);
/* A transfer begins: the keeper logs such a session in if there is none now. */
void pool_keep_reserve_locked(const struct pool *p) REQUIRES(p->lock);

/* Log one more session in when transfers keep finding no open data connection, so that one gets
 * ready while another works, and when several of them hold every session, so that `ls` finds one.
 * Called by the keeper, since nobody should wait for it. */
void pool_open_spare(struct pool *p) EXCLUDES(p->lock);

/* The keeper's thread; ends within a second of p->ending. */
void *keeper_run(void *pool);
void keeper_wake(const struct pool *p);

#endif
