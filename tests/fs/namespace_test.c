/* namespace_test - making, removing, renaming and dating names, over a server in memory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;

static void start_conf(const struct mem_traits *traits, struct fs_conf conf)
{
	server = mem_server_create(traits);
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	conf.dcache_timeout = 20 * NS_PER_S;
	if (!conf.timeout)
		conf.timeout = 10 * NS_PER_S;
	if (!conf.spool_dir)
		conf.spool_dir = "/tmp";
	assert_int_equal(fs_create(&conf, &fs), 0);
}

static void start(const struct mem_traits *traits)
{
	start_conf(traits, (struct fs_conf){.uid = 7, .gid = 8});
}

static void stop(void)
{
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

/* One lookup is never forgotten: nodes stay valid until stop(). */
static struct node *look(struct node *dir, const char *name)
{
	struct fs_found f;

	assert_int_equal(fs_lookup(fs, dir, name, &f, &ctx), 0);
	return f.node;
}

static struct node *make_dir(struct node *dir, const char *name)
{
	struct fs_found f;

	assert_int_equal(fs_mkdir(fs, dir, name, 0755, &f, &ctx), 0);
	assert_true(S_ISDIR(f.attr.st.st_mode));
	return f.node;
}

static bool there(const char *path)
{
	struct entry e;
	int err = mem_stat(server, path, &e);

	if (!err)
		entry_clear(&e);
	return err == 0;
}

static void test_mkdir_rmdir(void **state)
{
	(void)state;
	struct fs_found f;

	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs), *d = make_dir(root, "d");
	assert_true(there("/d"));
	assert_int_equal(fs_mkdir(fs, root, "d", 0755, &f, &ctx), -EEXIST);
	assert_int_equal(fs_mkdir(fs, root, "..", 0755, &f, &ctx), -EINVAL);
	assert_int_equal(fs_mkdir(fs, root, "a\nb", 0755, &f, &ctx), -EINVAL);
	uint64_t lists = fault_calls(plan, FAULT_LIST), stats = fault_calls(plan, FAULT_STAT);
	make_dir(d, "e"); /* d is known to be empty: nothing is asked */
	assert_int_equal(fs_rmdir(fs, root, "d", &ctx), -ENOTEMPTY);
	assert_int_equal(fs_rmdir(fs, d, "e", &ctx), 0);
	assert_int_equal(fault_calls(plan, FAULT_LIST), lists);
	assert_int_equal(fault_calls(plan, FAULT_STAT), stats);
	mem_put(server, "/d/hidden", "x", 1); /* behind our back */
	assert_int_equal(fs_rmdir(fs, root, "d", &ctx), -ENOTEMPTY);
	assert_non_null(look(d, "hidden"));
	assert_int_equal(fs_rmdir(fs, d, "hidden", &ctx), -ENOTDIR);
	assert_int_equal(fs_unlink(fs, root, "d", &ctx), -EISDIR);
	assert_int_equal(fs_unlink(fs, d, "hidden", &ctx), 0);
	assert_int_equal(fs_rmdir(fs, root, "d", &ctx), 0);
	assert_false(there("/d"));
	assert_null(look(root, "d"));
	assert_int_equal(fs_rmdir(fs, root, "d", &ctx), -ENOENT);
	stop();
}

static void test_a_lost_reply_is_looked_into(void **state)
{
	(void)state;
	struct fs_found f;

	start(&(struct mem_traits){0});
	assert_int_equal(fs_probe(fs, &ctx), 0);
	fault_nth(plan, FAULT_MKDIR, FAULT_AFTER, -ECONNRESET, 1, 1);
	assert_int_equal(fs_mkdir(fs, fs_root(fs), "d", 0755, &f, &ctx), -ECONNRESET);
	assert_non_null(look(fs_root(fs), "d"));
	stop();
}

#define TEMP ".ftpfs-0123456789abcdef"

static void test_what_may_never_have_arrived_can_be_removed(void **state)
{
	(void)state;
	struct fs_found f;
	struct handle *h;
	bool keep;

	start_conf(&(struct mem_traits){0}, (struct fs_conf){.timeout = 1});
	assert_int_equal(
		fs_create_file(fs, fs_root(fs), "f", 0644, O_WRONLY | O_CREAT, &f, &h, &keep, &ctx),
		0);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(fs_fsync(h, &ctx), -ECONNRESET);
	fault_nth(plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, 1, 1);
	assert_int_equal(fs_unlink(fs, fs_root(fs), "f", &ctx), 0);
	assert_null(look(fs_root(fs), "f"));
	fs_release(h);
	stop();
}

