/* fs/recover - what an earlier process promised: its files are open again from the start. */
#include "fs/recover.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aside.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/writeback.h"
#include "fs_private.h"

#define LATE NS_PER_S

/* The directory that path is in, pinned. */
static int find_dir(struct fs *fs, const char *path, struct node **out, const struct opctx *ctx)
{
	const char *name = path_name(path);
	struct node *dir = fs_root(fs), *next;
	char part[NAME_LIMIT + 1];
	int rc = 0;

	mutex_lock(&fs->tree.lock);
	tree_pin_locked(dir);
	mutex_unlock(&fs->tree.lock);
	for (const char *at = path + 1; rc == 0 && at < name;) {
		size_t n = strcspn(at, "/");

		snprintf(part, sizeof part, "%.*s", (int)n, at);
		rc = dircache_lookup(&fs->dircache, dir, part, &next, ctx);
		if (rc == 0 && !next)
			rc = -ENOENT;
		tree_unpin(&fs->tree, dir);
		if (rc)
			return rc;
		dir = next;
		at += n + 1;
		if (dir->type != ENTRY_DIR)
			rc = -ENOTDIR;
	}
	if (rc)
		tree_unpin(&fs->tree, dir);
	else
		*out = dir;
	return rc;
}

/* The node of what was promised, pinned; made when the server has no such name. */
static int find_node(struct fs *fs, struct node *dir, const struct promise *p, struct node **out,
		     const struct opctx *ctx)
{
	struct entry e = {.type = ENTRY_FILE, .size = p->size, .have = HAVE_SIZE};
	const char *name = path_name(p->path);
	int rc = dircache_lookup(&fs->dircache, dir, name, out, ctx);

	if (rc || *out)
		return rc ? rc : (*out)->type == ENTRY_FILE ? 0 : -EISDIR;
	if (p->mode != REMOTE_KEEP_MODE) {
		e.mode = (uint32_t)p->mode;
		e.have |= HAVE_MODE;
	}
	mutex_lock(&fs->tree.lock);
	*out = tree_put_locked(&fs->tree, dir, name, &e);
	if (*out) {
		node_set(*out, NODE_LOCAL);
		tree_pin_locked(*out);
		tree_touch_dir_locked(&fs->tree, dir);
	}
	mutex_unlock(&fs->tree.lock);
	return *out ? 0 : -ENOMEM;
}

static void show_promised_locked(struct file *f, const struct promise *p) REQUIRES(f->lock)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;

	file_own_node_locked(f);
	mutex_lock(&t->lock);
	n->size = p->size;
	n->mtime = p->mtime != REMOTE_KEEP_MTIME ? p->mtime
						 : clock_realtime() / NS_PER_S * NS_PER_S;
	n->mtime_slack = 0;
	n->have |= HAVE_SIZE | HAVE_MTIME | HAVE_EXACT_MTIME;
	mutex_unlock(&t->lock);
}

/* s is f's from now on. */
static void take_up_locked(struct file *f, struct spool *s, const struct promise *p)
	REQUIRES(f->lock)
{
	f->spool = s;
	f->stored = (struct stored){
		.on_server = p->on_server, .size = p->server_size, .mtime = p->server_mtime};
	f->want_mtime = p->mtime;
	f->want_mode = p->mode;
	file_enter_locked(f, FILE_DIRTY);
	f->owed = f->recovered = true;
	f->promised = ++f->writes;
	/* The same patch is sent again: file.h says why that is right. */
	if (p->patching) {
		f->stored.patching = f->writes;
		atomic_store(&f->append_end, p->size > p->server_size ? p->size : p->server_size);
	}
	file_check_locked(f);
	show_promised_locked(f, p);
}

static int take_up(struct fs *fs, struct node *n, const struct promise *p)
{
	struct spool *s;
	struct file *f;
	int rc = file_get(&fs->files, n, &f);

	if (rc)
		return rc;
	rc = spool_open(fs->spool_dir, p, &s);
	if (rc == 0) {
		mutex_lock(&f->lock);
		take_up_locked(f, s, p);
		mutex_unlock(&f->lock);
		rc = writeback_adopt(fs->files.writeback, f);
		if (rc) {
			mutex_lock(&f->lock);
			file_leave_locked(f);
			mutex_unlock(&f->lock);
		}
	}
	file_put(f);
	return rc;
}

/* Ours alone: the name is random.  -ENOENT: not there, or not yet: the server may still have the
 * command before it that the killed process sent last. */
static int remove_litter(struct fs *fs, const struct promise *p, bool last, const struct opctx *ctx)
{
	int rc = remote_remove(fs->conf.remote, p->path, ctx);

	if (rc == 0 || (rc == -ENOENT && last)) {
		journal_done(fs->files.journal, p->id);
		return 0;
	}
	return rc;
}

static void remove_late(struct fs *fs, const struct promise *v, size_t n, const struct opctx *ctx)
{
	bool waited = false;

	for (size_t i = 0; i < n; i++) {
		if (!v[i].litter || !v[i].id)
			continue;
		if (!waited)
			version_pause(ctx, LATE);
		waited = true;
		remove_litter(fs, &v[i], true, ctx);
	}
}

