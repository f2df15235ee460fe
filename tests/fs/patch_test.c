/* patch_test - parts of a file are replaced on the server: when, with what, and what a link that
 * breaks in the middle leaves. */
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

enum { SIZE = 2 << 20 };

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;
static char want[SIZE + 4096];
static size_t size;

static void start_on(const struct mem_traits *traits, enum inplace inplace, size_t bytes)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = 200 * NS_PER_MS,
		.spool_dir = "/tmp",
		.inplace = inplace,
	};

	server = mem_server_create(traits);
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	size = bytes;
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)(i * 31 + (i >> 8));
	assert_int_equal(mem_put(server, "/f", want, size), 0);
	clock_advance(10 * NS_PER_S);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	assert_int_equal(fs_create(&conf, &fs), 0);
}

static void start(enum inplace inplace)
{
	start_on(NULL, inplace, SIZE);
}

static void stop(void)
{
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

static struct handle *open_file(int flags)
{
	struct fs_found found;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
	assert_int_equal(fs_open(fs, found.node, flags, &h, &keep, &ctx), 0);
	return h;
}

static void edit(struct handle *h, const char *text, size_t at)
{
	size_t n = strlen(text);

	assert_int_equal(fs_write(h, text, n, (int64_t)at, &ctx), n);
	memcpy(want + at, text, n);
	size = at + n > size ? at + n : size;
}

static bool stored(void)
{
	char *bytes;
	size_t n;

	assert_int_equal(mem_get(server, "/f", &bytes, &n), 0);
	bool same = n == size && memcmp(bytes, want, n) == 0;
	free(bytes);
	return same;
}

/* Was the file itself written, and nothing fetched of it? */
static void assert_patched(unsigned parts)
{
	assert_true(stored());
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), parts);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_READ), 0);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 0);
}

static void assert_replaced(void)
{
	assert_true(stored());
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 1);
}

static void test_only_what_changed(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_RDWR);
	edit(h, "one", 1000000);
	edit(h, "two", 500000);
	edit(h, "end", SIZE);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_patched(3);
	edit(h, "more", 700000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_patched(4);
	fs_release(h);
	stop();
}

static void test_near_ones_are_one(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "one", 500000);
	edit(h, "two", 500100);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 1);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 0);
	fs_release(h);
	stop();
}

/* The whole file goes beside the old one, and replaces it. */
static void whole(const struct mem_traits *traits, enum inplace inplace, size_t bytes, size_t at)
{
	start_on(traits, inplace, bytes);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "edit", at);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_replaced();
	fs_release(h);
	stop();
}

static void test_when_not(void **state)
{
	(void)state;
	whole(&(struct mem_traits){.no_copy = true}, INPLACE_OFF, SIZE, 1000);
	whole(&(struct mem_traits){.no_patch = true}, INPLACE_ON, SIZE, 1000);
	whole(NULL, INPLACE_AUTO, 100000, 1000); /* small */
	whole(NULL, INPLACE_ON, SIZE, 0);	 /* a STOR at 0 begins anew */
}

static void test_much_has_changed(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	for (size_t i = 0; i < SIZE / 4; i += 4)
		edit(h, "1234", 1000 + i);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_replaced();
	fs_release(h);
	stop();
}

static void test_too_many_places(void **state)
{
	(void)state;
	start(INPLACE_ON);
	struct handle *h = open_file(O_WRONLY);
	for (size_t i = 1; i <= 17; i++)
		edit(h, "x", i * 100000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_replaced();
	fs_release(h);
	stop();
}

static void test_somebody_elses_change_is_not_mixed_with_ours(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "ours", 1000000);
	memset(want, '!', size); /* of the same size */
	assert_int_equal(mem_put(server, "/f", want, size), 0);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_true(stored());
	fs_release(h);
	assert_true(stored());
	stop();
}

static void test_a_break_in_the_middle_is_mended(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "one", 500000);
	edit(h, "a longer second part", 1000000);
	clock_advance(10 * NS_PER_S); /* the mixture is newer */
	fault_nth(plan, FAULT_WRITE, FAULT_DIE, -ECONNRESET, 2, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_int_equal(fault_injected(plan, FAULT_DIE), 1);
	assert_patched(4);
	fs_release(h);
	stop();
}

/* A commit that failed in the middle, for good as it seems. */
static struct handle *torn(void)
{
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_RDWR);
	edit(h, "one", 500000);
	edit(h, "two", 1000000);
	clock_advance(10 * NS_PER_S);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, 2, FAULT_ALWAYS);
	assert_int_equal(fs_flush(h, &ctx), -ECONNRESET);
	fault_clear(plan);
	assert_false(stored());
	return h;
}

