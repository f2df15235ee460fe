/* prefetch_private - what prefetch.c, ahead_list.c, ahead_file.c and ahead_plan.c share.
 *
 * An item is one thing asked for ahead of its user, keyed by its node, which it pins:
 *
 *     state    of a listing                  of a file
 *     QUEUED   -                             its bytes are reserved
 *     RUNNING  a thread is at the server     the same
 *     HELD     listed, no user came for it   its bytes are here
 *     FAILED   remembered, so that what the server refused is not asked for again
 *
 * QUEUED -> RUNNING -> HELD or FAILED; RUNNING -> QUEUED when no connection was free.  An item goes
 * when it was claimed, is of another version, or is too old.
 *
 * Whoever is done with an item that is RUNNING marks it dropped; its worker removes it.  Removed
 * items are buried and freed by prefetch_reap(), since their pins need tree.lock.
 *
 * A walk is what one user seems to be doing.  Listings follow the last directory that it listed,
 * within the highest directory that it is known to walk; files follow the last one that it opened,
 * in every order that the opens so far agree with.
 *
 * tree.lock comes before prefetch.lock. */
#ifndef FTPFS_FS_PREFETCH_PRIVATE_H
#define FTPFS_FS_PREFETCH_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/stats.h"
#include "fs/prefetch.h"
#include "remote.h"

/* A walk that made no step for so long has ended. */
#define WALK_IDLE (5 * NS_PER_S)
/* What is held for nobody in particular may make room for others after so long. */
#define HELD_STALE (3 * NS_PER_S)
#define JOB_TIME   (10 * NS_PER_S)
#define PAUSE	   (20 * NS_PER_MS)

enum {
	LIST_WALKS = 4,
	FILE_WALKS = 8,
	BUCKETS = 1024,
	FILE_ITEMS_MAX = 1024,
	LISTS_BASE = 64,  /* unclaimed listings: this many, and one more for each hit ... */
	LISTS_MAX = 1000, /* ... up to this */
	LISTS_NEAR =
		16, /* so many go before files: a file can only be planned in a listed directory */
	AHEAD_FIRST = 2, /* files ahead of a walk just noticed */
	AHEAD_MAX = 64,
	NEED_FIRST = 2, /* opens in order that make a walk */
	NEED_MAX = 6,
	EARN_BACK = 16, /* steps in order that end a pause */
	TRIES = 8,
	STEPS_MAX = 20000, /* nodes looked at in one search: a bound on holding tree.lock */
};

enum order { BY_LISTING = 1, BY_NAME = 2, BY_INO = 4, BY_ANY = 7 };

enum item_state { ITEM_QUEUED, ITEM_RUNNING, ITEM_HELD, ITEM_FAILED };

/* The last PREFETCH_SAMPLE outcomes, newest in bit 0; 1: it was asked for. */
struct record {
	uint64_t bits;
	unsigned n;
};

struct list_walk {
	struct node *top; /* pinned; the walk is below it; NULL: slot free */
	struct node *at;  /* pinned; the last directory that the user listed */
	int64_t event;	  /* monotonic ns; the walk's last step */
	int64_t rest;	  /* no search before: the last one found nothing */
	unsigned hits;
	unsigned ahead; /* listings RUNNING or HELD for it */
	unsigned steps; /* since it began */
	bool moved;	/* there may be something to list */
};

struct file_walk {
	struct node *last; /* pinned; the last file opened; NULL: slot free */
	struct node *top;  /* pinned; where the walk crossed directories; NULL: it never did */
	int64_t event;
	unsigned orders; /* enum order bits that all its opens agree with */
	unsigned streak; /* opens in order, this one included */
	unsigned window; /* files to be ahead */
	unsigned ahead;	 /* files that are: QUEUED, RUNNING or HELD, and still before it */
	bool plan;	 /* too few */
};

struct item {
	TAILQ_ENTRY(item) link; /* oldest first: for files the order of the plan */
	struct item *hash_next; /* or the next of the buried */
	struct node *node;	/* pinned */
	enum item_state state;
	bool file;    /* or a listing */
	bool dropped; /* nobody wants it any more; RUNNING only */
	bool claimed; /* a user came for it */
	unsigned tries;
	int64_t since;	 /* monotonic ns; when the state was entered */
	unsigned *ahead; /* its walk's count, while it is in it */
	/* files only */
	struct file_walk *walk; /* who foresaw it; NULL: that walk is broken */
	int64_t size, mtime, slack;
	int64_t given; /* bytes handed out */
	char *bytes;
};

