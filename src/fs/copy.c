/* fs/copy - copy_file_range(2): a whole file is copied by the server itself, and no byte of it
 * travels.
 *
 *     copy to a temporary sibling, settle it, look at the source again, rename
 *
 * What counts as proof: the copy's SIZE is the source's, and the source is still the file that it
 * was; also with verify=hash, since the bytes are not here to be compared.  Until the rename
 * nothing under the target's name has changed, so whatever goes wrong, the temporary is removed and
 * -EOPNOTSUPP lets the kernel read and write instead, which tells its own errors.  Nothing is
 * promised meanwhile: a process that ends in the middle leaves the old content, and the temporary,
 * which the journal knows, to the next mount. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/commit.h"

enum { TRIES = 2 };

#define MOST UINT32_MAX /* bytes that an answer can tell */

struct source {
	struct file *file;
	struct buf path;
	int64_t size, mtime;
	uint64_t writes;
};

/* ---- what is copied ---- */

/* What waits here for the server goes there first; not what is still being written. */
static int store_source(struct file *f, const struct opctx *ctx)
{
	bool waits;
	int rc;

	mutex_lock(&f->lock);
	rc = file_wait_idle_locked(f, ctx);
	waits = f->state != FILE_CLEAN && f->state != FILE_ORPHAN && !f->writers;
	mutex_unlock(&f->lock);
	return rc == 0 && waits ? commit_file(f, ctx) : rc;
}

/* Does the server have what f is, and has been since that count of changes? */
static bool holds_locked(const struct file *f, uint64_t writes) REQUIRES(f->lock)
{
	return f->state == FILE_CLEAN && !f->busy && f->writes == writes;
}

static int source_begin(struct source *src, struct file *f, const struct opctx *ctx)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;
	int rc = store_source(f, ctx);
	bool good;

	*src = (struct source){.file = f};
	buf_init(&src->path, PATH_LIMIT);
	if (rc)
		return rc;
	mutex_lock(&f->lock);
	src->writes = f->writes;
	good = holds_locked(f, src->writes);
	mutex_lock(&t->lock);
	good = good && (n->have & HAVE_SIZE);
	src->size = n->size;
	src->mtime = n->have & HAVE_EXACT_MTIME ? n->mtime : REMOTE_KEEP_MTIME;
	mutex_unlock(&t->lock);
	mutex_unlock(&f->lock);
	return good ? tree_path(t, n, &src->path) : -EOPNOTSUPP;
}

/* A copy that was made while the source changed may be a mixture. */
static int check_source(const struct commit *c, const struct source *src)
{
	struct file *f = src->file;
	struct entry e;
	bool holds;
	int rc = version_ask(c->files->remote, buf_text(&src->path), &e, c->ctx);

	if (rc)
		return rc;
	mutex_lock(&f->lock);
	holds = holds_locked(f, src->writes);
	mutex_unlock(&f->lock);
	return holds && (e.have & HAVE_SIZE) && version_same(f, &e, src->size, src->mtime)
		       ? 0
		       : -ESTALE;
}

/* ---- what it is copied over ---- */

/* Emptied and not written since, and nothing of an earlier commit in the way. */
static bool fresh_locked(const struct file *f) REQUIRES(f->lock)
{
	const struct stored *s = &f->stored;

	return f->state == FILE_DIRTY && f->spool && f->spool->whole && f->spool->size == 0 &&
	       !s->upload && !s->temp && !s->partial && !s->no_temp && !f->recovered &&
	       clock_monotonic() >= f->doomed_until;
}

static int target_begin(struct commit *c, struct file *f, const struct opctx *ctx)
{
	int rc;

	mutex_lock(&f->lock);
	rc = promise_settle_locked(f, ctx);
	if (rc == 0 && !fresh_locked(f))
		rc = -EOPNOTSUPP;
	if (rc == 0)
		upload_begin_locked(c, f, ctx);
	mutex_unlock(&f->lock);
	if (rc)
		return rc;
	/* It was set before the content, which changes it, as a write does. */
	c->mtime = REMOTE_KEEP_MTIME;
	return tree_path(f->files->tree, f->node, &c->path);
}

