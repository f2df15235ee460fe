/* fs/setattr - chmod, chown, truncate, utimens. */
#include <errno.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs_private.h"

/* A file that the server stored so recently has "now" as its time already. */
#define STORED_NOW (5 * NS_PER_S)

static int check_owner(const struct fs *fs, unsigned set, const struct stat *want)
{
	bool changes = ((set & FS_SET_UID) && want->st_uid != fs->conf.uid) ||
		       ((set & FS_SET_GID) && want->st_gid != fs->conf.gid);

	return changes && fs->conf.chown_error ? -EPERM : 0;
}

static void changed(struct fs *fs, struct node *n)
{
	mutex_lock(&fs->tree.lock);
	tree_changed_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
}

static int set_size(struct fs *fs, struct node *n, int64_t size, const struct opctx *ctx)
{
	if (n->type != ENTRY_FILE)
		return n->type == ENTRY_DIR ? -EISDIR : -EINVAL;
	changed(fs, n);
	return file_truncate(&fs->files, n, size, ctx);
}

static int remote_mode(struct fs *fs, struct node *n, uint32_t mode, const struct opctx *ctx)
{
	struct buf path;
	int err;

	if (n->type == ENTRY_LINK)
		return -EOPNOTSUPP;
	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(&fs->tree, n, &path);
	if (!err)
		err = remote_set_mode(fs->conf.remote, buf_text(&path), mode, ctx);
	buf_free(&path);
	return err;
}

static int set_mode(struct fs *fs, struct node *n, uint32_t mode, const struct opctx *ctx)
{
	int deferred = n->type == ENTRY_FILE ? file_defer_mode(&fs->files, n, mode, ctx) : 0;
	int err = deferred < 0 ? deferred : deferred ? 0 : remote_mode(fs, n, mode, ctx);

	mutex_lock(&fs->tree.lock);
	/* A server without modes: asking for the one that is shown is not a failure. */
	bool same = mode == (fs_shown_mode(fs, n) & 07777);
	/* An orphan has no name to set it by, and nobody else to see it. */
	bool orphan = n->flags & NODE_UNLINKED;
	if (!err || (err == -ENOENT && orphan)) {
		n->mode = mode;
		n->have |= HAVE_MODE;
		tree_changed_locked(&fs->tree, n);
		err = 0;
	}
	mutex_unlock(&fs->tree.lock);
	return err == -EOPNOTSUPP && same ? 0 : err;
}

/* The kernel's pages and ours stay good: only the label changed. */
static void show_mtime_locked(struct fs *fs, struct node *n, int64_t mtime, bool pinned)
	REQUIRES(fs->tree.lock)
{
	if (n->cached_mtime == n->mtime)
		n->cached_mtime = mtime;
	n->mtime = mtime;
	n->mtime_slack = 0;
	n->have |= HAVE_MTIME | HAVE_EXACT_MTIME;
	node_clear(n, NODE_PINNED_TIME);
	if (pinned) {
		node_set(n, NODE_PINNED_TIME);
		n->listed_mtime = INT64_MIN;
	}
	tree_changed_locked(&fs->tree, n);
}

static int remote_mtime(struct fs *fs, struct node *n, int64_t mtime, const struct opctx *ctx)
{
	struct buf path;
	int err;

	if (n->type == ENTRY_LINK)
		return -EOPNOTSUPP; /* it would set the time of what the link points to */
	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(&fs->tree, n, &path);
	if (!err)
		err = remote_set_mtime(fs->conf.remote, buf_text(&path), mtime, ctx);
	buf_free(&path);
	return err;
}

/* Hardly a server sets the time of a directory: most refuse, with any of these, and vsftpd says 550
 * as for a missing file.  rsync -a and cp -a set it for every directory they make, and would report
 * a failure for each; so we keep the time ourselves for the life of the mount.  Links likewise. */
static bool keep_ourselves(const struct node *n, int err)
{
	if (n->type == ENTRY_FILE)
		return false;
	return err == -EOPNOTSUPP || err == -EACCES || err == -EPERM || err == -ENOENT ||
	       err == -EINVAL || err == -EISDIR;
}

static int set_mtime(struct fs *fs, struct node *n, int64_t mtime, bool to_now,
		     const struct opctx *ctx)
{
	int deferred = n->type == ENTRY_FILE ? file_defer_mtime(&fs->files, n, mtime, to_now, ctx)
					     : 0;
	int err = deferred < 0 ? deferred : deferred ? 0 : remote_mtime(fs, n, mtime, ctx);

	mutex_lock(&fs->tree.lock);
	bool orphan = err == -ENOENT && (n->flags & NODE_UNLINKED);
	bool pinned = err && !orphan && keep_ourselves(n, err);
	if (!err || orphan || pinned) {
		show_mtime_locked(fs, n, mtime, pinned);
		err = 0;
	} else if (err == -EOPNOTSUPP && to_now && mtime - n->mtime < STORED_NOW &&
		   n->mtime - mtime < STORED_NOW) {
		err = 0;
	} else if (remote_link_error(err)) {
		n->fresh_until = 0; /* it may have been set */
	}
	mutex_unlock(&fs->tree.lock);
	return err;
}

static int64_t wanted_mtime(unsigned set, const struct stat *want)
{
	/* What no server keeps is not shown either: below a second there is nothing. */
	return set & FS_SET_MTIME_NOW ? clock_realtime() / NS_PER_S * NS_PER_S
				      : want->st_mtim.tv_sec * NS_PER_S;
}

int fs_setattr(struct fs *fs, struct node *n, struct handle *h, unsigned set,
	       const struct stat *want, struct fs_attr *out, const struct opctx *ctx)
{
	int err = fs->conf.read_only ? -EROFS : check_owner(fs, set, want);

	(void)h; /* one struct file per node: ftruncate(2) and truncate(2) are the same to us */
	if (!err && (set & FS_SET_SIZE))
		err = set_size(fs, n, want->st_size, ctx);
	if (!err && (set & FS_SET_MODE))
		err = set_mode(fs, n, want->st_mode & 07777, ctx);
	if (!err && (set & (FS_SET_MTIME | FS_SET_MTIME_NOW)))
		err = set_mtime(fs, n, wanted_mtime(set, want), set & FS_SET_MTIME_NOW, ctx);
	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	fs_show_locked(fs, n, out);
	mutex_unlock(&fs->tree.lock);
	return 0;
}
