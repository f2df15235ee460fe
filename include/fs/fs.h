/* fs/fs - the filesystem: what the kernel asks, answered from the tree, the server and the spool.
 *
 * No FUSE here and no FTP: fuse/ decodes a request and calls exactly one function below; everything
 * reaches the server through struct remote.  All functions may be called from any thread, return 0
 * (or a count) or -errno, and block only their caller, within ctx.  A struct node * is what tree.h
 * says; the caller holds a lookup on each node it passes in.  Names are checked here
 * (path_check_name). */
#ifndef FTPFS_FS_FS_H
#define FTPFS_FS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/opctx.h"
#include "fs/file.h"
#include "fs/tree.h"
#include "remote.h"

struct fs;
struct journal;
struct handle;
struct dirhandle;

struct fs_conf {
	struct remote *remote;	 /* owned from now on, also when fs_create fails */
	int64_t dcache_timeout;	 /* ns; how long the server's answers are believed */
	int64_t timeout;	 /* ns; see files.timeout */
	size_t max_nodes;	 /* 0: a default of 1,000,000 */
	const char *spool_dir;	 /* existing private directory; NULL: the journal's */
	struct journal *journal; /* not owned, outlives the fs; NULL: nothing outlives it */
	bool write_back;	 /* a close promises, and the server has the bytes later */
	unsigned uploads;	 /* side by side, of what was promised */
	int64_t cache_size;	 /* bytes that may be promised and not stored; 0: no limit */
	int64_t umount_wait;	 /* ns that fs_destroy() waits for the server */
	uid_t uid;		 /* shown as the owner of everything */
	gid_t gid;
	mode_t umask; /* taken off the modes shown, when umask_set */
	bool umask_set;
	enum inplace inplace;
	enum atomicity atomic;
	int64_t copy_least; /* bytes of the smallest file that the server may copy; 0: a default */
	bool verify_hash;   /* a commit is proven by the server's hash, not by SIZE alone */
	bool read_only;	    /* every change is -EROFS */
	bool chown_error;   /* chown to somebody else: -EPERM instead of a silent success */
	int64_t prefetch_bytes; /* 0: no looking ahead */
	unsigned prefetch_threads;
	void (*on_change)(void *arg, struct node *dir,
			  const char *name); /* see tree.h; may be NULL */
	/* An open file has grown: have the kernel drop its pages from there on, and then call
	 * fs_pages_dropped().  Called with tree.lock held, must only queue; n stays until then.
	 * False: it could not be queued.  May be NULL: there are no pages. */
	bool (*on_growth)(void *arg, struct node *n, int64_t from);
	void *on_change_arg; /* of both */
};

/* An answer about one node. */
struct fs_attr {
	struct stat st;
	int64_t ttl; /* ns: how long the kernel may believe st */
};

struct fs_found {
	struct node *node; /* NULL: certainly not there */
	struct fs_attr attr;
	int64_t name_ttl; /* ns: how long the kernel may believe the name (or its absence) */
};

int fs_create(const struct fs_conf *conf, struct fs **out);
/* List the root once: the mount is worth having.  -ENOENT, -ENOTDIR, -EACCES, link errors. */
int fs_probe(struct fs *fs, const struct opctx *ctx);
/* Take up what an earlier process promised and did not store; before the kernel asks anything. */
void fs_recover(struct fs *fs, const struct opctx *ctx);
/* Stores what is dirty or promised, logs what cannot be, frees everything.  Leaves early, with what
 * is promised, when another process waits for the journal's directory. */
void fs_destroy(struct fs *fs);
/* The server has everything that was promised, and what releases under way were storing: 0; else
 * the error of a file that it has not. */
int fs_sync(struct fs *fs, const struct opctx *ctx);
struct owing;
void fs_owing(struct fs *fs, struct owing *out);
struct node *fs_root(struct fs *fs);
void fs_describe(struct fs *fs, struct buf *out);

/* Success with a node counts one lookup for the kernel. */
int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct fs_found *out,
	      const struct opctx *ctx);
void fs_forget(struct fs *fs, struct node *n, uint64_t lookups);

/* What on_growth() asked for has been done, or there was nothing to drop: n's new size may be told.
 * Once for each of its calls that returned true; any thread. */
void fs_pages_dropped(struct fs *fs, struct node *n);

