/* fs/promise - an open file and its promise in the journal: made, brought up to date, taken back.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/path.h"
#include "file_private.h"
#include "fs/commit.h"
#include "fs/journal.h"

static int copy_ranges(const struct extents *from, struct extents *to)
{
	*to = (struct extents){0};
	if (from->n == 0)
		return 0;
	to->v = malloc(from->n * sizeof *to->v);
	if (!to->v)
		return -ENOMEM;
	memcpy(to->v, from->v, from->n * sizeof *to->v);
	to->n = to->cap = from->n;
	return 0;
}

/* The time that the file shows is its own, however late it is stored. */
static void settle_time_locked(struct file *f) REQUIRES(f->lock)
{
	struct tree *t = f->files->tree;

	if (!f->files->back || f->want_mtime != REMOTE_KEEP_MTIME || !f->touched ||
	    remote_can_set(f->files->remote, REMOTE_MTIME) == -EOPNOTSUPP)
		return;
	mutex_lock(&t->lock);
	f->want_mtime = f->node->mtime;
	mutex_unlock(&t->lock);
}

/* What the server's file is called now is what the tree says: the caller holds the file busy, or
 * its name cannot change for another reason. */
int promise_make_locked(struct file *f, struct promise *p)
{
	const struct spool *s = f->spool;
	const struct stored *st = &f->stored;
	bool there = st->on_server && !st->partial;
	struct buf path;
	int rc;

	settle_time_locked(f);
	*p = (struct promise){
		.id = s->id,
		.size = s->size,
		.whole = s->whole,
		.shrunk = s->shrunk,
		.patching = st->patching != 0,
		.base_size = s->base_size,
		.on_server = there,
		.server_size = there ? st->size : -1,
		.server_mtime = there ? st->mtime : REMOTE_KEEP_MTIME,
		.mtime = f->want_mtime,
		.mode = f->want_mode,
	};
	buf_init(&path, PATH_LIMIT);
	rc = tree_path(f->files->tree, f->node, &path);
	if (rc == 0 && !(p->path = strdup(buf_text(&path))))
		rc = -ENOMEM;
	if (rc == 0)
		rc = copy_ranges(&s->dirty, &p->dirty);
	buf_free(&path);
	if (rc)
		promise_clear(p);
	return rc;
}

int promise_write(struct file *f, const struct promise *p, bool durable)
{
	int rc = journal_promise(f->files->journal, p, durable);

	if (rc)
		return rc;
	rc = spool_unkeep(f->spool);
	if (rc)
		journal_done(f->files->journal, p->id);
	return rc;
}

/* Safe against our own end at once, against the machine's with the next durable promise. */
void promise_update_locked(struct file *f)
{
	struct promise p;

	if (!f->owed)
		return;
	if (promise_make_locked(f, &p))
		return;
	(void)journal_promise(f->files->journal, &p, false);
	promise_clear(&p);
}

int promise_settle_locked(struct file *f, const struct opctx *ctx)
{
	int rc = file_wait_idle_locked(f, ctx);

	while (rc == 0 && f->owed) {
		mutex_unlock(&f->lock);
		rc = commit_promised(f, ctx);
		mutex_lock(&f->lock);
		if (rc == 0)
			rc = file_wait_idle_locked(f, ctx);
	}
	return rc;
}

void promise_follow_locked(struct file *f)
{
	bool all = f->owed && f->promised == f->writes;

	f->writes++;
	if (!all)
		return;
	promise_update_locked(f);
	f->promised = f->writes;
}

void promise_intend_locked(struct file *f)
{
	struct promise p;

	if (!f->files->journal || (f->owed && !f->intent) || promise_make_locked(f, &p))
		return;
	if (promise_write(f, &p, false) == 0) {
		f->owed = f->intent = true;
		f->promised = f->writes;
	}
	promise_clear(&p);
}

/* On disk, as a promise or else as an intent, before the server's file is touched. */
static int intend_durably(struct file *f, bool patching)
{
	struct promise p;
	int rc;

	if (!f->files->journal)
		return 0;
	mutex_lock(&f->lock);
	rc = promise_make_locked(f, &p);
	mutex_unlock(&f->lock);
	if (rc)
		return rc;
	p.patching = patching;
	rc = spool_sync(f->spool);
	if (rc == 0)
		rc = promise_write(f, &p, true);
	promise_clear(&p);
	if (rc)
		return rc;
	mutex_lock(&f->lock);
	f->intent = f->intent || !f->owed;
	f->owed = true;
	mutex_unlock(&f->lock);
	return 0;
}

int promise_patch(struct file *f)
{
	return intend_durably(f, true);
}

int promise_whole(struct file *f)
{
	mutex_lock(&f->lock);
	f->spool->whole = true;
	f->spool->base_size = 0;
	mutex_unlock(&f->lock);
	return intend_durably(f, false);
}

/* The server's file may be neither the old one nor the new. */
static bool torn_locked(const struct file *f) REQUIRES(f->lock)
{
	return f->stored.partial || atomic_load(&f->append_end) != 0;
}

void promise_withdraw_locked(struct file *f, int rc)
{
	bool unknown = rc == -EINTR || remote_link_error(rc);

	if (f->intent && !f->stored.patching && !(unknown && torn_locked(f)))
		promise_kept_locked(f);
}

void promise_kept_locked(struct file *f)
{
	if (f->owed)
		journal_done(f->files->journal, f->spool->id);
	f->owed = f->intent = false;
}

/* Only this process's end is survived: after the machine's the name is one of nobody's. */
void promise_litter(struct files *files, char *path, uint64_t *id)
{
	struct promise p = {.path = path,
			    .litter = true,
			    .server_size = -1,
			    .server_mtime = REMOTE_KEEP_MTIME,
			    .mtime = REMOTE_KEEP_MTIME,
			    .mode = REMOTE_KEEP_MODE};

	if (!files->journal)
		return;
	if (getrandom(&p.id, sizeof p.id, 0) == sizeof p.id && p.id != 0)
		(void)journal_promise(files->journal, &p, false);
	*id = p.id;
}

void promise_no_litter(struct files *files, uint64_t id)
{
	if (files->journal)
		journal_done(files->journal, id);
}
