/* writeback_test - write=back: what a close promises, and that the promise is kept, whatever comes
 * between.  Over a server in memory, with the real journal. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "fs/journal.h"
#include "fs/writeback.h"
#include "mount_kit.h"
#include "remote_fault.h"
#include "remote_mem.h"
#include "remove_tree.h"

static struct mem_server *server;
static struct fault_plan *plan;
static struct journal *journal;
static struct fs *fs;
static struct opctx ctx;
static char cache[64];
static int64_t cache_size, patience;
static bool read_only, through, verify;
static enum inplace inplace;
static enum atomicity atomic;

static void mount_again(void)
{
	struct fs_conf conf = {
		.timeout = patience,
		.write_back = !through,
		.uploads = 4,
		.cache_size = cache_size,
		.read_only = read_only,
		.inplace = inplace,
		.atomic = atomic,
		.verify_hash = verify,
		.umount_wait = NS_PER_S,
	};

	fs = kit_mount(&conf, server, plan, cache, &journal);
}

static void unmount(void)
{
	kit_unmount(fs, journal);
}

static int setup(void **state)
{
	(void)state;
	server = mem_server_create(&(struct mem_traits){.hash = HASH_SHA256});
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	cache_size = 0;
	inplace = INPLACE_AUTO;
	atomic = ATOMIC_AUTO;
	through = false;
	verify = false;
	patience = 50 * NS_PER_MS;
	strcpy(cache, "/tmp/ftpfs-back-XXXXXX");
	assert_non_null(mkdtemp(cache));
	mount_again();
	return 0;
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

/* Files in the journal's directory whose name begins so. */
static unsigned kept(const char *prefix)
{
	DIR *d = opendir(journal_dir(journal));
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

/* Behind our back, and long ago. */
static void serve(const char *path, const char *text)
{
	assert_int_equal(mem_put(server, path, text, strlen(text)), 0);
	clock_advance(60 * NS_PER_S);
	assert_int_equal(fs_probe(fs, &ctx), 0);
}

static struct node *look(const char *name)
{
	struct fs_found f;

	assert_int_equal(fs_lookup(fs, fs_root(fs), name, &f, &ctx), 0);
	return f.node;
}

static int save_as(const char *name, const char *text)
{
	struct fs_found f;
	struct handle *h;
	bool keep;
	int rc = fs_create_file(fs, fs_root(fs), name, 0644, O_WRONLY | O_CREAT | O_TRUNC, &f, &h,
				&keep, &ctx);

	assert_int_equal(rc, 0);
	assert_int_equal(fs_write(h, text, strlen(text), 0, &ctx), strlen(text));
	rc = fs_flush(h, &ctx);
	fs_release(h);
	return rc;
}

static void save(const char *name, const char *text)
{
	assert_int_equal(save_as(name, text), 0);
}

/* Writes `text` at `at` of a file that is there. */
static int edit_as(const char *name, const char *text, int64_t at)
{
	struct handle *h;
	bool keep;
	int rc;

	assert_int_equal(fs_open(fs, look(name), O_WRONLY, &h, &keep, &ctx), 0);
	assert_int_equal(fs_write(h, text, strlen(text), at, &ctx), strlen(text));
	rc = fs_flush(h, &ctx);
	fs_release(h);
	return rc;
}

static void edit(const char *name, const char *text, int64_t at)
{
	assert_int_equal(edit_as(name, text, at), 0);
}

static void resize(const char *name, int64_t size)
{
	struct stat want = {.st_size = size};
	struct fs_attr attr;

	assert_int_equal(fs_setattr(fs, look(name), NULL, FS_SET_SIZE, &want, &attr, &ctx), 0);
}

static void assert_reads(const char *name, const char *text)
{
	char bytes[256];
	struct handle *h;
	bool keep;
	ssize_t n;

	assert_int_equal(fs_open(fs, look(name), O_RDONLY, &h, &keep, &ctx), 0);
	n = fs_read(h, bytes, sizeof bytes, 0, &ctx);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	fs_release(h);
}

static bool on_server(const char *path)
{
	struct entry e;
	int rc = mem_stat(server, path, &e);

	if (rc == 0)
		entry_clear(&e);
	return rc == 0;
}

static void assert_stored(const char *path, const char *text)
{
	assert_true(mem_is(server, path, text, strlen(text)));
}

static unsigned names_on_server(void)
{
	return mem_count(server);
}

static void server_is_gone(bool gone)
{
	fault_clear(plan);
	for (int op = 0; gone && op < FAULT_OPS; op++)
		fault_rate(plan, (enum fault_op)op, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
}

static uint64_t owed_files(void)
{
	struct owing o;

	fs_owing(fs, &o);
	return o.files;
}

/* The process ends with the server out of reach: what was promised stays so. */
static void end_without_server(void)
{
	server_is_gone(true);
	unmount();
	server_is_gone(false);
}

static void test_a_close_promises(void **state)
{
	(void)state;
	server_is_gone(true);
	save("file", "content");
	assert_false(on_server("/file"));
	assert_int_equal(owed_files(), 1);
	assert_int_equal(journal_count(journal), 1);
	assert_reads("file", "content");
	server_is_gone(false);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content");
	assert_int_equal(owed_files(), 0);
	assert_int_equal(journal_count(journal), 0);
	assert_int_equal(kept("spool-"), 0);
	assert_int_equal(names_on_server(), 1);
}

static void test_it_is_stored_without_being_asked(void **state)
{
	(void)state;
	int64_t end = clock_monotonic() + 10 * NS_PER_S;

	save("file", "content");
	while (owed_files() && clock_monotonic() < end)
		usleep(1000);
	assert_stored("/file", "content");
}

static void test_fsync_waits_for_the_server(void **state)
{
	(void)state;
	struct handle *h;
	bool keep;

	server_is_gone(true);
	save("file", "content");
	server_is_gone(false);
	assert_int_equal(fs_open(fs, look("file"), O_WRONLY, &h, &keep, &ctx), 0);
	server_is_gone(true);
	assert_int_equal(fs_fsync(h, &ctx), -ECONNRESET);
	server_is_gone(false);
	assert_int_equal(fs_fsync(h, &ctx), 0);
	assert_stored("/file", "content");
	fs_release(h);
}

static void test_sync_tells_what_is_not_stored(void **state)
{
	(void)state;
	struct owing o;

	server_is_gone(true);
	save("file", "content");
	assert_int_equal(fs_sync(fs, &ctx), -ECONNRESET);
	fs_owing(fs, &o);
	assert_int_equal(o.files, 1);
	assert_int_equal(o.failing, 1);
	assert_int_equal(o.bytes, 7);
	server_is_gone(false);
	assert_int_equal(fs_sync(fs, &ctx), 0);
}

/* rsync, editors: write a temporary file, set its time and mode, rename it. */
static void test_save_and_rename_is_one_upload(void **state)
{
	(void)state;
	struct stat want = {.st_mode = 0600, .st_mtim.tv_sec = 1000000000};
	struct fs_attr attr;
	struct entry e;

	look("dir"); /* the root is listed */
	uint64_t renames = fault_calls(plan, FAULT_RENAME),
		 opens = fault_calls(plan, FAULT_OPEN_WRITE);
	save(".file.tmp", "content");
	assert_int_equal(fs_setattr(fs, look(".file.tmp"), NULL, FS_SET_MODE | FS_SET_MTIME, &want,
				    &attr, &ctx),
			 0);
	assert_int_equal(fs_rename(fs, fs_root(fs), ".file.tmp", fs_root(fs), "file", 0, &ctx), 0);
	assert_null(look(".file.tmp"));
	assert_reads("file", "content");
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(fault_calls(plan, FAULT_RENAME), renames);
	assert_int_equal(fault_calls(plan, FAULT_OPEN_WRITE), opens + 1);
	assert_int_equal(mem_stat(server, "/file", &e), 0);
	assert_int_equal(e.mtime, 1000000000 * NS_PER_S);
	assert_int_equal(e.mode, 0600);
	entry_clear(&e);
}

static void test_rename_over_a_file_keeps_the_old_one_until_then(void **state)
{
	(void)state;
	struct handle *old;
	char bytes[16];
	bool keep;

	serve("/file", "old");
	assert_int_equal(fs_open(fs, look("file"), O_RDONLY, &old, &keep, &ctx), 0);
	save("file.new", "new content");
	assert_int_equal(fs_rename(fs, fs_root(fs), "file.new", fs_root(fs), "file", 0, &ctx), 0);
	assert_stored("/file", "old");
	assert_reads("file", "new content");
	assert_int_equal(fs_read(old, bytes, sizeof bytes, 0, &ctx), 3);
	assert_memory_equal(bytes, "old", 3);
	fs_release(old);
	/* The upload that replaces it breaks: the old one is still there. */
	fault_nth(plan, FAULT_FINISH, FAULT_BEFORE, -ENOSPC, 1, 1);
	assert_int_equal(fs_sync(fs, &ctx), -ENOSPC);
	assert_stored("/file", "old");
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "new content");
	assert_int_equal(names_on_server(), 1);
}

static void test_removed_before_it_was_stored(void **state)
{
	(void)state;
	uint64_t opens = fault_carried(plan, FAULT_OPEN_WRITE);

	server_is_gone(true); /* whatever tries */
	save("file", "content");
	assert_int_equal(fs_unlink(fs, fs_root(fs), "file", &ctx), 0);
	server_is_gone(false);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(names_on_server(), 0);
	assert_int_equal(fault_carried(plan, FAULT_OPEN_WRITE), opens);
	assert_int_equal(journal_count(journal), 0);
	assert_int_equal(kept("spool-"), 0);
}

static void test_replaced_before_it_was_stored(void **state)
{
	(void)state;
	server_is_gone(true);
	save("a", "one");
	save("b", "two");
	assert_int_equal(fs_rename(fs, fs_root(fs), "a", fs_root(fs), "b", 0, &ctx), 0);
	assert_int_equal(journal_count(journal), 1);
	server_is_gone(false);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/b", "one");
	assert_int_equal(names_on_server(), 1);
}

static void test_changed_again_before_it_was_stored(void **state)
{
	(void)state;
	save("file", "first");
	edit("file", "FIR", 0); /* stored first: what was promised is not written over */
	assert_stored("/file", "first");
	save("file", "the second one");
	assert_stored("/file", "FIRst");
	assert_int_equal(journal_count(journal), 1);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "the second one");
}

