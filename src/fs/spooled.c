/* fs/spooled - an open file and its spool: when it has one, what is in it, and when it goes. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/commit.h"
#include "fs/reader.h"
#include "fs/writeback.h"
#include "tree_private.h"

enum { CHUNK = 256 << 10 }; /* fetched at once */

/* After its close a file is released at once, but for threads that overtake each other. */
#define RELEASE_SOON (500 * NS_PER_MS)

int file_wait_idle_locked(struct file *f, const struct opctx *ctx)
{
	int rc = 0;

	while (f->busy && rc == 0)
		rc = cond_wait_ctx(&f->settled, &f->lock, ctx);
	return f->busy ? rc : 0;
}

void file_busy_locked(struct file *f)
{
	f->busy = true;
}

void file_idle_locked(struct file *f)
{
	f->busy = false;
	cond_broadcast(&f->settled);
}

/* ---- the beginning ---- */

/* What the spool is based on, from what we believe; false: the server has to be asked. */
static bool base_known(struct file *f, struct stored *s)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;
	bool known;

	mutex_lock(&t->lock);
	known = (n->have & HAVE_SIZE) && (!s->on_server || tree_attr_ttl_locked(t, n) > 0);
	s->size = n->have & HAVE_SIZE ? n->size : -1;
	s->mtime = n->have & HAVE_EXACT_MTIME ? n->mtime : REMOTE_KEEP_MTIME;
	mutex_unlock(&t->lock);
	return known;
}

static int ask_base(struct file *f, const struct opctx *ctx)
{
	struct tree *t = f->files->tree;
	struct buf path;
	struct entry e;
	int rc;

	buf_init(&path, PATH_LIMIT);
	rc = tree_path(t, f->node, &path);
	if (rc == 0)
		rc = version_ask(f->files->remote, buf_text(&path), &e, ctx);
	buf_free(&path);
	if (rc)
		return rc == -ENOENT ? -ESTALE : rc;
	if (e.type != ENTRY_FILE)
		return -ESTALE;
	mutex_lock(&t->lock);
	tree_learn_locked(t, f->node, &e);
	mutex_unlock(&t->lock);
	return 0;
}

static int learn_base_locked(struct file *f, const struct opctx *ctx) REQUIRES(f->lock)
{
	int rc;

	if (base_known(f, &f->stored))
		return 0;
	file_busy_locked(f);
	mutex_unlock(&f->lock);
	rc = ask_base(f, ctx);
	mutex_lock(&f->lock);
	file_idle_locked(f);
	if (rc)
		return rc;
	base_known(f, &f->stored);
	return f->stored.size < 0 ? -EIO : 0;
}

void file_own_node_locked(struct file *f)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;

	mutex_lock(&t->lock);
	f->pages_good = (n->flags & NODE_LOCAL) ||
			((n->have & HAVE_EXACT_MTIME) && n->cached_size == n->size &&
			 n->cached_mtime == n->mtime);
	node_set(n, NODE_BUSY);
	n->have |= HAVE_SIZE;
	tree_changed_locked(t, n);
	mutex_unlock(&t->lock);
}

int file_spool_locked(struct file *f, bool keep, const struct opctx *ctx)
{
	/* An orphan that nobody could read has no content to keep, only a size. */
	bool orphan = f->state == FILE_ORPHAN;
	int64_t base = 0;
	int rc = 0;

	if (f->spool)
		return 0;
	if (keep && !orphan)
		rc = learn_base_locked(f, ctx);
	else
		base_known(f, &f->stored);
	if (rc)
		return rc;
	if (keep && !orphan && f->stored.on_server)
		base = f->stored.size;
	rc = spool_create(f->files->spool_dir, base, &f->spool);
	if (rc) {
		log_error("cannot make a spool file in %s: %s", f->files->spool_dir, strerror(-rc));
		return rc;
	}
	f->spool->whole = !keep || orphan || !f->stored.on_server;
	if (orphan && keep && f->stored.size > 0)
		spool_truncate(f->spool, f->stored.size);
	f->run_from = f->run_to = 0;
	file_own_node_locked(f);
	return 0;
}

/* ---- the middle ---- */

/* A commit looks at the file when all is here that it needs. */
static int make_filler_locked(struct file *f) REQUIRES(f->lock)
{
	return reader_create(f, f->stored.size, f->stored.mtime,
			     f->state == FILE_COMMITTING ? READER_PROVED : READER_FILLER,
			     &f->filler);
}

