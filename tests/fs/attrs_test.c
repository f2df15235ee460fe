/* attrs_test - times and modes that are set on a file which the server has not got yet (open, or
 * written and promised): as on a stored one, what the server does not do is refused at once.  With
 * write=through and write=back. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "fs/journal.h"
#include "mount_kit.h"
#include "remote_fault.h"
#include "remote_mem.h"
#include "remove_tree.h"

#define THEN 1000000000

static struct mem_server *server;
static struct fault_plan *plan;
static struct journal *journal;
static struct fs *fs;
static struct opctx ctx;
static char cache[64];
static bool back;

static void mount_it(void)
{
	struct fs_conf conf = {
		.timeout = 50 * NS_PER_MS,
		.write_back = back,
		.uploads = 2,
		.umount_wait = 1,
	};

	fs = kit_mount(&conf, server, plan, cache, &journal);
}

static void unmount(void)
{
	kit_unmount(fs, journal);
}

static void start(bool write_back, struct mem_traits traits)
{
	back = write_back;
	server = mem_server_create(&traits);
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	strcpy(cache, "/tmp/ftpfs-attrs-XXXXXX");
	assert_non_null(mkdtemp(cache));
	mount_it();
}

static void stop(void)
{
	unmount();
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	remove_tree(cache);
}

/* A new file of which the server has nothing. */
struct made {
	struct handle *h;
	struct node *n;
};

static struct made make(const char *name, const char *text)
{
	struct fs_found f;
	struct made m;
	bool keep;

	assert_int_equal(fs_create_file(fs, fs_root(fs), name, 0600, O_WRONLY | O_CREAT, &f, &m.h,
					&keep, &ctx),
			 0);
	m.n = f.node;
	if (*text)
		assert_int_equal(fs_write(m.h, text, strlen(text), 0, &ctx), strlen(text));
	return m;
}

static void finish(struct made *m)
{
	assert_int_equal(fs_flush(m->h, &ctx), 0);
	fs_release(m->h);
	m->h = NULL;
}

static int set(struct node *n, unsigned what)
{
	struct stat want = {.st_mode = 0640, .st_mtim.tv_sec = THEN};
	struct fs_attr attr;

	return fs_setattr(fs, n, NULL, what, &want, &attr, &ctx);
}

static struct stat shown(struct node *n)
{
	struct fs_attr attr;

	assert_int_equal(fs_getattr(fs, n, &attr, &ctx), 0);
	return attr.st;
}

static struct entry stored(const char *path)
{
	struct entry e;

	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(mem_stat(server, path, &e), 0);
	entry_clear(&e);
	return e;
}

static bool on_server(const char *path)
{
	struct entry e;
	bool there = mem_stat(server, path, &e) == 0;

	if (there)
		entry_clear(&e);
	return there;
}

static void server_is_gone(void)
{
	for (int op = 0; op < FAULT_OPS; op++)
		fault_rate(plan, (enum fault_op)op, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
}

static uint64_t uploads(void)
{
	return fault_calls(plan, FAULT_OPEN_WRITE);
}

/* ---- */

static void test_what_it_does_waits_for_the_upload(void **state)
{
	(void)state;
	for (int write_back = 0; write_back < 2; write_back++) {
		start(write_back, (struct mem_traits){0});
		struct made m = make("f", "text");
		assert_int_equal(set(m.n, FS_SET_MTIME | FS_SET_MODE), 0);
		assert_false(on_server("/f"));
		finish(&m);
		struct entry e = stored("/f");
		assert_int_equal(e.mtime, THEN * NS_PER_S);
		assert_int_equal(e.mode, 0640);
		assert_int_equal(uploads(), 1);
		assert_int_equal(fault_calls(plan, FAULT_SET_MTIME), 0);
		stop();
	}
}

static void test_what_it_does_not_do_is_refused_at_once(void **state)
{
	(void)state;
	for (int write_back = 0; write_back < 2; write_back++) {
		start(write_back, (struct mem_traits){.no_set_mtime = true, .no_modes = true});
		struct made m = make("f", "text");
		int64_t before = shown(m.n).st_mtim.tv_sec;
		assert_int_equal(set(m.n, FS_SET_MTIME), -EOPNOTSUPP);
		assert_int_equal(set(m.n, FS_SET_MODE), -EOPNOTSUPP);
		assert_int_equal(shown(m.n).st_mtim.tv_sec, before);
		assert_int_equal(shown(m.n).st_mode & 07777, 0644);
		assert_false(on_server("/f"));
		finish(&m);
		/* Closed, and with write=back not stored yet. */
		assert_int_equal(set(m.n, FS_SET_MTIME), -EOPNOTSUPP);
		assert_int_equal(set(m.n, FS_SET_MODE), -EOPNOTSUPP);
		assert_true(stored("/f").mtime > THEN * NS_PER_S);
		assert_int_equal(uploads(), 1);
		stop();
	}
}

/* touch(1) of what was just made; and who waits long before the bytes go. */
static void test_now_is_no_time_to_refuse(void **state)
{
	(void)state;
	for (int untold = 0; untold < 2; untold++) {
		start(false, (struct mem_traits){.no_set_mtime = true, .untold = untold});
		struct made m = make("f", "text");
		assert_int_equal(set(m.n, FS_SET_MTIME_NOW), 0);
		clock_advance(60 * NS_PER_S);
		assert_int_equal(set(m.n, FS_SET_MTIME_NOW), 0);
		assert_false(on_server("/f"));
		finish(&m);
		assert_int_equal(uploads(), 1);
		stop();
	}
}

/* rsync's mkstemp(3) and fchmod(2). */
static void test_the_mode_of_a_file_without_a_byte_is_that_of_its_creation(void **state)
{
	(void)state;
	for (int untold = 0; untold < 2; untold++) {
		start(true, (struct mem_traits){.no_modes = true, .untold = untold});
		struct made m = make("f", "");
		assert_int_equal(set(m.n, FS_SET_MODE), 0);
		assert_int_equal(fs_write(m.h, "text", 4, 0, &ctx), 4);
		assert_int_equal(uploads(), 0);
		finish(&m);
		stored("/f");
		/* What was not taken is not shown. */
		assert_int_equal(shown(m.n).st_mode & 07777, 0644);
		struct made empty = make("g", "");
		finish(&empty);
		assert_int_equal(set(empty.n, FS_SET_MODE), -EOPNOTSUPP);
		stop();
	}
}

static void test_where_nobody_knows_the_server_is_asked(void **state)
{
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		bool write_back = bits & 1, able = bits & 2;
		unsigned what = bits & 4 ? FS_SET_MODE : FS_SET_MTIME;
		start(write_back, (struct mem_traits){.untold = true,
						      .no_set_mtime = !able,
						      .no_modes = !able});
		struct made m = make("f", "text");
		assert_int_equal(set(m.n, what), able ? 0 : -EOPNOTSUPP);
		assert_true(mem_is(server, "/f", "text", 4));
		assert_int_equal(uploads(), 1);
		finish(&m);
		struct entry e = stored("/f");
		if (what == FS_SET_MTIME)
			assert_int_equal(e.mtime == THEN * NS_PER_S, able);
		else if (able)
			assert_int_equal(e.mode, 0640);
		/* And now it is known. */
		struct made next = make("g", "text");
		assert_int_equal(set(next.n, what), able ? 0 : -EOPNOTSUPP);
		assert_false(on_server("/g"));
		finish(&next);
		e = stored("/g");
		if (what == FS_SET_MTIME)
			assert_int_equal(e.mtime == THEN * NS_PER_S, able);
		assert_int_equal(uploads(), 2);
		stop();
	}
}

