/* copy_test - a file is copied by the server: when, what proves it, and what a lost reply leaves;
 * and what `atomic` asks for. */
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
#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"
#include "remove_tree.h"

enum { SIZE = 100000 };

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;
static char want[SIZE + 4096];
static char spool[32];

static void start_on(const struct mem_traits *traits, enum atomicity atomic)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = 200 * NS_PER_MS,
		.spool_dir = spool,
		.atomic = atomic,
	};

	strcpy(spool, "/tmp/ftpfs-copy-XXXXXX");
	assert_non_null(mkdtemp(spool));
	server = mem_server_create(traits);
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)(i * 31 + (i >> 8));
	assert_int_equal(mem_put(server, "/from", want, SIZE), 0);
	assert_int_equal(mem_put(server, "/old", "old", 3), 0);
	clock_advance(10 * NS_PER_S);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	assert_int_equal(fs_create(&conf, &fs), 0);
}

static void start(void)
{
	start_on(NULL, ATOMIC_AUTO);
}

/* ... and nothing of ours is left. */
static void stop(unsigned names)
{
	fs_destroy(fs);
	remove_tree(spool);
	assert_int_equal(mem_count(server), names);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

static struct handle *open_file(const char *name, int flags)
{
	struct fs_found found;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_create_file(fs, fs_root(fs), name, 0640, flags | O_CREAT, &found, &h,
					&keep, &ctx),
			 0);
	return h;
}

static void assert_stored(const char *path, const char *bytes, size_t size)
{
	assert_true(mem_is(server, path, bytes, size));
}

static void assert_shown(const char *name, size_t size)
{
	struct fs_found found;

	assert_int_equal(fs_lookup(fs, fs_root(fs), name, &found, &ctx), 0);
	assert_int_equal(found.attr.st.st_size, size);
	assert_true(found.attr.st.st_mtim.tv_sec + 5 > clock_realtime() / NS_PER_S);
	assert_int_equal(found.attr.st.st_mode & 0777, 0640);
}

static ssize_t copy_over(struct handle *to)
{
	struct handle *from = open_file("from", O_RDONLY);
	ssize_t n = fs_copy(from, 0, to, 0, SIZE, &ctx);

	fs_release(from);
	return n;
}

/* Copies to `name`; then the kernel closes it. */
static void copy_to(const char *name)
{
	struct handle *to = open_file(name, O_WRONLY | O_TRUNC);

	assert_int_equal(copy_over(to), SIZE);
	assert_int_equal(fs_flush(to, &ctx), 0);
	fs_release(to);
}

static void test_no_byte_travels(void **state)
{
	(void)state;
	static char bytes[SIZE];
	start();
	copy_to("new");
	assert_stored("/new", want, SIZE);
	assert_shown("new", SIZE);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_READ), 0);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 0);
	assert_int_equal(fault_carried(plan, FAULT_COPY), 1);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 1);
	struct handle *h = open_file("new", O_RDONLY);
	assert_int_equal(fs_read(h, bytes, SIZE, 0, &ctx), SIZE);
	assert_memory_equal(bytes, want, SIZE);
	fs_release(h);
	stop(3);
}

/* Seen by others at every moment: the old content, then the new. */
static void see_old(void *arg)
{
	(void)arg;
	assert_stored("/old", "old", 3);
}

static void test_the_old_content_stays_until_the_new_is_there(void **state)
{
	(void)state;
	static const enum fault_op ops[] = {FAULT_COPY, FAULT_SETTLE, FAULT_RENAME};
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		start();
		fault_meanwhile(plan, ops[i], see_old, NULL);
		copy_to("old");
		assert_stored("/old", want, SIZE);
		stop(2);
	}
}

static void test_the_copy_can_be_written_on(void **state)
{
	(void)state;
	static char bytes[SIZE];
	start();
	struct handle *to = open_file("new", O_RDWR | O_TRUNC);
	assert_int_equal(copy_over(to), SIZE);
	assert_int_equal(fs_write(to, "edit", 4, 5000, &ctx), 4);
	assert_int_equal(fs_write(to, "tail", 4, SIZE, &ctx), 4);
	assert_int_equal(fs_read(to, bytes, 4, 5000, &ctx), 4);
	assert_memory_equal(bytes, "edit", 4);
	assert_int_equal(fs_flush(to, &ctx), 0);
	memcpy(want + 5000, "edit", 4);
	memcpy(want + SIZE, "tail", 4);
	assert_stored("/new", want, SIZE + 4);
	fs_release(to);
	stop(3);
}

