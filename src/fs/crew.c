/* fs/crew - the streams beside a reader's own */
#include "fs/crew.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stats.h"
#include "file_private.h"
#include "fs/pace.h"

enum { CHUNK = 64 << 10 };

/* A helper from which nothing comes for so long is given up: the reader has its own patience. */
#define SILENCE (3 * NS_PER_S)
/* After a failure, which as a rule means that somebody else needs the connections. */
#define PAUSE (250 * NS_PER_MS)
/* A reader that has not asked for so long has stopped. */
#define STOPPED (2 * NS_PER_S)
/* The memory may be another crew's. */
#define LOOK_AGAIN (5 * NS_PER_S)

struct segment {
	int64_t index; /* of the file, when bytes is not NULL */
	char *bytes;
	size_t got;
	bool busy; /* a helper is fetching it: the bytes behind got are its own */
};

struct crew {
	struct file *file;
	int64_t size, mtime;
	struct mutex lock;
	struct cond news; /* for the reader */
	struct cond work; /* for the helpers */
	/* Segment i of the file is at i % CREW_SEGMENTS. */
	struct segment ring[CREW_SEGMENTS] GUARDED_BY(lock);
	int64_t head GUARDED_BY(lock);	     /* the segment that the reader is in */
	bool own GUARDED_BY(lock);	     /* ... by its own stream */
	bool waiting GUARDED_BY(lock);	     /* ... for a helper */
	int64_t asked_at GUARDED_BY(lock);   /* monotonic ns: when it last wanted anything */
	unsigned target GUARDED_BY(lock);    /* streams, with the reader's own */
	unsigned active GUARDED_BY(lock);    /* helpers that have a segment in hand */
	unsigned streams GUARDED_BY(lock);   /* ... whose stream stands */
	int64_t rest_until GUARDED_BY(lock); /* monotonic ns: a helper has failed */
	bool looking GUARDED_BY(lock);	     /* a helper asks for the version */
	int64_t looked_at GUARDED_BY(lock);  /* monotonic ns: when the last good look began */
	bool doubt GUARDED_BY(lock);	     /* the file looks like another version */
	int64_t helped GUARDED_BY(lock);     /* bytes by the helpers */
	atomic_bool ending;
	int cancel_fd;
	/* Of the reader: */
	pthread_t threads[CREW_STREAMS];
	unsigned nthreads;
	struct pace pace;
	int64_t waited, bytes;
};

int crew_create(struct file *f, int64_t size, int64_t mtime, struct crew **out)
{
	struct crew *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->cancel_fd < 0) {
		int error = errno;
		free(c);
		return -error;
	}
	c->file = f;
	c->size = size;
	c->mtime = mtime;
	c->target = 1;
	mutex_init(&c->lock);
	cond_init(&c->news);
	cond_init(&c->work);
	pace_begin(&c->pace, CREW_STREAMS);
	*out = c;
	return 0;
}

void crew_destroy(struct crew *c)
{
	if (!c)
		return;
	crew_stop(c);
	cond_destroy(&c->work);
	cond_destroy(&c->news);
	mutex_destroy(&c->lock);
	close(c->cancel_fd);
	free(c);
}

/* ---- segments ---- */

static size_t length_of(const struct crew *c, int64_t index)
{
	int64_t left = c->size - index * CREW_SEGMENT;

	return left < CREW_SEGMENT ? (size_t)left : CREW_SEGMENT;
}

/* Of the file's segment `index`, or NULL: no helper has had it. */
static struct segment *segment_locked(struct crew *c, int64_t index) REQUIRES(c->lock)
{
	struct segment *s = &c->ring[index % CREW_SEGMENTS];

	return s->bytes && s->index == index ? s : NULL;
}

static void release_locked(struct crew *c, struct segment *s) REQUIRES(c->lock)
{
	if (!s->bytes)
		return;
	free(s->bytes);
	*s = (struct segment){0};
	atomic_fetch_sub(&c->file->files->segments, 1);
}

/* The memory for it, unless the mount has given out all that there is. */
static struct segment *place_locked(struct crew *c, int64_t index) REQUIRES(c->lock)
{
	struct segment *s = &c->ring[index % CREW_SEGMENTS];
	_Atomic unsigned *all = &c->file->files->segments;

	if (s->bytes)
		return NULL;
	if (atomic_fetch_add(all, 1) >= CREW_SEGMENTS || !(s->bytes = malloc(CREW_SEGMENT))) {
		atomic_fetch_sub(all, 1);
		return NULL;
	}
	s->index = index;
	return s;
}

