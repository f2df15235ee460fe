/* retry_test - what remote/retry repeats and how often: each operation against each way to lose a
 * reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/stats.h"
#include "remote/retry.h"
#include "remote_fault.h"
#include "remote_mem.h"

struct bench {
	struct mem_server *server;
	struct fault_plan *plan;
	struct remote *remote;
	struct opctx ctx;
};

/* A server with a directory, a file and a link, seen through faults and retry. */
static struct bench bench_open(const struct mem_traits *traits, int64_t patience)
{
	struct bench b = {
		.server = mem_server_create(traits),
		.plan = fault_plan_create(1),
		.ctx = opctx_for(OPCTX_FOREVER),
	};
	struct remote *mem = remote_mem_create(b.server);

	assert_int_equal(mem_make_dir(b.server, "/dir"), 0);
	assert_int_equal(mem_put(b.server, "/file", "hello", 5), 0);
	assert_int_equal(mem_put(b.server, "/other", "there", 5), 0);
	assert_int_equal(remote_symlink(mem, "file", "/link", &b.ctx), 0);
	b.remote = retry_create(remote_fault_create(mem, b.plan), patience);
	assert_non_null(b.remote);
	return b;
}

static void bench_close(struct bench *b)
{
	remote_destroy(b->remote);
	mem_server_destroy(b->server);
	fault_plan_destroy(b->plan);
}

/* One call of each operation; each checks that its answer is the right one. */

static int call_list(struct bench *b)
{
	struct listing l;
	int rc;

	listing_init(&l, LISTING_MAX);
	rc = remote_list(b->remote, "/", &l, &b->ctx);
	if (!rc)
		assert_int_equal(l.n, 4);
	listing_free(&l);
	return rc;
}

static int call_stat(struct bench *b)
{
	struct entry e = {0};
	int rc = remote_stat(b->remote, "/file", HAVE_SIZE, &e, &b->ctx);

	if (!rc) {
		assert_int_equal(e.size, 5);
		entry_clear(&e);
	}
	return rc;
}

static int call_stat_many(struct bench *b)
{
	struct entry e = {.name = (char *)"file"};
	struct entry *const v[] = {&e};
	int rc = remote_stat_many(b->remote, "/", v, 1, &b->ctx);

	if (!rc)
		assert_int_equal(e.size, 5);
	return rc;
}

static int call_open_read(struct bench *b)
{
	struct stream *s = NULL;
	char bytes[16];
	int rc = remote_open_read(b->remote, "/file", 1, &s, &b->ctx);

	if (!rc) {
		assert_int_equal(stream_read(s, bytes, sizeof(bytes), &b->ctx), 4);
		assert_memory_equal(bytes, "ello", 4);
		stream_close(s);
	}
	return rc;
}

static int call_open_write(struct bench *b)
{
	struct stream *s = NULL;
	int rc = remote_open_write(b->remote, "/file", WRITE_WHOLE, 0, &s, &b->ctx);

	if (!rc)
		stream_close(s);
	return rc;
}

static int call_can_patch(struct bench *b)
{
	return remote_can_patch(b->remote, "/tried", &b->ctx);
}

static int call_mkdir(struct bench *b)
{
	return remote_mkdir(b->remote, "/new", &b->ctx);
}

static int call_rmdir(struct bench *b)
{
	return remote_rmdir(b->remote, "/dir", &b->ctx);
}

static int call_remove(struct bench *b)
{
	return remote_remove(b->remote, "/file", &b->ctx);
}

static int call_rename(struct bench *b)
{
	return remote_rename(b->remote, "/file", "/moved", RENAME_KEEP_TARGET, &b->ctx);
}

static int call_set_mtime(struct bench *b)
{
	return remote_set_mtime(b->remote, "/file", 5 * NS_PER_S, &b->ctx);
}

static int call_set_mode(struct bench *b)
{
	return remote_set_mode(b->remote, "/file", 0600, &b->ctx);
}

static int call_symlink(struct bench *b)
{
	return remote_symlink(b->remote, "file", "/link2", &b->ctx);
}

static int call_readlink(struct bench *b)
{
	struct buf target;
	int rc;

	buf_init(&target, PATH_LIMIT);
	buf_adds(&target, "->");
	rc = remote_readlink(b->remote, "/link", &target, &b->ctx);
	if (!rc)
		assert_string_equal(buf_text(&target), "->file");
	buf_free(&target);
	return rc;
}

static int call_copy(struct bench *b)
{
	return remote_copy(b->remote, "/file", "/copy", &b->ctx);
}

