/* fs/reader_stream - where a reader's bytes come from, and whether they are of its file. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "fs/crew.h"
#include "reader_private.h"

/* A seek trusts a check of the file's version for so long; a lost stream never does. */
#define CHECK_TRUST (NS_PER_S)
#define PAUSE_FIRST (50 * NS_PER_MS)
#define PAUSE_MAX   (NS_PER_S)

void reader_close_stream(struct reader *r)
{
	if (r->stream)
		stream_close(r->stream);
	r->stream = NULL;
}

void reader_note_tail(struct reader *r, const char *bytes, size_t n)
{
	size_t take = n < TAIL ? n : TAIL;
	size_t keep = r->tail_n < TAIL - take ? r->tail_n : TAIL - take;

	memmove(r->tail, r->tail + r->tail_n - keep, keep);
	memcpy(r->tail + keep, bytes + n - take, take);
	r->tail_n = keep + take;
}

static int path_of(struct reader *r, struct buf *path)
{
	buf_init(path, PATH_LIMIT);
	return tree_path(r->file->files->tree, r->file->node, path);
}

/* The node's attributes are of a file that is gone: have the next look ask the server. */
static void forget_attributes(struct reader *r)
{
	struct tree *t = r->file->files->tree;

	mutex_lock(&t->lock);
	r->file->node->fresh_until = 0;
	mutex_unlock(&t->lock);
}

static int changed(struct reader *r, const char *path, const char *how)
{
	log_warn("%s: %s while it was being read", path, how);
	forget_attributes(r);
	mutex_lock(&r->lock);
	r->failed = -EIO;
	mutex_unlock(&r->lock);
	return -EIO;
}

/* Is now, which is not the file that was begun with, that file and more behind it?  Then it is what
 * is read from here on.  Nobody appends to what we ourselves are about to change. */
static bool follow_locked(struct reader *r, const struct entry *now, unsigned flags)
	REQUIRES(r->lock)
{
	if (r->of != READER_HANDLE || (flags & (NODE_LOCAL | NODE_BUSY | NODE_UNLINKED)) ||
	    !version_grown(now, r->size, r->mtime))
		return false;
	r->size = now->size;
	r->mtime = now->have & HAVE_EXACT_MTIME ? now->mtime : REMOTE_KEEP_MTIME;
	r->grew = true;
	r->eof = false;
	return true;
}

bool reader_follow_node_locked(struct reader *r) REQUIRES(r->lock)
{
	const struct node *n = r->file->node;
	struct tree *t = r->file->files->tree;
	struct entry now;
	unsigned flags;

	mutex_lock(&t->lock);
	now = (struct entry){.type = n->type, .have = n->have, .size = n->size, .mtime = n->mtime};
	flags = n->flags;
	mutex_unlock(&t->lock);
	return follow_locked(r, &now, flags);
}

static bool still_good(struct reader *r, const struct entry *now)
{
	struct tree *t = r->file->files->tree;
	unsigned flags;
	bool good;

	mutex_lock(&t->lock);
	flags = r->file->node->flags;
	mutex_unlock(&t->lock);
	mutex_lock(&r->lock);
	good = version_same(r->file, now, r->size, r->mtime) || follow_locked(r, now, flags);
	mutex_unlock(&r->lock);
	return good;
}

static int check_version(struct reader *r, const char *path, const struct opctx *ctx)
{
	struct entry e;
	int rc;

	rc = version_ask(r->file->files->remote, path, &e, ctx);
	if (rc == -ENOENT)
		return changed(r, path, "removed on the server");
	if (rc)
		return rc;
	if (!still_good(r, &e))
		return changed(r, path, "changed on the server");
	r->checked_at = clock_monotonic();
	return 0;
}

/* The bytes that we had last are where they were?  Else it did not grow, it is another file. */
static int compare_tail(struct reader *r, const char *path, const struct opctx *ctx)
{
	char now[TAIL];
	size_t n = 0;

	while (n < r->tail_n) {
		ssize_t got = stream_read(r->stream, now + n, r->tail_n - n, ctx);

		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n < r->tail_n || memcmp(now, r->tail, n) != 0)
		return changed(r, path, "replaced on the server");
	return 0;
}

static int open_stream(struct reader *r, const char *path, int64_t from, const struct opctx *ctx)
{
	bool grew;
	int rc;

	mutex_lock(&r->lock);
	r->opened_size = r->size;
	grew = r->grew && r->tail_n > 0;
	r->grew = false;
	mutex_unlock(&r->lock);
	rc = remote_open_read(r->file->files->remote, path, grew ? from - (int64_t)r->tail_n : from,
			      &r->stream, ctx);
	if (rc)
		r->stream = NULL;
	else if (grew)
		rc = compare_tail(r, path, ctx);
	if (rc && grew) {
		reader_close_stream(r);
		mutex_lock(&r->lock);
		r->grew = true;
		mutex_unlock(&r->lock);
	}
	return rc;
}

