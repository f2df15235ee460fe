/* fs/reader - a window over one file, fed by one stream: how read(2) becomes as few RETRs as
 * possible. */
#include "fs/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/crew.h"
#include "reader_private.h"

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

int reader_create(struct file *f, int64_t size, int64_t mtime, enum reader_of of,
		  struct reader **out)
{
	struct reader *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->file = f;
	r->size = size;
	r->mtime = mtime;
	r->of = of;
	r->lost = of == READER_FILLER;
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

static size_t ring_size_for(const struct reader *r) REQUIRES(r->lock)
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

int reader_let_go(struct reader *r, bool for_good, const struct opctx *ctx)
{
	struct opctx own = *ctx;
	int64_t until = clock_monotonic() + r->file->files->timeout;
	int rc = 0;

	if (own.deadline > until)
		own.deadline = until;
	mutex_lock(&r->lock);
	if (for_good && !r->failed)
		r->failed = -ESTALE;
	while (rc == 0 && r->pulling)
		rc = cond_wait_ctx(&r->moved, &r->lock, &own);
	if (rc == 0 && (r->stream || r->crew)) {
		r->pulling = true;
		mutex_unlock(&r->lock);
		if (r->crew)
			crew_stop(r->crew);
		reader_close_stream(r);
		mutex_lock(&r->lock);
		r->lost = true;
		r->led = r->pulling = false;
		cond_broadcast(&r->moved);
	}
	mutex_unlock(&r->lock);
	return rc == -ETIMEDOUT ? 0 : rc;
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
	r->tail_n = 0;
	r->eof = r->led = false;
	r->sought = true;
	reader_close_stream(r);
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
	got = reader_next_bytes(r, to, n, r->hi, ctx);
	mutex_lock(&r->lock);
	r->pulling = false;
	if (got > 0) {
		reader_note_tail(r, to, (size_t)got);
		r->hi += got;
	}
	if (straight && got > 0) {
		w->to += got;
		w->at += got;
	} else if (!straight) {
		r->kept = r->hi;
	}
	/* All the bytes are there: what the server says about the end is of no use to anybody. */
	if (r->size < 0 ? got == 0 : r->hi >= r->size) {
		r->eof = true;
		reader_close_stream(r);
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
	struct want w = {.to = to, .at = at};
	int64_t end = at + (int64_t)n;
	struct opctx own;
	int rc;

	mutex_lock(&r->lock);
	w.next = r->wants;
	r->wants = &w;
	own = patience_locked(r, ctx);
	/* A short answer says that the file ends: not where the kernel was told of more meanwhile,
	 * since it would show zeros there. */
	do {
		w.end = r->size >= 0 && end > r->size ? r->size : end;
		w.large = w.end - w.at >= STRAIGHT_MIN;
		rc = want_locked(r, &w, &own);
	} while (rc == 0 && w.at < end && (reader_follow_node_locked(r) || w.end < r->size));
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
