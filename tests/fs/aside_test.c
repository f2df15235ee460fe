/* aside_test - a server that does not rename over what is there: the process ends before each step
 * of a rename(2), a reply is lost, a command comes late; no name is ever without its file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "crash_world.h"
#include "fs/journal.h"
#include "kill.h"

enum { STEPS = 20 };

#define ASIDE	 "/.ftpfs-old-0000000000000007"
#define STRANGER "/.ftpfs-old-0123456789abcdef"

static struct crash c;

static void begin(void)
{
	const struct mem_traits traits = {.no_rename_over = true};

	crash_begin(&c, &(struct crash_conf){.traits = traits}, 1);
	kill_after(KILL_NEVER, 1);
}

static int setup(void **state)
{
	(void)state;
	begin();
	return crash_mount(&c);
}

static int teardown(void **state)
{
	(void)state;
	crash_unmount(&c);
	crash_end(&c);
	return 0;
}

/* Behind our back, and long ago. */
static void serve(const char *path, const char *text)
{
	if (mem_put(c.server, path, text, strlen(text)) != 0)
		crash_fail(&c, "%s cannot be served", path);
	clock_advance(60 * NS_PER_S);
}

static void kill_and_mount(void)
{
	if (!kill_happened()) {
		kill_after(1, 1);
		crash_unmount(&c);
	}
	crash_unmount(&c);
	kill_after(KILL_NEVER, 1);
	clock_advance(60 * NS_PER_S);
	if (crash_mount(&c) != 0)
		crash_fail(&c, "cannot be mounted again");
}

static int rename_it(void)
{
	return fs_rename(c.fs, fs_root(c.fs), "from", fs_root(c.fs), "to", 0, &c.ctx);
}

static bool stored(const char *path, const char *text)
{
	return mem_is(c.server, path, text, strlen(text));
}

static bool there(const char *path)
{
	struct entry e;
	int rc = mem_stat(c.server, path, &e);

	if (rc == 0)
		entry_clear(&e);
	return rc == 0;
}

static bool shows(const char *name)
{
	struct fs_found f;

	if (fs_lookup(c.fs, fs_root(c.fs), name, &f, &c.ctx) != 0)
		crash_fail(&c, "%s cannot be looked up", name);
	if (f.node)
		fs_forget(c.fs, f.node, 1);
	return f.node;
}

static void demand(bool holds, const char *what)
{
	if (!holds)
		crash_fail(&c, "%s", what);
}

static unsigned count_shown(void)
{
	struct dirhandle *h;
	struct fs_dirent e;
	unsigned n = 0;

	demand(fs_opendir(c.fs, fs_root(c.fs), &h, &c.ctx) == 0, "the root cannot be listed");
	while (fs_dirent(h, n, &e))
		n++;
	fs_releasedir(h);
	return n - 2;
}

/* ---- killed ---- */

static void check_file(bool succeeded)
{
	bool renamed = !there("/from");

	demand(stored("/to", renamed ? "new" : "old"), "neither the old file nor the new one");
	demand(renamed || stored("/from", "new"), "the new file is lost");
	demand(renamed || !succeeded, "it was renamed, and is not");
	demand(mem_count(c.server) == (renamed ? 2 : 3), "something is left on the server");
	demand(shows("from") == !renamed && shows("to"), "the mount shows another state");
	demand(count_shown() == mem_count(c.server), "the mount shows other names");
	demand(stored(STRANGER, "theirs"), "somebody else's file is gone");
}

static void check_dir(bool succeeded)
{
	bool renamed = !there("/from");

	demand(there("/to"), "the directory is gone");
	demand(stored(renamed ? "/to/file" : "/from/file", "new"), "the file in it is gone");
	demand(renamed || !succeeded, "it was renamed, and is not");
	demand(mem_count(c.server) == (renamed ? 2 : 3), "something is left on the server");
	demand(shows("from") == !renamed && shows("to"), "the mount shows another state");
}

static void serve_files(void)
{
	serve("/from", "new");
	serve("/to", "old");
	serve(STRANGER, "theirs");
}

static void serve_dirs(void)
{
	mem_make_dir(c.server, "/from");
	mem_make_dir(c.server, "/to");
	serve("/from/file", "new");
}

/* Was there such a step? */
static bool round_of(void (*serve_all)(void), void (*check)(bool), unsigned step)
{
	bool reached;
	int rc;

	begin();
	snprintf(c.title, sizeof c.title, "killed before step %u", step);
	serve_all();
	demand(crash_mount(&c) == 0, "cannot be mounted");
	kill_after(step, step);
	rc = rename_it();
	reached = kill_happened();
	demand(reached || rc == 0, "was not renamed, and nobody was killed");
	kill_and_mount();
	check(rc == 0);
	demand(journal_count(c.journal) == 0, "the journal still owes");
	crash_unmount(&c);
	crash_end(&c);
	return reached;
}

/* Side by side: most of the time is waited for what may come late. */
static void killed_everywhere(void (*serve_all)(void), void (*check)(bool))
{
	int status, failed = 0, last = 0;

	fflush(NULL);
	for (unsigned step = 1; step <= STEPS; step++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(round_of(serve_all, check, step) ? 0 : 2);
	}
	for (unsigned step = 1; step <= STEPS; step++) {
		assert_true(wait(&status) > 0);
		failed += !WIFEXITED(status) || WEXITSTATUS(status) == 1;
		last += WIFEXITED(status) && WEXITSTATUS(status) == 2;
	}
	assert_int_equal(failed, 0);
	assert_in_range(last, 1, STEPS - 8); /* all of it, and not just a step or two */
}