static int call_space(struct bench *b)
{
	struct space s;

	return remote_space(b->remote, &s, &b->ctx);
}

static int call_settle(struct bench *b)
{
	struct settle s = {.mode = 0600, .mtime = 7 * NS_PER_S};
	int rc = remote_settle(b->remote, "/file", &s, &b->ctx);

	if (!rc)
		assert_int_equal(s.entry.mtime, 7 * NS_PER_S);
	return rc;
}

static const struct {
	enum fault_op op;
	int (*call)(struct bench *b);
	bool once; /* never repeated */
} operations[] = {
	{FAULT_LIST, call_list, false},
	{FAULT_STAT, call_stat, false},
	{FAULT_STAT_MANY, call_stat_many, false},
	{FAULT_OPEN_READ, call_open_read, false},
	{FAULT_OPEN_WRITE, call_open_write, true},
	{FAULT_CAN_PATCH, call_can_patch, false},
	{FAULT_MKDIR, call_mkdir, false},
	{FAULT_RMDIR, call_rmdir, false},
	{FAULT_REMOVE, call_remove, false},
	{FAULT_RENAME, call_rename, false},
	{FAULT_SET_MTIME, call_set_mtime, false},
	{FAULT_SET_MODE, call_set_mode, false},
	{FAULT_SYMLINK, call_symlink, true},
	{FAULT_READLINK, call_readlink, false},
	{FAULT_COPY, call_copy, true},
	{FAULT_SPACE, call_space, false},
	{FAULT_SETTLE, call_settle, false},
};

enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

static void each_operation(enum fault_kind kind)
{
	for (int i = 0; i < OPERATIONS; i++) {
		struct bench b = bench_open(NULL, 10 * NS_PER_S);
		bool once = operations[i].once;
		int64_t retries = stats_get(STAT_RETRIES);
		uint64_t carried = kind == FAULT_BEFORE ? 0 : 1;

		fault_nth(b.plan, operations[i].op, kind, -ECONNRESET, 1, 1);
		assert_int_equal(operations[i].call(&b), once ? -ECONNRESET : 0);
		assert_int_equal(fault_calls(b.plan, operations[i].op), once ? 1 : 2);
		assert_int_equal(fault_carried(b.plan, operations[i].op),
				 once ? carried : carried + 1);
		assert_int_equal(fault_injected(b.plan, kind), 1);
		assert_int_equal(stats_get(STAT_RETRIES) - retries, once ? 0 : 1);
		bench_close(&b);
	}
}

static void test_lost_before(void **state)
{
	(void)state;
	each_operation(FAULT_BEFORE);
}

static void test_lost_after(void **state)
{
	(void)state;
	each_operation(FAULT_AFTER);
}

static void test_answers_are_not_repeated(void **state)
{
	static const int answers[] = {-EACCES, -ENOENT, -EEXIST, -EIO, -ENOSPC, -EINTR, -EAGAIN};

	(void)state;
	for (int i = 0; i < OPERATIONS; i++)
		for (size_t k = 0; k < sizeof(answers) / sizeof(answers[0]); k++) {
			struct bench b = bench_open(NULL, 10 * NS_PER_S);

			fault_nth(b.plan, operations[i].op, FAULT_BEFORE, answers[k], 1, 1);
			assert_int_equal(operations[i].call(&b), answers[k]);
			assert_int_equal(fault_calls(b.plan, operations[i].op), 1);
			bench_close(&b);
		}
}

static void test_link_errors(void **state)
{
	static const int link[] = {ECONNRESET,	 ECONNREFUSED, ECONNABORTED, EPIPE,    ETIMEDOUT,
				   EHOSTUNREACH, ENETUNREACH,  ENETDOWN,     ENOTCONN, EHOSTDOWN};
	static const int answers[] = {0, EIO, ENOENT, EACCES, EINTR, ESTALE, EAGAIN, EOPNOTSUPP};

	(void)state;
	for (size_t i = 0; i < sizeof(link) / sizeof(link[0]); i++)
		assert_true(remote_link_error(-link[i]));
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_false(remote_link_error(-answers[i]));
}

/* Two losses in a row, then an answer. */
static void test_several_losses(void **state)
{
	struct bench b = bench_open(NULL, 10 * NS_PER_S);
	int64_t began = clock_monotonic();

	(void)state;
	fault_nth(b.plan, FAULT_STAT, FAULT_BEFORE, -EPIPE, 1, 2);
	assert_int_equal(call_stat(&b), 0);
	assert_int_equal(fault_calls(b.plan, FAULT_STAT), 3);
	assert_true(clock_monotonic() - began >= 150 * NS_PER_MS); /* 50, then 100 */
	bench_close(&b);
}