int fs_getattr(struct fs *fs, struct node *n, struct fs_attr *out, const struct opctx *ctx);
enum {
	FS_SET_MODE = 1,
	FS_SET_UID = 2,
	FS_SET_GID = 4,
	FS_SET_SIZE = 8,
	FS_SET_MTIME = 16,
	FS_SET_MTIME_NOW = 32
};
/* h: the open handle that ftruncate(2) came through, or NULL. */
int fs_setattr(struct fs *fs, struct node *n, struct handle *h, unsigned set,
	       const struct stat *want, struct fs_attr *out, const struct opctx *ctx);
int fs_readlink(struct fs *fs, struct node *n, struct buf *out, const struct opctx *ctx);

int fs_mkdir(struct fs *fs, struct node *dir, const char *name, mode_t mode, struct fs_found *out,
	     const struct opctx *ctx);
int fs_symlink(struct fs *fs, const char *target, struct node *dir, const char *name,
	       struct fs_found *out, const struct opctx *ctx);
int fs_unlink(struct fs *fs, struct node *dir, const char *name, const struct opctx *ctx);
int fs_rmdir(struct fs *fs, struct node *dir, const char *name, const struct opctx *ctx);
enum { FS_RENAME_NOREPLACE = 1 };
int fs_rename(struct fs *fs, struct node *from, const char *name, struct node *to,
	      const char *new_name, unsigned flags, const struct opctx *ctx);

int fs_open(struct fs *fs, struct node *n, int flags, struct handle **out, bool *keep_cache,
	    const struct opctx *ctx);
/* Should what is written through a handle opened with these flags go past the kernel's pages?  They
 * cost the writer a copy and fresh memory, and save whoever reads it again the way to the server.
 */
bool fs_past_pages(const struct fs *fs, int flags);
/* open(O_CREAT): creates, or opens what is there (O_EXCL: -EEXIST, having asked the server unless
 * our listing is fresher than FS_EXCL_TRUST, or the directory is ours alone: see struct dir). */
#define FS_EXCL_TRUST (2 * INT64_C(1000000000))
int fs_create_file(struct fs *fs, struct node *dir, const char *name, mode_t mode, int flags,
		   struct fs_found *out, struct handle **h, bool *keep_cache,
		   const struct opctx *ctx);
ssize_t fs_read(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx);
ssize_t fs_write(struct handle *h, const void *from, size_t n, int64_t at, const struct opctx *ctx);
/* The kernel writes a page of a shared mapping back: at `at`, also through an O_APPEND handle. */
ssize_t fs_write_page(struct handle *h, const void *from, size_t n, int64_t at,
		      const struct opctx *ctx);
/* copy_file_range(2), where the server can do it (file_copy()). */
ssize_t fs_copy(struct handle *from, int64_t from_at, struct handle *to, int64_t to_at, size_t n,
		const struct opctx *ctx);
int fs_flush(struct handle *h, const struct opctx *ctx);
int fs_fsync(struct handle *h, const struct opctx *ctx);
int fs_fallocate(struct handle *h, int mode, int64_t at, int64_t len, const struct opctx *ctx);
void fs_release(struct handle *h);

/* A snapshot of the names at opendir: offsets stay valid while the directory changes. */
int fs_opendir(struct fs *fs, struct node *n, struct dirhandle **out, const struct opctx *ctx);
struct fs_dirent {
	const char *name; /* valid until fs_releasedir */
	uint64_t ino;
	mode_t type; /* S_IFMT bits */
};
/* Entry number `index` (0, 1: "." and ".."); false at the end. */
bool fs_dirent(struct dirhandle *d, uint64_t index, struct fs_dirent *out);
/* For readdirplus: a lookup on entry `index`, if its attributes can be given at once, without the
 * network: true and one lookup counted; false: let the kernel look it up if it needs to. */
bool fs_dirent_plus(struct dirhandle *d, uint64_t index, struct fs_found *out);
void fs_releasedir(struct dirhandle *d);

/* user.ftpfs.state, size, mtime, hash of a file, as getxattr(2): the last three the server is asked
 * for, now.  -ENODATA: no such name, not on the server yet, or it does not tell.  -EOPNOTSUPP: a
 * name that is not user.*; the server has no hashes.  size 0: how long it may be, without asking.
 */
enum { FS_XATTR_MAX = DIGEST_TEXT_SIZE };
ssize_t fs_getxattr(struct fs *fs, struct node *n, const char *name, char *value, size_t size,
		    const struct opctx *ctx);
/* Those that are listed, each with its NUL; constant.  Bytes. */
size_t fs_listxattr(const struct node *n, const char **names);

int fs_statfs(struct fs *fs, struct statvfs *out, const struct opctx *ctx);

#endif