TAILQ_HEAD(item_list, item);

struct prefetch {
	/* constant after prefetch_create() */
	struct tree *tree;
	struct dircache *dircache;
	struct remote *remote;
	int64_t bytes_max;
	int cancel_fd;
	pthread_t *threads;
	unsigned nthreads;

	atomic_bool stop;
	struct mutex lock;
	struct cond wake; /* there may be work */
	struct cond done; /* an item left RUNNING */
	struct item *buckets[BUCKETS] GUARDED_BY(lock);
	struct item_list lists GUARDED_BY(lock);
	struct item_list files GUARDED_BY(lock);
	struct item *buried GUARDED_BY(lock);
	size_t unclaimed GUARDED_BY(lock); /* listings RUNNING or HELD */
	size_t nfiles GUARDED_BY(lock);
	int64_t bytes
		GUARDED_BY(lock); /* sum of size of files QUEUED, RUNNING, HELD; <= bytes_max */
	struct record list_record GUARDED_BY(lock);
	struct record file_record GUARDED_BY(lock);
	unsigned need GUARDED_BY(lock); /* opens in order that make a walk, at present */
	int64_t swept GUARDED_BY(lock); /* when what is too old was last removed */
	struct list_walk list_walks[LIST_WALKS] GUARDED_BY(lock);
	struct file_walk file_walks[FILE_WALKS] GUARDED_BY(lock);
};

/* prefetch.c */
void record_add(struct record *r, bool hit);
bool record_poor(const struct record *r); /* fewer than half were asked for */
struct opctx prefetch_ctx(struct prefetch *p);
/* The directory `top` is above n. */
bool node_below(const struct node *n, const struct node *top);
/* Change *at to n (or NULL), moving the pin. */
void repin_locked(struct prefetch *p, struct node **at, struct node *n) REQUIRES(p->tree->lock);
struct item *item_find_locked(struct prefetch *p, const struct node *n) REQUIRES(p->lock);
/* Pins n; the caller fills in the rest.  NULL when out of memory. */
struct item *item_add_locked(struct prefetch *p, struct node *n, bool file, enum item_state state)
	REQUIRES(p->tree->lock, p->lock);
void item_enter_locked(struct prefetch *p, struct item *it, enum item_state state)
	REQUIRES(p->lock);
/* Nobody wants it any more; counts waste. */
void item_discard_locked(struct prefetch *p, struct item *it) REQUIRES(p->lock);
/* It is not before its walk any more. */
void item_uncount(struct item *it);
void uncount_all(struct item_list *items, const unsigned *ahead);
/* Free what was buried. */
void prefetch_reap(struct prefetch *p) EXCLUDES(p->tree->lock, p->lock);

/* ahead_list.c */
struct item *list_pick_locked(struct prefetch *p, int64_t now) REQUIRES(p->tree->lock, p->lock);
int64_t list_wake_at_locked(struct prefetch *p) REQUIRES(p->lock);
int list_run(struct prefetch *p, struct item *it);
void list_sweep_locked(struct prefetch *p, int64_t now) REQUIRES(p->tree->lock, p->lock);
/* The user works in dir: its walk is not idle. */
void list_keep_locked(struct prefetch *p, const struct node *dir, int64_t now) REQUIRES(p->lock);

/* ahead_file.c */
int file_run(struct prefetch *p, struct item *it);
void file_sweep_locked(struct prefetch *p, int64_t now) REQUIRES(p->tree->lock, p->lock);
unsigned file_need_locked(struct prefetch *p) REQUIRES(p->lock);

/* ahead_plan.c */
/* The orders in which n comes after `after` (NULL: the start of the directory) with no small file
 * between them; both are children of one directory. */
unsigned plan_orders_locked(struct prefetch *p, const struct node *after, const struct node *n)
	REQUIRES(p->tree->lock);
/* Queue what the walk will want next, as far as the budget goes. */
void plan_walk_locked(struct prefetch *p, struct file_walk *w, int64_t now)
	REQUIRES(p->tree->lock, p->lock);

#endif
