/* ftp/pool_grow - how the pool gets its sessions: logins, the limit they teach, spares */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool_private.h"

/* Somebody else's connections may have gone: try one more from time to time. */
static const int64_t RAISE_AFTER = 60 * NS_PER_S;
/* Two sessions get ready while the third works; more would only be taken from others. */
enum { SPARES = 3, SPARE_AFTER = 4 };
/* One reader is content with one connection; who moves several files at once also looks around. */
enum { RESERVE_FROM = 2 };
static const int64_t COLD_RUN = 2 * NS_PER_S;
enum { ROUND_TRIPS_OF_ONE = 4 }; /* of a cold transfer and what comes with it */

static void learn_limit_locked(struct pool *p) REQUIRES(p->lock)
{
	unsigned others = pool_open_locked(p) - pool_count_locked(p, OPENING);

	if (others == 0 || others >= p->limit)
		return;
	p->limit = others;
	p->raise_at = clock_monotonic() + RAISE_AFTER;
	log_info("the server allows %u connections at a time", others);
}

void pool_note_distance_locked(struct pool *p, const struct session *s)
{
	if (s->round_trip > 0 && (p->round_trip == 0 || s->round_trip < p->round_trip))
		p->round_trip = s->round_trip;
}

int64_t pool_round_trip(struct pool *p)
{
	mutex_lock(&p->lock);
	int64_t ns = p->round_trip;
	mutex_unlock(&p->lock);
	return ns;
}

void pool_raise_limit_locked(struct pool *p)
{
	if (p->limit == p->max || clock_monotonic() < p->raise_at)
		return;
	p->limit++;
	p->raise_at = clock_monotonic() + RAISE_AFTER;
}

bool pool_reserves_locked(const struct pool *p)
{
	unsigned transfers = 0;

	for (unsigned i = 0; i < p->max; i++)
		transfers += (p->slots[i].transfer || p->slots[i].lasting) &&
			     (p->slots[i].state == HELD || p->slots[i].state == OPENING);
	return transfers >= RESERVE_FROM;
}

/* Transfers hold every session: who lists a directory now would have to wait for a login.  It
 * begins beside theirs: over the link that they fill it would take longer. */
static bool reserve_wanted_locked(const struct pool *p) REQUIRES(p->lock)
{
	for (unsigned i = 0; i < p->max; i++)
		if (p->slots[i].state == OPENING && !p->slots[i].transfer && !p->slots[i].lasting)
			return false;
	return pool_reserves_locked(p) && pool_count_locked(p, IDLE) == 0 &&
	       pool_open_locked(p) < p->limit;
}

void pool_keep_reserve_locked(const struct pool *p)
{
	if (reserve_wanted_locked(p))
		keeper_wake(p);
}

int pool_open_in_slot(struct pool *p, struct slot *slot, unsigned id, const struct caps *known,
		      struct session **out, enum login_failure *failure, struct buf *why,
		      const struct opctx *ctx)
{
	int64_t began = clock_monotonic();
	int rc = session_open(&p->conf, id, known, out, failure, why, ctx);

	mutex_lock(&p->lock);
	/* It has spoken FTP, and TLS, with us before: it is going down, or the link is. */
	if (rc == -EPROTO && p->have_caps)
		rc = -ECONNRESET;
	p->login_took = rc == 0 ? clock_monotonic() - began : OPCTX_FOREVER;
	if (rc == 0) {
		slot->session = *out;
		slot->state = HELD;
		slot->wanted = clock_monotonic();
		if (!p->have_caps) {
			(*out)->caps.known[CAP_EPRT] = pool_first_belief(p, *out);
			p->caps = (*out)->caps;
			p->have_caps = true;
		}
		slot->taken = (*out)->caps;
		pool_keep_reserve_locked(p);
	} else {
		if (*failure == LOGIN_TOO_MANY)
			learn_limit_locked(p);
		pool_free_slot_up_locked(p, slot);
	}
	mutex_unlock(&p->lock);
	if (rc == 0)
		half_open_end(&p->half_open);
	return rc;
}

static bool spare_wanted_locked(const struct pool *p) REQUIRES(p->lock)
{
	unsigned most = SPARES < p->limit ? SPARES : p->limit;

	return p->colds >= SPARE_AFTER && pool_open_locked(p) < most;
}

/* A transfer of the foreground begins on an idle session. */
void pool_note_transfer_locked(struct pool *p, const struct session *s)
{
	int64_t now = clock_monotonic();
	bool ready = s->nowed == 0 && s->hot >= 0 && data_connected(s->hot) == 0;

	if (now - p->cold_at > COLD_RUN + ROUND_TRIPS_OF_ONE * p->round_trip)
		p->colds = 0;
	/* Over a long way a look at the file's version comes between every few reads, and gives the
	 * next one time to get ready: that does not make up for the others. */
	if (ready) {
		p->colds -= p->colds > 0;
		return;
	}
	p->colds++;
	p->cold_at = now;
	if (spare_wanted_locked(p))
		keeper_wake(p);
}

static void want_help_locked(struct pool *p, int64_t left) REQUIRES(p->lock)
{
	if (p->help_wanted || left <= p->login_took || pool_count_locked(p, OPENING) > 0 ||
	    pool_open_locked(p) >= p->limit)
		return;
	p->help_wanted = true;
	keeper_wake(p);
}

struct session *pool_help(struct pool *p, int64_t left)
{
	const struct opctx at_once = opctx_for(0);
	struct session *s = NULL;

	mutex_lock(&p->lock);
	struct slot *slot = pool_best_idle_locked(p, FOR_METADATA);
	bool cut = slot && slot->session->nowed > 0 && slot->session->owed[0].kind == OWED_CUT;
	if (slot && !cut && p->waiting == 0) {
		pool_hold_locked(p, slot, FOR_METADATA, &at_once);
		pool_brief_locked(p, slot, FOR_METADATA, false);
		slot->minded = true;
		s = slot->session;
	} else if (!slot) {
		want_help_locked(p, left);
	}
	mutex_unlock(&p->lock);
	if (s && pool_make_ready(s, &at_once) != 0) {
		pool_put(p, s);
		s = NULL;
	}
	return s;
}

void pool_open_spare(struct pool *p)
{
	struct opctx ctx = opctx_for(p->conf.connect_timeout);
	enum login_failure failure;
	struct session *s;
	struct buf why;

	ctx.cancelled = &p->ending;
	mutex_lock(&p->lock);
	bool wanted = spare_wanted_locked(p) || reserve_wanted_locked(p) || p->help_wanted;
	struct slot *slot = wanted ? pool_free_slot_locked(p) : NULL;
	struct caps known = p->caps;
	unsigned id = 0;
	p->colds = slot ? 0 : p->colds;
	p->help_wanted = p->help_wanted && slot;
	if (slot) {
		slot->state = OPENING;
		slot->minded = true;
		id = ++p->next_id;
	}
	mutex_unlock(&p->lock);
	if (!slot)
		return;
	buf_init(&why, 1024);
	if (pool_open_in_slot(p, slot, id, &known, &s, &failure, &why, &ctx) == 0) {
		session_heat(s, 0);
		pool_put_back(p, s, true);
	}
	/* Not before: a batch that still finds none idle would ask for a third one. */
	mutex_lock(&p->lock);
	p->help_wanted = false;
	mutex_unlock(&p->lock);
	buf_free(&why);
}
