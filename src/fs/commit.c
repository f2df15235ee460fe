/* fs/commit - spool -> server, by the cheapest way that is safe, and proof that it arrived. */
#include "fs/commit.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "file_private.h"
#include "tree_private.h"

#define PAUSE_FIRST (50 * NS_PER_MS)
#define PAUSE_MAX   (2 * NS_PER_S)

/* A server that confirms what it has not got is asked to take it so many times in all: on some,
 * that is how a data connection that broke shows. */
enum { SHORT_SIZES_MAX = 3 };

/* Somebody who never stops changing a file's attributes must not hold up its close. */
enum { ROUNDS_MAX = 3 };

static bool worth_another(const struct commit *c, int rc)
{
	return remote_link_error(rc) || (rc == -EAGAIN && c->short_sizes < SHORT_SIZES_MAX);
}

bool commit_is_temp(const char *name)
{
	size_t prefix = strlen(COMMIT_TEMP_PREFIX);

	return strncmp(name, COMMIT_TEMP_PREFIX, prefix) == 0 &&
	       strspn(name + prefix, "0123456789abcdef") == 16 && !name[prefix + 16];
}

/* Until files->timeout has passed without the server taking anything. */
static int store(struct commit *c)
{
	int64_t pause = PAUSE_FIRST;
	int64_t progress;
	int rc;

	c->progress = clock_monotonic();
	for (;;) {
		int ended;

		progress = c->progress;
		rc = upload_all(c);
		if (!rc || !worth_another(c, rc))
			break;
		if (c->progress != progress)
			pause = PAUSE_FIRST;
		c->in_vain++;
		if (clock_monotonic() + pause - c->progress > c->files->timeout)
			break;
		ended = version_pause(c->ctx, pause);
		if (ended) {
			rc = ended == -EINTR ? ended : rc;
			break;
		}
		pause = 2 * pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
	}
	if (rc && rc != -EINTR && !remote_link_error(rc))
		temp_discard(c);
	return rc == -EAGAIN ? -EIO : rc;
}

/* The node becomes what the server says; what was set during the commit is for the next one. */
static void publish_locked(struct commit *c, struct file *f) REQUIRES(f->lock)
{
	struct tree *t = c->files->tree;
	struct node *n = f->node;
	const struct entry *e = &c->settled;

	mutex_lock(&t->lock);
	n->size = f->told = c->spool->size;
	f->telling = -1;
	if ((e->have & HAVE_MTIME) && f->want_mtime == REMOTE_KEEP_MTIME) {
		n->mtime = e->mtime;
		n->mtime_slack = e->mtime_slack;
		n->have = (uint8_t)((n->have & ~HAVE_EXACT_MTIME) |
				    (e->have & (HAVE_MTIME | HAVE_EXACT_MTIME)));
	} else if (c->mtime == REMOTE_KEEP_MTIME) {
		/* Our own clock is near the server's at best. */
		n->have = (uint8_t)(n->have & ~HAVE_EXACT_MTIME);
		n->mtime_slack = 60 * NS_PER_S;
	}
	if ((e->have & HAVE_MODE) && f->want_mode == REMOTE_KEEP_MODE) {
		n->mode = e->mode;
		n->have |= HAVE_MODE;
	} else if (c->mode_refused && f->want_mode == REMOTE_KEEP_MODE) {
		n->have = (uint8_t)(n->have & ~HAVE_MODE);
	}
	node_clear(n, NODE_LOCAL);
	n->fresh_until = clock_monotonic() + t->ttl;
	n->cached_size = f->pages_good && (n->have & HAVE_EXACT_MTIME) ? n->size : -1;
	n->cached_mtime = n->mtime;
	tree_changed_locked(t, n);
	mutex_unlock(&t->lock);
}

/* Who set it may be gone: an earlier process promised it, or the server had said that it can. */
static void log_refused(const struct commit *c)
{
	if (c->mtime_refused && c->mtime != REMOTE_KEEP_MTIME)
		log_warn("%s: stored, but the server did not take its time", buf_text(&c->path));
	/* A new file has a mode, too, which nobody may have asked for. */
	if (c->mode_refused && c->mode != REMOTE_KEEP_MODE &&
	    remote_can_set(c->files->remote, REMOTE_MODE) == 0)
		log_warn("%s: stored, but the server did not take mode %04o", buf_text(&c->path),
			 (unsigned)c->mode & 07777);
}

void commit_stored_locked(struct commit *c, struct file *f)
{
	bool moved = f->writes != c->writes;

	log_refused(c);
	if (!moved) {
		f->want_mtime = REMOTE_KEEP_MTIME;
		f->want_mode = REMOTE_KEEP_MODE;
	}
	f->touched = false;
	spool_clean(c->spool, c->spool->size);
	f->no_follow = false;
	if (f->state == FILE_COMMITTING) {
		file_enter_locked(f, moved ? FILE_DIRTY : FILE_CLEAN);
		publish_locked(c, f);
	}
	if (f->state == FILE_CLEAN)
		promise_kept_locked(f);
	else
		promise_update_locked(f);
	file_unspool_locked(f);
}