int file_fill(struct file *f, int64_t from, int64_t to, const struct opctx *ctx)
{
	char *bytes = malloc(CHUNK);
	struct extent gap;
	int rc = bytes ? 0 : -ENOMEM;

	while (rc == 0) {
		ssize_t got;
		bool more;

		mutex_lock(&f->lock);
		more = spool_missing(f->spool, from, to, &gap);
		if (more && !f->filler)
			rc = make_filler_locked(f);
		mutex_unlock(&f->lock);
		if (rc || !more)
			break;
		if (gap.to - gap.from > CHUNK)
			gap.to = gap.from + CHUNK;
		got = reader_read(f->filler, bytes, (size_t)(gap.to - gap.from), gap.from, ctx);
		if (got <= 0) {
			rc = got ? (int)got : -EIO;
			break;
		}
		mutex_lock(&f->lock);
		rc = spool_fill(f->spool, bytes, (size_t)got, gap.from);
		mutex_unlock(&f->lock);
	}
	free(bytes);
	return rc;
}

int file_present_locked(struct file *f, int64_t from, int64_t to, const struct opctx *ctx)
{
	struct extent gap;
	int rc = 0;

	while (rc == 0 && f->spool && spool_missing(f->spool, from, to, &gap)) {
		if (f->busy) {
			rc = file_wait_idle_locked(f, ctx);
			continue;
		}
		/* The server may have the new version already, of which only the word was lost. */
		if (f->recovered && f->state != FILE_ORPHAN) {
			mutex_unlock(&f->lock);
			rc = recover_check(f, ctx);
			mutex_lock(&f->lock);
			continue;
		}
		/* Scattered reads must not use up the ranges that writes need. */
		if (f->spool->present.n > EXTENTS_MAX / 2) {
			from = 0;
			to = INT64_MAX;
		}
		file_busy_locked(f);
		mutex_unlock(&f->lock);
		rc = file_fill(f, from, to, ctx);
		mutex_lock(&f->lock);
		file_idle_locked(f);
	}
	return rc;
}

void file_changed_locked(struct file *f)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;

	f->writes++;
	f->touched = true;
	f->want_mtime = REMOTE_KEEP_MTIME;
	if (f->state == FILE_CLEAN)
		file_enter_locked(f, FILE_DIRTY);
	mutex_lock(&t->lock);
	n->size = f->told = f->spool->size;
	f->telling = -1;
	n->mtime = clock_realtime() / NS_PER_S * NS_PER_S;
	n->mtime_slack = 0;
	n->have |= HAVE_SIZE | HAVE_MTIME | HAVE_EXACT_MTIME;
	mutex_unlock(&t->lock);
}

/* ---- the end ---- */

static void forget_spool_locked(struct file *f) REQUIRES(f->lock)
{
	f->spool = NULL;
	f->stored.fetched = false;
	f->version++;
	reader_drop(f->filler);
	f->filler = NULL;
}

void file_unspool_locked(struct file *f)
{
	struct tree *t = f->files->tree;

	if (f->state != FILE_CLEAN || f->writers || f->busy || !f->spool)
		return;
	/* The server is about to lose what they may still read. */
	if (f->handles && clock_monotonic() < f->doomed_until)
		return;
	spool_destroy(f->spool);
	forget_spool_locked(f);
	mutex_lock(&t->lock);
	node_clear(f->node, NODE_BUSY);
	tree_changed_locked(t, f->node);
	mutex_unlock(&t->lock);
}

/* The node shows what the server has, which has to be asked for; a file that it never got is gone.
 */
static void disown_node_locked(struct file *f) REQUIRES(f->lock)
{
	struct tree *t = f->files->tree;
	struct node *n = f->node;

	mutex_lock(&t->lock);
	node_clear(n, NODE_BUSY);
	n->cached_size = -1;
	n->fresh_until = 0;
	n->have = (uint8_t)(n->have & ~(HAVE_MTIME | HAVE_EXACT_MTIME));
	if (f->stored.on_server && !f->stored.partial && f->stored.size >= 0)
		n->size = f->stored.size;
	if ((n->flags & NODE_LOCAL) && !f->stored.on_server && n->parent)
		tree_unlink_locked(t, n);
	node_clear(n, NODE_LOCAL);
	if (n->parent)
		tree_expire_locked(t, n->parent);
	mutex_unlock(&t->lock);
}

