/* fs/pace - how many streams of one file are worth having, found out by trying. */
#include "fs/pace.h"

#include "base/clock.h"

enum { STEP = 4 };
/* A line comes and goes with the server's probing. */
#define FULL (10 * NS_PER_S)
/* Long against a round trip, short against the file. */
#define WINDOW (500 * NS_PER_MS)
#define TRIAL  (NS_PER_S)
/* A login and a slow start on a far link. */
#define RUN_IN (3 * NS_PER_S)
/* New streams are fast until their first loss. */
#define SETTLE	    (750 * NS_PER_MS)
#define PAUSE_FIRST (20 * NS_PER_S)

#define PAUSE_MAX (160 * NS_PER_S)

void pace_begin(struct pace *p, unsigned most)
{
	*p = (struct pace){.target = 1, .kept = 1, .most = most, .pause = PAUSE_FIRST};
}

void pace_restart(struct pace *p)
{
	p->state = PACE_ALONE;
	p->target = p->kept = 1;
	p->rate = 0;
	p->mark = (struct progress){0};
}

void pace_hold(struct pace *p, int64_t now)
{
	p->not_before = now + p->pause;
	p->pause = 2 * p->pause < PAUSE_MAX ? 2 * p->pause : PAUSE_MAX;
}

bool pace_looks(const struct pace *p, int64_t now)
{
	return p->state == PACE_ALONE && now - p->mark.at >= WINDOW;
}

static int64_t rate_of(const struct pace *p, const struct progress *x)
{
	return (int64_t)((double)(x->bytes - p->mark.bytes) * (double)NS_PER_S /
			 (double)(x->at - p->mark.at));
}

static void enter(struct pace *p, enum pace_state state, const struct progress *x)
{
	p->state = state;
	p->mark = *x;
}

static void try_more(struct pace *p, const struct progress *x)
{
	p->target = STEP * p->kept < p->most ? STEP * p->kept : p->most;
	enter(p, PACE_RUN_IN, x);
}

static void alone(struct pace *p, const struct progress *x)
{
	int64_t took = x->at - p->mark.at, rate;
	bool waits, even;

	if (p->mark.at == 0)
		p->mark = *x;
	if (took < WINDOW || p->mark.at == x->at)
		return;
	if (x->full && p->not_before < x->at + FULL)
		p->not_before = x->at + FULL;
	rate = rate_of(p, x);
	waits = x->waited - p->mark.waited >= took / 4 * 3;
	even = rate < p->rate / 2 * 3 && p->rate < rate / 2 * 3;
	if (waits && even && rate < PACE_SLOW && x->at >= p->not_before && p->most > 1) {
		p->rate = (p->rate + rate) / 2;
		try_more(p, x);
		return;
	}
	p->rate = waits ? rate : 0;
	p->mark = *x;
}

static void judge(struct pace *p, const struct progress *x)
{
	int64_t rate = rate_of(p, x);

	if (rate - p->rate >= p->rate / 4 / p->kept * (p->target - p->kept)) {
		p->rate = rate;
		p->kept = p->target;
		if (p->target < p->most)
			try_more(p, x);
		else
			enter(p, PACE_STEADY, x);
		return;
	}
	p->target = p->kept;
	pace_hold(p, x->at);
	if (p->kept == 1)
		p->rate = 0;
	enter(p, p->kept == 1 ? PACE_ALONE : PACE_STEADY, x);
}

static void steady(struct pace *p, const struct progress *x)
{
	p->rate = rate_of(p, x);
	p->mark = *x;
	/* Nothing holds them back any more. */
	if (p->rate / p->kept > 2 * PACE_SLOW) {
		pace_restart(p);
		pace_hold(p, x->at);
	} else if (p->kept < p->most && x->at >= p->not_before) {
		try_more(p, x);
	}
}

unsigned pace_tell(struct pace *p, const struct progress *x)
{
	int64_t took = x->at - p->mark.at;

	if (p->state == PACE_ALONE)
		alone(p, x);
	else if (p->state == PACE_RUN_IN && (x->streams >= p->target || took > RUN_IN))
		enter(p, PACE_SETTLE, x);
	else if (p->state == PACE_SETTLE && took >= SETTLE)
		enter(p, PACE_TRIAL, x);
	else if (p->state == PACE_TRIAL && took >= TRIAL)
		judge(p, x);
	else if (p->state == PACE_STEADY && took >= TRIAL)
		steady(p, x);
	return p->target;
}
