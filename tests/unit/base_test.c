/* base_test - clocks, operation contexts, locks, counters, entries. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/entry.h"
#include "base/lock.h"
#include "base/opctx.h"
#include "base/stats.h"

static void test_clock_advances(void **state)
{
	int64_t mono = clock_monotonic();
	int64_t real = clock_realtime();

	(void)state;
	clock_advance(3600 * NS_PER_S);
	assert_true(clock_monotonic() - mono >= 3600 * NS_PER_S);
	assert_true(clock_realtime() - real >= 3600 * NS_PER_S);
}

static void test_opctx(void **state)
{
	atomic_bool cancelled = false;
	struct opctx ctx = opctx_for(10 * NS_PER_S);

	(void)state;
	assert_int_equal(ctx.cancel_fd, -1);
	assert_int_equal(opctx_check(&ctx), 0);
	clock_advance(11 * NS_PER_S);
	assert_int_equal(opctx_check(&ctx), -ETIMEDOUT);
	ctx = opctx_for(OPCTX_FOREVER);
	assert_true(ctx.deadline == OPCTX_FOREVER);
	clock_advance(1000000 * NS_PER_S);
	assert_int_equal(opctx_check(&ctx), 0);
	ctx.cancelled = &cancelled;
	assert_int_equal(opctx_check(&ctx), 0);
	atomic_store(&cancelled, true);
	assert_int_equal(opctx_check(&ctx), -EINTR);
	ctx = opctx_for(INT64_MAX - 1);
	assert_int_equal(opctx_check(&ctx), 0);
}

struct shared {
	struct mutex lock;
	struct cond changed;
	int count GUARDED_BY(lock);
};

static void *add_many(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 1000; i++) {
		mutex_lock(&s->lock);
		s->count++;
		cond_broadcast(&s->changed);
		mutex_unlock(&s->lock);
	}
	return NULL;
}

static void test_wait_until_woken(void **state)
{
	struct opctx ctx = opctx_for(60 * NS_PER_S);
	struct shared s = {.count = 0};
	pthread_t thread;
	int error = 0;

	(void)state;
	mutex_init(&s.lock);
	cond_init(&s.changed);
	assert_int_equal(pthread_create(&thread, NULL, add_many, &s), 0);
	mutex_lock(&s.lock);
	while (s.count < 1000 && !error)
		error = cond_wait_ctx(&s.changed, &s.lock, &ctx);
	mutex_unlock(&s.lock);
	pthread_join(thread, NULL);
	assert_int_equal(error, 0);
	cond_destroy(&s.changed);
	mutex_destroy(&s.lock);
}

static void test_wait_ends_unsignalled(void **state)
{
	struct opctx ctx = opctx_for(20 * NS_PER_MS);
	atomic_bool cancelled = true;
	struct mutex lock = MUTEX_INITIALIZER;
	struct cond never;
	int64_t start = clock_monotonic();
	int error = 0;

	(void)state;
	cond_init(&never);
	mutex_lock(&lock);
	while (!error)
		error = cond_wait_ctx(&never, &lock, &ctx);
	assert_int_equal(error, -ETIMEDOUT);
	assert_true(clock_monotonic() - start >= 20 * NS_PER_MS);
	ctx = opctx_for(OPCTX_FOREVER);
	assert_int_equal(cond_wait_ctx(&never, &lock, &ctx), 0); /* one slice */
	ctx.cancelled = &cancelled;
	assert_int_equal(cond_wait_ctx(&never, &lock, &ctx), -EINTR);
	start = clock_monotonic();
	cond_wait_until(&never, &lock, start - NS_PER_S);
	cond_wait_until(&never, &lock, INT64_MIN);
	mutex_unlock(&lock);
	cond_destroy(&never);
}

static void test_stats(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	stats_add(STAT_CUTS, 3);
	stats_add(STAT_CUTS, 4);
	assert_int_equal(stats_get(STAT_CUTS), 7);
	stats_describe(&out);
	assert_non_null(strstr(buf_text(&out), "\ncuts 7\n"));
	for (int i = 0; i < STAT_COUNT; i++)
		assert_non_null(stats_name((enum stat_id)i));
	buf_free(&out);
}

static void test_listing(void **state)
{
	char name[] = "one", target[] = "there";
	struct entry e = {.name = name, .target = target, .size = 7, .have = HAVE_SIZE};
	struct listing l;

	(void)state;
	listing_init(&l, 40);
	for (int i = 0; i < 40; i++) {
		name[0] = (char)('A' + i);
		assert_int_equal(listing_add(&l, &e), 0);
	}
	assert_int_equal(listing_add(&l, &e), -EOVERFLOW);
	assert_int_equal(l.n, 40);
	assert_ptr_equal(listing_find(&l, "Cne"), &l.v[2]);
	assert_null(listing_find(&l, "one!"));
	assert_string_equal(l.v[2].target, "there");
	assert_ptr_not_equal(l.v[2].target, target);
	assert_int_equal(l.v[2].size, 7);
	listing_free(&l);
	assert_int_equal(l.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_advances),
		cmocka_unit_test(test_opctx),
		cmocka_unit_test(test_wait_until_woken),
		cmocka_unit_test(test_wait_ends_unsignalled),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
