/* lock - mutexes and conditions whose rules clang checks. */
#include "base/lock.h"

#include <assert.h>
#include <time.h>

#include "base/clock.h"

void mutex_init(struct mutex *m)
{
	pthread_mutex_init(&m->m, NULL);
}

void mutex_destroy(struct mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

/* UNCHECKED, here and below: these are the definitions of what clang checks elsewhere; it cannot
 * see that the pthread mutex inside is the capability. */
UNCHECKED void mutex_lock(struct mutex *m)
{
	int error = pthread_mutex_lock(&m->m);

	assert(error == 0);
	(void)error;
}

UNCHECKED void mutex_unlock(struct mutex *m)
{
	int error = pthread_mutex_unlock(&m->m);

	assert(error == 0);
	(void)error;
}

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->c, &attr);
	pthread_condattr_destroy(&attr);
}

void cond_destroy(struct cond *c)
{
	pthread_cond_destroy(&c->c);
}

void cond_broadcast(struct cond *c)
{
	pthread_cond_broadcast(&c->c);
}

UNCHECKED void cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline)
{
	int64_t now = clock_monotonic();
	int64_t wait = deadline > now ? deadline - now : 0;
	struct timespec t;

	/* The kernel's clock does not know of clock_advance(): only the distance is ours. */
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += wait / NS_PER_S;
	t.tv_nsec += wait % NS_PER_S;
	if (t.tv_nsec >= NS_PER_S) {
		t.tv_sec++;
		t.tv_nsec -= NS_PER_S;
	}
	pthread_cond_timedwait(&c->c, &m->m, &t);
}

int cond_wait_ctx(struct cond *c, struct mutex *m, const struct opctx *ctx)
{
	int64_t slice_end = clock_monotonic() + LOCK_SLICE_NS;
	int error = opctx_check(ctx);

	if (error)
		return error;
	cond_wait_until(c, m, ctx->deadline < slice_end ? ctx->deadline : slice_end);
	return opctx_check(ctx);
}
