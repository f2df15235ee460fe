/* fs/rename_alone - rename(2) of a file that the server has not got yet: no word to the server, it
 * is stored under its new name (rsync, editors, package managers: write, close, rename). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/prefetch.h"
#include "rename.h"

/* Only here, bytes, name and all; an upload under way goes to a temporary name, which stays beside
 * the file: the directory that it is left behind in may get another name. */
static bool alone_locked(const struct file *f, const struct move *m) REQUIRES(f->lock)
{
	const struct stored *s = &f->stored;

	if (s->temp && m->from != m->to)
		return false;
	/* What is not promised must not take the place of what is. */
	if (m->target && !f->owed)
		return false;
	return f->spool && f->spool->whole && !s->on_server && !f->recovered &&
	       (f->state == FILE_DIRTY || f->state == FILE_FAILED) &&
	       clock_monotonic() >= f->doomed_until;
}

int rename_alone_begin(struct fs *fs, const struct move *m, struct file **out,
		       const struct opctx *ctx)
{
	struct file *f;
	int rc;

	*out = NULL;
	if (!fs->files.back || m->source->type != ENTRY_FILE)
		return 0;
	/* What is stored under the name of a link would go where that points to. */
	if (m->target && m->target->type != ENTRY_FILE)
		return 0;
	f = file_of(&fs->files, m->source);
	if (!f)
		return 0;
	mutex_lock(&f->lock);
	rc = file_wait_idle_locked(f, ctx);
	if (rc == 0 && alone_locked(f, m)) {
		file_busy_locked(f);
		*out = f;
	}
	mutex_unlock(&f->lock);
	if (!*out)
		file_put(f);
	return rc;
}

/* What the server has under the new name, which the upload will replace. */
struct place {
	bool on_server;
	int64_t size, mtime; /* as in struct stored */
};

/* Of a file that is being written the server has something else than its node shows. */
static bool written_place(struct fs *fs, const struct move *m, struct place *p)
{
	struct file *f = file_of(&fs->files, m->target);
	bool written = false;

	if (!f)
		return false;
	mutex_lock(&f->lock);
	if (f->spool) {
		written = true;
		if (!f->stored.partial) {
			p->size = f->stored.size;
			p->mtime = f->stored.mtime;
		}
	}
	mutex_unlock(&f->lock);
	file_put(f);
	return written;
}

static struct place place_of(struct fs *fs, const struct move *m)
{
	struct place p = {m->target_on_server, -1, REMOTE_KEEP_MTIME};
	const struct node *n = m->target;

	if (!p.on_server || written_place(fs, m, &p))
		return p;
	mutex_lock(&fs->tree.lock);
	if (n->have & HAVE_SIZE)
		p.size = n->size;
	if (n->have & HAVE_EXACT_MTIME)
		p.mtime = n->mtime;
	mutex_unlock(&fs->tree.lock);
	return p;
}

/* On disk before the rename happens: a promise under the old name would bring that back. */
static int promise_elsewhere(struct fs *fs, const struct move *m, const struct place *place,
			     struct file *f)
{
	struct promise p = {0};
	struct buf path;
	bool owed;
	int rc;

	buf_init(&path, 2 * PATH_LIMIT);
	rc = tree_child_path(&fs->tree, m->to, m->new_name, &path);
	mutex_lock(&f->lock);
	owed = rc == 0 && f->owed;
	if (owed)
		rc = promise_make_locked(f, &p);
	mutex_unlock(&f->lock);
	if (rc == 0 && owed) {
		free(p.path);
		p.path = strdup(buf_text(&path));
		p.on_server = place->on_server;
		p.server_size = place->size;
		p.server_mtime = place->mtime;
		rc = p.path ? journal_promise(f->files->journal, &p, true) : -ENOMEM;
	}
	promise_clear(&p);
	buf_free(&path);
	return rc;
}

static void take_place(struct file *f, const struct place *place)
{
	mutex_lock(&f->lock);
	f->stored.on_server = place->on_server;
	f->stored.size = place->size;
	f->stored.mtime = place->mtime;
	mutex_unlock(&f->lock);
}

int rename_alone(struct fs *fs, struct move *m, struct file *f, const struct opctx *ctx)
{
	struct place place;
	int rc = 0;

	if (m->target)
		rc = file_before_remove(&fs->files, m->target, &m->target_on_server, ctx);
	if (rc == 0) {
		place = place_of(fs, m);
		rc = promise_elsewhere(fs, m, &place, f);
		if (rc == 0)
			rc = rename_in_tree(fs, m);
		if (rc && m->target)
			file_still_there(&fs->files, m->target);
	}
	if (rc == 0) {
		take_place(f, &place);
		if (m->target) {
			file_after_remove(&fs->files, m->target);
			prefetch_drop(fs->files.prefetch, m->target);
		}
	}
	mutex_lock(&f->lock);
	if (rc)
		promise_update_locked(f);
	file_idle_locked(f);
	mutex_unlock(&f->lock);
	file_put(f);
	return rc;
}
