/* race_test - a truncate that is under way while others close, write or remove the same file.  What
 * is told to be stored is stored, what is not is in one file that the log names, and nothing else
 * stays.  Each race has its order: one of the calls is held in the middle of its request until the
 * other one is seen to be under way, too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/fs/file_private.h"
#include "base/clock.h"
#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"
#include "remove_tree.h"

enum { PATIENCE_S = 20 };

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;
static char spools[32];

/* ---- who is held ---- */

static atomic_int shut;	 /* an enum fault_op; FAULT_OPS: none */
static atomic_bool held; /* somebody is */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static enum fault_kind at_gate(void *arg, enum fault_op op)
{
	(void)arg;
	while (atomic_load(&shut) == (int)op) {
		atomic_store(&held, true);
		nap();
	}
	return FAULT_KINDS;
}

static void shut_gate(enum fault_op op)
{
	atomic_store(&held, false);
	atomic_store(&shut, (int)op);
}

static void open_gate(void)
{
	atomic_store(&shut, FAULT_OPS);
}

static void await(bool (*met)(struct file *f), struct file *f)
{
	time_t end = time(NULL) + PATIENCE_S;

	for (;;) {
		mutex_lock(&f->lock);
		bool is = met(f);
		mutex_unlock(&f->lock);
		if (is)
			return;
		assert_true(time(NULL) < end);
		nap();
	}
}

static bool is_held(struct file *f)
{
	(void)f;
	return atomic_load(&held);
}

static bool is_resizing(struct file *f) UNCHECKED
{
	return f->resizing > 0;
}

static bool is_cut(struct file *f) UNCHECKED
{
	return f->spool && f->spool->size == 4;
}

static bool is_closed(struct file *f) UNCHECKED
{
	return !f->handles;
}

/* ---- the mount ---- */

static int setup(void **state)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = PATIENCE_S * NS_PER_S,
		.spool_dir = spools,
	};

	(void)state;
	strcpy(spools, "/tmp/ftpfs-race-XXXXXX");
	assert_non_null(mkdtemp(spools));
	server = mem_server_create(&(struct mem_traits){0});
	plan = fault_plan_create(1);
	open_gate();
	fault_gate(plan, at_gate, NULL);
	ctx = opctx_for(OPCTX_FOREVER);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	assert_int_equal(fs_create(&conf, &fs), 0);
	assert_int_equal(mem_put(server, "/f", "0123456789", 10), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	remove_tree(spools);
	return 0;
}

static struct node *node(void)
{
	struct fs_found found;

	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
	return found.node;
}

static struct handle *open_f(int flags)
{
	struct handle *h;
	bool keep;

	assert_int_equal(fs_open(fs, node(), flags, &h, &keep, &ctx), 0);
	return h;
}

static void put(struct handle *h, const char *text, int64_t at)
{
	assert_int_equal(fs_write(h, text, strlen(text), at, &ctx), strlen(text));
}

/* ---- calls of another thread ---- */

struct call {
	pthread_t thread;
	int (*what)(struct call *c);
	struct handle *h;
	struct node *n;
	int rc;
};

static int do_truncate(struct call *c)
{
	struct stat st = {.st_size = 4};
	struct fs_attr attr;

	return fs_setattr(fs, c->n, NULL, FS_SET_SIZE, &st, &attr, &ctx);
}

static int do_unlink(struct call *c)
{
	(void)c;
	return fs_unlink(fs, fs_root(fs), "f", &ctx);
}

static int do_release(struct call *c)
{
	fs_release(c->h);
	return 0;
}

static int do_write(struct call *c)
{
	return (int)fs_write(c->h, "ab", 2, 8, &ctx);
}

static int do_fsync(struct call *c)
{
	return fs_fsync(c->h, &ctx);
}

static void *call_main(void *arg)
{
	struct call *c = arg;

	c->rc = c->what(c);
	return NULL;
}

static void start(struct call *c, int (*what)(struct call *c), struct handle *h)
{
	*c = (struct call){.what = what, .h = h, .n = node()};
	assert_int_equal(pthread_create(&c->thread, NULL, call_main, c), 0);
}

/* ... and let it come as far as that request. */
static void hold(struct call *c, int (*what)(struct call *c), struct handle *h, enum fault_op at,
		 struct file *f)
{
	shut_gate(at);
	start(c, what, h);
	await(is_held, f);
}

static int end(struct call *c)
{
	pthread_join(c->thread, NULL);
	return c->rc;
}

/* ---- what is left ---- */

static bool stored(const char *text)
{
	return mem_is(server, "/f", text, strlen(text));
}

