/* hash_test - the published values, in one piece and in many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

static const char *const OF_DIGITS[HASH_KINDS] = {
	[HASH_CRC32] = "crc32:cbf43926",
	[HASH_MD5] = "md5:25f9e794323b453885f5181f1b624d0b",
	[HASH_SHA1] = "sha1:f7c3bc1d808e04732adf679965ccc34ca7ae3441",
	[HASH_SHA256] = "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	[HASH_SHA512] = "sha512:d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
			"d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
};

static void check(enum hash_kind kind, size_t piece)
{
	static const char digits[] = "123456789";
	char text[DIGEST_TEXT_SIZE];
	struct digest d;
	struct hash *h;

	assert_int_equal(hash_begin(kind, &h), 0);
	for (size_t at = 0; at < 9; at += piece)
		hash_add(h, digits + at, 9 - at < piece ? 9 - at : piece);
	hash_end(h, &d);
	digest_print(&d, text);
	assert_string_equal(text, OF_DIGITS[kind]);
}

static void test_known_values(void **state)
{
	(void)state;
	for (int kind = HASH_NONE + 1; kind < HASH_KINDS; kind++) {
		check((enum hash_kind)kind, 9);
		check((enum hash_kind)kind, 4);
	}
}

static void test_nothing_at_all(void **state)
{
	struct digest d;
	struct hash *h;

	(void)state;
	assert_int_equal(hash_begin(HASH_CRC32, &h), 0);
	hash_end(h, &d);
	assert_memory_equal(d.bytes, "\0\0\0\0", 4);
	assert_int_equal(hash_begin(HASH_NONE, &h), -EOPNOTSUPP);
	hash_drop(NULL);
}

static void test_values(void **state)
{
	struct digest a, b = {.kind = HASH_CRC32};

	(void)state;
	assert_int_equal(digest_parse(&a, HASH_CRC32, "CBf43926", 8), 0);
	assert_memory_equal(a.bytes, "\xcb\xf4\x39\x26", 4);
	assert_false(digest_same(&a, &b));
	assert_int_equal(digest_parse(&b, HASH_CRC32, "cbf43926", 8), 0);
	assert_true(digest_same(&a, &b));
	assert_int_equal(digest_parse(&b, HASH_CRC32, "cbf4392", 7), -EPROTO);
	assert_int_equal(digest_parse(&b, HASH_CRC32, "cbf4392g", 8), -EPROTO);
	assert_int_equal(digest_parse(&b, HASH_MD5, "cbf43926", 8), -EPROTO);
	assert_int_equal(digest_parse(&b, HASH_NONE, "", 0), -EPROTO);
	assert_true(digest_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_nothing_at_all),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