static void test_the_next_mount_keeps_the_promise(void **state)
{
	(void)state;
	struct stat want = {.st_mtim.tv_sec = 1000000000};
	struct fs_attr attr;
	struct entry e;

	serve("/edited", "0123456789");
	serve("/grown", "begin");
	look("x");
	server_is_gone(true);
	save("new", "content");
	assert_int_equal(fs_setattr(fs, look("new"), NULL, FS_SET_MTIME, &want, &attr, &ctx), 0);
	edit("edited", "abc", 3);
	edit("grown", " end", 5);
	save("empty", "");
	end_without_server();
	assert_int_equal(names_on_server(), 2);
	fault_rate(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	mount_again();
	assert_int_equal(owed_files(), 4);
	assert_reads("new", "content");
	assert_reads("edited", "012abc6789");
	fault_clear(plan);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/new", "content");
	assert_stored("/edited", "012abc6789");
	assert_stored("/grown", "begin end");
	assert_stored("/empty", "");
	assert_int_equal(names_on_server(), 4);
	/* The journal may still know temporary names whose STOR was lost: it might arrive yet. */
	assert_int_equal(owed_files(), 0);
	assert_int_equal(kept("spool-"), 0);
	assert_int_equal(mem_stat(server, "/new", &e), 0);
	assert_int_equal(e.mtime, 1000000000 * NS_PER_S);
	entry_clear(&e);
}

static void test_a_read_only_mount_leaves_it_alone(void **state)
{
	(void)state;
	server_is_gone(true);
	save("file", "content");
	end_without_server();
	read_only = true;
	mount_again();
	assert_null(look("file"));
	assert_int_equal(fs_sync(fs, &ctx), 0);
	unmount();
	assert_int_equal(names_on_server(), 0);
	read_only = false;
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content");
}

static void test_a_rename_is_promised_too(void **state)
{
	(void)state;
	serve("/target", "old");
	server_is_gone(true);
	save("a", "content");
	save("b", "other");
	assert_int_equal(fs_rename(fs, fs_root(fs), "a", fs_root(fs), "target", 0, &ctx), 0);
	assert_int_equal(fs_rename(fs, fs_root(fs), "b", fs_root(fs), "c", 0, &ctx), 0);
	end_without_server();
	mount_again();
	assert_null(look("a"));
	assert_null(look("b"));
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/target", "content");
	assert_stored("/c", "other");
	assert_int_equal(names_on_server(), 2);
}

/* How many names that look like a conflict's; *path is the last one. */
struct conflicts {
	unsigned n;
	char path[256];
};

static void find_conflict(void *arg, const char *path, const struct entry *e)
{
	struct conflicts *c = arg;

	(void)e;
	if (!strstr(path, ".ftpfs-conflict-"))
		return;
	c->n++;
	snprintf(c->path, sizeof c->path, "%s", path);
}

static void test_both_survive_a_conflict(void **state)
{
	(void)state;
	struct conflicts c = {0};

	server_is_gone(true);
	save("file", "ours");
	end_without_server();
	mem_put(server, "/file", "somebody else's", 15);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "somebody else's");
	mem_walk(server, "/", find_conflict, &c);
	assert_int_equal(c.n, 1);
	assert_stored(c.path, "ours");
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(journal_count(journal), 0);
	assert_reads("file", "somebody else's");
}

