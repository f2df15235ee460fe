/* fs/namespace - making and removing names: each change is the server's first, then the tree's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs/commit.h"
#include "fs/prefetch.h"
#include "fs_private.h"

static int check_name(const char *name)
{
	int err = path_check_name(name, strlen(name));

	return !err && commit_is_temp(name) ? -EPERM : err;
}

int fs_may_change(const struct fs *fs, const char *name)
{
	int err = check_name(name);

	return err ? err : fs->conf.read_only ? -EROFS : 0;
}

int fs_child(struct fs *fs, struct node *dir, const char *name, struct node **out,
	     const struct opctx *ctx)
{
	int err = dircache_lookup(&fs->dircache, dir, name, out, ctx);

	return err ? err : *out ? 0 : -ENOENT;
}

/* Some servers say yes to MKD of what exists, so that EEXIST is for us to find. */
static int check_absent(struct fs *fs, struct node *dir, const char *name, const struct opctx *ctx)
{
	struct node *n;
	int err = dircache_lookup(&fs->dircache, dir, name, &n, ctx);

	if (err || !n)
		return err;
	tree_unpin(&fs->tree, n);
	return -EEXIST;
}

int fs_doubt(struct fs *fs, struct node *dir, int err)
{
	if (remote_link_error(err) || err == -EINTR || err == -ETIMEDOUT || err == -EEXIST ||
	    err == -ENOENT || err == -ENOTDIR || err == -EISDIR || err == -ENOTEMPTY) {
		mutex_lock(&fs->tree.lock);
		tree_expire_locked(&fs->tree, dir);
		mutex_unlock(&fs->tree.lock);
	}
	return err;
}

/* Enter what we have just made. */
static int enter(struct fs *fs, struct node *dir, const char *name, const struct entry *e,
		 struct fs_found *out)
{
	struct node *n;

	mutex_lock(&fs->tree.lock);
	n = tree_put_locked(&fs->tree, dir, name, e);
	if (n) {
		tree_changed_locked(&fs->tree, n);
		tree_touch_dir_locked(&fs->tree, dir);
		if (n->dir) { /* nobody can have put anything there yet */
			n->dir->complete = true;
			n->dir->ours = true;
			n->dir->fetched_at = clock_monotonic();
		}
		fs_found_locked(fs, n, out);
	} else {
		tree_expire_locked(&fs->tree, dir);
	}
	int err = n ? 0 : dir->flags & NODE_UNLINKED ? -ENOENT : -ENOMEM;
	mutex_unlock(&fs->tree.lock);
	return err;
}

int fs_mkdir(struct fs *fs, struct node *dir, const char *name, mode_t mode, struct fs_found *out,
	     const struct opctx *ctx)
{
	struct entry e = {.type = ENTRY_DIR,
			  .mode = mode & 07777,
			  .mtime = clock_realtime(),
			  .have = HAVE_MTIME | HAVE_EXACT_MTIME};
	struct buf path;
	int err = fs_may_change(fs, name);

	*out = (struct fs_found){0};
	if (!err)
		err = check_absent(fs, dir, name, ctx);
	if (err)
		return err;
	buf_init(&path, 2 * PATH_LIMIT);
	err = tree_child_path(&fs->tree, dir, name, &path);
	if (!err)
		err = fs_doubt(fs, dir, remote_mkdir(fs->conf.remote, buf_text(&path), ctx));
	/* Servers make directories 0755 unless told otherwise. A mode is no reason to say that
	 * there is no directory when there is one. */
	if (!err && e.mode != 0755 &&
	    !remote_set_mode(fs->conf.remote, buf_text(&path), e.mode, ctx))
		e.have |= HAVE_MODE;
	buf_free(&path);
	return err ? err : enter(fs, dir, name, &e, out);
}

int fs_symlink(struct fs *fs, const char *target, struct node *dir, const char *name,
	       struct fs_found *out, const struct opctx *ctx)
{
	struct entry e = {.type = ENTRY_LINK,
			  .mtime = clock_realtime(),
			  .have = HAVE_MTIME | HAVE_EXACT_MTIME};
	struct buf path;
	int err = fs_may_change(fs, name);

	*out = (struct fs_found){0};
	if (!err)
		err = check_absent(fs, dir, name, ctx);
	if (err)
		return err;
	buf_init(&path, 2 * PATH_LIMIT);
	err = tree_child_path(&fs->tree, dir, name, &path);
	if (!err)
		err = fs_doubt(fs, dir,
			       remote_symlink(fs->conf.remote, target, buf_text(&path), ctx));
	buf_free(&path);
	if (err == -EOPNOTSUPP)
		return -EPERM; /* symlink(2)'s word for a filesystem without them */
	return err ? err : enter(fs, dir, name, &e, out);
}

/* n, which was dir's, is no longer on the server. */
static void forget_name(struct fs *fs, struct node *dir, struct node *n)
{

	mutex_lock(&fs->tree.lock);
	tree_touch_dir_locked(&fs->tree, dir);
	if (n->parent)
		tree_unlink_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
}

