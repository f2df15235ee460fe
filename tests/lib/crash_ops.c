/* crash_ops - random operations of an application, and what each of them promises. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "crash_ops.h"
#include "kill.h"

enum {
	SIZE_MAX_SMALL = 90,
	PIECE_BIG = 400 << 10, /* three in order, and an upload follows their writer */
	SIZE_MAX_BIG = 2 << 20,
};

const char *const crash_dir_names[CRASH_DIRS] = {"", "d", "e"};

/* ---- nodes ---- */

/* With one lookup for the caller, but for the root. */
int crash_get_dir(struct crash *c, int dir, struct node **out)
{
	struct fs_found f = {.node = fs_root(c->fs)};
	int rc = dir ? fs_lookup(c->fs, f.node, crash_dir_names[dir], &f, &c->ctx) : 0;

	*out = f.node;
	return rc ? rc : f.node ? 0 : -ENOENT;
}

void crash_put_dir(struct crash *c, int dir, struct node *n)
{
	if (dir)
		fs_forget(c->fs, n, 1);
}

static int get_file(struct crash *c, int file, struct node **out)
{
	struct fs_found f;
	struct node *dir;
	int rc = crash_get_dir(c, crash_dir_of(file), &dir);

	if (rc)
		return rc;
	rc = fs_lookup(c->fs, dir, crash_name(file), &f, &c->ctx);
	crash_put_dir(c, crash_dir_of(file), dir);
	*out = f.node;
	return rc ? rc : f.node ? 0 : -ENOENT;
}

/* ---- what is chosen ---- */

int crash_any_place(struct crash *c)
{
	int file = (int)crash_dice(c, CRASH_FILES);

	return c->seen.dir[crash_dir_of(file)] ? file : (int)crash_dice(c, 3);
}

static struct open_file *any_open(struct crash *c)
{
	struct open_file *o = &c->open[crash_dice(c, CRASH_HANDLES)];

	return o->h ? o : NULL;
}

bool crash_is_open(const struct crash *c, int file)
{
	for (int i = 0; i < CRASH_HANDLES; i++)
		if (c->open[i].h && c->open[i].file == file)
			return true;
	return false;
}

void crash_fill(struct crash *c, char *out, size_t n)
{
	char first = (char)('A' + crash_dice(c, 26));

	for (size_t i = 0; i < n; i++)
		out[i] = n > SIZE_MAX_SMALL ? (char)(first + (int)(i % 23))
					    : (char)('A' + crash_dice(c, 26));
}

static size_t size_of(const struct text *t)
{
	return t ? t->n : 0;
}

static struct text *written(struct crash *c, const struct text *old, const char *bytes, size_t n,
			    size_t at)
{
	size_t size = at + n > size_of(old) ? at + n : size_of(old);
	struct text *t = crash_text(c, old ? old->bytes : "", size_of(old), size);

	memcpy(t->bytes + at, bytes, n);
	return t;
}

static struct text *resized(struct crash *c, const struct text *old, size_t size)
{
	return crash_text(c, old ? old->bytes : "", size_of(old), size);
}

/* As the application sees it, so it is promised once the operation is done. */
static void promise(struct crash *c, int file)
{
	if (file >= 0)
		c->then.file[file] = c->shown.file[file];
}

/* ---- content ---- */

static int create(struct crash *c, int file, int flags, struct fs_found *f, struct handle **h)
{
	struct node *dir;
	bool keep;
	int rc = crash_get_dir(c, crash_dir_of(file), &dir);

	if (rc)
		return rc;
	rc = fs_create_file(c->fs, dir, crash_name(file), 0644, O_RDWR | O_CREAT | flags, f, h,
			    &keep, &c->ctx);
	crash_put_dir(c, crash_dir_of(file), dir);
	return rc;
}

int crash_write_close(struct crash *c, int file, int flags, const char *bytes, size_t n, size_t at)
{
	struct fs_found f;
	struct handle *h;
	ssize_t done;
	int rc;

	c->shown.file[file] = written(c, flags & O_TRUNC ? NULL : c->seen.file[file], bytes, n, at);
	promise(c, file);
	rc = create(c, file, flags, &f, &h);
	if (rc)
		return rc;
	done = n ? fs_write(h, bytes, n, (int64_t)at, &c->ctx) : 0;
	rc = done < 0 ? (int)done : fs_flush(h, &c->ctx);
	fs_release(h);
	fs_forget(c->fs, f.node, 1);
	return rc;
}

static int op_replace(struct crash *c)
{
	int file = crash_any_place(c);
	char bytes[40];
	size_t n = crash_chance(c, 15) ? 0 : 1 + crash_dice(c, sizeof bytes);

	crash_fill(c, bytes, n);
	crash_tell(c, "write %s = %.*s", crash_path(file), (int)n, bytes);
	return crash_write_close(c, file, O_TRUNC, bytes, n, 0);
}

