/* url_test - the URL of a mount. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parse/url.h"

struct url_case {
	const char *text;
	const char *user, *password, *host, *dir;
	int port;
	bool tls, ipv6;
};

static const struct url_case good[] = {
	{"host", NULL, NULL, "host", "", 0, false, false},
	{"ftp://host", NULL, NULL, "host", "", 0, false, false},
	{"FTPS://host/", NULL, NULL, "host", "", 0, true, false},
	{"ftp://host:2121/a/b/", NULL, NULL, "host", "a/b", 2121, false, false},
	{"ftp://host:/a", NULL, NULL, "host", "a", 0, false, false},
	{"host//a/./b/..", NULL, NULL, "host", "/a", 0, false, false},
	{"ftp://host/%2Fsrv/x%20y", NULL, NULL, "host", "/srv/x y", 0, false, false},
	{"ftp://host//", NULL, NULL, "host", "/", 0, false, false},
	{"ftp://host/../..", NULL, NULL, "host", "", 0, false, false},
	{"ftp://host/a?b#c;d", NULL, NULL, "host", "a?b#c;d", 0, false, false},
	{"ftp://host/a://b@c:d", NULL, NULL, "host", "a:/b@c:d", 0, false, false},
	{"joe@host", "joe", NULL, "host", "", 0, false, false},
	{"joe:@host", "joe", "", "host", "", 0, false, false},
	{"joe:a:b@c@host:21", "joe", "a:b@c", "host", "", 21, false, false},
	{"ftp://j%40e:%2F%3a%25@host", "j@e", "/:%", "host", "", 0, false, false},
	{"[::1]", NULL, NULL, "::1", "", 0, false, true},
	{"ftp://u@[2001:db8::1]:65535/x", "u", NULL, "2001:db8::1", "x", 65535, false, true},
	{"[fe80::1%25eth0]:21", NULL, NULL, "fe80::1%eth0", "", 21, false, true},
};

static const char *const bad[] = {
	"",
	"/",
	"ftp://",
	"ftp:///a",
	"http://host",
	"sftp://host/",
	"@host",
	":pw@host",
	"host:0",
	"host:65536",
	"host:99999999999999999999999",
	"host:21x",
	"host:-1",
	"::1",
	"[::1",
	"[]",
	"[::g]",
	"[::1]x",
	"[fe80::1%25]",
	"[fe80::1%25a/b]",
	"ho st",
	"ho%0Ast",
	"ho%2Fst",
	"ftp://u%0D@host",
	"ftp://u:p%zz@host",
	"ftp://host/a%00b",
	"ftp://host/a\r\nDELE x",
};

static void check_text(const char *got, const char *want)
{
	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct url_case *c = &good[i];
		const char *why;
		struct url u;

		if (url_parse(c->text, &u, &why))
			fail_msg("%s: %s", c->text, why);
		check_text(u.user, c->user);
		check_text(u.password, c->password);
		check_text(u.host, c->host);
		check_text(u.dir, c->dir);
		assert_int_equal(u.port, c->port);
		assert_int_equal(u.implicit_tls, c->tls);
		assert_int_equal(u.ipv6_literal, c->ipv6);
		url_free(&u);
		assert_null(u.password);
	}
}

static void test_bad(void **state)
{
	char longest[10000];
	const char *why;
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (url_parse(bad[i], &u, &why) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(why);
		assert_null(u.host);
	}
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(url_parse(longest, &u, &why), -EINVAL);
	memcpy(longest, "host/", 5);
	longest[6000] = '\0';
	assert_int_equal(url_parse(longest, &u, &why), -EINVAL);
	assert_string_equal(why, "the directory is too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
