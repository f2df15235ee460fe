/* fs/file - open files: each read and write goes to a reader (bytes straight from the server) or to
 * the spool (local bytes of a file that is being written).
 *
 * One struct file per node that is open, however many handles it has; node->file points to it
 * (under tree.lock) from the first open to the last release.  States, and what they mean:
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
 * The promise: fs_flush (close) of a handle open for writing, and fs_fsync of any, return 0 only if
 * the server has confirmed every byte written before the call.  (The close of a reader commits
 * nothing: it would put half of somebody's save on the server, or wait for somebody else's lost
 * link.)  An error is returned to that caller and kept for the next fsync/close of each other
 * handle; the spool stays and the next commit tries again.
 *
 * With write=back a close returns 0 when the bytes and the promise to store them are on the local
 * disk (fs/journal); fsync still waits for the server.  docs/durability.md has the states with what
 * is on which disk in each. */
#ifndef FTPFS_FS_FILE_H
#define FTPFS_FS_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/hash.h"
#include "base/lock.h"
#include "base/opctx.h"
#include "fs/spool.h"
#include "fs/tree.h"
#include "remote.h"

struct journal;
struct owed_file;
struct prefetch;
struct reader;
struct writeback;

/* When is a change in the middle written into the server's file itself (fs/patch)? */
enum inplace {
	INPLACE_AUTO, /* where it saves much: a big file of which little has changed */
	INPLACE_ON,   /* wherever the server can */
	INPLACE_OFF,
};

/* Is a file's content put in its place as a whole (a temporary sibling, then a rename)? */
enum atomicity {
	ATOMIC_AUTO, /* what replaces something, as far as the directory allows; what only grows is
		      * appended, parts are replaced in place as `inplace` says */
	ATOMIC_ON,   /* always: others see the old content or the new one, or the error is told */
	ATOMIC_OFF,  /* never: no temporary name, no rename */
};

enum { LITTER_MAX = 64 }; /* the next mount removes what is more */

/* What the file rooms share; one per mount, set up by fs_create(). */
struct files {
	struct tree *tree;
	struct remote *remote;
	struct prefetch *prefetch;   /* NULL: off */
	const char *spool_dir;	     /* absolute, private to us */
	int64_t timeout;	     /* ns: a commit without progress for so long fails */
	struct journal *journal;     /* NULL: nothing outlives the process */
	struct writeback *writeback; /* NULL: nothing is stored later */
	bool back;		     /* write=back: a close promises; else it stores */
	int64_t cache_size;	     /* bytes that may be promised and not stored; 0: no limit */
	enum inplace inplace;
	enum atomicity atomic;
	int64_t copy_least;	 /* bytes: smaller files are not copied by the server */
	bool verify_hash;	 /* verify=hash */
	atomic_bool hash_missed; /* ... and the server did not tell one: said once */
	LIST_HEAD(, file) open;	 /* under tree.lock */
	unsigned releasing;	 /* handles whose release has something to store; under tree.lock */
	/* Temporaries of files that are closed, which could not be removed; under tree.lock. */
	struct litter {
		char *path;
		uint64_t id; /* in the journal */
		int64_t due; /* monotonic ns: not to be tried before */
	} litter[LITTER_MAX];
	unsigned nlitter;
	_Atomic unsigned segments; /* in memory, of all crews */
};

enum file_state { FILE_CLEAN, FILE_DIRTY, FILE_COMMITTING, FILE_FAILED, FILE_ORPHAN };

/* What the server has of a file, and what is on its way there.  A thread that is at the network for
 * the file works on a copy and puts it back. */
struct stored {
	struct stream
		*upload; /* what is on its way: follows a sequential writer from call to call */
	enum upload_to {
		UPLOAD_NAME, /* STOR under the file's name */
		UPLOAD_TEMP, /* STOR to `temp`, which then replaces the file */
		UPLOAD_TAIL, /* APPE */
		UPLOAD_PART, /* REST + STOR into the file */
	} to;
	int64_t sent;	      /* the upload has been given the file's bytes up to here */
	bool on_server;	      /* a file of this name is there */
	bool partial;	      /* ... and it is a part of an upload of ours: nothing to preserve */
	bool doubt;	      /* ... unless the command that was to make it never arrived */
	bool fetched;	      /* bytes were fetched, and the base was not looked at since */
	bool unproven;	      /* after a crash it was taken for ours by its ends */
	bool cut;	      /* the last try under that name ended with the link: a session of the
			       * server may be at work on the file until its own timeout, and some
			       * (vsftpd) lock it, so that whoever stores into it waits */
	unsigned char silent; /* tries of a patch, which needs the same file, without an answer */
	bool no_append;	      /* the server cannot APPE, or an APPE of ours was torn */
	bool no_temp;	      /* its directory takes no temporary sibling, or none is wanted */
	bool no_patch; /* the server would not replace a part of it, or it was begun to be stored
			* in another way; until it is stored */
	uint64_t patching; /* file.writes when a patch began that is not confirmed: inside what is
			    * dirty the server's file is a mixture; 0: none */
	int64_t size;	   /* of the server's file, as last confirmed */
	int64_t mtime;	   /* likewise, when exact; REMOTE_KEEP_MTIME: not known */
	bool replacing;	   /* our rename over it may have happened: it is then of new_... */
	int64_t new_size, new_mtime; /* as size and mtime */
	struct hash *hash; /* of what the upload has been given so far, from 0 on; NULL: not kept */
	char *temp;	   /* a temporary sibling of ours that may exist; NULL: none */
	uint64_t temp_id;  /* its number in the journal */
};

