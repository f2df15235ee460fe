/* fs/recover - what an earlier process promised: its files are open again from the start, and
 * before one is stored the server's file is compared with what it was when it was promised. */
#include "fs/recover.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/writeback.h"
#include "fs_private.h"

enum { SAMPLE = 64 << 10 };

#define LATE NS_PER_S

/* ---- at the start ---- */

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

/* Ours alone: the name is random, and nobody was ever shown it.  -ENOENT: not there, or not yet:
 * the server may still have the command before it that the killed process sent last. */
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

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &v[i];
	qsort(sorted, n, sizeof(struct promise *), by_path);
	for (size_t i = 0; i + 1 < n; i++) {
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
	if ((rc = drop_superseded(fs, v, n)) != 0)
		left = n;
	for (size_t i = 0; i < n; i++)
		files += !v[i].litter && v[i].id;
	if (files)
		log_warn("%zu files that were written earlier are not on the server yet, and are "
			 "stored now",
			 files);
	for (size_t i = 0; i < n; i++) {
		int one = rc;

		if (rc == 0 && v[i].litter) {
			if (remove_litter(fs, &v[i], false, ctx) == 0)
				v[i].id = 0;
		} else if (rc == 0 && v[i].id) {
			one = recover_one(fs, &v[i], ctx);
		}
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

/* ---- before the first try ---- */

/* Are [from, to) on the server those of the spool? */
static int same_bytes(struct file *f, const char *path, int64_t from, int64_t to, bool *same,
		      const struct opctx *ctx)
{
	size_t n = (size_t)(to - from), have = 0;
	char *theirs = malloc(2 * SAMPLE), *ours = theirs + SAMPLE;
	struct stream *s = NULL;
	int rc = theirs ? remote_open_read(f->files->remote, path, from, &s, ctx) : -ENOMEM;

	while (rc == 0 && have < n) {
		ssize_t got = stream_read(s, theirs + have, n - have, ctx);

		if (got < 0)
			rc = (int)got;
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	if (s)
		stream_close(s);
	if (rc == 0) {
		ssize_t got;

		mutex_lock(&f->lock);
		got = spool_read(f->spool, ours, n, from);
		mutex_unlock(&f->lock);
		*same = have == n && got == (ssize_t)n && memcmp(ours, theirs, n) == 0;
	}
	free(theirs);
	return rc;
}

/* Do the first and the last bytes of what the server has begin the file that was promised?  Then it
 * is what is left of our own upload, or all of it. */
static int is_our_beginning(struct file *f, const char *path, int64_t size, bool *ours,
			    const struct opctx *ctx)
{
	int64_t n = size < SAMPLE ? size : SAMPLE;
	int rc = 0;

	*ours = size <= f->spool->size;
	if (*ours && n > 0)
		rc = same_bytes(f, path, 0, n, ours, ctx);
	if (rc == 0 && *ours && size > n)
		rc = same_bytes(f, path, size - n, size, ours, ctx);
	return rc;
}

/* A growing file of which the server has a part of what was to be appended. */
static int is_our_tail(struct file *f, const char *path, int64_t size, bool *ours,
		       const struct opctx *ctx)
{
	int64_t from = f->spool->base_size;
	int64_t n = size - from < SAMPLE ? size - from : SAMPLE;
	int rc;

	*ours = spool_only_grew(f->spool) && size > from && size <= f->spool->size;
	if (!*ours)
		return 0;
	rc = same_bytes(f, path, from, from + n, ours, ctx);
	if (rc == 0 && *ours && size - from > n)
		rc = same_bytes(f, path, size - n, size, ours, ctx);
	return rc;
}

/* The edit of a file of which the server has the edited version already. */
static int is_our_edit(struct file *f, const char *path, int64_t size, bool *ours,
		       const struct opctx *ctx)
{
	const struct extents *d = &f->spool->dirty;
	int rc = 0;

	/* Of one that was only cut off the size is all there is. */
	*ours = size == f->spool->size && (d->n > 0 || f->spool->shrunk);
	for (size_t i = 0; rc == 0 && *ours && i < d->n; i++) {
		int64_t from = d->v[i].from, to = d->v[i].to;

		if (to - from > SAMPLE)
			to = from + SAMPLE;
		rc = same_bytes(f, path, from, to, ours, ctx);
	}
	return rc;
}

static void resume(struct file *f, int64_t size, int64_t mtime)
{
	mutex_lock(&f->lock);
	f->stored.on_server = true;
	f->stored.partial = f->stored.doubt = false;
	f->stored.size = size;
	f->stored.mtime = mtime;
	f->stored.unproven = true;
	spool_resume(f->spool, size);
	mutex_unlock(&f->lock);
}

/* The server has no such file.  A temporary sibling may be there still. */
static void nothing_stored_locked(struct file *f) REQUIRES(f->lock)
{
	struct stored *s = &f->stored;

	*s = (struct stored){
		.size = -1, .mtime = REMOTE_KEEP_MTIME, .temp = s->temp, .temp_id = s->temp_id};
	atomic_store(&f->append_end, 0);
}

/* Both survive: what was promised gets another name. */
static int beside(struct file *f, const char *path, const struct opctx *ctx)
{
	char name[NAME_LIMIT + 1], when[32];
	time_t now = (time_t)(clock_realtime() / NS_PER_S);
	struct tree *t = f->files->tree;
	struct tm tm;
	int rc;

	(void)ctx;
	strftime(when, sizeof when, "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
	if (snprintf(name, sizeof name, "%.*s" RECOVER_CONFLICT "%s", NAME_LIMIT - 48,
		     path_name(path), when) >= (int)sizeof name)
		return -ENAMETOOLONG;
	mutex_lock(&f->lock);
	mutex_lock(&t->lock);
	rc = f->node->parent ? tree_move_locked(t, f->node, f->node->parent, name) : -ENOENT;
	if (rc == 0) {
		node_set(f->node, NODE_LOCAL);
		tree_expire_locked(t, f->node->parent);
	}
	mutex_unlock(&t->lock);
	if (rc == 0) {
		nothing_stored_locked(f);
		promise_update_locked(f);
		log_error("%s: changed on the server since it was written here: what was written "
			  "is stored beside it as %s",
			  path, name);
	}
	mutex_unlock(&f->lock);
	return rc;
}

/* An edit whose file has changed or gone can only be kept.  Who has it open reads what the server
 * has now. */
static void keep_aside(struct file *f, const char *path, int64_t size, int64_t mtime)
{
	mutex_lock(&f->lock);
	log_error("%s: changed on the server since a part of it was written here", path);
	f->stored.patching = 0; /* into another file it would make no sense */
	f->stored.size = size;
	f->stored.mtime = mtime;
	file_give_up_locked(f);
	mutex_unlock(&f->lock);
}

static bool is_base(const struct file *f, const struct entry *e)
{
	const struct stored *s = &f->stored;

	/* Of unknown size: it could be anything. */
	return s->on_server && s->size >= 0 && e->type == ENTRY_FILE &&
	       version_same(f, e, s->size, s->mtime);
}

static int compare(struct file *f, const char *path, const struct entry *e, const struct opctx *ctx)
{
	int64_t mtime = e->have & HAVE_EXACT_MTIME ? e->mtime : REMOTE_KEEP_MTIME;
	bool ours = false, whole = f->spool->whole;
	int rc = 0;

	if (is_base(f, e))
		return 0;
	if (e->type == ENTRY_FILE && (e->have & HAVE_SIZE))
		rc = whole ? is_our_beginning(f, path, e->size, &ours, ctx)
			   : is_our_tail(f, path, e->size, &ours, ctx);
	if (rc == 0 && !whole && !ours && e->type == ENTRY_FILE && (e->have & HAVE_SIZE))
		rc = is_our_edit(f, path, e->size, &ours, ctx);
	if (rc)
		return rc;
	if (ours)
		resume(f, e->size, mtime);
	else if (whole)
		rc = beside(f, path, ctx);
	else
		keep_aside(f, path, e->have & HAVE_SIZE ? e->size : -1, mtime);
	return rc;
}

static int gone(struct file *f, const char *path)
{
	if (!f->spool->whole) {
		/* No name is shown that is not there. */
		mutex_lock(&f->lock);
		mutex_lock(&f->files->tree->lock);
		node_set(f->node, NODE_LOCAL);
		mutex_unlock(&f->files->tree->lock);
		f->stored.on_server = false;
		mutex_unlock(&f->lock);
		keep_aside(f, path, -1, REMOTE_KEEP_MTIME);
		return 0;
	}
	mutex_lock(&f->lock);
	nothing_stored_locked(f);
	mutex_unlock(&f->lock);
	return 0;
}

/* The file is busy in our hands. */
static int look(struct file *f, const struct opctx *ctx)
{
	struct buf path;
	struct entry e;
	int rc;

	buf_init(&path, PATH_LIMIT);
	rc = tree_path(f->files->tree, f->node, &path);
	if (rc == 0) {
		rc = version_ask(f->files->remote, buf_text(&path), &e, ctx);
		if (rc == -ENOENT)
			rc = gone(f, buf_text(&path));
		else if (rc == 0)
			rc = compare(f, buf_text(&path), &e, ctx);
	}
	buf_free(&path);
	return rc;
}

int recover_check(struct file *f, const struct opctx *ctx)
{
	bool needed;
	int rc;

	mutex_lock(&f->lock);
	rc = commit_may_begin_locked(f, ctx);
	needed = rc == 0 && f->recovered && f->spool && f->state != FILE_ORPHAN;
	if (needed)
		file_busy_locked(f);
	mutex_unlock(&f->lock);
	if (!needed)
		return rc;
	rc = look(f, ctx);
	mutex_lock(&f->lock);
	f->recovered = rc != 0;
	file_idle_locked(f);
	mutex_unlock(&f->lock);
	return rc;
}