static void test_temporaries_are_nobodys_files(void **state)
{
	(void)state;
	struct fs_found f;
	struct dirhandle *h;
	struct handle *file;
	struct fs_dirent e;
	bool keep;

	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs), *d = make_dir(root, "d");
	mem_put(server, "/" TEMP, "half", 4);
	mem_put(server, "/.ftpfs-old-0123456789abcdef", "whole", 5);
	mem_put(server, "/x", "x", 1);
	clock_advance(21 * NS_PER_S);
	assert_int_equal(fs_opendir(fs, root, &h, &ctx), 0);
	for (unsigned i = 2; i < 5; i++)
		assert_true(fs_dirent(h, i, &e));
	assert_false(fs_dirent(h, 5, &e)); /* ".", "..", d, what a rename put aside, x */
	fs_releasedir(h);
	assert_null(look(root, TEMP));
	assert_non_null(look(root, ".ftpfs-old-0123456789abcdef"));
	assert_null(look(root, ".ftpfs-0123456789abcde"));
	assert_int_equal(fs_rename(fs, root, "x", root, TEMP, 0, &ctx), -EPERM);
	assert_int_equal(fs_rename(fs, root, TEMP, root, "y", 0, &ctx), -EPERM);
	assert_int_equal(fs_mkdir(fs, root, TEMP, 0755, &f, &ctx), -EPERM);
	assert_int_equal(fs_symlink(fs, "x", root, TEMP, &f, &ctx), -EPERM);
	assert_int_equal(fs_unlink(fs, root, TEMP, &ctx), -EPERM);
	assert_int_equal(fs_create_file(fs, root, TEMP, 0644, O_RDWR, &f, &file, &keep, &ctx),
			 -EPERM);
	assert_true(there("/" TEMP) && there("/x"));
	assert_null(look(d, "nothing"));
	stop();
}

static void test_temporaries_alone_do_not_keep_a_directory(void **state)
{
	(void)state;
	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs);
	make_dir(root, "d");
	make_dir(root, "e");
	make_dir(root, "full");
	mem_put(server, "/d/" TEMP, "half", 4);
	mem_put(server, "/full/" TEMP, "half", 4);
	mem_put(server, "/full/x", "x", 1); /* behind our back */
	assert_int_equal(fs_rmdir(fs, root, "full", &ctx), -ENOTEMPTY);
	assert_true(there("/full/" TEMP)); /* its commit may well be under way */
	assert_int_equal(fs_rmdir(fs, root, "d", &ctx), 0);
	assert_false(there("/d"));
	make_dir(root, "d");
	mem_put(server, "/d/" TEMP, "half", 4);
	assert_int_equal(fs_rename(fs, root, "e", root, "d", 0, &ctx), 0);
	assert_true(there("/d") && !there("/d/" TEMP) && !there("/e"));
	stop();
}

static void test_rename_rules(void **state)
{
	(void)state;
	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs), *a = make_dir(root, "a"), *b = make_dir(a, "b");
	mem_put(server, "/f", "f", 1);
	mem_put(server, "/g", "gg", 2);
	clock_advance(21 * NS_PER_S);
	assert_int_equal(fs_rename(fs, root, "a", b, "x", 0, &ctx), -EINVAL);
	assert_int_equal(fs_rename(fs, root, "a", a, "x", 0, &ctx), -EINVAL);
	assert_int_equal(fs_rename(fs, a, "b", root, "a", 0, &ctx), -ENOTEMPTY);
	assert_int_equal(fs_rename(fs, root, "f", root, "a", 0, &ctx), -EISDIR);
	assert_int_equal(fs_rename(fs, root, "a", root, "f", 0, &ctx), -ENOTDIR);
	assert_int_equal(fs_rename(fs, root, "no", root, "x", 0, &ctx), -ENOENT);
	assert_int_equal(fs_rename(fs, root, "f", root, "x", 4, &ctx), -EINVAL);
	assert_int_equal(fs_rename(fs, root, "f", root, "g", FS_RENAME_NOREPLACE, &ctx), -EEXIST);
	assert_int_equal(fs_rename(fs, root, "f", root, "f", 0, &ctx), 0);
	struct node *f = look(root, "f");
	assert_int_equal(fs_rename(fs, root, "f", b, "g", FS_RENAME_NOREPLACE, &ctx), 0);
	assert_ptr_equal(look(b, "g"), f);
	assert_null(look(root, "f"));
	assert_true(there("/a/b/g"));
	assert_int_equal(fs_rename(fs, root, "g", b, "g", 0, &ctx), 0);
	assert_int_equal(fs_rename(fs, a, "b", root, "c", 0, &ctx), 0);
	assert_true(there("/c/g"));
	assert_false(there("/g"));
	make_dir(root, "empty");
	assert_int_equal(fs_rename(fs, root, "c", root, "empty", 0, &ctx), 0);
	assert_true(there("/empty/g"));
	stop();
}