/* The handle's reads are the spool's by now, and a stream that is opened late would be in the way
 * of its commit. */
static bool overtaken(struct reader *r)
{
	struct file *f = r->file;
	bool spooled;

	if (r->of != READER_HANDLE)
		return false;
	mutex_lock(&f->lock);
	spooled = f->spool;
	mutex_unlock(&f->lock);
	return spooled;
}

/* Must the version be looked at before a stream is opened?  Not for the first one of all, unless a
 * spool has bytes of a version: nothing was read of another one. */
static bool in_doubt(const struct reader *r)
{
	return r->lost || (r->opened && clock_monotonic() - r->checked_at > CHECK_TRUST);
}

static int open_at(struct reader *r, int64_t from, const struct opctx *ctx)
{
	struct buf path;
	int rc;

	if (overtaken(r))
		return -EIO;
	rc = path_of(r, &path);
	if (rc == 0 && in_doubt(r))
		rc = check_version(r, buf_text(&path), ctx);
	if (rc == 0)
		rc = open_stream(r, buf_text(&path), from, ctx);
	if (rc == 0 && !r->opened)
		r->checked_at = clock_monotonic();
	if (rc == 0) {
		r->opened = true;
		r->lost = false;
	}
	buf_free(&path);
	return rc;
}

/* 0: the file ends there.  -EAGAIN: it ended there when the stream was opened, and has grown. */
static int ended(struct reader *r, int64_t at)
{
	struct buf path;
	int64_t size;
	int rc = 0;

	reader_close_stream(r);
	mutex_lock(&r->lock);
	size = r->size;
	mutex_unlock(&r->lock);
	if (size < 0 || at >= size)
		return 0;
	if (at >= r->opened_size)
		return -EAGAIN;
	path_of(r, &path);
	rc = changed(r, buf_text(&path), "found shorter than the server had said");
	buf_free(&path);
	return rc;
}

/* At least one more byte at hi, or the end: count, 0 or -errno.  Reopens what was lost. */
static ssize_t fetch(struct reader *r, char *to, size_t n, int64_t at, const struct opctx *ctx)
{
	int64_t give_up = clock_monotonic() + r->file->files->timeout;
	int64_t pause = PAUSE_FIRST;
	bool first = true;

	for (;; first = false) {
		bool open = r->stream;
		ssize_t got = open ? 0 : open_at(r, at, ctx);
		int rc;

		if (got == 0)
			got = stream_read(r->stream, to, n, ctx);
		if (got > 0)
			return got;
		if (got == 0) {
			rc = ended(r, at);
			if (rc != -EAGAIN)
				return rc;
			continue;
		}
		reader_close_stream(r);
		if (got != -ESTALE && !remote_link_error((int)got))
			return got;
		r->lost = true;
		/* One connection was lost, or was needed by somebody: another is had at once, as a
		 * rule. */
		if (first && open)
			continue;
		if (got == -ESTALE)
			got = -ETIMEDOUT;
		if (ctx->deadline == OPCTX_FOREVER && clock_monotonic() + pause > give_up)
			return got;
		rc = version_pause(ctx, pause);
		if (rc)
			return rc == -EINTR ? rc : got;
		pause = 2 * pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
	}
}

/* NULL where several streams are of no use. */
static struct crew *crew_for(struct reader *r)
{
	int64_t size, mtime;

	mutex_lock(&r->lock);
	size = r->size;
	mtime = r->mtime;
	mutex_unlock(&r->lock);
	if (r->crew && r->crew_size != size) {
		crew_destroy(r->crew);
		r->crew = NULL;
	}
	if (!r->crew && size >= CREW_WORTH && crew_create(r->file, size, mtime, &r->crew) != 0)
		r->crew = NULL;
	r->crew_size = size;
	return r->crew;
}

ssize_t reader_next_bytes(struct reader *r, char *to, size_t n, int64_t at, const struct opctx *ctx)
{
	int64_t begun = clock_monotonic();
	ssize_t got, own = 0;

	if (!crew_for(r))
		return fetch(r, to, n, at, ctx);
	if (r->sought)
		crew_stop(r->crew);
	r->sought = false;
	got = crew_read(r->crew, to, &n, at, ctx);
	if (got == -ESTALE) {
		crew_stop(r->crew);
		r->lost = true;
		got = 0;
	}
	r->led = got > 0;
	if (got > 0)
		reader_close_stream(r);
	if (got == 0)
		got = own = fetch(r, to, n, at, ctx);
	crew_tell(r->crew, clock_monotonic() - begun, own > 0 ? (size_t)own : 0, r->stream);
	return got;
}