static int op_append(struct crash *c)
{
	int file = crash_any_place(c);
	size_t n = 1 + crash_dice(c, 10), at = size_of(c->seen.file[file]);
	char bytes[10];

	if (at + n > SIZE_MAX_BIG)
		return 0;
	crash_fill(c, bytes, n);
	crash_tell(c, "append %s += %.*s", crash_path(file), (int)n, bytes);
	return crash_write_close(c, file, 0, bytes, n, at);
}

static int op_edit(struct crash *c)
{
	int file = crash_any_place(c);
	size_t n = size_of(c->seen.file[file]), at;
	char byte[1] = {(char)('a' + crash_dice(c, 26))};

	if (n < 2)
		return 0;
	at = 1 + crash_dice(c, n - 1); /* the first byte cannot be patched */
	crash_tell(c, "edit %s at %zu: %c", crash_path(file), at, byte[0]);
	return crash_write_close(c, file, 0, byte, 1, at);
}

/* By the server, and what it has confirmed is promised. */
static int copy_between(struct crash *c, int from, int to, struct handle *source)
{
	const struct text *t = c->seen.file[from];
	struct fs_found f;
	struct handle *h;
	ssize_t n;
	int rc = create(c, to, O_TRUNC, &f, &h);

	if (rc)
		return rc;
	n = fs_copy(source, 0, h, 0, t->n, &c->ctx);
	if (n == -EOPNOTSUPP)
		n = fs_write(h, t->bytes, t->n, 0, &c->ctx);
	rc = n < 0 ? (int)n : fs_flush(h, &c->ctx);
	fs_release(h);
	fs_forget(c->fs, f.node, 1);
	return rc;
}

static int op_copy(struct crash *c)
{
	int from = crash_any_place(c), to = crash_any_place(c), rc;
	struct handle *source;
	struct fs_found f;

	if (c->conf.traits.no_copy || from == to || size_of(c->seen.file[from]) == 0 ||
	    crash_is_open(c, from) || crash_is_open(c, to))
		return 0;
	crash_tell(c, "copy %s %s", crash_path(from), crash_path(to));
	rc = create(c, from, 0, &f, &source);
	if (rc)
		return rc;
	c->shown.file[to] = c->seen.file[from];
	promise(c, to);
	rc = copy_between(c, from, to, source);
	fs_release(source);
	fs_forget(c->fs, f.node, 1);
	return rc;
}

static size_t random_size(struct crash *c, size_t now)
{
	switch (crash_dice(c, 4)) {
	case 0:
		return 0;
	case 1:
		return crash_dice(c, now + 1);
	default:
		return now + crash_dice(c, 30);
	}
}

static int truncate_by(struct crash *c, struct node *n, struct handle *h, size_t size)
{
	struct stat st = {.st_size = (off_t)size};
	struct fs_attr attr;

	return fs_setattr(c->fs, n, h, FS_SET_SIZE, &st, &attr, &c->ctx);
}

static int op_truncate(struct crash *c)
{
	int file = crash_any_place(c), rc;
	size_t size = random_size(c, size_of(c->seen.file[file]));
	struct node *n;

	if (!c->seen.file[file])
		return 0;
	crash_tell(c, "truncate %s to %zu%s", crash_path(file), size,
		   crash_is_open(c, file) ? " (open)" : "");
	c->shown.file[file] = resized(c, c->seen.file[file], size);
	if (!crash_is_open(c, file)) /* else it is for a close to store */
		promise(c, file);
	rc = get_file(c, file, &n);
	if (rc)
		return rc;
	rc = truncate_by(c, n, NULL, size);
	fs_forget(c->fs, n, 1);
	return rc;
}

static int op_touch(struct crash *c)
{
	int file = crash_any_place(c), rc;
	struct stat st = {.st_mode = crash_chance(c, 50) ? 0644 : 0600,
			  .st_mtim.tv_sec = 1000000000 + (time_t)crash_dice(c, 1000000)};
	unsigned what = crash_chance(c, 50) ? FS_SET_MODE : FS_SET_MTIME;
	struct fs_attr attr;
	struct node *n;

	if (!c->seen.file[file] || (what == FS_SET_MTIME && c->conf.traits.no_set_mtime))
		return 0;
	crash_tell(c, "%s %s", what == FS_SET_MODE ? "chmod" : "utimens", crash_path(file));
	/* A server of which nobody knows yet whether it can is given the file first. */
	if (crash_is_open(c, file) && c->seen.file[file] != c->now.file[file])
		c->may[file] = c->seen.file[file];
	rc = get_file(c, file, &n);
	if (rc)
		return rc;
	rc = fs_setattr(c->fs, n, NULL, what, &st, &attr, &c->ctx);
	fs_forget(c->fs, n, 1);
	return rc;
}

/* ---- files that stay open ---- */

