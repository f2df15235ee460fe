/* fs/file - open files: each read and write goes to a reader or to the spool. */
#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "file_private.h"
#include "fs/commit.h"
#include "fs/prefetch.h"
#include "fs/reader.h"
#include "fs/writeback.h"

/* ---- one struct file per open node ---- */

static struct file *file_new(struct files *files, struct node *n)
{
	struct file *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->files = files;
	f->node = n;
	f->refs = 1;
	f->want_mtime = REMOTE_KEEP_MTIME;
	f->want_mode = REMOTE_KEEP_MODE;
	f->stored.mtime = REMOTE_KEEP_MTIME;
	atomic_init(&f->own_mtime, REMOTE_KEEP_MTIME);
	mutex_init(&f->lock);
	cond_init(&f->settled);
	return f;
}

static void file_free(struct file *f)
{
	upload_drop(&f->stored);
	if (f->stored.temp) {
		/* Litter of a lost link; nobody waits for it, and it may fail. */
		struct opctx ctx = opctx_for(f->files->timeout);

		if (temp_remove(f->files, &f->stored, false, &ctx))
			temp_leave(f->files, &f->stored, false);
	}
	reader_drop(f->filler);
	spool_destroy(f->spool);
	cond_destroy(&f->settled);
	mutex_destroy(&f->lock);
	free(f);
}

struct file *file_of(struct files *files, struct node *n)
{
	struct file *f;

	mutex_lock(&files->tree->lock);
	f = n->file;
	if (f)
		f->refs++;
	mutex_unlock(&files->tree->lock);
	return f;
}

int file_get(struct files *files, struct node *n, struct file **out)
{
	struct file *f = file_new(files, n), *spare = NULL;

	if (!f)
		return -ENOMEM;
	mutex_lock(&files->tree->lock);
	if (n->file) {
		spare = f;
		f = n->file;
		f->refs++;
	} else {
		f->stored.on_server = !(n->flags & NODE_LOCAL);
		f->told = n->size;
		f->telling = -1;
		tree_pin_locked(n);
		n->file = f;
		LIST_INSERT_HEAD(&files->open, f, link);
	}
	mutex_unlock(&files->tree->lock);
	if (spare)
		file_free(spare);
	*out = f;
	return 0;
}

void file_put(struct file *f)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;
	bool last;

	mutex_lock(&t->lock);
	last = --f->refs == 0;
	if (last) {
		n->file = NULL;
		LIST_REMOVE(f, link);
	}
	mutex_unlock(&t->lock);
	if (!last)
		return;
	file_free(f);
	tree_unpin(t, n);
}

/* ---- handles ---- */

bool handle_writes(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY || (h->flags & O_TRUNC);
}

static struct handle *handle_new(struct file *f, int flags)
{
	struct handle *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->file = f;
	h->flags = flags;
	mutex_init(&h->reader_made);
	return h;
}

static void handle_free(struct handle *h)
{
	reader_drop(h->reader);
	mutex_destroy(&h->reader_made);
	free(h);
}

static void link_locked(struct file *f, struct handle *h) REQUIRES(f->lock)
{
	h->next = f->handles;
	f->handles = h;
	f->writers += handle_writes(h);
}

static void unlink_locked(struct file *f, struct handle *h) REQUIRES(f->lock)
{
	struct handle **p = &f->handles;

	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	f->writers -= handle_writes(h);
}

/* The kernel's pages are good while the file is what it was when they were filled. */
static bool pages_good(struct file *f)
{
	struct node *n = f->node;
	struct tree *t = f->files->tree;
	bool exact, good;

	mutex_lock(&t->lock);
	exact = (n->have & HAVE_SIZE) && (n->have & HAVE_EXACT_MTIME);
	good = exact && !(n->flags & NODE_BUSY) && n->cached_size == n->size &&
	       n->cached_mtime == n->mtime;
	if (!(n->flags & NODE_BUSY)) {
		n->cached_size = exact ? n->size : -1;
		n->cached_mtime = n->mtime;
	}
	mutex_unlock(&t->lock);
	return good;
}