static void test_the_next_commit_goes_on(void **state)
{
	(void)state;
	struct handle *h = torn();
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 0);
	fs_release(h);
	stop();
}

static void test_what_arrives_late_finds_another_file(void **state)
{
	(void)state;
	struct handle *h = torn();
	edit(h, "new", 500000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_replaced();
	fs_release(h);
	stop();
}

/* The disk is full in the middle of an append; then all of the file takes its place, and the word
 * of that is lost: what is there is longer than what the append could have made of it. */
static void test_our_own_replacement_after_a_torn_append(void **state)
{
	(void)state;
	start(INPLACE_OFF);
	struct handle *h = open_file(O_RDWR);
	edit(h, "a tail", SIZE);
	fault_nth(plan, FAULT_WRITE, FAULT_NOSPACE, -ENOSPC, 1, 1);
	assert_int_equal(fs_flush(h, &ctx), -ENOSPC);
	edit(h, "one", 500000);
	edit(h, "a longer tail", SIZE);
	fault_nth(plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, 1, 1);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, 2, FAULT_ALWAYS);
	assert_int_equal(fs_flush(h, &ctx), -ECONNRESET);
	assert_int_equal(fault_injected(plan, FAULT_AFTER), 1);
	fault_clear(plan);
	edit(h, "two", 1000000);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_count(server), 1);
	fs_release(h);
	stop();
}

static void test_a_reader_never_sees_the_mixture(void **state)
{
	(void)state;
	char bytes[8192];
	struct handle *h = torn(), *r = open_file(O_RDONLY);
	for (size_t at = 496000; at < SIZE; at += 250000) {
		assert_int_equal(fs_read(r, bytes, sizeof(bytes), (int64_t)at, &ctx),
				 sizeof(bytes));
		assert_memory_equal(bytes, want + at, sizeof(bytes));
	}
	fs_release(r);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	fs_release(h);
	stop();
}

static void patch_meanwhile(void *arg)
{
	struct handle *h = arg;

	edit(h, "MEANWHILE", 100000);
	edit(h, "MEANWHILE", 300000);
	assert_int_equal(fs_flush(h, &ctx), 0);
}

static void test_a_read_across_a_patch_is_of_one_version(void **state)
{
	(void)state;
	static char bytes[300000];
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY), *r = open_file(O_RDONLY);
	assert_int_equal(fs_read(r, bytes, 20000, 90000, &ctx), 20000);
	fault_meanwhile(plan, FAULT_READ, patch_meanwhile, h);
	assert_int_equal(fs_read(r, bytes, sizeof(bytes), 90000, &ctx), sizeof(bytes));
	assert_memory_equal(want + 300000, "MEANWHILE", 9);
	assert_memory_equal(bytes, want + 90000, sizeof(bytes));
	fs_release(r);
	fs_release(h);
	stop();
}

static void test_a_torn_tail_that_is_cut_off_again_is_gone(void **state)
{
	(void)state;
	struct fs_found found;
	struct fs_attr attr;
	struct stat st = {.st_size = SIZE};
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "a tail of which a part arrives", SIZE);
	fault_nth(plan, FAULT_WRITE, FAULT_DIE, -ECONNRESET, 1, FAULT_ALWAYS);
	assert_int_equal(fs_flush(h, &ctx), -ECONNRESET);
	fault_clear(plan);
	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
	assert_int_equal(fs_setattr(fs, found.node, h, FS_SET_SIZE, &st, &attr, &ctx), 0);
	size = SIZE;
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	fs_release(h);
	stop();
}

static void test_a_refusal_finds_another_way(void **state)
{
	(void)state;
	start(INPLACE_AUTO);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "one", 500000);
	edit(h, "two", 1000000);
	fault_nth(plan, FAULT_FINISH, FAULT_BEFORE, -EACCES, 2, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_replaced();
	fs_release(h);
	stop();
}

static void test_the_time_that_was_set_is_kept(void **state)
{
	(void)state;
	struct fs_found found;
	struct fs_attr attr;
	struct stat st = {.st_mtim = {.tv_sec = 1000000000}};
	struct entry e;
	start_on(&(struct mem_traits){.settles_behind = true}, INPLACE_AUTO, SIZE);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "one", 500000);
	assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
	assert_int_equal(fs_setattr(fs, found.node, h, FS_SET_MTIME, &st, &attr, &ctx), 0);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_patched(1);
	assert_int_equal(mem_stat(server, "/f", &e), 0);
	assert_int_equal(e.mtime, 1000000000 * NS_PER_S);
	entry_clear(&e);
	fs_release(h);
	stop();
}

