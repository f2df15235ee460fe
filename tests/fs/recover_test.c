/* recover_test - killed at a moment that matters, mounted again: one case each, of those that
 * crash_test found. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "crash_world.h"
#include "fs/commit.h"
#include "fs/journal.h"
#include "kill.h"

static struct crash c;

static int setup_traits(struct mem_traits traits)
{
	crash_begin(&c, &(struct crash_conf){.back = true, .traits = traits}, 1);
	kill_after(KILL_NEVER, 1);
	return crash_mount(&c);
}

static int setup(void **state)
{
	(void)state;
	return setup_traits((struct mem_traits){0});
}

static int setup_no_rename_over(void **state)
{
	(void)state;
	return setup_traits((struct mem_traits){.no_rename_over = true});
}

static int teardown(void **state)
{
	(void)state;
	crash_unmount(&c);
	crash_end(&c);
	return 0;
}

static void kill_it(void)
{
	kill_after(1, 1);
	crash_unmount(&c);
	kill_after(KILL_NEVER, 1);
	clock_advance(60 * NS_PER_S);
}

/* Behind our back, and long ago. */
static void serve(const char *path, const char *text)
{
	assert_int_equal(mem_put(c.server, path, text, strlen(text)), 0);
	clock_advance(60 * NS_PER_S);
}

static struct node *look(const char *name)
{
	struct fs_found f;

	assert_int_equal(fs_lookup(c.fs, fs_root(c.fs), name, &f, &c.ctx), 0);
	return f.node;
}

static struct handle *write_open(const char *name, int flags, const char *text, int64_t at)
{
	struct fs_found f;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_create_file(c.fs, fs_root(c.fs), name, 0644, O_WRONLY | O_CREAT | flags,
					&f, &h, &keep, &c.ctx),
			 0);
	assert_int_equal(fs_write(h, text, strlen(text), at, &c.ctx), strlen(text));
	return h;
}

static void save(const char *name, int flags, const char *text, int64_t at)
{
	struct handle *h = write_open(name, flags, text, at);

	assert_int_equal(fs_flush(h, &c.ctx), 0);
	fs_release(h);
}

static void rename_to(const char *from, const char *to)
{
	assert_int_equal(fs_rename(c.fs, fs_root(c.fs), from, fs_root(c.fs), to, 0, &c.ctx), 0);
}

