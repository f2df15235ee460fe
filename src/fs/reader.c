/* fs/reader - a window over one file, fed by one stream: how read(2) becomes as few RETRs as
 * possible. */
#include "fs/reader.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/crew.h"

/* The window is a ring: byte x of the file is at x & (cap - 1), so it slides without moving bytes.
 *
 *        lo              kept, hi       lo + cap
 *        |---- can be read -|-- pulled --|
 *
 * It begins small and doubles while the reads go on, so that a thousand small files do not cost a
 * thousand windows.
 *
 * A large read that stands where the stream does takes its bytes past the ring, from the socket to
 * the answer.  hi moves on and the ring keeps what it has, for a read that was overtaken. */
enum { WINDOW_FIRST = 16 << 10, STRAIGHT_MIN = 64 << 10 };

/* A seek trusts a check of the file's version for so long; a lost stream never does. */
#define CHECK_TRUST (NS_PER_S)
#define PAUSE_FIRST (50 * NS_PER_MS)
#define PAUSE_MAX   (NS_PER_S)

#define AFTERMATH (3 * NS_PER_S)
#define LAST_LOOK (1 * NS_PER_S)

/* One reader_read() on its caller's stack.  Whoever pulls copies what arrives to all of them, so
 * that no byte slides out of the window before the read that waits for it has it. */
struct want {
	struct want *next;
	char *to;
	int64_t at, end; /* [at, end) is still to be copied */
	bool large;	 /* goes past the ring, to its last byte: so the next one stands where the
			  * stream does, too */
};

struct reader {
	struct file *file;
	int64_t size;  /* expected; -1: not known */
	int64_t mtime; /* expected; REMOTE_KEEP_MTIME: not known exactly */
	atomic_uint refs;
	struct mutex lock;
	struct cond moved;
	bool pulling
		GUARDED_BY(lock); /* one thread is at the network: stream, ring and hi are its */
	struct want *wants GUARDED_BY(lock);
	char *ring GUARDED_BY(lock);
	size_t cap GUARDED_BY(lock);
	int64_t lo GUARDED_BY(lock), kept GUARDED_BY(lock); /* [lo, kept) is in the ring */
	int64_t hi GUARDED_BY(lock);			    /* where the stream stands */
	bool eof GUARDED_BY(lock);			    /* the file ends at hi */
	int failed GUARDED_BY(lock);			    /* another version: for good */
	int64_t gave_up_at
		GUARDED_BY(lock); /* monotonic ns: a read waited in vain; 0: none since */
	struct stream *stream;	  /* at hi; NULL: closed.  Of the puller */
	bool opened;		  /* a stream was open before.  Of the puller */
	bool lost;		  /* ... and broke: look before the next one.  Of the puller */
	int64_t checked_at;	  /* monotonic ns: the version was right.  Of the puller */
	struct crew *crew;	  /* NULL: the file is small, or no memory.  Of the puller */
	bool led;    /* the bytes before hi are the crew's, it has more.  Of the puller */
	bool sought; /* the crew is still where the window was.  Of the puller */
};

int reader_create(struct file *f, int64_t size, int64_t mtime, struct reader **out)
{
	struct reader *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->file = f;
	r->size = size;
	r->mtime = mtime;
	r->refs = 1;
	mutex_init(&r->lock);
	cond_init(&r->moved);
	*out = r;
	return 0;
}

void reader_hold(struct reader *r)
{
	atomic_fetch_add(&r->refs, 1);
}

void reader_drop(struct reader *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (r->stream)
		stream_close(r->stream);
	crew_destroy(r->crew);
	cond_destroy(&r->moved);
	mutex_destroy(&r->lock);
	free(r->ring);
	free(r);
}

static void close_stream(struct reader *r)
{
	if (r->stream)
		stream_close(r->stream);
	r->stream = NULL;
}

static void copy_out_locked(struct reader *r, struct want *w) REQUIRES(r->lock)
{
	while (w->at < w->end && w->at >= r->lo && w->at < r->kept) {
		size_t where = (size_t)w->at & (r->cap - 1);
		int64_t n = (w->end < r->kept ? w->end : r->kept) - w->at;

		if (n > (int64_t)(r->cap - where))
			n = (int64_t)(r->cap - where);
		memcpy(w->to, r->ring + where, (size_t)n);
		w->to += n;
		w->at += n;
	}
}

static void serve_locked(struct reader *r) REQUIRES(r->lock)
{
	for (struct want *w = r->wants; w; w = w->next)
		copy_out_locked(r, w);
	cond_broadcast(&r->moved);
}