void file_leave_locked(struct file *f)
{
	upload_drop(&f->stored);
	/* The journal knows of it. */
	free(f->stored.temp);
	f->stored.temp = NULL;
	spool_leave(f->spool);
	forget_spool_locked(f);
	f->owed = f->intent = false;
	file_enter_locked(f, FILE_CLEAN);
	disown_node_locked(f);
}

void file_drop_changes_locked(struct file *f)
{
	upload_drop(&f->stored);
	promise_kept_locked(f);
	spool_destroy(f->spool);
	forget_spool_locked(f);
	disown_node_locked(f);
	file_enter_locked(f, FILE_CLEAN);
	f->touched = false;
	f->stored.partial = f->stored.doubt = false;
	f->stored.patching = 0;
	f->stored.no_patch = false;
	atomic_store(&f->append_end, 0);
	f->want_mtime = REMOTE_KEEP_MTIME;
	f->want_mode = REMOTE_KEEP_MODE;
}

bool file_forsaken_locked(const struct file *f)
{
	return !f->writers && !f->resizing && !f->queued &&
	       (f->state == FILE_DIRTY || f->state == FILE_FAILED);
}

void file_part_with(struct file *f)
{
	bool forsaken, owed;

	mutex_lock(&f->lock);
	/* Somebody may have come meanwhile, who will see to it. */
	forsaken = file_forsaken_locked(f);
	owed = forsaken && f->owed;
	if (owed)
		f->intent = false;
	else if (forsaken)
		file_give_up_locked(f);
	mutex_unlock(&f->lock);
	if (!owed || writeback_adopt(f->files->writeback, f) == 0)
		return;
	mutex_lock(&f->lock);
	if (f->spool && !f->queued)
		file_leave_locked(f);
	mutex_unlock(&f->lock);
}

void file_refused(struct handle *h, int rc)
{
	struct file *f = h->file;

	mutex_lock(&f->lock);
	file_not_refused_locked(f, h);
	if (rc && !remote_link_error(rc) && f->state == FILE_FAILED && !f->owed) {
		h->refused = true;
		f->refused++;
	}
	mutex_unlock(&f->lock);
}

void file_not_refused_locked(struct file *f, struct handle *h)
{
	f->refused -= h->refused;
	h->refused = false;
}

void file_released(struct handle *h)
{
	struct file *f = h->file;

	mutex_lock(&f->lock);
	f->releasing -= h->refused;
	file_not_refused_locked(f, h);
	cond_broadcast(&f->settled);
	mutex_unlock(&f->lock);
}

/* Those that somebody else still has the same open(2) of are not about to be released. */
static void forget_refused_locked(struct file *f) REQUIRES(f->lock)
{
	for (struct handle *h = f->handles; h; h = h->next)
		file_not_refused_locked(f, h);
}

int file_await_release(struct files *files, struct node *n, const struct opctx *ctx)
{
	struct opctx soon = opctx_for(RELEASE_SOON);
	struct file *f = file_of(files, n);
	int rc = 0;

	if (!f)
		return 0;
	soon.cancelled = ctx->cancelled;
	soon.cancel_fd = ctx->cancel_fd;
	mutex_lock(&f->lock);
	while (f->refused && rc != -EINTR && opctx_check(ctx) == 0) {
		rc = cond_wait_ctx(&f->settled, &f->lock, f->releasing ? ctx : &soon);
		if (rc && !f->releasing)
			forget_refused_locked(f);
	}
	mutex_unlock(&f->lock);
	file_put(f);
	return rc == -EINTR ? rc : 0;
}

void file_give_up_locked(struct file *f)
{
	struct extent gap;
	struct buf path;

	buf_init(&path, PATH_LIMIT);
	tree_path(f->files->tree, f->node, &path);
	spool_keep(f->spool); /* its last name is the one to tell */
	log_error(
		"%s: its changes are not on the server%s; they are kept in %s%s: copy that file to "
		"where "
		"it belongs, then delete it",
		buf_text(&path), f->stored.patching ? ", or a part of them" : "", f->spool->path,
		spool_missing(f->spool, 0, f->spool->size, &gap)
			? " (with zeros where nothing was written)"
			: "");
	buf_free(&path);
	promise_kept_locked(f);
	spool_abandon(f->spool);
	f->spool = NULL;
	file_drop_changes_locked(f);
}