struct file {
	LIST_ENTRY(file) link; /* of files->open */
	struct files *files;   /* constant */
	struct node *node;     /* constant; pinned */
	unsigned refs;	       /* guarded by tree.lock: handles, and threads that work by node */
	int64_t told;	       /* likewise: the size that the kernel has pages for */
	int64_t telling; /* likewise: the size it is told when it has dropped them; -1: none */
	_Atomic int64_t
		own_mtime; /* the mtime we last set on the server by name: not somebody's change */
	_Atomic int64_t append_end; /* an APPE or a patch of ours that is not confirmed may have
				     * grown the server's file to at most this; 0: none.  Not
				     * somebody's change either */
	struct mutex lock;
	struct cond settled;
	enum file_state state GUARDED_BY(lock);
	bool busy GUARDED_BY(lock); /* a thread is at the network for this file */
	struct handle *handles GUARDED_BY(lock);
	unsigned writers GUARDED_BY(lock);    /* handles open for writing */
	unsigned resizing GUARDED_BY(lock);   /* threads in file_truncate(), which have none */
	struct spool *spool GUARDED_BY(lock); /* NULL while CLEAN and never written */
	struct reader *filler; /* the server's copy, for what the spool lacks; of who is `busy` */
	uint64_t version GUARDED_BY(lock); /* moves when the spool goes: readers are of the past */
	struct stored stored GUARDED_BY(lock);
	int64_t run_from GUARDED_BY(lock), run_to
		GUARDED_BY(lock);	 /* the last run of writes in order */
	bool no_follow GUARDED_BY(lock); /* a following upload failed; wait for the commit */
	bool touched GUARDED_BY(lock);	 /* changed since the last commit, if only there and back */
	bool pages_good GUARDED_BY(lock); /* the kernel's pages are of what the spool began with */
	int64_t doomed_until
		GUARDED_BY(lock); /* monotonic ns: its name is being removed; commits wait */
	int64_t want_mtime GUARDED_BY(lock); /* to set at commit; REMOTE_KEEP_MTIME: none */
	int64_t want_mode GUARDED_BY(lock);  /* likewise; REMOTE_KEEP_MODE: none */
	uint64_t writes
		GUARDED_BY(lock);     /* counts changes: a commit that finds it moved stays DIRTY */
	bool owed GUARDED_BY(lock);   /* the journal has a promise for the spool ... */
	bool intent GUARDED_BY(lock); /* ... to nobody: a commit is under way, and would be half
				       * done if we ended now */
	uint64_t promised GUARDED_BY(lock); /* ... that was made at this count of changes */
	bool recovered GUARDED_BY(lock);    /* promised by an earlier process, or refused since: the
					     * server's file is looked at before the next try */
	struct owed_file *queued GUARDED_BY(lock); /* by writeback; NULL: not */
	unsigned refused GUARDED_BY(lock);	   /* handles that are `refused` ... */
	unsigned releasing GUARDED_BY(lock);	   /* ... so many of them are being released */
};

/* The invariant that everything rests on which is done after a patch broke off: outside the dirty
 * ranges of the spool the server's bytes are those of the base, however far it came.  A patch sends
 * only what is dirty, and base bytes between two dirty ranges; what is dirty stays so until the
 * server has confirmed all of it (or is cut off together with the base).  So what the spool lacks
 * may still be fetched, since it is never dirty; a reader is served from the spool; the same patch
 * may be repeated, or the whole file be stored. */

/* One open(2).  Used by any thread. */
struct handle {
	struct file *file;
	struct handle *next; /* of the file; guarded by file->lock */
	int flags;	     /* of open(2) */
	int error;	     /* of a commit, to be told once; guarded by file->lock */
	bool refused;	     /* its close was told that the server does not take it; likewise */
	struct mutex reader_made; /* guards the rest */
	struct reader *reader;	  /* made at the first read that needs the server */
	uint64_t version;	  /* of the file, when reader was made */
};

