/* journal_disk_test - the journal written anew, on a disk that says no, and by many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/disk.h"
#include "journal_kit.h"

/* ---- compaction ---- */

static void test_compaction(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	const char *path = strdup(kit_in_dir(j, "journal"));
	int64_t largest = 0;

	(void)unused;
	journal_set_compact(j, 4000);
	assert_int_equal(kit_promise(j, 1, "/kept", 1, true), 0);
	for (uint64_t id = 2; id < 300; id++) {
		int64_t size;

		assert_int_equal(kit_promise(j, id, "/passes", 2, id % 8 == 0), 0);
		journal_done(j, id);
		unlink(kit_spool_path(j, id));
		size = kit_file_size(path);
		largest = size > largest ? size : largest;
		if (id == 100)
			assert_int_equal(kit_promise(j, 1, "/kept", 3, false), 0);
	}
	assert_true(largest < 4300);
	assert_string_equal(kit_owed(j), "/kept:3");
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/kept:3");
	assert_int_equal(kit_count_files(j, "journal"), 1);
	/* What is mostly alive is left alone, however long. */
	journal_set_compact(j, 1);
	for (uint64_t id = 300; id < 340; id++)
		assert_int_equal(kit_promise(j, id, "/long", 2, false), 0);
	journal_done(j, 1);
	for (uint64_t id = 300; id < 340; id++)
		journal_done(j, id);
	assert_int_equal(kit_file_size(path), 16);
	assert_int_equal(kit_promise(j, 1, "/again", 1, true), 0);
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/again:1");
	journal_close(j);
	free((void *)path);
}

/* ---- the disk says no ---- */

static struct disk_ops faulty;
static int64_t room;  /* bytes until the disk is full; -1: as many as you like */
static int bad_syncs; /* so many fail */
static int bad_cuts;

static ssize_t short_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	if (room >= 0 && (int64_t)n > room)
		n = (size_t)room;
	if (n == 0)
		return -ENOSPC;
	room -= room >= 0 ? (int64_t)n : 0;
	return disk_real.pwrite(fd, from, n, at);
}

static int bad_fdatasync(int fd)
{
	return bad_syncs > 0 ? bad_syncs--, -EIO : disk_real.fdatasync(fd);
}

static int bad_ftruncate(int fd, int64_t size)
{
	return bad_cuts > 0 ? bad_cuts--, -EIO : disk_real.ftruncate(fd, size);
}

static int make_faulty(void **state)
{
	faulty = disk_real;
	faulty.pwrite = short_pwrite;
	faulty.fdatasync = bad_fdatasync;
	faulty.ftruncate = bad_ftruncate;
	room = -1;
	bad_syncs = bad_cuts = 0;
	disk = &faulty;
	return kit_empty_cache(state);
}

static int make_sound(void **unused)
{
	(void)unused;
	disk = &disk_real;
	return 0;
}

static void test_full_disk(void **unused)
{
	struct journal *j = kit_reopen(NULL);

	(void)unused;
	assert_int_equal(kit_promise(j, 1, "/one", 1, true), 0);
	for (int64_t left = 0; left < 100; left++) {
		int64_t size = kit_file_size(kit_in_dir(j, "journal"));

		/* The torn record can be cut off, or not: then it is written over. */
		bad_cuts = left % 3 == 0;
		room = left;
		assert_int_equal(kit_promise(j, 2, "/two", 2, left % 2), -ENOSPC);
		assert_string_equal(kit_owed(j), "/one:1");
		if (left % 3)
			assert_int_equal(kit_file_size(kit_in_dir(j, "journal")), size);
		if (bad_cuts == 0 && left % 3 == 0)
			assert_int_equal(kit_promise(j, 2, "/two", 2, left % 2), -ENOSPC);
		room = left;
		assert_int_equal(kit_promise(j, 1, "/uno", 1, left % 2), -ENOSPC);
		room = -1;
		assert_int_equal(kit_promise(j, 3, "/three", 3, false), 0);
		assert_string_equal(kit_owed(j), "/one:1 /three:3");
		if (left % 5 == 0)
			j = kit_reopen(j);
		assert_string_equal(kit_owed(j), "/one:1 /three:3");
		journal_done(j, 3);
	}
	/* A done that finds no room is done for this process. */
	room = 0;
	journal_done(j, 1);
	assert_string_equal(kit_owed(j), "");
	room = -1;
	journal_close(j);
}