/* The nearest one that nobody has in hand. */
static struct segment *pick_locked(struct crew *c) REQUIRES(c->lock)
{
	int64_t end = c->head + CREW_SEGMENTS;

	for (int64_t i = c->head + c->own; i < end && i * CREW_SEGMENT < c->size; i++) {
		struct segment *s = segment_locked(c, i);
		if (!s)
			return place_locked(c, i);
		if (!s->busy && s->got < length_of(c, i))
			return s;
	}
	return NULL;
}

/* ---- helpers ---- */

static bool reads_on_locked(const struct crew *c) REQUIRES(c->lock)
{
	return !c->ending && !c->doubt && (c->waiting || clock_monotonic() - c->asked_at < STOPPED);
}

/* Is there room for one more stream?  Those that are too many finish their segments: half of one
 * would cost the reader a stream of its own, and a cut. */
static bool may_begin_locked(const struct crew *c) REQUIRES(c->lock)
{
	return reads_on_locked(c) && c->target > 1 && c->active + c->own < c->target &&
	       clock_monotonic() >= c->rest_until;
}

static struct opctx helper_ctx(struct crew *c)
{
	struct opctx ctx = opctx_for(SILENCE);

	ctx.cancelled = &c->ending;
	ctx.cancel_fd = c->cancel_fd;
	return ctx;
}

/* The stream stands: is it of the version that the reader expects?  One look at a time, since each
 * needs a connection, and it tells for all streams that stood when it began. */
static int look_at_version(struct crew *c, const char *path)
{
	int64_t stood = clock_monotonic();
	int rc = 0;

	mutex_lock(&c->lock);
	while (rc == 0 && c->looked_at < stood) {
		struct opctx ctx = helper_ctx(c);
		int64_t begun = clock_monotonic();
		struct entry now;

		if (c->looking) {
			rc = cond_wait_ctx(&c->work, &c->lock, &ctx);
			continue;
		}
		c->looking = true;
		mutex_unlock(&c->lock);
		rc = version_ask(c->file->files->remote, path, &now, &ctx);
		if (rc == 0 && !version_same(c->file, &now, c->size, c->mtime))
			rc = -ENOENT;
		mutex_lock(&c->lock);
		c->looking = false;
		if (rc == 0)
			c->looked_at = begun;
		cond_broadcast(&c->work);
	}
	mutex_unlock(&c->lock);
	return rc;
}

/* A stream at `at`, of the version that the reader expects. */
static int open_checked(struct crew *c, int64_t at, struct stream **out)
{
	struct opctx aside = helper_ctx(c);
	struct buf path;
	int rc;

	buf_init(&path, PATH_LIMIT);
	aside.background = aside.lasting = true;
	rc = tree_path(c->file->files->tree, c->file->node, &path);
	if (rc == 0)
		rc = remote_open_read(c->file->files->remote, buf_text(&path), at, out, &aside);
	if (rc == 0) {
		rc = look_at_version(c, buf_text(&path));
		if (rc)
			stream_close(*out);
	}
	buf_free(&path);
	return rc;
}

static int fill(struct crew *c, struct segment *s, struct stream *stream)
{
	size_t length = length_of(c, s->index);
	bool go = true;

	while (go && s->got < length) {
		struct opctx ctx = helper_ctx(c);
		size_t n = length - s->got < CHUNK ? length - s->got : CHUNK;
		ssize_t got;

		ctx.background = ctx.lasting = true;
		got = stream_read(stream, s->bytes + s->got, n, &ctx);
		if (got == 0)
			return -ENOENT;
		if (got < 0)
			return (int)got;
		mutex_lock(&c->lock);
		s->got += (size_t)got;
		c->helped += got;
		go = reads_on_locked(c);
		cond_broadcast(&c->news);
		mutex_unlock(&c->lock);
	}
	return 0;
}

static int fetch_segment(struct crew *c, struct segment *s)
{
	struct stream *stream;
	int rc = open_checked(c, s->index * CREW_SEGMENT + (int64_t)s->got, &stream);

	if (rc)
		return rc;
	mutex_lock(&c->lock);
	c->streams++;
	mutex_unlock(&c->lock);
	rc = fill(c, s, stream);
	mutex_lock(&c->lock);
	c->streams--;
	mutex_unlock(&c->lock);
	stream_close(stream);
	stats_add(STAT_SEGMENTS, 1);
	return rc;
}