/* Is there one that must be looked at again? */
static bool settle_once(struct fs *fs, struct promise *v, size_t n, bool last,
			const struct opctx *ctx)
{
	bool left = false, renamed;

	for (size_t i = 0; i < n; i++) {
		int rc = v[i].from && v[i].id ? aside_settle(fs, &v[i], last, &renamed, ctx) : 0;

		if (rc == 0 && v[i].from && v[i].id) {
			journal_done(fs->files.journal, v[i].id);
			v[i].id = 0;
		}
		left |= rc != 0;
		if (rc && last)
			log_error("%s: a rename of %s over it broke off earlier, and this cannot "
				  "be settled now: %s; the next mount tries again",
				  v[i].path, v[i].from, strerror(-rc));
	}
	return left;
}

/* Before anything is looked up.  The root was listed already. */
static void put_names_in_order(struct fs *fs, struct promise *v, size_t n, const struct opctx *ctx)
{
	size_t names = 0;

	for (size_t i = 0; i < n; i++)
		names += !promise_has_spool(&v[i]);
	if (!names)
		return;
	if (settle_once(fs, v, n, false, ctx)) {
		version_pause(ctx, LATE);
		settle_once(fs, v, n, true, ctx);
	}
	for (size_t i = 0; i < n; i++)
		if (v[i].litter && remove_litter(fs, &v[i], false, ctx) == 0)
			v[i].id = 0;
	mutex_lock(&fs->tree.lock);
	tree_expire_locked(&fs->tree, fs_root(fs));
	mutex_unlock(&fs->tree.lock);
}

/* Of a file that is gone nothing but a whole one is shown: known before the kernel asks. */
static void look_at_gone(struct fs *fs, struct node *n, const struct promise *p,
			 const struct opctx *ctx)
{
	struct file *f;

	mutex_lock(&fs->tree.lock);
	bool local = n->flags & NODE_LOCAL;
	mutex_unlock(&fs->tree.lock);
	f = local && !p->whole ? file_of(&fs->files, n) : NULL;
	if (!f)
		return;
	recover_check(f, ctx);
	file_put(f);
}

static int recover_one(struct fs *fs, const struct promise *p, const struct opctx *ctx)
{
	struct node *dir, *n;
	int rc;

	rc = find_dir(fs, p->path, &dir, ctx);
	if (rc)
		return rc;
	rc = find_node(fs, dir, p, &n, ctx);
	tree_unpin(&fs->tree, dir);
	if (rc)
		return rc;
	rc = take_up(fs, n, p);
	if (rc) {
		mutex_lock(&fs->tree.lock);
		if ((n->flags & NODE_LOCAL) && n->parent)
			tree_unlink_locked(&fs->tree, n);
		mutex_unlock(&fs->tree.lock);
	}
	if (rc == 0)
		look_at_gone(fs, n, p, ctx);
	tree_unpin(&fs->tree, n);
	/* Stored before the process ended; only the word of it was lost. */
	if (rc == -ENOENT) {
		journal_done(fs->files.journal, p->id);
		rc = 0;
	}
	return rc;
}

static int by_path(const void *a, const void *b)
{
	const struct promise *x = *(struct promise *const *)a, *y = *(struct promise *const *)b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x > y) - (x < y);
}

/* Of two promises for one name the later one counts: a rename over a file was cut short. */
static int drop_superseded(struct fs *fs, struct promise *v, size_t n)
{
	struct promise **sorted = calloc(n + 1, sizeof(struct promise *));
	size_t files = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (promise_has_spool(&v[i]))
			sorted[files++] = &v[i];
	qsort(sorted, files, sizeof(struct promise *), by_path);
	for (size_t i = 0; i + 1 < files; i++) {
		if (strcmp(sorted[i]->path, sorted[i + 1]->path) != 0)
			continue;
		journal_done(fs->files.journal, sorted[i]->id);
		spool_forget(fs->spool_dir, sorted[i]->id);
		sorted[i]->id = 0;
	}
	free(sorted);
	return 0;
}

int recover_all(struct fs *fs, const struct opctx *ctx)
{
	struct promise *v;
	size_t n, files = 0, left = 0;
	int rc = journal_owed(fs->files.journal, &v, &n);

	if (rc)
		return rc;
	put_names_in_order(fs, v, n, ctx);
	if ((rc = drop_superseded(fs, v, n)) != 0)
		left = n;
	for (size_t i = 0; i < n; i++)
		files += promise_has_spool(&v[i]) && v[i].id;
	if (files)
		log_warn("%zu files that were written earlier are not on the server yet, and are "
			 "stored now",
			 files);
	for (size_t i = 0; i < n; i++) {
		int one = rc;

		if (!promise_has_spool(&v[i]))
			continue;
		if (rc == 0 && v[i].id)
			one = recover_one(fs, &v[i], ctx);
		if (one) {
			left++;
			log_error("%s: what was written to it earlier cannot be stored now: %s; it "
				  "stays in %s/spool-%016llx, and the next mount tries again",
				  v[i].path, strerror(-one), fs->spool_dir,
				  (unsigned long long)v[i].id);
		}
	}
	remove_late(fs, v, n, ctx);
	for (size_t i = 0; i < n; i++)
		promise_clear(&v[i]);
	free(v);
	return left ? -EAGAIN : 0;
}