/* The file of the cache directory that has what the log says is kept; there is at most one. */
static bool kept(char *text, size_t size)
{
	DIR *d = opendir(spools);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(path, sizeof path, "%s/%s", spools, e->d_name);
		f = fopen(path, "r");
		assert_non_null(f);
		text[fread(text, 1, size - 1, f)] = '\0';
		fclose(f);
	}
	closedir(d);
	assert_true(n <= 1);
	return n == 1;
}

static bool nothing_kept(void)
{
	char text[32];

	return !kept(text, sizeof text);
}

/* Nobody has it open, and what the mount shows is what the server has. */
static void assert_settled(const char *text)
{
	struct handle *h;
	char got[32];

	assert_true(stored(text));
	assert_int_equal(mem_count(server), 1);
	assert_null(node()->file);
	h = open_f(O_RDONLY);
	assert_int_equal(fs_read(h, got, sizeof got, 0, &ctx), strlen(text));
	assert_memory_equal(got, text, strlen(text));
	fs_release(h);
}

/* ---- close ---- */

static int closed_while_it_is_cut(void)
{
	struct handle *h = open_f(O_RDONLY);
	struct file *f = h->file;
	struct call cut, close;

	hold(&cut, do_truncate, NULL, FAULT_OPEN_WRITE, f);
	start(&close, do_release, h);
	await(is_closed, f);
	open_gate();
	end(&close);
	return end(&cut);
}

static void test_closed_while_it_is_cut(void **state)
{
	(void)state;
	assert_int_equal(closed_while_it_is_cut(), 0);
	assert_true(nothing_kept());
	assert_settled("0123");
}

/* The one that cuts is told, and nobody else wanted anything. */
static void test_closed_while_cutting_it_fails(void **state)
{
	(void)state;
	fault_rate(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ENOSPC, FAULT_ALWAYS);
	assert_int_equal(closed_while_it_is_cut(), -ENOSPC);
	assert_true(nothing_kept());
	assert_settled("0123456789");
}

/* A handle with changes is closed, which is not stored the first `failures` times; the truncate
 * begins meanwhile. */
static int cut_while_it_is_closed(uint64_t failures)
{
	struct handle *h = open_f(O_WRONLY);
	struct file *f = h->file;
	struct call cut, close;

	put(h, "abcdefghij", 0);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ENOSPC, 1, failures);
	hold(&close, do_release, h, FAULT_OPEN_WRITE, f);
	start(&cut, do_truncate, NULL);
	await(is_resizing, f);
	open_gate();
	end(&close);
	return end(&cut);
}

static void test_cut_while_it_is_closed(void **state)
{
	(void)state;
	assert_int_equal(cut_while_it_is_closed(0), 0);
	assert_true(nothing_kept());
	assert_settled("abcd");
}

/* What the close could not store is not given up, since the truncate is about to store it. */
static void test_cut_while_closing_it_fails(void **state)
{
	(void)state;
	assert_int_equal(cut_while_it_is_closed(1), 0);
	assert_true(nothing_kept());
	assert_settled("abcd");
}

static void test_cut_while_closing_it_fails_and_so_does_that(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(cut_while_it_is_closed(FAULT_ALWAYS), -ENOSPC);
	assert_true(kept(text, sizeof text));
	assert_string_equal(text, "abcd");
	assert_settled("0123456789");
}

/* ---- unlink ---- */

/* The file is being removed, and both the last close and the truncate, which has changed it, wait
 * for how that ends. */
static int cut_while_it_is_removed(struct call *gone)
{
	struct handle *h = open_f(O_WRONLY);
	struct file *f = h->file;
	struct call cut, close;

	put(h, "abcdefghij", 0);
	hold(gone, do_unlink, NULL, FAULT_REMOVE, f);
	start(&close, do_release, h);
	await(is_closed, f);
	start(&cut, do_truncate, NULL);
	await(is_cut, f);
	open_gate();
	end(&close);
	return end(&cut);
}

static void test_cut_while_it_is_removed(void **state)
{
	struct call gone;

	(void)state;
	assert_int_equal(cut_while_it_is_removed(&gone), 0);
	assert_int_equal(end(&gone), 0);
	assert_int_equal(mem_count(server), 0);
	assert_true(nothing_kept());
}

static void test_cut_while_removing_it_fails(void **state)
{
	struct call gone;

	(void)state;
	fault_nth(plan, FAULT_REMOVE, FAULT_BEFORE, -EACCES, 1, 1);
	assert_int_equal(cut_while_it_is_removed(&gone), 0);
	assert_int_equal(end(&gone), -EACCES);
	assert_true(nothing_kept());
	assert_settled("abcd");
}