static int empty_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock)
{
	int rc = promise_settle_locked(f, ctx);

	if (rc == 0)
		rc = file_spool_locked(f, false, ctx);
	if (rc)
		return rc;
	if (f->stored.upload)
		commit_unfollow_locked(f);
	rc = spool_truncate(f->spool, 0);
	if (rc == 0)
		file_changed_locked(f);
	f->pages_good = true;
	return rc;
}

/* f is a reference that the handle keeps; the caller may empty the file or give it a first spool.
 */
static int open_handle(struct file *f, int flags, bool empty, int64_t mode, struct handle **out,
		       const struct opctx *ctx)
{
	struct handle *h = handle_new(f, flags);
	int rc = 0;

	if (!h)
		return -ENOMEM;
	mutex_lock(&f->lock);
	link_locked(f, h);
	if (empty)
		rc = empty_locked(f, ctx);
	if (rc == 0 && mode != REMOTE_KEEP_MODE)
		f->want_mode = mode;
	if (rc) {
		unlink_locked(f, h);
		file_unspool_locked(f);
	}
	mutex_unlock(&f->lock);
	if (rc)
		handle_free(h);
	else
		*out = h;
	return rc;
}

int file_open(struct files *files, struct node *n, int flags, struct handle **out, bool *keep_cache,
	      const struct opctx *ctx)
{
	struct file *f;
	int rc = file_get(files, n, &f);

	if (rc)
		return rc;
	rc = open_handle(f, flags, flags & O_TRUNC, REMOTE_KEEP_MODE, out, ctx);
	if (rc) {
		file_put(f);
		return rc;
	}
	if (handle_writes(*out))
		prefetch_drop(files->prefetch, n);
	*keep_cache = pages_good(f);
	return 0;
}

int file_create(struct files *files, struct node *n, int flags, uint32_t mode, struct handle **out,
		const struct opctx *ctx)
{
	struct file *f;
	int rc = file_get(files, n, &f);

	if (rc)
		return rc;
	rc = open_handle(f, flags, true, mode, out, ctx);
	if (rc)
		file_put(f);
	return rc;
}

/* ---- writing ---- */

static int write_locked(struct file *f, bool append, const void *from, size_t n, int64_t at,
			const struct opctx *ctx) REQUIRES(f->lock)
{
	int rc = promise_settle_locked(f, ctx);

	if (rc == 0)
		rc = file_spool_locked(f, true, ctx);
	if (rc)
		return rc;
	if (append)
		at = f->spool->size;
	if (at < 0 || at > INT64_MAX - (int64_t)n)
		return -EINVAL;
	/* What the server was given already can only be changed by giving it everything again. */
	if (f->stored.upload && at < f->stored.sent)
		commit_unfollow_locked(f);
	rc = spool_write(f->spool, from, n, at);
	if (rc) {
		if (spool_changed(f->spool)) /* a part may have been written */
			file_changed_locked(f);
		return rc;
	}
	if (at != f->run_to)
		f->run_from = at;
	f->run_to = at + (int64_t)n;
	file_changed_locked(f);
	return 0;
}

static int make_room(struct file *f, int64_t at, size_t n, const struct opctx *ctx)
{
	struct files *files = f->files;
	int64_t end;

	if (!files->back || __builtin_add_overflow(at, (int64_t)n, &end))
		return 0;
	return writeback_room(files->writeback, f, end, ctx);
}

