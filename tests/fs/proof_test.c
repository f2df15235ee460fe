/* proof_test - verify=hash: what is sent is hashed on its way, whatever way that is, and bytes that
 * arrive wrong are sent again, or are an error.  Over a server in memory that can spoil them. */
#include <dirent.h>
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

enum { BIG = 3 << 20, ALL = 1000 };

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;
static char spools[32];
static char want[BIG + 4096];
static size_t size;

static void start_as(struct mem_traits traits, bool verify)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = 2 * NS_PER_S,
		.spool_dir = spools,
		.inplace = INPLACE_ON,
		.verify_hash = verify,
	};

	strcpy(spools, "/tmp/ftpfs-proof-XXXXXX");
	assert_non_null(mkdtemp(spools));
	server = mem_server_create(&traits);
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	size = 0;
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)(i * 31 + (i >> 8));
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	assert_int_equal(fs_create(&conf, &fs), 0);
}

static void start(enum hash_kind hash)
{
	start_as((struct mem_traits){.hash = hash}, true);
}

static void stop(void)
{
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	/* What was kept of commits that failed. */
	DIR *d = opendir(spools);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	assert_int_equal(rmdir(spools), 0);
}

/* A new file /f, or the one that is there. */
static struct handle *open_file(int flags)
{
	struct fs_found found;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_create_file(fs, fs_root(fs), "f", 0644, flags | O_CREAT, &found, &h,
					&keep, &ctx),
			 0);
	return h;
}

/* Bytes of `want`. */
static void put(struct handle *h, size_t at, size_t n)
{
	assert_int_equal(fs_write(h, want + at, n, (int64_t)at, &ctx), n);
	size = at + n > size ? at + n : size;
}

/* Other bytes than these. */
static void edit(struct handle *h, size_t at, const char *text)
{
	memcpy(want + at, text, strlen(text));
	put(h, at, strlen(text));
}

static void cut(struct handle *h, size_t to)
{
	struct stat st = {.st_size = (off_t)to};
	struct fs_found found;
	struct fs_attr attr;

	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
	assert_int_equal(fs_setattr(fs, found.node, h, FS_SET_SIZE, &st, &attr, &ctx), 0);
	size = to;
}

static bool stored(void)
{
	char *bytes;
	size_t n;

	if (mem_get(server, "/f", &bytes, &n) != 0)
		return false;
	bool same = n == size && memcmp(bytes, want, n) == 0;
	free(bytes);
	return same;
}

/* Stored and proven: every hash that was asked for was the right one, or it would be sent again. */
static void assert_proven(unsigned hashes)
{
	assert_true(stored());
	assert_int_equal(mem_hashes_asked(server), hashes);
	assert_int_equal(fault_carried(plan, FAULT_SETTLE), fault_carried(plan, FAULT_FINISH));
}

static void test_every_kind(void **state)
{
	(void)state;
	for (int kind = HASH_NONE + 1; kind < HASH_KINDS; kind++) {
		start((enum hash_kind)kind);
		struct handle *h = open_file(O_WRONLY);
		put(h, 0, 300000);
		assert_int_equal(fs_flush(h, &ctx), 0);
		assert_proven(1);
		fs_release(h);
		stop();
	}
}

static void test_behind_the_bytes(void **state)
{
	(void)state;
	start_as((struct mem_traits){.hash = HASH_MD5, .settles_behind = true}, true);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 10);
	mem_corrupt(server, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_hashes_asked(server), 2);
	fs_release(h);
	stop();
}

static void test_an_empty_file(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_WRONLY);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(1);
	fs_release(h);
	stop();
}

/* Followed by an upload, which is dropped when the writer goes back, begun anew, and dropped again.
 */
static void test_rewritten_while_it_is_sent(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_RDWR);
	for (size_t at = 0; at < BIG; at += 128 << 10)
		put(h, at, 128 << 10);
	assert_true(fault_carried(plan, FAULT_OPEN_WRITE) > 0);
	edit(h, 5, "back");
	cut(h, BIG - 77);
	put(h, BIG - 77, 50);
	edit(h, 2 << 20, "and forth");
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(1);
	cut(h, 1000);
	put(h, 1000, 30);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(2);
	fs_release(h);
	stop();
}

/* Whatever is done between, each commit is proven at the first try. */
static void test_at_random(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_RDWR);
	srandom(7);
	for (unsigned step = 0, asked; step < 400; step++) {
		size_t at = (size_t)random() % (size + 1);

		if (random() % 4 == 0)
			cut(h, size - (size_t)random() % (size / 4 + 1));
		else if (random() % 2 == 0)
			put(h, size, (size_t)random() % (BIG - size + 1) / 8);
		else
			edit(h, at < BIG ? at : 0, "other");
		if (random() % 3)
			continue;
		asked = mem_hashes_asked(server);
		assert_int_equal(fs_fsync(h, &ctx), 0);
		assert_true(stored());
		assert_true(mem_hashes_asked(server) <= asked + 1);
	}
	assert_true(mem_hashes_asked(server) > 50);
	fs_release(h);
	stop();
}

