/* prefetch - listings ahead of a walk.
 *
 * There is no queue.  A free worker searches, from the directory that the user listed last, for the
 * first one in the order of a depth-first walk that is neither listed nor being listed: what is
 * below it, then what comes after it, then the siblings before it (some walkers sort).  So whatever
 * the user does, the nearest directories go first, and what was just listed shows the next ones. */
#include <errno.h>

#include "prefetch_private.h"

/* After a search that found nothing: a walk over what is all known would pay for one at each step.
 */
#define REST (10 * NS_PER_MS)

static bool names_known_locked(struct prefetch *p, const struct node *n) REQUIRES(p->tree->lock)
{
	return n->dir && tree_names_ttl_locked(p->tree, n) > 0;
}

static bool wanted_locked(struct prefetch *p, const struct node *n) REQUIRES(p->tree->lock, p->lock)
{
	return n->dir && !(n->flags & (NODE_LOCAL | NODE_UNLINKED)) && !n->dir->fetching &&
	       tree_names_ttl_locked(p->tree, n) == 0 && !item_find_locked(p, n);
}

/* The next node of a depth-first walk that ends at top; children only of what is listed. */
static struct node *preorder_next_locked(struct prefetch *p, struct node *n, const struct node *top)
	REQUIRES(p->tree->lock)
{
	if (names_known_locked(p, n) && n->dir->first)
		return n->dir->first;
	while (n && n != top) {
		if (n->next)
			return n->next;
		n = n->parent;
	}
	return NULL;
}

static struct node *search_locked(struct prefetch *p, const struct list_walk *w)
	REQUIRES(p->tree->lock, p->lock)
{
	unsigned steps = STEPS_MAX;
	struct node *n;

	for (n = w->at; n && steps; n = preorder_next_locked(p, n, w->top), steps--)
		if (n != w->at && wanted_locked(p, n))
			return n;
	for (struct node *at = w->at; at && at != w->top && at->parent; at = at->parent)
		for (n = at->parent->dir->first; n != at && steps; n = n->next, steps--)
			if (wanted_locked(p, n))
				return n;
	return NULL;
}

static bool active(const struct list_walk *w, int64_t now)
{
	return w->top && now - w->event <= WALK_IDLE;
}

static size_t budget(const struct list_walk *w)
{
	return w->hits < LISTS_MAX - LISTS_BASE ? LISTS_BASE + w->hits : LISTS_MAX;
}

/* Remove the listings that a user came for (a lookup claims one without listing it), and those that
 * nobody may use any more. */
static void settle_lists_locked(struct prefetch *p, int64_t now) REQUIRES(p->tree->lock, p->lock)
{
	struct item *it, *next;

	for (it = TAILQ_FIRST(&p->lists); it; it = next) {
		next = TAILQ_NEXT(it, link);
		if (it->state == ITEM_FAILED && now - it->since > p->tree->ttl)
			item_discard_locked(p, it);
		if (it->state != ITEM_HELD)
			continue;
		it->claimed = !(it->node->flags & NODE_AHEAD);
		if (it->claimed || !names_known_locked(p, it->node))
			item_discard_locked(p, it);
	}
}

static bool may_list_locked(struct prefetch *p, const struct list_walk *w, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	if (w->ahead >= budget(w) || p->unclaimed >= LISTS_MAX)
		settle_lists_locked(p, now);
	return w->ahead < budget(w) && p->unclaimed < LISTS_MAX && !record_poor(&p->list_record);
}

/* The walk with the newest step among those worth a search. */
static struct list_walk *newest_walk_locked(struct prefetch *p, int64_t now) REQUIRES(p->lock)
{
	struct list_walk *best = NULL;

	for (size_t i = 0; i < LIST_WALKS; i++) {
		struct list_walk *w = &p->list_walks[i];

		if (w->moved && now >= w->rest && active(w, now) &&
		    (!best || w->event > best->event))
			best = w;
	}
	return best;
}

struct item *list_pick_locked(struct prefetch *p, int64_t now)
{
	struct list_walk *w;

	while ((w = newest_walk_locked(p, now)) != NULL) {
		struct node *n = may_list_locked(p, w, now) ? search_locked(p, w) : NULL;
		struct item *it = n ? item_add_locked(p, n, false, ITEM_RUNNING) : NULL;

		if (it) {
			it->ahead = &w->ahead;
			w->ahead++;
			return it;
		}
		w->moved = false;
		w->rest = now + REST;
	}
	return NULL;
}

int64_t list_wake_at_locked(struct prefetch *p)
{
	int64_t at = OPCTX_FOREVER;

	for (size_t i = 0; i < LIST_WALKS; i++)
		if (p->list_walks[i].moved && p->list_walks[i].rest < at)
			at = p->list_walks[i].rest;
	return at;
}