/* The first of the two who store it fails: 0 is told only of what is on the server. */
static void test_cut_while_removing_it_fails_and_so_does_the_close(void **state)
{
	struct call gone;
	char text[32];

	(void)state;
	fault_nth(plan, FAULT_REMOVE, FAULT_BEFORE, -EACCES, 1, 1);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ENOSPC, 1, 1);
	int rc = cut_while_it_is_removed(&gone);
	assert_int_equal(end(&gone), -EACCES);
	assert_true(rc == 0 || rc == -ENOSPC);
	if (rc == 0 || stored("abcd")) {
		assert_true(nothing_kept());
		assert_settled("abcd");
	} else {
		assert_true(kept(text, sizeof text));
		assert_string_equal(text, "abcd");
		assert_settled("0123456789");
	}
}

/* What was fetched for those who have it open stays when one of them goes. */
static void test_closed_by_one_while_it_is_removed(void **state)
{
	struct handle *h = open_f(O_RDONLY), *other = open_f(O_RDONLY);
	struct call gone;
	char got[32];

	(void)state;
	hold(&gone, do_unlink, NULL, FAULT_REMOVE, h->file);
	fs_release(other);
	open_gate();
	assert_int_equal(end(&gone), 0);
	assert_int_equal(fs_read(h, got, sizeof got, 0, &ctx), 10);
	assert_memory_equal(got, "0123456789", 10);
	fs_release(h);
	assert_true(nothing_kept());
}

static void test_closed_by_one_while_removing_it_fails(void **state)
{
	struct handle *h = open_f(O_RDONLY), *other = open_f(O_RDONLY);
	struct call gone;

	(void)state;
	fault_nth(plan, FAULT_REMOVE, FAULT_BEFORE, -EACCES, 1, 1);
	hold(&gone, do_unlink, NULL, FAULT_REMOVE, h->file);
	fs_release(other);
	fs_release(h);
	open_gate();
	assert_int_equal(end(&gone), -EACCES);
	assert_true(nothing_kept());
	assert_settled("0123456789");
	assert_int_equal(node()->flags & NODE_BUSY, 0);
}

static void test_removed_while_it_is_cut(void **state)
{
	struct handle *h = open_f(O_RDONLY);
	struct call cut, gone;
	char got[32];

	(void)state;
	hold(&cut, do_truncate, NULL, FAULT_FINISH, h->file);
	start(&gone, do_unlink, NULL);
	open_gate();
	assert_int_equal(end(&cut), 0);
	assert_int_equal(end(&gone), 0);
	assert_int_equal(mem_count(server), 0);
	assert_int_equal(fs_read(h, got, sizeof got, 0, &ctx), 4);
	assert_memory_equal(got, "0123", 4);
	fs_release(h);
	assert_true(nothing_kept());
}

/* ---- write ---- */

static void test_written_while_it_is_cut(void **state)
{
	struct handle *reader = open_f(O_RDONLY), *h;
	struct call cut, write;

	(void)state;
	hold(&cut, do_truncate, NULL, FAULT_OPEN_WRITE, reader->file);
	h = open_f(O_WRONLY);
	start(&write, do_write, h);
	open_gate();
	assert_int_equal(end(&cut), 0);
	assert_int_equal(end(&write), 2);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	fs_release(reader);
	assert_true(mem_is(server, "/f", "0123\0\0\0\0ab", 10));
	assert_int_equal(mem_count(server), 1);
	assert_true(nothing_kept());
}

static void test_cut_while_it_is_written(void **state)
{
	struct handle *h = open_f(O_WRONLY);
	struct call cut, sync;

	(void)state;
	put(h, "abcdefghij", 0);
	hold(&sync, do_fsync, h, FAULT_OPEN_WRITE, h->file);
	start(&cut, do_truncate, NULL);
	await(is_resizing, h->file);
	open_gate();
	assert_int_equal(end(&sync), 0);
	assert_int_equal(end(&cut), 0);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	assert_true(nothing_kept());
	assert_settled("abcd");
}

#define RACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RACE(test_closed_while_it_is_cut),
		RACE(test_closed_while_cutting_it_fails),
		RACE(test_cut_while_it_is_closed),
		RACE(test_cut_while_closing_it_fails),
		RACE(test_cut_while_closing_it_fails_and_so_does_that),
		RACE(test_cut_while_it_is_removed),
		RACE(test_cut_while_removing_it_fails),
		RACE(test_cut_while_removing_it_fails_and_so_does_the_close),
		RACE(test_closed_by_one_while_it_is_removed),
		RACE(test_closed_by_one_while_removing_it_fails),
		RACE(test_removed_while_it_is_cut),
		RACE(test_written_while_it_is_cut),
		RACE(test_cut_while_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
