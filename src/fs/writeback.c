/* fs/writeback - the queue of files that were promised, and the threads that empty it. */
#include "fs/writeback.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "file_private.h"
#include "fs/commit.h"

enum { FILES_MAX = 100000 };

#define PAUSE_FIRST NS_PER_S
#define PAUSE_MAX   (60 * NS_PER_S)

struct owed_file {
	TAILQ_ENTRY(owed_file) link;
	struct file *file;
	int64_t bytes;
	int64_t due;   /* monotonic ns: not tried before, unless somebody is in a hurry */
	int64_t pause; /* before the try after the next failure */
	int64_t tried; /* monotonic ns: when the last try began; 0: none yet */
	int error;     /* of the last try */
	bool running;
};

TAILQ_HEAD(owed_list, owed_file);

struct writeback {
	struct files *files;
	struct mutex lock;
	struct cond changed;
	struct owed_list items GUARDED_BY(lock);
	struct owing owing GUARDED_BY(lock);
	unsigned hurried GUARDED_BY(lock); /* threads that wait for the queue */
	int64_t hurry_since GUARDED_BY(lock);
	uint64_t most;			  /* files at a time: each has a descriptor open */
	unsigned ending GUARDED_BY(lock); /* files that are stored, and whose spools are going */
	atomic_bool stop;
	int cancel_fd; /* readable once stop is set */
	pthread_t *threads;
	unsigned nthreads;
};

/* ---- the queue ---- */

static void count_locked(struct writeback *w, const struct owed_file *o, int sign) REQUIRES(w->lock)
{
	w->owing.files += (uint64_t)sign;
	w->owing.bytes += sign * o->bytes;
	w->owing.failing += (uint64_t)(o->error ? sign : 0);
}

static struct owed_file *owed_new(struct file *f)
{
	struct owed_file *o = calloc(1, sizeof *o);
	struct tree *t = f->files->tree;

	if (!o)
		return NULL;
	o->file = f;
	mutex_lock(&t->lock);
	f->refs++;
	mutex_unlock(&t->lock);
	return o;
}

static int enqueue_locked(struct writeback *w, struct file *f, int64_t delay) REQUIRES(f->lock)
{
	struct owed_file *o = f->queued ? f->queued : owed_new(f);

	if (!o)
		return -ENOMEM;
	mutex_lock(&w->lock);
	if (f->queued)
		count_locked(w, o, -1);
	else
		TAILQ_INSERT_TAIL(&w->items, o, link);
	f->queued = o;
	o->bytes = f->spool->size;
	o->due = clock_monotonic() + delay;
	o->pause = PAUSE_FIRST;
	count_locked(w, o, 1);
	cond_broadcast(&w->changed);
	mutex_unlock(&w->lock);
	return 0;
}

static bool due_locked(const struct writeback *w, const struct owed_file *o, int64_t now)
	REQUIRES(w->lock)
{
	return !o->running && (o->due <= now || (w->hurried && o->tried < w->hurry_since));
}

static void hurry_locked(struct writeback *w, int64_t now) REQUIRES(w->lock)
{
	w->hurried++;
	w->hurry_since = now;
	cond_broadcast(&w->changed);
}

/* The next one to try; NULL: stopped. */
static struct owed_file *next_owed(struct writeback *w)
{
	struct owed_file *o = NULL;

	mutex_lock(&w->lock);
	while (!o && !atomic_load(&w->stop)) {
		int64_t now = clock_monotonic(), wake = now + PAUSE_MAX;

		TAILQ_FOREACH(o, &w->items, link)
		{
			if (due_locked(w, o, now))
				break;
			if (!o->running && o->due < wake)
				wake = o->due;
		}
		if (!o)
			cond_wait_until(&w->changed, &w->lock, wake);
	}
	if (o) {
		o->running = true;
		o->tried = clock_monotonic();
	}
	mutex_unlock(&w->lock);
	return o;
}

/* ---- one try ---- */

