/* journal_test - what was promised is owed after a restart, whatever happened to the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/disk.h"
#include "fs/journal.h"
#include "remote.h"

static char cache[] = "/tmp/ftpfs-journal-XXXXXX";
static const char *const target = "ftp://somebody@example.org:2121/srv/Shared files";

static int make_cache(void **unused)
{
	(void)unused;
	log_set_level(getenv("JOURNAL_TEST_LOG") ? LOG_LEVEL_DEBUG : (enum log_level)(-1));
	return mkdtemp(cache) ? 0 : -1;
}

static int remove_cache(void **unused)
{
	char command[100];

	(void)unused;
	snprintf(command, sizeof command, "rm -rf %s", cache);
	return system(command);
}

/* Each test begins with nothing. */
static int empty_cache(void **unused)
{
	char command[100];

	(void)unused;
	snprintf(command, sizeof command, "rm -rf %s/*", cache);
	return system(command);
}

static struct journal *reopen(struct journal *j)
{
	journal_close(j);
	assert_int_equal(journal_open(cache, target, &j, NULL), 0);
	return j;
}

/* A path in the target's directory; static, four at a time. */
static const char *in_dir(const struct journal *j, const char *name)
{
	static char paths[4][400];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", journal_dir(j), name);
	return path;
}

static const char *spool_path(const struct journal *j, uint64_t id)
{
	char name[SPOOL_NAME_SIZE];

	spool_name(id, name);
	return in_dir(j, name);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* A promise of a path, with a spool of its own and one range of `size` bytes. */
static struct promise simple(struct journal *j, uint64_t id, const char *path, int64_t size)
{
	struct promise p = {.id = id, .size = size, .whole = true, .server_size = -1};

	p.path = strdup(path);
	p.server_mtime = p.mtime = REMOTE_KEEP_MTIME;
	p.mode = REMOTE_KEEP_MODE;
	extents_add(&p.dirty, 0, size);
	touch(spool_path(j, id));
	return p;
}

static int promise(struct journal *j, uint64_t id, const char *path, int64_t size, bool durable)
{
	struct promise p = simple(j, id, path, size);
	int rc = journal_promise(j, &p, durable);

	promise_clear(&p);
	return rc;
}

static int64_t file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* What is owed, as "path:size path:size", oldest first; static. */
static const char *owed(struct journal *j)
{
	static char text[8192];
	struct promise *all;
	size_t n, used = 0;

	assert_int_equal(journal_owed(j, &all, &n), 0);
	assert_int_equal(n, journal_count(j));
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%lld", i ? " " : "",
					 all[i].path, (long long)all[i].size);
		assert_true(used < sizeof text);
		promise_clear(&all[i]);
	}
	free(all);
	return text;
}

