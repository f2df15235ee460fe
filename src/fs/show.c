/* fs/show - what the kernel is told of a name and its node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "file_private.h"
#include "fs_private.h"

enum {
	SHOWN_BLOCK = 128 << 10, /* st_blksize: what cp and cat read and write at once */
	DIR_SIZE = 4096,
};

/* The kernel drops a page at once, unless it waits for the network to fill it. */
#define DROP_SOON (500 * NS_PER_MS)

mode_t fs_shown_mode(const struct fs *fs, const struct node *n)
{
	static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK};
	mode_t mode = n->mode & 07777;

	if (n->type == ENTRY_LINK)
		return S_IFLNK | 0777;
	if (!(n->have & HAVE_MODE))
		mode = n->type == ENTRY_DIR ? 0755 : 0644;
	if (fs->conf.umask_set)
		mode &= ~fs->conf.umask;
	return types[n->type] | mode;
}

/* The kernel believes a larger size first and drops the page that had the old end in it afterwards:
 * whoever reads in between is shown zeros.  So it is told when the page is gone.  What grew by our
 * own writes it knows. */
static int64_t size_to_tell_locked(struct fs *fs, struct node *n) REQUIRES(fs->tree.lock)
{
	struct file *f = n->file;

	if (!f || !fs->conf.on_growth)
		return n->size;
	if (f->telling >= 0)
		return f->told < n->size ? f->told : n->size;
	if (!(n->flags & (NODE_LOCAL | NODE_BUSY)) && n->size > f->told &&
	    fs->conf.on_growth(fs->conf.on_change_arg, n, f->told)) {
		f->telling = n->size;
		tree_pin_locked(n);
		return f->told;
	}
	f->told = n->size;
	return n->size;
}

void fs_pages_dropped(struct fs *fs, struct node *n)
{
	mutex_lock(&fs->tree.lock);
	if (n->file && n->file->telling >= 0) {
		n->file->told = n->file->telling;
		n->file->telling = -1;
	}
	cond_broadcast(&fs->tree.settled);
	tree_unpin_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
}

void fs_show_locked(struct fs *fs, struct node *n, struct fs_attr *out)
{
	struct stat *st = &out->st;
	int64_t mtime = n->mtime / NS_PER_S - (n->mtime % NS_PER_S < 0);

	memset(out, 0, sizeof(*out));
	st->st_ino = n->ino;
	st->st_mode = fs_shown_mode(fs, n);
	st->st_nlink = n->flags & NODE_UNLINKED ? 0 : n->type == ENTRY_DIR ? 2 : 1;
	st->st_uid = fs->conf.uid;
	st->st_gid = fs->conf.gid;
	if (n->type == ENTRY_FILE)
		st->st_size = size_to_tell_locked(fs, n);
	else if (n->type == ENTRY_DIR)
		st->st_size = DIR_SIZE;
	else if (n->target)
		st->st_size = (off_t)strlen(n->target);
	st->st_blksize = SHOWN_BLOCK;
	st->st_blocks = (st->st_size + 511) / 512;
	/* Whole seconds, as the server keeps them: what we show before a commit and after it is
	 * equal. */
	st->st_mtim.tv_sec = mtime;
	st->st_atim = st->st_ctim = st->st_mtim;
	out->ttl = n->type == ENTRY_FILE && st->st_size != n->size
			   ? 0
			   : tree_attr_ttl_locked(&fs->tree, n);
}

void fs_found_locked(struct fs *fs, struct node *n, struct fs_found *out)
{
	int64_t names = n->parent ? tree_names_ttl_locked(&fs->tree, n->parent) : 0;

	n->lookups++;
	out->node = n;
	fs_show_locked(fs, n, &out->attr);
	/* A name that we are writing cannot be taken from us by a listing. */
	if (n->flags & (NODE_LOCAL | NODE_BUSY))
		out->name_ttl = fs->tree.ttl;
	else
		out->name_ttl = names > out->attr.ttl ? names : out->attr.ttl;
}

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct fs_found *out,
	      const struct opctx *ctx)
{
	struct node *n;
	int err = path_check_name(name, strlen(name));

	*out = (struct fs_found){0};
	if (!err)
		err = dircache_lookup(&fs->dircache, dir, name, &n, ctx);
	if (err)
		return err;
	if (!n) {
		mutex_lock(&fs->tree.lock);
		out->name_ttl = tree_names_ttl_locked(&fs->tree, dir);
		mutex_unlock(&fs->tree.lock);
		if (!out->name_ttl)
			out->name_ttl = fs->tree.ttl; /* the server has just said so */
		return 0;
	}
	/* The kernel will believe what we answer: not a minute where there could be a second. */
	err = dircache_exact(&fs->dircache, n, ctx);
	mutex_lock(&fs->tree.lock);
	if (!err && (n->flags & NODE_UNLINKED))
		err = -ENOENT;
	if (!err)
		fs_found_locked(fs, n, out);
	tree_unpin_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
	return err;
}

void fs_forget(struct fs *fs, struct node *n, uint64_t lookups)
{
	tree_forget(&fs->tree, n, lookups);
}

int fs_bring_up_to_date(struct fs *fs, struct node *n, const struct opctx *ctx)
{
	int err = 0;

	mutex_lock(&fs->tree.lock);
	bool stale = !(n->flags & (NODE_LOCAL | NODE_BUSY)) && !tree_attr_ttl_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
	if (stale)
		err = dircache_refresh(&fs->dircache, n, ctx);
	if (!err)
		err = dircache_exact(&fs->dircache, n, ctx);
	mutex_lock(&fs->tree.lock);
	if (n->flags & NODE_UNLINKED)
		err = n->file || n->pins ? 0 : -ENOENT;
	mutex_unlock(&fs->tree.lock);
	return err;
}

int fs_getattr(struct fs *fs, struct node *n, struct fs_attr *out, const struct opctx *ctx)
{
	struct opctx soon = opctx_for(DROP_SOON);
	int err = fs_bring_up_to_date(fs, n, ctx);

	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	fs_show_locked(fs, n, out);
	while (!err && n->type == ENTRY_FILE && out->st.st_size < n->size) {
		err = cond_wait_ctx(&fs->tree.settled, &fs->tree.lock, &soon);
		fs_show_locked(fs, n, out);
	}
	mutex_unlock(&fs->tree.lock);
	return 0;
}

int fs_readlink(struct fs *fs, struct node *n, struct buf *out, const struct opctx *ctx)
{
	struct buf path;
	size_t start = out->len;
	int err;

	if (n->type != ENTRY_LINK)
		return -EINVAL;
	mutex_lock(&fs->tree.lock);
	bool known = n->target && tree_attr_ttl_locked(&fs->tree, n);
	if (known)
		err = buf_adds(out, n->target);
	mutex_unlock(&fs->tree.lock);
	if (known)
		return err;
	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(&fs->tree, n, &path);
	if (!err)
		err = remote_readlink(fs->conf.remote, buf_text(&path), out, ctx);
	buf_free(&path);
	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	free(n->target);
	n->target = strdup(buf_text(out) + start); /* not kept: asked again */
	mutex_unlock(&fs->tree.lock);
	return 0;
}
