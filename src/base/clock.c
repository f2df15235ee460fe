/* clock - the two clocks of the program, replaceable by tests. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t advanced;

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec + atomic_load(&advanced);
}

int64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_realtime(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_advance(int64_t ns)
{
	atomic_fetch_add(&advanced, ns);
}
