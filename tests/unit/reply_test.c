/* reply_test - replies as servers send them, whole and in pieces. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "parse/ftime.h"
#include "parse/reply.h"

static struct reply parsed(const char *bytes)
{
	struct reply r;

	reply_init(&r);
	assert_int_equal(reply_parse(&r, bytes, strlen(bytes)), strlen(bytes));
	return r;
}

static void check(const char *bytes, int code, const char *text)
{
	struct reply r = parsed(bytes);

	assert_int_equal(r.code, code);
	assert_string_equal(buf_text(&r.text), text);
	/* Whatever piece of it has come, it is incomplete, not wrong, and not yet a reply. */
	for (size_t n = 0; n < strlen(bytes); n++)
		assert_int_equal(reply_parse(&r, bytes, n), 0);
	reply_free(&r);
}

static void test_shapes(void **state)
{
	(void)state;
	check("200 ok\r\n", 200, "ok");
	check("200 ok\n", 200, "ok");
	check("200\r\n", 200, "");
	check("200 \r\n", 200, "");
	check("211-Features:\r\n SIZE\r\n211 End\r\n", 211, "Features:\n SIZE\nEnd");
	check("211-Features:\n211-SIZE\n211\n", 211, "Features:\nSIZE\n");
	check("230-\r\n\r\n230- motd\r\n230 in\r\n", 230, "\n\n motd\nin");
	/* body lines that begin with digits: no code, another code, a longer number */
	check("150-list\r\n2000 files\r\n226 not the end\r\n1500 x\r\n150 end\r\n", 150,
	      "list\n2000 files\n226 not the end\n1500 x\nend");
}

static void test_takes_one_at_a_time(void **state)
{
	const char bytes[] = "350 go\r\n226-a\r\n226 b\r\n22";
	struct reply r;

	(void)state;
	reply_init(&r);
	assert_int_equal(reply_parse(&r, bytes, strlen(bytes)), 8);
	assert_int_equal(r.code, 350);
	assert_int_equal(reply_parse(&r, bytes + 8, strlen(bytes) - 8), 14);
	assert_int_equal(r.code, 226);
	assert_string_equal(buf_text(&r.text), "a\nb");
	assert_int_equal(reply_parse(&r, bytes + 22, 2), 0);
	reply_free(&r);
}

static void test_not_replies(void **state)
{
	static const char *const wrong[] = {
		"SSH-2.0-OpenSSH\r\n", "H",	    "2x",	 "\r\n",
		"2000 x\r\n",	       "099 x\r\n", "600 x\r\n", "220welcome\r\n",
		"\x16\x03\x01"};
	struct reply r;

	(void)state;
	reply_init(&r);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(reply_parse(&r, wrong[i], strlen(wrong[i])), -EPROTO);
	reply_free(&r);
}

static void test_maximum(void **state)
{
	size_t n = REPLY_MAX + 100;
	char *bytes = malloc(n);
	struct reply r;

	(void)state;
	assert_non_null(bytes);
	reply_init(&r);
	memset(bytes, 'x', n);
	memcpy(bytes, "220-", 4);
	assert_int_equal(reply_parse(&r, bytes, REPLY_MAX - 1), 0);
	assert_int_equal(reply_parse(&r, bytes, n), -EPROTO);
	memcpy(bytes + REPLY_MAX - 7, "\n220 x\n", 7);
	assert_int_equal(reply_parse(&r, bytes, n), REPLY_MAX);
	reply_free(&r);
	free(bytes);
}

static void test_first_line(void **state)
{
	struct reply r = parsed("550-first line\r\n550 second\r\n");
	char out[32], small[6];

	(void)state;
	reply_first_line(&r, out, sizeof(out));
	assert_string_equal(out, "first line");
	reply_first_line(&r, small, sizeof(small));
	assert_string_equal(small, "first");
	reply_free(&r);
}

static void check_size(const char *bytes, int64_t want)
{
	struct reply r = parsed(bytes);
	int64_t size = -1;

	assert_int_equal(reply_size(&r, &size), want < 0 ? -EPROTO : 0);
	assert_true(size == want);
	reply_free(&r);
}

static void check_opening(const char *bytes, int64_t want)
{
	struct reply r;
	int64_t size = -1;

	reply_init(&r);
	assert_true(reply_parse(&r, bytes, strlen(bytes)) > 0);
	assert_int_equal(reply_opening(&r, &size), want < 0 ? -EPROTO : 0);
	if (want >= 0)
		assert_int_equal(size, want);
	reply_free(&r);
}

static void opening_sizes(void **state)
{
	(void)state;
	check_opening("150 Opening BINARY mode data connection for x (11111 bytes).\r\n", 11111);
	check_opening("150 Opening BINARY mode data connection for x (0 bytes)\r\n", 0);
	check_opening("150 Opening x (99999999999999999999 bytes).\r\n", -1);
	check_opening("150 Ok to send data.\r\n", -1);
	check_opening("150 Opening (12 bytes) for you\r\n", -1);
	check_opening("150 12 bytes)\r\n", -1);
}

