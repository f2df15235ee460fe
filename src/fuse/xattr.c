/* fuse/xattr - extended attributes, only where they are wanted (mount_conf.xattr): once there is a
 * handler for them, the kernel asks before each write whether the file has capabilities to drop. */
#include <errno.h>

#include "request.h"

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct request r;
	char value[FS_XATTR_MAX];

	request_begin(&r, req, UNBOUNDED);
	ssize_t n = fs_getxattr(r.fs, request_node(&r, ino), name, value,
				size < sizeof(value) ? size : sizeof(value), &r.ctx);
	request_end(&r);
	if (n < 0)
		reply_status(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, value, (size_t)n);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct request r;
	const char *names;

	request_begin(&r, req, BOUNDED);
	size_t n = fs_listxattr(request_node(&r, ino), &names);
	request_end(&r);
	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (size < n)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, n);
}

void ops_fill_xattr(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
}
