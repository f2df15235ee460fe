/* fs/fs_private - what the files behind include/fs/fs.h share. */
#ifndef FTPFS_FS_FS_PRIVATE_H
#define FTPFS_FS_FS_PRIVATE_H

#include "fs/dircache.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "tree_private.h"

struct fs {
	struct fs_conf conf;
	char *spool_dir;
	struct tree tree;
	struct dircache dircache;
	struct files files;
	LIST_HEAD(, dirhandle) dirhandles; /* under tree.lock */
};

/* How n shows, and for how long; no network. */
void fs_show_locked(struct fs *fs, struct node *n, struct fs_attr *out) REQUIRES(fs->tree.lock);
mode_t fs_shown_mode(const struct fs *fs, const struct node *n);
/* Make what we know of n good enough to be shown.  Whoever has it open may go on looking at it
 * after it lost its name. */
int fs_bring_up_to_date(struct fs *fs, struct node *n, const struct opctx *ctx);
/* Count a lookup for the kernel and show n. */
void fs_found_locked(struct fs *fs, struct node *n, struct fs_found *out) REQUIRES(fs->tree.lock);

/* The beginning of every change: -EROFS, or what is wrong with the name. */
int fs_may_change(const struct fs *fs, const char *name);
/* The child, pinned, with its type known; -ENOENT when there is none. */
int fs_child(struct fs *fs, struct node *dir, const char *name, struct node **out,
	     const struct opctx *ctx);
/* A change failed: after a broken link nobody knows whether it happened, and after some answers we
 * know that our picture was wrong.  The directory is asked again.  Returns err. */
int fs_doubt(struct fs *fs, struct node *dir, int err);
/* Remove a directory that shows no names, with what temporaries (commit.h) a crash left in it. */
int fs_rmdir_on_server(struct fs *fs, const char *path, const struct opctx *ctx);
/* Does dir have no names?  Lists it unless that is known.  0 or -ENOTEMPTY, or why it cannot be
 * said. */
int fs_check_empty(struct fs *fs, struct node *dir, const struct opctx *ctx);
/* The server refused to remove dir: was it because somebody put something there since we looked?
 * Then -ENOTEMPTY, else err. */
int fs_why_not_removed(struct fs *fs, struct node *dir, int err, const struct opctx *ctx);

#endif
