/* crash_test - the process ends at every step of a workload: what was promised is kept by the next
 * mount, every file is wholly old or wholly new, and nothing of ours is left behind.
 *
 * A step is a call to the server or to the local disk.  The workload is run once for each step: it
 * is killed before that one (from there on nothing has any effect), mounted again and looked at.
 * FTPFS_CRASH_SEEDS: how many workloads (each a few hundred kills). */
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
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "fs/disk.h"
#include "fs/fs.h"
#include "fs/journal.h"
#include "remote_fault.h"
#include "remote_mem.h"

#define TARGET "user@host:21/"

enum { NAMES = 4, STEPS = 24, TEXT_MAX = 96 };

/* ---- the kill ---- */

static struct mutex lock = MUTEX_INITIALIZER;
static uint64_t steps_left; /* 0: dead */
static atomic_bool dead;    /* also what interrupts the workload ... */
static int dead_fd;	    /* ... at once: readable since then */

/* One more step; false: it does not happen. */
static bool step(void)
{
	mutex_lock(&lock);
	if (steps_left > 0)
		steps_left--;
	if (steps_left == 0 && !atomic_exchange(&dead, true))
		eventfd_write(dead_fd, 1);
	bool alive = !atomic_load(&dead);
	mutex_unlock(&lock);
	return alive;
}

static void live(uint64_t steps)
{
	mutex_lock(&lock);
	steps_left = steps;
	if (atomic_exchange(&dead, false))
		eventfd_read(dead_fd, &(eventfd_t){0});
	mutex_unlock(&lock);
}

static bool is_dead(void)
{
	return atomic_load(&dead);
}

static int kill_create(const char *path)
{
	return step() ? disk_real.create(path) : -EIO;
}

static ssize_t kill_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	return step() ? disk_real.pwrite(fd, from, n, at) : -EIO;
}

static int kill_ftruncate(int fd, int64_t size)
{
	return step() ? disk_real.ftruncate(fd, size) : -EIO;
}

static int kill_fdatasync(int fd)
{
	return step() ? disk_real.fdatasync(fd) : -EIO;
}

static int kill_rename(const char *from, const char *to)
{
	return step() ? disk_real.rename(from, to) : -EIO;
}

static int kill_unlink(const char *path)
{
	return step() ? disk_real.unlink(path) : -EIO;
}

static int kill_fsync_dir(const char *path)
{
	return step() ? disk_real.fsync_dir(path) : -EIO;
}

static const struct disk_ops killing = {
	.create = kill_create,
	.pwrite = kill_pwrite,
	.ftruncate = kill_ftruncate,
	.fdatasync = kill_fdatasync,
	.rename = kill_rename,
	.unlink = kill_unlink,
	.fsync_dir = kill_fsync_dir,
};

/* ---- the mount ---- */

static struct mem_server *server;
static struct fault_plan *plan;
static struct journal *journal;
static struct fs *fs;
static struct opctx ctx;
static char cache[64];
static bool back;
static enum inplace inplace;
static struct mem_traits traits;

static bool server_step(void *arg)
{
	(void)arg;
	return step();
}

static int mount_it(void)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = 1 * NS_PER_MS,
		.write_back = back,
		.uploads = 1,
		.inplace = inplace,
		.umount_wait = 1, /* the dead store nothing */
	};
	int rc = journal_open_any(cache, TARGET, &journal);

	if (rc) {
		journal = NULL;
		return rc;
	}
	conf.remote = remote_fault_create(remote_mem_create(server), plan);
	fault_gate(plan, server_step, NULL);
	conf.journal = journal;
	assert_int_equal(fs_create(&conf, &fs), 0);
	rc = fs_probe(fs, &ctx);
	if (rc == 0)
		fs_recover(fs, &ctx);
	return rc;
}

static void unmount(void)
{
	if (!journal)
		return;
	fs_destroy(fs);
	journal_close(journal);
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	char below[512];

	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof below, "%s/%s", path, e->d_name);
		remove_tree(below);
	}
	if (d)
		closedir(d);
	remove(path);
}

/* ---- what may be there ---- */