static void test_rename_over_by_hand(void **state)
{
	(void)state;
	char *bytes;
	size_t n;

	start(&(struct mem_traits){.no_rename_over = true});
	struct node *root = fs_root(fs);
	mem_put(server, "/f", "new", 3);
	mem_put(server, "/g", "old", 3);
	assert_int_equal(fs_probe(fs, &ctx), 0);
	/* refused by the server half way: the old one comes back */
	fault_nth(plan, FAULT_RENAME, FAULT_BEFORE, -EACCES, 3, 1);
	assert_int_equal(fs_rename(fs, root, "f", root, "g", 0, &ctx), -EACCES);
	assert_true(there("/f") && there("/g"));
	assert_int_equal(fs_rename(fs, root, "f", root, "g", 0, &ctx), 0);
	assert_int_equal(mem_get(server, "/g", &bytes, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "new", 3);
	free(bytes);
	make_dir(root, "d");
	make_dir(root, "e");
	assert_int_equal(fs_rename(fs, root, "d", root, "e", 0, &ctx), 0);
	struct dirhandle *h;
	struct fs_dirent e;
	assert_int_equal(fs_opendir(fs, root, &h, &ctx), 0);
	assert_true(fs_dirent(h, 3, &e));
	assert_false(fs_dirent(h, 4, &e)); /* ".", "..", "g", "e": nothing was left aside */
	fs_releasedir(h);
	stop();
}

static int set(struct node *n, unsigned what, struct stat st, struct stat *out)
{
	struct fs_attr a = {0};
	int err = fs_setattr(fs, n, NULL, what, &st, &a, &ctx);

	if (out)
		*out = a.st;
	return err;
}

static void test_times_and_modes(void **state)
{
	(void)state;
	struct stat st, then = {.st_mtim = {1000000000, 5}};
	struct fs_attr a;
	struct entry e;

	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs), *d = make_dir(root, "d");
	mem_put(server, "/f", "x", 1);
	clock_advance(21 * NS_PER_S);
	struct node *f = look(root, "f");
	assert_int_equal(set(f, FS_SET_MTIME, then, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_mtim.tv_nsec, 0);
	assert_int_equal(mem_stat(server, "/f", &e), 0);
	assert_int_equal(e.mtime, 1000000000 * NS_PER_S);
	entry_clear(&e);
	assert_int_equal(set(f, FS_SET_MODE, (struct stat){.st_mode = 0600}, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	/* a time that the server does not keep is kept here */
	assert_int_equal(set(d, FS_SET_MTIME, then, NULL), 0);
	clock_advance(21 * NS_PER_S);
	assert_int_equal(fs_getattr(fs, d, &a, &ctx), 0);
	assert_int_equal(a.st.st_mtim.tv_sec, 1000000000);
	make_dir(d, "sub");
	assert_int_equal(fs_getattr(fs, d, &a, &ctx), 0);
	assert_true(a.st.st_mtim.tv_sec > 1000000000);
	assert_int_equal(set(f, FS_SET_UID, (struct stat){.st_uid = 99}, &st), 0);
	assert_int_equal(st.st_uid, 7);
	stop();
}

static void test_a_server_without_times_or_modes(void **state)
{
	(void)state;
	struct stat then = {.st_mtim = {1000000000, 0}};

	start(&(struct mem_traits){.no_set_mtime = true, .no_modes = true});
	mem_put(server, "/f", "x", 1);
	struct node *f = look(fs_root(fs), "f");
	assert_int_equal(set(f, FS_SET_MTIME, then, NULL), -EOPNOTSUPP);
	assert_int_equal(set(f, FS_SET_MTIME_NOW, then, NULL), 0); /* it was stored just now */
	clock_advance(60 * NS_PER_S);
	assert_int_equal(set(f, FS_SET_MTIME_NOW, then, NULL), -EOPNOTSUPP);
	assert_int_equal(set(f, FS_SET_MODE, (struct stat){.st_mode = 0644}, NULL), 0);
	assert_int_equal(set(f, FS_SET_MODE, (struct stat){.st_mode = 0600}, NULL), -EOPNOTSUPP);
	stop();
}

static void test_read_only(void **state)
{
	(void)state;
	struct fs_found f;
	struct handle *h;
	bool keep;

	start_conf(&(struct mem_traits){0},
		   (struct fs_conf){.read_only = true, .chown_error = true});
	struct node *root = fs_root(fs);
	mem_put(server, "/f", "x", 1);
	struct node *n = look(root, "f");
	assert_int_equal(fs_mkdir(fs, root, "d", 0755, &f, &ctx), -EROFS);
	assert_int_equal(fs_unlink(fs, root, "f", &ctx), -EROFS);
	assert_int_equal(fs_rename(fs, root, "f", root, "g", 0, &ctx), -EROFS);
	assert_int_equal(fs_symlink(fs, "x", root, "l", &f, &ctx), -EROFS);
	assert_int_equal(
		fs_create_file(fs, root, "new", 0644, O_WRONLY | O_CREAT, &f, &h, &keep, &ctx),
		-EROFS);
	assert_int_equal(fs_open(fs, n, O_WRONLY, &h, &keep, &ctx), -EROFS);
	assert_int_equal(set(n, FS_SET_MODE, (struct stat){.st_mode = 0600}, NULL), -EROFS);
	assert_true(there("/f"));
	stop();
}

static void test_past_the_pages_near_by_and_write_only(void **state)
{
	(void)state;
	static const struct {
		int64_t trip;
		int flags;
		bool past;
	} rows[] = {
		{NS_PER_MS / 20, O_WRONLY, true},
		{NS_PER_MS / 20, O_WRONLY | O_CREAT | O_TRUNC, true},
		{NS_PER_MS / 20, O_WRONLY | O_APPEND, true},
		{NS_PER_MS / 20, O_RDWR, false},
		{NS_PER_MS / 20, O_RDONLY, false},
		{NS_PER_MS / 4, O_WRONLY, false},
		{20 * NS_PER_MS, O_WRONLY, false},
		{0, O_WRONLY, false}, /* not known */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(&(struct mem_traits){.round_trip = rows[i].trip});
		assert_int_equal(fs_past_pages(fs, rows[i].flags), rows[i].past);
		stop();
	}
}

static void test_links(void **state)
{
	(void)state;
	struct fs_found f;
	struct buf b;

	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs);
	assert_int_equal(fs_symlink(fs, "target", root, "l", &f, &ctx), 0);
	assert_true(S_ISLNK(f.attr.st.st_mode));
	buf_init(&b, PATH_LIMIT);
	assert_int_equal(fs_readlink(fs, f.node, &b, &ctx), 0);
	assert_string_equal(buf_text(&b), "target");
	buf_free(&b);
	assert_int_equal(set(f.node, FS_SET_MTIME, (struct stat){.st_mtim = {5, 0}}, NULL), 0);
	assert_int_equal(fs_symlink(fs, "target", root, "l", &f, &ctx), -EEXIST);
	assert_int_equal(fs_unlink(fs, root, "l", &ctx), 0);
	assert_false(there("/l"));
	stop();
	start(&(struct mem_traits){.no_symlink = true});
	assert_int_equal(fs_symlink(fs, "target", fs_root(fs), "l", &f, &ctx), -EPERM);
	stop();
}

static void test_opendir_is_a_snapshot(void **state)
{
	(void)state;
	struct dirhandle *h;
	struct fs_dirent e;
	struct fs_found f;

	start(&(struct mem_traits){0});
	struct node *root = fs_root(fs);
	mem_put(server, "/a", "x", 1);
	mem_put(server, "/b", "xy", 2);
	assert_int_equal(fs_opendir(fs, root, &h, &ctx), 0);
	assert_int_equal(fs_unlink(fs, root, "a", &ctx), 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_true(fs_dirent(h, i, &e));
	assert_false(fs_dirent(h, 4, &e));
	unsigned plus = 0;
	for (uint64_t i = 0; i < 5; i++) {
		if (!fs_dirent_plus(h, i, &f))
			continue;
		plus++;
		assert_int_equal(f.attr.st.st_size, 2);
		assert_true(f.attr.ttl > 0 && f.name_ttl > 0);
	}
	assert_int_equal(plus, 1); /* "a" is gone, "." and ".." are nobody's */
	fs_releasedir(h);
	stop();
}

/* Grown and cut back to what the server has: it is asked for no bytes, and told the time. */
static void test_there_and_back_is_a_change(void **state)
{
	(void)state;
	struct entry e;
	struct handle *h;
	struct stat st = {0};
	bool keep;

	start(&(struct mem_traits){0});
	mem_put(server, "/f", "abc", 3);
	struct node *f = look(fs_root(fs), "f");
	assert_int_equal(
		set(f, FS_SET_MTIME, (struct stat){.st_mtim = {.tv_sec = 1000000000}}, &st), 0);
	assert_int_equal(fs_open(fs, f, O_RDWR, &h, &keep, &ctx), 0);
	int64_t before = clock_realtime() - NS_PER_S;
	assert_int_equal(set(f, FS_SET_SIZE, (struct stat){.st_size = 10}, &st), 0);
	assert_int_equal(set(f, FS_SET_SIZE, (struct stat){.st_size = 3}, &st), 0);
	assert_int_equal(fs_flush(h, &ctx), 0);
	assert_int_equal(fault_calls(plan, FAULT_OPEN_WRITE), 0);
	fs_release(h);
	assert_int_equal(mem_stat(server, "/f", &e), 0);
	assert_true(e.mtime >= before);
	entry_clear(&e);
	stop();
}

/* What the kernel never told us to close is closed: stored, and nothing of it is left on disk. */
static void test_what_is_open_at_the_end(void **state)
{
	(void)state;
	char spools[] = "/tmp/ftpfs-spools-XXXXXX", *bytes;
	struct fs_found f;
	struct handle *h, *gone, *reader;
	struct dirhandle *d;
	size_t n;
	bool keep;

	assert_non_null(mkdtemp(spools));
	start_conf(&(struct mem_traits){0}, (struct fs_conf){.spool_dir = spools});
	mem_put(server, "/old", "0123456789", 10);
	struct node *root = fs_root(fs);
	assert_int_equal(fs_create_file(fs, root, "new", 0644, O_RDWR, &f, &h, &keep, &ctx), 0);
	assert_int_equal(fs_write(h, "abc", 3, 0, &ctx), 3);
	assert_int_equal(fs_create_file(fs, root, "gone", 0644, O_RDWR, &f, &gone, &keep, &ctx), 0);
	assert_int_equal(fs_write(gone, "abc", 3, 0, &ctx), 3);
	assert_int_equal(fs_unlink(fs, root, "gone", &ctx), 0);
	assert_int_equal(fs_open(fs, look(root, "old"), O_RDONLY, &reader, &keep, &ctx), 0);
	assert_int_equal(fs_read(reader, (char[4]){0}, 4, 0, &ctx), 4);
	assert_int_equal(fs_opendir(fs, root, &d, &ctx), 0);
	fs_destroy(fs);

	assert_int_equal(mem_get(server, "/new", &bytes, &n), 0);
	assert_int_equal(n, 3);
	free(bytes);
	assert_false(there("/gone"));
	assert_int_equal(rmdir(spools), 0);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mkdir_rmdir),
		cmocka_unit_test(test_a_lost_reply_is_looked_into),
		cmocka_unit_test(test_what_may_never_have_arrived_can_be_removed),
		cmocka_unit_test(test_temporaries_are_nobodys_files),
		cmocka_unit_test(test_temporaries_alone_do_not_keep_a_directory),
		cmocka_unit_test(test_rename_rules),
		cmocka_unit_test(test_rename_over_by_hand),
		cmocka_unit_test(test_there_and_back_is_a_change),
		cmocka_unit_test(test_times_and_modes),
		cmocka_unit_test(test_a_server_without_times_or_modes),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_past_the_pages_near_by_and_write_only),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_opendir_is_a_snapshot),
		cmocka_unit_test(test_what_is_open_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
