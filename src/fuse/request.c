/* fuse/request - around each request: its deadline, its interrupt, its reply */
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

/* What a thread keeps for its answers; a larger one is rare. */
enum { ROOM = 512 << 10 };

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

static void worker_free(void *arg)
{
	struct worker *w = arg;

	if (w->fd >= 0)
		close(w->fd);
	free(w->bytes);
	free(w);
}

static void make_key(void)
{
	key_made = pthread_key_create(&key, worker_free) == 0;
}

struct worker *worker_of_thread(void)
{
	pthread_once(&key_once, make_key);
	if (!key_made)
		return NULL;
	struct worker *w = pthread_getspecific(key);
	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pthread_setspecific(key, w) != 0) {
		worker_free(w);
		return NULL;
	}
	return w;
}

/* Kept from one read to the next: fresh memory costs a page fault for every page of every answer.
 */
char *worker_bytes(size_t n)
{
	struct worker *w = n <= ROOM ? worker_of_thread() : NULL;

	if (!w)
		return malloc(n);
	if (!w->bytes)
		w->bytes = malloc(ROOM);
	return w->bytes;
}

void worker_give_back(char *bytes)
{
	struct worker *w = worker_of_thread();

	if (!w || bytes != w->bytes)
		free(bytes);
}

static unsigned long long signal_set(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

/* The kernel reports every signal, also those that a program takes in passing (a timer, SIGWINCH,
 * SIGCHLD, the SIGURG by which Go preempts its threads).  On a local disk these never make open(2)
 * or write(2) fail, so here they must not either: only a signal that asks the program to end
 * interrupts its request.  A fatal signal of any number shows as SIGKILL.  The kernel tells once
 * per request: after a signal that was passed over, the deadline is what bounds it. */
static bool asked_to_end(pid_t caller)
{
	char path[40], status[4096];
	const unsigned long long end = 1ULL << (SIGHUP - 1) | 1ULL << (SIGINT - 1) |
				       1ULL << (SIGQUIT - 1) | 1ULL << (SIGTERM - 1) |
				       1ULL << (SIGKILL - 1);

	if (caller <= 0) /* of another pid namespace: not ours to see */
		return true;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)caller);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t n = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (n <= 0)
		return true;
	status[n] = '\0';
	unsigned long long pending = signal_set(status, "\nSigPnd:") |
				     signal_set(status, "\nShdPnd:");
	return (pending & ~signal_set(status, "\nSigBlk:") & end) != 0;
}

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct worker *w = arg;
	uint64_t one = 1;

	(void)req;
	if (!asked_to_end(w->caller))
		return;
	atomic_store(&w->cancelled, true);
	/* Cannot fail in a way that matters: the flag is what counts, the descriptor ends the wait.
	 */
	if (w->fd >= 0 && write(w->fd, &one, sizeof(one)) < 0)
		return;
}

void worker_watch(struct worker *w, fuse_req_t req)
{
	w->caller = fuse_req_ctx(req)->pid;
	fuse_req_interrupt_func(req, on_interrupt, w);
}

/* libfuse calls on_interrupt with the request locked: after this it is not running and will not. */
void worker_rest(struct worker *w, fuse_req_t req)
{
	uint64_t count;

	fuse_req_interrupt_func(req, NULL, NULL);
	if (!atomic_load(&w->cancelled))
		return;
	if (w->fd >= 0 && read(w->fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		close(w->fd);
		w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	atomic_store(&w->cancelled, false);
}

void request_begin(struct request *r, fuse_req_t req, enum patience patience)
{
	r->req = req;
	r->mount = fuse_req_userdata(req);
	r->fs = r->mount->fs;
	r->ctx = opctx_for(patience == BOUNDED ? r->mount->conf.timeout : OPCTX_FOREVER);
	r->worker = worker_of_thread();
	if (r->worker) {
		r->ctx.cancelled = &r->worker->cancelled;
		r->ctx.cancel_fd = r->worker->fd;
		worker_watch(r->worker, req);
	}
}

void request_end(struct request *r)
{
	if (r->worker)
		worker_rest(r->worker, r->req);
}

struct node *request_node(const struct request *r, fuse_ino_t ino)
{
	/* nodeids are addresses by contract (fs/tree.h) */
	return ino == FUSE_ROOT_ID ? atomic_load(&r->mount->root) : (struct node *)(uintptr_t)ino;
}

fuse_ino_t mount_ino(const struct mount *m, const struct node *n)
{
	return n == atomic_load(&m->root) ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)n;
}

double ns_to_seconds(int64_t ns)
{
	return ns > 0 ? (double)ns / (double)NS_PER_S : 0;
}

void found_to_entry(const struct mount *m, const struct fs_found *found,
		    struct fuse_entry_param *out)
{
	memset(out, 0, sizeof(*out));
	out->entry_timeout = ns_to_seconds(found->name_ttl);
	if (!found->node) /* inode number 0 with a time to live: a name that is known to be absent
			   */
		return;
	out->ino = mount_ino(m, found->node);
	out->attr = found->attr.st;
	out->attr_timeout = ns_to_seconds(found->attr.ttl);
}

void reply_status(fuse_req_t req, int rc)
{
	fuse_reply_err(req, rc < 0 ? -rc : 0);
}

void reply_attr(fuse_req_t req, int rc, const struct fs_attr *attr)
{
	if (rc < 0)
		reply_status(req, rc);
	else
		fuse_reply_attr(req, &attr->st, ns_to_seconds(attr->ttl));
}

void reply_found(const struct request *r, int rc, const struct fs_found *found)
{
	struct fuse_entry_param e;

	if (rc < 0) {
		reply_status(r->req, rc);
		return;
	}
	found_to_entry(r->mount, found, &e);
	if (fuse_reply_entry(r->req, &e) < 0 && found->node)
		fs_forget(r->fs, found->node, 1);
}
