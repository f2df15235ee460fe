/* fs/remove - open files whose name changes or goes away, and all of them at the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/commit.h"

int file_before_rename(struct files *files, struct node *n, const struct opctx *ctx)
{
	struct file *f = file_of(files, n);
	int rc;

	if (!f)
		return 0;
	rc = commit_file(f, ctx);
	file_put(f);
	return rc;
}

static bool readable_locked(struct file *f) REQUIRES(f->lock)
{
	for (struct handle *h = f->handles; h; h = h->next)
		if ((h->flags & O_ACCMODE) != O_WRONLY)
			return true;
	return false;
}

/* Content that the server does not give (unreadable, or gone already) is lost to the handles with
 * or without us; a link or a local disk that fails is worth another try before the name goes. */
static bool worth_failing(int rc)
{
	return rc == -EINTR || rc == -ENOSPC || rc == -EDQUOT || rc == -ENOMEM ||
	       remote_link_error(rc);
}

static int bring_in_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock)
{
	int rc = 0;

	if (f->stored.upload)
		commit_unfollow_locked(f);
	if (readable_locked(f)) {
		rc = file_spool_locked(f, true, ctx);
		if (rc == 0)
			rc = file_present_locked(f, 0, INT64_MAX, ctx);
	}
	if (worth_failing(rc))
		return rc;
	temp_discard_locked(f);
	return 0;
}

/* Removing what is not there would be an error, which is not the caller's. */
static void resolve_doubt_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock)
{
	struct buf path;
	struct entry e;
	int rc;

	if (!f->stored.doubt)
		return;
	file_busy_locked(f);
	mutex_unlock(&f->lock);
	buf_init(&path, PATH_LIMIT);
	rc = tree_path(f->files->tree, f->node, &path);
	if (rc == 0)
		rc = version_ask(f->files->remote, buf_text(&path), &e, ctx);
	buf_free(&path);
	mutex_lock(&f->lock);
	file_idle_locked(f);
	if (rc == -ENOENT)
		f->stored.on_server = f->stored.partial = false;
	f->stored.doubt = rc && rc != -ENOENT;
}

int file_before_remove(struct files *files, struct node *n, bool *on_server,
		       const struct opctx *ctx)
{
	struct file *f = file_of(files, n);
	int rc;

	if (!f) {
		mutex_lock(&files->tree->lock);
		*on_server = !(n->flags & NODE_LOCAL);
		mutex_unlock(&files->tree->lock);
		return 0;
	}
	rc = recover_check(f, ctx);
	mutex_lock(&f->lock);
	if (rc == 0)
		rc = file_wait_idle_locked(f, ctx);
	if (rc == 0 && f->state != FILE_ORPHAN)
		rc = bring_in_locked(f, ctx);
	if (rc == 0)
		rc = file_wait_idle_locked(f, ctx);
	if (rc == 0)
		resolve_doubt_locked(f, ctx);
	if (rc == 0) {
		*on_server = f->stored.on_server;
		f->doomed_until = clock_monotonic() + f->files->timeout;
	}
	mutex_unlock(&f->lock);
	file_put(f);
	return rc;
}

int file_before_replace(struct files *files, struct node *n, bool *on_server,
			const struct opctx *ctx)
{
	struct file *f = file_of(files, n);
	int rc = 0;

	if (f) {
		rc = commit_promised(f, ctx);
		file_put(f);
	}
	if (rc == -EINTR || remote_link_error(rc))
		return rc;
	return file_before_remove(files, n, on_server, ctx);
}

static void after(struct files *files, struct node *n, bool removed)
{
	struct file *f = file_of(files, n);

	if (!f)
		return;
	mutex_lock(&f->lock);
	f->doomed_until = 0;
	if (removed) {
		promise_kept_locked(f);
		file_enter_locked(f, FILE_ORPHAN);
		f->stored.on_server = false;
		file_check_locked(f);
	} else {
		file_unspool_locked(f);
	}
	cond_broadcast(&f->settled);
	mutex_unlock(&f->lock);
	file_put(f);
}

void file_after_remove(struct files *files, struct node *n)
{
	after(files, n, true);
}

void file_still_there(struct files *files, struct node *n)
{
	after(files, n, false);
}

/* ---- all of them ---- */

/* Referenced, in a new array that ends with NULL; NULL: out of memory. */
static struct file **all_open(struct files *files)
{
	struct tree *t = files->tree;
	struct file **v, *f;
	size_t n = 0;

	mutex_lock(&t->lock);
	LIST_FOREACH(f, &files->open, link)
	n++;
	v = calloc(n + 1, sizeof(struct file *));
	n = 0;
	if (v) {
		LIST_FOREACH(f, &files->open, link)
		{
			f->refs++;
			v[n++] = f;
		}
	}
	mutex_unlock(&t->lock);
	return v;
}

/* No request runs any more: the handles are nobody's. */
static void release_all(struct file *f) UNCHECKED
{
	while (f->handles)
		file_release(f->handles, false);
}

int file_close_all(struct files *files, const struct opctx *ctx)
{
	struct file **v = all_open(files);
	int first = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; v[i]; i++) {
		int rc = file_secure(v[i], ctx);

		if (rc && !first)
			first = rc;
		release_all(v[i]);
		file_put(v[i]);
	}
	free(v);
	return first;
}
