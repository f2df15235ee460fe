/* fs/attrs - what is believed of a node, and for how long. */
#include <stdlib.h>

#include "base/clock.h"
#include "tree_private.h"

static void update_mtime(struct node *n, const struct entry *e, bool same_size)
{
	if (!(e->have & HAVE_MTIME)) {
		if (!same_size)
			n->have = (uint8_t)(n->have & ~HAVE_EXACT_MTIME);
		return;
	}
	if (n->flags & NODE_PINNED_TIME) {
		if (n->listed_mtime == INT64_MIN)
			n->listed_mtime = e->mtime;
		if (n->listed_mtime == e->mtime)
			return;
		node_clear(n, NODE_PINNED_TIME);
	}
	/* A listing to the minute does not contradict the second that we know. */
	if (!(e->have & HAVE_EXACT_MTIME) && (n->have & HAVE_EXACT_MTIME) && same_size &&
	    n->mtime >= e->mtime && n->mtime - e->mtime < e->mtime_slack)
		return;
	n->mtime = e->mtime;
	n->mtime_slack = e->have & HAVE_EXACT_MTIME ? 0 : e->mtime_slack;
	n->have = (uint8_t)((n->have & ~HAVE_EXACT_MTIME) |
			    (e->have & (HAVE_MTIME | HAVE_EXACT_MTIME)));
}

void tree_update_locked(struct tree *t, struct node *n, const struct entry *e)
{
	int64_t old_mtime = n->mtime, old_size = n->size;
	bool same_size = n->type != ENTRY_FILE || !(e->have & HAVE_SIZE) || e->size == n->size;

	if (n->flags & NODE_LOCAL)
		return;
	n->fresh_until = clock_monotonic() + t->ttl;
	if (e->have & HAVE_MODE) {
		n->mode = e->mode;
		n->have |= HAVE_MODE;
	}
	if (n->flags & NODE_BUSY)
		return;
	node_clear(n, NODE_ASKED);
	update_mtime(n, e, same_size);
	if (e->have & HAVE_SIZE) {
		n->size = e->size;
		n->have |= HAVE_SIZE;
	}
	if (n->target && (n->mtime != old_mtime || n->size != old_size)) {
		free(n->target);
		n->target = NULL;
	}
}

void tree_learn_locked(struct tree *t, struct node *n, const struct entry *e)
{
	/* The few that grew, not all: there is a limit to the names that can be noted. */
	if (n->parent && (e->have & HAVE_SIZE) && e->size != n->size)
		names_note(n->parent->dir, n->name);
	tree_update_locked(t, n, e);
}

void tree_touch_dir_locked(struct tree *t, struct node *dir)
{
	(void)t;
	dir->dir->epoch++;
	dir->mtime = clock_realtime();
	dir->mtime_slack = 0;
	dir->have |= HAVE_MTIME | HAVE_EXACT_MTIME;
	node_clear(dir, NODE_PINNED_TIME);
	if (dir->parent)
		names_note(dir->parent->dir, dir->name);
}

void tree_changed_locked(struct tree *t, struct node *n)
{
	(void)t;
	if (!n->parent)
		return;
	n->parent->dir->epoch++;
	names_note(n->parent->dir, n->name);
}

void tree_expire_locked(struct tree *t, struct node *n)
{
	(void)t;
	n->fresh_until = 0;
	if (!n->dir)
		return;
	n->dir->complete = false;
	n->dir->epoch++;
	for (struct node *i = n->dir->first; i; i = i->next)
		i->fresh_until = 0;
}

int64_t tree_attr_ttl_locked(const struct tree *t, const struct node *n)
{
	(void)t;
	int64_t left = n->fresh_until - clock_monotonic();

	return left < 0 || (n->flags & (NODE_LOCAL | NODE_BUSY)) ? 0 : left;
}

int64_t tree_names_ttl_locked(const struct tree *t, const struct node *dir)
{
	int64_t left = dir->dir->fetched_at + t->ttl - clock_monotonic();

	return left < 0 || !dir->dir->complete ? 0 : left;
}
