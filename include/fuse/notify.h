/* fuse/notify - tells the kernel which names changed on the server.
 *
 * A queue and one thread: a notification from inside a request can deadlock with the kernel's own
 * locks, so it is never sent from a request's thread, and nothing is held while it is. A full queue
 * drops the oldest: the kernel's own time-outs are the fall-back. */
#ifndef FTPFS_FUSE_NOTIFY_H
#define FTPFS_FUSE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct fuse_session;
struct notify;

enum { NOTIFY_QUEUE = 4096 };

/* dropped(arg, ino): pages of ino that were to go are gone. */
int notify_create(struct fuse_session *se, void (*dropped)(void *arg, uint64_t ino), void *arg,
		  struct notify **out);
void notify_name(struct notify *n, uint64_t parent, const char *name); /* any thread; leaf lock */
/* The pages of a file from that byte on: any thread, leaf lock.  False: no room. */
bool notify_pages(struct notify *n, uint64_t ino, int64_t from);
/* Send nothing more.  The thread may still be inside the kernel, which holds it until requests on
 * the same directory are answered: keep answering until notify_stopped(). */
void notify_stop(struct notify *n);
bool notify_stopped(struct notify *n);
void notify_destroy(struct notify *n); /* stops, and waits for the thread */

#endif
