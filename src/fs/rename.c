/* fs/rename - rename(2): the rules of POSIX checked here, the rest left to the server. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aside.h"
#include "base/path.h"
#include "fs/prefetch.h"

/* Is n equal to dir or below it? */
static bool below(const struct node *n, const struct node *dir)
{
	while (n && n != dir)
		n = n->parent;
	return n == dir;
}

static int check_rules(struct fs *fs, const struct move *m, const struct opctx *ctx)
{
	bool source_dir = m->source->type == ENTRY_DIR;
	bool inside = false;

	if (source_dir) {
		mutex_lock(&fs->tree.lock);
		inside = below(m->to, m->source);
		mutex_unlock(&fs->tree.lock);
	}
	if (inside)
		return -EINVAL;
	if (!m->target)
		return 0;
	if (m->how == RENAME_KEEP_TARGET)
		return -EEXIST;
	if (source_dir != (m->target->type == ENTRY_DIR))
		return source_dir ? -ENOTDIR : -EISDIR;
	return source_dir ? fs_check_empty(fs, m->target, ctx) : 0;
}

/* Open files at or below top, pinned.  Shown targets of links depend on where they are: those are
 * asked for again. */
static int collect_open_locked(struct fs *fs, struct node *top, struct node ***out, size_t *n)
	REQUIRES(fs->tree.lock)
{
	size_t cap = 0;
	struct node *i = top, **v;

	(void)fs; /* for its lock */
	for (;;) {
		free(i->target);
		i->target = NULL;
		if (i->file && *n == cap) {
			cap = cap ? 2 * cap : 16;
			v = realloc(*out, cap * sizeof(struct node *));
			if (!v)
				return -ENOMEM;
			*out = v;
		}
		if (i->file) {
			tree_pin_locked(i);
			(*out)[(*n)++] = i;
		}
		if (i->dir && i->dir->first) {
			i = i->dir->first;
			continue;
		}
		while (i != top && !i->next)
			i = i->parent;
		if (i == top)
			return 0;
		i = i->next;
	}
}

static int settle_open_files(struct fs *fs, struct node *source, const struct opctx *ctx)
{
	struct node **open = NULL;
	size_t n = 0;

	mutex_lock(&fs->tree.lock);
	int err = collect_open_locked(fs, source, &open, &n);
	mutex_unlock(&fs->tree.lock);
	for (size_t i = 0; i < n; i++) {
		if (!err)
			err = file_before_rename(&fs->files, open[i], ctx);
		tree_unpin(&fs->tree, open[i]);
	}
	free(open);
	return err;
}

static int ask_server(struct fs *fs, const struct move *m, const struct opctx *ctx)
{
	struct buf from, to;
	int err;

	buf_init(&from, 2 * PATH_LIMIT);
	buf_init(&to, 2 * PATH_LIMIT);
	err = tree_child_path(&fs->tree, m->from, m->name, &from);
	if (!err)
		err = tree_child_path(&fs->tree, m->to, m->new_name, &to);
	if (!err)
		err = remote_rename(fs->conf.remote, buf_text(&from), buf_text(&to), m->how, ctx);
	if (err && m->target && !remote_link_error(err) && err != -EINTR && err != -ETIMEDOUT &&
	    (m->target->dir || (err == -EEXIST && m->target_on_server)))
		err = aside_replace(fs, m, buf_text(&from), buf_text(&to), ctx);
	buf_free(&from);
	buf_free(&to);
	return err;
}

/* Between the server's rename and ours a listing may come that names the new place only. */
static void set_moving(struct fs *fs, struct node *n, bool moving)
{
	mutex_lock(&fs->tree.lock);
	n->moving = moving;
	mutex_unlock(&fs->tree.lock);
}

int rename_in_tree(struct fs *fs, const struct move *m)
{
	struct tree *t = &fs->tree;

	mutex_lock(&t->lock);
	int err = tree_move_locked(t, m->source, m->to, m->new_name);
	if (err) {
		tree_expire_locked(t, m->from);
		tree_expire_locked(t, m->to);
	}
	tree_touch_dir_locked(t, m->from);
	tree_touch_dir_locked(t, m->to);
	mutex_unlock(&t->lock);
	return err;
}

static int carry_out(struct fs *fs, struct move *m, const struct opctx *ctx)
{
	bool replaces_file = m->target && m->target->type != ENTRY_DIR;
	struct file *alone;
	int err = rename_alone_begin(fs, m, &alone, ctx);

	if (!err && alone)
		return rename_alone(fs, m, alone, ctx);
	if (!err)
		err = settle_open_files(fs, m->source, ctx);
	if (!err && replaces_file)
		err = file_before_replace(&fs->files, m->target, &m->target_on_server, ctx);
	if (err)
		return err;
	set_moving(fs, m->source, true);
	err = ask_server(fs, m, ctx);
	if (err) {
		set_moving(fs, m->source, false);
		if (replaces_file)
			file_still_there(&fs->files, m->target);
		fs_doubt(fs, m->from, err);
		return fs_doubt(fs, m->to, err);
	}
	err = rename_in_tree(fs, m);
	set_moving(fs, m->source, false);
	if (replaces_file) {
		file_after_remove(&fs->files, m->target);
		prefetch_drop(fs->files.prefetch, m->target);
	}
	return err;
}

int fs_rename(struct fs *fs, struct node *from, const char *name, struct node *to,
	      const char *new_name, unsigned flags, const struct opctx *ctx)
{
	struct move m = {.from = from,
			 .to = to,
			 .name = name,
			 .new_name = new_name,
			 .how = flags & FS_RENAME_NOREPLACE ? RENAME_KEEP_TARGET
							    : RENAME_REPLACE_TARGET};
	int err = flags & ~(unsigned)FS_RENAME_NOREPLACE ? -EINVAL : fs_may_change(fs, name);

	if (!err)
		err = fs_may_change(fs, new_name);
	if (!err)
		err = fs_child(fs, from, name, &m.source, ctx);
	if (err)
		return err;
	err = dircache_lookup(&fs->dircache, to, new_name, &m.target, ctx);
	if (!err)
		err = m.target == m.source && m.how == RENAME_REPLACE_TARGET
			      ? 0
			      : check_rules(fs, &m, ctx);
	if (!err && m.target != m.source)
		err = carry_out(fs, &m, ctx);
	if (m.target)
		tree_unpin(&fs->tree, m.target);
	tree_unpin(&fs->tree, m.source);
	return err;
}
