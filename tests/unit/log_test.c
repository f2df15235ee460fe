/* log_test - what reaches the log, and what may not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static char captured[16384];
static int saved_stderr;
static FILE *sink;

static int capture(void **state)
{
	(void)state;
	sink = tmpfile();
	saved_stderr = dup(STDERR_FILENO);
	return !sink || dup2(fileno(sink), STDERR_FILENO) < 0;
}

static int restore(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	fclose(sink);
	log_set_level(LOG_LEVEL_WARN);
	return 0;
}

static const char *take_log(void)
{
	ssize_t n = pread(fileno(sink), captured, sizeof(captured) - 1, 0);

	assert_true(n >= 0);
	captured[n] = '\0';
	assert_int_equal(ftruncate(fileno(sink), 0), 0);
	assert_int_equal(lseek(fileno(sink), 0, SEEK_SET), 0);
	return captured;
}

static void test_levels(void **state)
{
	(void)state;
	assert_true(log_on(LOG_LEVEL_WARN));
	assert_false(log_on(LOG_LEVEL_INFO));
	errno = ENOTEMPTY;
	log_warn("%s %d", "one", 1);
	log_info("two");
	assert_int_equal(errno, ENOTEMPTY);
	assert_string_equal(take_log(), "ftpfs: one 1\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("three");
	log_error("four");
	assert_string_equal(take_log(), "ftpfs: four\n");
}

static void test_control_characters_are_shown(void **state)
{
	(void)state;
	log_warn("%s", "a\r\nftpfs: forged\x1b[2J\x7f");
	assert_string_equal(take_log(), "ftpfs: a\\x0d\\x0aftpfs: forged\\x1b[2J\\x7f\n");
	/* well-formed UTF-8 stays; C1 controls, stray and cut sequences do not */
	log_warn("%s", "\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80 \xc2\x9b \xff \x9b \xe2\x82");
	assert_string_equal(take_log(), "ftpfs: \xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80 "
					"\\xc2\\x9b \\xff \\x9b \\xe2\\x82\n");
}

static void test_long_messages_are_cut(void **state)
{
	char longest[8000];
	size_t n;

	(void)state;
	memset(longest, '\x01', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	log_warn("%s", longest);
	n = strlen(take_log());
	assert_true(n > 4095 && n < sizeof(captured) - 1);
	assert_string_equal(captured + n - 4, "...\n");
	memset(longest, 'x', sizeof(longest) - 1);
	log_warn("%s", longest);
	n = strlen(take_log());
	assert_string_equal(captured + n - 5, "x...\n");
}

static void test_secrets_are_masked(void **state)
{
	static const char *const secret[] = {"PASS hunter2\r\n", "pass hunter2", "Acct hunter2",
					     " PASS\thunter2"};

	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		log_command(3, '>', secret[i]);
		assert_null(strstr(take_log(), "hunter2"));
		assert_non_null(strstr(captured, "[3] > "));
	}
	log_command(3, '>', "PASV\r\n");
	assert_string_equal(take_log(), "ftpfs: [3] > PASV\n");
	log_command(3, '<', "230 in\r\n");
	assert_string_equal(take_log(), "ftpfs: [3] < 230 in\n");
	log_command(3, '>', "CWD a\nDELE b");
	assert_string_equal(take_log(), "ftpfs: [3] > CWD a\\x0aDELE b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_levels, capture, restore),
		cmocka_unit_test_setup_teardown(test_control_characters_are_shown, capture,
						restore),
		cmocka_unit_test_setup_teardown(test_long_messages_are_cut, capture, restore),
		cmocka_unit_test_setup_teardown(test_secrets_are_masked, capture, restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
