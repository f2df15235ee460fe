/* fs/recover_check - before the first try: is what the server has still what it was when ours was
 * promised? */
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
#include "fs/recover.h"
#include "tree_private.h"

enum { SAMPLE = 64 << 10 };

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
		/* A promise of it needs nothing of the other file. */
		f->spool->whole = true;
		f->spool->base_size = 0;
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
	bool ours = false, whole = !spool_has_base(f->spool);
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
	else if (spool_complete(f->spool))
		rc = beside(f, path, ctx);
	else
		keep_aside(f, path, e->have & HAVE_SIZE ? e->size : -1, mtime);
	return rc;
}

static int gone(struct file *f, const char *path)
{
	if (spool_has_base(f->spool)) {
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