static void set_time(void *arg)
{
	struct stat st = {.st_mtim = {.tv_sec = 1000000000}};
	struct fs_found found;
	struct fs_attr attr;

	assert_int_equal(fs_lookup(fs, fs_root(fs), arg, &found, &ctx), 0);
	assert_int_equal(fs_setattr(fs, found.node, NULL, FS_SET_MTIME, &st, &attr, &ctx), 0);
}

static void test_a_time_that_is_set_meanwhile_counts(void **state)
{
	(void)state;
	struct entry e;
	start();
	fault_meanwhile(plan, FAULT_SETTLE, set_time, "old");
	copy_to("old");
	assert_int_equal(mem_stat(server, "/old", &e), 0);
	assert_int_equal(e.mtime, 1000000000 * NS_PER_S);
	entry_clear(&e);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 0);
	stop(2);
}

static void assert_not(ssize_t n, uint64_t asked)
{
	assert_int_equal(n, -EOPNOTSUPP);
	assert_int_equal(fault_calls(plan, FAULT_COPY), asked);
	assert_stored("/old", "old", 3);
}

static void test_when_not(void **state)
{
	(void)state;
	start();
	struct handle *from = open_file("from", O_RDWR), *to = open_file("old", O_RDWR);
	assert_not(fs_copy(from, 0, to, 0, SIZE, &ctx), 0); /* not emptied */
	fs_release(to);
	to = open_file("old", O_RDWR | O_TRUNC);
	assert_not(fs_copy(from, 1, to, 0, SIZE - 1, &ctx), 0);
	assert_not(fs_copy(from, 0, to, 1, SIZE, &ctx), 0);
	assert_not(fs_copy(from, 0, to, 0, SIZE - 1, &ctx), 0);
	assert_not(fs_copy(from, 0, to, 0, 1000, &ctx), 0);
	assert_not(fs_copy(to, 0, to, 0, SIZE, &ctx), 0);
	assert_int_equal(fs_write(from, "x", 1, 0, &ctx), 1); /* by somebody who is not done */
	assert_not(fs_copy(from, 0, to, 0, SIZE, &ctx), 0);
	fs_release(from);
	assert_int_equal(fs_write(to, "x", 1, 0, &ctx), 1);
	assert_not(copy_over(to), 0);
	fs_release(to);
	stop(2);
}

static void refused_on(const struct mem_traits *traits, enum atomicity atomic, uint64_t asked)
{
	start_on(traits, atomic);
	struct handle *to = open_file("old", O_WRONLY | O_TRUNC);
	assert_not(copy_over(to), asked);
	fs_release(to);
	stop(2);
}

static void test_a_server_that_does_not(void **state)
{
	(void)state;
	refused_on(&(struct mem_traits){.no_copy = true}, ATOMIC_AUTO, 1);
	refused_on(&(struct mem_traits){.no_rename_over = true}, ATOMIC_AUTO, 1);
	refused_on(NULL, ATOMIC_OFF, 0);
}

static void test_a_lost_reply_is_resolved_by_looking(void **state)
{
	(void)state;
	start();
	fault_nth(plan, FAULT_COPY, FAULT_AFTER, -ETIMEDOUT, 1, 1);
	copy_to("old");
	assert_stored("/old", want, SIZE);
	assert_int_equal(fault_carried(plan, FAULT_COPY), 1);
	stop(2);
}

static void test_a_lost_command_is_repeated_once(void **state)
{
	(void)state;
	start();
	fault_nth(plan, FAULT_COPY, FAULT_BEFORE, -ECONNRESET, 1, 1);
	copy_to("old");
	assert_stored("/old", want, SIZE);
	fault_nth(plan, FAULT_COPY, FAULT_BEFORE, -ECONNRESET, 1, FAULT_ALWAYS);
	struct handle *to = open_file("new", O_WRONLY | O_TRUNC);
	assert_int_equal(copy_over(to), -EOPNOTSUPP);
	assert_int_equal(fault_calls(plan, FAULT_COPY), 4);
	fs_release(to);
	stop(3);
}

static void change_source(void *arg)
{
	(void)arg;
	clock_advance(10 * NS_PER_S);
	want[7]++;
	assert_int_equal(mem_put(server, "/from", want, SIZE), 0);
}

