/* fuse/request - private to src/fuse: the mount, and what every request needs around its one call.
 */
#ifndef FTPFS_FUSE_REQUEST_H
#define FTPFS_FUSE_REQUEST_H

#include <fuse_lowlevel.h>
#include <stdatomic.h>

#include "base/opctx.h"
#include "fs/fs.h"
#include "fuse/notify.h"
#include "fuse/ops.h"

struct mount {
	struct mount_conf conf;
	struct fuse_session *se;
	struct notify *notify;
	struct fs *fs;		     /* set before the first request */
	_Atomic(struct node *) root; /* of fs; NULL before: changes are reported from any thread */
	bool past_pages; /* the kernel keeps its pages right when a write goes past them */
	bool attached;
	bool handlers; /* the signal handlers are ours to take back */
};

/* One per worker thread, made at its first request and freed when the thread ends (the only state
 * of this floor that is not in struct mount). */
struct worker {
	atomic_bool cancelled;
	int fd;	      /* eventfd, readable once cancelled; -1: out of descriptors */
	pid_t caller; /* of the request being served */
	char *bytes;  /* for answers; ROOM of them, or NULL */
};

/* How long a request may take. */
enum patience {
	BOUNDED,   /* mount_conf.timeout */
	UNBOUNDED, /* as long as the link makes progress: how much there is to send is the caller's
		      choice */
};

struct request {
	fuse_req_t req;
	struct mount *mount;
	struct fs *fs;
	struct worker *worker; /* NULL: out of memory, cannot be interrupted */
	struct opctx ctx;
};

void request_begin(struct request *r, fuse_req_t req, enum patience patience);
void request_end(struct request *r); /* always before the reply: the request is gone after it */

/* n bytes for one answer, not cleared; NULL: out of memory.  Given back when it is sent. */
char *worker_bytes(size_t n);
void worker_give_back(char *bytes);

struct worker *worker_of_thread(void);
void worker_watch(struct worker *w, fuse_req_t req);
void worker_rest(struct worker *w, fuse_req_t req);

struct node *request_node(const struct request *r, fuse_ino_t ino);
fuse_ino_t mount_ino(const struct mount *m, const struct node *n);

/* Replies that need a conversion.  When the kernel did not take the answer, what was counted for it
 * is taken back. */
void reply_status(fuse_req_t req, int rc);
void reply_attr(fuse_req_t req, int rc, const struct fs_attr *attr);
void reply_found(const struct request *r, int rc, const struct fs_found *found);
void found_to_entry(const struct mount *m, const struct fs_found *found,
		    struct fuse_entry_param *out);
double ns_to_seconds(int64_t ns);

/* What the kernel may ask: by file and by directory. */
void ops_fill_file(struct fuse_lowlevel_ops *ops);
void ops_fill_dir(struct fuse_lowlevel_ops *ops);
void ops_fill_xattr(struct fuse_lowlevel_ops *ops);

#endif
