/* extents_test - ranges against an array of booleans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/spool.h"

enum { SPAN = 200, STEPS = 50000 };

static uint32_t state = 12345;

static int64_t roll(int64_t below)
{
	state = state * 1664525 + 1013904223;
	return (int64_t)(state >> 8) % below;
}

static void check_shape(const struct extents *x)
{
	for (size_t i = 0; i < x->n; i++) {
		assert_true(x->v[i].from < x->v[i].to);
		if (i)
			assert_true(x->v[i - 1].to < x->v[i].from);
	}
}

static void check_content(const struct extents *x, const bool *model)
{
	int64_t bytes = 0;
	size_t i = 0;

	for (int64_t at = 0; at < SPAN; at++) {
		while (i < x->n && x->v[i].to <= at)
			i++;
		assert_int_equal(i < x->n && x->v[i].from <= at, model[at]);
		bytes += model[at];
	}
	assert_int_equal(extents_bytes(x), bytes);
}

static void check_gap(const struct extents *x, const bool *model)
{
	int64_t from = roll(SPAN), to = roll(SPAN), first, end;
	struct extent gap;
	bool found = extents_gap(x, from, to, &gap);

	for (first = from; first < to && model[first]; first++)
		;
	for (end = first; end < to && !model[end]; end++)
		;
	assert_int_equal(found, first < to);
	assert_int_equal(extents_cover(x, from, to), !found);
	if (found) {
		assert_int_equal(gap.from, first);
		assert_int_equal(gap.to, end);
	}
}

static void test_random(void **unused)
{
	struct extents x = {0};
	bool model[SPAN] = {false};

	(void)unused;
	for (int step = 0; step < STEPS; step++) {
		int64_t from = roll(SPAN), to = from + roll(step % 3 ? 8 : SPAN);
		bool add = roll(2);

		if (to > SPAN)
			to = SPAN;
		assert_int_equal(add ? extents_add(&x, from, to) : extents_cut(&x, from, to), 0);
		for (int64_t at = from; at < to; at++)
			model[at] = add;
		check_shape(&x);
		check_content(&x, model);
		check_gap(&x, model);
	}
	extents_free(&x);
	assert_int_equal(x.n, 0);
}

static void test_touching_ranges_are_one(void **unused)
{
	struct extents x = {0};

	(void)unused;
	assert_int_equal(extents_add(&x, 0, 10), 0);
	assert_int_equal(extents_add(&x, 20, 30), 0);
	assert_int_equal(x.n, 2);
	assert_int_equal(extents_add(&x, 10, 20), 0);
	assert_int_equal(x.n, 1);
	assert_int_equal(x.v[0].to, 30);
	extents_free(&x);
}

static void test_empty_ranges_change_nothing(void **unused)
{
	struct extents x = {0};
	struct extent gap;

	(void)unused;
	assert_int_equal(extents_add(&x, 5, 5), 0);
	assert_int_equal(extents_cut(&x, 5, 5), 0);
	assert_int_equal(x.n, 0);
	assert_false(extents_gap(&x, 7, 7, &gap));
	assert_true(extents_cover(&x, 9, 3));
	extents_free(&x);
}

static void test_cut_to_the_end_of_time(void **unused)
{
	struct extents x = {0};

	(void)unused;
	assert_int_equal(extents_add(&x, 0, INT64_MAX), 0);
	assert_int_equal(extents_cut(&x, 100, INT64_MAX), 0);
	assert_int_equal(extents_bytes(&x), 100);
	extents_free(&x);
}

static void test_bounded(void **unused)
{
	struct extents x = {0};

	(void)unused;
	for (int64_t i = 0; i < EXTENTS_MAX; i++)
		assert_int_equal(extents_add(&x, 4 * i, 4 * i + 2), 0);
	assert_int_equal(x.n, EXTENTS_MAX);
	assert_int_equal(extents_add(&x, 4 * (int64_t)EXTENTS_MAX, 4 * (int64_t)EXTENTS_MAX + 1),
			 -EFBIG);
	assert_int_equal(extents_reserve(&x), -EFBIG);
	/* A hole needs one more, too. */
	assert_int_equal(extents_add(&x, 2, 3), 0);
	assert_int_equal(extents_cut(&x, 1, 2), -EFBIG);
	assert_true(extents_cover(&x, 0, 3));
	/* What joins ranges makes room. */
	assert_int_equal(extents_add(&x, 0, 100), 0);
	assert_int_equal(extents_add(&x, 4 * (int64_t)EXTENTS_MAX, 4 * (int64_t)EXTENTS_MAX + 1),
			 0);
	extents_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_touching_ranges_are_one),
		cmocka_unit_test(test_empty_ranges_change_nothing),
		cmocka_unit_test(test_cut_to_the_end_of_time),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
