/* caps_test - FEAT, greetings, and what reply codes teach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "parse/caps.h"
#include "parse/reply.h"

static struct caps from_feat(const char *bytes)
{
	struct caps c = {0};
	struct reply r;

	reply_init(&r);
	assert_int_equal(reply_parse(&r, bytes, strlen(bytes)), strlen(bytes));
	caps_from_feat(&c, &r);
	reply_free(&r);
	return c;
}

static unsigned quirks_of(const char *greeting)
{
	struct caps c = {0};

	caps_from_greeting(&c, greeting);
	return c.quirks;
}

static void test_feat_proftpd(void **state)
{
	struct caps c = from_feat(
		"211-Features:\r\n AUTH TLS\r\n AVBL\r\n EPSV\r\n MDTM\r\n"
		" MFF modify;UNIX.group;UNIX.mode;\r\n MFMT\r\n"
		" MLST modify*;perm*;size*;type*;unique*;UNIX.group*;UNIX.mode*;UNIX.owner*;\r\n"
		" RANG STREAM\r\n REST STREAM\r\n SITE SYMLINK\r\n SITE UTIME\r\n SITE COPY\r\n"
		" SIZE\r\n UTF8\r\n211 End\r\n");
	static const enum cap yes[] = {CAP_AVBL,       CAP_EPSV,      CAP_MDTM, CAP_MFMT,
				       CAP_MLST,       CAP_RANG,      CAP_REST, CAP_SITE_SYMLINK,
				       CAP_SITE_UTIME, CAP_SITE_COPY, CAP_SIZE, CAP_UTF8};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_int_equal(c.known[yes[i]], YES);
	assert_true(c.mlst_mode);
	assert_int_equal(c.known[CAP_APPE], UNTRIED);
	assert_int_equal(c.known[CAP_SITE_CHMOD], UNTRIED);
	assert_int_equal(c.known[CAP_MFMT_DIR], UNTRIED);
}

static void test_feat_shapes(void **state)
{
	struct caps c = from_feat("211-Extensions\r\n211-  mdtm\r\n211-\tREST   STREAM \r\n"
				  "211-SITE MKDIR;RMDIR;UTIME;SYMLINK;\r\n211-MLST size*;type*;\r\n"
				  "211-SIZES\r\n211-RANG\r\n211 END\r\n");
	struct caps one_line = from_feat("211 no features, SIZE does not count\r\n");
	struct caps refused = from_feat("500-SIZE\r\n SIZE\r\n500 what?\r\n");

	(void)state;
	assert_int_equal(c.known[CAP_MDTM], YES);
	assert_int_equal(c.known[CAP_REST], YES);
	assert_int_equal(c.known[CAP_SITE_UTIME], YES);
	assert_int_equal(c.known[CAP_SITE_SYMLINK], YES);
	assert_int_equal(c.known[CAP_SITE_COPY], UNTRIED);
	assert_int_equal(c.known[CAP_MLST], YES);
	assert_false(c.mlst_mode);
	assert_int_equal(c.known[CAP_SIZE], UNTRIED);
	assert_int_equal(c.known[CAP_RANG], UNTRIED);
	assert_int_equal(one_line.known[CAP_SIZE], UNTRIED);
	assert_int_equal(refused.known[CAP_SIZE], UNTRIED);
}

static void test_greetings(void **state)
{
	(void)state;
	assert_int_equal(quirks_of("(vsFTPd 3.0.3)"),
			 QUIRK_WAITS_ITS_TURN | QUIRK_EARLY_HELLO | QUIRK_AWAITS_GOODBYE);
	assert_int_equal(quirks_of("pyftpdlib 1.5.7 ready."), 0);
	assert_int_equal(quirks_of("---------- Welcome to Pure-FTPd [privsep] [TLS] ----------"),
			 QUIRK_EARLY_HELLO);
	assert_int_equal(quirks_of("Operation successful"), 0);
	assert_int_equal(quirks_of("Twisted 22.4.0 FTP Server"),
			 QUIRK_ONE_AT_A_TIME | QUIRK_LATIN1_ONLY);
	assert_int_equal(quirks_of("welcome"), QUIRK_ONE_AT_A_TIME);
	assert_int_equal(quirks_of("welcome\n"), QUIRK_ONE_AT_A_TIME);
	assert_int_equal(quirks_of("welcome to example.org"), 0);
	assert_int_equal(quirks_of("hello\nwelcome"), 0);
	assert_int_equal(quirks_of("ProFTPD Server (name) [::1]"),
			 QUIRK_MLST_FOLLOWS | QUIRK_EARLY_HELLO);
	assert_int_equal(quirks_of("host FTP server (GNU inetutils 2.4) ready."),
			 QUIRK_SHORT_LINES);
	assert_int_equal(quirks_of("host FTP server (Version 6.4/OpenBSD/Linux-ftpd-0.17) ready."),
			 QUIRK_SHORT_LINES);
	assert_int_equal(quirks_of("Features: a ."), QUIRK_BACKSLASH);
}

static void test_learning(void **state)
{
	struct caps c = {0};

	(void)state;
	assert_true(caps_may(&c, CAP_SIZE));
	assert_false(caps_learn(&c, CAP_SIZE, 550));
	assert_false(caps_learn(&c, CAP_SIZE, 421));
	assert_int_equal(c.known[CAP_SIZE], UNTRIED);
	assert_true(caps_learn(&c, CAP_SIZE, 213));
	assert_false(caps_learn(&c, CAP_SIZE, 213));
	assert_int_equal(c.known[CAP_SIZE], YES);
	assert_true(caps_learn(&c, CAP_REST, 350));
	assert_true(caps_learn(&c, CAP_APPE, 502));
	assert_false(caps_may(&c, CAP_APPE));
	assert_true(caps_learn(&c, CAP_AVBL, 500));
	assert_true(caps_learn(&c, CAP_RANG, 504));
	/* 501 may be the fault of the name that went with it */
	assert_false(caps_learn(&c, CAP_SITE_CHMOD, 501));
	assert_false(caps_learn(&c, CAP_MFMT, 501));
	assert_true(caps_learn(&c, CAP_EPSV, 501));
	assert_true(caps_learn(&c, CAP_UTF8, 501));
	assert_false(caps_learn(&c, CAP_SITE_COPY, 150));
}