static void failed_locked(struct commit *c, struct file *f, int rc) REQUIRES(f->lock)
{
	if (f->state != FILE_COMMITTING)
		return;
	promise_withdraw_locked(f, rc);
	if (rc == -EINTR) {
		file_enter_locked(f, FILE_DIRTY);
		return;
	}
	/* Nobody may be left who could look why, and what is promised is tried for ever. */
	if ((f->owed || (c->not_ours && spool_complete(c->spool))) && !remote_link_error(rc))
		f->recovered = true;
	file_enter_locked(f, FILE_FAILED);
	for (struct handle *h = f->handles; h; h = h->next)
		if (handle_writes(h))
			h->error = rc;
	/* Of what nobody was promised the log is to name what the next mount leaves alone. */
	if (!f->owed)
		spool_keep(c->spool);
	log_error("%s: not stored on the server: %s; its changes are in %s%s", buf_text(&c->path),
		  strerror(-rc), c->spool->path, f->owed ? ", and are tried again" : "");
}

/* A commit that starts while the name is being removed would bring it back. */
int commit_may_begin_locked(struct file *f, const struct opctx *ctx)
{
	int rc = 0;

	while (rc == 0 && (f->busy || clock_monotonic() < f->doomed_until)) {
		if (f->state == FILE_CLEAN || f->state == FILE_ORPHAN)
			return 0;
		rc = cond_wait_ctx(&f->settled, &f->lock, ctx);
	}
	return rc;
}

static int commit_once(struct file *f, bool only_promised, bool *more, const struct opctx *ctx)
{
	struct commit c;
	int rc;

	*more = false;
	mutex_lock(&f->lock);
	rc = commit_may_begin_locked(f, ctx);
	if (rc || f->state == FILE_CLEAN || f->state == FILE_ORPHAN ||
	    (only_promised && !f->owed)) {
		mutex_unlock(&f->lock);
		return rc;
	}
	file_enter_locked(f, FILE_COMMITTING);
	promise_intend_locked(f);
	upload_begin_locked(&c, f, ctx);
	mutex_unlock(&f->lock);
	rc = store(&c);
	mutex_lock(&f->lock);
	upload_end_locked(&c, f);
	if (rc) {
		upload_forget_locked(&c, f, rc);
		failed_locked(&c, f, rc);
	} else {
		commit_stored_locked(&c, f);
	}
	file_check_locked(f);
	*more = f->state == FILE_DIRTY;
	mutex_unlock(&f->lock);
	buf_free(&c.path);
	return rc;
}

/* A time or mode that was noted while we were at the network has been promised to somebody, and
 * this caller's verdict may be the last that anybody is told: it goes to the server, too. */
static int commit(struct file *f, bool only_promised, const struct opctx *ctx)
{
	bool more = true;
	int rc = recover_check(f, ctx);

	for (int round = 0; rc == 0 && more && round < ROUNDS_MAX; round++)
		rc = commit_once(f, only_promised, &more, ctx);
	return rc;
}

int commit_file(struct file *f, const struct opctx *ctx)
{
	return commit(f, false, ctx);
}

int commit_promised(struct file *f, const struct opctx *ctx)
{
	return commit(f, true, ctx);
}

/* ---- following a sequential writer ---- */

/* Less than this is left to the next write, or to the commit. */
enum { FOLLOW_CHUNK = 64 << 10 };

static bool worth_following_locked(struct file *f) REQUIRES(f->lock)
{
	const struct spool *s = f->spool;

	/* Under its name others would see it grow, and a crash leave the half of it. */
	if (f->busy || f->no_follow || f->files->atomic == ATOMIC_OFF || f->stored.no_temp || !s ||
	    f->state != FILE_DIRTY || clock_monotonic() < f->doomed_until)
		return false;
	if (f->stored.upload)
		return s->size - f->stored.sent >= FOLLOW_CHUNK;
	if (f->run_to - f->run_from < COMMIT_STREAM_AFTER || f->run_to != s->size)
		return false;
	return s->whole && f->run_from == 0;
}

void commit_follow(struct file *f, const struct opctx *ctx)
{
	struct commit c;
	int rc;

	mutex_lock(&f->lock);
	if (!worth_following_locked(f)) {
		mutex_unlock(&f->lock);
		return;
	}
	upload_begin_locked(&c, f, ctx);
	mutex_unlock(&f->lock);
	rc = upload_some(&c);
	/* What it has left may be what fills the server's disk. */
	if (rc && rc != -EINTR && !remote_link_error(rc))
		temp_discard(&c);
	mutex_lock(&f->lock);
	upload_end_locked(&c, f);
	f->no_follow = rc != 0;
	mutex_unlock(&f->lock);
	if (rc)
		log_info("%s: upload dropped (%s); all of it is sent at close", buf_text(&c.path),
			 strerror(-rc));
	buf_free(&c.path);
}

void commit_unfollow_locked(struct file *f)
{
	upload_drop(&f->stored);
}