static void test_a_source_that_somebody_changes_is_not_believed(void **state)
{
	(void)state;
	start();
	struct handle *to = open_file("old", O_WRONLY | O_TRUNC);
	fault_meanwhile(plan, FAULT_COPY, change_source, NULL);
	assert_not(copy_over(to), 1);
	fs_release(to);
	stop(2);
}

static void write_source(void *arg)
{
	assert_int_equal(fs_write(arg, "ours", 4, 0, &ctx), 4);
	assert_int_equal(fs_flush(arg, &ctx), 0);
}

static void test_nor_one_that_we_change(void **state)
{
	(void)state;
	start();
	struct handle *to = open_file("old", O_WRONLY | O_TRUNC), *h = open_file("from", O_WRONLY);
	fault_meanwhile(plan, FAULT_SETTLE, write_source, h);
	assert_not(copy_over(to), 1);
	fs_release(h);
	fs_release(to);
	stop(2);
}

static void test_a_short_copy_is_none(void **state)
{
	(void)state;
	start();
	struct handle *from = open_file("from", O_RDONLY);
	struct handle *to = open_file("old", O_WRONLY | O_TRUNC);
	/* Unseen by us, who believe the listing. */
	assert_int_equal(mem_put(server, "/from", want, SIZE - 1), 0);
	assert_not(fs_copy(from, 0, to, 0, SIZE, &ctx), 1);
	fs_release(from);
	fs_release(to);
	stop(2);
}

/* ---- atomic ---- */

static void store(const char *name, int flags, const char *text, int64_t at, int result)
{
	struct handle *h = open_file(name, flags);
	ssize_t n = (ssize_t)strlen(text);

	assert_int_equal(fs_write(h, text, (size_t)n, at, &ctx), n);
	assert_int_equal(fs_flush(h, &ctx), result);
	fs_release(h);
}

static void test_atomic_is_always_beside(void **state)
{
	(void)state;
	start_on(NULL, ATOMIC_ON);
	store("old", O_WRONLY, " grows", 3, 0);
	assert_stored("/old", "old grows", 9);
	store("new", O_WRONLY, "new", 0, 0);
	assert_stored("/new", "new", 3);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 2);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 2);
	stop(3);
}

static void test_atomic_or_not_at_all(void **state)
{
	(void)state;
	start_on(&(struct mem_traits){.no_rename_over = true}, ATOMIC_ON);
	store("old", O_WRONLY, "OLD", 0, -EEXIST);
	assert_stored("/old", "old", 3);
	stop(2);
	start_on(NULL, ATOMIC_ON);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -EACCES, 1, FAULT_ALWAYS);
	store("old", O_WRONLY, "OLD", 0, -EACCES);
	assert_stored("/old", "old", 3);
	stop(2);
}

static void test_not_atomic_is_under_its_name(void **state)
{
	(void)state;
	start_on(&(struct mem_traits){.no_rename_over = true}, ATOMIC_OFF);
	store("old", O_WRONLY | O_TRUNC, "another", 0, 0);
	assert_stored("/old", "another", 7);
	assert_int_equal(fault_calls(plan, FAULT_RENAME), 0);
	struct handle *h = open_file("big", O_WRONLY);
	for (int64_t at = 0; at < 3 << 20; at += SIZE)
		assert_int_equal(fs_write(h, want, SIZE, at, &ctx), SIZE);
	assert_int_equal(fault_calls(plan, FAULT_OPEN_WRITE), 1); /* complete, or not there */
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	assert_int_equal(fault_calls(plan, FAULT_RENAME), 0);
	stop(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_byte_travels),
		cmocka_unit_test(test_the_old_content_stays_until_the_new_is_there),
		cmocka_unit_test(test_the_copy_can_be_written_on),
		cmocka_unit_test(test_a_time_that_is_set_meanwhile_counts),
		cmocka_unit_test(test_when_not),
		cmocka_unit_test(test_a_server_that_does_not),
		cmocka_unit_test(test_a_lost_reply_is_resolved_by_looking),
		cmocka_unit_test(test_a_lost_command_is_repeated_once),
		cmocka_unit_test(test_a_source_that_somebody_changes_is_not_believed),
		cmocka_unit_test(test_nor_one_that_we_change),
		cmocka_unit_test(test_a_short_copy_is_none),
		cmocka_unit_test(test_atomic_is_always_beside),
		cmocka_unit_test(test_atomic_or_not_at_all),
		cmocka_unit_test(test_not_atomic_is_under_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
