/* crash_world - a mount that may be killed, beside what was promised to its application. */
#include "crash_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/commit.h"
#include "fs/journal.h"
#include "kill.h"
#include "remove_tree.h"

#define TARGET "user@host:21/"

static const char *const paths[CRASH_FILES] = {"/a", "/b", "/c", "/d/a", "/d/b", "/e/a", "/e/b"};
static const char *const dirs[CRASH_DIRS] = {"/", "/d", "/e"};

const char *crash_path(int file)
{
	return paths[file];
}

const char *crash_name(int file)
{
	return strrchr(paths[file], '/') + 1;
}

int crash_dir_of(int file)
{
	return file < 3 ? 0 : file < 5 ? 1 : 2;
}

uint64_t crash_dice(struct crash *c, uint64_t below)
{
	uint64_t z = c->dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

bool crash_chance(struct crash *c, unsigned percent)
{
	return crash_dice(c, 100) < percent;
}

void crash_tell(struct crash *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->story[c->lines++ % CRASH_STORY], sizeof c->story[0], format, args);
	va_end(args);
}

_Noreturn void crash_fail(struct crash *c, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:\n", c->title);
	for (unsigned i = c->lines > CRASH_STORY ? c->lines - CRASH_STORY : 0; i < c->lines; i++)
		fprintf(stderr, "  %s\n", c->story[i % CRASH_STORY]);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	fflush(NULL);
	_exit(1);
}

struct text *crash_text(struct crash *c, const char *from, size_t n, size_t size)
{
	struct text *t = calloc(1, sizeof *t + size + 1);

	if (!t)
		abort();
	memcpy(t->bytes, from, n < size ? n : size);
	t->n = size;
	t->next = c->texts;
	c->texts = t;
	return t;
}

/* ---- the mount ---- */

int crash_mount(struct crash *c)
{
	struct fs_conf conf = {
		.dcache_timeout = 20 * NS_PER_S,
		.timeout = 40 * NS_PER_MS, /* shorter than any pause */
		.write_back = c->conf.back,
		.uploads = 2,
		.inplace = c->conf.inplace,
		.atomic = c->conf.atomic,
		.copy_least = 1,
		.umount_wait = 1, /* the dead store nothing */
	};
	int rc = journal_open_any(c->cache, TARGET, &c->journal);

	if (rc) {
		c->journal = NULL;
		return rc;
	}
	if (c->conf.compact)
		journal_set_compact(c->journal, c->conf.compact);
	conf.remote = remote_fault_create(remote_mem_create(c->server), c->plan);
	conf.journal = c->journal;
	rc = fs_create(&conf, &c->fs);
	if (rc) {
		journal_close(c->journal);
		c->journal = NULL;
		return rc;
	}
	rc = fs_probe(c->fs, &c->ctx);
	if (rc == 0)
		fs_recover(c->fs, &c->ctx);
	return rc;
}

void crash_unmount(struct crash *c)
{
	memset(c->open, 0, sizeof c->open);
	if (!c->journal)
		return;
	fs_destroy(c->fs);
	journal_close(c->journal);
	c->journal = NULL;
}

void crash_begin(struct crash *c, const struct crash_conf *conf, uint64_t seed)
{
	memset(c, 0, sizeof *c);
	c->conf = *conf;
	c->server = mem_server_create(&conf->traits);
	c->plan = fault_plan_create(seed);
	kill_gate(c->plan);
	c->ctx = kill_ctx();
	c->dice = seed;
	c->now.dir[0] = true;
	c->seen = c->then = c->shown = c->now;
	memset(c->moves, -1, sizeof c->moves);
	strcpy(c->cache, "/dev/shm/ftpfs-crash-XXXXXX");
	if (!mkdtemp(c->cache))
		abort();
}

void crash_end(struct crash *c)
{
	fault_plan_destroy(c->plan);
	mem_server_destroy(c->server);
	remove_tree(c->cache);
	while (c->texts) {
		struct text *t = c->texts;

		c->texts = t->next;
		free(t);
	}
}

void crash_done(struct crash *c)
{
	for (int i = 0; i < CRASH_FILES; i++)
		if (c->now.file[i] != c->then.file[i])
			c->may[i] = NULL;
	c->now = c->then;
	c->seen = c->shown;
	memset(c->meanwhile, 0, sizeof c->meanwhile);
	memset(c->moves, -1, sizeof c->moves);
}

/* ---- what may be there ---- */

static bool is(const struct text *t, const struct text *found)
{
	return t && found ? t->n == found->n && memcmp(t->bytes, found->bytes, t->n) == 0
			  : t == found;
}

static bool allowed(const struct crash *c, int i, const struct text *found)
{
	return is(c->now.file[i], found) || is(c->then.file[i], found) ||
	       (found && (is(c->may[i], found) || is(c->meanwhile[i], found)));
}

static void describe(const struct text *t, char out[48])
{
	if (!t) {
		strcpy(out, "gone");
		return;
	}
	int n = snprintf(out, 16, "%zu: ", t->n);

	for (size_t i = 0; i < t->n && i < 24; i++, n++)
		out[n] = t->bytes[i] ? t->bytes[i] : '.';
	out[n] = '\0';
}