static void test_nothing_overtakes_the_look_at_the_server(void **state)
{
	(void)state;
	struct conflicts c = {0};
	struct handle *h;
	bool keep;

	server_is_gone(true);
	save("file", "ours");
	save("gone", "ours");
	end_without_server();
	mem_put(server, "/file", "somebody else's", 15);
	mem_put(server, "/gone", "ou", 2); /* a part of our upload */
	fault_rate(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	mount_again();
	assert_int_equal(fs_unlink(fs, fs_root(fs), "gone", &ctx), 0);
	fault_clear(plan);
	assert_int_equal(fs_open(fs, look("file"), O_WRONLY, &h, &keep, &ctx), 0);
	assert_int_equal(fs_fsync(h, &ctx), 0);
	fs_release(h);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "somebody else's");
	mem_walk(server, "/", find_conflict, &c);
	assert_int_equal(c.n, 1);
	assert_stored(c.path, "ours");
	assert_int_equal(names_on_server(), 2);
}

static void test_an_edit_of_another_file_is_kept_aside(void **state)
{
	(void)state;
	serve("/file", "0123456789");
	server_is_gone(true);
	edit("file", "abc", 3);
	end_without_server();
	mem_put(server, "/file", "somebody else's", 15);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "somebody else's");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(kept("kept-"), 1);
	assert_int_equal(journal_count(journal), 0);
	assert_reads("file", "somebody else's");
}

