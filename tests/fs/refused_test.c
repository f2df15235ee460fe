/* refused_test - a server that has no room or no longer lets us, and a local disk that is full: an
 * error at write, fsync or close, the bytes in a file that the log names, and when the reason is
 * gone the next try stores them.  With write=through and write=back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/disk.h"
#include "fs/fs.h"
#include "fs/journal.h"
#include "mount_kit.h"
#include "remote_fault.h"
#include "remote_mem.h"
#include "remove_tree.h"

enum { BIG = 3 << 20 };

static struct mem_server *server;
static struct fault_plan *plan;
static struct journal *journal;
static struct fs *fs;
static struct opctx ctx;
static char cache[64];
static bool back;
static char big[BIG];

/* ---- a local disk that can be full ---- */

static atomic_bool full;
static struct disk_ops small_disk;

static ssize_t small_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	return atomic_load(&full) ? -ENOSPC : disk_real.pwrite(fd, from, n, at);
}

/* ---- the mount ---- */

static void mount_it(void)
{
	struct fs_conf conf = {
		.timeout = 50 * NS_PER_MS,
		.write_back = back,
		.uploads = 2,
		.umount_wait = 1,
	};

	fs = kit_mount(&conf, server, plan, cache, &journal);
}

static void unmount(void)
{
	kit_unmount(fs, journal);
}

static int setup(bool write_back)
{
	back = write_back;
	server = mem_server_create(&(struct mem_traits){0});
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	atomic_store(&full, false);
	strcpy(cache, "/tmp/ftpfs-refused-XXXXXX");
	assert_non_null(mkdtemp(cache));
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 31 >> 7);
	mount_it();
	return 0;
}

static int setup_through(void **state)
{
	(void)state;
	return setup(false);
}

static int setup_back(void **state)
{
	(void)state;
	return setup(true);
}

static int teardown(void **state)
{
	(void)state;
	unmount();
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	remove_tree(cache);
	return 0;
}

/* ---- looking ---- */

static bool is_spool(const char *name, const char *prefix)
{
	bool ours = strncmp(name, "kept-", 5) == 0 || strncmp(name, "spool-", 6) == 0;

	return ours && strncmp(name, prefix, strlen(prefix)) == 0;
}

/* How many files of the cache with bytes begin so, and whether (one of) them has these. */
static unsigned in_cache(const char *prefix, const char *bytes, size_t n, bool *same)
{
	DIR *d = opendir(journal_dir(journal));
	unsigned count = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[512];
		FILE *f;
		char *got = malloc(n + 1);

		if (is_spool(e->d_name, prefix)) {
			count++;
			snprintf(path, sizeof path, "%s/%s", journal_dir(journal), e->d_name);
			f = fopen(path, "r");
			assert_non_null(f);
			*same = fread(got, 1, n + 1, f) == n && memcmp(got, bytes, n) == 0;
			fclose(f);
		}
		free(got);
	}
	closedir(d);
	return count;
}

static void assert_kept(const char *prefix, const char *bytes, size_t n)
{
	bool same = false;

	assert_int_equal(in_cache(prefix, bytes, n, &same), 1);
	assert_true(same);
}

static void assert_nothing_left(void)
{
	bool same;

	/* What may have come late is looked for once more. */
	clock_advance(2 * NS_PER_S);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(in_cache("", "", 0, &same), 0);
	assert_int_equal(journal_count(journal), 0);
}

static void assert_stored(const char *path, const char *bytes, size_t size)
{
	assert_true(mem_is(server, path, bytes, size));
}

static unsigned names_on_server(void)
{
	return mem_count(server);
}

static struct handle *create(const char *name)
{
	struct fs_found f;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_create_file(fs, fs_root(fs), name, 0644, O_RDWR | O_CREAT | O_TRUNC, &f,
					&h, &keep, &ctx),
			 0);
	return h;
}

static struct handle *open_there(const char *name, int flags)
{
	struct fs_found f;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_lookup(fs, fs_root(fs), name, &f, &ctx), 0);
	assert_int_equal(fs_open(fs, f.node, flags, &h, &keep, &ctx), 0);
	return h;
}

static void put(struct handle *h, const char *bytes, size_t n, int64_t at)
{
	for (size_t done = 0, part; done < n; done += part) {
		part = n - done < 131072 ? n - done : 131072;
		assert_int_equal(fs_write(h, bytes + done, part, at + (int64_t)done, &ctx), part);
	}
}

/* The error is told, once by each; an error of a try in the background may be told late. */
static void retry(struct handle *h)
{
	int rc = fs_fsync(h, &ctx);

	if (rc)
		rc = fs_fsync(h, &ctx);
	assert_int_equal(rc, 0);
}

/* ---- the server refuses ---- */

struct refusal {
	enum fault_op op;
	int error;
};

