/* fuse/ops - the kernel's requests, decoded: each calls one function of fs/ and replies exactly
 * once. */
#ifndef FTPFS_FUSE_OPS_H
#define FTPFS_FUSE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"

struct fuse_session;
struct fuse_args;
struct mount;

struct mount_conf {
	int64_t timeout; /* ns: the deadline of a metadata or read request */
	unsigned max_threads;
	bool debug;	/* -d */
	bool xattr;	/* answer for extended attributes: costs a request for each write(2) */
	bool direct_io; /* each read(2) and write(2) is a request: no page, no shared mapping */
	bool foreground;
};

/* Make a FUSE session whose options are args (libfuse's own: allow_other, ...).  *out is owned by
 * the caller.  On failure a one-line reason has been logged. */
int mount_create(const struct mount_conf *conf, struct fuse_args *args, struct mount **out);
/* Hand it the filesystem (made after it, since fs_conf.on_change is mount_changed with this mount).
 */
void mount_set_fs(struct mount *m, struct fs *fs);
/* mount(2) on an absolute path, and the handlers for SIGINT, SIGTERM and SIGHUP; -errno, logged. */
int mount_attach(struct mount *m, const char *mountpoint);
/* Until unmounted or signalled; then it is unmounted (lazily), so that nobody waits for an answer,
 * and the filesystem may be destroyed. */
int mount_loop(struct mount *m);
/* After fs_destroy(), which may still report changes. */
void mount_destroy(struct mount *m);

/* fs_conf.on_change: queue a notification to the kernel; never blocks. */
void mount_changed(void *mount, struct node *dir, const char *name);
/* fs_conf.on_growth, likewise. */
bool mount_growth(void *mount, struct node *n, int64_t from);

const char *mount_library(void); /* libfuse's version */

#endif
