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
static struct handle *handle;
static struct opctx ctx;
static char *bytes, *got;

static int setup(void **state)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S, .timeout = 10 * NS_PER_S, .spool_dir = "/tmp"};
	struct fs_found f;
	bool keep;

	(void)state;
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
	return 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(overtaken, setup, teardown),
		cmocka_unit_test_setup_teardown(mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_off, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