static void judge(struct writeback *w, struct owed_file *o, int rc)
{
	struct file *f = o->file;
	bool done;

	mutex_lock(&f->lock);
	done = !f->owed;
	mutex_lock(&w->lock);
	count_locked(w, o, -1);
	o->running = false;
	o->error = rc;
	if (done) {
		TAILQ_REMOVE(&w->items, o, link);
		f->queued = NULL;
		w->ending++;
	} else {
		o->due = clock_monotonic() + (rc ? o->pause : 0);
		o->pause = rc == 0		      ? PAUSE_FIRST
			   : 2 * o->pause < PAUSE_MAX ? 2 * o->pause
						      : PAUSE_MAX;
		count_locked(w, o, 1);
	}
	cond_broadcast(&w->changed);
	mutex_unlock(&w->lock);
	mutex_unlock(&f->lock);
	if (!done)
		return;
	file_put(f);
	free(o);
	mutex_lock(&w->lock);
	w->ending--;
	cond_broadcast(&w->changed);
	mutex_unlock(&w->lock);
}

static void *uploader(void *arg)
{
	struct writeback *w = arg;
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct owed_file *o;

	ctx.cancelled = &w->stop;
	ctx.cancel_fd = w->cancel_fd;
	while ((o = next_owed(w)))
		judge(w, o, commit_promised(o->file, &ctx));
	return NULL;
}

/* ---- promising ---- */

static bool unpromised_locked(const struct file *f) REQUIRES(f->lock)
{
	if (f->state == FILE_CLEAN || f->state == FILE_ORPHAN)
		return false;
	return !f->owed || f->promised != f->writes;
}

/* f is busy in our hands: nobody changes its bytes or its name. */
static int write_down(struct file *f, struct promise *p)
{
	int rc = spool_sync(f->spool);

	return rc ? rc : promise_write(f, p, true);
}

/* As many as there may be are queued: whoever comes waits until one is stored. */
static int await_place(struct writeback *w, const struct opctx *ctx)
{
	int rc = 0;

	mutex_lock(&w->lock);
	while (rc == 0 && w->owing.files >= w->most) {
		hurry_locked(w, clock_monotonic());
		rc = cond_wait_ctx(&w->changed, &w->lock, ctx);
		w->hurried--;
	}
	mutex_unlock(&w->lock);
	return rc;
}

int writeback_promise(struct writeback *w, struct file *f, const struct opctx *ctx)
{
	struct promise p;
	uint64_t writes;
	int rc = await_place(w, ctx);

	if (rc)
		return rc;
	mutex_lock(&f->lock);
	rc = commit_may_begin_locked(f, ctx);
	if (rc == 0 && unpromised_locked(f)) {
		writes = f->writes;
		file_busy_locked(f);
		rc = promise_make_locked(f, &p);
		mutex_unlock(&f->lock);
		if (rc == 0) {
			rc = write_down(f, &p);
			promise_clear(&p);
		}
		mutex_lock(&f->lock);
		file_idle_locked(f);
		if (rc == 0) {
			f->owed = true;
			f->intent = false;
			f->promised = writes;
			/* Noted by somebody while we wrote. */
			if (f->writes != writes)
				promise_update_locked(f);
			rc = enqueue_locked(w, f, WRITEBACK_DELAY);
		}
	}
	mutex_unlock(&f->lock);
	return rc;
}

int writeback_adopt(struct writeback *w, struct file *f)
{
	int rc;

	mutex_lock(&f->lock);
	rc = enqueue_locked(w, f, 0);
	mutex_unlock(&f->lock);
	return rc;
}

/* ---- waiting ---- */

static struct owed_file *untried_locked(const struct writeback *w, int64_t since) REQUIRES(w->lock)
{
	struct owed_file *o;

	TAILQ_FOREACH(o, &w->items, link)
	if (o->running || o->tried < since)
		break;
	return o;
}