static void test_what_cannot_be_stored_cannot_be_asked_for(void **state)
{
	(void)state;
	start(false, (struct mem_traits){.untold = true});
	struct made m = make("f", "text");
	fault_rate(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -EACCES, FAULT_ALWAYS);
	assert_int_equal(set(m.n, FS_SET_MTIME), -EACCES);
	fault_clear(plan);
	assert_int_equal(fs_flush(m.h, &ctx), -EACCES); /* told to each handle once */
	finish(&m);
	assert_true(stored("/f").mtime > THEN * NS_PER_S);
	stop();
}

/* Of two times that were set the later one counts, whoever has promised the first. */
static void test_now_takes_the_place_of_what_was_promised(void **state)
{
	(void)state;
	start(true, (struct mem_traits){.untold = true});
	struct made m = make("first", "x");
	assert_int_equal(set(m.n, FS_SET_MTIME), 0);
	finish(&m);
	stored("/first");
	server_is_gone();
	m = make("f", "text");
	assert_int_equal(set(m.n, FS_SET_MTIME), 0);
	finish(&m);
	unmount();
	fault_clear(plan);
	mem_forget_attrs(server, false);
	fault_rate(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	mount_it();
	struct fs_found f;
	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &f, &ctx), 0);
	assert_int_equal(shown(f.node).st_mtim.tv_sec, THEN);
	assert_int_equal(set(f.node, FS_SET_MTIME_NOW), 0);
	fault_clear(plan);
	assert_true(stored("/f").mtime > THEN * NS_PER_S);
	stop();
}

/* ---- what the server does not keep after all ---- */

static char said[4096];

static void end_hearing(FILE *log, int saved)
{
	fflush(stderr);
	ssize_t n = pread(fileno(log), said, sizeof said - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(log);
}

static void test_the_next_mount_stores_it_without_its_time_and_says_so(void **state)
{
	(void)state;
	for (int untold = 0; untold < 2; untold++) {
		start(true, (struct mem_traits){.untold = untold});
		if (untold) { /* it is known by then */
			struct made first = make("first", "x");
			assert_int_equal(set(first.n, FS_SET_MTIME), 0);
			finish(&first);
			stored("/first");
		}
		server_is_gone();
		struct made m = make("f", "text");
		assert_int_equal(set(m.n, FS_SET_MTIME), 0);
		finish(&m);
		unmount();
		fault_clear(plan);
		assert_false(on_server("/f"));
		mem_forget_attrs(server, true);
		FILE *log = tmpfile();
		int saved = dup(STDERR_FILENO);
		dup2(fileno(log), STDERR_FILENO);
		mount_it();
		int rc = fs_sync(fs, &ctx);
		end_hearing(log, saved);
		assert_int_equal(rc, 0);
		assert_non_null(strstr(said, "/f: stored, but the server did not take its time"));
		assert_true(mem_is(server, "/f", "text", 4));
		assert_true(stored("/f").mtime > THEN * NS_PER_S);
		assert_int_equal(journal_count(journal), 0);
		/* It has been seen to refuse. */
		struct made next = make("g", "text");
		assert_int_equal(set(next.n, FS_SET_MTIME), -EOPNOTSUPP);
		finish(&next);
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_does_waits_for_the_upload),
		cmocka_unit_test(test_what_it_does_not_do_is_refused_at_once),
		cmocka_unit_test(test_now_is_no_time_to_refuse),
		cmocka_unit_test(test_the_mode_of_a_file_without_a_byte_is_that_of_its_creation),
		cmocka_unit_test(test_where_nobody_knows_the_server_is_asked),
		cmocka_unit_test(test_what_cannot_be_stored_cannot_be_asked_for),
		cmocka_unit_test(test_now_takes_the_place_of_what_was_promised),
		cmocka_unit_test(test_the_next_mount_stores_it_without_its_time_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