static int op_open(struct crash *c)
{
	struct open_file *o = &c->open[crash_dice(c, CRASH_HANDLES)];
	int file = crash_any_place(c), flags = crash_chance(c, 50) ? O_TRUNC : 0, rc;
	struct fs_found f;
	struct handle *h;

	if (o->h)
		return 0;
	crash_tell(c, "open %s%s", crash_path(file), flags ? ", emptied" : "");
	if (flags || !c->seen.file[file])
		c->shown.file[file] = crash_text(c, "", 0, 0);
	rc = create(c, file, flags, &f, &h);
	if (rc == 0)
		*o = (struct open_file){.h = h, .node = f.node, .file = file};
	return rc;
}

static int write_some(struct crash *c, struct open_file *o, const char *bytes, size_t n, size_t at)
{
	ssize_t done;

	if (o->file >= 0)
		c->shown.file[o->file] = written(c, c->seen.file[o->file], bytes, n, at);
	done = fs_write(o->h, bytes, n, (int64_t)at, &c->ctx);
	return done < 0 ? (int)done : 0;
}

static int op_write(struct crash *c)
{
	static char bytes[PIECE_BIG];
	struct open_file *o = any_open(c);
	bool big = c->conf.big && crash_chance(c, 60);
	size_t n = big ? sizeof bytes : 1 + crash_dice(c, 20), size, at;

	if (!o)
		return 0;
	size = o->file < 0 ? 0 : size_of(c->seen.file[o->file]);
	at = big || crash_chance(c, 60) ? size : crash_dice(c, size + 10);
	if (at + n > (c->conf.big ? (size_t)SIZE_MAX_BIG : SIZE_MAX_SMALL))
		return 0;
	crash_fill(c, bytes, n);
	crash_tell(c, "write %s %zu at %zu (handle): %.10s",
		   o->file < 0 ? "?" : crash_path(o->file), n, at, bytes);
	return write_some(c, o, bytes, n, at);
}

static int op_resize(struct crash *c)
{
	struct open_file *o = any_open(c);
	size_t size;

	if (!o || o->file < 0)
		return 0;
	size = random_size(c, size_of(c->seen.file[o->file]));
	crash_tell(c, "ftruncate %s to %zu", crash_path(o->file), size);
	c->shown.file[o->file] = resized(c, c->seen.file[o->file], size);
	return truncate_by(c, o->node, o->h, size);
}

static int op_fsync(struct crash *c)
{
	struct open_file *o = any_open(c);
	int file, rc;

	if (!o)
		return 0;
	file = o->file;
	crash_tell(c, "fsync %s", file < 0 ? "?" : crash_path(file));
	promise(c, file);
	rc = fs_fsync(o->h, &c->ctx);
	if (rc || file < 0 || kill_happened())
		return rc;
	crash_done(c);
	crash_check_stored(c, file);
	return 0;
}

static int close_it(struct crash *c, struct open_file *o, bool release)
{
	int rc;

	crash_tell(c, "%s %s", release ? "close" : "flush",
		   o->file < 0 ? "?" : crash_path(o->file));
	promise(c, o->file);
	rc = fs_flush(o->h, &c->ctx);
	if (!release)
		return rc;
	fs_release(o->h);
	fs_forget(c->fs, o->node, 1);
	*o = (struct open_file){0};
	return rc;
}

static int op_flush(struct crash *c)
{
	struct open_file *o = any_open(c);

	return o ? close_it(c, o, crash_chance(c, 70)) : 0;
}

int crash_close_all(struct crash *c)
{
	int rc = 0;

	for (int i = 0; i < CRASH_HANDLES && rc == 0; i++)
		if (c->open[i].h && (rc = close_it(c, &c->open[i], true)) == 0)
			crash_done(c);
	return rc;
}

/* ---- time ---- */

static int op_sync(struct crash *c)
{
	int rc;

	crash_tell(c, "sync");
	rc = fs_sync(c->fs, &c->ctx);
	for (int i = 0; i < CRASH_FILES && rc == 0 && !kill_happened(); i++)
		if (c->now.file[i] == c->seen.file[i])
			crash_check_stored(c, i);
	return rc;
}

/* What was promised is due, and goes on its way beside the next operations. */
static int op_later(struct crash *c)
{
	crash_tell(c, "later");
	clock_advance(300 * NS_PER_MS);
	return op_replace(c);
}

static int op_wait(struct crash *c)
{
	(void)c;
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	return 0;
}

int crash_step(struct crash *c)
{
	static int (*const ops[])(struct crash *) = {
		op_replace,	 op_replace,
		op_append,	 op_append,
		op_edit,	 op_truncate,
		op_touch,	 op_open,
		op_open,	 op_write,
		op_write,	 op_write,
		op_resize,	 op_fsync,
		op_flush,	 op_flush,
		crash_op_rename, crash_op_rename,
		crash_op_swap,	 crash_op_save,
		crash_op_save,	 crash_op_remove,
		crash_op_mkdir,	 crash_op_mkdir,
		crash_op_rmdir,	 crash_op_rename_dir,
		op_sync,	 op_later,
		op_later,	 op_wait,
		op_copy,
	};

	c->then = c->now;
	c->shown = c->seen;
	return ops[crash_dice(c, sizeof ops / sizeof ops[0])](c);
}
