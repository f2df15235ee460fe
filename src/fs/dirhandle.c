/* fs/dirhandle - an open directory: the names as they were at opendir(3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "fs/prefetch.h"
#include "fs_private.h"

enum { NAMES_LIMIT = 1 << 30 };

struct seen {
	size_t name; /* offset into names */
	uint64_t ino;
	uint8_t type;
};

struct dirhandle {
	LIST_ENTRY(dirhandle) link; /* of fs->dirhandles */
	struct fs *fs;
	struct node *node; /* pinned */
	uint64_t parent_ino;
	struct seen *v;
	size_t n;
	struct buf names; /* each ends with NUL */
};

static mode_t type_bits(uint8_t type)
{
	static const mode_t bits[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK};

	return bits[type];
}

static int snapshot_locked(struct fs *fs, struct dirhandle *d) REQUIRES(fs->tree.lock)
{
	struct node *dir = d->node;

	(void)fs; /* for its lock */
	d->parent_ino = dir->parent ? dir->parent->ino : dir->ino;
	d->v = calloc(dir->dir->count + 1, sizeof(*d->v));
	if (!d->v)
		return -ENOMEM;
	for (const struct node *n = dir->dir->first; n; n = n->next) {
		d->v[d->n++] = (struct seen){.name = d->names.len, .ino = n->ino, .type = n->type};
		buf_add(&d->names, n->name, strlen(n->name) + 1);
	}
	dir->dir->last_listed_by_user = clock_monotonic();
	return buf_error(&d->names);
}

int fs_opendir(struct fs *fs, struct node *n, struct dirhandle **out, const struct opctx *ctx)
{
	struct dirhandle *d;
	int err;

	if (n->type != ENTRY_DIR)
		return -ENOTDIR;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->fs = fs;
	d->node = n;
	buf_init(&d->names, NAMES_LIMIT);
	mutex_lock(&fs->tree.lock);
	tree_pin_locked(n);
	LIST_INSERT_HEAD(&fs->dirhandles, d, link);
	mutex_unlock(&fs->tree.lock);

	err = dircache_list(&fs->dircache, n, LIST_FOR_USER, ctx);
	if (!err) {
		mutex_lock(&fs->tree.lock);
		err = snapshot_locked(fs, d);
		mutex_unlock(&fs->tree.lock);
	}
	if (err) {
		fs_releasedir(d);
		return err;
	}
	prefetch_listed(fs->files.prefetch, n);
	*out = d;
	return 0;
}

bool fs_dirent(struct dirhandle *d, uint64_t index, struct fs_dirent *out)
{
	if (index < 2) {
		*out = (struct fs_dirent){.name = index ? ".." : ".", .type = S_IFDIR};
		out->ino = index ? d->parent_ino : d->node->ino;
		return true;
	}
	if (index - 2 >= d->n)
		return false;
	const struct seen *s = &d->v[index - 2];
	*out = (struct fs_dirent){
		.name = d->names.data + s->name, .ino = s->ino, .type = type_bits(s->type)};
	return true;
}

/* Can n be shown as it is? What the server could not tell when it was asked it will not tell now.
 */
static bool known_well(const struct tree *t, const struct node *n) REQUIRES(t->lock)
{
	if (n->flags & (NODE_LOCAL | NODE_BUSY))
		return true;
	if (n->type == ENTRY_FILE && !(n->have & HAVE_EXACT_MTIME) && !(n->flags & NODE_ASKED))
		return false;
	return tree_attr_ttl_locked(t, n) > 0;
}

bool fs_dirent_plus(struct dirhandle *d, uint64_t index, struct fs_found *out)
{
	struct fs *fs = d->fs;
	struct node *n;

	*out = (struct fs_found){0};
	if (index < 2 || index - 2 >= d->n)
		return false;
	mutex_lock(&fs->tree.lock);
	n = tree_child_locked(&fs->tree, d->node, d->names.data + d->v[index - 2].name);
	bool known = n && known_well(&fs->tree, n);
	if (known)
		fs_found_locked(fs, n, out);
	mutex_unlock(&fs->tree.lock);
	return known;
}

void fs_releasedir(struct dirhandle *d)
{
	size_t bytes = d->n * sizeof(*d->v) + d->names.len;

	mutex_lock(&d->fs->tree.lock);
	LIST_REMOVE(d, link);
	tree_unpin_locked(&d->fs->tree, d->node);
	mutex_unlock(&d->fs->tree.lock);
	buf_free(&d->names);
	free(d->v);
	free(d);
	memory_freed(bytes);
}
