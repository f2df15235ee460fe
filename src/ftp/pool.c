/* ftp/pool - the bounded set of sessions of one mount, and the thread that keeps the idle ones */
#include "ftp/pool.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool_private.h"

/* The reply to a cut comes within a round trip, or the session is not worth waiting for. */
static const int64_t CUT_PATIENCE = 2 * NS_PER_S;

static void check_locked(const struct pool *p) REQUIRES(p->lock)
{
	for (unsigned i = 0; i < p->max; i++) {
		const struct slot *s = &p->slots[i];
		assert((s->session != NULL) ==
		       (s->state == IDLE || s->state == HELD || s->state == PARKED));
		assert((s->data != NULL) == (s->state == PARKED));
		(void)s;
	}
}

void pool_hold_locked(struct pool *p, struct slot *slot, enum purpose purpose,
		      const struct opctx *ctx)
{
	slot->state = HELD;
	slot->transfer = purpose == FOR_TRANSFER && !ctx->background;
	slot->lasting = ctx->lasting;
	slot->yields = false;
	slot->wanted = clock_monotonic();
	slot->taken = p->caps;
	slot->session->caps = p->caps;
	check_locked(p);
}

void pool_free_slot_up_locked(struct pool *p, struct slot *slot)
{
	*slot = (struct slot){.state = FREE};
	cond_broadcast(&p->released);
	check_locked(p);
}

/* ---- getting ---- */

int pool_make_ready(struct session *s, const struct opctx *ctx)
{
	struct opctx soon = *ctx;
	int64_t limit = clock_monotonic() + CUT_PATIENCE;
	int rc = session_settle_now(s);

	if (soon.deadline > limit)
		soon.deadline = limit;
	if (rc == 0 && s->nowed > 0 && s->owed[0].kind == OWED_CUT)
		rc = session_settle(s, &soon);
	if (rc == 0 && s->nowed == 0 && !session_alive(s))
		rc = -ECONNRESET;
	if (rc != 0)
		s->broken = true;
	return rc;
}

static struct session *take_idle(struct pool *p, struct slot *slot, enum purpose purpose,
				 const struct opctx *ctx) REQUIRES(p->lock)
{
	pool_hold_locked(p, slot, purpose, ctx);
	return slot->session;
}

static struct session *steal_locked(struct pool *p, struct slot *slot, enum purpose purpose,
				    struct data *data, const struct opctx *ctx) REQUIRES(p->lock)
{
	*data = *slot->data;
	*slot->data = (struct data){.fd = -1};
	slot->data = NULL;
	log_debug("session %u is taken from a stream that is idle", slot->session->id);
	pool_hold_locked(p, slot, purpose, ctx);
	return slot->session;
}

enum attempt {
	NOTHING, /* now */
	ANOTHER, /* the one that it was is dead: there may be more */
	READY,	 /* *out */
};

/* An enum attempt, or -errno. */
static int try_get(struct pool *p, const struct request *q, struct session **out,
		   enum login_failure *failure, struct buf *why) REQUIRES(p->lock)
{
	enum purpose purpose = q->purpose;
	const struct opctx *ctx = q->ctx;
	struct slot *slot;
	struct data data = {.fd = -1};
	bool opening = false;

	if (ctx->background && !pool_admits_background_locked(p, ctx->lasting))
		return NOTHING;
	if (pool_transfers_full_locked(p, q)) {
		if (!(slot = pool_ripe_locked(p, q)))
			return NOTHING;
		*out = steal_locked(p, slot, purpose, &data, ctx);
	} else if ((slot = pool_best_idle_locked(p, purpose))) {
		if (purpose == FOR_TRANSFER && !ctx->background)
			pool_note_transfer_locked(p, slot->session);
		*out = take_idle(p, slot, purpose, ctx);
	} else if (pool_minded_locked(p, purpose)) {
		return NOTHING;
	} else if (pool_open_locked(p) < p->limit && (slot = pool_free_slot_locked(p))) {
		opening = true;
		slot->state = OPENING;
		slot->transfer = purpose == FOR_TRANSFER && !ctx->background;
		slot->lasting = ctx->lasting;
	} else if (!ctx->background && (slot = pool_longest_parked_locked(p, false))) {
		*out = steal_locked(p, slot, purpose, &data, ctx);
	} else {
		return NOTHING;
	}
	if (purpose == FOR_TRANSFER && !ctx->background)
		pool_keep_reserve_locked(p);
	unsigned id = opening ? ++p->next_id : 0;
	struct caps known = p->caps;
	bool have = p->have_caps;
	mutex_unlock(&p->lock);