int writeback_drain(struct writeback *w, const struct opctx *ctx)
{
	int64_t since = clock_monotonic();
	struct owed_file *o;
	int rc = 0;

	mutex_lock(&w->lock);
	hurry_locked(w, since);
	while (rc == 0 && (untried_locked(w, since) || w->ending))
		rc = cond_wait_ctx(&w->changed, &w->lock, ctx);
	w->hurried--;
	TAILQ_FOREACH(o, &w->items, link)
	if (rc == 0)
		rc = o->error ? o->error : -EAGAIN;
	mutex_unlock(&w->lock);
	return rc;
}

int writeback_room(struct writeback *w, const struct file *f, int64_t bytes,
		   const struct opctx *ctx)
{
	int64_t most = w->files->cache_size;
	int rc = 0;

	if (most == 0)
		return 0;
	mutex_lock(&w->lock);
	while (rc == 0 && w->owing.bytes + bytes > most) {
		struct owed_file *o = TAILQ_FIRST(&w->items);

		/* Nothing but the file itself is in the way: no upload will make room. */
		if (!o || (o->file == f && !TAILQ_NEXT(o, link)))
			rc = bytes > most ? -ENOSPC : 0;
		if (rc || !o || (o->file == f && !TAILQ_NEXT(o, link)))
			break;
		hurry_locked(w, clock_monotonic());
		rc = cond_wait_ctx(&w->changed, &w->lock, ctx);
		w->hurried--;
	}
	mutex_unlock(&w->lock);
	return rc;
}

void writeback_owing(struct writeback *w, struct owing *out)
{
	mutex_lock(&w->lock);
	*out = w->owing;
	mutex_unlock(&w->lock);
}

/* ---- life ---- */

/* Nobody else knows w yet. */
static void init_queue(struct writeback *w) UNCHECKED
{
	struct rlimit files;

	TAILQ_INIT(&w->items);
	w->most = FILES_MAX;
	/* The other half is for sockets, and for what is being written. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < w->most)
		w->most = files.rlim_cur / 2;
}

int writeback_create(struct files *files, unsigned threads, struct writeback **out)
{
	struct writeback *w = calloc(1, sizeof *w);
	int rc = 0;

	if (!w)
		return -ENOMEM;
	w->files = files;
	mutex_init(&w->lock);
	cond_init(&w->changed);
	init_queue(w);
	w->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->threads = calloc(threads, sizeof *w->threads);
	if (w->cancel_fd < 0 || !w->threads)
		rc = -ENOMEM;
	for (; rc == 0 && w->nthreads < threads; w->nthreads++)
		rc = -pthread_create(&w->threads[w->nthreads], NULL, uploader, w);
	if (rc) {
		w->nthreads -= w->nthreads > 0 && w->threads;
		writeback_destroy(w);
		return rc;
	}
	*out = w;
	return 0;
}

static void stop_threads(struct writeback *w)
{
	mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	cond_broadcast(&w->changed);
	mutex_unlock(&w->lock);
	if (w->cancel_fd >= 0)
		eventfd_write(w->cancel_fd, 1);
	for (unsigned i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);
}

/* What is not stored is the next mount's; the threads are gone. */
static void leave_all(struct writeback *w) UNCHECKED
{
	struct owed_file *o;

	while ((o = TAILQ_FIRST(&w->items))) {
		TAILQ_REMOVE(&w->items, o, link);
		mutex_lock(&o->file->lock);
		o->file->queued = NULL;
		if (o->file->owed)
			file_leave_locked(o->file);
		mutex_unlock(&o->file->lock);
		file_put(o->file);
		free(o);
	}
}

void writeback_destroy(struct writeback *w)
{
	if (!w)
		return;
	stop_threads(w);
	leave_all(w);
	if (w->cancel_fd >= 0)
		close(w->cancel_fd);
	cond_destroy(&w->changed);
	mutex_destroy(&w->lock);
	free(w->threads);
	free(w);
}