/* While the bytes go, at their end, before the first of them; for want of room, by quota, by
 * permission, by a server that breaks off instead of saying why. */
static const struct refusal REFUSALS[] = {
	{FAULT_WRITE, -ENOSPC},	     {FAULT_FINISH, -ENOSPC},	  {FAULT_FINISH, -EDQUOT},
	{FAULT_OPEN_WRITE, -EDQUOT}, {FAULT_OPEN_WRITE, -EACCES}, {FAULT_FINISH, -EACCES},
	{FAULT_FINISH, -ECONNRESET},
};

static void refuse(const struct refusal *r)
{
	fault_rate(plan, r->op, FAULT_BEFORE, r->error, FAULT_ALWAYS);
}

static void told_and_kept(struct handle *h, const struct refusal *r, const char *name,
			  const char *bytes, size_t n)
{
	char path[64];

	snprintf(path, sizeof path, "/%s", name);
	assert_int_equal(fs_fsync(h, &ctx), r->error);
	/* Where it is not known what the server has now, the next try is owed. */
	assert_kept(remote_link_error(r->error) ? "" : "kept-", bytes, n);
	fault_clear(plan);
	retry(h);
	assert_stored(path, bytes, n);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_nothing_left();
}

static void test_a_new_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
		struct handle *h = create("file");

		put(h, "content", 7, 0);
		refuse(&REFUSALS[i]);
		told_and_kept(h, &REFUSALS[i], "file", "content", 7);
		assert_int_equal(names_on_server(), 1);
		assert_int_equal(fs_unlink(fs, fs_root(fs), "file", &ctx), 0);
	}
}

static void test_a_file_that_is_sent_while_it_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
		struct handle *h = create("file");

		refuse(&REFUSALS[i]);
		put(h, big, BIG, 0);
		told_and_kept(h, &REFUSALS[i], "file", big, BIG);
		assert_int_equal(names_on_server(), 1);
		assert_int_equal(fs_unlink(fs, fs_root(fs), "file", &ctx), 0);
	}
}

static void test_the_old_content_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++) {
		struct handle *h;

		/* No permission for another name: the only way left is the file itself. */
		if (REFUSALS[i].error == -EACCES)
			continue;
		assert_int_equal(mem_put(server, "/file", "old", 3), 0);
		clock_advance(60 * NS_PER_S);
		h = open_there("file", O_RDWR | O_TRUNC);
		put(h, "content", 7, 0);
		refuse(&REFUSALS[i]);
		assert_int_equal(fs_fsync(h, &ctx), REFUSALS[i].error);
		assert_stored("/file", "old", 3);
		told_and_kept(h, &REFUSALS[i], "file", "content", 7);
	}
	assert_int_equal(names_on_server(), 1);
}