/* Of one name: what was promised; and, when an operation was under way, what else it may be. */
struct state {
	bool there;
	char text[TEXT_MAX];
};

static struct state now[NAMES], then[NAMES];
static char story[STEPS][64];
static unsigned stories;
static uint64_t random_state;

static uint64_t dice(uint64_t below)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static const char *name_of(unsigned i)
{
	static const char *const names[NAMES] = {"a", "b", "c", "d"};

	return names[i];
}

static void tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(story[stories++ % STEPS], sizeof story[0], format, args);
	va_end(args);
}

/* ---- one operation: 0, or an error which only death excuses ---- */

static int write_close(unsigned i, int flags, const char *text, int64_t at)
{
	struct fs_found f;
	struct handle *h;
	bool keep;
	int rc = fs_create_file(fs, fs_root(fs), name_of(i), 0644, O_WRONLY | O_CREAT | flags, &f,
				&h, &keep, &ctx);
	ssize_t n;

	if (rc)
		return rc;
	n = fs_write(h, text, strlen(text), at, &ctx);
	rc = n < 0 ? (int)n : 0;
	if (rc == 0)
		rc = fs_flush(h, &ctx);
	fs_release(h);
	fs_forget(fs, f.node, 1);
	return rc;
}

static void random_text(char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('A' + dice(26));
	out[n] = '\0';
}

static int op_replace(unsigned i)
{
	random_text(then[i].text, 1 + dice(40));
	then[i].there = true;
	tell("write %s = %s", name_of(i), then[i].text);
	return write_close(i, O_TRUNC, then[i].text, 0);
}

static int op_append(unsigned i)
{
	size_t at = now[i].there ? strlen(now[i].text) : 0;
	char more[16];

	if (at > TEXT_MAX - 20)
		return 0;
	random_text(more, 1 + dice(10));
	strcpy(then[i].text + at, more);
	then[i].there = true;
	tell("append %s += %s", name_of(i), more);
	return write_close(i, 0, more, (int64_t)at);
}

static int op_edit(unsigned i)
{
	size_t n = now[i].there ? strlen(now[i].text) : 0;
	char patch[2] = {(char)('a' + dice(26)), '\0'};
	size_t at;

	if (n < 2)
		return 0;
	at = 1 + dice(n - 1); /* the first byte cannot be patched */
	then[i].text[at] = patch[0];
	tell("edit %s at %zu", name_of(i), at);
	return write_close(i, 0, patch, (int64_t)at);
}

static int op_rename(unsigned i)
{
	unsigned j = (unsigned)dice(NAMES);

	if (i == j || !now[i].there)
		return 0;
	then[j] = now[i];
	then[i] = (struct state){0};
	tell("rename %s %s", name_of(i), name_of(j));
	return fs_rename(fs, fs_root(fs), name_of(i), fs_root(fs), name_of(j), 0, &ctx);
}

static int op_remove(unsigned i)
{
	if (!now[i].there)
		return 0;
	then[i] = (struct state){0};
	tell("remove %s", name_of(i));
	return fs_unlink(fs, fs_root(fs), name_of(i), &ctx);
}

static int op_sync(unsigned i)
{
	(void)i;
	tell("sync");
	return fs_sync(fs, &ctx);
}

static int (*const OPS[])(unsigned) = {op_replace, op_replace, op_append, op_edit,
				       op_rename,  op_rename,  op_remove, op_sync};

/* Until the end or death; `now` is what was promised, `then` what the last operation may have done.
 */
static void workload(uint64_t seed)
{
	random_state = seed;
	memset(now, 0, sizeof now);
	memset(then, 0, sizeof then);
	stories = 0;
	for (unsigned n = 0; n < STEPS && !is_dead(); n++) {
		int rc = OPS[dice(sizeof OPS / sizeof OPS[0])]((unsigned)dice(NAMES));

		if (is_dead())
			return;
		assert_int_equal(rc, 0);
		memcpy(now, then, sizeof now);
	}
}

/* ---- the verdict ---- */

static uint64_t seed_now, kill_now;