/* It is not tried for ever, and the daemon can end. */
static void test_a_conflict_within_one_mount(void **state)
{
	(void)state;
	serve("/file", "0123456789");
	server_is_gone(true);
	edit("file", " more", 10);
	mem_put(server, "/file", "somebody else's", 15);
	server_is_gone(false);
	for (int i = 0; i < 5 && fs_sync(fs, &ctx); i++)
		;
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "somebody else's");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(kept("kept-"), 1);
	assert_int_equal(journal_count(journal), 0);
	assert_reads("file", "somebody else's");
}

static void test_an_upload_that_was_cut_off_goes_on(void **state)
{
	(void)state;
	server_is_gone(true);
	save("half", "0123456789");
	save("whole", "0123456789");
	end_without_server();
	mem_put(server, "/half", "0123", 4);
	mem_put(server, "/whole", "0123456789", 10);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/half", "0123456789");
	assert_stored("/whole", "0123456789");
	assert_int_equal(names_on_server(), 2);
}

/* Its first and last 64 KiB are ours. */
static void test_what_seems_to_have_arrived_is_proven(void **state)
{
	static char all[200001], other[200001];

	(void)state;
	memset(all, 'a', 200000);
	memcpy(other, all, sizeof other);
	other[100000] = 'b';
	server_is_gone(true);
	save("part", all);
	save("whole", all);
	end_without_server();
	mem_put(server, "/part", other, 180000);
	mem_put(server, "/whole", other, 200000);
	verify = true;
	patience = NS_PER_S;
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/part", all);
	assert_stored("/whole", all);
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(mem_hashes_asked(server), 4);
}

static void test_an_edit_that_had_arrived_is_no_conflict(void **state)
{
	(void)state;
	serve("/file", "0123456789");
	server_is_gone(true);
	edit("file", "abc", 3);
	end_without_server();
	mem_put(server, "/file", "012abc6789", 10);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "012abc6789");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(kept("kept-"), 0);
}