/* New names are there, and one job less is under way. */
static void all_moved_locked(struct prefetch *p) REQUIRES(p->lock)
{
	for (size_t i = 0; i < LIST_WALKS; i++) {
		p->list_walks[i].moved = p->list_walks[i].top != NULL;
		p->list_walks[i].rest = 0;
	}
	for (size_t i = 0; i < FILE_WALKS; i++)
		if (p->file_walks[i].last && p->file_walks[i].streak >= file_need_locked(p))
			p->file_walks[i].plan = true;
	cond_broadcast(&p->wake);
}

int list_run(struct prefetch *p, struct item *it)
{
	struct opctx ctx = prefetch_ctx(p);
	int rc = dircache_list(p->dircache, it->node, LIST_AHEAD, &ctx);
	bool ours;

	mutex_lock(&p->tree->lock);
	mutex_lock(&p->lock);
	ours = (it->node->flags & NODE_AHEAD) != 0;
	if (rc == 0 && (ours || it->dropped))
		stats_add(STAT_PREFETCH_LISTS, 1);
	if (rc == 0 && it->claimed)
		record_add(&p->list_record, true);
	if (rc == 0 && ours && !it->dropped) {
		item_enter_locked(p, it, ITEM_HELD);
	} else {
		item_enter_locked(p, it, ITEM_FAILED);
		if (rc == 0 || rc == -EAGAIN || it->dropped)
			item_discard_locked(p, it);
	}
	all_moved_locked(p);
	mutex_unlock(&p->lock);
	mutex_unlock(&p->tree->lock);
	return rc;
}

/* The user listed dir: was that foreseen? */
static bool claim_locked(struct prefetch *p, const struct node *dir) REQUIRES(p->lock)
{
	struct item *it = item_find_locked(p, dir);

	if (!it || it->claimed || it->state == ITEM_FAILED)
		return false;
	it->claimed = true;
	item_discard_locked(p, it);
	return true;
}

static struct list_walk *known_walk_locked(struct prefetch *p, const struct node *dir, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	for (size_t i = 0; i < LIST_WALKS; i++) {
		struct list_walk *w = &p->list_walks[i];

		if (active(w, now) && node_below(dir, w->top))
			return w;
	}
	return NULL;
}

static struct list_walk *new_walk_locked(struct prefetch *p, struct node *top)
	REQUIRES(p->tree->lock, p->lock)
{
	struct list_walk *w = &p->list_walks[0];

	for (size_t i = 0; i < LIST_WALKS; i++)
		if (p->list_walks[i].event < w->event)
			w = &p->list_walks[i];
	uncount_all(&p->lists, &w->ahead);
	repin_locked(p, &w->top, top);
	w->hits = w->steps = 0;
	w->rest = 0;
	w->moved = false;
	return w;
}

static bool listed_lately(const struct node *dir, int64_t now)
{
	int64_t at = dir ? dir->dir->last_listed_by_user : 0;

	return at != 0 && now - at <= WALK_IDLE;
}

static void step_locked(struct prefetch *p, struct list_walk *w, struct node *dir, bool foreseen,
			int64_t now) REQUIRES(p->tree->lock, p->lock)
{
	bool idle = !w->moved;

	repin_locked(p, &w->at, dir);
	w->event = now;
	w->steps++;
	w->hits += foreseen ? 1 : 0;
	w->moved = true;
	/* A pause ends when a walk has gone on without us for a while. */
	if (record_poor(&p->list_record) && w->steps % EARN_BACK == 0)
		p->list_record.n = 0;
	if (idle)
		cond_broadcast(&p->wake);
}

void prefetch_listed(struct prefetch *p, struct node *dir)
{
	int64_t now = clock_monotonic();
	struct list_walk *w;
	bool foreseen;

	if (!p)
		return;
	mutex_lock(&p->tree->lock);
	mutex_lock(&p->lock);
	foreseen = claim_locked(p, dir);
	w = known_walk_locked(p, dir, now);
	if (!w && listed_lately(dir->parent, now))
		w = new_walk_locked(p, dir->parent);
	if (w)
		step_locked(p, w, dir, foreseen, now);
	mutex_unlock(&p->lock);
	mutex_unlock(&p->tree->lock);
	prefetch_reap(p);
}

void list_keep_locked(struct prefetch *p, const struct node *dir, int64_t now)
{
	for (size_t i = 0; i < LIST_WALKS; i++)
		if (p->list_walks[i].top && p->list_walks[i].at == dir)
			p->list_walks[i].event = now;
}

void list_sweep_locked(struct prefetch *p, int64_t now)
{
	settle_lists_locked(p, now);
	for (size_t i = 0; i < LIST_WALKS; i++) {
		struct list_walk *w = &p->list_walks[i];

		if (active(w, now))
			continue;
		repin_locked(p, &w->top, NULL);
		repin_locked(p, &w->at, NULL);
		w->moved = false;
	}
}