static void assert_reads(const char *name, const char *text)
{
	char bytes[256];
	struct handle *h;
	bool keep;

	assert_int_equal(fs_open(c.fs, look(name), O_RDONLY, &h, &keep, &c.ctx), 0);
	assert_int_equal(fs_read(h, bytes, sizeof bytes, 0, &c.ctx), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	fs_release(h);
}

static void assert_stored(const char *path, const char *text)
{
	assert_true(mem_is(c.server, path, text, strlen(text)));
}

static void test_what_is_not_promised_replaces_no_promise(void **state)
{
	(void)state;
	struct handle *h;

	save("file", O_TRUNC, "promised", 0);
	h = write_open("other", O_TRUNC, "not closed", 0);
	rename_to("other", "file");
	(void)h;
	kill_it();
	assert_int_equal(crash_mount(&c), 0);
	assert_reads("file", "not closed");
}

static void test_an_edit_that_had_arrived_is_read(void **state)
{
	(void)state;
	serve("/file", "0123456789");
	save("file", 0, "abcdefghijk", 3);
	kill_it();
	serve("/file", "012abcdefghijk"); /* only the word of it was lost */
	/* Whoever is to store it comes too early, and tries again in a second. */
	fault_nth(c.plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(crash_mount(&c), 0);
	while (fault_injected(c.plan, FAULT_BEFORE) == 0)
		usleep(1000);
	assert_reads("file", "012abcdefghijk");
	assert_int_equal(fs_sync(c.fs, &c.ctx), 0);
	assert_stored("/file", "012abcdefghijk");
}

static void test_an_edit_that_fits_no_more_shows_all_of_the_other_file(void **state)
{
	(void)state;
	serve("/file", "0123");
	save("file", 0, "abc", 1);
	kill_it();
	serve("/file", "somebody else's, and longer");
	assert_int_equal(crash_mount(&c), 0);
	assert_reads("file", "somebody else's, and longer");
	assert_int_equal(fs_sync(c.fs, &c.ctx), 0);
	assert_stored("/file", "somebody else's, and longer");
}

static void find_copy(void *arg, const char *path, const struct entry *e)
{
	(void)e;
	if (strstr(path, ".ftpfs-conflict-"))
		assert_stored(path, arg);
}

/* The file that is replaced is being written itself: what the server has of it is known. */
static void test_no_base_is_not_any_base(void **state)
{
	(void)state;
	serve("/file", "base");
	(void)write_open("file", 0, "not closed", 0);
	save("other", O_TRUNC, "promised", 0);
	rename_to("other", "file");
	kill_it();
	serve("/file", "somebody else's");
	assert_int_equal(crash_mount(&c), 0);
	assert_int_equal(fs_sync(c.fs, &c.ctx), 0);
	assert_stored("/file", "somebody else's");
	mem_walk(c.server, "/", find_copy, "promised");
}

/* Where a file cannot be renamed over another one it would be stored under the link's name. */
static void test_a_link_is_replaced_not_followed(void **state)
{
	(void)state;
	struct fs_found f;
	struct entry e;

	assert_int_equal(fs_symlink(c.fs, "target", fs_root(c.fs), "link", &f, &c.ctx), 0);
	save("file", O_TRUNC, "text", 0);
	rename_to("file", "link");
	assert_int_equal(fs_sync(c.fs, &c.ctx), 0);
	assert_int_equal(mem_stat(c.server, "/link", &e), 0);
	assert_int_equal(e.type, ENTRY_FILE);
	entry_clear(&e);
	assert_stored("/link", "text");
}

static void find_temporary(void *arg, const char *path, const struct entry *e)
{
	(void)arg, (void)e;
	assert_null(strstr(path, ".ftpfs-"));
}

static void test_a_temporary_name_is_not_left_in_another_directory(void **state)
{
	(void)state;
	static char bytes[3 << 19]; /* an upload follows the writer */
	struct fs_found d, f;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_mkdir(c.fs, fs_root(c.fs), "d", 0755, &d, &c.ctx), 0);
	assert_int_equal(
		fs_create_file(c.fs, d.node, "f", 0644, O_WRONLY | O_CREAT, &f, &h, &keep, &c.ctx),
		0);
	assert_int_equal(fs_write(h, bytes, sizeof bytes, 0, &c.ctx), sizeof bytes);
	assert_int_equal(fs_rename(c.fs, d.node, "f", fs_root(c.fs), "f", 0, &c.ctx), 0);
	rename_to("d", "e");
	assert_int_equal(fs_flush(h, &c.ctx), 0);
	fs_release(h);
	assert_int_equal(fs_sync(c.fs, &c.ctx), 0);
	mem_walk(c.server, "/", find_temporary, NULL);
}

#define LITTER "/.ftpfs-0123456789abcdef"

static void arrive(void *arg)
{
	(void)arg;
	assert_int_equal(mem_put(c.server, LITTER, "", 0), 0);
}

static void arrive_later(void *arg)
{
	(void)arg;
	fault_meanwhile(c.plan, FAULT_REMOVE, arrive, NULL);
}

/* The STOR that the killed process sent is carried out when the next mount has looked already. */
static void test_a_temporary_name_that_comes_late_goes(void **state)
{
	(void)state;
	struct promise p = {.id = 7, .path = LITTER, .litter = true};
	struct entry e;

	p.server_size = -1;
	p.server_mtime = p.mtime = REMOTE_KEEP_MTIME;
	p.mode = REMOTE_KEEP_MODE;
	assert_int_equal(journal_promise(c.journal, &p, false), 0);
	kill_it();
	fault_meanwhile(c.plan, FAULT_REMOVE, arrive_later, NULL);
	assert_int_equal(crash_mount(&c), 0);
	assert_int_equal(mem_stat(c.server, LITTER, &e), -ENOENT);
	assert_int_equal(journal_count(c.journal), 0);
}

/* The old content was all there was to lose: nothing of the new one is promised before close(2). */
static void test_nothing_is_sent_over_the_old_content_before_close(void **state)
{
	static char part[128 << 10];
	struct handle *h, *again;

	(void)state;
	serve("/file", "old");
	h = write_open("file", O_TRUNC, "in place", 0);
	assert_int_equal(fs_fsync(h, &c.ctx), 0);
	assert_stored("/file", "in place");
	again = write_open("file", O_TRUNC, "", 0);
	for (int64_t at = 0; at < 2 * COMMIT_STREAM_AFTER; at += (int64_t)sizeof part)
		assert_int_equal(fs_write(again, part, sizeof part, at, &c.ctx), sizeof part);
	(void)h;
	kill_it();
	assert_stored("/file", "in place");
	assert_int_equal(crash_mount(&c), 0);
	assert_reads("file", "in place");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_not_promised_replaces_no_promise),
		TEST(test_an_edit_that_had_arrived_is_read),
		TEST(test_an_edit_that_fits_no_more_shows_all_of_the_other_file),
		TEST(test_no_base_is_not_any_base),
		cmocka_unit_test_setup_teardown(test_a_link_is_replaced_not_followed,
						setup_no_rename_over, teardown),
		cmocka_unit_test_setup_teardown(
			test_nothing_is_sent_over_the_old_content_before_close,
			setup_no_rename_over, teardown),
		TEST(test_a_temporary_name_is_not_left_in_another_directory),
		TEST(test_a_temporary_name_that_comes_late_goes),
	};

	kill_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
