/* prefetch - which small files a walk will open next. */
#include <string.h>

#include "prefetch_private.h"

enum { HOPS_MAX = 64 };

/* Small enough to be fetched whole, and there is something to fetch. */
static bool small_file(const struct node *n)
{
	return n->type == ENTRY_FILE && (n->have & HAVE_SIZE) && n->size > 0 &&
	       n->size <= PREFETCH_SMALL && !(n->flags & (NODE_LOCAL | NODE_UNLINKED | NODE_BUSY));
}

/* Nobody has it: no reader, nor the kernel, nor we. */
static bool worth_fetching_locked(struct prefetch *p, const struct node *n)
	REQUIRES(p->tree->lock, p->lock)
{
	bool pages = n->lookups > 0 && n->cached_size == n->size && n->cached_mtime == n->mtime;

	return small_file(n) && !n->file && !pages && !item_find_locked(p, n);
}

static int compare(enum order order, const struct node *a, const struct node *b)
{
	if (order == BY_INO && a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return strcmp(a->name, b->name);
}

static bool between(enum order order, const struct node *after, const struct node *c,
		    const struct node *n)
{
	return (!after || compare(order, after, c) < 0) && compare(order, c, n) < 0;
}

static bool next_by_listing(const struct node *after, const struct node *n)
{
	const struct node *c = after ? after->next : n->parent->dir->first;
	unsigned steps = STEPS_MAX;

	while (c && c != n && steps-- && !small_file(c))
		c = c->next;
	return c == n;
}

unsigned plan_orders_locked(struct prefetch *p, const struct node *after, const struct node *n)
{
	unsigned orders = next_by_listing(after, n) ? BY_LISTING : 0;
	unsigned sorted = 0, steps = STEPS_MAX;
	const struct node *c = n->parent->dir->first;

	(void)p; /* for its lock */
	if (!after || compare(BY_NAME, after, n) < 0)
		sorted |= BY_NAME;
	if (!after || compare(BY_INO, after, n) < 0)
		sorted |= BY_INO;
	for (; c && sorted && steps; c = c->next, steps--) {
		if (c == after || c == n || !small_file(c))
			continue;
		if ((sorted & BY_NAME) && between(BY_NAME, after, c, n))
			sorted &= ~(unsigned)BY_NAME;
		if ((sorted & BY_INO) && between(BY_INO, after, c, n))
			sorted &= ~(unsigned)BY_INO;
	}
	return orders | (steps ? sorted : 0);
}

/* Files in the order in which they will be wanted. */
struct plan {
	enum order order;
	size_t n, max;
	struct node *v[AHEAD_MAX];
};

/* Keep v[from..n) the least ones seen so far, sorted. */
static void keep_least(struct plan *pl, size_t from, struct node *n)
{
	size_t i = pl->n;

	if (pl->n == pl->max && compare(pl->order, n, pl->v[pl->n - 1]) > 0)
		return;
	if (pl->n == pl->max)
		i--;
	else
		pl->n++;
	for (; i > from && compare(pl->order, n, pl->v[i - 1]) < 0; i--)
		pl->v[i] = pl->v[i - 1];
	pl->v[i] = n;
}

/* The files of dir that come after `after` (NULL: all). */
static void plan_dir_locked(struct prefetch *p, struct plan *pl, const struct node *dir,
			    const struct node *after) REQUIRES(p->tree->lock, p->lock)
{
	bool listed = pl->order == BY_LISTING;
	struct node *n = listed && after ? after->next : dir->dir->first;
	unsigned steps = STEPS_MAX;
	size_t from = pl->n;

	for (; n && steps && !(listed && pl->n == pl->max); n = n->next, steps--) {
		if (!worth_fetching_locked(p, n))
			continue;
		if (listed)
			pl->v[pl->n++] = n;
		else if (!after || compare(pl->order, after, n) < 0)
			keep_least(pl, from, n);
	}
}

static struct node *next_dir(enum order order, const struct node *dir, const struct node *after)
{
	bool listed = order == BY_LISTING;
	struct node *n = listed && after ? after->next : dir->dir->first, *best = NULL;
	unsigned steps = STEPS_MAX;

	for (; n && steps && !(listed && best); n = n->next, steps--)
		if (n->dir && (listed || !after || compare(order, after, n) < 0) &&
		    (!best || compare(order, n, best) < 0))
			best = n;
	return best;
}

/* The walk has been seen to go from directory to directory below w->top: follow it, as far as they
 * are listed. */
static void plan_beyond_locked(struct prefetch *p, struct plan *pl, const struct file_walk *w)
	REQUIRES(p->tree->lock, p->lock)
{
	const struct node *dir = w->last->parent, *after = w->last, *next;

	for (int hops = 0; hops < HOPS_MAX && pl->n < pl->max; hops++) {
		next = next_dir(pl->order, dir, after);
		if (next && !tree_names_ttl_locked(p->tree, next))
			return;
		if (next) {
			plan_dir_locked(p, pl, next, NULL);
			dir = next;
			after = NULL;
		} else if (dir == w->top || !dir->parent) {
			return;
		} else {
			after = dir;
			dir = dir->parent;
		}
	}
}

/* What nobody waits for makes room, oldest first. */
static bool make_room_locked(struct prefetch *p, int64_t size, int64_t now) REQUIRES(p->lock)
{
	struct item *it, *next;

	for (it = TAILQ_FIRST(&p->files); it && p->bytes + size > p->bytes_max; it = next) {
		next = TAILQ_NEXT(it, link);
		if (it->state == ITEM_HELD && now - it->since > HELD_STALE &&
		    (!it->ahead || now - it->walk->event > WALK_IDLE))
			item_discard_locked(p, it);
	}
	return p->bytes + size <= p->bytes_max;
}

static bool queue_locked(struct prefetch *p, struct file_walk *w, struct node *n, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	struct item *it;

	if (p->nfiles >= FILE_ITEMS_MAX || !make_room_locked(p, n->size, now))
		return false;
	it = item_add_locked(p, n, true, ITEM_QUEUED);
	if (!it)
		return false;
	it->walk = w;
	it->ahead = &w->ahead;
	w->ahead++;
	it->size = n->size;
	it->mtime = n->mtime;
	it->slack = n->mtime_slack;
	p->bytes += n->size;
	return true;
}

void plan_walk_locked(struct prefetch *p, struct file_walk *w, int64_t now)
{
	struct plan pl = {.order = (enum order)(w->orders & -w->orders)};

	w->plan = false;
	if (!w->last || !w->last->parent || w->ahead >= w->window)
		return;
	pl.max = w->window - w->ahead;
	plan_dir_locked(p, &pl, w->last->parent, w->last);
	if (w->top && node_below(w->last, w->top))
		plan_beyond_locked(p, &pl, w);
	for (size_t i = 0; i < pl.n; i++)
		if (!queue_locked(p, w, pl.v[i], now))
			return;
}
