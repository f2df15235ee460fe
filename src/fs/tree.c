/* fs/tree - the namespace as we believe it: places, lifetimes, attributes. */
#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "tree_private.h"

enum { ROOT_INO = 1, FIRST_BUCKETS = 1024 };

/* Of a place, and the first choice for the ino of what is seen there: the same name in the same
 * directory has the same ino in the next mount, too. */
uint64_t tree_place_hash(uint64_t parent_ino, const char *name)
{
	uint64_t h = parent_ino ^ UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

static size_t bucket_of(const struct tree *t, uint64_t hash) REQUIRES(t->lock)
{
	size_t mask = SIZE_MAX >> __builtin_clzl(t->nbuckets - 1), i = hash & mask;

	return i < t->nbuckets ? i : hash & (mask >> 1);
}

static struct node **place_bucket(struct tree *t, const struct node *n) REQUIRES(t->lock)
{
	return &t->buckets[bucket_of(t, tree_place_hash(n->parent->ino, n->name))];
}

static struct node **ino_bucket(struct tree *t, uint64_t ino) REQUIRES(t->lock)
{
	return &t->ino_buckets[bucket_of(t, ino)];
}

/* A node that was renamed keeps its ino, so the place it left may be taken by another one whose
 * first choice is that same number. */
static uint64_t free_ino(struct tree *t, uint64_t ino) REQUIRES(t->lock)
{
	const struct node *n;

	for (;; ino++) {
		if (ino <= ROOT_INO)
			continue;
		for (n = *ino_bucket(t, ino); n && n->ino != ino; n = n->ino_next)
			;
		if (!n)
			return ino;
	}
}

static void place_insert(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct node **b = place_bucket(t, n);

	n->hash_next = *b;
	*b = n;
}

static void place_remove(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct node **b = place_bucket(t, n);

	while (*b != n)
		b = &(*b)->hash_next;
	*b = n->hash_next;
	n->hash_next = NULL;
}

static void ino_insert(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct node **b = ino_bucket(t, n->ino);

	n->ino_next = *b;
	*b = n;
}

static bool bucket_room(struct tree *t) REQUIRES(t->lock)
{
	size_t room = 2 * t->bucket_room;
	struct node **v;

	if (t->nbuckets < t->bucket_room)
		return true;
	if (!(v = reallocarray(t->buckets, room, sizeof(*v))))
		return false;
	t->buckets = v;
	if (!(v = reallocarray(t->ino_buckets, room, sizeof(*v))))
		return false;
	t->ino_buckets = v;
	t->bucket_room = room;
	return true;
}

/* One bucket more, with what belongs there from the one that held it.  Out of memory is no failure
 * here: the chains get longer, that is all. */
static void add_bucket(struct tree *t) REQUIRES(t->lock)
{
	struct node *by_place, *by_ino, *n;
	size_t from;

	if (!bucket_room(t))
		return;
	from = bucket_of(t, t->nbuckets);
	by_place = t->buckets[from];
	by_ino = t->ino_buckets[from];
	t->buckets[from] = t->buckets[t->nbuckets] = NULL;
	t->ino_buckets[from] = t->ino_buckets[t->nbuckets] = NULL;
	t->nbuckets++;
	while ((n = by_place)) {
		by_place = n->hash_next;
		place_insert(t, n);
	}
	while ((n = by_ino)) {
		by_ino = n->ino_next;
		ino_insert(t, n);
	}
}

void node_free(struct node *n)
{
	if (!n)
		return;
	if (n->dir)
		names_forget(&n->dir->touched);
	free(n->dir);
	if (n->name != n->own_name)
		free(n->name);
	free(n->target);
	free(n);
}

struct node *node_new(const char *name, enum entry_type type)
{
	size_t size = strlen(name) + 1;
	struct node *n = malloc(offsetof(struct node, own_name) + size);

	if (!n)
		return NULL;
	memset(n, 0, offsetof(struct node, own_name));
	n->type = (uint8_t)type;
	n->cached_size = -1;
	n->name = memcpy(n->own_name, name, size);
	if (type == ENTRY_DIR)
		n->dir = calloc(1, sizeof(*n->dir));
	if (n->dir || type != ENTRY_DIR)
		return n;
	node_free(n);
	return NULL;
}

static void age_insert(struct tree *t, struct node *n, struct node *older) REQUIRES(t->lock)
{
	struct node *newer = older ? older->dir->newer : t->oldest;

	n->dir->older = older;
	n->dir->newer = newer;
	*(older ? &older->dir->newer : &t->oldest) = n;
	*(newer ? &newer->dir->older : &t->newest) = n;
}

static void age_remove(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct dir *d = n->dir;

	*(d->older ? &d->older->dir->newer : &t->oldest) = d->newer;
	*(d->newer ? &d->newer->dir->older : &t->newest) = d->older;
}

void tree_newest_locked(struct tree *t, struct node *dir)
{
	age_remove(t, dir);
	age_insert(t, dir, t->newest);
}

static void node_dispose(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct node **b = ino_bucket(t, n->ino);

	if (n->lookups || n->pins || !(n->flags & NODE_UNLINKED))
		return;
	while (*b != n)
		b = &(*b)->ino_next;
	*b = n->ino_next;
	if (n->dir)
		age_remove(t, n);
	t->count--;
	node_free(n);
}

int tree_init(struct tree *t, int64_t ttl, size_t max)
{
	*t = (struct tree){.ttl = ttl, .max = max};
	mutex_init(&t->lock);
	cond_init(&t->settled);
	mutex_lock(&t->lock);
	t->nbuckets = t->bucket_room = FIRST_BUCKETS;
	t->sweep_at = max;
	t->buckets = calloc(t->nbuckets, sizeof(*t->buckets));
	t->ino_buckets = calloc(t->nbuckets, sizeof(*t->ino_buckets));
	t->root = node_new("", ENTRY_DIR);
	bool made = t->buckets && t->ino_buckets && t->root;
	if (made) {
		t->root->ino = ROOT_INO;
		/* No server tells it: 1970 would look like a fault of the clock. */
		t->root->mtime = clock_realtime();
		ino_insert(t, t->root);
		age_insert(t, t->root, NULL);
		t->count = 1;
	}
	mutex_unlock(&t->lock);
	if (!made)
		tree_destroy(t);
	return made ? 0 : -ENOMEM;
}

void tree_destroy(struct tree *t)
{
	struct node *n;

	mutex_lock(&t->lock);
	if (!t->count)
		node_free(t->root);
	for (size_t i = 0; t->count && i < t->nbuckets; i++) {
		while ((n = t->ino_buckets[i])) {
			t->ino_buckets[i] = n->ino_next;
			node_free(n);
		}
	}
	free(t->buckets);
	free(t->ino_buckets);
	t->buckets = t->ino_buckets = NULL;
	t->root = NULL;
	t->count = 0;
	mutex_unlock(&t->lock);
	cond_destroy(&t->settled);
	mutex_destroy(&t->lock);
}

int tree_path_locked(struct tree *t, const struct node *n, struct buf *out)
{
	size_t len = 0, part;
	char *to;

	if (n->flags & NODE_UNLINKED)
		return -ENOENT;
	if (n == t->root)
		return buf_adds(out, "/");
	for (const struct node *i = n; i != t->root; i = i->parent)
		len += strlen(i->name) + 1;
	if (len > PATH_LIMIT)
		return -ENAMETOOLONG;
	to = buf_room(out, len);
	if (!to)
		return buf_error(out);
	buf_added(out, len);
	for (const struct node *i = n; i != t->root; i = i->parent) {
		part = strlen(i->name);
		len -= part + 1;
		to[len] = '/';
		memcpy(to + len + 1, i->name, part);
	}
	return 0;
}

int tree_path(struct tree *t, const struct node *n, struct buf *out)
{
	mutex_lock(&t->lock);
	int err = tree_path_locked(t, n, out);
	mutex_unlock(&t->lock);
	return err;
}

int tree_child_path(struct tree *t, const struct node *dir, const char *name, struct buf *out)
{
	size_t start = out->len;

	mutex_lock(&t->lock);
	bool root = dir == t->root;
	int err = tree_path_locked(t, dir, out);
	mutex_unlock(&t->lock);
	if (!err && !root)
		err = buf_adds(out, "/");
	if (!err)
		err = buf_adds(out, name);
	if (!err && out->len - start > PATH_LIMIT)
		err = -ENAMETOOLONG;
	return err;
}

struct node *tree_child_locked(struct tree *t, const struct node *dir, const char *name)
{
	uint64_t h = tree_place_hash(dir->ino, name);

	for (struct node *n = t->buckets[bucket_of(t, h)]; n; n = n->hash_next) {
		if (n->parent == dir && strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

void tree_chain_last(struct dir *d, struct node *n)
{
	n->next = NULL;
	n->prev = d->last;
	*(d->last ? &d->last->next : &d->first) = n;
	d->last = n;
}

void tree_unchain(struct dir *d, struct node *n)
{
	*(n->prev ? &n->prev->next : &d->first) = n->next;
	*(n->next ? &n->next->prev : &d->last) = n->prev;
	n->prev = n->next = NULL;
}

static void link_node(struct tree *t, struct node *dir, struct node *n) REQUIRES(t->lock)
{
	n->parent = dir;
	place_insert(t, n);
	tree_chain_last(dir->dir, n);
	dir->dir->count++;
	node_clear(n, NODE_SEEN);
	node_set(n, dir->dir->seen);
}

static void unlink_node(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	place_remove(t, n);
	tree_unchain(n->parent->dir, n);
	n->parent->dir->count--;
	n->parent = NULL;
}

void tree_add_locked(struct tree *t, struct node *dir, struct node *n, const struct entry *e)
{
	if (t->count >= t->nbuckets)
		add_bucket(t);
	n->ino = free_ino(t, tree_place_hash(dir->ino, n->name));
	ino_insert(t, n);
	if (n->dir)
		age_insert(t, n, NULL);
	t->count++;
	link_node(t, dir, n);
	tree_update_locked(t, n, e);
}

void tree_cut_locked(struct tree *t, struct node *top)
{
	struct node *n = top, *up;

	for (;;) {
		while (n->dir && n->dir->first)
			n = n->dir->first;
		up = n == top ? NULL : n->parent;
		unlink_node(t, n);
		node_set(n, NODE_UNLINKED);
		node_dispose(t, n);
		if (!up)
			return;
		n = up;
	}
}

void tree_vanish_locked(struct tree *t, struct node *n)
{
	if (n->lookups && t->on_change)
		t->on_change(t->on_change_arg, n->parent, n->name);
	tree_cut_locked(t, n);
}

struct node *tree_put_locked(struct tree *t, struct node *dir, const char *name,
			     const struct entry *e)
{
	struct node *n = tree_child_locked(t, dir, name);

	if (dir->flags & NODE_UNLINKED)
		return NULL;
	if (n && n->type != e->type) {
		tree_vanish_locked(t, n);
		n = NULL;
	}
	if (n) {
		tree_update_locked(t, n, e);
	} else {
		tree_sweep_locked(t);
		n = node_new(name, e->type);
		if (!n)
			return NULL;
		tree_add_locked(t, dir, n, e);
	}
	names_note(dir->dir, name);
	return n;
}

void tree_unlink_locked(struct tree *t, struct node *n)
{
	tree_changed_locked(t, n);
	tree_cut_locked(t, n);
}

int tree_move_locked(struct tree *t, struct node *n, struct node *dir, const char *name)
{
	struct node *old = tree_child_locked(t, dir, name);
	char *copy;

	if ((dir->flags | n->flags) & NODE_UNLINKED)
		return -ENOENT;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	if (old && old != n)
		tree_unlink_locked(t, old);
	tree_changed_locked(t, n);
	unlink_node(t, n);
	if (n->name != n->own_name)
		free(n->name);
	n->name = copy;
	link_node(t, dir, n);
	tree_changed_locked(t, n);
	return 0;
}

void tree_pin_locked(struct node *n)
{
	n->pins++;
}

void tree_unpin_locked(struct tree *t, struct node *n)
{
	n->pins--;
	node_dispose(t, n);
}

void tree_unpin(struct tree *t, struct node *n)
{
	mutex_lock(&t->lock);
	tree_unpin_locked(t, n);
	mutex_unlock(&t->lock);
}

void tree_forget(struct tree *t, struct node *n, uint64_t lookups)
{
	mutex_lock(&t->lock);
	n->lookups -= lookups < n->lookups ? lookups : n->lookups;
	node_dispose(t, n);
	mutex_unlock(&t->lock);
}
