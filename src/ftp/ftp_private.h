/* ftp_private - what the rooms that speak dialogues share: the remote itself, paths, refusals. */
#ifndef FTPFS_FTP_PRIVATE_H
#define FTPFS_FTP_PRIVATE_H

#include <errno.h>

#include "ftp/errmap.h"
#include "ftp/pool.h"
#include "ftp/remote_ftp.h"

struct remote_ftp {
	struct remote base;
	const struct ftp_conf *conf;
	struct pool *pool;
	char *root; /* absolute path of what is mounted, "" for the server's root */
};

/* One exchange: a session, a reply and two paths, acquired together and released together. */
struct exchange {
	struct remote_ftp *ftp;
	const struct opctx *ctx;
	struct session *s;
	struct reply reply;
	struct buf path; /* the mount's path on the server */
	struct buf arg;	 /* as it is written in the command */
};

/* 0, or -errno with nothing to release. */
int exchange_begin(struct exchange *x, struct remote_ftp *ftp, enum purpose purpose,
		   const char *path, const struct opctx *ctx);
/* Returns rc, having given the session back. */
int exchange_end(struct exchange *x, int rc);

/* The server refused `verb` on x->path with x->reply: -errno.  Where the reply is mute, looks: CWD
 * and SIZE of the path, then of its parent, decide between ENOENT, ENOTDIR, EISDIR, EEXIST,
 * ENOTEMPTY and EACCES. */
int exchange_refused(struct exchange *x, enum verb verb);

/* What is at a server path, by asking for it (no listing). */
enum found { FOUND_NOTHING, FOUND_FILE, FOUND_DIR };
int look_at(struct session *s, const char *server_path, enum found *out, const struct opctx *ctx);

/* Absolute path on the server for a path of the mount; appends. */
int ftp_path(const struct remote_ftp *ftp, const char *path, struct buf *out);

/* Of a data connection that the server was to open; they never leave ftp/. */
#define DATA_NOT_CALLED (-EHOSTUNREACH)
#define DATA_REFUSED	(-ENOPROTOOPT)

/* The data connection that was opened ahead, if there is one that still stands. */
bool data_take_hot(struct session *s, struct data *d, const struct opctx *ctx);
/* Open a data connection: 0 and *d, or -errno.  `cwd` (may be NULL) is entered in the same flight
 * as EPSV; when it is refused: -ENOENT, with the refusal in *r. */
int data_open(struct session *s, const char *cwd, struct data *d, struct reply *r,
	      const struct opctx *ctx);
/* May the server be asked to open the connection: does it work, and is no EPSV on its way that the
 * question would cancel? */
bool data_may_call(const struct session *s);
/* Listen for it. */
bool data_listen(struct session *s, struct data *d);
/* Queue EPRT: the transfer's command follows in the same flight.  `awaited` replies, that somebody
 * is about to wait for, come before EPRT's.  The listener stays the caller's. */
int data_call(struct session *s, unsigned awaited, struct data *d);
/* Ask for the first time, in a flight of its own, so that a server that does not like it has not
 * begun anything.  0; DATA_REFUSED: it said no, open a connection yourself; or -errno. */
int data_probe(struct session *s, struct data *d, const struct opctx *ctx);
/* Put TLS on it, if the session has it and the connection is there. */
int data_secure(struct session *s, struct data *d);
/* The transfer's command has been sent: begin the handshake in its flight.  `behind`: in a flight
 * with commands before it, so that the server may see the handshake before the transfer; not all
 * bear that.  What goes wrong data_start() or data_handshake() will tell. */
void data_hello(struct session *s, struct data *d, bool behind);
/* RETR, STOR or a listing has been sent: await the server's call, complete the TLS handshake (which
 * some servers want before their 150, some after) and wait for the 1xx.  0; the code of another
 * reply, which is in *r (425 also when EPRT was refused); DATA_NOT_CALLED: the server does not
 * call, and may be trying to for a long time: the session is broken; or -errno. */
int data_start(struct session *s, struct data *d, struct reply *r, const struct opctx *ctx);

/* As ftp_list, on a session in hand, by server path.  ERRMAP_MUTE: it is missing or may not be
 * entered, and the server does not say which. */
int ftp_list_on(struct session *s, const char *server_dir, struct listing *out,
		const struct opctx *ctx);

/* What a reply to MLST, SIZE or MDTM tells about an entry.  A refusal tells nothing. */
int entry_from_mlst(const struct reply *r, struct entry *out); /* 0, -EPROTO */
void entry_take_size(struct entry *e, const struct reply *r);
void entry_take_time(struct entry *e, const struct reply *r);

/* What the reply to SITE CHMOD teaches. */
void chmod_learn(struct caps *c, int code);

/* The operations, by room. */
int ftp_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx);
int ftp_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
	     const struct opctx *ctx);
int ftp_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
		  const struct opctx *ctx);
int ftp_settle(struct remote *r, const char *path, struct settle *s, const struct opctx *ctx);
enum hash_kind ftp_hash_kind(struct remote *r);
int ftp_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		  const struct opctx *ctx);
int ftp_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		   struct stream **out, const struct opctx *ctx);
int ftp_can_patch(struct remote *r, const char *temp, const struct opctx *ctx);
int ftp_mkdir(struct remote *r, const char *path, const struct opctx *ctx);
int ftp_rmdir(struct remote *r, const char *path, const struct opctx *ctx);
int ftp_remove(struct remote *r, const char *path, const struct opctx *ctx);
int ftp_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
	       const struct opctx *ctx);
int ftp_set_mtime(struct remote *r, const char *path, int64_t mtime, const struct opctx *ctx);
int ftp_set_mode(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx);
int ftp_can_set(struct remote *r, enum remote_attr what);
int ftp_symlink(struct remote *r, const char *target, const char *path, const struct opctx *ctx);
int ftp_readlink(struct remote *r, const char *path, struct buf *out, const struct opctx *ctx);
int ftp_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx);
int ftp_space(struct remote *r, struct space *out, const struct opctx *ctx);

#endif
