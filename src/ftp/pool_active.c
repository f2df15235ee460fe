/* ftp/pool_active - whether the server opens data connections: who finds out, and what is believed
 */
#include "base/log.h"
#include "ftp/listen.h"
#include "pool_private.h"

/* A probe that fails may cost its session; and after so many misses in a row it does not work any
 * more. */
enum { PROBE_POOL = 4, MISSES = 3 };

uint8_t pool_first_belief(const struct pool *p, const struct session *s)
{
	if (p->active == ACTIVE_OFF || !session_pipelines(s))
		return NO;
	if (p->active == ACTIVE_ON)
		return UNTRIED;
	/* Under TLS nothing is won: we speak first, and learn of the connection no sooner. */
	return !session_tls(s) && listen_worthwhile(login_fd(s->login)) ? UNTRIED : NO;
}

static bool probed_locked(const struct pool *p) REQUIRES(p->lock)
{
	for (unsigned i = 0; i < p->max; i++)
		if (p->slots[i].probes)
			return true;
	return false;
}

void pool_brief_locked(struct pool *p, struct slot *slot, enum purpose purpose, bool background)
{
	struct calling *c = &slot->session->calling;

	c->ahead = background && purpose == FOR_TRANSFER;
	c->probe = purpose == FOR_TRANSFER && slot->session->caps.known[CAP_EPRT] == UNTRIED &&
		   p->caps.known[CAP_EPRT] == UNTRIED && !probed_locked(p) &&
		   (p->active == ACTIVE_ON || (background && p->limit >= PROBE_POOL));
	slot->probes = c->probe;
}

void pool_debrief_locked(struct pool *p, struct slot *slot)
{
	struct calling *c = &slot->session->calling;

	if (slot->probes && p->caps.known[CAP_EPRT] != UNTRIED)
		log_info("data connections are opened by %s",
			 p->caps.known[CAP_EPRT] == YES ? "the server" : "us");
	if (c->outcome == CALL_MET)
		p->missed = 0;
	if (c->outcome == CALL_MISSED && ++p->missed >= MISSES && p->caps.known[CAP_EPRT] == YES) {
		log_info("the server opens no data connections any more");
		p->caps.known[CAP_EPRT] = NO;
	}
	slot->probes = c->probe = c->ahead = false;
	c->outcome = CALL_NONE;
}
