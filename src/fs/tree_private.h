/* fs/tree_private - what tree.c and publish.c share. */
#ifndef FTPFS_FS_TREE_PRIVATE_H
#define FTPFS_FS_TREE_PRIVATE_H

#include "fs/tree.h"

uint64_t tree_place_hash(uint64_t parent_ino, const char *name);
/* A node that is in no tree yet; NULL when out of memory. */
struct node *node_new(const char *name, enum entry_type type);
void node_free(struct node *n); /* NULL is fine */
/* Link a new node as the last child of dir, which takes it over. */
void tree_add_locked(struct tree *t, struct node *dir, struct node *n, const struct entry *e)
	REQUIRES(t->lock);
/* Take n and all that is below it out of the tree, freeing what nothing refers to.  No epoch, no
 * note: this is how the server's changes arrive. */
void tree_cut_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
/* The same, telling the kernel if it knows n. */
void tree_vanish_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
/* The order of children. */
void tree_chain_last(struct dir *d, struct node *n);
void tree_unchain(struct dir *d, struct node *n);
/* dir was listed just now: the last whose listing is dropped. */
void tree_newest_locked(struct tree *t, struct node *dir) REQUIRES(t->lock);
/* What we changed below a directory that is being listed. */
void names_note(struct dir *d, const char *name);
bool names_have(const struct names *set, const char *name);
void names_forget(struct names *set);
/* Drop listings that nobody uses when there are more nodes than there should be. */
void tree_sweep_locked(struct tree *t) REQUIRES(t->lock);

static inline void node_set(struct node *n, unsigned flags)
{
	n->flags = (uint8_t)(n->flags | flags);
}

static inline void node_clear(struct node *n, unsigned flags)
{
	n->flags = (uint8_t)(n->flags & ~flags);
}

/* What we are writing ourselves: the server's word does not count. */
static inline bool node_ours(const struct node *n)
{
	return n->moving || (n->flags & (NODE_LOCAL | NODE_BUSY)) ||
	       (n->parent && names_have(&n->parent->dir->touched, n->name));
}

#endif