static void test_killed_before_every_step(void **state)
{
	(void)state;
	killed_everywhere(serve_files, check_file);
}

static void test_killed_before_every_step_of_a_directory(void **state)
{
	(void)state;
	killed_everywhere(serve_dirs, check_dir);
}

/* ---- a reply is lost ---- */

static int lose(unsigned nth)
{
	serve_files();
	fault_nth(c.plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, nth, 1);
	return rename_it();
}

static void test_the_old_file_comes_back_when_nobody_says_that_it_left(void **state)
{
	(void)state;
	assert_int_equal(lose(2), -ECONNRESET);
	check_file(false);
	assert_int_equal(journal_count(c.journal), 0);
}

static void test_a_rename_that_nobody_confirmed_is_seen(void **state)
{
	(void)state;
	assert_int_equal(lose(3), 0);
	check_file(true);
	assert_int_equal(journal_count(c.journal), 0);
}

static void test_after_a_refusal_nobody_needs_to_look(void **state)
{
	(void)state;
	uint64_t looks;

	serve_files();
	assert_true(shows("from") && shows("to"));
	looks = fault_calls(c.plan, FAULT_STAT);
	fault_nth(c.plan, FAULT_RENAME, FAULT_BEFORE, -EACCES, 2, 1);
	assert_int_equal(rename_it(), -EACCES);
	assert_int_equal(fault_calls(c.plan, FAULT_STAT), looks);
	check_file(false);
	assert_int_equal(journal_count(c.journal), 0);
}

static void test_it_is_said_why_the_empty_directory_stays(void **state)
{
	(void)state;
	serve_dirs();
	fault_nth(c.plan, FAULT_RMDIR, FAULT_BEFORE, -EIO, 1, 1);
	assert_int_equal(rename_it(), -EIO);
	check_dir(false);
	assert_int_equal(journal_count(c.journal), 0);
}

static void remove_target(void *unused)
{
	(void)unused;
	assert_int_equal(mem_remove(c.server, "/to"), 0);
}

static void test_an_empty_directory_that_somebody_else_removes(void **state)
{
	(void)state;
	serve_dirs();
	assert_true(shows("to"));
	fault_meanwhile(c.plan, FAULT_RMDIR, remove_target, NULL);
	assert_int_equal(rename_it(), 0);
	check_dir(true);
	assert_int_equal(journal_count(c.journal), 0);
}

/* The link is away for long; the next mount finds it mended. */
static void test_what_cannot_be_settled_now_is_settled_later(void **state)
{
	(void)state;
	serve_files();
	assert_true(shows("from") && shows("to"));
	fault_nth(c.plan, FAULT_RENAME, FAULT_BEFORE, -ECONNRESET, 3, 1);
	fault_nth(c.plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, 1, FAULT_ALWAYS);
	assert_int_equal(rename_it(), -ECONNRESET);
	assert_false(there("/to"));
	fault_clear(c.plan);
	kill_and_mount();
	check_file(false);
	assert_int_equal(journal_count(c.journal), 0);
}

static void test_the_old_file_that_could_not_be_removed_goes_later(void **state)
{
	(void)state;
	serve_files();
	fault_nth(c.plan, FAULT_REMOVE, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(rename_it(), 0);
	assert_int_equal(mem_count(c.server), 3);
	serve("/from", "another"); /* whoever saves so uses that name again */
	kill_and_mount();
	assert_true(stored("/to", "new") && stored("/from", "another"));
	assert_int_equal(mem_count(c.server), 3);
	assert_int_equal(journal_count(c.journal), 0);
}

/* ---- what others did meanwhile ---- */

static void owe_rename(void)
{
	struct promise p = {.id = 7, .path = "/to", .from = "/from", .mode = REMOTE_KEEP_MODE};

	assert_int_equal(journal_promise(c.journal, &p, true), 0);
}

static void move_aside(void)
{
	serve(ASIDE, "old");
	assert_int_equal(mem_remove(c.server, "/to"), 0);
}

/* The first rename that the killed process sent is carried out when the next mount has looked. */
static void arrive_later(void *looks)
{
	if (++*(int *)looks == 4)
		move_aside();
	else
		fault_meanwhile(c.plan, FAULT_STAT, arrive_later, looks);
}

static void test_a_step_that_comes_late(void **state)
{
	(void)state;
	int looks = 0;

	serve_files();
	owe_rename();
	fault_meanwhile(c.plan, FAULT_STAT, arrive_later, &looks);
	kill_and_mount();
	assert_int_equal(looks, 4);
	check_file(false);
	assert_int_equal(journal_count(c.journal), 0);
}

static void test_nothing_is_removed_that_somebody_may_miss(void **state)
{
	(void)state;
	serve_files();
	owe_rename();
	move_aside();
	serve("/to", "somebody else's");
	kill_and_mount();
	assert_true(stored(ASIDE, "old") && stored("/to", "somebody else's") &&
		    stored("/from", "new"));
	assert_int_equal(journal_count(c.journal), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_before_every_step),
		cmocka_unit_test(test_killed_before_every_step_of_a_directory),
		TEST(test_the_old_file_comes_back_when_nobody_says_that_it_left),
		TEST(test_a_rename_that_nobody_confirmed_is_seen),
		TEST(test_after_a_refusal_nobody_needs_to_look),
		TEST(test_it_is_said_why_the_empty_directory_stays),
		TEST(test_an_empty_directory_that_somebody_else_removes),
		TEST(test_what_cannot_be_settled_now_is_settled_later),
		TEST(test_the_old_file_that_could_not_be_removed_goes_later),
		TEST(test_a_step_that_comes_late),
		TEST(test_nothing_is_removed_that_somebody_may_miss),
	};

	kill_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
