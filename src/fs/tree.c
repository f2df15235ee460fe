/* fs/tree - the namespace as we believe it: places, lifetimes, attributes. */
#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "tree_private.h"

enum { ROOT_INO = 1, FIRST_BUCKETS = 1024 };

/* Of a place, and the first choice for the ino of what is seen there: the same name in the same
 * directory has the same ino in the next mount, too. */
static uint64_t place_hash(uint64_t parent_ino, const char *name)
{
	uint64_t h = parent_ino ^ UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

static struct node **place_bucket(struct tree *t, const struct node *n) REQUIRES(t->lock)
{
	return &t->buckets[place_hash(n->parent->ino, n->name) & (t->nbuckets - 1)];
}

static struct node **ino_bucket(struct tree *t, uint64_t ino) REQUIRES(t->lock)
{
	return &t->ino_buckets[ino & (t->nbuckets - 1)];
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

/* Out of memory is no failure here: the chains get longer, that is all. */
static void grow_buckets(struct tree *t) REQUIRES(t->lock)
{
	struct node **old = t->ino_buckets, *n;
	struct node **by_place = calloc(2 * t->nbuckets, sizeof(*by_place));
	struct node **by_ino = calloc(2 * t->nbuckets, sizeof(*by_ino));
	size_t n_old = t->nbuckets;

	if (!by_place || !by_ino) {
		free(by_place);
		free(by_ino);
		return;
	}
	free(t->buckets);
	t->buckets = by_place;
	t->ino_buckets = by_ino;
	t->nbuckets *= 2;
	for (size_t i = 0; i < n_old; i++) {
		while ((n = old[i])) {
			old[i] = n->ino_next;
			ino_insert(t, n);
			if (n->parent)
				place_insert(t, n);
		}
	}
	free(old);
}

static void node_free(struct node *n)
{
	if (n->dir) {
		for (size_t i = 0; i < n->dir->gone.n; i++)
			free(n->dir->gone.v[i]);
		free(n->dir->gone.v);
	}
	free(n->dir);
	free(n->name);
	free(n->target);
	free(n);
}

static struct node *node_new(const char *name, enum entry_type type)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->type = (uint8_t)type;
	n->cached_size = -1;
	n->name = strdup(name);
	if (type == ENTRY_DIR)
		n->dir = calloc(1, sizeof(*n->dir));
	if (n->name && (n->dir || type != ENTRY_DIR))
		return n;
	node_free(n);
	return NULL;
}

static void node_dispose(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	struct node **b = ino_bucket(t, n->ino);

	if (n->lookups || n->pins || !(n->flags & NODE_UNLINKED))
		return;
	while (*b != n)
		b = &(*b)->ino_next;
	*b = n->ino_next;
	t->count--;
	node_free(n);
}

int tree_init(struct tree *t, int64_t ttl, size_t max)
{
	*t = (struct tree){.ttl = ttl, .max = max};
	mutex_init(&t->lock);
	cond_init(&t->settled);
	mutex_lock(&t->lock);
	t->nbuckets = FIRST_BUCKETS;
	t->sweep_at = max;
	t->buckets = calloc(t->nbuckets, sizeof(*t->buckets));
	t->ino_buckets = calloc(t->nbuckets, sizeof(*t->ino_buckets));
	t->root = node_new("", ENTRY_DIR);
	bool made = t->buckets && t->ino_buckets && t->root;
	if (made) {
		t->root->ino = ROOT_INO;
		ino_insert(t, t->root);
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
	if (!t->count && t->root)
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
	uint64_t h = place_hash(dir->ino, name);

	for (struct node *n = t->buckets[h & (t->nbuckets - 1)]; n; n = n->hash_next) {
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
}

static void unlink_node(struct tree *t, struct node *n) REQUIRES(t->lock)
{
	place_remove(t, n);
	tree_unchain(n->parent->dir, n);
	n->parent->dir->count--;
	n->parent = NULL;
}

struct node *tree_add_locked(struct tree *t, struct node *dir, const char *name,
			     const struct entry *e)
{
	struct node *n = node_new(name, e->type);

	if (!n)
		return NULL;
	if (t->count >= t->nbuckets)
		grow_buckets(t);
	n->ino = free_ino(t, place_hash(dir->ino, name));
	ino_insert(t, n);
	t->count++;
	link_node(t, dir, n);
	tree_update_locked(t, n, e);
	return n;
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
		n = tree_add_locked(t, dir, name, e);
	}
	if (n && dir->dir->fetching)
		node_set(n, NODE_CHANGED);
	return n;
}

/* A listing that is on its way may still have n's name. */
static void note_gone(struct dir *d, const char *name)
{
	struct names *g = &d->gone;
	char *copy;

	d->epoch++;
	if (!d->fetching || g->lost)
		return;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 16;
		char **v = cap <= NAMES_MAX ? realloc(g->v, cap * sizeof(*v)) : NULL;
		if (!v) {
			g->lost = true;
			return;
		}
		g->v = v;
		g->cap = cap;
	}
	copy = strdup(name);
	if (copy)
		g->v[g->n++] = copy;
	else
		g->lost = true;
}

void tree_unlink_locked(struct tree *t, struct node *n)
{
	note_gone(n->parent->dir, n->name);
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
	note_gone(n->parent->dir, n->name);
	unlink_node(t, n);
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