static int count_files(const struct journal *j, const char *prefix)
{
	DIR *dir = opendir(journal_dir(j));
	struct dirent *d;
	int n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += strncmp(d->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n;
}

/* ---- what it is for ---- */

static void test_every_field_comes_back(void **unused)
{
	struct journal *j = reopen(NULL);
	struct promise p = simple(j, UINT64_C(0xfedcba9876543210), "/a b/\303\251\"c", 1 << 20),
		       *got;
	size_t n;

	(void)unused;
	p.temp = strdup("/a b/.ftpfs-tmp");
	p.whole = false;
	p.shrunk = p.on_server = true;
	p.base_size = INT64_C(1) << 40;
	p.size = INT64_C(1) << 41;
	p.server_size = 12345;
	p.server_mtime = INT64_C(-123456789012);
	p.mtime = INT64_C(1763877600987654321);
	p.mode = 01751;
	extents_add(&p.dirty, INT64_C(1) << 33, (INT64_C(1) << 33) + 1);
	assert_int_equal(journal_promise(j, &p, true), 0);
	j = reopen(j);
	assert_int_equal(journal_owed(j, &got, &n), 0);
	assert_int_equal(n, 1);
	assert_true(got->id == p.id);
	assert_string_equal(got->path, p.path);
	assert_string_equal(got->temp, p.temp);
	assert_int_equal(got->size, p.size);
	assert_true(!got->whole && got->shrunk && got->on_server);
	assert_int_equal(got->base_size, p.base_size);
	assert_int_equal(got->server_size, p.server_size);
	assert_int_equal(got->server_mtime, p.server_mtime);
	assert_int_equal(got->mtime, p.mtime);
	assert_int_equal(got->mode, p.mode);
	assert_int_equal(got->dirty.n, 2);
	assert_memory_equal(got->dirty.v, p.dirty.v, 2 * sizeof *p.dirty.v);
	promise_clear(got);
	free(got);
	promise_clear(&p);
	journal_close(j);
}

static void test_keeps_and_forgets(void **unused)
{
	struct journal *j = reopen(NULL);

	(void)unused;
	assert_int_equal(promise(j, 1, "/one", 10, true), 0);
	assert_int_equal(promise(j, 2, "/two", 20, false), 0);
	assert_int_equal(promise(j, 3, "/three", 30, true), 0);
	assert_int_equal(promise(j, 1, "/uno", 11, false), 0); /* in the place of /one */
	journal_done(j, 2);
	journal_done(j, 2);
	journal_done(j, 77);
	assert_string_equal(owed(j), "/three:30 /uno:11");
	touch(spool_path(j, 99)); /* never promised */
	touch(in_dir(j, "kept-2026-01-01-0000000000000063"));
	j = reopen(j);
	assert_string_equal(owed(j), "/three:30 /uno:11");
	assert_int_equal(access(spool_path(j, 2), F_OK), -1);
	assert_int_equal(access(spool_path(j, 99), F_OK), -1);
	assert_int_equal(access(spool_path(j, 3), F_OK), 0);
	assert_int_equal(count_files(j, "kept-"), 1);
	/* Its spool is gone: it was kept, only the word of it was lost. */
	unlink(spool_path(j, 3));
	j = reopen(j);
	assert_string_equal(owed(j), "/uno:11");
	journal_done(j, 1);
	j = reopen(j);
	assert_string_equal(owed(j), "");
	assert_int_equal(file_size(in_dir(j, "journal")), 16);
	journal_close(j);
}

static void test_nothing_that_could_not_be_read(void **unused)
{
	struct journal *j = reopen(NULL);
	struct promise p = simple(j, 5, "/five", 100);
	char *path = p.path, long_path[5000];

	(void)unused;
	memset(long_path, 'x', sizeof long_path - 1);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	const char *bad[] = {"relative", "/a//b", "/a/../b", "/cr\rlf\n", "", long_path};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		p.path = (char *)bad[i];
		assert_true(journal_promise(j, &p, true) < 0);
		p.path = path;
		p.temp = *bad[i] ? (char *)bad[i] : NULL;
		if (p.temp)
			assert_true(journal_promise(j, &p, true) < 0);
		p.temp = NULL;
	}
	p.size = 99; /* the range ends beyond it */
	assert_int_equal(journal_promise(j, &p, true), -EINVAL);
	p.size = 100;
	p.id = 0;
	assert_int_equal(journal_promise(j, &p, true), -EINVAL);
	assert_int_equal(journal_count(j), 0);
	promise_clear(&p);
	journal_close(j);
}