static bool is_local(struct fs *fs, const struct node *n)
{
	mutex_lock(&fs->tree.lock);
	bool local = n->flags & NODE_LOCAL;
	mutex_unlock(&fs->tree.lock);
	return local;
}

static int unlink_file(struct fs *fs, struct node *dir, struct node *n, const struct opctx *ctx)
{
	struct buf path;
	bool on_server = true;
	int err = file_before_remove(&fs->files, n, &on_server, ctx);

	if (err)
		return err;
	if (on_server) {
		buf_init(&path, PATH_LIMIT + 1);
		err = tree_path(&fs->tree, n, &path);
		if (!err)
			err = remote_remove(fs->conf.remote, buf_text(&path), ctx);
		buf_free(&path);
	}
	/* The command that was to make it may never have arrived: it was only here. */
	if (err == -ENOENT && is_local(fs, n))
		err = 0;
	if (err && err != -ENOENT) {
		file_still_there(&fs->files, n);
		return fs_doubt(fs, dir, err);
	}
	forget_name(fs, dir, n);
	file_after_remove(&fs->files, n);
	prefetch_drop(fs->files.prefetch, n);
	return err;
}

int fs_unlink(struct fs *fs, struct node *dir, const char *name, const struct opctx *ctx)
{
	struct node *n;
	int err = fs_may_change(fs, name);

	if (!err)
		err = fs_child(fs, dir, name, &n, ctx);
	if (err)
		return err;
	/* Some servers would remove an empty directory. */
	err = n->type == ENTRY_DIR ? -EISDIR : unlink_file(fs, dir, n, ctx);
	tree_unpin(&fs->tree, n);
	return err;
}

int fs_check_empty(struct fs *fs, struct node *dir, const struct opctx *ctx)
{
	int err;

	mutex_lock(&fs->tree.lock);
	bool writing = false; /* known here, whatever the server says */
	for (const struct node *n = dir->dir->first; n && !writing; n = n->next)
		writing = n->flags & (NODE_LOCAL | NODE_BUSY);
	mutex_unlock(&fs->tree.lock);
	if (writing)
		return -ENOTEMPTY;
	err = dircache_list(&fs->dircache, dir, LIST_FOR_USER, ctx);
	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	err = dir->dir->first ? -ENOTEMPTY : 0;
	mutex_unlock(&fs->tree.lock);
	return err;
}

int fs_why_not_removed(struct fs *fs, struct node *dir, int err, const struct opctx *ctx)
{

	if (remote_link_error(err) || err == -EINTR || err == -ETIMEDOUT || err == -ENOTEMPTY)
		return err;
	mutex_lock(&fs->tree.lock);
	tree_expire_locked(&fs->tree, dir);
	mutex_unlock(&fs->tree.lock);
	return fs_check_empty(fs, dir, ctx) == -ENOTEMPTY ? -ENOTEMPTY : err;
}

/* What nobody is shown would keep a directory from being removed.  A temporary has its target
 * beside it: where there is nothing else, no commit can make anything of it any more.  0: they are
 * gone. */
static int remove_temporaries(struct fs *fs, const char *dir, const struct opctx *ctx)
{
	struct remote *r = fs->conf.remote;
	struct listing l;
	struct buf path;

	listing_init(&l, LISTING_MAX);
	buf_init(&path, 2 * PATH_LIMIT);
	int err = remote_list(r, dir, &l, ctx);
	if (!err && l.n == 0)
		err = -ENOENT;
	for (size_t i = 0; i < l.n && !err; i++)
		err = commit_is_temp(l.v[i].name) ? 0 : -ENOTEMPTY;
	for (size_t i = 0; i < l.n && !err; i++) {
		buf_reset(&path);
		err = path_join(&path, dir, l.v[i].name);
		if (!err)
			err = remote_remove(r, buf_text(&path), ctx);
	}
	buf_free(&path);
	listing_free(&l);
	return err;
}

int fs_rmdir_on_server(struct fs *fs, const char *path, const struct opctx *ctx)
{
	int err = remote_rmdir(fs->conf.remote, path, ctx);

	if (!err || err == -ENOENT || err == -EINTR || err == -ETIMEDOUT ||
	    remote_link_error(err) || remove_temporaries(fs, path, ctx))
		return err;
	return remote_rmdir(fs->conf.remote, path, ctx);
}

static int remove_dir(struct fs *fs, struct node *dir, struct node *n, const struct opctx *ctx)
{
	struct buf path;
	int err = fs_check_empty(fs, n, ctx);

	if (err)
		return err;
	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(&fs->tree, n, &path);
	if (!err)
		err = fs_rmdir_on_server(fs, buf_text(&path), ctx);
	buf_free(&path);
	if (err)
		err = fs_why_not_removed(fs, n, err, ctx);
	if (err == -ENOTEMPTY)
		fs_doubt(fs, n, err);
	else if (err && err != -ENOENT)
		fs_doubt(fs, dir, err);
	else
		forget_name(fs, dir, n);
	return err;
}

