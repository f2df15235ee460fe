/* xattr_test - user.ftpfs.*: what the server says now, and what is answered without asking it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"

#define SHA256_OF_ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct mem_server *server;
static struct fault_plan *plan;
static struct fs *fs;
static struct opctx ctx;
static struct node *file;

static void find(const char *name)
{
	struct fs_found found;

	assert_int_equal(fs_lookup(fs, fs_root(fs), name, &found, &ctx), 0);
	file = found.node;
}

static void start(enum hash_kind hash, const char *name)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S, .timeout = NS_PER_S, .spool_dir = "/tmp"};
	char path[64] = "/";

	server = mem_server_create(&(struct mem_traits){.hash = hash});
	plan = fault_plan_create(1);
	ctx = opctx_for(OPCTX_FOREVER);
	assert_int_equal(mem_put(server, strcat(path, name), "abc", 3), 0);
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	assert_int_equal(fs_create(&conf, &fs), 0);
	find(name);
}

static void stop(void)
{
	fs_destroy(fs);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

static uint64_t asked(void)
{
	uint64_t n = 0;

	for (int op = 0; op < FAULT_OPS; op++)
		n += fault_calls(plan, (enum fault_op)op);
	return n;
}

static void check(const char *name, const char *want)
{
	char value[FS_XATTR_MAX];
	ssize_t n = fs_getxattr(fs, file, name, value, sizeof(value), &ctx);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(value, want, strlen(want));
}

static void check_error(struct node *n, const char *name, int error)
{
	char value[FS_XATTR_MAX];

	assert_int_equal(fs_getxattr(fs, n, name, value, sizeof(value), &ctx), error);
	assert_true(fs_getxattr(fs, n, name, NULL, 0, &ctx) <= FS_XATTR_MAX);
}

static void test_as_the_server_has_it_now(void **state)
{
	struct entry e;

	(void)state;
	start(HASH_SHA256, "f");
	check("user.ftpfs.size", "3");
	check("user.ftpfs.hash", SHA256_OF_ABC);
	/* Behind our back: what is believed of it (20 s) does not count. */
	assert_int_equal(mem_put(server, "/f", "abcd", 4), 0);
	check("user.ftpfs.size", "4");
	assert_int_equal(mem_stat(server, "/f", &e), 0);
	char mtime[64];
	snprintf(mtime, sizeof(mtime), "%lld.000000000", (long long)(e.mtime / NS_PER_S));
	entry_clear(&e);
	check("user.ftpfs.mtime", mtime);
	check("user.ftpfs.state", "clean");
	assert_int_equal(mem_remove(server, "/f"), 0);
	check_error(file, "user.ftpfs.size", -ENODATA);
	check_error(file, "user.ftpfs.hash", -ENODATA);
	stop();
}

static void test_what_is_answered_at_once(void **state)
{
	const char *names;
	char value[4];

	(void)state;
	start(HASH_SHA256, "f");
	uint64_t before = asked();
	check_error(file, "security.capability", -EOPNOTSUPP);
	check_error(file, "security.selinux", -EOPNOTSUPP);
	check_error(file, "system.posix_acl_access", -EOPNOTSUPP);
	check_error(file, "user.mime_type", -ENODATA);
	check_error(file, "user.ftpfs.", -ENODATA);
	check_error(file, "user.ftpfs.sizes", -ENODATA);
	check_error(fs_root(fs), "user.ftpfs.size", -ENODATA);
	check("user.ftpfs.state", "clean");
	assert_int_equal(fs_getxattr(fs, file, "user.ftpfs.hash", NULL, 0, &ctx), FS_XATTR_MAX);
	assert_int_equal(fs_getxattr(fs, file, "user.ftpfs.state", value, 4, &ctx), -ERANGE);
	assert_int_equal(fs_listxattr(fs_root(fs), &names), 0);
	size_t n = fs_listxattr(file, &names), count = 0;
	for (const char *at = names; at < names + n; at += strlen(at) + 1, count++)
		assert_int_equal(strncmp(at, "user.ftpfs.", 11), 0);
	assert_int_equal(count, 3);
	assert_int_equal(asked(), before);
	stop();
}

static void test_no_hash(void **state)
{
	(void)state;
	start(HASH_NONE, "f");
	check_error(file, "user.ftpfs.hash", -EOPNOTSUPP);
	stop();
}

static void test_states(void **state)
{
	struct fs_found found;
	struct handle *h;
	bool keep;

	(void)state;
	start(HASH_SHA256, "f");
	assert_int_equal(fs_create_file(fs, fs_root(fs), "new", 0644, O_WRONLY | O_CREAT, &found,
					&h, &keep, &ctx),
			 0);
	file = found.node;
	assert_int_equal(fs_write(h, "abc", 3, 0, &ctx), 3);
	check("user.ftpfs.state", "dirty");
	check_error(file, "user.ftpfs.size", -ENODATA);
	fault_nth(plan, FAULT_OPEN_WRITE, FAULT_BEFORE, -EACCES, 1, 1);
	assert_int_equal(fs_flush(h, &ctx), -EACCES);
	check("user.ftpfs.state", "failed");
	assert_int_equal(fs_flush(h, &ctx), 0);
	check("user.ftpfs.state", "clean");
	check("user.ftpfs.hash", SHA256_OF_ABC);
	assert_int_equal(fs_unlink(fs, fs_root(fs), "new", &ctx), 0);
	check_error(file, "user.ftpfs.size", -ENODATA);
	fs_release(h);
	stop();
}

static void test_a_conflict(void **state)
{
	(void)state;
	start(HASH_SHA256, "f.ftpfs-conflict-20261125-213000");
	check("user.ftpfs.state", "conflict");
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_server_has_it_now),
		cmocka_unit_test(test_what_is_answered_at_once),
		cmocka_unit_test(test_no_hash),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_a_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