static size_t ring_size_for(const struct reader *r)
{
	size_t cap = WINDOW_FIRST;

	while (cap < READER_WINDOW && (r->cap ? cap <= r->cap : cap < READER_PULL) &&
	       (r->size < 0 || (int64_t)cap < r->size))
		cap *= 2;
	return cap;
}

static int grow_locked(struct reader *r) REQUIRES(r->lock)
{
	size_t cap = ring_size_for(r);
	char *ring;

	if (cap <= r->cap)
		return 0;
	ring = malloc(cap);
	if (!ring)
		return r->cap ? 0 : -ENOMEM;
	for (int64_t at = r->lo; at < r->hi;) {
		size_t from = (size_t)at & (r->cap - 1), to = (size_t)at & (cap - 1);
		int64_t n = r->hi - at;

		if (n > (int64_t)(r->cap - from))
			n = (int64_t)(r->cap - from);
		if (n > (int64_t)(cap - to))
			n = (int64_t)(cap - to);
		memcpy(ring + to, r->ring + from, (size_t)n);
		at += n;
	}
	free(r->ring);
	r->ring = ring;
	r->cap = cap;
	return 0;
}

/* Where the next pull goes, contiguous in memory: *to, *n.  What slides out of the window was read,
 * or was left out by everybody. */
