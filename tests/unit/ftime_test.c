/* ftime_test - stamps, and dates without a year. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "parse/ftime.h"

static int64_t at(int year, int month, int day, int hour, int minute)
{
	return (ftime_days(year, month, day) * 86400 + hour * 3600 + minute * 60) * NS_PER_S;
}

static void check_stamp(const char *text, int used, int64_t want)
{
	int64_t ns = -1;

	assert_int_equal(ftime_stamp(text, strlen(text), &ns), used);
	if (used > 0)
		assert_true(ns == want);
}

static void test_days_agree_with_libc(void **state)
{
	(void)state;
	for (int64_t day = -100000; day < 100000; day += 97) {
		time_t t = (time_t)(day * 86400);
		struct tm tm;

		gmtime_r(&t, &tm);
		assert_true(ftime_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) == day);
	}
}

static void test_stamps(void **state)
{
	int64_t ns;

	(void)state;
	check_stamp("19700101000000", 14, 0);
	check_stamp("20251123053001", 14, at(2025, 11, 23, 5, 30) + NS_PER_S);
	check_stamp("20251123053001.5 x", 16, at(2025, 11, 23, 5, 30) + 3 * NS_PER_S / 2);
	check_stamp("20251123053000.0000000019", 25, at(2025, 11, 23, 5, 30) + 1);
	check_stamp("20251123053000.", 14, at(2025, 11, 23, 5, 30));
	check_stamp("20240229000000;", 14, at(2024, 2, 29, 0, 0));
	check_stamp("20161231235960", 14, at(2017, 1, 1, 0, 0)); /* a leap second */
	check_stamp("191001231235959", 15, at(2000, 12, 31, 23, 59) + 59 * NS_PER_S);
	check_stamp("19101231235959", 14, at(1910, 12, 31, 23, 59) + 59 * NS_PER_S);
	check_stamp("19600101000000.5", 16, at(1960, 1, 1, 0, 0) + NS_PER_S / 2);
	check_stamp("20230229000000", -EPROTO, 0);
	check_stamp("20251301000000", -EPROTO, 0);
	check_stamp("20251123240000", -EPROTO, 0);
	check_stamp("20251123236000", -EPROTO, 0);
	check_stamp("00000000000000", -EPROTO, 0);
	check_stamp("99991231235959", -EPROTO, 0); /* beyond 64 bits of ns */
	check_stamp("2025112305300", -EPROTO, 0);
	check_stamp("202511230530011", -EPROTO, 0);
	check_stamp("", -EPROTO, 0);
	assert_int_equal(ftime_stamp("20251123053001", 13, &ns), -EPROTO);
}

static void test_format(void **state)
{
	char out[15];

	(void)state;
	assert_int_equal(ftime_format(at(2024, 2, 29, 23, 59) + 1, out, sizeof(out)), 0);
	assert_string_equal(out, "20240229235900");
	assert_int_equal(ftime_format(-1, out, sizeof(out)), 0);
	assert_string_equal(out, "19691231235959");
	assert_int_equal(ftime_format(INT64_MAX, out, sizeof(out)), 0);
	assert_string_equal(out, "22620411234716");
	assert_int_equal(ftime_format(INT64_MIN, out, sizeof(out)), 0);
	assert_int_equal(ftime_format(0, out, 14), -ERANGE);
}

static void check_ls(struct ls_date d, int64_t now, int64_t want, int64_t slack_s)
{
	int64_t ns = -1, slack = -1;

	assert_int_equal(ftime_ls(&d, now, &ns, &slack), 0);
	assert_true(ns == want);
	assert_true(slack == slack_s * NS_PER_S);
}

static void test_year_of_ls(void **state)
{
	int64_t now = at(2025, 1, 1, 12, 0);
	struct ls_date d = {.month = 12, .day = 31, .hour = 23, .minute = 59};

	(void)state;
	check_ls(d, now, at(2024, 12, 31, 23, 59), 60);
	d = (struct ls_date){.month = 1, .day = 2, .hour = 12};
	check_ls(d, now, at(2025, 1, 2, 12, 0), 60);
	d.minute = 1; /* more than a day ahead: last year's */
	check_ls(d, now, at(2024, 1, 2, 12, 1), 60);
	/* New Year's Eve: a server further east is in the next year already */
	d = (struct ls_date){.month = 1, .day = 1, .hour = 8};
	check_ls(d, at(2024, 12, 31, 20, 0), at(2025, 1, 1, 8, 0), 60);
	d = (struct ls_date){.month = 2, .day = 29, .hour = 1};
	check_ls(d, now, at(2024, 2, 29, 1, 0), 60);
	check_ls(d, at(1904, 1, 1, 0, 0), at(1896, 2, 29, 1, 0), 60);
	d = (struct ls_date){.year = 2031, .month = 5, .day = 6, .hour = -1, .minute = -1};
	check_ls(d, now, at(2031, 5, 6, 0, 0), 86400);
}

static void test_impossible_dates(void **state)
{
	static const struct ls_date wrong[] = {
		{.month = 13, .day = 1, .hour = 1},
		{.month = 0, .day = 1, .hour = 1},
		{.month = 2, .day = 30, .hour = 1},
		{.month = 1, .day = 0, .hour = 1},
		{.month = 1, .day = 1, .hour = 24},
		{.month = 1, .day = 1, .minute = 60},
		{.month = 2, .day = 29, .year = 2025, .hour = 1},
		{.month = 1, .day = 1, .minute = -1},
	};
	int64_t ns, slack;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ftime_ls(&wrong[i], 0, &ns, &slack), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days_agree_with_libc),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_year_of_ls),
		cmocka_unit_test(test_impossible_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