/* An append and a patch of a file that is here in full, since we made it. */
static void test_parts_of_what_is_here(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_RDWR);
	put(h, 0, 100000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	put(h, 100000, 10);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(2);
	edit(h, 50000, "in the middle");
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(3);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 0);
	/* Wrong bytes in the file itself: the next try replaces it. */
	mem_corrupt(server, 1);
	edit(h, 60000, "once more");
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_hashes_asked(server), 5);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 1);
	fs_release(h);
	stop();
}

/* Nobody here knows what the hash should be. */
static void test_parts_of_what_is_not_here(void **state)
{
	(void)state;
	start(HASH_SHA256);
	assert_int_equal(mem_put(server, "/f", want, 100000), 0);
	size = 100000;
	clock_advance(10 * NS_PER_S);
	struct handle *h = open_file(O_WRONLY);
	put(h, 100000, 10);
	assert_int_equal(fs_flush(h, &ctx), 0);
	edit(h, 50000, "in the middle");
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(0);
	fs_release(h);
	stop();
}

/* The word of it was lost, and it arrived wrong. */
static void test_a_tail_that_only_seems_to_have_arrived(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 1000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	put(h, 1000, 1000);
	mem_corrupt(server, 1);
	fault_nth(plan, FAULT_FINISH, FAULT_AFTER, -ECONNRESET, 1, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_hashes_asked(server), 3);
	fs_release(h);
	stop();
}

static void test_wrong_bytes_are_sent_again(void **state)
{
	(void)state;
	start(HASH_SHA256);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 300000);
	mem_corrupt(server, 2);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_hashes_asked(server), 3);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 3);
	fs_release(h);
	stop();
}

static void test_always_wrong_is_an_error(void **state)
{
	(void)state;
	start(HASH_SHA256);
	assert_int_equal(mem_put(server, "/f", "old", 3), 0);
	clock_advance(10 * NS_PER_S);
	struct handle *h = open_file(O_WRONLY | O_TRUNC);
	put(h, 0, 1000);
	mem_corrupt(server, ALL);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_int_equal(mem_hashes_asked(server), 3);
	mem_corrupt(server, 0);
	assert_int_equal(fs_fsync(h, &ctx), 0);
	assert_true(stored());
	fs_release(h);
	stop();
}

/* A replacement that is wrong never gets the name. */
static void test_the_old_content_survives(void **state)
{
	char *bytes;
	size_t n;

	(void)state;
	start(HASH_SHA256);
	assert_int_equal(mem_put(server, "/f", "older", 5), 0);
	clock_advance(10 * NS_PER_S);
	struct handle *h = open_file(O_RDWR);
	edit(h, 0, "newer");
	mem_corrupt(server, ALL);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_int_equal(mem_get(server, "/f", &bytes, &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(bytes, "older", 5);
	free(bytes);
	mem_corrupt(server, 0);
	fs_release(h);
	stop();
}

static void test_a_server_that_refuses(void **state)
{
	(void)state;
	start_as((struct mem_traits){.hash = HASH_SHA256, .hash_refused = true}, true);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 1000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(1);
	fs_release(h);
	stop();
}

static void test_a_server_without(void **state)
{
	(void)state;
	start(HASH_NONE);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 1000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_proven(0);
	fs_release(h);
	stop();
}

/* What verify=size does not see. */
static void test_nobody_asked(void **state)
{
	(void)state;
	start_as((struct mem_traits){.hash = HASH_SHA256}, false);
	struct handle *h = open_file(O_WRONLY);
	put(h, 0, 1000);
	mem_corrupt(server, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_false(stored());
	assert_int_equal(mem_hashes_asked(server), 0);
	fs_release(h);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_behind_the_bytes),
		cmocka_unit_test(test_an_empty_file),
		cmocka_unit_test(test_rewritten_while_it_is_sent),
		cmocka_unit_test(test_at_random),
		cmocka_unit_test(test_parts_of_what_is_here),
		cmocka_unit_test(test_parts_of_what_is_not_here),
		cmocka_unit_test(test_a_tail_that_only_seems_to_have_arrived),
		cmocka_unit_test(test_wrong_bytes_are_sent_again),
		cmocka_unit_test(test_always_wrong_is_an_error),
		cmocka_unit_test(test_the_old_content_survives),
		cmocka_unit_test(test_a_server_that_refuses),
		cmocka_unit_test(test_a_server_without),
		cmocka_unit_test(test_nobody_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