static int make_room_locked(struct reader *r, char **to, size_t *n) REQUIRES(r->lock)
{
	int64_t want = READER_PULL;
	size_t where;

	if (r->kept != r->hi)
		r->lo = r->kept = r->hi;
	if (!r->cap || (r->hi - r->lo + want > (int64_t)r->cap && r->cap < READER_WINDOW)) {
		int rc = grow_locked(r);

		if (rc)
			return rc;
	}
	if (r->size >= 0 && want > r->size - r->hi)
		want = r->size - r->hi;
	/* A quarter of the window at most: a reader a little behind must still find its bytes. */
	if (want > (int64_t)r->cap / 4 && r->size > (int64_t)r->cap)
		want = (int64_t)r->cap / 4;
	where = (size_t)r->hi & (r->cap - 1);
	if (want > (int64_t)(r->cap - where))
		want = (int64_t)(r->cap - where);
	if (r->hi + want - r->lo > (int64_t)r->cap)
		r->lo = r->hi + want - (int64_t)r->cap;
	*to = r->ring + where;
	*n = (size_t)want;
	return 0;
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

static int check_version(struct reader *r, const char *path, const struct opctx *ctx)
{
	struct entry e;
	int rc;

	rc = version_ask(r->file->files->remote, path, &e, ctx);
	if (rc == -ENOENT)
		return changed(r, path, "removed on the server");
	if (rc)
		return rc;
	if (!version_same(r->file, &e, r->size, r->mtime))
		return changed(r, path, "changed on the server");
	r->checked_at = clock_monotonic();
	return 0;
}

/* Open the stream at `from`.  The first one of all needs no check: nothing was read of another
 * version. */
static int open_at(struct reader *r, int64_t from, const struct opctx *ctx)
{
	struct buf path;
	int rc;

	rc = path_of(r, &path);
	if (rc == 0 && r->opened && (r->lost || clock_monotonic() - r->checked_at > CHECK_TRUST))
		rc = check_version(r, buf_text(&path), ctx);
	if (rc == 0)
		rc = remote_open_read(r->file->files->remote, buf_text(&path), from, &r->stream,
				      ctx);
	if (rc)
		r->stream = NULL;
	else if (!r->opened)
		r->checked_at = clock_monotonic();
	if (rc == 0) {
		r->opened = true;
		r->lost = false;
	}
	buf_free(&path);
	return rc;
}

static int ended(struct reader *r, int64_t at)
{
	struct buf path;
	int rc = 0;

	close_stream(r);
	if (r->size >= 0 && at < r->size) {
		path_of(r, &path);
		rc = changed(r, buf_text(&path), "found shorter than the server had said");
		buf_free(&path);
	}
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
		if (got == 0)
			return ended(r, at);
		close_stream(r);
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

/* The next bytes at hi: from the crew, or by the reader's own stream. */
static ssize_t next_bytes(struct reader *r, char *to, size_t n, int64_t at, const struct opctx *ctx)
{
	int64_t begun = clock_monotonic();
	ssize_t got, own = 0;

	if (!r->crew && (r->size < CREW_WORTH || crew_create(r->file, r->size, r->mtime, &r->crew)))
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
		close_stream(r);
	if (got == 0)
		got = own = fetch(r, to, n, at, ctx);
	crew_tell(r->crew, clock_monotonic() - begun, own > 0 ? (size_t)own : 0, r->stream);
	return got;
}

/* Put the window where w can be served from: at its own offset, or at that of a read that waits a
 * little before it, since the kernel's read-ahead arrives in any order. */
static void seek_locked(struct reader *r, const struct want *w) REQUIRES(r->lock)
{
	int64_t at = w->at;

	if (!r->opened && at <= READER_SKIP)
		at = 0;
	for (struct want *o = r->wants; o; o = o->next)
		if (o->at < o->end && o->at < at && o->at >= w->at - READER_SKIP)
			at = o->at;
	r->lo = r->kept = r->hi = at;
	r->eof = r->led = false;
	r->sought = true;
	close_stream(r);
}

/* One pull for w: 0 or -errno.  The lock is dropped meanwhile. */
static int pull_locked(struct reader *r, struct want *w, const struct opctx *ctx) REQUIRES(r->lock)
{
	bool straight;
	char *to = w->to;
	size_t n = (size_t)(w->end - w->at);
	ssize_t got;
	int rc;

	if (w->at < r->hi || w->at > r->hi + READER_SKIP ||
	    (!r->stream && !r->led && w->at != r->hi))
		seek_locked(r, w);
	straight = w->at == r->hi && w->large;
	rc = straight ? 0 : make_room_locked(r, &to, &n);
	if (rc)
		return rc;
	r->pulling = true;
	mutex_unlock(&r->lock);
	got = next_bytes(r, to, n, r->hi, ctx);
	mutex_lock(&r->lock);
	r->pulling = false;
	if (got > 0)
		r->hi += got;
	if (straight && got > 0) {
		w->to += got;
		w->at += got;
	} else if (!straight) {
		r->kept = r->hi;
	}
	/* All the bytes are there: what the server says about the end is of no use to anybody. */
	if (got == 0 || (r->size >= 0 && r->hi >= r->size)) {
		r->eof = true;
		close_stream(r);
	}
	if (!straight)
		serve_locked(r);
	return got < 0 ? (int)got : 0;
}

static int want_locked(struct reader *r, struct want *w, const struct opctx *ctx) REQUIRES(r->lock)
{
	int rc = 0;

	copy_out_locked(r, w);
	while (rc == 0 && w->at < w->end && !(r->eof && w->at >= r->hi)) {
		if (r->failed)
			return r->failed;
		if (r->pulling)
			rc = cond_wait_ctx(&r->moved, &r->lock, ctx);
		else
			rc = pull_locked(r, w, ctx);
	}
	return w->at < w->end && rc ? rc : 0;
}

static void unlink_locked(struct reader *r, struct want *w) REQUIRES(r->lock)
{
	struct want **p = &r->wants;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
}

/* For one read(2) of a program the kernel asks up to three times.  The first answer took all the
 * patience there was: the others only look whether the link is back. */
static struct opctx patience_locked(const struct reader *r, const struct opctx *ctx)
	REQUIRES(r->lock)
{
	struct opctx own = *ctx;
	int64_t now = clock_monotonic();

	if (r->gave_up_at && now - r->gave_up_at < AFTERMATH && own.deadline > now + LAST_LOOK)
		own.deadline = now + LAST_LOOK;
	return own;
}

ssize_t reader_read(struct reader *r, void *to, size_t n, int64_t at, const struct opctx *ctx)
{
	struct want w = {.to = to, .at = at, .end = at + (int64_t)n};
	struct opctx own;
	int rc;

	if (r->size >= 0 && w.end > r->size)
		w.end = r->size;
	if (w.at >= w.end)
		return 0;
	w.large = w.end - w.at >= STRAIGHT_MIN;
	mutex_lock(&r->lock);
	w.next = r->wants;
	r->wants = &w;
	own = patience_locked(r, ctx);
	rc = want_locked(r, &w, &own);
	if (rc == 0)
		r->gave_up_at = 0;
	else if (remote_link_error(rc))
		r->gave_up_at = clock_monotonic();
	unlink_locked(r, &w);
	if (!r->wants && !r->pulling && r->stream)
		stream_park(r->stream);
	/* Who waits may have to pull now. */
	cond_broadcast(&r->moved);
	mutex_unlock(&r->lock);
	return rc ? rc : w.at - at;
}
