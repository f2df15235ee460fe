/* crash_ops_names - random operations on names, and what each of them promises. */
#include <fcntl.h>
#include <string.h>

#include "crash_ops.h"
#include "kill.h"

/* With write=back a file that is neither stored nor promised is renamed here alone, and not
 * promised with that; unless it takes the place of another one. */
static bool is_only_here(const struct crash *c, int from, int to)
{
	return c->conf.back && (!c->now.file[from] || c->may[from]) && !c->seen.file[to];
}

static void forget_open(struct crash *c, int file)
{
	for (int i = 0; i < CRASH_HANDLES; i++)
		if (c->open[i].h && c->open[i].file == file)
			c->open[i].file = -1;
}

static void moved(struct crash *c, int from, int to)
{
	c->may[from] = NULL;
	if (c->then.file[to] == c->shown.file[to])
		c->may[to] = NULL;
	for (int i = 0; i < CRASH_HANDLES; i++)
		if (c->open[i].h && c->open[i].file == from)
			c->open[i].file = to;
}

/* What is expected of a file whose name changes; its own name and the new one may have its bytes
 * meanwhile. */
static void expect_move(struct crash *c, int from, int to)
{
	const struct text *t = c->seen.file[from];

	c->meanwhile[from] = c->meanwhile[to] = t;
	c->moves[from] = to;
	if (is_only_here(c, from, to))
		c->may[to] = t;
	else
		c->then.file[to] = t;
	c->shown.file[to] = t;
	c->then.file[from] = c->shown.file[from] = NULL;
}

static int rename_file(struct crash *c, int from, int to)
{
	struct node *a, *b;
	int rc;

	crash_tell(c, "rename %s %s%s%s", crash_path(from), crash_path(to),
		   crash_is_open(c, from) ? " (open)" : "",
		   crash_is_open(c, to) ? " (target open)" : "");
	expect_move(c, from, to);
	rc = crash_get_dir(c, crash_dir_of(from), &a);
	if (rc)
		return rc;
	rc = crash_get_dir(c, crash_dir_of(to), &b);
	if (rc == 0) {
		rc = fs_rename(c->fs, a, crash_name(from), b, crash_name(to), 0, &c->ctx);
		crash_put_dir(c, crash_dir_of(to), b);
	}
	crash_put_dir(c, crash_dir_of(from), a);
	if (rc == 0) {
		forget_open(c, to);
		moved(c, from, to);
	}
	return rc;
}

int crash_op_rename(struct crash *c)
{
	int from = crash_any_place(c), to = crash_any_place(c);

	return from == to || !c->seen.file[from] ? 0 : rename_file(c, from, to);
}

/* Two files change places; or, where the third name is taken, one of them goes over it. */
int crash_op_swap(struct crash *c)
{
	static const int order[3][2] = {{0, 2}, {1, 0}, {2, 1}};
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0 && !kill_happened(); i++) {
		if (!c->seen.file[order[i][0]])
			break;
		rc = rename_file(c, order[i][0], order[i][1]);
		if (rc == 0 && !kill_happened())
			crash_done(c);
	}
	return rc;
}

/* As rsync and editors do. */
int crash_op_save(struct crash *c)
{
	int to = crash_any_place(c), rc;
	char bytes[30];
	size_t n = crash_dice(c, sizeof bytes);

	if (to == 2)
		return 0;
	crash_fill(c, bytes, n);
	crash_tell(c, "write /c = %.*s", (int)n, bytes);
	rc = crash_write_close(c, 2, O_TRUNC, bytes, n, 0);
	if (rc || kill_happened())
		return rc;
	crash_done(c);
	return rename_file(c, 2, to);
}

int crash_op_remove(struct crash *c)
{
	int file = crash_any_place(c), rc;
	struct node *dir;

	if (!c->seen.file[file])
		return 0;
	crash_tell(c, "remove %s%s", crash_path(file), crash_is_open(c, file) ? " (open)" : "");
	c->then.file[file] = c->shown.file[file] = NULL;
	rc = crash_get_dir(c, crash_dir_of(file), &dir);
	if (rc)
		return rc;
	rc = fs_unlink(c->fs, dir, crash_name(file), &c->ctx);
	crash_put_dir(c, crash_dir_of(file), dir);
	if (rc == 0) {
		forget_open(c, file);
		c->may[file] = NULL;
	}
	return rc;
}

static bool is_empty(const struct crash *c, int dir)
{
	for (int i = 0; i < CRASH_FILES; i++)
		if (crash_dir_of(i) == dir && c->seen.file[i])
			return false;
	return true;
}

int crash_op_mkdir(struct crash *c)
{
	int dir = 1 + (int)crash_dice(c, CRASH_DIRS - 1), rc;
	struct fs_found f;

	if (c->seen.dir[dir])
		return 0;
	crash_tell(c, "mkdir %s", crash_dir_names[dir]);
	c->then.dir[dir] = c->shown.dir[dir] = true;
	rc = fs_mkdir(c->fs, fs_root(c->fs), crash_dir_names[dir], 0755, &f, &c->ctx);
	if (rc == 0)
		fs_forget(c->fs, f.node, 1);
	return rc;
}

int crash_op_rmdir(struct crash *c)
{
	int dir = 1 + (int)crash_dice(c, CRASH_DIRS - 1);

	if (!c->seen.dir[dir] || !is_empty(c, dir))
		return 0;
	crash_tell(c, "rmdir %s", crash_dir_names[dir]);
	c->then.dir[dir] = c->shown.dir[dir] = false;
	return fs_rmdir(c->fs, fs_root(c->fs), crash_dir_names[dir], &c->ctx);
}

/* What is open below is stored first. */
int crash_op_rename_dir(struct crash *c)
{
	int from = 1 + (int)crash_dice(c, CRASH_DIRS - 1), to = CRASH_DIRS - from, rc;

	if (!c->seen.dir[from] || (c->seen.dir[to] && !is_empty(c, to)))
		return 0;
	crash_tell(c, "rename %s %s", crash_dir_names[from], crash_dir_names[to]);
	for (int i = 3; i < 5; i++) {
		int a = from == 1 ? i : i + 2, b = from == 1 ? i + 2 : i;

		if (!c->seen.file[a])
			continue;
		expect_move(c, a, b);
		c->then.file[b] = c->seen.file[a];
	}
	c->then.dir[from] = c->shown.dir[from] = false;
	c->then.dir[to] = c->shown.dir[to] = true;
	rc = fs_rename(c->fs, fs_root(c->fs), crash_dir_names[from], fs_root(c->fs),
		       crash_dir_names[to], 0, &c->ctx);
	for (int i = 3; i < 5 && rc == 0; i++)
		moved(c, from == 1 ? i : i + 2, from == 1 ? i + 2 : i);
	return rc;
}
