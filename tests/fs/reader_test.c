/* reader_test - large reads, which pass the ring by, among those that do not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"

enum { REQUEST = 128 << 10, SIZE = 64 * REQUEST };

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct node *node;
static struct handle *handle;
static struct opctx ctx;
static char *bytes, *got;

static int64_t drop_from;

static bool on_growth(void *arg, struct node *n, int64_t from)
{
	(void)arg, (void)n;
	assert_int_equal(drop_from, -1);
	drop_from = from;
	return true;
}

static int begin(int64_t dcache_timeout, bool pages)
{
	struct fs_conf conf = {
		.dcache_timeout = dcache_timeout, .timeout = 10 * NS_PER_S, .spool_dir = "/tmp"};

	drop_from = -1;
	conf.on_growth = pages ? on_growth : NULL;
	struct fs_found f;
	bool keep;

	bytes = malloc(SIZE);
	got = malloc(REQUEST);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 2654435761u >> 16);
	server = mem_server_create(&(struct mem_traits){0});
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	if (mem_put(server, "/f", bytes, SIZE) || fs_create(&conf, &fs) ||
	    fs_lookup(fs, fs_root(fs), "f", &f, &ctx) ||
	    fs_open(fs, f.node, O_RDONLY, &handle, &keep, &ctx))
		return -1;
	node = f.node;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return begin(20 * NS_PER_S, false);
}

static int setup_asking(void **state)
{
	(void)state;
	return begin(1, false);
}

static int setup_pages(void **state)
{
	(void)state;
	return begin(1, true);
}

static int teardown(void **state)
{
	(void)state;
	fs_release(handle);
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	free(got);
	free(bytes);
	return 0;
}

static void right(int64_t at, size_t n)
{
	memset(got, 0, n);
	assert_int_equal(fs_read(handle, got, n, at, &ctx), n);
	assert_memory_equal(got, bytes + at, n);
}

static uint64_t opened(void)
{
	return fault_calls(plan, FAULT_OPEN_READ);
}

static void in_order(void **state)
{
	(void)state;
	for (int64_t at = 0; at < SIZE; at += REQUEST)
		right(at, REQUEST);
	assert_int_equal(opened(), 1);
}

/* The kernel's read-ahead arrives in any order, also while large reads pass by. */
static void overtaken(void **state)
{
	(void)state;
	right(REQUEST, REQUEST);
	right(2 * REQUEST, REQUEST);
	right(0, REQUEST);
	right(4 * REQUEST, REQUEST);
	right(5 * REQUEST, REQUEST);
	right(3 * REQUEST, REQUEST);
	assert_int_equal(opened(), 1);
}

/* Small ones leave the stream inside a large one, and what passed the ring by is asked for again.
 */
static void mixed(void **state)
{
	(void)state;
	right(0, 4096);
	right(4096, REQUEST);
	right(4096 + REQUEST, 100);
	right(4196 + REQUEST, 100);
	assert_int_equal(opened(), 1);
	for (int64_t at = 3 * REQUEST; at < 10 * REQUEST; at += REQUEST)
		right(at, REQUEST);
	assert_int_equal(opened(), 1);
	right(9 * REQUEST + 5, 100);
	assert_int_equal(opened(), 2);
	right(SIZE - 10, 10);
}

/* A read that broke off has taken bytes from the stream: nobody gets them for others. */
static void broken_off(void **state)
{
	(void)state;
	right(0, REQUEST);
	fault_nth(plan, FAULT_READ, FAULT_SHORT, 0, 1, 1);
	fault_nth(plan, FAULT_READ, FAULT_BEFORE, -EINTR, 2, 1);
	assert_int_equal(fs_read(handle, got, REQUEST, REQUEST, &ctx), -EINTR);
	right(REQUEST, REQUEST);
	fault_nth(plan, FAULT_READ, FAULT_SHORT, 0, 1, 1);
	fault_nth(plan, FAULT_READ, FAULT_STALE, -ESTALE, 2, 1);
	right(2 * REQUEST, REQUEST);
	right(3 * REQUEST, REQUEST);
	assert_int_equal(fault_injected(plan, FAULT_STALE), 1);
}

