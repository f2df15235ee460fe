/* buf_test - the growing buffer, its maximum and its sticky errors. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_grows_and_ends_with_nul(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	assert_string_equal(buf_text(&b), "");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&b, "%03d ", i), 0);
	assert_int_equal(b.len, 4000);
	assert_int_equal(b.data[b.len], '\0');
	assert_memory_equal(b.data + 3996, "999 ", 4);
	buf_drop(&b, 3996);
	assert_string_equal(buf_text(&b), "999 ");
	buf_drop(&b, 1000);
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
}

static void test_maximum_is_exact_and_sticks(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_adds(&b, "12345"), 0);
	assert_int_equal(buf_adds(&b, "6"), -EOVERFLOW);
	assert_string_equal(buf_text(&b), "12345");
	buf_drop(&b, 3);
	assert_int_equal(buf_adds(&b, "6"), -EOVERFLOW);
	assert_int_equal(buf_addf(&b, "%d", 6), -EOVERFLOW);
	assert_null(buf_room(&b, 0));
	assert_int_equal(buf_error(&b), -EOVERFLOW);
	assert_string_equal(buf_text(&b), "45");
	buf_reset(&b);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(buf_addf(&b, "%s", "abcde"), 0);
	assert_string_equal(buf_text(&b), "abcde");
	buf_free(&b);
}

static void test_huge_requests_do_not_wrap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_adds(&b, "x"), 0);
	assert_null(buf_room(&b, SIZE_MAX));
	assert_int_equal(buf_error(&b), -EOVERFLOW);
	buf_free(&b);
	buf_init(&b, 0);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_int_equal(buf_adds(&b, "x"), -EOVERFLOW);
	buf_free(&b);
}

static void test_room(void **state)
{
	struct buf b;
	char *to;

	(void)state;
	buf_init(&b, 300);
	to = buf_room(&b, 300);
	assert_non_null(to);
	memset(to, 'x', 300);
	buf_added(&b, 2);
	assert_string_equal(buf_text(&b), "xx");
	assert_null(buf_room(&b, 299));
	buf_free(&b);
	assert_int_equal(buf_adds(&b, "x"), -EOVERFLOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_ends_with_nul),
		cmocka_unit_test(test_maximum_is_exact_and_sticks),
		cmocka_unit_test(test_huge_requests_do_not_wrap),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