/* What a broken follower has sent lies under a name of its own, and may be what fills the disk. */
static void test_what_was_begun_does_not_take_the_room(void **state)
{
	(void)state;
	struct handle *h;

	fault_nth(plan, FAULT_WRITE, FAULT_DIE, -ECONNRESET, 1, 1);
	h = create("file");
	put(h, big, BIG, 0);
	assert_int_equal(names_on_server(), 1);
	fault_rate(plan, FAULT_FINISH, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(fs_fsync(h, &ctx), -ECONNRESET);
	assert_int_equal(mem_stat(server, "/file", &(struct entry){0}), 0);
	assert_int_equal(names_on_server(), 1);
	fault_clear(plan);
	retry(h);
	assert_stored("/file", big, BIG);
	fs_release(h);
}

static void test_nobody_waits_for_the_next_try(void **state)
{
	(void)state;
	struct refusal r = {FAULT_FINISH, -ENOSPC};
	struct handle *h = create("file");

	put(h, "content", 7, 0);
	refuse(&r);
	assert_int_equal(fs_flush(h, &ctx), back ? 0 : -ENOSPC);
	fs_release(h);
	if (back) {
		assert_int_equal(fs_sync(fs, &ctx), -ENOSPC);
		assert_kept("spool-", "content", 7);
		fault_clear(plan);
		assert_int_equal(fs_sync(fs, &ctx), 0);
		assert_stored("/file", "content", 7);
		assert_nothing_left();
	} else {
		assert_kept("kept-", "content", 7);
	}
}

static void *open_and_read(void *got)
{
	struct handle *h = open_there("file", O_RDONLY);

	((char *)got)[fs_read(h, got, 8, 0, &ctx)] = '\0';
	fs_release(h);
	return NULL;
}

static unsigned users_of(struct node *n)
{
	struct file *f = n->file;
	unsigned refs;

	mutex_lock(&f->files->tree->lock);
	refs = f->refs;
	mutex_unlock(&f->files->tree->lock);
	return refs;
}

/* The kernel reports the last close behind close(2): who opens before is not shown what is about to
 * be set aside. */
static void test_who_opens_after_the_close(void **state)
{
	(void)state;
	struct refusal r = {FAULT_OPEN_WRITE, -EACCES};
	struct handle *h;
	struct node *n;
	pthread_t reader;
	char got[16];

	assert_int_equal(mem_put(server, "/file", "old", 3), 0);
	clock_advance(60 * NS_PER_S);
	h = open_there("file", O_WRONLY | O_TRUNC);
	n = h->file->node;
	put(h, "content", 7, 0);
	refuse(&r);
	assert_int_equal(fs_flush(h, &ctx), -EACCES);
	assert_int_equal(pthread_create(&reader, NULL, open_and_read, got), 0);
	while (users_of(n) < 2)
		sched_yield();
	fs_release(h);
	pthread_join(reader, NULL);
	assert_string_equal(got, "old");
	assert_kept("kept-", "content", 7);
}

/* Whoever has the same open(2) still, and not the last word: nobody waits for that. */
static void test_a_close_that_was_not_the_last(void **state)
{
	(void)state;
	struct refusal r = {FAULT_OPEN_WRITE, -EACCES};
	struct handle *h;
	char got[16];

	assert_int_equal(mem_put(server, "/file", "old", 3), 0);
	clock_advance(60 * NS_PER_S);
	h = open_there("file", O_WRONLY | O_TRUNC);
	put(h, "content", 7, 0);
	refuse(&r);
	assert_int_equal(fs_flush(h, &ctx), -EACCES);
	open_and_read(got);
	assert_string_equal(got, "content");
	fault_clear(plan);
	retry(h);
	fs_release(h);
	assert_stored("/file", "content", 7);
}

/* Told, then promised all the same: the promise needs the file that had been set aside. */
static void test_the_next_mount_stores_what_was_refused(void **state)
{
	(void)state;
	struct refusal r = {FAULT_FINISH, -EDQUOT};
	struct handle *h = create("file");

	put(h, "content", 7, 0);
	refuse(&r);
	assert_int_equal(fs_fsync(h, &ctx), -EDQUOT);
	assert_kept("kept-", "content", 7);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_kept("spool-", "content", 7);
	fs_release(h);
	unmount();
	fault_clear(plan);
	mount_it();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content", 7);
	assert_nothing_left();
}

/* ---- the local disk is full ---- */

static void test_a_full_spool(void **state)
{
	(void)state;
	struct handle *h = create("file");

	put(h, "content", 7, 0);
	atomic_store(&full, true);
	assert_int_equal(fs_write(h, "more", 4, 7, &ctx), -ENOSPC);
	atomic_store(&full, false);
	put(h, " and more", 9, 7);
	retry(h);
	assert_stored("/file", "content and more", 16);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	assert_nothing_left();
}

/* Where close(2) promises, the promise has to be written down. */
static void test_no_room_for_the_promise(void **state)
{
	(void)state;
	struct handle *h = create("file");

	put(h, "content", 7, 0);
	atomic_store(&full, true);
	assert_int_equal(fs_flush(h, &ctx), back ? -ENOSPC : 0);
	atomic_store(&full, false);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content", 7);
	assert_nothing_left();
}

/* The rest of a file that is edited has to be fetched. */
static void test_no_room_for_the_rest(void **state)
{
	(void)state;
	struct refusal r = {FAULT_OPEN_WRITE, -EOPNOTSUPP};
	struct handle *h;

	assert_int_equal(mem_put(server, "/file", "0123456789", 10), 0);
	clock_advance(60 * NS_PER_S);
	h = open_there("file", O_WRONLY);
	put(h, "abc", 3, 3);
	fault_nth(plan, r.op, FAULT_BEFORE, r.error, 1, 1);
	atomic_store(&full, true);
	assert_int_equal(fs_fsync(h, &ctx), -ENOSPC);
	assert_stored("/file", "0123456789", 10);
	atomic_store(&full, false);
	retry(h);
	assert_stored("/file", "012abc6789", 10);
	fs_release(h);
}

/* What an edit needed of the server's file is here when the link breaks, and need not be fetched
 * once more: the server may have locked it by then (vsftpd). */
static void test_what_was_fetched_is_kept_when_the_link_breaks(void **state)
{
	struct handle *h;
	int rc;

	(void)state;
	assert_int_equal(mem_put(server, "/file", "0123456789", 10), 0);
	clock_advance(60 * NS_PER_S);
	h = open_there("file", O_WRONLY);
	put(h, "abc", 3, 3);
	/* Between the bytes and the look at the file that proves them. */
	fault_rate(plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(fs_fsync(h, &ctx), -ECONNRESET);
	fault_clear(plan);
	fault_rate(plan, FAULT_OPEN_READ, FAULT_BEFORE, -ETIMEDOUT, FAULT_ALWAYS);
	rc = fs_fsync(h, &ctx);
	assert_true(rc == 0 || (back && fs_fsync(h, &ctx) == 0)); /* told once, by each */
	fault_clear(plan);
	assert_stored("/file", "012abc6789", 10);
	fs_release(h);
}

/* A save is not stored, for the reason `told`, and its temporary is not removed, for `removing`. */
static void leave_a_temporary(int told, int removing)
{
	struct handle *h;

	assert_int_equal(mem_put(server, "/file", "old", 3), 0);
	clock_advance(60 * NS_PER_S);
	h = open_there("file", O_WRONLY | O_TRUNC);
	put(h, "new", 3, 0);
	fault_rate(plan, FAULT_FINISH, FAULT_BEFORE, told, FAULT_ALWAYS);
	fault_rate(plan, FAULT_REMOVE, FAULT_BEFORE, removing, FAULT_ALWAYS);
	assert_int_equal(fs_flush(h, &ctx), told);
	fs_release(h);
}

static void store_another(void)
{
	struct handle *h = create("other");

	put(h, "x", 1, 0);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
}

/* Neither the file nor its temporary could be dealt with while the link was gone, and nobody has it
 * open any more: whoever next stores something removes it. */
static void test_what_a_lost_link_left_is_removed_when_it_is_back(void **state)
{
	(void)state;
	leave_a_temporary(-ECONNRESET, -ECONNRESET);
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(journal_count(journal), 1);
	fault_clear(plan);
	store_another();
	assert_stored("/file", "old", 3);
	assert_stored("/other", "x", 1);
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(journal_count(journal), 0);
}

/* The command that makes a name is still on its way, on a session that was cut, when the one that
 * removes it has come and gone. */
static void test_a_name_that_comes_late_is_removed(void **state)
{
	(void)state;
	leave_a_temporary(-EACCES, -ENOENT);
	assert_int_equal(names_on_server(), 2);
	fault_clear(plan);
	clock_advance(2 * NS_PER_S);
	store_another();
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(journal_count(journal), 0);
}

/* While it stays away there is one try for each close, and the next mount has the rest. */
static void test_what_a_lost_link_left_is_the_next_mounts(void **state)
{
	struct handle *h;

	(void)state;
	leave_a_temporary(-ECONNRESET, -ECONNRESET);
	h = open_there("file", O_WRONLY);
	uint64_t calls = fault_calls(plan, FAULT_REMOVE);
	fs_release(h);
	assert_int_equal(fault_calls(plan, FAULT_REMOVE), calls + 1);
	assert_int_equal(journal_count(journal), 1);
	unmount();
	fault_clear(plan);
	mount_it();
	assert_stored("/file", "old", 3);
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(journal_count(journal), 0);
}

/* The word that it has its name got lost: whoever removes it does not take it for one that is here
 * alone. */
static void test_a_name_that_it_may_have_is_removed(void **state)
{
	struct handle *h = create("file");

	(void)state;
	fault_rate(plan, FAULT_RENAME, FAULT_AFTER, -ECONNRESET, FAULT_ALWAYS);
	put(h, big, BIG, 0);
	assert_int_equal(fs_fsync(h, &ctx), -ECONNRESET);
	assert_stored("/file", big, BIG);
	fault_clear(plan);
	assert_int_equal(fs_unlink(fs, fs_root(fs), "file", &ctx), 0);
	fs_release(h);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(names_on_server(), 0);
	assert_nothing_left();
}

#define BOTH(f)                                                                                    \
	cmocka_unit_test_setup_teardown(f, setup_through, teardown),                               \
		cmocka_unit_test_setup_teardown(f, setup_back, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_a_new_file),
		BOTH(test_a_file_that_is_sent_while_it_is_written),
		BOTH(test_the_old_content_stays),
		BOTH(test_what_was_begun_does_not_take_the_room),
		BOTH(test_nobody_waits_for_the_next_try),
		cmocka_unit_test_setup_teardown(test_who_opens_after_the_close, setup_through,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_close_that_was_not_the_last, setup_through,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_next_mount_stores_what_was_refused,
						setup_back, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_a_lost_link_left_is_removed_when_it_is_back, setup_through,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_name_that_comes_late_is_removed,
						setup_through, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_lost_link_left_is_the_next_mounts,
						setup_through, teardown),
		BOTH(test_a_name_that_it_may_have_is_removed),
		BOTH(test_a_full_spool),
		BOTH(test_no_room_for_the_promise),
		BOTH(test_no_room_for_the_rest),
		BOTH(test_what_was_fetched_is_kept_when_the_link_breaks),
	};

	small_disk = disk_real;
	small_disk.pwrite = small_pwrite;
	disk = &small_disk;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
