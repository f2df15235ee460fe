/* fs/tree - the namespace as we believe it: nodes, names, attributes, and how old each belief is.
 *
 * One mutex (tree.lock) guards every field of every node.  Sections are short; allocation is
 * allowed inside, I/O never.  The kernel's nodeid is the address of the node; it stays valid while
 *
 *     lookups > 0  (the kernel knows it)  or  pins > 0  (a thread of ours or an open file uses it)
 *     or it is linked: it has a parent whose listing names it.
 *
 * States of a node (parent / LOCAL / UNLINKED):
 *     linked              parent   -        -       the server has it, as far as we know
 *     linked, local       parent   LOCAL    -       created here, not yet stored on the server
 *     unlinked            NULL     any      UNLINKED   removed or replaced; lives while it is open
 *     the root            NULL     -        -
 *
 * A directory's children are exactly the names that we believe; `complete` says that there are no
 * others.  Answers of the server must not undo what we did while they were on their way.  Every
 * change of ours bumps the directory's epoch: the answer about one name is dropped when it moved. A
 * listing is too dear to drop: from tree_fetch_begin_locked() on the names that we change are noted
 * in `touched`, and for those the listing is not believed.  It is published in slices, so that
 * nobody waits for more than one of them: what we change between two is noted like the rest. */
#ifndef FTPFS_FS_TREE_H
#define FTPFS_FS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/entry.h"
#include "base/lock.h"

struct file;
struct tree;

enum {
	NODE_LOCAL = 1,	   /* not on the server yet */
	NODE_UNLINKED = 2, /* no longer has a name */
	NODE_BUSY = 4, /* the open file owns size and mtime: a listing must not overwrite them */
	NODE_PINNED_TIME = 8, /* mtime was set by us on a server that cannot store it for this node
			       * (directories on most): believed until the listed time changes */
	NODE_AHEAD = 16,      /* its listing came from prefetch and nobody has asked for it yet */
	NODE_SEEN = 32,	      /* equal to the directory's `seen`, but for what the listing that is
			       * being published has not named yet */
	NODE_ASKED =
		64, /* the server could not tell the exact mtime; not asked again until relisted */
};

/* The names that we changed while their directory was being listed: made, written, moved, removed.
 * Open addressing, at most half full. */
enum { NAMES_MAX = 65536 };
struct names {
	char **v;
	size_t n, cap; /* cap: a power of two, or 0 */
	bool lost;     /* there were more than could be kept */
};

/* What only directories have. */
struct dir {
	bool complete;		 /* children are all the names there are, as of fetched_at */
	bool fetching;		 /* a thread is at the server for it; others wait on tree.settled */
	bool timing;		 /* likewise, for its children's exact times */
	int fetch_error;	 /* of the last fetch */
	uint64_t fetches;	 /* fetches that have ended */
	struct names touched;	 /* empty unless fetching */
	uint8_t seen;		 /* 0 or NODE_SEEN */
	int64_t fetched_at;	 /* monotonic ns; 0: never */
	uint64_t epoch;		 /* bumped by each change of ours below it */
	unsigned lookups_missed; /* single lookups since it was last listed: the second one lists */
	struct node *first, *last;  /* children, in the server's order */
	struct node *older, *newer; /* all directories, by fetched_at */
	size_t count;
	int64_t last_listed_by_user; /* monotonic ns; for prefetch */
	bool ours; /* made by us, and every listing since has shown nothing but our own doing */
};

struct node {
	struct node *parent;
	struct node *hash_next;	  /* by place: parent and name; linked nodes only */
	struct node *ino_next;	  /* by ino; every node */
	struct node *prev, *next; /* siblings */
	char *name;		  /* "" for the root; own_name, until a longer one is given */
	char *target;		  /* of a link; NULL: not asked yet */
	struct dir *dir;	  /* directories only */
	struct file *file;	  /* while open: see fs/file.h */
	uint64_t ino;		  /* stable: from parent's ino and the name at first sight */
	uint64_t lookups;
	uint32_t pins;
	uint32_t mode; /* permission bits; meaningful with HAVE_MODE */
	int64_t size;
	int64_t mtime;	      /* ns UTC */
	int64_t mtime_slack;  /* as in struct entry */
	int64_t listed_mtime; /* what the server first said after NODE_PINNED_TIME was set;
			       * INT64_MIN: nothing yet */
	int64_t fresh_until;  /* monotonic ns: attributes may be believed until then */
	int64_t cached_size;  /* size and mtime for which the kernel's pages are good; -1: none */
	int64_t cached_mtime;
	uint8_t type; /* enum entry_type */
	uint8_t have;
	uint8_t flags;
	bool moving; /* being renamed by us: no answer speaks for it meanwhile */
	char own_name[];
};

