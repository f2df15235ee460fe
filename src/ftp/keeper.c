/* ftp/keeper - the thread that minds idle sessions: owed replies, dead connections, NOOP, closing
 */
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool_private.h"

/* Shorter than the one minute after which the impatient servers and NAT boxes forget an idle
 * connection. */
static const int64_t NOOP_AFTER = 25 * NS_PER_S;
/* A burst is over; connections are a scarce thing on shared servers. */
static const int64_t CLOSE_AFTER = 120 * NS_PER_S;
/* Servers give up on a data connection that is not used (vsftpd after 60 s). */
static const int64_t COOL_AFTER = 30 * NS_PER_S;
/* Whoever looks ahead takes its next session within a moment, or has come to an end. */
static const int64_t HEAT_AFTER = 100 * NS_PER_MS;
/* At least this often the keeper looks which sessions are idle. */
static const int64_t KEEPER_ROUND = NS_PER_S;
enum { KEEP_OPEN = 2 };

void keeper_wake(const struct pool *p)
{
	uint64_t one = 1;
	ssize_t n = write(p->wake, &one, sizeof one);

	(void)n; /* full means that it is awake already */
}

static bool hot_too_long(const struct session *s, int64_t now)
{
	return s->hot >= 0 && now - s->hot_since > COOL_AFTER;
}

static bool heat_due(const struct slot *slot, int64_t now)
{
	return slot->session->calling.heat_later && now - slot->since >= HEAT_AFTER;
}

/* What an idle session needs now; it is HELD by the keeper meanwhile. Never waits. */
static void tend(struct session *s, int64_t wanted, bool may_close, bool heat)
{
	int64_t now = clock_monotonic();
	bool cut = s->nowed > 0 && s->owed[0].kind == OWED_CUT;

	if (session_settle_now(s) != 0 || (s->nowed == 0 && !session_alive(s)) ||
	    (s->nowed > 0 && now - s->last_used > s->conf->timeout)) {
		log_debug("session %u was closed by the server", s->id);
		s->broken = true;
		return;
	}
	if (hot_too_long(s, now))
		session_cool(s);
	/* Who cut a transfer is about to begin another. */
	if (s->nowed == 0 && (cut || heat)) {
		session_heat(s, 0);
		s->calling.heat_later = false;
	}
	if (may_close && now - wanted > CLOSE_AFTER) {
		s->broken = true;
		return;
	}
	if (s->nowed == 0 && now - s->last_used > NOOP_AFTER) {
		struct opctx at_once = opctx_for(0);
		const char *verb = caps_may(&s->caps, CAP_NOOP) ? "NOOP" : "PWD";
		if (session_queue(s, "%s", verb) == 0 && session_flush(s, &at_once) == 0)
			session_owe(s, OWED_FINAL);
		s->last_used = now;
	}
}

static bool needs_tending(const struct slot *slot, int64_t now, bool may_close)
{
	const struct session *s = slot->session;

	return now - s->last_used > NOOP_AFTER || (may_close && now - slot->wanted > CLOSE_AFTER) ||
	       hot_too_long(s, now) || heat_due(slot, now);
}

static void tend_slot_locked(struct pool *p, struct slot *slot, bool may_close) REQUIRES(p->lock)
{
	struct session *s = slot->session;
	int64_t wanted = slot->wanted;
	int64_t now = clock_monotonic();
	bool heat = heat_due(slot, now) || (hot_too_long(s, now) && pool_reserves_locked(p));

	slot->state = HELD;
	slot->minded = true;
	slot->taken = p->caps;
	s->caps = p->caps;
	mutex_unlock(&p->lock);
	tend(s, wanted, may_close, heat);
	pool_put_back(p, s, true);
	mutex_lock(&p->lock);
}

static void keep_once(struct pool *p)
{
	struct pollfd fds[SLOTS_MAX + 1];
	struct session *who[SLOTS_MAX];
	uint64_t count;
	int64_t sleep = KEEPER_ROUND;
	nfds_t n = 0;

	mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->max; i++) {
		if (p->slots[i].state != IDLE)
			continue;
		if (p->slots[i].session->calling.heat_later)
			sleep = HEAT_AFTER;
		who[n] = p->slots[i].session;
		fds[n] = (struct pollfd){.fd = login_fd(who[n]->login), .events = POLLIN};
		n++;
	}
	mutex_unlock(&p->lock);
	fds[n] = (struct pollfd){.fd = p->wake, .events = POLLIN};
	if (poll(fds, n + 1, (int)(sleep / NS_PER_MS)) < 0)
		return;
	if (fds[n].revents && read(p->wake, &count, sizeof count) < 0)
		return;
	int64_t now = clock_monotonic();
	mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->max; i++) {
		struct slot *slot = &p->slots[i];
		bool stirred = false;
		for (nfds_t k = 0; k < n; k++)
			stirred |= who[k] == slot->session && fds[k].revents;
		/* The last idle one is the reserve beside long transfers. */
		bool may_close = pool_open_locked(p) > KEEP_OPEN && pool_count_locked(p, IDLE) > 1;
		if (slot->state == IDLE && (stirred || needs_tending(slot, now, may_close)))
			tend_slot_locked(p, slot, may_close);
	}
	mutex_unlock(&p->lock);
}

void *keeper_run(void *arg)
{
	struct pool *p = arg;

	while (!p->ending) {
		keep_once(p);
		pool_open_spare(p);
	}
	return NULL;
}