/* By truncate(2) alone there is nothing of ours to compare with. */
static void test_a_resize_that_had_begun_is_no_conflict(void **state)
{
	char *bytes;
	size_t n;

	(void)state;
	serve("/empty", "");
	serve("/long", "0123456789");
	server_is_gone(true);
	resize("empty", 3);
	resize("long", 4);
	end_without_server();
	mem_put(server, "/empty", "", 0);
	mem_put(server, "/long", "0123", 4);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(mem_get(server, "/empty", &bytes, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "\0\0\0", 3);
	free(bytes);
	assert_stored("/long", "0123");
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(kept("kept-"), 0);
}

/* The first try empties it once more, which its time shows; the second one is refused, so that the
 * third looks first. */
static void test_an_empty_file_that_was_emptied_is_no_conflict(void **state)
{
	(void)state;
	serve("/empty", "");
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_AFTER, -ECONNRESET, 1, 1);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -EIO, 2, 1);
	edit("empty", "0123456789", 0);
	for (int i = 0; i < 5 && fs_sync(fs, &ctx); i++)
		;
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_int_equal(fault_calls(plan, FAULT_OPEN_WRITE), 3);
	assert_stored("/empty", "0123456789");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(kept("kept-"), 0);
}

/* The error was told, and yet what is there in part is no state to leave a file in. */
static void torn(bool next_mount)
{
	struct entry e;

	unmount();
	through = true;
	mount_again();
	serve("/grown", "begin");
	fault_rate(plan, FAULT_WRITE, FAULT_DIE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(edit_as("grown", ", middle and end", 5), -ECONNRESET);
	assert_int_equal(save_as("new", "0123456789"), -ECONNRESET);
	assert_int_equal(mem_stat(server, "/grown", &e), 0);
	assert_in_range(e.size, 6, 20);
	entry_clear(&e);
	if (next_mount) {
		end_without_server();
		mount_again();
	}
	fault_clear(plan);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/grown", "begin, middle and end");
	assert_stored("/new", "0123456789");
	assert_reads("grown", "begin, middle and end");
	assert_int_equal(names_on_server(), 2);
	assert_int_equal(journal_count(journal), 0);
	assert_int_equal(kept("kept-"), 0);
}

static void test_what_a_lost_link_tore_is_completed(void **state)
{
	(void)state;
	torn(false);
}

static void test_what_a_lost_link_tore_is_completed_by_the_next_mount(void **state)
{
	(void)state;
	torn(true);
}

static void sync_in_the_middle(void *rc)
{
	struct opctx soon = opctx_for(20 * NS_PER_MS);

	*(int *)rc = fs_sync(fs, &soon);
}

/* A shared mapping's pages may come after the last flush. */
static void test_sync_waits_for_what_a_release_stores(void **state)
{
	struct handle *h;
	bool keep;
	int meanwhile = 0;

	(void)state;
	unmount();
	through = true;
	mount_again();
	serve("/file", "0123456789");
	assert_int_equal(fs_open(fs, look("file"), O_WRONLY, &h, &keep, &ctx), 0);
	assert_int_equal(fs_write(h, "abc", 3, 3, &ctx), 3);
	fault_meanwhile(plan, FAULT_OPEN_WRITE, sync_in_the_middle, &meanwhile);
	fs_release(h);
	assert_int_equal(meanwhile, -ETIMEDOUT);
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "012abc6789");
}

/* What is written over where it lies is here as a whole before. */
static void test_written_over_and_ended(void **state)
{
	(void)state;
	unmount();
	atomic = ATOMIC_OFF;
	inplace = INPLACE_OFF;
	mount_again();
	serve("/file", "0123456789");
	fault_rate(plan, FAULT_WRITE, FAULT_DIE, -ECONNRESET, FAULT_ALWAYS);
	edit("file", "abc", 3);
	assert_int_equal(fs_sync(fs, &ctx), -ECONNRESET);
	end_without_server();
	mem_put(server, "/file", "01", 2);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "012abc6789");
	assert_int_equal(names_on_server(), 1);
	assert_int_equal(kept("kept-"), 0);
}

/* What finds out whether a part of a file may be replaced makes a file of its own. */
static void test_what_was_tried_on_goes(void **state)
{
	(void)state;
	unmount();
	inplace = INPLACE_ON;
	mount_again();
	serve("/file", "0123456789");
	edit("file", "abc", 3);
	fault_nth(plan, FAULT_CAN_PATCH, FAULT_AFTER, -ECONNRESET, 2, FAULT_ALWAYS);
	fault_rate(plan, FAULT_REMOVE, FAULT_BEFORE, -ECONNRESET, FAULT_ALWAYS);
	assert_int_equal(fs_sync(fs, &ctx), -ECONNRESET);
	end_without_server();
	assert_int_equal(names_on_server(), 2);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "012abc6789");
	assert_int_equal(names_on_server(), 1);
}

