/* remote - what a filesystem asks of a server: the seam between fs/ and ftp/.
 *
 * Paths obey base/path.h and are relative to the mounted directory ("/" is what is mounted).  Sizes
 * and offsets are bytes, times ns since the epoch UTC.  Every operation returns 0 (or a count) or
 * -errno, may be called from any thread, and blocks only its caller: it ends when `ctx` is
 * interrupted (-EINTR) or past its deadline (-ETIMEDOUT), and every single network wait is bounded
 * by the implementation's own stall limit besides.  No operation returns 0 for what the server has
 * not confirmed.
 *
 * Errors of the link, as opposed to answers of the server, are those of remote_link_error(); they
 * leave it open whether a command was carried out.  An operation that the server cannot do is
 * -EOPNOTSUPP; nobody above this seam asks which server it is.
 *
 * ftp/remote_ftp implements it; remote/retry and remote/trace wrap it; tests/lib/remote_mem and
 * remote_fault implement and spoil it without a network. */
#ifndef FTPFS_REMOTE_H
#define FTPFS_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/entry.h"
#include "base/hash.h"
#include "base/opctx.h"

struct remote;
struct stream;

enum if_exists {
	RENAME_REPLACE_TARGET, /* an existing file (or empty directory) at the target is replaced;
				* -EEXIST where the server does not do that: the caller has to
				* make way */
	RENAME_KEEP_TARGET,    /* -EEXIST when the target exists */
};

enum write_how {
	WRITE_WHOLE,  /* STOR: the file is created or replaced; `at` is 0 */
	WRITE_APPEND, /* APPE: bytes go to the end; `at` is where the caller believes the end is */
	WRITE_PATCH,  /* REST + STOR: bytes replace those from `at` on, the rest survives.
		       * -EOPNOTSUPP where the server is not known to keep the rest (can_patch()),
		       * and at 0, where a STOR begins anew */
};

struct space {
	uint64_t total, free; /* bytes */
};

enum remote_attr { REMOTE_MODE, REMOTE_MTIME };

#define REMOTE_KEEP_MODE  (-1)
#define REMOTE_KEEP_MTIME INT64_MIN

/* What a finished upload is to become, and what the server then says that it is. */
struct settle {
	int64_t mode, mtime; /* to apply; REMOTE_KEEP_... */
	enum hash_kind hash; /* to be told, too; HASH_NONE */
	int64_t hashed;	     /* bytes that the server has to read for it, and is given time for */
	bool done; /* out, of stream_finish(): the rest is what remote_settle() would give */
	bool mode_refused, mtime_refused; /* out: it was to be applied, and was not */
	struct entry entry;		  /* no strings in it */
	struct digest digest; /* of the kind that was asked for; HASH_NONE: it was not told */
};

struct remote_ops {
	/* All names in `dir`.  `out` is initialised by the caller and empty; on error it may hold a
	 * part that must not be used.  -ENOENT, -ENOTDIR, -EACCES.  A listing that the server cut
	 * short is an error (-EOVERFLOW). */
	int (*list)(struct remote *r, const char *dir, struct listing *out,
		    const struct opctx *ctx);

	/* One entry, following no link.  -ENOENT when it is certainly not there; -EOPNOTSUPP when
	 * this server cannot answer `want` (bits of entry.have; the type is always wanted) for one
	 * path in one flight: list the parent instead.  The answer may have more bits than were
	 * wanted. */
	int (*stat)(struct remote *r, const char *path, unsigned want, struct entry *out,
		    const struct opctx *ctx);

	/* Make the times (and sizes) of n entries of `dir` exact, in as few round trips as
	 * possible. Sets size, mtime and have of each *e[i] that the server answered for and leaves
	 * the others alone; 0 unless the link failed.  Only regular files are asked for. */
	int (*stat_many)(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			 const struct opctx *ctx);

