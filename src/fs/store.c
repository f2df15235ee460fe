/* fs/store - one try to give the server what it lacks: which way, the bytes, and the proof. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/reader.h"

enum {
	CHUNK = 256 << 10,
	PAGES_MIN = 64 << 10, /* below, two copies are cheaper than the pages' bookkeeping */
	PAGES_MAX = 1 << 20,
	BEHIND_MAX = 4 << 20, /* what a follower may leave to later */
};

enum { TRIES_IN_VAIN = 3, SILENT_MAX = 3 };

void upload_begin_locked(struct commit *c, struct file *f, const struct opctx *ctx)
{
	struct tree *t = f->files->tree;

	memset(c, 0, sizeof *c);
	c->file = f;
	c->files = f->files;
	c->ctx = ctx;
	c->spool = f->spool;
	c->stored = f->stored;
	c->stored.no_temp = c->stored.no_temp || f->files->atomic == ATOMIC_OFF;
	c->mtime = f->want_mtime;
	c->mode = f->want_mode;
	c->writes = f->writes;
	buf_init(&c->path, PATH_LIMIT);
	mutex_lock(&t->lock);
	c->node_mode = f->node->have & HAVE_MODE ? (int64_t)f->node->mode : REMOTE_KEEP_MODE;
	c->touched = f->touched ? f->node->mtime : REMOTE_KEEP_MTIME;
	mutex_unlock(&t->lock);
	file_busy_locked(f);
}

void upload_end_locked(struct commit *c, struct file *f)
{
	f->stored = c->stored;
	file_idle_locked(f);
}

void upload_drop(struct stored *s)
{
	if (s->upload)
		stream_close(s->upload);
	s->upload = NULL;
	hash_drop(s->hash);
	s->hash = NULL;
}

static int find_path(struct commit *c)
{
	buf_reset(&c->path);
	return tree_path(c->files->tree, c->file->node, &c->path);
}

/* ---- which way ---- */

bool upload_may_append(const struct file *f, const struct stored *s, const struct spool *spool)
{
	return f->files->atomic != ATOMIC_ON && s->on_server && !s->partial && !s->no_append &&
	       !s->replacing && !atomic_load(&f->append_end) && s->size > 0 &&
	       s->size == spool->base_size && spool_only_grew(spool);
}

/* Bytes appended to a file that somebody else has changed would be at the wrong place. */
static int open_tail(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	s->to = UPLOAD_TAIL;
	rc = upload_check_base(c);
	if (rc == 0)
		rc = file_let_go(c->file, c->ctx);
	if (rc)
		return rc;
	s->sent = s->size;
	return remote_open_write(c->files->remote, buf_text(&c->path), WRITE_APPEND, s->size,
				 &s->upload, c->ctx);
}

static int open_name(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	s->to = UPLOAD_NAME;
	s->sent = 0;
	/* What was begun under another name may be what fills the server's disk. */
	temp_discard(c);
	if (s->temp)
		return -ECONNRESET;
	rc = file_let_go(c->file, c->ctx);
	if (rc)
		return rc;
	rc = remote_open_write(c->files->remote, buf_text(&c->path), WRITE_WHOLE, 0, &s->upload,
			       c->ctx);
	/* A command that was lost may have been carried out. */
	if (rc == 0 || rc == -EINTR || remote_link_error(rc)) {
		s->doubt = rc && (s->doubt || !s->on_server);
		s->on_server = true;
		/* Emptying is done at once or not at all; until it is known, the old content
		 * counts. */
		s->partial = s->partial || c->spool->size > 0;
	}
	if (rc == 0)
		proof_begin(c);
	return rc;
}

static int open_temp(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	s->to = UPLOAD_TEMP;
	s->sent = 0;
	rc = temp_name(c);
	if (rc == 0)
		rc = remote_open_write(c->files->remote, s->temp, WRITE_WHOLE, 0, &s->upload,
				       c->ctx);
	if (rc == 0)
		proof_begin(c);
	return rc;
}

/* Nothing there is worth preserving, or there is no other way. */
static bool under_its_name(const struct commit *c)
{
	const struct stored *s = &c->stored;

	if (c->files->atomic == ATOMIC_ON)
		return c->spool->size == 0;
	/* What follows its writer is of no use to anybody yet, whatever lies there. */
	if (c->aside && !s->no_temp)
		return false;
	if (s->partial && s->cut && !s->no_temp)
		return false;
	return !s->on_server || s->partial || s->size == 0 || s->no_temp || c->spool->size == 0;
}

static int open_upload(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc;

	/* Should its answer be lost, what the server has is no base that could be recognised. */
	s->no_patch = true;
	if (upload_may_append(c->file, s, c->spool))
		return open_tail(c);
	s->to = UPLOAD_NAME;
	rc = upload_complete(c);
	if (rc)
		return rc;
	if (!under_its_name(c))
		return open_temp(c);
	if (s->on_server && !s->partial && s->size > 0 && !c->spool->whole)
		rc = promise_whole(c->file);
	return rc ? rc : open_name(c);
}