static void *help(void *arg)
{
	struct crew *c = arg;

	mutex_lock(&c->lock);
	while (!c->ending) {
		struct segment *s = may_begin_locked(c) ? pick_locked(c) : NULL;
		int rc;

		if (!s) {
			int64_t rest = c->rest_until - clock_monotonic();

			cond_wait_until(&c->work, &c->lock,
					clock_monotonic() + (rest > 0 ? rest : LOOK_AGAIN));
			continue;
		}
		s->busy = true;
		c->active++;
		mutex_unlock(&c->lock);
		rc = fetch_segment(c, s);
		mutex_lock(&c->lock);
		s->busy = false;
		c->active--;
		c->doubt = c->doubt || rc == -ENOENT;
		cond_broadcast(&c->news);
		cond_broadcast(&c->work);
		if (rc)
			c->rest_until = clock_monotonic() + PAUSE;
	}
	mutex_unlock(&c->lock);
	return NULL;
}

/* ---- the reader ---- */

/* What lies behind the reader is of no more use. */
static void move_locked(struct crew *c, int64_t at) REQUIRES(c->lock)
{
	int64_t head = at / CREW_SEGMENT;

	c->asked_at = clock_monotonic();
	if (head == c->head)
		return;
	c->head = head;
	for (size_t i = 0; i < CREW_SEGMENTS; i++)
		if (!c->ring[i].busy && c->ring[i].index < head)
			release_locked(c, &c->ring[i]);
	cond_broadcast(&c->work);
}

ssize_t crew_read(struct crew *c, void *to, size_t *n, int64_t at, const struct opctx *ctx)
{
	size_t inside = (size_t)(at % CREW_SEGMENT);
	const struct segment *s;
	int rc = 0;

	if (c->nthreads == 0)
		return 0;
	mutex_lock(&c->lock);
	move_locked(c, at);
	while (rc == 0 && !c->doubt && (s = segment_locked(c, c->head)) && s->busy &&
	       s->got <= inside) {
		c->own = false;
		c->waiting = true;
		rc = cond_wait_ctx(&c->news, &c->lock, ctx);
		c->waiting = false;
	}
	s = segment_locked(c, c->head);
	if (rc == 0 && c->doubt) {
		pace_hold(&c->pace, clock_monotonic());
		rc = -ESTALE;
	}
	if (rc == 0) {
		c->own = !s || s->got <= inside;
		size_t most = c->own ? length_of(c, c->head) - inside : s->got - inside;
		*n = *n < most ? *n : most;
	}
	mutex_unlock(&c->lock);
	if (rc || c->own)
		return rc;
	memcpy(to, s->bytes + inside, *n);
	return (ssize_t)*n;
}

/* As many threads as there may be helpers. */
static void hire(struct crew *c, unsigned target)
{
	while (c->nthreads < CREW_STREAMS && c->nthreads < target && target > 1) {
		if (pthread_create(&c->threads[c->nthreads], NULL, help, c) != 0)
			return;
		c->nthreads++;
	}
}

void crew_tell(struct crew *c, int64_t waited, size_t bytes, struct stream *own)
{
	struct progress now = {.at = clock_monotonic()};
	unsigned target;

	c->waited += waited;
	c->bytes += (int64_t)bytes;
	now.waited = c->waited;
	now.full = own && pace_looks(&c->pace, now.at) && stream_queued(own);
	mutex_lock(&c->lock);
	now.bytes = c->bytes + c->helped;
	now.streams = c->streams + (c->nthreads == 0 || c->own);
	target = pace_tell(&c->pace, &now);
	if (c->nthreads == 0)
		c->own = true;
	c->asked_at = now.at;
	if (target != c->target) {
		log_debug("%u streams for a file, after %lld bytes a second", target,
			  (long long)c->pace.rate);
		cond_broadcast(&c->work);
	}
	c->target = target;
	mutex_unlock(&c->lock);
	hire(c, target);
}

void crew_stop(struct crew *c)
{
	uint64_t one = 1;

	pace_restart(&c->pace);
	if (c->nthreads == 0)
		return;
	mutex_lock(&c->lock);
	c->ending = true;
	cond_broadcast(&c->work);
	mutex_unlock(&c->lock);
	if (write(c->cancel_fd, &one, sizeof one) < 0) {
		/* It can be read already. */
	}
	while (c->nthreads > 0)
		pthread_join(c->threads[--c->nthreads], NULL);
	if (read(c->cancel_fd, &one, sizeof one) < 0) {
		/* Nobody has made it readable. */
	}
	mutex_lock(&c->lock);
	c->ending = c->doubt = c->own = false;
	c->target = 1;
	for (size_t i = 0; i < CREW_SEGMENTS; i++)
		release_locked(c, &c->ring[i]);
	mutex_unlock(&c->lock);
}