/* With 120 ms there is room for the pause of 50, and none for that of 100. */
static void test_patience(void **state)
{
	struct bench b = bench_open(NULL, 120 * NS_PER_MS);

	(void)state;
	fault_rate(b.plan, FAULT_STAT, FAULT_BEFORE, -ECONNREFUSED, FAULT_ALWAYS);
	assert_int_equal(call_stat(&b), -ECONNREFUSED);
	assert_int_equal(fault_calls(b.plan, FAULT_STAT), 2);
	bench_close(&b);

	b = bench_open(NULL, 0);
	fault_rate(b.plan, FAULT_STAT, FAULT_BEFORE, -ECONNREFUSED, FAULT_ALWAYS);
	assert_int_equal(call_stat(&b), -ECONNREFUSED);
	assert_int_equal(fault_calls(b.plan, FAULT_STAT), 1);
	bench_close(&b);
}

/* A deadline counts instead of the patience, whichever is longer, and is not passed. */
static void test_deadline(void **state)
{
	struct bench b = bench_open(NULL, 3600 * NS_PER_S);

	(void)state;
	fault_rate(b.plan, FAULT_LIST, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	b.ctx = opctx_for(120 * NS_PER_MS);
	assert_int_equal(call_list(&b), -ECONNRESET);
	assert_true(clock_monotonic() < b.ctx.deadline);
	assert_int_equal(fault_calls(b.plan, FAULT_LIST), 2);
	bench_close(&b);
}

static void test_interrupted_before_the_pause(void **state)
{
	struct bench b = bench_open(NULL, 3600 * NS_PER_S);
	atomic_bool cancelled = true;

	(void)state;
	b.ctx.cancelled = &cancelled;
	fault_rate(b.plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(call_stat(&b), -EINTR);
	assert_int_equal(fault_calls(b.plan, FAULT_STAT), 1);
	bench_close(&b);
}

struct canceller {
	struct fault_plan *plan;
	atomic_bool *cancelled;
	int fd;
};

static void *cancel_in_a_long_pause(void *arg)
{
	struct canceller *c = arg;
	uint64_t one = 1;

	while (fault_calls(c->plan, FAULT_STAT) < 4) /* then comes the pause of 400 ms */
		sched_yield();
	atomic_store(c->cancelled, true);
	if (c->fd >= 0 && write(c->fd, &one, sizeof(one)) != sizeof(one))
		return arg;
	return NULL;
}

static void interrupt_in_the_pause(int fd, int64_t within)
{
	struct bench b = bench_open(NULL, 3600 * NS_PER_S);
	atomic_bool cancelled = false;
	struct canceller c = {b.plan, &cancelled, fd};
	int64_t began = clock_monotonic();
	pthread_t thread;
	void *failed;

	b.ctx.cancelled = &cancelled;
	b.ctx.cancel_fd = fd;
	fault_rate(b.plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(pthread_create(&thread, NULL, cancel_in_a_long_pause, &c), 0);
	assert_int_equal(call_stat(&b), -EINTR);
	assert_true(clock_monotonic() - began < within);
	assert_int_equal(fault_calls(b.plan, FAULT_STAT), 4);
	pthread_join(thread, &failed);
	assert_null(failed);
	bench_close(&b);
}

/* 50 + 100 + 200 ms have passed when the fourth try fails; the pause after it must not run out. */
static void test_interrupted_in_the_pause(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	interrupt_in_the_pause(fd, 745 * NS_PER_MS);
	close(fd);
	interrupt_in_the_pause(-1, 745 * NS_PER_MS);
}

/* "Already so" to a first try is the truth about somebody else's work. */
static void test_first_answers_are_believed(void **state)
{
	struct bench b = bench_open(NULL, 10 * NS_PER_S);

	(void)state;
	assert_int_equal(remote_mkdir(b.remote, "/dir", &b.ctx), -EEXIST);
	assert_int_equal(remote_rmdir(b.remote, "/none", &b.ctx), -ENOENT);
	assert_int_equal(remote_remove(b.remote, "/none", &b.ctx), -ENOENT);
	assert_int_equal(remote_rename(b.remote, "/none", "/other", RENAME_REPLACE_TARGET, &b.ctx),
			 -ENOENT);
	assert_int_equal(remote_rename(b.remote, "/file", "/other", RENAME_KEEP_TARGET, &b.ctx),
			 -EEXIST);
	bench_close(&b);
}

static void test_already_so_after_a_loss(void **state)
{
	struct bench b = bench_open(NULL, 10 * NS_PER_S);

	(void)state;
	fault_nth(b.plan, FAULT_MKDIR, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(remote_mkdir(b.remote, "/dir", &b.ctx), 0);
	fault_nth(b.plan, FAULT_RMDIR, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(remote_rmdir(b.remote, "/none", &b.ctx), 0);
	fault_nth(b.plan, FAULT_REMOVE, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(remote_remove(b.remote, "/none", &b.ctx), 0);
	/* ... but another answer is an answer. */
	fault_nth(b.plan, FAULT_RMDIR, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(mem_put(b.server, "/dir/child", "x", 1), 0);
	assert_int_equal(remote_rmdir(b.remote, "/dir", &b.ctx), -ENOTEMPTY);
	bench_close(&b);
}

static void rename_after_a_loss(const struct mem_traits *traits)
{
	struct bench b = bench_open(traits, 10 * NS_PER_S);
	struct entry e;

	/* Carried out, reply lost: the later try finds no source. */
	fault_nth(b.plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, 1, 1);
	assert_int_equal(remote_rename(b.remote, "/file", "/other", RENAME_REPLACE_TARGET, &b.ctx),
			 0);
	assert_int_equal(fault_carried(b.plan, FAULT_RENAME), 2);
	assert_int_equal(mem_stat(b.server, "/file", &e), -ENOENT);

	/* Not carried out, and the target is somebody else's: the source is still there. */
	assert_int_equal(mem_put(b.server, "/file", "again", 5), 0);
	fault_nth(b.plan, FAULT_RENAME, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(remote_rename(b.remote, "/file", "/other", RENAME_KEEP_TARGET, &b.ctx),
			 -EEXIST);
	assert_int_equal(mem_stat(b.server, "/file", &e), 0);

	/* Neither there: it never happened. */
	fault_nth(b.plan, FAULT_RENAME, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(
		remote_rename(b.remote, "/none", "/nowhere", RENAME_REPLACE_TARGET, &b.ctx),
		-ENOENT);

	/* The later try says "exists", since our own first one put it there. */
	fault_nth(b.plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, 1, 1);
	fault_nth(b.plan, FAULT_RENAME, FAULT_BEFORE, -EEXIST, 2, 1);
	assert_int_equal(remote_rename(b.remote, "/file", "/new", RENAME_KEEP_TARGET, &b.ctx), 0);
	bench_close(&b);
}

static void test_rename_after_a_loss(void **state)
{
	(void)state;
	rename_after_a_loss(NULL);
	rename_after_a_loss(&(struct mem_traits){.no_stat = true});
}

/* A stream that was opened belongs to its reader: nothing is repeated behind it. */
static void test_streams_pass(void **state)
{
	struct bench b = bench_open(NULL, 10 * NS_PER_S);
	struct stream *s;
	char bytes[8];

	(void)state;
	fault_nth(b.plan, FAULT_READ, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(remote_open_read(b.remote, "/file", 0, &s, &b.ctx), 0);
	assert_int_equal(stream_read(s, bytes, sizeof(bytes), &b.ctx), -ECONNRESET);
	stream_close(s);
	fault_nth(b.plan, FAULT_FINISH, FAULT_AFTER, -ECONNRESET, 1, 1);
	assert_int_equal(remote_open_write(b.remote, "/up", WRITE_WHOLE, 0, &s, &b.ctx), 0);
	assert_int_equal(stream_write(s, "abc", 3, &b.ctx), 0);
	assert_int_equal(stream_finish(s, NULL, &b.ctx), -ECONNRESET);
	stream_close(s);
	assert_int_equal(fault_calls(b.plan, FAULT_OPEN_READ), 1);
	assert_int_equal(fault_calls(b.plan, FAULT_OPEN_WRITE), 1);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_before),
		cmocka_unit_test(test_lost_after),
		cmocka_unit_test(test_answers_are_not_repeated),
		cmocka_unit_test(test_link_errors),
		cmocka_unit_test(test_several_losses),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_interrupted_before_the_pause),
		cmocka_unit_test(test_interrupted_in_the_pause),
		cmocka_unit_test(test_first_answers_are_believed),
		cmocka_unit_test(test_already_so_after_a_loss),
		cmocka_unit_test(test_rename_after_a_loss),
		cmocka_unit_test(test_streams_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
