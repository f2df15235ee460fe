/* fuse/notify - a bounded queue of changed names and the thread that hands them to the kernel */
#include "fuse/notify.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct change {
	uint64_t parent;
	char *name;   /* NULL: pages of a file, which is `parent` ... */
	int64_t from; /* ... and go from here on */
};

struct notify {
	struct fuse_session *se; /* constant */
	void (*dropped)(void *arg, uint64_t ino);
	void *arg;
	pthread_t thread;
	struct mutex lock;
	struct cond wake;
	struct change ring[NOTIFY_QUEUE] GUARDED_BY(lock);
	size_t first GUARDED_BY(lock), count GUARDED_BY(lock);
	bool stop GUARDED_BY(lock);
	bool stopped GUARDED_BY(lock);
};

static struct change take_locked(struct notify *n) REQUIRES(n->lock)
{
	struct change c = n->ring[n->first];

	n->first = (n->first + 1) % NOTIFY_QUEUE;
	n->count--;
	return c;
}

static bool next_change(struct notify *n, struct change *out)
{
	mutex_lock(&n->lock);
	while (!n->stop && n->count == 0)
		cond_wait_until(&n->wake, &n->lock, INT64_MAX);
	bool more = !n->stop;
	if (more)
		*out = take_locked(n);
	else
		n->stopped = true;
	mutex_unlock(&n->lock);
	return more;
}

static void *notify_thread(void *arg)
{
	struct notify *n = arg;
	struct change c;

	while (next_change(n, &c)) {
		if (!c.name) {
			fuse_lowlevel_notify_inval_inode(n->se, c.parent, c.from, 0);
			n->dropped(n->arg, c.parent);
			continue;
		}
		/* The directory may be gone by now.  Only its number is used, and the kernel
		 * answers -ENOENT for one it does not know: nothing to invalidate, as good as done.
		 */
		fuse_lowlevel_notify_inval_entry(n->se, c.parent, c.name, strlen(c.name));
		free(c.name);
	}
	return NULL;
}

/* Signals are the main thread's: one that landed here would not end its wait. */
static int start_thread(struct notify *n)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int rc = pthread_create(&n->thread, NULL, notify_thread, n);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int notify_create(struct fuse_session *se, void (*dropped)(void *arg, uint64_t ino), void *arg,
		  struct notify **out)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->se = se;
	n->dropped = dropped;
	n->arg = arg;
	mutex_init(&n->lock);
	cond_init(&n->wake);
	int rc = start_thread(n);
	if (rc < 0) {
		cond_destroy(&n->wake);
		mutex_destroy(&n->lock);
		free(n);
		return rc;
	}
	*out = n;
	return 0;
}

void notify_name(struct notify *n, uint64_t parent, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return;
	mutex_lock(&n->lock);
	char *drop = copy;
	/* Somebody waits for pages: those are never what is left out. */
	if (!n->stop && (n->count < NOTIFY_QUEUE || n->ring[n->first].name)) {
		drop = n->count == NOTIFY_QUEUE ? take_locked(n).name : NULL;
		n->ring[(n->first + n->count) % NOTIFY_QUEUE] = (struct change){.parent = parent,
										.name = copy};
		n->count++;
		cond_broadcast(&n->wake);
	}
	mutex_unlock(&n->lock);
	free(drop);
}

bool notify_pages(struct notify *n, uint64_t ino, int64_t from)
{
	mutex_lock(&n->lock);
	bool room = !n->stop && n->count < NOTIFY_QUEUE;
	if (room) {
		n->ring[(n->first + n->count) % NOTIFY_QUEUE] = (struct change){.parent = ino,
										.from = from};
		n->count++;
		cond_broadcast(&n->wake);
	}
	mutex_unlock(&n->lock);
	return room;
}

void notify_stop(struct notify *n)
{
	mutex_lock(&n->lock);
	n->stop = true;
	cond_broadcast(&n->wake);
	mutex_unlock(&n->lock);
}

bool notify_stopped(struct notify *n)
{
	mutex_lock(&n->lock);
	bool stopped = n->stopped;
	mutex_unlock(&n->lock);
	return stopped;
}

void notify_destroy(struct notify *n)
{
	if (!n)
		return;
	notify_stop(n);
	pthread_join(n->thread, NULL);
	mutex_lock(&n->lock);
	while (n->count > 0)
		free(take_locked(n).name);
	mutex_unlock(&n->lock);
	cond_destroy(&n->wake);
	mutex_destroy(&n->lock);
	free(n);
}
