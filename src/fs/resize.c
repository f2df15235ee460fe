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

/* 1: noted for the commit to come. */
static int defer(struct files *files, struct node *n, int64_t mtime, int64_t mode)
{
	struct file *f = file_of(files, n);
	int noted = 1;

	if (!f)
		return 0;
	mutex_lock(&f->lock);
	if (f->state == FILE_CLEAN) {
		noted = 0;
		/* The caller sets it by name; readers must not take that for somebody's change. */
		if (mtime != REMOTE_KEEP_MTIME) {
			atomic_store(&f->own_mtime, mtime);
			/* It may succeed, or fail, or do both. */
			f->stored.mtime = REMOTE_KEEP_MTIME;
		}
	} else {
		if (mtime != REMOTE_KEEP_MTIME)
			f->want_mtime = mtime;
		if (mode != REMOTE_KEEP_MODE)
			f->want_mode = mode;
		promise_follow_locked(f);
	}
	mutex_unlock(&f->lock);
	file_put(f);
	return noted;
}

int file_defer_mtime(struct files *files, struct node *n, int64_t mtime)
{
	return defer(files, n, mtime, REMOTE_KEEP_MODE);
}

int file_defer_mode(struct files *files, struct node *n, uint32_t mode)
{
	return defer(files, n, REMOTE_KEEP_MTIME, mode);
}