/* What a failed sync leaves on disk is not known, so all that holds is written to another file. */
static void test_failed_sync(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	struct stat before, after;

	(void)unused;
	assert_int_equal(kit_promise(j, 1, "/one", 1, true), 0);
	assert_int_equal(kit_promise(j, 2, "/two", 2, false), 0);
	assert_int_equal(stat(kit_in_dir(j, "journal"), &before), 0);
	bad_syncs = 1;
	assert_int_equal(kit_promise(j, 1, "/uno", 1, true), -EIO);
	assert_string_equal(kit_owed(j), "/two:2 /one:1");
	bad_syncs = 1;
	assert_int_equal(kit_promise(j, 3, "/three", 3, true), -EIO);
	assert_int_equal(journal_count(j), 2);
	assert_int_equal(kit_promise(j, 3, "/three", 3, true), 0);
	assert_int_equal(stat(kit_in_dir(j, "journal"), &after), 0);
	assert_true(before.st_ino != after.st_ino);
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/two:2 /one:1 /three:3");
	bad_syncs = 1;
	assert_int_equal(kit_promise(j, 4, "/four", 4, true), -EIO);
	j = kit_reopen(j); /* closing writes it anew, too */
	assert_string_equal(kit_owed(j), "/two:2 /one:1 /three:3");
	journal_close(j);
}

/* ---- threads ---- */

enum { THREADS = 16, EACH = 40 };
static struct journal *shared;
static unsigned sync_count;

static int slow_fdatasync(int fd)
{
	__atomic_add_fetch(&sync_count, 1, __ATOMIC_RELAXED);
	usleep(2000);
	return disk_real.fdatasync(fd);
}

static void *promise_many(void *arg)
{
	uint64_t first = 1 + (uint64_t)(uintptr_t)arg * EACH;

	for (uint64_t id = first; id < first + EACH; id++) {
		char path[32];
		struct promise p = {.id = id, .path = path, .size = (int64_t)id};

		snprintf(path, sizeof path, "/file%d", (int)id);
		if (journal_promise(shared, &p, id % 4 != 3))
			return arg ? arg : &shared;
		if (id % 2)
			journal_done(shared, id);
	}
	return NULL;
}

static void test_threads_share_syncs(void **unused)
{
	struct disk_ops slow = disk_real;
	struct promise *all;
	pthread_t threads[THREADS];
	size_t n;

	(void)unused;
	shared = kit_reopen(NULL);
	journal_set_compact(shared, 2000);
	for (uint64_t id = 1; id <= THREADS * EACH; id++)
		kit_touch(kit_spool_path(shared, id));
	slow.fdatasync = slow_fdatasync;
	sync_count = 0;
	disk = &slow;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, promise_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	disk = &disk_real;
	/* Three quarters of the promises are durable. */
	assert_in_range(sync_count, 1, THREADS * EACH / 4);
	shared = kit_reopen(shared);
	assert_int_equal(journal_owed(shared, &all, &n), 0);
	assert_int_equal(n, THREADS * EACH / 2);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i].id % 2, 0);
		assert_int_equal(all[i].size, all[i].id);
		promise_clear(&all[i]);
	}
	free(all);
	journal_close(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_compaction, kit_empty_cache),
		cmocka_unit_test_setup_teardown(test_full_disk, make_faulty, make_sound),
		cmocka_unit_test_setup_teardown(test_failed_sync, make_faulty, make_sound),
		cmocka_unit_test_setup(test_threads_share_syncs, kit_empty_cache),
	};

	return cmocka_run_group_tests_name("journal_disk", tests, kit_make_cache, kit_remove_cache);
}