static void test_its_directory_is_gone(void **state)
{
	(void)state;
	struct fs_found f, g;
	struct handle *h;
	bool keep;

	assert_int_equal(fs_mkdir(fs, fs_root(fs), "d", 0755, &g, &ctx), 0);
	server_is_gone(true);
	assert_int_equal(
		fs_create_file(fs, g.node, "file", 0644, O_WRONLY | O_CREAT, &f, &h, &keep, &ctx),
		0);
	assert_int_equal(fs_write(h, "content", 7, 0, &ctx), 7);
	assert_int_equal(fs_flush(h, &ctx), 0);
	fs_release(h);
	end_without_server();
	mem_remove(server, "/d");
	mount_again(); /* and says so */
	assert_int_equal(owed_files(), 0);
	assert_int_equal(journal_count(journal), 1);
	assert_int_equal(kept("spool-"), 1);
	unmount();
	mem_make_dir(server, "/d");
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/d/file", "content");
}

static void test_a_full_cache_waits_for_uploads(void **state)
{
	(void)state;
	char bytes[64] = {0};
	struct fs_found f;
	struct handle *h;
	bool keep;

	unmount();
	cache_size = 100;
	mount_again();
	memset(bytes, 'x', 60);
	save("a", bytes);
	save("b", bytes); /* waits until a is stored */
	assert_true(on_server("/a"));
	server_is_gone(false);
	assert_int_equal(
		fs_create_file(fs, fs_root(fs), "c", 0644, O_WRONLY | O_CREAT, &f, &h, &keep, &ctx),
		0);
	assert_int_equal(fs_write(h, bytes, 60, 100, &ctx), -ENOSPC);
	fs_release(h);
	assert_int_equal(fs_sync(fs, &ctx), 0);
}

static void test_two_mounts_of_one_target(void **state)
{
	(void)state;
	struct journal *second, *third;

	assert_int_equal(journal_open_any(cache, KIT_TARGET, &second), 0);
	assert_string_not_equal(journal_dir(second), journal_dir(journal));
	journal_close(second);
	/* What the second one owed is the next single mount's to store. */
	server_is_gone(true);
	save("file", "content");
	assert_int_equal(journal_open_any(cache, KIT_TARGET, &second), 0);
	unmount();
	server_is_gone(false);
	assert_int_equal(journal_open_any(cache, KIT_TARGET, &third), 0);
	assert_int_equal(journal_count(third), 1);
	journal_close(third);
	journal_close(second);
	mount_again();
	assert_int_equal(fs_sync(fs, &ctx), 0);
	assert_stored("/file", "content");
}

static struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
	{                                                                                          \
#name, name, setup, teardown, NULL                                                 \
	}
	TEST(test_a_close_promises),
	TEST(test_it_is_stored_without_being_asked),
	TEST(test_fsync_waits_for_the_server),
	TEST(test_sync_tells_what_is_not_stored),
	TEST(test_sync_waits_for_what_a_release_stores),
	TEST(test_save_and_rename_is_one_upload),
	TEST(test_rename_over_a_file_keeps_the_old_one_until_then),
	TEST(test_removed_before_it_was_stored),
	TEST(test_replaced_before_it_was_stored),
	TEST(test_changed_again_before_it_was_stored),
	TEST(test_the_next_mount_keeps_the_promise),
	TEST(test_a_read_only_mount_leaves_it_alone),
	TEST(test_a_rename_is_promised_too),
	TEST(test_both_survive_a_conflict),
	TEST(test_nothing_overtakes_the_look_at_the_server),
	TEST(test_an_edit_of_another_file_is_kept_aside),
	TEST(test_a_conflict_within_one_mount),
	TEST(test_an_upload_that_was_cut_off_goes_on),
	TEST(test_what_seems_to_have_arrived_is_proven),
	TEST(test_an_edit_that_had_arrived_is_no_conflict),
	TEST(test_a_resize_that_had_begun_is_no_conflict),
	TEST(test_an_empty_file_that_was_emptied_is_no_conflict),
	TEST(test_written_over_and_ended),
	TEST(test_what_was_tried_on_goes),
	TEST(test_what_a_lost_link_tore_is_completed),
	TEST(test_what_a_lost_link_tore_is_completed_by_the_next_mount),
	TEST(test_its_directory_is_gone),
	TEST(test_a_full_cache_waits_for_uploads),
	TEST(test_two_mounts_of_one_target),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