/* ---- the bytes ---- */

/* Sending again what was sent before is progress a few times only: over a slow link every try takes
 * long, but a full disk takes the first part for ever. */
void upload_sent_some(struct commit *c)
{
	if (c->stored.sent > c->furthest) {
		c->furthest = c->stored.sent;
		c->in_vain = 0;
	} else if (c->in_vain >= TRIES_IN_VAIN) {
		return;
	}
	c->progress = clock_monotonic();
}

static void about_to_send(struct commit *c, int64_t n)
{
	if (c->stored.to == UPLOAD_TAIL)
		atomic_store(&c->file->append_end, c->stored.sent + n);
}

/* A step of sending; a count, or -errno. */
static ssize_t send_copy(struct commit *c, char *bytes)
{
	struct stored *s = &c->stored;
	ssize_t n = spool_read(c->spool, bytes, CHUNK, s->sent);
	int rc;

	if (n <= 0)
		return n ? n : -EIO;
	about_to_send(c, n);
	if (s->hash)
		hash_add(s->hash, bytes, (size_t)n);
	rc = stream_write(s->upload, bytes, (size_t)n, c->ctx);
	return rc ? rc : n;
}

/* The same without a copy of ours, which a hash of it would need.  The spool's bytes that are sent
 * must stay: whoever changes them drops the upload first, and from the end of the data on the file
 * is busy. */
static ssize_t send_pages(struct commit *c, bool wait)
{
	struct stored *s = &c->stored;
	int64_t n = c->spool->size - s->sent;

	if (n > PAGES_MAX)
		n = PAGES_MAX;
	if (s->hash || n < PAGES_MIN || !spool_solid(c->spool, s->sent, s->sent + n))
		return -EOPNOTSUPP;
	about_to_send(c, n);
	return stream_send(s->upload, c->spool->fd, s->sent, (size_t)n, wait, c->ctx);
}

/* Up to the end of the spool; a writer is kept waiting only when it is far ahead. */
static int send_spool(struct commit *c, bool follow)
{
	struct stored *s = &c->stored;
	char *bytes = NULL;
	ssize_t n = 1;

	while (n > 0 && s->sent < c->spool->size) {
		n = send_pages(c, !follow || c->spool->size - s->sent > BEHIND_MAX);
		if (n == -EOPNOTSUPP) {
			if (!bytes && !(bytes = malloc(CHUNK)))
				return -ENOMEM;
			n = send_copy(c, bytes);
		}
		if (n > 0) {
			s->sent += n;
			upload_sent_some(c);
		}
	}
	free(bytes);
	if (n == -EAGAIN && follow)
		return 0;
	return n < 0 ? (int)n : 0;
}

/* Never the last connection, and none that somebody waits for: it is held for as long as the writer
 * likes, and whoever closes a file must find one. */
static int open_follower(struct commit *c)
{
	const struct opctx *ctx = c->ctx;
	struct opctx modest = *ctx;
	int rc;

	modest.background = modest.lasting = true;
	c->ctx = &modest;
	c->aside = true;
	rc = open_upload(c);
	c->ctx = ctx;
	return rc;
}

int upload_some(struct commit *c)
{
	int rc = find_path(c);

	if (rc == 0 && !c->stored.upload)
		rc = open_follower(c);
	if (rc == 0)
		rc = send_spool(c, true);
	if (rc)
		upload_drop(&c->stored);
	return rc;
}

/* ---- the proof ---- */

/* Where the old content is written over, a refused STOR would leave it there with the new time, and
 * whoever compares size and time would take it for the new. */
static bool may_settle_behind(const struct commit *c)
{
	bool in_place = c->stored.to == UPLOAD_PART ||
			(c->stored.to == UPLOAD_NAME && c->stored.no_temp);

	return c->mtime == REMOTE_KEEP_MTIME || !in_place;
}

int upload_place(struct commit *c)
{
	struct stored *s = &c->stored;
	const struct entry *e = &c->settled;
	int rc = remote_rename(c->files->remote, s->temp, buf_text(&c->path), RENAME_REPLACE_TARGET,
			       c->ctx);

	if (rc != -EINTR && !remote_link_error(rc))
		return rc;
	/* It may have been carried out.  Then this is what is there; and who removes the file must
	 * not take it for one that is here alone. */
	s->replacing = true;
	s->new_size = e->have & HAVE_SIZE ? e->size : -1;
	s->new_mtime = e->have & HAVE_EXACT_MTIME ? e->mtime : REMOTE_KEEP_MTIME;
	if (!s->on_server)
		s->on_server = s->partial = s->doubt = true;
	return rc;
}

int upload_finish(struct commit *c)
{
	struct stored *s = &c->stored;
	bool keeps = s->to == UPLOAD_TEMP && c->mode == REMOTE_KEEP_MODE;
	struct settle behind = {.mode = keeps ? c->node_mode : c->mode, .mtime = c->mtime};
	bool told = proof_of_sent(c, &behind);
	int rc = stream_finish(s->upload, told && may_settle_behind(c) ? &behind : NULL, c->ctx);

	upload_drop(s);
	if (rc == 0)
		c->progress = clock_monotonic();
	if (rc == 0)
		rc = proof_take(c, &behind);
	return rc == 0 && s->to == UPLOAD_TEMP ? upload_place(c) : rc;
}