/* ---- in a copy that the server makes ---- */

static void see_old(void *arg)
{
	char *bytes;
	size_t n;

	(void)arg;
	assert_int_equal(mem_get(server, "/f", &bytes, &n), 0);
	assert_int_equal(n, SIZE);
	assert_memory_not_equal(bytes + 500000, "one", 3);
	free(bytes);
}

/* An edit and a tail, with inplace=off; a fault may have been planned. */
static void edit_beside(enum fault_op op, enum fault_kind kind, uint64_t nth)
{
	struct handle *h = open_file(O_WRONLY);

	edit(h, "one", 500000);
	edit(h, "tail", SIZE);
	clock_advance(10 * NS_PER_S);
	fault_meanwhile(plan, FAULT_RENAME, see_old, NULL);
	if (nth)
		fault_nth(plan, op, kind, -ECONNRESET, nth, 1);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(fault_carried(plan, FAULT_OPEN_READ), 0);
	fs_release(h);
	assert_int_equal(mem_count(server), 1);
}

static void test_only_what_changed_and_never_a_mixture(void **state)
{
	(void)state;
	start(INPLACE_OFF);
	edit_beside(FAULT_OPS, FAULT_KINDS, 0);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), 2);
	assert_int_equal(fault_carried(plan, FAULT_COPY), 1);
	assert_int_equal(fault_carried(plan, FAULT_RENAME), 1);
	stop();
}

static void test_a_copy_that_broke_off_is_begun_anew(void **state)
{
	(void)state;
	static const struct {
		enum fault_op op;
		enum fault_kind kind;
		unsigned copies;
	} faults[] = {
		{FAULT_COPY, FAULT_BEFORE, 1},	{FAULT_COPY, FAULT_AFTER, 1},
		{FAULT_WRITE, FAULT_DIE, 2},	{FAULT_FINISH, FAULT_AFTER, 2},
		{FAULT_SETTLE, FAULT_AFTER, 2}, {FAULT_RENAME, FAULT_BEFORE, 2},
		{FAULT_RENAME, FAULT_AFTER, 2},
	};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		start(INPLACE_OFF);
		edit_beside(faults[i].op, faults[i].kind, 1);
		assert_int_equal(fault_injected(plan, faults[i].kind), 1);
		assert_int_equal(fault_carried(plan, FAULT_COPY), faults[i].copies);
		stop();
	}
}

static void test_somebody_elses_change_is_not_copied(void **state)
{
	(void)state;
	start(INPLACE_OFF);
	struct handle *h = open_file(O_WRONLY);
	edit(h, "ours", 1000000);
	memset(want, '!', size);
	assert_int_equal(mem_put(server, "/f", want, size), 0);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_true(stored());
	fs_release(h);
	stop();
}

/* Every change of a file that was begun with is somebody's, however it is stored. */
static void replaced_meanwhile(size_t theirs, bool read_first, bool cut)
{
	char byte;
	struct handle *h;

	start_on(NULL, INPLACE_AUTO, 8000);
	h = open_file(O_RDWR);
	if (read_first)
		assert_int_equal(fs_read(h, want, sizeof(want), 0, &ctx), 8000);
	if (cut) {
		struct fs_found found;
		struct fs_attr attr;
		struct stat st = {.st_size = 4000};

		assert_int_equal(fs_lookup(fs, fs_root(fs), "f", &found, &ctx), 0);
		assert_int_equal(fs_setattr(fs, found.node, h, FS_SET_SIZE, &st, &attr, &ctx), 0);
	} else {
		edit(h, "ours", 4000);
	}
	memset(want, '!', theirs);
	size = theirs;
	assert_int_equal(mem_put(server, "/f", want, size), 0);
	assert_int_equal(fs_read(h, &byte, 1, 100, &ctx), -EIO);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_true(stored());
	assert_int_equal(fs_fsync(h, &ctx), -EIO);
	fs_release(h);
	assert_true(stored());
	stop();
}

static void test_somebody_elses_change_is_not_replaced(void **state)
{
	(void)state;
	replaced_meanwhile(48000, false, false);
	replaced_meanwhile(48000, true, false);
	replaced_meanwhile(48000, false, true);
	replaced_meanwhile(8000, false, false);
}

/* Between the fetch and the look. */
static void put_theirs(void *arg)
{
	(void)arg;
	memset(want, '!', 8000);
	assert_int_equal(mem_put(server, "/f", want, 8000), 0);
}