/* The stream was lost in the middle of a large read, and the file is another one now. */
static void another_version(void **state)
{
	(void)state;
	right(0, REQUEST);
	assert_int_equal(mem_put(server, "/f", bytes, SIZE - 1), 0);
	fault_nth(plan, FAULT_READ, FAULT_SHORT, 0, 1, 1);
	fault_nth(plan, FAULT_READ, FAULT_BEFORE, -ECONNRESET, 2, 1);
	assert_int_equal(fs_read(handle, got, REQUEST, REQUEST, &ctx), -EIO);
}

static void becomes(const char *content, size_t n)
{
	assert_int_equal(mem_put(server, "/f", content, n), 0);
}

/* What fstat(2) tells the kernel. */
static void told(int64_t size)
{
	struct fs_attr attr;

	assert_int_equal(fs_getattr(fs, node, &attr, &ctx), 0);
	assert_int_equal(attr.st.st_size, size);
}

enum { OLD = 3 * REQUEST + 1000 };

static void open_short(int64_t upto)
{
	bool keep;

	fs_release(handle);
	becomes(bytes, OLD);
	assert_int_equal(fs_open(fs, node, O_RDONLY, &handle, &keep, &ctx), 0);
	for (int64_t at = 0; at < upto; at += REQUEST)
		right(at, upto - at < REQUEST ? (size_t)(upto - at) : REQUEST);
}

/* Who has read to the end finds what was appended, as soon as the size is known, and reads on. */
static void grows(void **state)
{
	uint64_t before;

	(void)state;
	open_short(OLD);
	assert_int_equal(fs_read(handle, got, REQUEST, OLD, &ctx), 0);
	becomes(bytes, OLD + 10);
	told(OLD + 10);
	before = opened();
	assert_int_equal(fs_read(handle, got, REQUEST, OLD, &ctx), 10);
	assert_memory_equal(got, bytes + OLD, 10);
	assert_int_equal(fs_read(handle, got, REQUEST, OLD + 10, &ctx), 0);
	becomes(bytes, SIZE);
	told(SIZE);
	/* One answer over the old end: a short one would be filled up with zeros. */
	right(OLD - 90, REQUEST);
	right(OLD - 90 + REQUEST, REQUEST);
	assert_in_range(opened() - before, 2, 3);
}

/* ... and who is in the middle, and has to open another stream. */
static void grows_in_the_middle(void **state)
{
	(void)state;
	open_short(REQUEST);
	becomes(bytes, SIZE);
	fault_nth(plan, FAULT_READ, FAULT_SHORT, 0, 1, 1);
	fault_nth(plan, FAULT_READ, FAULT_BEFORE, -ECONNRESET, 2, 1);
	for (int64_t at = REQUEST; at < 5 * REQUEST; at += REQUEST)
		right(at, REQUEST);
}

/* Larger and later, but what was read last is not where it was. */
static void another_that_is_larger(void **state)
{
	(void)state;
	open_short(OLD);
	bytes[OLD - 7] ^= 1;
	becomes(bytes, SIZE);
	told(SIZE);
	assert_int_equal(fs_read(handle, got, REQUEST, OLD, &ctx), -EIO);
	assert_int_equal(fs_read(handle, got, REQUEST, OLD, &ctx), -EIO);
}

/* The kernel has a page with the old end in it: it is told of a larger size when that is gone.  The
 * reads find what is there before. */
static void told_without_the_page(void **state)
{
	struct fs_found f;

	(void)state;
	open_short(OLD);
	becomes(bytes, SIZE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &f, &ctx), 0);
		assert_int_equal(f.attr.st.st_size, OLD);
		assert_int_equal(f.attr.ttl, 0);
	}
	assert_int_equal(drop_from, OLD);
	right(OLD - 90, REQUEST);
	fs_pages_dropped(fs, node);
	told(SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(overtaken, setup, teardown),
		cmocka_unit_test_setup_teardown(mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_off, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version, setup, teardown),
		cmocka_unit_test_setup_teardown(told_without_the_page, setup_pages, teardown),
		cmocka_unit_test_setup_teardown(grows, setup_asking, teardown),
		cmocka_unit_test_setup_teardown(grows_in_the_middle, setup_asking, teardown),
		cmocka_unit_test_setup_teardown(another_that_is_larger, setup_asking, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