static void target_end(struct commit *c, const struct source *src, int rc)
{
	struct file *f = c->file;

	mutex_lock(&f->lock);
	if (rc == 0) {
		spool_elsewhere(c->spool, src->size);
		f->pages_good = false;
		upload_stored(c);
	}
	upload_end_locked(c, f);
	if (rc == 0) {
		/* Its name may have gone meanwhile. */
		if (f->state == FILE_DIRTY)
			file_enter_locked(f, FILE_COMMITTING);
		commit_stored_locked(c, f);
		file_check_locked(f);
	}
	mutex_unlock(&f->lock);
}

/* ---- the copy ---- */

int copy_complete(const struct commit *c, int64_t least, int64_t most)
{
	struct entry e;
	int rc = version_ask(c->files->remote, c->stored.temp, &e, c->ctx);

	if (rc)
		return rc;
	return e.type == ENTRY_FILE && (e.have & HAVE_SIZE) && e.size >= least && e.size <= most
		       ? 0
		       : -EIO;
}

void copy_discard(struct commit *c)
{
	temp_discard(c);
	if (c->stored.temp)
		temp_leave(c->files, &c->stored, false);
}

/* A command that got lost may have been carried out, or may still be: its name is not used again.
 */
static int copy_once(struct commit *c, const char *path, int64_t size)
{
	int rc = temp_name(c);

	if (rc == 0)
		rc = remote_copy(c->files->remote, path, c->stored.temp, c->ctx);
	/* Only the reply was lost? */
	return remote_link_error(rc) && copy_complete(c, size, size) == 0 ? 0 : rc;
}

int copy_to_temp(struct commit *c, const char *path, int64_t size)
{
	int rc = 0;

	for (int i = 0; i < TRIES; i++) {
		rc = copy_once(c, path, size);
		if (!remote_link_error(rc))
			break;
		copy_discard(c);
	}
	return rc;
}

int copy_settle(struct commit *c, int64_t size)
{
	struct settle s = {.mode = c->mode == REMOTE_KEEP_MODE ? c->node_mode : c->mode,
			   .mtime = c->mtime};
	int rc;

	rc = proof_settle(c, c->stored.temp, &s);
	if (rc == 0 && (!(c->settled.have & HAVE_SIZE) || c->settled.size != size))
		rc = -EIO;
	return rc;
}

int copy_place(struct commit *c)
{
	c->stored.to = UPLOAD_TEMP;
	return upload_place(c);
}

static int carry_out(struct commit *c, const struct source *src)
{
	int rc = copy_to_temp(c, buf_text(&src->path), src->size);

	if (rc == 0)
		rc = copy_settle(c, src->size);
	if (rc == 0)
		rc = check_source(c, src);
	if (rc == 0)
		rc = copy_place(c);
	if (rc) {
		copy_discard(c);
		c->stored.to = UPLOAD_NAME;
	}
	return rc;
}

static int copy_over(struct file *f, const struct source *src, const struct opctx *ctx)
{
	struct commit c = {0};
	int rc = target_begin(&c, f, ctx);

	if (!c.file)
		return rc;
	if (rc == 0)
		rc = carry_out(&c, src);
	target_end(&c, src, rc);
	if (rc)
		log_info("%s: not copied by the server (%s)", buf_text(&c.path), strerror(-rc));
	buf_free(&c.path);
	return rc;
}

ssize_t file_copy(struct handle *from, int64_t from_at, struct handle *to, int64_t to_at, size_t n,
		  const struct opctx *ctx)
{
	struct file *f = to->file;
	struct source src;
	int rc;

	if (!handle_writes(to) || (from->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (from_at != 0 || to_at != 0 || from->file == f || (int64_t)n < f->files->copy_least ||
	    n > MOST || f->files->atomic == ATOMIC_OFF)
		return -EOPNOTSUPP;
	rc = source_begin(&src, from->file, ctx);
	if (rc == 0 && src.size != (int64_t)n)
		rc = -EOPNOTSUPP;
	if (rc == 0)
		rc = copy_over(f, &src, ctx);
	buf_free(&src.path);
	if (rc && rc != -EINTR)
		return -EOPNOTSUPP;
	return rc ? rc : (ssize_t)n;
}