	/* Bytes of `path` from offset `from` to its end.  -ENOENT, -EISDIR, -EACCES.  `from` beyond
	 * the end gives a stream at its end.  *out is owned by the caller until stream_close(). */
	int (*open_read)(struct remote *r, const char *path, int64_t from, struct stream **out,
			 const struct opctx *ctx);
	/* -EACCES, -ENOSPC, -EISDIR, -ENOENT (parent).  Some servers answer only at
	 * stream_finish(). */
	int (*open_write)(struct remote *r, const char *path, enum write_how how, int64_t at,
			  struct stream **out, const struct opctx *ctx);

	/* Does the server keep the rest of a file of which a part is replaced?  0, or -EOPNOTSUPP.
	 * -EAGAIN: nobody has tried yet, and `temp` is NULL.  With a `temp`, a path that is the
	 * caller's, it is tried there; the caller removes that, whatever came of it. */
	int (*can_patch)(struct remote *r, const char *temp, const struct opctx *ctx);

	/* The caller has checked types and existence as far as it can: some servers remove a
	 * directory on DELE, a file on RMD, and say yes to MKD of what exists. */
	int (*mkdir)(struct remote *r, const char *path, const struct opctx *ctx);
	int (*rmdir)(struct remote *r, const char *path, const struct opctx *ctx);
	int (*remove)(struct remote *r, const char *path, const struct opctx *ctx);
	int (*rename)(struct remote *r, const char *from, const char *to, enum if_exists how,
		      const struct opctx *ctx);

	/* -EOPNOTSUPP where the server has no command for it (for this type of entry). */
	int (*set_mtime)(struct remote *r, const char *path, int64_t mtime,
			 const struct opctx *ctx);
	int (*set_mode)(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx);
	/* Will it set that of a file?  0; -EOPNOTSUPP: it has no command for it; -EAGAIN: it has
	 * not said, and was not seen to do or refuse it yet.  Asks nobody, and may change with
	 * every answer. */
	int (*can_set)(struct remote *r, enum remote_attr what);
	int (*symlink)(struct remote *r, const char *target, const char *path,
		       const struct opctx *ctx);
	/* Appends the target as the mount may show it (path_contain_link()). -EINVAL: not a link.
	 */
	int (*readlink)(struct remote *r, const char *path, struct buf *out,
			const struct opctx *ctx);
	int (*copy)(struct remote *r, const char *from, const char *to, const struct opctx *ctx);
	int (*space)(struct remote *r, struct space *out, const struct opctx *ctx);

	/* What a finished upload is, in one flight: applies mode and mtime (when not
	 * REMOTE_KEEP_...), then asks for size and time, and for its hash.  s->entry has HAVE_SIZE
	 * unless the server has no way to tell, and no strings.  A mode, time or hash that the
	 * server refuses is not an error here: mode_refused, mtime_refused and digest.kind tell. */
	int (*settle)(struct remote *r, const char *path, struct settle *s,
		      const struct opctx *ctx);
	/* The best hash that this server can be asked for, as far as it has said; HASH_NONE.  Asks
	 * nobody, and may change with every answer. */
	enum hash_kind (*hash_kind)(struct remote *r);
	/* ns from a command to its reply, the least seen so far; 0: not known.  Never waits.  May
	 * be NULL: never known. */
	int64_t (*round_trip)(struct remote *r);

	void (*describe)(struct remote *r, struct buf *out); /* lines for the log and the status */
	/* Destroys the layers below too.  No operation may be in flight, no stream open. */
	void (*destroy)(struct remote *r);
};

/* The first member of each implementation. */
struct remote {
	const struct remote_ops *ops;
};

/* stream - bytes of one file, moving one way, from open to close in the hands of one thread at a
 * time.  While nobody is inside a read stream it may lose its connection to somebody who needs it
 * more (stream_park says: I shall be idle); the next read then returns -ESTALE and the owner
 * reopens at its offset. */