static void test_every_cap_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < CAP_COUNT; i++)
		assert_non_null(caps_name((enum cap)i));
}

/* "KIND VERB", or "none". */
static void check_way(const struct caps *c, enum hash_kind kind, const char *want)
{
	struct hash_way way;
	char got[64] = "none";

	if (caps_hash_way(c, kind, &way))
		snprintf(got, sizeof(got), "%s %s", hash_name(way.kind), way.verb);
	assert_string_equal(got, want);
}

static void test_hashes(void **state)
{
	struct caps all = from_feat("211-Features:\r\n HASH CRC32;MD5;SHA-1*;SHA-256;SHA-512;\r\n"
				    " MD5\r\n XCRC\r\n XMD5\r\n XSHA\r\n XSHA1\r\n XSHA256\r\n"
				    " XSHA512\r\n211 End\r\n");
	struct caps old = from_feat("211-\r\n XCRC filename;start;end\r\n XMD5\r\n211 .\r\n");
	struct caps strange = from_feat("211-\r\n HASH WHIRLPOOL*;\r\n211 .\r\n");
	struct caps long_ago = from_feat("211-\r\n XCRC\r\n211 .\r\n");
	struct caps none = from_feat("211-\r\n SIZE\r\n211 .\r\n");

	(void)state;
	check_way(&all, HASH_NONE, "sha256 HASH");
	/* The session is set to that one, the others have commands of their own. */
	check_way(&all, HASH_SHA512, "sha512 XSHA512");
	check_way(&all, HASH_SHA1, "sha1 XSHA1");
	assert_true(caps_learn(&all, CAP_HASH, 502));
	check_way(&all, HASH_NONE, "sha256 XSHA256");
	assert_true(caps_learn(&all, CAP_XSHA256, 500));
	check_way(&all, HASH_NONE, "sha512 XSHA512");
	check_way(&all, HASH_SHA256, "none");
	check_way(&old, HASH_NONE, "md5 XMD5");
	check_way(&old, HASH_CRC32, "crc32 XCRC");
	check_way(&strange, HASH_NONE, "none");
	check_way(&long_ago, HASH_NONE, "crc32 XCRC");
	check_way(&none, HASH_NONE, "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_feat_proftpd),
		cmocka_unit_test(test_feat_shapes),
		cmocka_unit_test(test_greetings),
		cmocka_unit_test(test_learning),
		cmocka_unit_test(test_every_cap_has_a_name),
		cmocka_unit_test(test_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