struct tree {
	struct mutex lock;
	struct cond settled; /* broadcast when a dir's `fetching` ends */
	struct node *root GUARDED_BY(lock);
	/* Linear hashing, one bucket a node: the tables grow by a bucket at a time. */
	struct node **buckets GUARDED_BY(lock);	    /* by place */
	struct node **ino_buckets GUARDED_BY(lock); /* by ino; as many */
	size_t nbuckets GUARDED_BY(lock), bucket_room GUARDED_BY(lock), count GUARDED_BY(lock);
	struct node *oldest GUARDED_BY(lock), *newest GUARDED_BY(lock); /* directories */
	size_t sweep_at GUARDED_BY(lock); /* count at which it is worth looking for what to drop */
	int64_t ttl;			  /* ns; how long an answer of the server is believed */
	size_t max; /* nodes; beyond it complete listings that nobody uses are dropped,
		     * least recently fetched first */
	/* A name's entry changed under the kernel (server-side change): called with tree.lock held,
	 * must only queue. `dir` is the nodeid; valid until the callback returns. */
	void (*on_change)(void *arg, struct node *dir, const char *name);
	void *on_change_arg;
	void (*on_slice)(struct tree *t); /* for tests; may be NULL */
};

int tree_init(struct tree *t, int64_t ttl, size_t max); /* 0 or -ENOMEM; the root is a directory */
void tree_destroy(struct tree *t);			/* nobody uses it any more */

/* Absolute path of n as the server knows it; appends. -ENOENT when it is unlinked. */
int tree_path_locked(struct tree *t, const struct node *n, struct buf *out) REQUIRES(t->lock);
int tree_path(struct tree *t, const struct node *n, struct buf *out) EXCLUDES(t->lock);
/* Path of a name in dir that may have no node. */
int tree_child_path(struct tree *t, const struct node *dir, const char *name, struct buf *out)
	EXCLUDES(t->lock);

struct node *tree_child_locked(struct tree *t, const struct node *dir, const char *name)
	REQUIRES(t->lock);
/* Add a child, or update the one that is there (a node of another type is unlinked and replaced).
 * NULL when out of memory or when dir is unlinked.  May drop listings nobody uses: the caller holds
 * dir and whatever else it needs by a lookup or a pin. */
struct node *tree_put_locked(struct tree *t, struct node *dir, const char *name,
			     const struct entry *e) REQUIRES(t->lock);
/* Take n out of its directory; frees it when nothing refers to it.  Bumps the epoch. */
void tree_unlink_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
/* n becomes `name` in `dir`; what had that name is unlinked.  Bumps both epochs.  -ENOMEM; -ENOENT
 * when either is unlinked. */
int tree_move_locked(struct tree *t, struct node *n, struct node *dir, const char *name)
	REQUIRES(t->lock);
/* Copy what the server said into n, sparing what an open file owns. */
void tree_update_locked(struct tree *t, struct node *n, const struct entry *e) REQUIRES(t->lock);
/* The same of an answer about n alone: a listing that is on its way may be older, and does not take
 * a new size back. */
void tree_learn_locked(struct tree *t, struct node *n, const struct entry *e) REQUIRES(t->lock);
void tree_touch_dir_locked(struct tree *t, struct node *dir)
	REQUIRES(t->lock); /* epoch++, mtime = now */
/* n was, or is about to be, changed by us: no answer that is on its way speaks for it.  Bumps the
 * epoch of its directory. */
void tree_changed_locked(struct tree *t, struct node *n) REQUIRES(t->lock);

/* A listing of dir is about to be asked for (dir->fetching is set), and has ended (it is cleared,
 * and who waits is woken).  Returns the epoch for tree_publish(). */
uint64_t tree_fetch_begin_locked(struct tree *t, struct node *dir) REQUIRES(t->lock);
void tree_fetch_end_locked(struct tree *t, struct node *dir, int error) REQUIRES(t->lock);
/* Publish a whole listing: 0; -EAGAIN when the epoch has moved and the changes were not noted (the
 * rest of the listing is dropped); -ENOENT when dir is unlinked; -ENOMEM.  dir is pinned by the
 * caller, who alone publishes there.  No lock section takes more than PUBLISH_SLICE names of it, or
 * drops more children that it does not name; after each, on_slice is called with the lock free. */
enum { PUBLISH_SLICE = 1024 };
int tree_publish(struct tree *t, struct node *dir, const struct listing *l, uint64_t epoch_seen)
	EXCLUDES(t->lock);
/* Forget what we believe of dir's children and the age of its own attributes (the nodes stay). */
void tree_expire_locked(struct tree *t, struct node *n) REQUIRES(t->lock);

void tree_pin_locked(struct node *n);
void tree_unpin(struct tree *t, struct node *n) EXCLUDES(t->lock);
void tree_unpin_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
void tree_forget(struct tree *t, struct node *n, uint64_t lookups) EXCLUDES(t->lock);

/* ns left of the belief in n's attributes; 0 when stale or owned by an open file. */
int64_t tree_attr_ttl_locked(const struct tree *t, const struct node *n) REQUIRES(t->lock);
/* ns left of the belief in dir's set of names; 0: stale or incomplete. */
int64_t tree_names_ttl_locked(const struct tree *t, const struct node *dir) REQUIRES(t->lock);

/* Asserts the table above for every node (debug builds and tests). */
void tree_check(struct tree *t) EXCLUDES(t->lock);

#endif