static void test_size(void **state)
{
	(void)state;
	check_size("213 0\r\n", 0);
	check_size("213 5368709120\r\n", INT64_C(5368709120));
	check_size("213 9223372036854775807\r\n", INT64_MAX);
	check_size("213 rubbish 123 \r\n", 123);
	check_size("213 9223372036854775808\r\n", -1);
	check_size("213 -1\r\n", -1);
	check_size("213 \r\n", -1);
	check_size("213 x1\r\n", -1);
	check_size("550 1\r\n", -1);
}

static void test_time(void **state)
{
	struct reply r = parsed("213 20190102030405.250\r\n");
	int64_t ns = 0;

	(void)state;
	assert_int_equal(reply_time(&r, &ns), 0);
	assert_true(ns == (ftime_days(2019, 1, 2) * 86400 + 3 * 3600 + 4 * 60 + 5) * NS_PER_S +
				  250 * NS_PER_MS);
	reply_free(&r);
	r = parsed("213 yesterday\r\n");
	assert_int_equal(reply_time(&r, &ns), -EPROTO);
	reply_free(&r);
}

static void check_port(int (*parse)(const struct reply *, uint16_t *), const char *bytes, int want)
{
	struct reply r = parsed(bytes);
	uint16_t port = 0;

	assert_int_equal(parse(&r, &port), want ? 0 : -EPROTO);
	assert_int_equal(port, want);
	reply_free(&r);
}

static void test_epsv(void **state)
{
	(void)state;
	check_port(reply_epsv, "229 Entering Extended Passive Mode (|||6446|)\r\n", 6446);
	check_port(reply_epsv, "229 Entering... ok (!!!65535!)\r\n", 65535);
	check_port(reply_epsv, "229 no brackets !!!21!\r\n", 21);
	check_port(reply_epsv, "229 (|||0|)\r\n", 0);
	check_port(reply_epsv, "229 (|||65536|)\r\n", 0);
	check_port(reply_epsv, "229 (|||99999999999999999999|)\r\n", 0);
	check_port(reply_epsv, "229 (|||21\r\n", 0);
	check_port(reply_epsv, "229 (||21|)\r\n", 0);
	check_port(reply_epsv, "227 (|||21|)\r\n", 0);
}

static void test_pasv(void **state)
{
	(void)state;
	check_port(reply_pasv, "227 Entering Passive Mode (127,0,0,1,4,1)\r\n", 1025);
	check_port(reply_pasv, "227 (0,0,0,0,255,255)\r\n", 65535);
	check_port(reply_pasv, "227 Data transfer will passively listen to 10,0,0,1,0,21\r\n", 21);
	check_port(reply_pasv, "227 2 of them: =10, 0, 0, 1, 0, 21\r\n", 21);
	check_port(reply_pasv, "227 (127,0,0,1,4)\r\n", 0);
	check_port(reply_pasv, "227 (127,0,0,1,256,1)\r\n", 0);
	check_port(reply_pasv, "227 (127,0,0,1,0,0)\r\n", 0);
	check_port(reply_pasv, "227 ok\r\n", 0);
}

#define MD5_HEX	   "25f9e794323b453885f5181f1b624d0b"
#define SHA256_HEX "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"

/* NULL: there is none. */
static void check_hash(const char *bytes, enum hash_kind kind, const char *want)
{
	struct reply r = parsed(bytes);
	char text[DIGEST_TEXT_SIZE];
	struct digest d;
	int rc = reply_hash(&r, kind, &d);

	assert_int_equal(rc, want ? 0 : -EPROTO);
	if (want) {
		digest_print(&d, text);
		assert_string_equal(strchr(text, ':') + 1, want);
	}
	reply_free(&r);
}

static void test_hash(void **state)
{
	(void)state;
	check_hash("213-Computing SHA-256 digest\r\n213 SHA-256 0-9 " SHA256_HEX " /a b\r\n",
		   HASH_SHA256, SHA256_HEX);
	check_hash("213 sha-256 0-8 " SHA256_HEX " x " MD5_HEX "\r\n", HASH_SHA256, SHA256_HEX);
	/* Of another kind, of a part, of nothing. */
	check_hash("213 MD5 0-9 " MD5_HEX " /f\r\n", HASH_SHA256, NULL);
	check_hash("213 SHA-256 4-9 " SHA256_HEX " /f\r\n", HASH_SHA256, NULL);
	check_hash("213 SHA-256 0-9 " MD5_HEX " /f\r\n", HASH_SHA256, NULL);
	check_hash("213 SHA-256 0-9\r\n", HASH_SHA256, NULL);
	check_hash("213 1024\r\n", HASH_CRC32, NULL);
	check_hash("250-Computing MD5 digest\r\n250 25F9E794323B453885F5181F1B624D0B\r\n", HASH_MD5,
		   MD5_HEX);
	check_hash("250 XCRC CBF43926 \r\n", HASH_CRC32, "cbf43926");
	check_hash("250 done\r\n", HASH_CRC32, NULL);
	check_hash("250 \r\n", HASH_MD5, NULL);
	check_hash("251 /" MD5_HEX " /f 25F9E794323B453885F5181F1B624D0B\r\n", HASH_MD5, MD5_HEX);
	check_hash("200 " MD5_HEX "\r\n", HASH_MD5, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_sizes),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_takes_one_at_a_time),
		cmocka_unit_test(test_not_replies),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_first_line),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_epsv),
		cmocka_unit_test(test_pasv),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