	int rc = 0;
	if (opening) {
		rc = pool_open_in_slot(p, slot, id, have ? &known : NULL, out, failure, why, ctx);
	} else {
		if (data.fd >= 0) {
			data_close(&data);
			session_owe(*out, OWED_CUT);
		}
		if (pool_make_ready(*out, ctx) != 0) {
			pool_put(p, *out);
			rc = opctx_check(ctx);
			*out = NULL;
		}
	}
	mutex_lock(&p->lock);
	if (rc != 0)
		return rc;
	if (!*out)
		return ANOTHER;
	pool_brief_locked(p, slot, purpose, ctx->background);
	return READY;
}

/* Until one is given back, or a stream has been idle for so long that its place may be taken. */
static int wait_locked(struct pool *p, const struct request *q) REQUIRES(p->lock)
{
	struct slot *parked = pool_transfers_full_locked(p, q) ? pool_longest_parked_locked(p, true)
							       : NULL;
	struct opctx until = *q->ctx;
	int rc;

	if (parked && pool_ripe_at_locked(p, q, parked) < until.deadline)
		until.deadline = pool_ripe_at_locked(p, q, parked);
	p->waiting++;
	rc = cond_wait_ctx(&p->released, &p->lock, &until);
	p->waiting--;
	return rc == -ETIMEDOUT ? opctx_check(q->ctx) : rc;
}

/* An error of a login that another session may be waited for instead. */
static bool queue_instead(struct pool *p, int rc, enum login_failure failure) REQUIRES(p->lock)
{
	return rc < 0 && failure == LOGIN_TOO_MANY && pool_open_locked(p) > 0;
}

static int pool_get_full(struct pool *p, enum purpose purpose, struct session **out,
			 enum login_failure *failure, struct buf *why, const struct opctx *ctx)
{
	struct request q = {purpose, clock_monotonic(), ctx};
	int rc;

	*out = NULL;
	mutex_lock(&p->lock);
	pool_raise_limit_locked(p);
	for (;;) {
		*failure = LOGIN_OK;
		rc = try_get(p, &q, out, failure, why);
		if (rc == READY || (rc < 0 && !queue_instead(p, rc, *failure)))
			break;
		if (rc == ANOTHER)
			continue;
		if (ctx->background) {
			rc = -EAGAIN;
			break;
		}
		buf_reset(why);
		rc = wait_locked(p, &q);
		if (rc != 0)
			break;
	}
	mutex_unlock(&p->lock);
	return rc == READY ? 0 : rc;
}

int pool_get_first(struct pool *p, struct session **out, enum login_failure *failure,
		   struct buf *why, const struct opctx *ctx)
{
	int rc = pool_get_full(p, FOR_METADATA, out, failure, why, ctx);

	/* Once a server has had TLS it is never again asked for a password in the clear. */
	if (rc == 0 && p->conf.tls == TLS_TRY)
		p->conf.tls = session_tls(*out) ? TLS_REQUIRE : TLS_OFF;
	return rc;
}

int pool_get(struct pool *p, enum purpose purpose, struct session **out, const struct opctx *ctx)
{
	enum login_failure failure;
	struct buf why;

	buf_init(&why, 1024);
	int rc = pool_get_full(p, purpose, out, &failure, &why, ctx);
	if (rc != 0 && why.len > 0)
		log_info("cannot open another connection: %s", buf_text(&why));
	/* Nobody of ours is connected and the server is full: that passes. */
	if (rc != 0 && failure == LOGIN_TOO_MANY && !ctx->background)
		rc = -ECONNREFUSED;
	buf_free(&why);
	return rc;
}

/* ---- giving back ---- */

static struct slot *slot_of_locked(struct pool *p, const struct session *s) REQUIRES(p->lock)
{
	for (unsigned i = 0; i < p->max; i++)
		if (p->slots[i].session == s)
			return &p->slots[i];
	return NULL;
}

static void merge_caps_locked(struct pool *p, const struct caps *learned, const struct caps *taken)
	REQUIRES(p->lock)
{
	for (int i = 0; i < CAP_COUNT; i++)
		if (learned->known[i] != taken->known[i])
			p->caps.known[i] = learned->known[i];
	p->caps.quirks |= learned->quirks;
	p->caps.mlst_mode |= learned->mlst_mode;
	p->caps.hashes |= learned->hashes;
	if (learned->zone_known && !taken->zone_known) {
		p->caps.zone_known = true;
		p->caps.zone = learned->zone;
	}
}

