/* fuse/ops - requests about one file: attributes, open, read, write, close */
#include "fuse/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs/writeback.h"
#include "fuse/control.h"
#include "request.h"

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct mount *m = fuse_req_userdata(req);

	if (ino != FUSE_ROOT_ID)
		fs_forget(m->fs, (struct node *)(uintptr_t)ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *m = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		if (forgets[i].ino != FUSE_ROOT_ID)
			fs_forget(m->fs, (struct node *)(uintptr_t)forgets[i].ino,
				  forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	struct fs_attr attr;

	(void)fi;
	request_begin(&r, req, BOUNDED);
	int rc = fs_getattr(r.fs, request_node(&r, ino), &attr, &r.ctx);
	request_end(&r);
	reply_attr(req, rc, &attr);
}

static unsigned what_to_set(int to_set)
{
	static const struct {
		int kernel;
		unsigned ours;
	} map[] = {
		{FUSE_SET_ATTR_MODE, FS_SET_MODE},   {FUSE_SET_ATTR_UID, FS_SET_UID},
		{FUSE_SET_ATTR_GID, FS_SET_GID},     {FUSE_SET_ATTR_SIZE, FS_SET_SIZE},
		{FUSE_SET_ATTR_MTIME, FS_SET_MTIME}, {FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW},
	};
	unsigned set = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (to_set & map[i].kernel)
			set |= map[i].ours;
	return set;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int to_set,
		       struct fuse_file_info *fi)
{
	struct request r;
	struct fs_attr attr;

	/* A new size may mean fetching or storing a whole file. */
	request_begin(&r, req, to_set & FUSE_SET_ATTR_SIZE ? UNBOUNDED : BOUNDED);
	int rc = fs_setattr(r.fs, request_node(&r, ino), handle_of(fi), what_to_set(to_set), want,
			    &attr, &r.ctx);
	request_end(&r);
	reply_attr(req, rc, &attr);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct request r;
	struct buf target;

	buf_init(&target, PATH_LIMIT + 1);
	request_begin(&r, req, BOUNDED);
	int rc = fs_readlink(r.fs, request_node(&r, ino), &target, &r.ctx);
	request_end(&r);
	if (rc < 0)
		reply_status(req, rc);
	else
		fuse_reply_readlink(req, buf_text(&target));
	buf_free(&target);
}

static void opened(const struct request *r, struct handle *h, bool keep_cache,
		   struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)h;
	fi->keep_cache = keep_cache;
	fi->direct_io = r->mount->conf.direct_io ||
			(r->mount->past_pages && fs_past_pages(r->fs, fi->flags));
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	bool keep_cache = false;

	request_begin(&r, req, fi->flags & O_TRUNC ? UNBOUNDED : BOUNDED);
	int rc = fs_open(r.fs, request_node(&r, ino), fi->flags, &h, &keep_cache, &r.ctx);
	request_end(&r);
	if (rc < 0) {
		reply_status(req, rc);
		return;
	}
	opened(&r, h, keep_cache, fi);
	if (fuse_reply_open(req, fi) < 0)
		fs_release(h);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct request r;
	struct fs_found found;
	struct handle *h;
	bool keep_cache = false;

	request_begin(&r, req, UNBOUNDED);
	int rc = fs_create_file(r.fs, request_node(&r, parent), name, mode, fi->flags, &found, &h,
				&keep_cache, &r.ctx);
	request_end(&r);
	if (rc < 0) {
		reply_status(req, rc);
		return;
	}
	struct fuse_entry_param e;
	found_to_entry(r.mount, &found, &e);
	opened(&r, h, keep_cache, fi);
	if (fuse_reply_create(req, &e, fi) < 0) {
		fs_release(h);
		fs_forget(r.fs, found.node, 1);
	}
}

/* mknod(2) of a regular file: an empty one, stored before the answer, since no close will follow
 * that could tell of a failure. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct request r;
	struct fs_found found;
	struct handle *h;
	bool keep_cache;

	(void)rdev;
	if (!S_ISREG(mode)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_create_file(r.fs, request_node(&r, parent), name, mode,
				O_CREAT | O_EXCL | O_WRONLY, &found, &h, &keep_cache, &r.ctx);
	if (rc == 0) {
		rc = fs_flush(h, &r.ctx);
		fs_release(h);
		if (rc < 0)
			fs_forget(r.fs, found.node, 1);
	}
	request_end(&r);
	reply_found(&r, rc, &found);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct request r;
	char *bytes = worker_bytes(size ? size : 1);

	(void)ino;
	if (!bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request_begin(&r, req, BOUNDED);
	ssize_t n = fs_read(handle_of(fi), bytes, size, off, &r.ctx);
	request_end(&r);
	if (n < 0)
		reply_status(req, (int)n);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
	worker_give_back(bytes);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct request r;

	(void)ino;
	request_begin(&r, req, UNBOUNDED);
	ssize_t n = fi->writepage ? fs_write_page(handle_of(fi), bytes, size, off, &r.ctx)
				  : fs_write(handle_of(fi), bytes, size, off, &r.ctx);
	request_end(&r);
	if (n < 0)
		reply_status(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* After -EOPNOTSUPP the kernel reads and writes. */
static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			       struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			       struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct request r;

	(void)ino_in, (void)ino_out;
	if (flags != 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	request_begin(&r, req, UNBOUNDED);
	ssize_t n = fs_copy(handle_of(fi_in), off_in, handle_of(fi_out), off_out, len, &r.ctx);
	request_end(&r);
	if (n < 0)
		reply_status(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;

	(void)ino;
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_flush(handle_of(fi), &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct request r;

	(void)ino;
	(void)datasync;
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_fsync(handle_of(fi), &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
			 struct fuse_file_info *fi)
{
	struct request r;

	(void)ino;
	if (mode != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_fallocate(handle_of(fi), mode, off, length, &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_release(handle_of(fi));
	fuse_reply_err(req, 0);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
		     size_t out_size)
{
	struct mount *m = fuse_req_userdata(req);
	struct owing owing;

	(void)ino, (void)arg, (void)fi, (void)flags, (void)in, (void)in_size;
	if (command != (unsigned)FTPFS_IOC_OWING || out_size < sizeof(struct ftpfs_owing)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	fs_owing(m->fs, &owing);
	struct ftpfs_owing answer = {.files = owing.files,
				     .bytes = owing.bytes,
				     .failing = owing.failing,
				     .umount_wait = owing.umount_wait / NS_PER_S};
	fuse_reply_ioctl(req, 0, &answer, sizeof(answer));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct request r;
	struct statvfs st;

	(void)ino;
	memset(&st, 0, sizeof(st));
	request_begin(&r, req, BOUNDED);
	int rc = fs_statfs(r.fs, &st, &r.ctx);
	request_end(&r);
	if (rc < 0)
		reply_status(req, rc);
	else
		fuse_reply_statfs(req, &st);
}

/* What is absent here the kernel does itself (access, locks, lseek) or reports as not supported
 * (extended attributes, see xattr.c). */
void ops_fill_file(struct fuse_lowlevel_ops *ops)
{
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->readlink = op_readlink;
	ops->mknod = op_mknod;
	ops->open = op_open;
	ops->create = op_create;
	ops->read = op_read;
	ops->write = op_write;
	ops->copy_file_range = op_copy_file_range;
	ops->flush = op_flush;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->release = op_release;
	ops->statfs = op_statfs;
	ops->ioctl = op_ioctl;
}