int fs_rmdir(struct fs *fs, struct node *dir, const char *name, const struct opctx *ctx)
{
	struct node *n;
	int err = fs_may_change(fs, name);

	if (!err)
		err = fs_child(fs, dir, name, &n, ctx);
	if (err)
		return err;
	/* Some servers would remove the file. */
	err = n->type != ENTRY_DIR ? -ENOTDIR : remove_dir(fs, dir, n, ctx);
	tree_unpin(&fs->tree, n);
	return err;
}

/* O_EXCL is how programs lock: an absence that we only remember is not enough, unless the directory
 * is one that we made and in which nobody else has ever been seen at work (cp -r, tar and git
 * create every file so). */
static int check_exclusive(struct fs *fs, struct node *dir, const char *name,
			   const struct opctx *ctx)
{
	struct entry e = {0};
	struct buf path;
	int err;

	mutex_lock(&fs->tree.lock);
	bool asked_now = !tree_names_ttl_locked(&fs->tree, dir) || dir->dir->ours ||
			 clock_monotonic() - dir->dir->fetched_at < FS_EXCL_TRUST;
	mutex_unlock(&fs->tree.lock);
	if (asked_now)
		return 0;
	buf_init(&path, 2 * PATH_LIMIT);
	err = tree_child_path(&fs->tree, dir, name, &path);
	if (!err)
		err = remote_stat(fs->conf.remote, buf_text(&path), 0, &e, ctx);
	buf_free(&path);
	entry_clear(&e);
	if (err == -ENOENT)
		return 0;
	if (err && err != -EOPNOTSUPP)
		return err;
	mutex_lock(&fs->tree.lock);
	tree_expire_locked(&fs->tree, dir);
	mutex_unlock(&fs->tree.lock);
	if (!err)
		return -EEXIST;
	err = dircache_list(&fs->dircache, dir, LIST_FOR_USER, ctx);
	return err ? err : check_absent(fs, dir, name, ctx);
}

static int open_existing(struct fs *fs, struct node *n, int flags, struct fs_found *out,
			 struct handle **h, bool *keep_cache, const struct opctx *ctx)
{
	int err = fs_open(fs, n, flags & ~(O_CREAT | O_EXCL), h, keep_cache, ctx);

	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	fs_found_locked(fs, n, out);
	mutex_unlock(&fs->tree.lock);
	return 0;
}

/* A node for a file that only we know of; pinned.  NULL and *err. */
static struct node *enter_local(struct fs *fs, struct node *dir, const char *name, mode_t mode,
				int *err)
{
	struct entry e = {.type = ENTRY_FILE,
			  .mode = mode & 07777,
			  .mtime = clock_realtime(),
			  .have = HAVE_SIZE | HAVE_MTIME | HAVE_EXACT_MTIME};
	struct node *n = NULL;

	if (remote_can_set(fs->conf.remote, REMOTE_MODE) != -EOPNOTSUPP)
		e.have |= HAVE_MODE;

	mutex_lock(&fs->tree.lock);
	*err = dir->flags & NODE_UNLINKED ? -ENOENT : -EEXIST;
	if (*err == -EEXIST && !tree_child_locked(&fs->tree, dir, name)) {
		n = tree_put_locked(&fs->tree, dir, name, &e);
		*err = n ? 0 : -ENOMEM;
	}
	if (n) {
		node_set(n, NODE_LOCAL);
		tree_changed_locked(&fs->tree, n);
		tree_touch_dir_locked(&fs->tree, dir);
		tree_pin_locked(n);
	}
	mutex_unlock(&fs->tree.lock);
	return n;
}

static int create_local(struct fs *fs, struct node *dir, const char *name, mode_t mode, int flags,
			struct fs_found *out, struct handle **h, const struct opctx *ctx)
{
	int err;
	struct node *n = enter_local(fs, dir, name, mode, &err);

	if (!n)
		return err;
	err = file_create(&fs->files, n, flags, mode & 07777, h, ctx);
	mutex_lock(&fs->tree.lock);
	if (!err)
		fs_found_locked(fs, n, out);
	else if (n->parent)
		tree_unlink_locked(&fs->tree, n);
	tree_unpin_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
	return err;
}

int fs_create_file(struct fs *fs, struct node *dir, const char *name, mode_t mode, int flags,
		   struct fs_found *out, struct handle **h, bool *keep_cache,
		   const struct opctx *ctx)
{
	struct node *n = NULL;
	int err = check_name(name);

	*out = (struct fs_found){0};
	*h = NULL;
	*keep_cache = false;
	if (!err)
		err = dircache_lookup(&fs->dircache, dir, name, &n, ctx);
	if (err)
		return err;
	if (n) {
		err = flags & O_EXCL ? -EEXIST
				     : open_existing(fs, n, flags, out, h, keep_cache, ctx);
		tree_unpin(&fs->tree, n);
		return err;
	}
	if (fs->conf.read_only)
		return -EROFS;
	if (flags & O_EXCL)
		err = check_exclusive(fs, dir, name, ctx);
	return err ? err : create_local(fs, dir, name, mode, flags, out, h, ctx);
}