struct stream_ops {
	/* At least one byte, or 0 at the end of the file, which is returned only after the server's
	 * final reply said that the transfer was complete; or -errno. */
	ssize_t (*read)(struct stream *s, void *to, size_t n, const struct opctx *ctx);
	/* All n bytes, or -errno.  Where the server refuses in the middle its reply decides the
	 * errno (452: -ENOSPC), not the broken pipe. */
	int (*write)(struct stream *s, const void *from, size_t n, const struct opctx *ctx);
	/* The same for [at, at+n) of the local file `fd`, copied by nobody: those bytes stay as
	 * they are until the stream is finished or closed.  Count of bytes taken, at least one, or
	 * -errno.  `wait` false: -EAGAIN when the connection takes nothing now.  -EOPNOTSUPP:
	 * nothing was taken, write() them. */
	ssize_t (*send)(struct stream *s, int fd, int64_t at, size_t n, bool wait,
			const struct opctx *ctx);
	void (*park)(struct stream *s);
	/* Read streams; may be NULL.  Do bytes stand in line on their way to us, longer than the
	 * way itself takes?  The link is then full: more streams would only share it. */
	bool (*queued)(struct stream *s);
	/* Write streams: end of data; wait for the server's final reply.  0 means that it said yes.
	 *
	 * `settle` (may be NULL) is what the caller would ask by remote_settle() next.  Where the
	 * server bears it, it is asked in the same flight as the end of the data, and settle->done
	 * is set.  It stays false where the server does not, or when the answers were lost after
	 * the yes: remote_settle() then.  Mode and time may have been applied although finish
	 * fails, to whatever is there. */
	int (*finish)(struct stream *s, struct settle *settle, const struct opctx *ctx);
	/* Ends the transfer, early if need be, and frees the stream.  Never fails, never blocks on
	 * the network.  A write stream that was not finished leaves a partial file on the server.
	 */
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
};

/* A file that is made beside another one and is to go again is named so, and 16 hex digits:
 * listings hide it. */
#define REMOTE_TEMP_PREFIX ".ftpfs-"
/* Appends such a name, drawn at random, for a file beside `path`. */
int remote_temp_path(const char *path, struct buf *out);

/* Is this an error of the link (the command may or may not have been carried out)? */
bool remote_link_error(int error);

/* Short forms. */
int remote_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx);
int remote_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		const struct opctx *ctx);
int remote_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
		     const struct opctx *ctx);
int remote_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		     const struct opctx *ctx);
int remote_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		      struct stream **out, const struct opctx *ctx);
int remote_can_patch(struct remote *r, const char *temp, const struct opctx *ctx);
int remote_mkdir(struct remote *r, const char *path, const struct opctx *ctx);
int remote_rmdir(struct remote *r, const char *path, const struct opctx *ctx);
int remote_remove(struct remote *r, const char *path, const struct opctx *ctx);
int remote_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
		  const struct opctx *ctx);
int remote_set_mtime(struct remote *r, const char *path, int64_t mtime, const struct opctx *ctx);
int remote_set_mode(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx);
int remote_can_set(struct remote *r, enum remote_attr what);
int remote_symlink(struct remote *r, const char *target, const char *path, const struct opctx *ctx);
int remote_readlink(struct remote *r, const char *path, struct buf *out, const struct opctx *ctx);
int remote_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx);
int remote_space(struct remote *r, struct space *out, const struct opctx *ctx);
int remote_settle(struct remote *r, const char *path, struct settle *s, const struct opctx *ctx);
enum hash_kind remote_hash_kind(struct remote *r);
int64_t remote_round_trip(struct remote *r);
void remote_describe(struct remote *r, struct buf *out);
void remote_destroy(struct remote *r);

ssize_t stream_read(struct stream *s, void *to, size_t n, const struct opctx *ctx);
int stream_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx);
ssize_t stream_send(struct stream *s, int fd, int64_t at, size_t n, bool wait,
		    const struct opctx *ctx);
void stream_park(struct stream *s);
bool stream_queued(struct stream *s); /* false where it is not known */
int stream_finish(struct stream *s, struct settle *settle, const struct opctx *ctx);
void stream_close(struct stream *s);

#endif
