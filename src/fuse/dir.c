/* fuse/dir - requests about names: lookup, listing, and what changes a directory */
#include <errno.h>
#include <stdio.h> /* RENAME_NOREPLACE */
#include <stdlib.h>
#include <string.h>

#include "request.h"

static struct dirhandle *dirhandle_of(const struct fuse_file_info *fi)
{
	return (struct dirhandle *)(uintptr_t)fi->fh;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;
	struct fs_found found;

	request_begin(&r, req, BOUNDED);
	int rc = fs_lookup(r.fs, request_node(&r, parent), name, &found, &r.ctx);
	request_end(&r);
	reply_found(&r, rc, &found);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct request r;
	struct fs_found found;

	request_begin(&r, req, BOUNDED);
	int rc = fs_mkdir(r.fs, request_node(&r, parent), name, mode, &found, &r.ctx);
	request_end(&r);
	reply_found(&r, rc, &found);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct request r;
	struct fs_found found;

	request_begin(&r, req, BOUNDED);
	int rc = fs_symlink(r.fs, target, request_node(&r, parent), name, &found, &r.ctx);
	request_end(&r);
	reply_found(&r, rc, &found);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

/* An open file that loses its name is first fetched whole, and one that changes its name is first
 * stored: removing and renaming take as long as that does. */
static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;

	request_begin(&r, req, UNBOUNDED);
	int rc = fs_unlink(r.fs, request_node(&r, parent), name, &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;

	request_begin(&r, req, BOUNDED);
	int rc = fs_rmdir(r.fs, request_node(&r, parent), name, &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct request r;

	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_rename(r.fs, request_node(&r, parent), name, request_node(&r, new_parent),
			   new_name, flags ? FS_RENAME_NOREPLACE : 0, &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	struct dirhandle *d;

	request_begin(&r, req, BOUNDED);
	int rc = fs_opendir(r.fs, request_node(&r, ino), &d, &r.ctx);
	request_end(&r);
	if (rc < 0) {
		reply_status(req, rc);
		return;
	}
	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) < 0)
		fs_releasedir(d);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_releasedir(dirhandle_of(fi));
	fuse_reply_err(req, 0);
}

/* Not only this directory's: what was promised is stored in any order. */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct request r;

	(void)ino;
	(void)datasync;
	(void)fi;
	request_begin(&r, req, UNBOUNDED);
	int rc = fs_sync(r.fs, &r.ctx);
	request_end(&r);
	reply_status(req, rc);
}

/* One answer to readdir or readdirplus, as it fills. */
struct page {
	fuse_req_t req;
	struct mount *mount;
	struct dirhandle *dir;
	char *bytes;
	size_t size, used;
	struct node *
		*given; /* readdirplus: the nodes whose lookup is counted in it; NULL: readdir */
	size_t ngiven;
};

/* The smallest entry of a readdirplus answer: fuse_entry_out and an empty fuse_dirent. */
enum { PLUS_ENTRY_MIN = 152 };

static bool page_init(struct page *p, fuse_req_t req, size_t size, const struct fuse_file_info *fi,
		      bool plus)
{
	memset(p, 0, sizeof(*p));
	p->req = req;
	p->mount = fuse_req_userdata(req);
	p->dir = dirhandle_of(fi);
	p->size = size;
	p->bytes = malloc(size + 1);
	if (plus)
		p->given = malloc((size / PLUS_ENTRY_MIN + 1) * sizeof(struct node *));
	return p->bytes && (!plus || p->given);
}

static void page_free(struct page *p)
{
	free(p->bytes);
	free(p->given);
}

/* Each add returns false when the entry did not fit. */
static bool page_add(struct page *p, const struct fs_dirent *e, uint64_t index)
{
	struct stat st = {.st_ino = e->ino, .st_mode = e->type};
	size_t left = p->size - p->used;
	size_t need = fuse_add_direntry(p->req, p->bytes + p->used, left, e->name, &st,
					(off_t)(index + 1));

	if (need > left)
		return false;
	p->used += need;
	return true;
}

static bool page_add_plus(struct page *p, const struct fs_dirent *e, uint64_t index)
{
	struct fs_found found;
	struct fuse_entry_param param;
	size_t left = p->size - p->used;
	/* "." and ".." are the kernel's own: it ignores a lookup of them, so none may be counted.
	 */
	bool known = index > 1 && fs_dirent_plus(p->dir, index, &found);

	memset(&param, 0, sizeof(param));
	if (known)
		found_to_entry(p->mount, &found, &param);
	param.attr.st_ino = e->ino;
	if (!known)
		param.attr.st_mode = e->type;
	size_t need = fuse_add_direntry_plus(p->req, p->bytes + p->used, left, e->name, &param,
					     (off_t)(index + 1));
	if (need > left) {
		if (known)
			fs_forget(p->mount->fs, found.node, 1);
		return false;
	}
	if (known)
		p->given[p->ngiven++] = found.node;
	p->used += need;
	return true;
}

static void page_reply(struct page *p)
{
	if (fuse_reply_buf(p->req, p->bytes, p->used) == 0)
		return;
	for (size_t i = 0; i < p->ngiven; i++)
		fs_forget(p->mount->fs, p->given[i], 1);
}

static void read_page(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi,
		      bool plus)
{
	struct page p;
	struct fs_dirent e;

	if (!page_init(&p, req, size, fi, plus)) {
		fuse_reply_err(req, ENOMEM);
		page_free(&p);
		return;
	}
	for (uint64_t i = (uint64_t)off; fs_dirent(p.dir, i, &e); i++)
		if (plus ? !page_add_plus(&p, &e, i) : !page_add(&p, &e, i))
			break;
	page_reply(&p);
	page_free(&p);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)ino;
	read_page(req, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	(void)ino;
	read_page(req, size, off, fi, true);
}

void ops_fill_dir(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->mkdir = op_mkdir;
	ops->symlink = op_symlink;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->opendir = op_opendir;
	ops->fsyncdir = op_fsyncdir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
	ops->releasedir = op_releasedir;
}
