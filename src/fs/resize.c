/* fs/resize - truncate, allocate, and attributes that wait for a commit; by node, open or not. */
#include <errno.h>
#include <stdatomic.h>

#include "file_private.h"
#include "fs/commit.h"
#include "fs/prefetch.h"

/* Known to be of that size, without a spool. */
static bool has_size(struct file *f, int64_t size)
{
	struct tree *t = f->files->tree;
	bool same;

	mutex_lock(&t->lock);
	same = (f->node->have & HAVE_SIZE) && f->node->size == size &&
	       tree_attr_ttl_locked(t, f->node) > 0;
	mutex_unlock(&t->lock);
	return same;
}

static int resize_locked(struct file *f, int64_t size, const struct opctx *ctx) REQUIRES(f->lock)
{
	int rc = promise_settle_locked(f, ctx);
	bool fresh;

	if (rc || (!f->spool && has_size(f, size)))
		return rc;
	fresh = !f->spool;
	rc = file_spool_locked(f, size > 0, ctx);
	if (rc || (f->spool->size == size && !(fresh && size == 0)))
		return rc;
	if (f->stored.upload)
		commit_unfollow_locked(f);
	rc = spool_truncate(f->spool, size);
	if (rc == 0)
		file_changed_locked(f);
	return rc;
}

int file_truncate(struct files *files, struct node *n, int64_t size, const struct opctx *ctx)
{
	struct opctx forever = opctx_for(OPCTX_FOREVER);
	struct file *f;
	bool had, alone, failed, left;
	int rc;

	if (size < 0)
		return -EINVAL;
	rc = file_get(files, n, &f);
	if (rc)
		return rc;
	prefetch_drop(files->prefetch, n);
	mutex_lock(&f->lock);
	f->resizing++;
	had = f->spool != NULL;
	rc = resize_locked(f, size, ctx);
	alone = !f->writers;
	mutex_unlock(&f->lock);
	/* Nobody will close it later. */
	if (rc == 0 && alone)
		rc = file_secure(f, ctx);
	mutex_lock(&f->lock);
	file_wait_idle_locked(f, &forever);
	f->resizing--;
	failed = rc && !had && f->spool && !f->writers && f->state != FILE_ORPHAN;
	/* Half written over, the server's file needs what is here; or its last handle was closed
	 * meanwhile. */
	left = failed ? f->owed || f->stored.partial || f->stored.patching
		      : had && !f->handles && file_forsaken_locked(f);
	if (failed && !left) {
		file_drop_changes_locked(f);
		temp_discard_locked(f);
	}
	file_unspool_locked(f);
	mutex_unlock(&f->lock);
	if (left)
		file_part_with(f);
	file_put(f);
	return rc;
}

int file_allocate(struct handle *h, int64_t at, int64_t len, const struct opctx *ctx)
{
	struct file *f = h->file;
	int64_t end;
	int rc;

	if (at < 0 || len <= 0)
		return -EINVAL;
	if (__builtin_add_overflow(at, len, &end))
		return -EFBIG;
	mutex_lock(&f->lock);
	rc = file_wait_idle_locked(f, ctx);
	if (rc == 0)
		rc = file_spool_locked(f, true, ctx);
	if (rc == 0 && f->spool->size < end)
		rc = resize_locked(f, end, ctx);
	mutex_unlock(&f->lock);
	return rc;
}

/* ---- attributes that wait ---- */

/* What somebody sets; REMOTE_KEEP_... */
struct wish {
	int64_t mtime, mode;
	bool now; /* the time is now */
};

/* Does the commit to come set it?  Else -EOPNOTSUPP, or -EAGAIN where nobody knows. */
static int will_be_set_locked(const struct file *f, const struct wish *w) REQUIRES(f->lock)
{
	struct remote *r = f->files->remote;
	int rc;

	if (f->state == FILE_ORPHAN)
		return 0;
	if (w->mtime != REMOTE_KEEP_MTIME) {
		rc = remote_can_set(r, REMOTE_MTIME);
		return rc == -EAGAIN && w->now ? 0 : rc;
	}
	/* It was created this moment, with a mode that is not refused either: rsync's mkstemp(3),
	 * say, and fchmod(2), without which it would not go on. */
	if (!f->stored.on_server && !f->owed && f->spool->size == 0)
		return 0;
	return remote_can_set(r, REMOTE_MODE);
}

static void note_locked(struct file *f, const struct wish *w) REQUIRES(f->lock)
{
	if (w->mtime != REMOTE_KEEP_MTIME)
		f->want_mtime = w->mtime;
	if (w->mode != REMOTE_KEEP_MODE)
		f->want_mode = w->mode;
	promise_follow_locked(f);
}

static int defer_locked(struct file *f, const struct wish *w, const struct opctx *ctx)
	REQUIRES(f->lock)
{
	if (f->state != FILE_CLEAN) {
		int rc = will_be_set_locked(f, w);

		if (rc == 0)
			note_locked(f, w);
		/* The bytes are yet to come there, and their time is when they do. */
		if (rc == 0 || (rc == -EOPNOTSUPP && w->now))
			return 1;
		/* Stored, it is a file like any other: the server answers whoever sets it. */
		if (rc == -EAGAIN) {
			mutex_unlock(&f->lock);
			rc = commit_file(f, ctx);
			mutex_lock(&f->lock);
		}
		if (rc)
			return rc;
	}
	/* The caller sets it by name; readers must not take that for somebody's change. */
	if (w->mtime != REMOTE_KEEP_MTIME) {
		atomic_store(&f->own_mtime, w->mtime);
		/* It may succeed, or fail, or do both. */
		f->stored.mtime = REMOTE_KEEP_MTIME;
	}
	return 0;
}

static int defer(struct files *files, struct node *n, const struct wish *w, const struct opctx *ctx)
{
	struct file *f = file_of(files, n);
	int rc;

	if (!f)
		return 0;
	mutex_lock(&f->lock);
	rc = defer_locked(f, w, ctx);
	mutex_unlock(&f->lock);
	file_put(f);
	return rc;
}

int file_defer_mtime(struct files *files, struct node *n, int64_t mtime, bool now,
		     const struct opctx *ctx)
{
	struct wish w = {.mtime = mtime, .mode = REMOTE_KEEP_MODE, .now = now};

	return defer(files, n, &w, ctx);
}

int file_defer_mode(struct files *files, struct node *n, uint32_t mode, const struct opctx *ctx)
{
	struct wish w = {.mtime = REMOTE_KEEP_MTIME, .mode = mode};

	return defer(files, n, &w, ctx);
}
