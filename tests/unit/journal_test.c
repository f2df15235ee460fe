/* journal_test - what was promised is owed after a restart, whatever happened to the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_kit.h"
#include "remote.h"

/* ---- what it is for ---- */

static void test_every_field_comes_back(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	struct promise p = kit_simple(j, UINT64_C(0xfedcba9876543210), "/a b/\303\251\"c", 1 << 20),
		       *got;
	size_t n;

	(void)unused;
	p.whole = false;
	p.shrunk = p.on_server = p.patching = true;
	p.base_size = INT64_C(1) << 40;
	p.size = INT64_C(1) << 41;
	p.server_size = 12345;
	p.server_mtime = INT64_C(-123456789012);
	p.mtime = INT64_C(1763877600987654321);
	p.mode = 01751;
	extents_add(&p.dirty, INT64_C(1) << 33, (INT64_C(1) << 33) + 1);
	assert_int_equal(journal_promise(j, &p, true), 0);
	j = kit_reopen(j);
	assert_int_equal(journal_owed(j, &got, &n), 0);
	assert_int_equal(n, 1);
	assert_true(got->id == p.id);
	assert_string_equal(got->path, p.path);
	assert_true(got->patching && !got->litter);
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

/* It needs no spool to hold. */
static void test_a_rename_comes_back(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	struct promise p = {.id = 9, .path = "/to", .from = "/from", .mode = 0700}, *got;
	size_t n;

	(void)unused;
	assert_int_equal(journal_promise(j, &p, true), 0);
	j = kit_reopen(j);
	assert_int_equal(journal_owed(j, &got, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(got->path, "/to");
	assert_string_equal(got->from, "/from");
	assert_true(got->mode == 0700 && !got->litter);
	promise_clear(got);
	free(got);
	p.from = "not/absolute";
	assert_int_equal(journal_promise(j, &p, true), -EINVAL);
	p.from = "/from";
	p.litter = true;
	assert_int_equal(journal_promise(j, &p, true), -EINVAL);
	journal_close(j);
}

static void test_keeps_and_forgets(void **unused)
{
	struct journal *j = kit_reopen(NULL);

	(void)unused;
	assert_int_equal(kit_promise(j, 1, "/one", 10, true), 0);
	assert_int_equal(kit_promise(j, 2, "/two", 20, false), 0);
	assert_int_equal(kit_promise(j, 3, "/three", 30, true), 0);
	assert_int_equal(kit_promise(j, 1, "/uno", 11, false), 0); /* in the place of /one */
	journal_done(j, 2);
	journal_done(j, 2);
	journal_done(j, 77);
	assert_string_equal(kit_owed(j), "/three:30 /uno:11");
	kit_touch(kit_spool_path(j, 99)); /* never promised */
	kit_touch(kit_in_dir(j, "kept-2026-01-01-0000000000000063"));
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/three:30 /uno:11");
	assert_int_equal(access(kit_spool_path(j, 2), F_OK), -1);
	assert_int_equal(access(kit_spool_path(j, 99), F_OK), -1);
	assert_int_equal(access(kit_spool_path(j, 3), F_OK), 0);
	assert_int_equal(kit_count_files(j, "kept-"), 1);
	/* Its spool is gone: it was kept, only the word of it was lost. */
	unlink(kit_spool_path(j, 3));
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/uno:11");
	journal_done(j, 1);
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "");
	assert_int_equal(kit_file_size(kit_in_dir(j, "journal")), 16);
	journal_close(j);
}

static void test_nothing_that_could_not_be_read(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	struct promise p = kit_simple(j, 5, "/five", 100);
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
	struct journal *j = kit_reopen(NULL), *other;
	struct stat st;
	const char *name = strrchr(journal_dir(j), '/') + 1;

	(void)unused;
	assert_int_equal(strncmp(name, "ftp_somebody@example.org_2121_srv_Shared_files_", 47), 0);
	assert_int_equal(strlen(name), 47 + 16);
	assert_int_equal(stat(journal_dir(j), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(kit_in_dir(j, "journal"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(kit_in_dir(j, "lock"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* The same words, and another directory. */
	assert_int_equal(journal_open(kit_cache, "ftp://somebody@example.org:2121/srv/Shared+files",
				      &other, NULL),
			 0);
	assert_string_not_equal(journal_dir(other), journal_dir(j));
	journal_close(other);
	assert_int_equal(journal_open(kit_cache, "../..//./..", &other, NULL), 0);
	assert_int_equal(strncmp(journal_dir(other), kit_cache, strlen(kit_cache)), 0);
	assert_null(strstr(journal_dir(other), "/."));
	journal_close(other);
	assert_int_equal(chmod(journal_dir(j), 0755), 0);
	char *dir = strdup(journal_dir(j));
	journal_close(j);
	assert_int_equal(journal_open(kit_cache, kit_target, &j, NULL), -EPERM);
	free(dir);
}

/* ---- one process ---- */

static void test_second_process_is_refused(void **unused)
{
	struct journal *j = kit_reopen(NULL), *other = NULL;
	long owner = -1;
	int status;
	pid_t child;

	(void)unused;
	assert_int_equal(kit_promise(j, 1, "/one", 1, true), 0);
	kit_touch(kit_spool_path(j, 9));
	child = fork();
	if (child == 0) {
		int rc = journal_open(kit_cache, kit_target, &other, &owner);

		_exit(rc == -EBUSY && owner == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(journal_open(kit_cache, kit_target, &other, &owner), -EBUSY);
	assert_int_equal(owner, getpid());
	assert_int_equal(access(kit_spool_path(j, 9), F_OK), 0); /* nothing was touched */
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "/one:1");
	journal_close(j);
}

/* ---- damage ---- */

/* Three durable promises; where the records end. */
static char *three(struct journal *j, size_t ends[4], size_t *n)
{
	const char *path = kit_in_dir(j, "journal");

	ends[0] = (size_t)kit_file_size(path);
	assert_int_equal(kit_promise(j, 1, "/one", 1, true), 0);
	ends[1] = (size_t)kit_file_size(path);
	assert_int_equal(kit_promise(j, 2, "/two", 2, true), 0);
	ends[2] = (size_t)kit_file_size(path);
	assert_int_equal(kit_promise(j, 3, "/three", 3, true), 0);
	ends[3] = (size_t)kit_file_size(path);
	return kit_read_file(path, n);
}

static void test_torn_end(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	char *path, *bytes, torn[1000];
	size_t ends[4], n;

	(void)unused;
	bytes = three(j, ends, &n);
	path = strdup(kit_in_dir(j, "journal"));
	for (size_t cut = ends[2]; cut < ends[3]; cut++) {
		kit_touch(kit_spool_path(j, 3));
		journal_close(j);
		memcpy(torn, bytes, cut);
		memset(torn + cut, 0xaa, ends[3] - cut);
		kit_write_file(path, torn, cut % 2 ? cut : ends[3]);
		j = kit_reopen(NULL);
		assert_string_equal(kit_owed(j), "/one:1 /two:2");
		assert_int_equal(kit_file_size(path), ends[2]);
		assert_int_equal(access(kit_spool_path(j, 3), F_OK), -1);
		assert_int_equal(kit_promise(j, 4, "/four", 4, true), 0);
		j = kit_reopen(j);
		assert_string_equal(kit_owed(j), "/one:1 /two:2 /four:4");
		assert_int_equal(kit_count_files(j, "journal"), 1);
	}
	free(bytes);
	free(path);
	journal_close(j);
}

/* What a cut that did not reach the disk leaves behind newer records. */
static void test_old_records_do_not_come_back(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	char *path, *bytes;
	size_t ends[4], n, again;

	(void)unused;
	bytes = three(j, ends, &n);
	path = strdup(kit_in_dir(j, "journal"));
	journal_done(j, 1);
	journal_close(j);
	free(bytes);
	bytes = kit_read_file(path, &n);
	again = ends[1] - ends[0];
	bytes = realloc(bytes, n + again);
	memcpy(bytes + n, bytes + ends[0], again);
	kit_write_file(path, bytes, n + again);
	j = kit_reopen(NULL);
	assert_string_equal(kit_owed(j), "/two:2 /three:3");
	assert_int_equal(kit_file_size(path), n);
	journal_close(j);
	free(bytes);
	free(path);
}

/* A bit that flipped in the file, anywhere before its last record. */
static void check_flip(const char *path, const char *good, size_t n, const size_t *ends, size_t bit)
{
	char *bytes = malloc(n);
	const char *want = bit / 8 < ends[0] ? "" : bit / 8 < ends[1] ? "" : "/one:1";
	struct journal *j;

	memcpy(bytes, good, n);
	bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
	kit_write_file(path, bytes, n);
	j = kit_reopen(NULL);
	assert_string_equal(kit_owed(j), want);
	assert_int_equal(kit_count_files(j, "journal-damaged-"), 1);
	assert_int_equal(kit_file_size(path), *want ? ends[1] : ends[0]);
	/* Bytes that the lost records spoke of are still somebody's. */
	assert_int_equal(kit_count_files(j, "kept-"), *want ? 2 : 3);
	assert_int_equal(kit_count_files(j, "spool-"), *want ? 1 : 0);
	free(bytes);
	journal_close(j);
}

static void test_flipped_bit(void **unused)
{
	struct journal *j = kit_reopen(NULL);
	size_t ends[4], n;
	char *good = three(j, ends, &n), *path = strdup(kit_in_dir(j, "journal"));
	char *dir = strdup(journal_dir(j)), command[600];

	(void)unused;
	journal_close(j);
	for (size_t bit = 0; bit < 8 * ends[2]; bit += 3) {
		for (uint64_t id = 1; id <= 3; id++) {
			char name[SPOOL_NAME_SIZE];

			spool_name(id, name);
			snprintf(command, sizeof command, "%s/%s", dir, name);
			kit_touch(command);
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
	struct journal *j = kit_reopen(NULL), *other;
	char *path = strdup(kit_in_dir(j, "journal")), *spool = strdup(kit_spool_path(j, 8)),
	     *again;
	size_t n;

	(void)unused;
	journal_close(j);
	kit_write_file(path, header, sizeof header);
	kit_touch(spool);
	assert_int_equal(journal_open(kit_cache, kit_target, &other, NULL), -EPROTO);
	again = kit_read_file(path, &n);
	assert_int_equal(n, sizeof header);
	assert_memory_equal(again, header, n);
	assert_int_equal(access(spool, F_OK), 0);
	free(again);
	free(spool);
	free(path);
}

static void test_lost_journal_keeps_the_bytes(void **unused)
{
	struct journal *j = kit_reopen(NULL);

	(void)unused;
	assert_int_equal(kit_promise(j, 1, "/one", 1, true), 0);
	unlink(kit_in_dir(j, "journal"));
	unlink(kit_in_dir(j, "journal.new"));
	j = kit_reopen(j);
	assert_string_equal(kit_owed(j), "");
	assert_int_equal(kit_count_files(j, "kept-"), 1);
	assert_int_equal(kit_count_files(j, "spool-"), 0);
	journal_close(j);
}

/* Names to be removed and renames have no spool that could move. */
static void test_all_of_another_directory_is_taken_over(void **unused)
{
	struct promise litter = {.id = 2, .path = "/.ftpfs-0123456789abcdef", .litter = true},
		       rename = {.id = 4, .path = "/to", .from = "/from"};
	struct journal *first, *second;

	(void)unused;
	litter.server_mtime = litter.mtime = REMOTE_KEEP_MTIME;
	litter.mode = REMOTE_KEEP_MODE;
	assert_int_equal(journal_open_any(kit_cache, kit_target, &first), 0);
	assert_int_equal(journal_open_any(kit_cache, kit_target, &second), 0);
	assert_int_equal(kit_promise(second, 1, "/one", 10, true), 0);
	assert_int_equal(journal_promise(second, &litter, false), 0);
	assert_int_equal(journal_promise(second, &rename, true), 0);
	assert_int_equal(kit_promise(second, 3, "/three", 30, true), 0);
	journal_close(second);
	journal_close(first);
	assert_int_equal(journal_open_any(kit_cache, kit_target, &first), 0);
	assert_string_equal(kit_owed(first), "/one:10 /.ftpfs-0123456789abcdef:0 /to:0 /three:30");
	journal_close(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_field_comes_back, kit_empty_cache),
		cmocka_unit_test_setup(test_a_rename_comes_back, kit_empty_cache),
		cmocka_unit_test_setup(test_keeps_and_forgets, kit_empty_cache),
		cmocka_unit_test_setup(test_nothing_that_could_not_be_read, kit_empty_cache),
		cmocka_unit_test_setup(test_private_and_readable, kit_empty_cache),
		cmocka_unit_test_setup(test_second_process_is_refused, kit_empty_cache),
		cmocka_unit_test_setup(test_torn_end, kit_empty_cache),
		cmocka_unit_test_setup(test_old_records_do_not_come_back, kit_empty_cache),
		cmocka_unit_test_setup(test_flipped_bit, kit_empty_cache),
		cmocka_unit_test_setup(test_other_version_is_left_alone, kit_empty_cache),
		cmocka_unit_test_setup(test_lost_journal_keeps_the_bytes, kit_empty_cache),
		cmocka_unit_test_setup(test_all_of_another_directory_is_taken_over,
				       kit_empty_cache),
	};

	return cmocka_run_group_tests_name("journal", tests, kit_make_cache, kit_remove_cache);
}
