/* lock - mutexes and conditions whose rules clang checks (-Wthread-safety).
 *
 * Order, outermost first; none is ever held across the network or a reply to the kernel:
 *
 *     file -> reader -> tree -> { pool, prefetch, notify, journal, writeback, crew }
 *
 * A field says GUARDED_BY(its lock); a function that needs a lock held says REQUIRES(it) and its
 * name ends in _locked.  Conditions are waited for in slices, so that an interrupt or a deadline in
 * the opctx ends the wait within LOCK_SLICE_NS without anybody having to signal it. */
#ifndef FTPFS_BASE_LOCK_H
#define FTPFS_BASE_LOCK_H

#include <pthread.h>
#include <stdint.h>

#include "base/opctx.h"

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif

#define CAPABILITY(name) TSA(capability(name))
/* In C, clang cannot name a sibling member in an attribute: this one is for the reader.  The rules
 * on functions below are checked. */
#define GUARDED_BY(lock)
#define REQUIRES(...) TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...)  TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...)  TSA(release_capability(__VA_ARGS__))
/* For the few functions whose locking clang cannot follow; each use says why. */
#define UNCHECKED TSA(no_thread_safety_analysis)

enum { LOCK_SLICE_NS = 50000000 };

struct CAPABILITY("mutex") mutex {
	pthread_mutex_t m;
};

struct cond {
	pthread_cond_t c; /* on CLOCK_MONOTONIC */
};

#define MUTEX_INITIALIZER                                                                          \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER                                                          \
	}

void mutex_init(struct mutex *m);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(m);
void mutex_unlock(struct mutex *m) RELEASE(m);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_broadcast(struct cond *c);

/* Wait once: returns 0 when woken (or spuriously, or after a slice: always re-test the predicate),
 * -EINTR or -ETIMEDOUT as opctx_check() says.  m is held again in every case. */
int cond_wait_ctx(struct cond *c, struct mutex *m, const struct opctx *ctx) REQUIRES(m);

/* Wait until woken or until `deadline` (CLOCK_MONOTONIC, ns).  For background threads. */
void cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline) REQUIRES(m);

#endif
