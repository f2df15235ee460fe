/* fs/publish - a listing becomes the tree, and the tree stays within its bounds. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "tree_private.h"

uint64_t tree_fetch_begin_locked(struct tree *t, struct node *dir)
{
	(void)t;
	dir->dir->fetching = true;
	names_forget(&dir->dir->touched);
	/* What is being written now may be stored before the server looks, or after: not its word.
	 */
	for (struct node *n = dir->dir->first; n; n = n->next) {
		if (n->flags & (NODE_LOCAL | NODE_BUSY))
			names_note(dir->dir, n->name);
	}
	return dir->dir->epoch;
}

void tree_fetch_end_locked(struct tree *t, struct node *dir, int error)
{
	dir->dir->fetching = false;
	dir->dir->fetch_error = error;
	dir->dir->fetches++;
	names_forget(&dir->dir->touched);
	cond_broadcast(&t->settled);
}

static bool seen(const struct dir *d, const struct node *n)
{
	return (n->flags & NODE_SEEN) == d->seen;
}

/* The seen ones move behind the others, so that the server's order comes out, and in front remains
 * what the listing has not named. */
static void see(struct dir *d, struct node *n)
{
	tree_unchain(d, n);
	tree_chain_last(d, n);
	node_clear(n, NODE_SEEN);
	node_set(n, d->seen);
}

/* *made is taken when the name is new. */
static int see_entry(struct tree *t, struct node *dir, const struct entry *e, struct node **made)
	REQUIRES(t->lock)
{
	struct node *n = tree_child_locked(t, dir, e->name);
	bool touched = names_have(&dir->dir->touched, e->name);

	if (n && n->type != e->type && !node_ours(n)) {
		tree_vanish_locked(t, n);
		n = NULL;
	}
	if (!n && touched) /* removed by us */
		return 0;
	if (!n) {
		if (!*made)
			return -ENOMEM;
		tree_add_locked(t, dir, *made, e);
		*made = NULL;
		dir->dir->ours = false;
		return 0;
	}
	if (!touched && n->type == e->type)
		tree_update_locked(t, n, e);
	if (!seen(dir->dir, n))
		see(dir->dir, n);
	return 0;
}

/* May this listing, asked for at epoch_seen, still be believed? */
static int believable(const struct node *dir, uint64_t epoch_seen)
{
	const struct dir *d = dir->dir;

	if (dir->flags & NODE_UNLINKED)
		return -ENOENT;
	return d->epoch != epoch_seen && (!d->fetching || d->touched.lost) ? -EAGAIN : 0;
}

/* The nodes are made, and those that were not needed freed, while others have the lock. */
static int publish_slice(struct tree *t, struct node *dir, const struct entry *v, size_t n,
			 uint64_t epoch_seen) EXCLUDES(t->lock)
{
	struct node *made[PUBLISH_SLICE];
	int err;

	for (size_t i = 0; i < n; i++)
		made[i] = node_new(v[i].name, v[i].type);
	mutex_lock(&t->lock);
	err = believable(dir, epoch_seen);
	for (size_t i = 0; i < n && !err; i++)
		err = see_entry(t, dir, &v[i], &made[i]);
	mutex_unlock(&t->lock);
	for (size_t i = 0; i < n; i++)
		node_free(made[i]);
	return err;
}

/* Does what the listing did not name, or as much of it as one slice may; all of it stays after an
 * error.  A file being written may be hidden by the server until its upload ends, so that its
 * absence from the listing does not mean that it was removed. */
static bool settle_unseen(struct tree *t, struct node *dir, bool keep) REQUIRES(t->lock)
{
	struct dir *d = dir->dir;
	struct node *n;

	for (int i = 0; i < PUBLISH_SLICE && (n = d->first) && !seen(d, n); i++) {
		if (keep || node_ours(n))
			see(d, n);
		else
			tree_vanish_locked(t, n);
	}
	return !d->first || seen(d, d->first);
}

static int finish(struct tree *t, struct node *dir, int err) REQUIRES(t->lock)
{
	struct dir *d = dir->dir;

	if (dir->flags & NODE_UNLINKED)
		return -ENOENT;
	d->complete = !err;
	if (!err) {
		d->fetched_at = clock_monotonic();
		d->lookups_missed = 0;
		tree_newest_locked(t, dir);
	}
	tree_sweep_locked(t);
	return err;
}

