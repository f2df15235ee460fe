/* pace_test - a simulated link: what each stream brings, and what all of them can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/pace.h"

#define STEP (20 * NS_PER_MS)

enum { KB = 1 << 10, MB = 1 << 20, MOST = 8 };

struct link {
	struct pace pace;
	struct progress now;
	int64_t each, all; /* bytes a second */
	bool idle;	   /* the reader is the slow one */
	unsigned highest;
};

static void begin(struct link *l, int64_t each, int64_t all)
{
	*l = (struct link){.each = each, .all = all, .now = {.at = NS_PER_S, .streams = 1}};
	pace_begin(&l->pace, MOST);
}

static unsigned pass(struct link *l, int64_t ns)
{
	unsigned target = l->pace.target;

	for (int64_t end = l->now.at + ns; l->now.at < end; l->now.at += STEP) {
		int64_t rate = l->each * l->now.streams;

		target = pace_tell(&l->pace, &l->now);
		l->highest = target > l->highest ? target : l->highest;
		l->now.bytes += (rate < l->all ? rate : l->all) / (NS_PER_S / STEP);
		l->now.waited += l->idle ? 0 : STEP;
		l->now.streams = target;
	}
	return target;
}

static void all_of_them_where_each_is_held_back(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 900 * KB, 100 * MB);
	assert_int_equal(pass(&l, NS_PER_S / 2), 1);
	assert_int_equal(pass(&l, 6 * NS_PER_S), MOST);
	assert_int_equal(pass(&l, 30 * NS_PER_S), MOST);
}

static void no_more_than_pay(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 900 * KB, 3800 * KB);
	assert_int_equal(pass(&l, 9 * NS_PER_S), 4);
	assert_int_equal(l.highest, MOST);
}

static void one_where_the_link_is_slow(void **state)
{
	unsigned tries = 0, before = 1;
	struct link l;

	(void)state;
	begin(&l, 10 * MB, 1200 * KB);
	for (int i = 0; i < 100 * 5; i++) {
		unsigned now = pass(&l, NS_PER_S / 5);
		tries += now > before;
		before = now;
	}
	assert_int_equal(l.highest, 4);
	/* Again after 20 and 40 seconds. */
	assert_in_range(tries, 1, 4);
}

static void one_that_is_fast_is_left_alone(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 12 * MB, 100 * MB);
	pass(&l, 60 * NS_PER_S);
	assert_int_equal(l.highest, 1);
}

static void one_where_bytes_stand_in_line(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 900 * KB, 100 * MB);
	l.now.full = true;
	pass(&l, 60 * NS_PER_S);
	assert_int_equal(l.highest, 1);
}

static void one_that_grows_is_left_alone(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 100 * KB, 100 * MB);
	for (int i = 0; i < 20; i++, l.each = l.each * 8 / 5)
		pass(&l, NS_PER_S / 2);
	assert_int_equal(l.highest, 1);
}

static void one_for_a_reader_that_is_slow_itself(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 100 * KB, 100 * MB);
	l.idle = true;
	pass(&l, 60 * NS_PER_S);
	assert_int_equal(l.highest, 1);
}

static void one_again_when_nothing_holds_it_back_any_more(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 900 * KB, 100 * MB);
	assert_int_equal(pass(&l, 6 * NS_PER_S), MOST);
	l.each = 10 * MB;
	assert_int_equal(pass(&l, 3 * NS_PER_S), 1);
}

static void a_seek_begins_anew_and_a_doubt_waits(void **state)
{
	struct link l;

	(void)state;
	begin(&l, 900 * KB, 100 * MB);
	pass(&l, 6 * NS_PER_S);
	pace_restart(&l.pace);
	l.now.streams = 1;
	assert_int_equal(pass(&l, NS_PER_S / 2), 1);
	assert_int_equal(pass(&l, 6 * NS_PER_S), MOST);
	pace_restart(&l.pace);
	pace_hold(&l.pace, l.now.at);
	l.now.streams = 1;
	assert_int_equal(pass(&l, 19 * NS_PER_S), 1);
	assert_int_equal(pass(&l, 9 * NS_PER_S), MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them_where_each_is_held_back),
		cmocka_unit_test(no_more_than_pay),
		cmocka_unit_test(one_where_the_link_is_slow),
		cmocka_unit_test(one_that_is_fast_is_left_alone),
		cmocka_unit_test(one_where_bytes_stand_in_line),
		cmocka_unit_test(one_that_grows_is_left_alone),
		cmocka_unit_test(one_for_a_reader_that_is_slow_itself),
		cmocka_unit_test(one_again_when_nothing_holds_it_back_any_more),
		cmocka_unit_test(a_seek_begins_anew_and_a_doubt_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
