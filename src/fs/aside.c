/* fs/aside - rename(2) over a name that the server does not rename over. */
#include "aside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/commit.h"

enum { DIR_MODE = 0755 }; /* as servers make them unless told otherwise */

static bool is_dir(const struct promise *p)
{
	return p->mode != REMOTE_KEEP_MODE;
}

/* Not a temporary's name: for a moment it is somebody's only copy, and must show. */
static int aside_path(const struct promise *p, struct buf *out)
{
	buf_init(out, 2 * PATH_LIMIT);
	path_parent(out, p->path);
	if (out->len > 1)
		buf_adds(out, "/");
	buf_addf(out, COMMIT_TEMP_PREFIX "old-%016" PRIx64, p->id);
	return buf_error(out) ? buf_error(out) : path_check(buf_text(out));
}

/* ---- settling ---- */

struct places {
	bool from, to, aside;
};

static int look(struct fs *fs, const char *path, bool *there, const struct opctx *ctx)
{
	struct entry e;
	int rc = version_ask(fs->conf.remote, path, &e, ctx);

	*there = rc == 0;
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

static int settle_file(struct fs *fs, const struct promise *p, const char *aside,
		       const struct places *at, bool last, const struct opctx *ctx)
{
	struct remote *r = fs->conf.remote;
	int rc;

	if (!at->aside)
		return last || (at->to && !at->from) ? 0 : -EAGAIN;
	if (!at->to)
		return remote_rename(r, aside, p->path, RENAME_KEEP_TARGET, ctx);
	if (at->from) {
		log_error("%s: a rename of %s over it broke off, and a file of that name has been "
			  "made since: the one before is %s",
			  p->path, p->from, aside);
		return 0;
	}
	rc = remote_remove(r, aside, ctx);
	return rc == -ENOENT ? 0 : rc;
}

static int settle_dir(struct fs *fs, const struct promise *p, const struct places *at, bool last,
		      const struct opctx *ctx)
{
	int rc;

	if (at->to && !at->from)
		return 0;
	if (!last)
		return -EAGAIN;
	if (at->to || !at->from)
		return 0;
	rc = remote_mkdir(fs->conf.remote, p->path, ctx);
	if (rc == 0 && p->mode != DIR_MODE)
		(void)remote_set_mode(fs->conf.remote, p->path, (uint32_t)p->mode, ctx);
	return rc == -EEXIST ? 0 : rc;
}

int aside_settle(struct fs *fs, const struct promise *p, bool last, bool *renamed,
		 const struct opctx *ctx)
{
	struct places at = {0};
	struct buf aside;
	int rc = aside_path(p, &aside);

	*renamed = false;
	if (rc == 0)
		rc = look(fs, p->from, &at.from, ctx);
	if (rc == 0)
		rc = look(fs, p->path, &at.to, ctx);
	if (rc == 0 && !is_dir(p))
		rc = look(fs, buf_text(&aside), &at.aside, ctx);
	if (rc == 0) {
		*renamed = at.to && !at.from;
		rc = is_dir(p) ? settle_dir(fs, p, &at, last, ctx)
			       : settle_file(fs, p, buf_text(&aside), &at, last, ctx);
	}
	buf_free(&aside);
	return rc;
}

/* ---- the rename ---- */

static void note_done(struct fs *fs, const struct promise *p)
{
	if (fs->files.journal)
		journal_done(fs->files.journal, p->id);
}

static int note(struct fs *fs, const struct move *m, const char *from, const char *to,
		struct promise *p)
{
	*p = (struct promise){.path = strdup(to), .from = strdup(from), .mode = REMOTE_KEEP_MODE};
	if (!p->path || !p->from)
		return -ENOMEM;
	if (m->target->dir) {
		mutex_lock(&fs->tree.lock);
		p->mode = m->target->have & HAVE_MODE ? m->target->mode & 07777 : DIR_MODE;
		mutex_unlock(&fs->tree.lock);
	}
	if (getrandom(&p->id, sizeof p->id, 0) != sizeof p->id || !p->id)
		return -EIO;
	return fs->files.journal ? journal_promise(fs->files.journal, p, true) : 0;
}

static bool unanswered(int err)
{
	return remote_link_error(err) || err == -EINTR || err == -ETIMEDOUT;
}

/* It is empty, so nothing is lost. */
static int clear_dir(struct fs *fs, const struct move *m, const char *path, const struct opctx *ctx)
{
	int err = fs_rmdir_on_server(fs, path, ctx);

	if (err == -ENOENT)
		return 0;
	return err ? fs_why_not_removed(fs, m->target, err, ctx) : 0;
}

/* Whoever interrupts us does not want the old file to be lost. */
static int settle_now(struct fs *fs, const struct promise *p, bool asked, int err)
{
	struct opctx ctx = opctx_for(fs->files.timeout);
	bool renamed;
	int rc = aside_settle(fs, p, !unanswered(err), &renamed, &ctx);

	if (rc == 0) {
		note_done(fs, p);
		return asked && renamed ? 0 : err;
	}
	log_error("%s: a rename of %s over it broke off, and what had the name may be away; the "
		  "next mount brings it back, or ends the rename",
		  p->path, p->from);
	return err;
}

/* Should the note be lost, the one before it says the same as long as nobody makes the source
 * anew. */
static void drop_old(struct fs *fs, const struct promise *p, char *aside)
{
	struct opctx ctx = opctx_for(fs->files.timeout);
	struct promise litter = {
		.id = p->id, .path = aside, .litter = true, .mode = REMOTE_KEEP_MODE};
	int rc;

	if (fs->files.journal)
		(void)journal_promise(fs->files.journal, &litter, false);
	rc = remote_remove(fs->conf.remote, aside, &ctx);
	if (rc == 0 || rc == -ENOENT)
		note_done(fs, p);
	else
		log_warn("%s, the old %s, could not be removed; the next mount tries again", aside,
			 p->path);
}

static int replace(struct fs *fs, const struct move *m, const struct promise *p, char *aside,
		   const struct opctx *ctx)
{
	struct remote *r = fs->conf.remote;
	bool asked = false;
	int err = is_dir(p) ? clear_dir(fs, m, p->path, ctx)
			    : remote_rename(r, p->path, aside, RENAME_KEEP_TARGET, ctx);

	if (!err) {
		asked = true;
		err = remote_rename(r, p->from, p->path, RENAME_KEEP_TARGET, ctx);
	}
	if (err && (asked || unanswered(err)))
		return settle_now(fs, p, asked, err);
	if (err || is_dir(p))
		note_done(fs, p);
	else
		drop_old(fs, p, aside);
	return err;
}

int aside_replace(struct fs *fs, const struct move *m, const char *from, const char *to,
		  const struct opctx *ctx)
{
	struct promise p;
	struct buf aside;
	int err = note(fs, m, from, to, &p);

	if (!err) {
		err = aside_path(&p, &aside);
		if (!err)
			err = replace(fs, m, &p, aside.data, ctx);
		else
			note_done(fs, &p);
		buf_free(&aside);
	}
	promise_clear(&p);
	return err;
}