void upload_stored(struct commit *c)
{
	struct stored *s = &c->stored;
	bool exact = c->settled.have & HAVE_EXACT_MTIME;

	if (s->to == UPLOAD_TEMP)
		temp_gone(c->files, s);
	s->to = UPLOAD_NAME;
	s->on_server = true;
	s->partial = s->doubt = s->unproven = s->cut = s->replacing = s->fetched = false;
	s->patching = 0;
	s->silent = 0;
	s->no_patch = false;
	s->size = c->spool->size;
	s->mtime = exact ? c->settled.mtime : REMOTE_KEEP_MTIME;
	atomic_store(&c->file->append_end, 0);
	/* What it reads is another version now. */
	reader_drop(c->file->filler);
	c->file->filler = NULL;
	temp_discard(c);
}

static void note_failed(struct commit *c, int rc)
{
	struct stored *s = &c->stored;

	upload_drop(s);
	s->cut = s->to == UPLOAD_NAME && (rc == -EINTR || remote_link_error(rc));
	if (rc == -ETIMEDOUT && s->to == UPLOAD_PART && ++s->silent == SILENT_MAX)
		s->no_patch = true;
}

/* The same proof as after a 226: it is all there, so nothing of it is still on its way.  True: *rc
 * is the try's result. */
static bool tail_arrived(struct commit *c, int *rc)
{
	struct settle s = {.mode = c->mode, .mtime = c->mtime};

	proof_of_spool(c, &s);
	*rc = proof_settle(c, buf_text(&c->path), &s);
	if (*rc)
		return remote_link_error(*rc);
	if (!(c->settled.have & HAVE_SIZE) || c->settled.size != c->spool->size ||
	    proof_judge(c, &s) != 0)
		return false;
	upload_stored(c);
	return true;
}

static int send_all(struct commit *c)
{
	struct stored *s = &c->stored;
	int rc = s->upload ? 0 : open_upload(c);

	if (rc == 0)
		rc = send_spool(c, false);
	c->tail_sent = rc == 0 && s->to == UPLOAD_TAIL;
	return rc ? rc : upload_finish(c);
}

/* Grown and cut back, say, or in doubt after a crash. */
static bool nothing_to_send(const struct commit *c)
{
	const struct stored *s = &c->stored;

	return !s->upload && s->on_server && !s->partial && !atomic_load(&c->file->append_end) &&
	       !spool_changed(c->spool);
}

/* The server has the bytes, and must be told the time. */
static int store_time(struct commit *c)
{
	struct stored *s = &c->stored;
	struct settle same = {.mode = c->mode};
	int rc;

	s->to = UPLOAD_NAME;
	if (c->mtime == REMOTE_KEEP_MTIME)
		c->mtime = c->touched;
	same.mtime = c->mtime;
	if (s->unproven)
		proof_of_spool(c, &same);
	rc = proof_settle(c, buf_text(&c->path), &same);
	if (rc == 0)
		rc = proof_judge(c, &same);
	s->partial = rc == -EAGAIN;
	if (rc == 0)
		upload_stored(c);
	return rc;
}

static int try_once(struct commit *c)
{
	struct patch patch;
	int rc = find_path(c);

	if (rc)
		return rc;
	if (nothing_to_send(c))
		return store_time(c);
	if (c->tail_sent && tail_arrived(c, &rc))
		return rc;
	rc = patch_plan(c, &patch) ? patch_store(c, &patch) : send_all(c);
	if (rc)
		note_failed(c, rc);
	else
		upload_stored(c);
	return rc;
}

/* A refusal that another way may get around: once each.  Where the server does not rename over a
 * file (-EEXIST) the old one is not moved out of the way: a commit that got no further would leave
 * the name without any file. */
static bool other_way(struct commit *c, int rc)
{
	struct stored *s = &c->stored;

	if (s->to == UPLOAD_TAIL && rc == -EOPNOTSUPP) {
		s->no_append = true;
		return true;
	}
	if (s->to == UPLOAD_PART &&
	    (rc == -EOPNOTSUPP || rc == -EACCES || rc == -EPERM || rc == -EINVAL)) {
		s->no_patch = true;
		return true;
	}
	if (s->to != UPLOAD_TEMP || s->no_temp || c->files->atomic == ATOMIC_ON)
		return false;
	if (rc != -EACCES && rc != -EPERM && rc != -EEXIST && rc != -EOPNOTSUPP &&
	    rc != -ENAMETOOLONG)
		return false;
	log_info("%s: its directory takes no temporary file (%s): written in place",
		 buf_text(&c->path), strerror(-rc));
	s->no_temp = true;
	temp_discard(c);
	return true;
}

int upload_all(struct commit *c)
{
	int rc;

	do
		rc = try_once(c);
	while (rc && other_way(c, rc));
	return rc;
}
