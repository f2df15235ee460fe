/* fs/file - open files: each read and write goes to a reader (bytes straight from the server) or to
 * the spool (local bytes of a file that is being written).
 *
 * One struct file per node that is open, however many handles it has; node->file points to it (under
 * tree.lock) from the first open to the last release.  States, and what they mean:
 *
 *     state      spool   server                                  may be left by
 *     CLEAN      none    has the bytes                           write, truncate -> DIRTY
 *     DIRTY      yes     has older bytes, or nothing             commit -> COMMITTING
 *     COMMITTING yes     is being given them (file.lock free)    verdict -> CLEAN | DIRTY | FAILED
 *     FAILED     yes     has older bytes, nothing, or a part     next commit -> COMMITTING
 *     ORPHAN     yes     removed its name; never stored again    last release
 *
 * file.lock is dropped whenever the network is used (FILLING, COMMITTING, streaming); `busy` is set
 * meanwhile and everyone else who would change the file waits on `settled`.
 *
 * The promise: fs_flush (close) and fs_fsync return 0 only if the server has confirmed every byte
 * written before the call.  An error is returned to that caller and kept for the next fsync/close of each other
 * handle; the spool stays and the next commit tries again. */
#ifndef FTPFS_FS_FILE_H
#define FTPFS_FS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/lock.h"
#include "base/opctx.h"
#include "fs/spool.h"
#include "fs/tree.h"
#include "remote.h"

struct prefetch;
struct reader;

/* What the file rooms share; one per mount, set up by fs_create(). */
struct files {
	struct tree *tree;
	struct remote *remote;
	struct prefetch *prefetch; /* NULL: off */
	const char *spool_dir;     /* absolute, private to us */
	int64_t timeout;           /* ns: a commit without progress for so long fails */
};

enum file_state { FILE_CLEAN, FILE_DIRTY, FILE_COMMITTING, FILE_FAILED, FILE_ORPHAN };

struct file {
	struct files *files;       /* constant */
	struct node *node;         /* constant; pinned */
	struct mutex lock;
	struct cond settled;
	enum file_state state GUARDED_BY(lock);
	bool busy GUARDED_BY(lock);       /* a thread is at the network for this file */
	unsigned handles GUARDED_BY(lock);
	struct spool *spool GUARDED_BY(lock);    /* NULL while CLEAN and never written */
	struct stream *upload GUARDED_BY(lock);  /* the STOR that follows a sequential writer */
	int64_t uploaded GUARDED_BY(lock);       /* bytes given to it */
	bool on_server GUARDED_BY(lock);         /* a file of this name is there */
	int64_t server_size GUARDED_BY(lock);    /* its size, as last confirmed */
	int64_t want_mtime GUARDED_BY(lock);     /* to set at commit; REMOTE_KEEP_MTIME: none */
	int64_t want_mode GUARDED_BY(lock);      /* likewise; REMOTE_KEEP_MODE: none */
	uint64_t writes GUARDED_BY(lock);        /* counts changes: a commit that finds it moved stays DIRTY */
	int error GUARDED_BY(lock);              /* why the last commit failed */
};

/* One open(2).  Used by any thread. */
struct handle {
	struct file *file;
	struct reader *reader;     /* made at the first read that needs the server */
	int flags;                 /* of open(2) */
	int error;                 /* of a commit, to be told once; GUARDED_BY file->lock */
	struct mutex reader_made;  /* guards `reader` while it is made */
};

/* Open an existing node.  O_TRUNC empties it.  *keep_cache: the kernel's pages of it are still good. */
int file_open(struct files *f, struct node *n, int flags, struct handle **out, bool *keep_cache,
	      const struct opctx *ctx);
/* The same for a node that was just made with NODE_LOCAL: nothing is sent yet; the file appears on
 * the server with its first commit (close, fsync) or when streaming begins. `mode` is applied then. */
int file_create(struct files *f, struct node *n, int flags, uint32_t mode, struct handle **out,
		const struct opctx *ctx);
ssize_t file_read(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx);
/* O_APPEND of the handle puts the bytes at the end, whatever `at` says. */
ssize_t file_write(struct handle *h, const void *from, size_t n, int64_t at, const struct opctx *ctx);
int file_flush(struct handle *h, const struct opctx *ctx); /* close(2): commits */
int file_fsync(struct handle *h, const struct opctx *ctx);
/* The last close: what is still dirty is committed here, and an error is logged with the spool's name, since nobody
 * is left to tell. */
void file_release(struct handle *h);

/* By node, open or not. */
int file_truncate(struct files *f, struct node *n, int64_t size, const struct opctx *ctx);
/* Allocate [at, at+len): grows the file when it is shorter (never shrinks). */
int file_allocate(struct handle *h, int64_t at, int64_t len, const struct opctx *ctx);
/* If the file has changes that are not on the server yet, note the value for its commit and return 1;
 * otherwise 0 and the caller sets it on the server. */
int file_defer_mtime(struct files *f, struct node *n, int64_t mtime);
int file_defer_mode(struct files *f, struct node *n, uint32_t mode);
/* Before its name changes: the server gets every change.  For a directory the caller asks for each open file
 * below it. */
int file_before_rename(struct files *f, struct node *n, const struct opctx *ctx);
/* Before its name goes away (unlink, or replaced by a rename): if it is open, everything that its handles may still
 * read comes into the spool, and it becomes an ORPHAN with file_after_remove(). *on_server: there is
 * something to delete. */
int file_before_remove(struct files *f, struct node *n, bool *on_server, const struct opctx *ctx);
void file_after_remove(struct files *f, struct node *n);
/* Commit every dirty file (unmount); returns the first error, having tried all. */
int file_commit_all(struct files *f, const struct opctx *ctx);

#endif