static void test_what_was_fetched_is_of_the_base(void **state)
{
	(void)state;
	char byte;

	start_on(NULL, INPLACE_AUTO, 8000);
	struct handle *h = open_file(O_RDWR);
	edit(h, "ours", 4000);
	fault_meanwhile(plan, FAULT_READ, put_theirs, NULL);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	assert_true(stored());
	assert_int_equal(fs_read(h, &byte, 1, 100, &ctx), -EIO);
	fs_release(h);
	stop();
}

/* All of it was here before, so both survive. */
static void test_a_whole_edit_is_stored_beside(void **state)
{
	(void)state;
	char bytes[8000];

	start_on(NULL, INPLACE_AUTO, 8000);
	struct handle *h = open_file(O_RDWR);
	edit(h, "ours", 4000);
	assert_int_equal(fs_read(h, bytes, sizeof(bytes), 0, &ctx), sizeof(bytes));
	put_theirs(NULL);
	assert_int_equal(fs_flush(h, &ctx), -EIO);
	fs_release(h);
	assert_true(stored());
	assert_int_equal(mem_count(server), 2);
	stop();
}

/* The word of a rename is lost: what is there now is nobody else's. */
static void test_our_own_rename_is_not_somebody_elses(void **state)
{
	(void)state;
	start_on(NULL, INPLACE_AUTO, 8000);
	struct handle *h = open_file(O_RDWR);
	edit(h, "longer", 7998);
	fault_nth(plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, 1, 1);
	clock_advance(10 * NS_PER_S);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	fs_release(h);
	stop();
}

/* A parked download of ours would keep a server that locks from taking the change. */
static void test_no_download_is_in_the_way_of_an_upload(void **state)
{
	(void)state;
	char bytes[20000];

	start(INPLACE_AUTO);
	struct handle *h = open_file(O_RDWR), *r = open_file(O_RDONLY);
	assert_int_equal(fs_read(h, bytes, sizeof(bytes), 0, &ctx), sizeof(bytes));
	assert_int_equal(fs_read(r, bytes, sizeof(bytes), 0, &ctx), sizeof(bytes));
	edit(h, "ours", 1000000);
	assert_int_equal(fs_read(r, bytes, sizeof(bytes), 500000, &ctx), sizeof(bytes));
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	assert_int_equal(mem_reads_open(server), 0);
	fs_release(r);
	fs_release(h);
	stop();
}

static void test_a_page_of_an_append_handle_has_its_place(void **state)
{
	(void)state;
	start_on(NULL, INPLACE_AUTO, 8000);
	struct handle *h = open_file(O_RDWR | O_APPEND);
	assert_int_equal(fs_write_page(h, "page", 4, 4096, &ctx), 4);
	memcpy(want + 4096, "page", 4);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_true(stored());
	fs_release(h);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_changed),
		cmocka_unit_test(test_near_ones_are_one),
		cmocka_unit_test(test_when_not),
		cmocka_unit_test(test_much_has_changed),
		cmocka_unit_test(test_too_many_places),
		cmocka_unit_test(test_somebody_elses_change_is_not_mixed_with_ours),
		cmocka_unit_test(test_a_break_in_the_middle_is_mended),
		cmocka_unit_test(test_the_next_commit_goes_on),
		cmocka_unit_test(test_what_arrives_late_finds_another_file),
		cmocka_unit_test(test_our_own_replacement_after_a_torn_append),
		cmocka_unit_test(test_a_reader_never_sees_the_mixture),
		cmocka_unit_test(test_a_read_across_a_patch_is_of_one_version),
		cmocka_unit_test(test_a_torn_tail_that_is_cut_off_again_is_gone),
		cmocka_unit_test(test_a_refusal_finds_another_way),
		cmocka_unit_test(test_the_time_that_was_set_is_kept),
		cmocka_unit_test(test_only_what_changed_and_never_a_mixture),
		cmocka_unit_test(test_a_copy_that_broke_off_is_begun_anew),
		cmocka_unit_test(test_somebody_elses_change_is_not_copied),
		cmocka_unit_test(test_somebody_elses_change_is_not_replaced),
		cmocka_unit_test(test_what_was_fetched_is_of_the_base),
		cmocka_unit_test(test_a_whole_edit_is_stored_beside),
		cmocka_unit_test(test_our_own_rename_is_not_somebody_elses),
		cmocka_unit_test(test_no_download_is_in_the_way_of_an_upload),
		cmocka_unit_test(test_a_page_of_an_append_handle_has_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