/* Whoever lets go of a mutex and takes it at once has it again before those who wait are awake. */
static void let_others_wake(void)
{
	const struct timespec moment = {.tv_nsec = 50000};

	nanosleep(&moment, NULL);
}

static void between_slices(struct tree *t) EXCLUDES(t->lock)
{
	if (t->on_slice)
		t->on_slice(t);
}

int tree_publish(struct tree *t, struct node *dir, const struct listing *l, uint64_t epoch_seen)
{
	size_t n = 0;
	bool settled;

	mutex_lock(&t->lock);
	int err = believable(dir, epoch_seen);
	if (!err)
		dir->dir->seen ^= NODE_SEEN; /* nothing is, now */
	mutex_unlock(&t->lock);
	if (err)
		return err;
	for (size_t at = 0; at < l->n && !err; at += n) {
		n = l->n - at < PUBLISH_SLICE ? l->n - at : PUBLISH_SLICE;
		err = publish_slice(t, dir, l->v + at, n, epoch_seen);
		between_slices(t);
	}
	do {
		mutex_lock(&t->lock);
		settled = settle_unseen(t, dir, err != 0);
		if (settled)
			err = finish(t, dir, err);
		mutex_unlock(&t->lock);
		if (!settled) {
			let_others_wake();
			between_slices(t);
		}
	} while (!settled);
	return err;
}

static bool droppable(const struct node *dir)
{
	if (!dir->dir->first || dir->pins)
		return false;
	for (const struct node *n = dir->dir->first; n; n = n->next) {
		if (n->lookups || n->pins || (n->flags & (NODE_LOCAL | NODE_BUSY)) ||
		    (n->dir && n->dir->first))
			return false;
	}
	return true;
}

static void drop_children(struct tree *t, struct node *dir) REQUIRES(t->lock)
{
	while (dir->dir->first)
		tree_cut_locked(t, dir->dir->first);
	dir->dir->complete = false;
}

/* Frees an eighth at once, oldest listing first, and when the kernel holds on to so many that it
 * cannot, the next one waits until an eighth more has come.  With a directory's children its parent
 * may have become one that can be dropped. */
void tree_sweep_locked(struct tree *t)
{
	size_t low = t->max - t->max / 8;
	bool progress = true;

	if (t->count <= t->sweep_at)
		return;
	while (progress && t->count > low) {
		progress = false;
		for (struct node *d = t->oldest; d && t->count > low; d = d->dir->newer) {
			if (!droppable(d))
				continue;
			drop_children(t, d);
			progress = true;
		}
	}
	t->sweep_at = t->count > low ? t->count + t->max / 8 + 1 : t->max;
}

static void check_dir(struct tree *t, const struct node *dir) REQUIRES(t->lock)
{
	const struct node *prev = NULL;
	size_t count = 0;

	for (const struct node *n = dir->dir->first; n; prev = n, n = n->next, count++) {
		assert(n->parent == dir && n->prev == prev);
		assert(tree_child_locked(t, dir, n->name) == n);
		assert(!(n->flags & NODE_UNLINKED));
		assert(dir->dir->fetching || seen(dir->dir, n));
	}
	assert(dir->dir->last == prev && dir->dir->count == count);
	assert(dir->dir->fetching || dir->dir->touched.n == 0);
}

void tree_check(struct tree *t)
{
	size_t count = 0;

	mutex_lock(&t->lock);
	for (size_t i = 0; i < t->nbuckets; i++) {
		for (const struct node *n = t->ino_buckets[i]; n; n = n->ino_next, count++) {
			bool linked = n->parent || n == t->root;
			assert(n->ino != 0);
			assert(linked != ((n->flags & NODE_UNLINKED) != 0));
			assert(linked || n->lookups || n->pins);
			assert((n->type == ENTRY_DIR) == (n->dir != NULL));
			if (n->dir)
				check_dir(t, n);
			assert(linked || !n->dir || !n->dir->first);
		}
	}
	assert(count == t->count);
	mutex_unlock(&t->lock);
}