/* Before n is opened: has somebody's close been told that the server does not take n's content, and
 * is it still to be set aside?  Waits until it is, within ctx.  0, -EINTR. */
int file_await_release(struct files *f, struct node *n, const struct opctx *ctx);
/* Open an existing node.  O_TRUNC empties it.  *keep_cache: the kernel's pages of it are still
 * good. */
int file_open(struct files *f, struct node *n, int flags, struct handle **out, bool *keep_cache,
	      const struct opctx *ctx);
/* The same for a node that was just made with NODE_LOCAL: nothing is sent yet; the file appears on
 * the server with its first commit (close, fsync) or when streaming begins. `mode` is applied then.
 */
int file_create(struct files *f, struct node *n, int flags, uint32_t mode, struct handle **out,
		const struct opctx *ctx);
ssize_t file_read(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx);
/* O_APPEND of the handle puts the bytes at the end, whatever `at` says. */
ssize_t file_write(struct handle *h, const void *from, size_t n, int64_t at,
		   const struct opctx *ctx);
/* Bytes of a shared mapping, which belong at `at` through whatever handle they come. */
ssize_t file_write_page(struct handle *h, const void *from, size_t n, int64_t at,
			const struct opctx *ctx);
/* The server itself copies `from`, all n bytes of it, over `to`, which was emptied and not written
 * since: n, and the server has confirmed it.  -EOPNOTSUPP: read and write instead; nothing has
 * changed. */
ssize_t file_copy(struct handle *from, int64_t from_at, struct handle *to, int64_t to_at, size_t n,
		  const struct opctx *ctx);
int file_flush(struct handle *h, const struct opctx *ctx); /* close(2): commits */
int file_fsync(struct handle *h, const struct opctx *ctx);
/* The last close: what is still dirty is committed here (`store`), and an error is logged with the
 * spool's name, since nobody is left to tell. */
void file_release(struct handle *h, bool store);
/* Until the releases that are storing something have stored or promised it, or given it up: 0,
 * -EINTR, -ETIMEDOUT. */
int file_await_releases(struct files *files, const struct opctx *ctx);

/* By node, open or not. */
int file_truncate(struct files *f, struct node *n, int64_t size, const struct opctx *ctx);
/* Allocate [at, at+len): grows the file when it is shorter (never shrinks). */
int file_allocate(struct handle *h, int64_t at, int64_t len, const struct opctx *ctx);
/* If the file has changes that are not on the server yet, note the value for its commit and return
 * 1; otherwise 0 and the caller sets it on the server.  -EOPNOTSUPP: the server is known not to set
 * that.  Where it is not known, the file is stored first, and then it is 0, or the error of that:
 * so nothing is noted that would be refused when nobody is left to tell.  But a time that is `now`
 * is 1 in any case, since that is what the bytes get when they arrive, and so is a mode that is set
 * before the first byte of a new file, and its first close, as that which it was created with. */
int file_defer_mtime(struct files *f, struct node *n, int64_t mtime, bool now,
		     const struct opctx *ctx);
int file_defer_mode(struct files *f, struct node *n, uint32_t mode, const struct opctx *ctx);
/* Before its name changes: the server gets every change.  For a directory the caller asks for each
 * open file below it. */
int file_before_rename(struct files *f, struct node *n, const struct opctx *ctx);
/* Before its name goes away (unlink, or replaced by a rename): if it is open, everything that its
 * handles may still read comes into the spool, and it becomes an ORPHAN with file_after_remove().
 * *on_server: there is something to delete. */
int file_before_remove(struct files *f, struct node *n, bool *on_server, const struct opctx *ctx);
/* The same before the server renames another file over it: what is promised is stored first.  Were
 * we killed after that rename, the next mount could take the other file for what it was promised on
 * top of (size and time to the second are all that it knows of that), and store the promise over
 * it.  What cannot be stored for another reason than the link is about to go anyway. */
int file_before_replace(struct files *f, struct node *n, bool *on_server, const struct opctx *ctx);
/* How it ended: the name is gone; or it stays after all.  Between before and after no commit of the
 * file starts, so that the name does not come back (for at most files.timeout, should nobody tell).
 */
void file_after_remove(struct files *f, struct node *n);
void file_still_there(struct files *f, struct node *n);
/* Commit every dirty file and release every handle (unmount): nobody will, after a SIGTERM, or when
 * the kernel dropped what it had not told us yet.  Returns the first error, having tried all. */
int file_close_all(struct files *f, const struct opctx *ctx);

#endif
