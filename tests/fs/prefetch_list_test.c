/* prefetch_list_test - listings ahead: what begins a walk, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prefetch_world.h"

static void walk_is_listed_ahead(void **state)
{
	struct world w;
	char path[32];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 5);
	for (unsigned i = 0; i < 5; i++) {
		snprintf(path, sizeof path, "/d%u", i);
		ahead_make_dirs(&w, path, 5);
	}
	ahead_user_lists(&w, "/");
	ahead_user_lists(&w, "/d0");
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 31);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < 5; j++) {
			snprintf(path, sizeof path, "/d%u/d%u", i, j);
			ahead_user_lists(&w, path);
		}
		snprintf(path, sizeof path, "/d%u", (i + 1) % 5);
		ahead_user_lists(&w, path);
	}
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 31);
	assert_int_equal(stats_get(STAT_PREFETCH_HITS) - w.hits, 29);
	ahead_end(&w);
}

static bool all_wait(struct world *w)
{
	return atomic_load(&w->gate.waiting) == THREADS;
}

static void every_thread_takes_part(void **state)
{
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 20);
	atomic_store(&w.gate.shut, true);
	ahead_user_lists(&w, "/");
	ahead_user_lists(&w, "/d0");
	ahead_await(all_wait, &w);
	ahead_end(&w);
}

static void one_listing_begins_nothing(void **state)
{
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 5);
	ahead_make_dirs(&w, "/d1", 5);
	ahead_user_lists(&w, "/");
	ahead_user_lists(&w, "/d1/d2"); /* nobody listed /d1 */
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 2);
	clock_advance(WALK_IDLE + NS_PER_S);
	ahead_user_lists(&w, "/d3"); /* the root was listed long ago */
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 3);
	ahead_end(&w);
}

static void listings_keep_their_budget(void **state)
{
	struct world w;
	char path[32];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 300);
	ahead_user_lists(&w, "/");
	ahead_user_lists(&w, "/d0");
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 2 + LISTS_BASE);
	for (unsigned i = 1; i < 300; i++) {
		snprintf(path, sizeof path, "/d%u", i);
		ahead_user_lists(&w, path);
		assert_true(atomic_load(&w.gate.lists) <= 2 + LISTS_BASE + 2 * i);
	}
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 301);
	ahead_end(&w);
}

static void refused_listing_is_asked_for_once(void **state)
{
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 5);
	w.gate.refused = "/d3";
	ahead_user_lists(&w, "/");
	ahead_user_lists(&w, "/d0");
	ahead_await(ahead_idle, &w);
	ahead_user_lists(&w, "/d1");
	ahead_user_lists(&w, "/d2");
	ahead_await(ahead_idle, &w);
	assert_int_equal(atomic_load(&w.gate.lists), 6);
	ahead_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk_is_listed_ahead),
		cmocka_unit_test(every_thread_takes_part),
		cmocka_unit_test(one_listing_begins_nothing),
		cmocka_unit_test(listings_keep_their_budget),
		cmocka_unit_test(refused_listing_is_asked_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