static void test_private_and_readable(void **unused)
{
	struct journal *j = reopen(NULL), *other;
	struct stat st;
	const char *name = strrchr(journal_dir(j), '/') + 1;

	(void)unused;
	assert_int_equal(strncmp(name, "ftp_somebody@example.org_2121_srv_Shared_files_", 47), 0);
	assert_int_equal(strlen(name), 47 + 16);
	assert_int_equal(stat(journal_dir(j), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(in_dir(j, "journal"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(in_dir(j, "lock"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* The same words, and another directory. */
	assert_int_equal(journal_open(cache, "ftp://somebody@example.org:2121/srv/Shared+files",
				      &other, NULL),
			 0);
	assert_string_not_equal(journal_dir(other), journal_dir(j));
	journal_close(other);
	assert_int_equal(journal_open(cache, "../..//./..", &other, NULL), 0);
	assert_int_equal(strncmp(journal_dir(other), cache, strlen(cache)), 0);
	assert_null(strstr(journal_dir(other), "/."));
	journal_close(other);
	assert_int_equal(chmod(journal_dir(j), 0755), 0);
	char *dir = strdup(journal_dir(j));
	journal_close(j);
	assert_int_equal(journal_open(cache, target, &j, NULL), -EPERM);
	free(dir);
}

/* ---- one process ---- */

static void test_second_process_is_refused(void **unused)
{
	struct journal *j = reopen(NULL), *other = NULL;
	long owner = -1;
	int status;
	pid_t child;

	(void)unused;
	assert_int_equal(promise(j, 1, "/one", 1, true), 0);
	touch(spool_path(j, 9));
	child = fork();
	if (child == 0) {
		int rc = journal_open(cache, target, &other, &owner);

		_exit(rc == -EBUSY && owner == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(journal_open(cache, target, &other, &owner), -EBUSY);
	assert_int_equal(owner, getpid());
	assert_int_equal(access(spool_path(j, 9), F_OK), 0); /* nothing was touched */
	j = reopen(j);
	assert_string_equal(owed(j), "/one:1");
	journal_close(j);
}

/* ---- damage ---- */

static char *read_file(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY);
	char *bytes;

	assert_true(fd >= 0);
	*n = (size_t)file_size(path);
	bytes = malloc(*n + 1);
	assert_int_equal(read(fd, bytes, *n), *n);
	close(fd);
	return bytes;
}

static void write_file(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* Three durable promises; where the records end. */
static char *three(struct journal *j, size_t ends[4], size_t *n)
{
	const char *path = in_dir(j, "journal");

	ends[0] = (size_t)file_size(path);
	assert_int_equal(promise(j, 1, "/one", 1, true), 0);
	ends[1] = (size_t)file_size(path);
	assert_int_equal(promise(j, 2, "/two", 2, true), 0);
	ends[2] = (size_t)file_size(path);
	assert_int_equal(promise(j, 3, "/three", 3, true), 0);
	ends[3] = (size_t)file_size(path);
	return read_file(path, n);
}

static void test_torn_end(void **unused)
{
	struct journal *j = reopen(NULL);
	char *path, *bytes, torn[1000];
	size_t ends[4], n;

	(void)unused;
	bytes = three(j, ends, &n);
	path = strdup(in_dir(j, "journal"));
	for (size_t cut = ends[2]; cut < ends[3]; cut++) {
		touch(spool_path(j, 3));
		journal_close(j);
		memcpy(torn, bytes, cut);
		memset(torn + cut, 0xaa, ends[3] - cut);
		write_file(path, torn, cut % 2 ? cut : ends[3]);
		j = reopen(NULL);
		assert_string_equal(owed(j), "/one:1 /two:2");
		assert_int_equal(file_size(path), ends[2]);
		assert_int_equal(access(spool_path(j, 3), F_OK), -1);
		assert_int_equal(promise(j, 4, "/four", 4, true), 0);
		j = reopen(j);
		assert_string_equal(owed(j), "/one:1 /two:2 /four:4");
		assert_int_equal(count_files(j, "journal"), 1);
	}
	free(bytes);
	free(path);
	journal_close(j);
}

/* A bit that flipped in the file, anywhere before its last record. */
static void check_flip(const char *path, const char *good, size_t n, const size_t *ends, size_t bit)
{
	char *bytes = malloc(n);
	const char *want = bit / 8 < ends[0] ? "" : bit / 8 < ends[1] ? "" : "/one:1";
	struct journal *j;

	memcpy(bytes, good, n);
	bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
	write_file(path, bytes, n);
	j = reopen(NULL);
	assert_string_equal(owed(j), want);
	assert_int_equal(count_files(j, "journal-damaged-"), 1);
	/* Bytes that the lost records spoke of are still somebody's. */
	assert_int_equal(count_files(j, "kept-"), *want ? 2 : 3);
	assert_int_equal(count_files(j, "spool-"), *want ? 1 : 0);
	free(bytes);
	journal_close(j);
}

static void test_flipped_bit(void **unused)
{
	struct journal *j = reopen(NULL);
	size_t ends[4], n;
	char *good = three(j, ends, &n), *path = strdup(in_dir(j, "journal"));
	char *dir = strdup(journal_dir(j)), command[600];

	(void)unused;
	journal_close(j);
	for (size_t bit = 0; bit < 8 * ends[2]; bit += 3) {
		for (uint64_t id = 1; id <= 3; id++) {
			char name[SPOOL_NAME_SIZE];

			spool_name(id, name);
			snprintf(command, sizeof command, "%s/%s", dir, name);
			touch(command);
		}
		check_flip(path, good, n, ends, bit);
		DIR *d = opendir(dir);
		struct dirent *e;

		while ((e = readdir(d)))
			if (strncmp(e->d_name, "kept-", 5) == 0 ||
			    strncmp(e->d_name, "journal-", 8) == 0)
				unlinkat(dirfd(d), e->d_name, 0);
		closedir(d);
	}
	free(dir);
	free(good);
	free(path);
}

static void test_other_version_is_left_alone(void **unused)
{
	/* Version 2, with the checksum of such a header. */
	static const char header[] = "ftpfsjnl\2\0\0\0\x5f\xdf\xc0\x1a and what it means by it";
	struct journal *j = reopen(NULL), *other;
	char *path = strdup(in_dir(j, "journal")), *spool = strdup(spool_path(j, 8)), *again;
	size_t n;

	(void)unused;
	journal_close(j);
	write_file(path, header, sizeof header);
	touch(spool);
	assert_int_equal(journal_open(cache, target, &other, NULL), -EPROTO);
	again = read_file(path, &n);
	assert_int_equal(n, sizeof header);
	assert_memory_equal(again, header, n);
	assert_int_equal(access(spool, F_OK), 0);
	free(again);
	free(spool);
	free(path);
}

static void test_lost_journal_keeps_the_bytes(void **unused)
{
	struct journal *j = reopen(NULL);

	(void)unused;
	assert_int_equal(promise(j, 1, "/one", 1, true), 0);
	unlink(in_dir(j, "journal"));
	unlink(in_dir(j, "journal.new"));
	j = reopen(j);
	assert_string_equal(owed(j), "");
	assert_int_equal(count_files(j, "kept-"), 1);
	assert_int_equal(count_files(j, "spool-"), 0);
	journal_close(j);
}

/* ---- compaction ---- */

static void test_compaction(void **unused)
{
	struct journal *j = reopen(NULL);
	const char *path = strdup(in_dir(j, "journal"));
	int64_t largest = 0;

	(void)unused;
	journal_set_compact(j, 4000);
	assert_int_equal(promise(j, 1, "/kept", 1, true), 0);
	for (uint64_t id = 2; id < 300; id++) {
		int64_t size;

		assert_int_equal(promise(j, id, "/passes", 2, id % 8 == 0), 0);
		journal_done(j, id);
		unlink(spool_path(j, id));
		size = file_size(path);
		largest = size > largest ? size : largest;
		if (id == 100)
			assert_int_equal(promise(j, 1, "/kept", 3, false), 0);
	}
	assert_true(largest < 4300);
	assert_string_equal(owed(j), "/kept:3");
	j = reopen(j);
	assert_string_equal(owed(j), "/kept:3");
	assert_int_equal(count_files(j, "journal"), 1);
	/* What is mostly alive is left alone, however long. */
	journal_set_compact(j, 1);
	for (uint64_t id = 300; id < 340; id++)
		assert_int_equal(promise(j, id, "/long", 2, false), 0);
	journal_done(j, 1);
	for (uint64_t id = 300; id < 340; id++)
		journal_done(j, id);
	assert_int_equal(file_size(path), 16);
	assert_int_equal(promise(j, 1, "/again", 1, true), 0);
	j = reopen(j);
	assert_string_equal(owed(j), "/again:1");
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
	return empty_cache(state);
}

static int make_sound(void **unused)
{
	(void)unused;
	disk = &disk_real;
	return 0;
}

static void test_full_disk(void **unused)
{
	struct journal *j = reopen(NULL);

	(void)unused;
	assert_int_equal(promise(j, 1, "/one", 1, true), 0);
	for (int64_t left = 0; left < 100; left++) {
		/* The torn record can be cut off, or not: then the file is written anew. */
		bad_cuts = left % 3 == 0;
		room = left;
		assert_int_equal(promise(j, 2, "/two", 2, left % 2), -ENOSPC);
		assert_string_equal(owed(j), "/one:1");
		if (bad_cuts == 0 && left % 3 == 0)
			assert_int_equal(promise(j, 2, "/two", 2, left % 2), -ENOSPC);
		room = left;
		assert_int_equal(promise(j, 1, "/uno", 1, left % 2), -ENOSPC);
		room = -1;
		assert_int_equal(promise(j, 3, "/three", 3, false), 0);
		assert_string_equal(owed(j), "/one:1 /three:3");
		if (left % 5 == 0)
			j = reopen(j);
		assert_string_equal(owed(j), "/one:1 /three:3");
		journal_done(j, 3);
	}
	/* A done that finds no room is done for this process. */
	room = 0;
	journal_done(j, 1);
	assert_string_equal(owed(j), "");
	room = -1;
	journal_close(j);
}

/* What a failed sync leaves on disk is not known, so all that holds is written to another file. */
static void test_failed_sync(void **unused)
{
	struct journal *j = reopen(NULL);
	struct stat before, after;

	(void)unused;
	assert_int_equal(promise(j, 1, "/one", 1, true), 0);
	assert_int_equal(promise(j, 2, "/two", 2, false), 0);
	assert_int_equal(stat(in_dir(j, "journal"), &before), 0);
	bad_syncs = 1;
	assert_int_equal(promise(j, 1, "/uno", 1, true), -EIO);
	assert_string_equal(owed(j), "/two:2 /one:1");
	bad_syncs = 1;
	assert_int_equal(promise(j, 3, "/three", 3, true), -EIO);
	assert_int_equal(journal_count(j), 2);
	assert_int_equal(promise(j, 3, "/three", 3, true), 0);
	assert_int_equal(stat(in_dir(j, "journal"), &after), 0);
	assert_true(before.st_ino != after.st_ino);
	j = reopen(j);
	assert_string_equal(owed(j), "/two:2 /one:1 /three:3");
	bad_syncs = 1;
	assert_int_equal(promise(j, 4, "/four", 4, true), -EIO);
	j = reopen(j); /* closing writes it anew, too */
	assert_string_equal(owed(j), "/two:2 /one:1 /three:3");
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
	shared = reopen(NULL);
	journal_set_compact(shared, 2000);
	for (uint64_t id = 1; id <= THREADS * EACH; id++)
		touch(spool_path(shared, id));
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
	shared = reopen(shared);
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
		cmocka_unit_test_setup(test_every_field_comes_back, empty_cache),
		cmocka_unit_test_setup(test_keeps_and_forgets, empty_cache),
		cmocka_unit_test_setup(test_nothing_that_could_not_be_read, empty_cache),
		cmocka_unit_test_setup(test_private_and_readable, empty_cache),
		cmocka_unit_test_setup(test_second_process_is_refused, empty_cache),
		cmocka_unit_test_setup(test_torn_end, empty_cache),
		cmocka_unit_test_setup(test_flipped_bit, empty_cache),
		cmocka_unit_test_setup(test_other_version_is_left_alone, empty_cache),
		cmocka_unit_test_setup(test_lost_journal_keeps_the_bytes, empty_cache),
		cmocka_unit_test_setup(test_compaction, empty_cache),
		cmocka_unit_test_setup_teardown(test_full_disk, make_faulty, make_sound),
		cmocka_unit_test_setup_teardown(test_failed_sync, make_faulty, make_sound),
		cmocka_unit_test_setup(test_threads_share_syncs, empty_cache),
	};

	return cmocka_run_group_tests_name("journal", tests, make_cache, remove_cache);
}