static void check_name(struct crash *c, const char *where, int i, const struct text *found)
{
	char is_now[48], now[48], then[48];

	if (allowed(c, i, found))
		return;
	describe(found, is_now);
	describe(c->now.file[i], now);
	describe(c->then.file[i], then);
	crash_fail(c, "%s: %s is \"%s\", and should be \"%s\" or \"%s\"", where, crash_path(i),
		   is_now, now, then);
}

static struct text *on_server(struct crash *c, const char *path)
{
	char *bytes;
	size_t n;
	struct text *t;

	if (mem_get(c->server, path, &bytes, &n) != 0)
		return NULL;
	t = crash_text(c, bytes, n, n);
	free(bytes);
	return t;
}

static struct text *on_mount(struct crash *c, int i)
{
	struct fs_found dir = {.node = fs_root(c->fs)}, f;
	static char bytes[1 << 20];
	struct text *t = NULL;
	struct handle *h;
	bool keep;
	ssize_t n;

	if (crash_dir_of(i) &&
	    (fs_lookup(c->fs, dir.node, dirs[crash_dir_of(i)] + 1, &dir, &c->ctx) || !dir.node))
		return NULL;
	if (fs_lookup(c->fs, dir.node, crash_name(i), &f, &c->ctx))
		crash_fail(c, "%s cannot be looked up", crash_path(i));
	if (f.node) {
		if (fs_open(c->fs, f.node, O_RDONLY, &h, &keep, &c->ctx))
			crash_fail(c, "%s cannot be opened", crash_path(i));
		t = crash_text(c, "", 0, 0);
		while ((n = fs_read(h, bytes, sizeof bytes, (int64_t)t->n, &c->ctx)) > 0) {
			struct text *more = crash_text(c, t->bytes, t->n, t->n + (size_t)n);

			memcpy(more->bytes + t->n, bytes, (size_t)n);
			t = more;
		}
		if (n < 0 && n != -ENOENT)
			crash_fail(c, "%s cannot be read: %s", crash_path(i), strerror((int)-n));
		if (n < 0) /* an edit of what was removed just before the end */
			t = NULL;
		fs_release(h);
		fs_forget(c->fs, f.node, 1);
	}
	if (crash_dir_of(i))
		fs_forget(c->fs, dir.node, 1);
	return t;
}

void crash_check_mount(struct crash *c)
{
	for (int i = 0; i < CRASH_FILES; i++)
		check_name(c, "the mount", i, on_mount(c, i));
}

void crash_check_stored(struct crash *c, int file)
{
	struct text *found = on_server(c, crash_path(file));
	char is_now[48], now[48];

	if (is(c->now.file[file], found) || (found && is(c->may[file], found)))
		return;
	describe(found, is_now);
	describe(c->now.file[file], now);
	crash_fail(c, "the server has %s as \"%s\", and not yet as \"%s\"", crash_path(file),
		   is_now, now);
}

/* ---- the verdict ---- */

static void find_litter(void *arg, const char *path, const struct entry *e)
{
	struct crash *c = arg;

	for (int i = 1; i < CRASH_DIRS; i++)
		if (strcmp(path, dirs[i]) == 0 && e->type == ENTRY_DIR)
			return;
	for (int i = 0; i < CRASH_FILES; i++)
		if (strcmp(path, crash_path(i)) == 0)
			return;
	crash_fail(c, "left on the server: %s", path);
}

/* What an unfinished rename moved is at one of its names at least. */
static void check_moved(struct crash *c, int i)
{
	const struct text *was = c->now.file[i], *to;

	if (c->moves[i] < 0 || !was || c->may[i] || on_server(c, crash_path(i)))
		return;
	to = on_server(c, crash_path(c->moves[i]));
	if (!is(was, to) && !(to && is(c->meanwhile[i], to)))
		crash_fail(c, "%s was being renamed to %s, and is at neither", crash_path(i),
			   crash_path(c->moves[i]));
}

static void check_dir(struct crash *c, int i)
{
	struct entry e;
	bool there = mem_stat(c->server, dirs[i], &e) == 0;

	if (there)
		entry_clear(&e);
	if (there != c->now.dir[i] && there != c->then.dir[i])
		crash_fail(c, "%s is %s", dirs[i], there ? "there" : "gone");
}

static void check_spools(struct crash *c)
{
	DIR *d = opendir(journal_dir(c->journal));

	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, "spool-", 6) == 0)
			crash_fail(c, "left in the cache: %s", e->d_name);
	if (d)
		closedir(d);
}

void crash_check_server(struct crash *c)
{
	for (int i = 0; i < CRASH_FILES; i++) {
		check_name(c, "the server", i, on_server(c, crash_path(i)));
		check_moved(c, i);
	}
	for (int i = 0; i < CRASH_DIRS; i++)
		check_dir(c, i);
	mem_walk(c->server, "/", find_litter, c);
	if (journal_count(c->journal) != 0)
		crash_fail(c, "the journal still owes");
	check_spools(c);
}