void pool_put_back(struct pool *p, struct session *s, bool by_keeper)
{
	bool broken = s->broken || session_settle_now(s) != 0;
	bool owes = !broken && (s->nowed > 0 || s->calling.heat_later);

	mutex_lock(&p->lock);
	struct slot *slot = slot_of_locked(p, s);
	assert(slot && slot->state == HELD);
	merge_caps_locked(p, &s->caps, &slot->taken);
	pool_debrief_locked(p, slot);
	pool_note_distance_locked(p, s);
	slot->transfer = slot->lasting = slot->yields = slot->minded = false;
	if (broken) {
		pool_free_slot_up_locked(p, slot);
	} else {
		slot->state = IDLE;
		slot->since = clock_monotonic();
		cond_broadcast(&p->released);
	}
	check_locked(p);
	mutex_unlock(&p->lock);
	if (!broken) {
		if (owes && !by_keeper)
			keeper_wake(p);
		half_open_end(&p->half_open);
		return;
	}
	if (s->changing)
		half_open_note(&p->half_open, login_fd(s->login));
	session_close(s);
}

void pool_note_reset(struct pool *p, int data_fd)
{
	half_open_note(&p->half_open, data_fd);
}

void pool_put(struct pool *p, struct session *s)
{
	pool_put_back(p, s, false);
}

bool pool_wants_back(struct pool *p, struct session *s)
{
	unsigned coming = 0;
	bool wanted;

	mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->max; i++)
		coming += p->slots[i].state == IDLE || p->slots[i].yields;
	wanted = p->waiting > coming;
	if (wanted)
		slot_of_locked(p, s)->yields = true;
	mutex_unlock(&p->lock);
	return wanted;
}

void pool_park(struct pool *p, struct session *s, struct data *data)
{
	mutex_lock(&p->lock);
	struct slot *slot = slot_of_locked(p, s);
	assert(slot && slot->state == HELD);
	slot->state = PARKED;
	slot->data = data;
	slot->since = clock_monotonic();
	cond_broadcast(&p->released);
	check_locked(p);
	mutex_unlock(&p->lock);
}

int pool_unpark(struct pool *p, struct session *s, struct data *data)
{
	int rc = -ESTALE;

	mutex_lock(&p->lock);
	struct slot *slot = slot_of_locked(p, s);
	if (slot && slot->state == PARKED && slot->data == data) {
		slot->state = HELD;
		slot->data = NULL;
		slot->wanted = clock_monotonic();
		rc = 0;
	}
	check_locked(p);
	mutex_unlock(&p->lock);
	return rc;
}

void pool_caps(struct pool *p, struct caps *out)
{
	mutex_lock(&p->lock);
	*out = p->caps;
	mutex_unlock(&p->lock);
}

void pool_learn(struct pool *p, enum cap cap, enum tristate known)
{
	mutex_lock(&p->lock);
	p->caps.known[cap] = (uint8_t)known;
	mutex_unlock(&p->lock);
}

unsigned pool_limit(struct pool *p)
{
	mutex_lock(&p->lock);
	unsigned n = p->limit;
	mutex_unlock(&p->lock);
	return n;
}

unsigned pool_open(struct pool *p)
{
	mutex_lock(&p->lock);
	unsigned n = pool_open_locked(p);
	mutex_unlock(&p->lock);
	return n;
}

/* ---- life ---- */

int pool_create(const struct login_conf *conf, unsigned max_conns, enum active_mode active,
		struct pool **out)
{
	struct pool *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->active = active;
	p->max = p->limit = max_conns < SLOTS_MAX ? max_conns : SLOTS_MAX;
	mutex_init(&p->lock);
	cond_init(&p->released);
	half_open_init(&p->half_open);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc = p->wake < 0 ? -errno : -pthread_create(&p->keeper, NULL, keeper_run, p);
	if (rc != 0) {
		if (p->wake >= 0)
			close(p->wake);
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void pool_destroy(struct pool *p)
{
	p->ending = true;
	keeper_wake(p);
	pthread_join(p->keeper, NULL);
	for (unsigned i = 0; i < p->max; i++)
		if (p->slots[i].session)
			session_close(p->slots[i].session);
	half_open_destroy(&p->half_open);
	cond_destroy(&p->released);
	mutex_destroy(&p->lock);
	close(p->wake);
	free(p);
}
