/* fs/publish - a listing becomes the tree, and the tree stays within its bounds. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tree_private.h"

static void forget_gone(struct names *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->v[i]);
	free(g->v);
	*g = (struct names){0};
}

uint64_t tree_fetch_begin_locked(struct tree *t, struct node *dir)
{
	(void)t;
	dir->dir->fetching = true;
	forget_gone(&dir->dir->gone);
	/* What is being written now may be stored before the server looks, or after: not its word.
	 */
	for (struct node *n = dir->dir->first; n; n = n->next) {
		node_clear(n, NODE_CHANGED);
		if (n->flags & (NODE_LOCAL | NODE_BUSY))
			node_set(n, NODE_CHANGED);
	}
	return dir->dir->epoch;
}

void tree_fetch_end_locked(struct tree *t, struct node *dir, int error)
{
	dir->dir->fetching = false;
	dir->dir->fetch_error = error;
	dir->dir->fetches++;
	forget_gone(&dir->dir->gone);
	cond_broadcast(&t->settled);
}

/* The seen ones move behind the others, so that the server's order comes out, and in front remains
 * what the listing did not name. */
static int see_entry(struct tree *t, struct node *dir, const struct entry *e) REQUIRES(t->lock)
{
	struct node *n = tree_child_locked(t, dir, e->name);

	if (n && n->type != e->type && !node_ours(n)) {
		tree_vanish_locked(t, n);
		n = NULL;
	}
	if (!n) {
		n = tree_add_locked(t, dir, e->name, e);
		if (!n)
			return -ENOMEM;
		dir->dir->ours = false;
	} else {
		if (!(n->flags & NODE_CHANGED) && n->type == e->type)
			tree_update_locked(t, n, e);
		if (n->flags & NODE_SEEN)
			return 0;
		tree_unchain(dir->dir, n);
		tree_chain_last(dir->dir, n);
	}
	node_set(n, NODE_SEEN);
	return 0;
}

/* A file being written may be hidden by the server until its upload ends, so that its absence from
 * the listing does not mean that it was removed. */
static void drop_unseen(struct tree *t, struct node *dir) REQUIRES(t->lock)
{
	struct node *n, *next, *last = dir->dir->last;
	bool end = false;

	for (n = dir->dir->first; n && !end && !(n->flags & NODE_SEEN); n = next) {
		next = n->next;
		end = n == last;
		if (node_ours(n)) {
			tree_unchain(dir->dir, n);
			tree_chain_last(dir->dir, n);
		} else {
			tree_vanish_locked(t, n);
		}
	}
}

static void drop_gone(struct tree *t, struct node *dir) REQUIRES(t->lock)
{
	const struct names *g = &dir->dir->gone;

	for (size_t i = 0; i < g->n; i++) {
		struct node *n = tree_child_locked(t, dir, g->v[i]);
		if (n && !node_ours(n))
			tree_vanish_locked(t, n);
	}
}

static int publish_locked(struct tree *t, struct node *dir, const struct listing *l,
			  uint64_t epoch_seen) REQUIRES(t->lock)
{
	struct dir *d = dir->dir;
	int err = 0;

	if (dir->flags & NODE_UNLINKED)
		return -ENOENT;
	if (d->epoch != epoch_seen && (!d->fetching || d->gone.lost))
		return -EAGAIN;
	for (size_t i = 0; i < l->n && !err; i++)
		err = see_entry(t, dir, &l->v[i]);
	if (!err) {
		drop_unseen(t, dir);
		d->complete = true;
		d->fetched_at = clock_monotonic();
		d->lookups_missed = 0;
	} else {
		d->complete = false;
	}
	drop_gone(t, dir);
	for (struct node *n = d->first; n; n = n->next)
		node_clear(n, NODE_SEEN | NODE_CHANGED);
	return err;
}

int tree_publish(struct tree *t, struct node *dir, const struct listing *l, uint64_t epoch_seen)
{
	mutex_lock(&t->lock);
	int err = publish_locked(t, dir, l, epoch_seen);
	tree_sweep_locked(t);
	mutex_unlock(&t->lock);
	return err;
}

static int by_age(const void *a, const void *b)
{
	int64_t x = (*(struct node *const *)a)->dir->fetched_at;
	int64_t y = (*(struct node *const *)b)->dir->fetched_at;

	return (x > y) - (x < y);
}

static bool droppable(const struct node *dir)
{
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

/* Directories that have children and that no thread and no open handle uses, oldest listing first.
 */
static size_t sweep_candidates(struct tree *t, struct node ***out) REQUIRES(t->lock)
{
	size_t n = 0, max = 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1 && !(*out = calloc(max, sizeof(**out))))
			return 0;
		for (size_t i = 0; i < t->nbuckets; i++) {
			for (struct node *d = t->ino_buckets[i]; d; d = d->ino_next) {
				if (!d->dir || !d->dir->first || d->pins)
					continue;
				if (pass == 0)
					max++;
				else
					(*out)[n++] = d;
			}
		}
		if (!max)
			return 0;
	}
	qsort(*out, n, sizeof(**out), by_age);
	return n;
}

/* Each sweep looks at every node, so it frees an eighth at once; and when the kernel holds on to so
 * many that it cannot, the next one waits until an eighth more has come. */
void tree_sweep_locked(struct tree *t)
{
	struct node **v = NULL;
	size_t n, low = t->max - t->max / 8;
	bool progress = true;

	if (t->count <= t->sweep_at)
		return;
	n = sweep_candidates(t, &v);
	while (progress && t->count > low) {
		progress = false;
		for (size_t i = 0; i < n && t->count > low; i++) {
			if (!v[i] || !droppable(v[i]))
				continue;
			drop_children(t, v[i]);
			v[i] = NULL; /* its parent may be dropped next, and it with it */
			progress = true;
		}
	}
	free(v);
	t->sweep_at = t->count > low ? t->count + t->max / 8 + 1 : t->max;
}

static void check_dir(struct tree *t, const struct node *dir) REQUIRES(t->lock)
{
	const struct node *prev = NULL;
	size_t count = 0;

	for (const struct node *n = dir->dir->first; n; prev = n, n = n->next, count++) {
		assert(n->parent == dir && n->prev == prev);
		assert(tree_child_locked(t, dir, n->name) == n);
		assert(!(n->flags & (NODE_UNLINKED | NODE_SEEN)));
	}
	assert(dir->dir->last == prev && dir->dir->count == count);
	assert(dir->dir->fetching || dir->dir->gone.n == 0);
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
