/* ftp/pool_choose - which session a caller gets, and whether it gets one */
#include "base/clock.h"
#include "pool_private.h"

/* Pools of at least so many sessions may be filled by the background. */
enum { BACKGROUND_FILLS = 6 };
/* The reader of such a stream does something else.  To open it again costs about as much. */
#define STREAM_IDLE (50 * NS_PER_MS)
/* Who has waited for so long takes also one that is read all the time. */
#define TURN (2 * NS_PER_S)

unsigned pool_count_locked(const struct pool *p, enum slot_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->max; i++)
		n += p->slots[i].state == state;
	return n;
}

static unsigned transfers_locked(const struct pool *p) REQUIRES(p->lock)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->max; i++)
		n += p->slots[i].transfer && p->slots[i].state != FREE;
	return n;
}

static unsigned busy_locked(const struct pool *p) REQUIRES(p->lock)
{
	return pool_count_locked(p, OPENING) + pool_count_locked(p, HELD) +
	       pool_count_locked(p, PARKED);
}

unsigned pool_open_locked(const struct pool *p)
{
	return p->max - pool_count_locked(p, FREE);
}

/* How well an idle session suits, higher is better: transfers like an open data connection,
 * commands leave it to them; nobody likes to wait for owed replies. */
static int suits(const struct session *s, enum purpose purpose)
{
	int score = s->nowed == 0 ? 4 : 0;

	if (purpose == FOR_TRANSFER)
		score += s->hot >= 0 ? 2 : 0;
	else
		score += s->hot < 0 && s->nowed == 0 ? 2 : 0;
	return score;
}

struct slot *pool_best_idle_locked(struct pool *p, enum purpose purpose)
{
	struct slot *best = NULL;

	for (unsigned i = 0; i < p->max; i++) {
		struct slot *s = &p->slots[i];
		if (s->state != IDLE)
			continue;
		int d = best ? suits(s->session, purpose) - suits(best->session, purpose) : 1;
		/* Of two that owe replies the one that was put back first has got them first. */
		if (d > 0 || (d == 0 && s->since < best->since))
			best = s;
	}
	return best;
}

struct slot *pool_longest_parked_locked(struct pool *p, bool transfer) REQUIRES(p->lock)
{
	struct slot *best = NULL;

	for (unsigned i = 0; i < p->max; i++) {
		struct slot *s = &p->slots[i];
		if (s->state == PARKED && (s->transfer || !transfer) &&
		    (!best || s->since < best->since))
			best = s;
	}
	return best;
}

struct slot *pool_free_slot_locked(struct pool *p)
{
	for (unsigned i = 0; i < p->max; i++)
		if (p->slots[i].state == FREE)
			return &p->slots[i];
	return NULL;
}

/* Small pools keep a session back from the background.  In larger ones some session comes free
 * every fraction of a round trip, and who waits in the foreground gets it: keeping one back would
 * only waste it. */
bool pool_admits_background_locked(const struct pool *p, bool lasting) REQUIRES(p->lock)
{
	unsigned busy = busy_locked(p);
	bool fills = p->limit >= BACKGROUND_FILLS && !lasting;

	if (p->waiting > 0)
		return false;
	return busy == 0 || busy + (fills ? 0 : 1) < p->limit;
}

/* A session that the keeper has in hand comes back sooner than another could log in, unless others
 * wait for it already.  One that it logs in beside transfers is not for one more of them. */
bool pool_minded_locked(const struct pool *p, enum purpose purpose) REQUIRES(p->lock)
{
	bool reserve = purpose == FOR_TRANSFER && pool_reserves_locked(p);
	unsigned minded = 0;

	for (unsigned i = 0; i < p->max; i++)
		minded += p->slots[i].minded && !(reserve && p->slots[i].state == OPENING);
	return minded > p->waiting;
}

bool pool_transfers_full_locked(const struct pool *p, const struct request *q) REQUIRES(p->lock)
{
	return q->purpose == FOR_TRANSFER && !q->ctx->background && p->limit > 1 &&
	       transfers_locked(p) + 1 >= p->limit;
}

int64_t pool_ripe_at_locked(const struct pool *p, const struct request *q, const struct slot *s)
	REQUIRES(p->lock)
{
	int64_t idle = s->since + STREAM_IDLE + 2 * p->round_trip, turn = q->since + TURN;

	return idle < turn ? idle : turn;
}

struct slot *pool_ripe_locked(struct pool *p, const struct request *q) REQUIRES(p->lock)
{
	struct slot *s = pool_longest_parked_locked(p, true);

	return s && pool_ripe_at_locked(p, q, s) <= clock_monotonic() ? s : NULL;
}