static ssize_t put(struct handle *h, bool append, const void *from, size_t n, int64_t at,
		   const struct opctx *ctx)
{
	struct file *f = h->file;
	int rc;

	if ((h->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (n == 0)
		return 0;
	rc = make_room(f, at, n, ctx);
	if (rc)
		return rc;
	mutex_lock(&f->lock);
	file_not_refused_locked(f, h);
	rc = write_locked(f, append, from, n, at, ctx);
	if (rc == -EFBIG) {
		/* Too many scattered ranges: bring both sides together, which leaves one. */
		mutex_unlock(&f->lock);
		rc = commit_file(f, ctx);
		mutex_lock(&f->lock);
		if (rc == 0)
			rc = file_present_locked(f, 0, INT64_MAX, ctx);
		if (rc == 0)
			rc = write_locked(f, append, from, n, at, ctx);
	}
	mutex_unlock(&f->lock);
	if (rc)
		return rc;
	commit_follow(f, ctx);
	return (ssize_t)n;
}

ssize_t file_write(struct handle *h, const void *from, size_t n, int64_t at,
		   const struct opctx *ctx)
{
	return put(h, h->flags & O_APPEND, from, n, at, ctx);
}

ssize_t file_write_page(struct handle *h, const void *from, size_t n, int64_t at,
			const struct opctx *ctx)
{
	return put(h, false, from, n, at, ctx);
}

/* ---- the promise ---- */

/* What a close does: the server has it, or will have it. */
int file_secure(struct file *f, const struct opctx *ctx)
{
	return f->files->back ? writeback_promise(f->files->writeback, f, ctx)
			      : commit_file(f, ctx);
}

/* An error of an earlier commit is told even when this one succeeds: until now this handle was not
 * told that its bytes had been in danger. */
static int told(struct handle *h, int rc)
{
	struct file *f = h->file;
	int kept;

	if (rc == -EINTR)
		return rc;
	mutex_lock(&f->lock);
	kept = h->error;
	h->error = 0;
	mutex_unlock(&f->lock);
	return rc ? rc : kept;
}

int file_flush(struct handle *h, const struct opctx *ctx)
{
	int rc;

	if (!handle_writes(h))
		return 0;
	rc = told(h, file_secure(h->file, ctx));
	file_refused(h, rc);
	return rc;
}

int file_fsync(struct handle *h, const struct opctx *ctx)
{
	return told(h, commit_file(h->file, ctx));
}

static bool unsaved_locked(const struct file *f)
{
	return f->state == FILE_DIRTY || f->state == FILE_FAILED || f->state == FILE_COMMITTING;
}

/* A release is nobody's to wait for, except who asks whether all is stored. */
static void count_release(struct files *files, int by)
{
	struct tree *t = files->tree;

	mutex_lock(&t->lock);
	files->releasing += (unsigned)by;
	cond_broadcast(&t->settled);
	mutex_unlock(&t->lock);
}

int file_await_releases(struct files *files, const struct opctx *ctx)
{
	struct tree *t = files->tree;
	int rc = 0;

	mutex_lock(&t->lock);
	while (rc == 0 && files->releasing)
		rc = cond_wait_ctx(&t->settled, &t->lock, ctx);
	mutex_unlock(&t->lock);
	return rc;
}

void file_release(struct handle *h, bool store)
{
	/* Bounded by progress rather than by time: pages of a shared mapping may arrive here only,
	 * and they may be many. */
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct file *f = h->file;
	struct files *files = f->files;
	bool wrote = store && handle_writes(h), try, unsaved;

	mutex_lock(&f->lock);
	unlink_locked(f, h);
	f->releasing += h->refused;
	try = store && unsaved_locked(f) && ((handle_writes(h) && !f->writers) || !f->handles);
	if (try)
		count_release(files, 1);
	mutex_unlock(&f->lock);
	if (try)
		file_secure(f, &ctx);
	mutex_lock(&f->lock);
	file_wait_idle_locked(f, &ctx);
	unsaved = !f->handles && file_forsaken_locked(f);
	if (!unsaved)
		file_unspool_locked(f);
	mutex_unlock(&f->lock);
	if (unsaved)
		file_part_with(f);
	if (try)
		count_release(files, -1);
	file_released(h);
	handle_free(h);
	file_put(f);
	/* Nobody waits for a release. */
	if (wrote && !unsaved)
		temp_sweep(files, files->timeout);
}