static void print_story(void)
{
	print_error("seed %d, %s, killed before step %d:\n", (int)seed_now,
		    back ? "back" : "through", (int)kill_now);
	for (unsigned i = stories > STEPS ? stories - STEPS : 0; i < stories; i++)
		print_error("  %s\n", story[i % STEPS]);
}

static bool is(const struct state *s, const char *bytes, size_t n)
{
	return s->there ? bytes && strlen(s->text) == n && memcmp(s->text, bytes, n) == 0 : !bytes;
}

static void check_name(unsigned i)
{
	char path[8], *bytes = NULL;
	size_t n = 0;

	snprintf(path, sizeof path, "/%s", name_of(i));
	if (mem_get(server, path, &bytes, &n) != 0)
		bytes = NULL;
	if (!is(&now[i], bytes, n) && !is(&then[i], bytes, n)) {
		print_story();
		print_error("%s is %.*s, and should be %s or %s\n", path, bytes ? (int)n : 4,
			    bytes ? bytes : "gone", now[i].there ? now[i].text : "gone",
			    then[i].there ? then[i].text : "gone");
		fail();
	}
	free(bytes);
}

/* A rename over a name that was promised and not stored yet: the server has done it, and the
 * promise was not taken back. Nothing may be lost, so both are there. */
static bool is_conflict_copy(const char *path)
{
	const struct state *s = &now[path[1] - 'a'];
	char *bytes;
	size_t n;

	if (strncmp(path + 2, ".ftpfs-conflict-", 16) != 0 ||
	    mem_get(server, path, &bytes, &n) != 0)
		return false;
	bool same = is(s, bytes, n);
	free(bytes);
	return same;
}

static void find_litter(void *arg, const char *path, const struct entry *e)
{
	(void)arg, (void)e;
	if (path[1] >= 'a' && path[1] <= 'd' && (!path[2] || is_conflict_copy(path)))
		return;
	print_story();
	print_error("left on the server: %s\n", path);
	fail();
}

static void check_all(void)
{
	for (unsigned i = 0; i < NAMES; i++)
		check_name(i);
	mem_walk(server, "/", find_litter, NULL);
	if (journal_count(journal) != 0) {
		print_story();
		print_error("the journal still owes\n");
		fail();
	}
}

/* Killed before step k: was there such a step? */
static bool round_of(uint64_t seed, uint64_t k)
{
	bool reached;

	seed_now = seed;
	kill_now = k;
	server = mem_server_create(&traits);
	plan = fault_plan_create(seed);
	strcpy(cache, "/dev/shm/ftpfs-crash-XXXXXX");
	assert_non_null(mkdtemp(cache));
	live(UINT64_MAX);
	assert_int_equal(mount_it(), 0);
	live(k);
	workload(seed);
	reached = is_dead();
	unmount();
	live(UINT64_MAX);
	clock_advance(60 * NS_PER_S);
	assert_int_equal(mount_it(), 0);
	if (fs_sync(fs, &ctx) != 0) {
		print_story();
		fail();
	}
	check_all();
	unmount();
	fault_plan_destroy(plan);
	mem_server_destroy(server);
	remove_tree(cache);
	return reached;
}

static void crash_everywhere(bool write_back, uint64_t first)
{
	const char *seeds = getenv("FTPFS_CRASH_SEEDS");
	uint64_t n = seeds ? strtoull(seeds, NULL, 10) : 3, kills = 0;

	back = write_back;
	ctx = opctx_for(OPCTX_FOREVER);
	ctx.cancelled = &dead;
	ctx.cancel_fd = dead_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	disk = &killing;
	for (uint64_t seed = first; seed < first + n; seed++) {
		traits = (struct mem_traits){.settles_behind = seed & 1,
					     .no_append = seed % 3 == 0};
		inplace = seed & 2 ? INPLACE_ON : INPLACE_OFF;
		for (uint64_t k = 1; round_of(seed, k); k++)
			kills++;
	}
	disk = &disk_real;
	close(dead_fd);
	print_message("%d kills\n", (int)kills);
}

static void test_back(void **state)
{
	(void)state;
	crash_everywhere(true, 1);
}

static void test_through(void **state)
{
	(void)state;
	crash_everywhere(false, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_through),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
