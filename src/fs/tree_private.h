/* fs/tree_private - what tree.c and publish.c share. */
#ifndef FTPFS_FS_TREE_PRIVATE_H
#define FTPFS_FS_TREE_PRIVATE_H

#include "fs/tree.h"

/* Make a node and link it as the last child of dir; NULL when out of memory. */
struct node *tree_add_locked(struct tree *t, struct node *dir, const char *name,
			     const struct entry *e) REQUIRES(t->lock);
/* Take n and all that is below it out of the tree, freeing what nothing refers to.  No epoch, no
 * note: this is how the server's changes arrive. */
void tree_cut_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
/* The same, telling the kernel if it knows n. */
void tree_vanish_locked(struct tree *t, struct node *n) REQUIRES(t->lock);
/* The order of children. */
void tree_chain_last(struct dir *d, struct node *n);
void tree_unchain(struct dir *d, struct node *n);
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
	return n->moving || (n->flags & (NODE_LOCAL | NODE_BUSY | NODE_CHANGED));
}

#endif
