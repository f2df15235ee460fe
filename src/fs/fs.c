/* fs/fs - making and ending a filesystem, and what the kernel asks about one node. */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stats.h"
#include "file_private.h"
#include "fs/journal.h"
#include "fs/prefetch.h"
#include "fs/recover.h"
#include "fs/writeback.h"
#include "fs_private.h"

enum {
	DEFAULT_MAX_NODES = 1000000,
	SHOWN_BLOCK = 128 << 10, /* st_blksize: what cp and cat read and write at once */
	DIR_SIZE = 4096,
	COPY_LEAST = 64 << 10, /* less is read and written in no more round trips */
};

#define DRAIN_SLICE (200 * NS_PER_MS)
/* The same machine, or one beside it: a written file is fetched again about as fast as it is
 * copied.
 */
#define NEAR (NS_PER_MS / 5)

/* The kernel drops a page at once, unless it waits for the network to fill it. */
#define DROP_SOON (500 * NS_PER_MS)
/* What is left of our names is the next mount's. */
#define SWEEP_AT_END (2 * NS_PER_S)

static int start(struct fs *fs)
{
	const struct fs_conf *c = &fs->conf;
	int err;

	fs->spool_dir = strdup(c->spool_dir ? c->spool_dir : journal_dir(c->journal));
	err = tree_init(&fs->tree, c->dcache_timeout,
			c->max_nodes ? c->max_nodes : DEFAULT_MAX_NODES);
	if (err)
		return err;
	fs->tree.on_change = c->on_change;
	fs->tree.on_change_arg = c->on_change_arg;
	fs->dircache = (struct dircache){.tree = &fs->tree, .remote = c->remote};
	fs->files = (struct files){.tree = &fs->tree,
				   .remote = c->remote,
				   .spool_dir = fs->spool_dir,
				   .inplace = c->inplace,
				   .atomic = c->atomic,
				   .copy_least = c->copy_least ? c->copy_least : COPY_LEAST,
				   .verify_hash = c->verify_hash && !c->read_only,
				   .timeout = c->timeout,
				   .journal = c->journal,
				   .back = c->write_back && !c->read_only,
				   .cache_size = c->cache_size};
	proof_announce(&fs->files);
	if (!fs->spool_dir)
		err = -ENOMEM;
	if (!err && c->prefetch_bytes > 0)
		err = prefetch_create(&fs->tree, &fs->dircache, c->remote, c->prefetch_bytes,
				      c->prefetch_threads, &fs->files.prefetch);
	/* With write=through, too, it stores what an earlier mount has promised, and what a lost
	 * link has left there in part. */
	if (!err && c->journal && !c->read_only)
		err = writeback_create(&fs->files, c->uploads ? c->uploads : 1,
				       &fs->files.writeback);
	if (err) {
		prefetch_destroy(fs->files.prefetch);
		tree_destroy(&fs->tree);
	}
	return err;
}

int fs_create(const struct fs_conf *conf, struct fs **out)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int err = -ENOMEM;

	if (fs) {
		fs->conf = *conf;
		err = start(fs);
	}
	if (!err) {
		*out = fs;
		return 0;
	}
	remote_destroy(conf->remote);
	if (fs)
		free(fs->spool_dir);
	free(fs);
	return err;
}

int fs_probe(struct fs *fs, const struct opctx *ctx)
{
	return dircache_list(&fs->dircache, fs_root(fs), LIST_FOR_USER, ctx);
}

void fs_recover(struct fs *fs, const struct opctx *ctx)
{
	if (fs->files.writeback && journal_count(fs->conf.journal) > 0)
		recover_all(fs, ctx);
}

int fs_sync(struct fs *fs, const struct opctx *ctx)
{
	int err = file_await_releases(&fs->files, ctx);

	if (!err && fs->files.writeback)
		err = writeback_drain(fs->files.writeback, ctx);
	if (!err)
		temp_sweep(&fs->files, SWEEP_AT_END);
	return err;
}

void fs_owing(struct fs *fs, struct owing *out)
{
	*out = (struct owing){0};
	if (fs->files.writeback)
		writeback_owing(fs->files.writeback, out);
	out->umount_wait = fs->conf.umount_wait;
}

/* Until all is stored, the time is over, or the next mount of the same target is there. */
static void drain(struct fs *fs)
{
	int64_t end = fs->conf.umount_wait ? clock_monotonic() + fs->conf.umount_wait
					   : OPCTX_FOREVER;
	struct owing owing;
	int err;

	journal_leaving(fs->conf.journal);
	do {
		int64_t left = end - clock_monotonic();
		struct opctx slice = opctx_for(left < DRAIN_SLICE ? left : DRAIN_SLICE);

		err = writeback_drain(fs->files.writeback, &slice);
	} while (err == -ETIMEDOUT && clock_monotonic() < end && !journal_wanted(fs->conf.journal));
	writeback_owing(fs->files.writeback, &owing);
	if (owing.files)
		log_warn("%" PRIu64 " files (%" PRId64 " bytes) are not on the server yet: they "
			 "are kept in %s, and the next mount stores them",
			 owing.files, owing.bytes, fs->spool_dir);
}

/* No request runs any more, and none will release them. */
static void close_all_dirs(struct fs *fs) UNCHECKED
{
	while (!LIST_EMPTY(&fs->dirhandles))
		fs_releasedir(LIST_FIRST(&fs->dirhandles));
}

void fs_destroy(struct fs *fs)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	int err = file_close_all(&fs->files, &ctx);

	if (err)
		log_error("not everything that was written reached the server: %s", strerror(-err));
	if (fs->files.writeback)
		drain(fs);
	writeback_destroy(fs->files.writeback);
	temp_sweep(&fs->files, SWEEP_AT_END);
	for (unsigned i = 0; i < fs->files.nlitter; i++)
		free(fs->files.litter[i].path);
	close_all_dirs(fs);
	if (fs->files.prefetch)
		prefetch_destroy(fs->files.prefetch);
	tree_destroy(&fs->tree);
	remote_destroy(fs->conf.remote);
	free(fs->spool_dir);
	free(fs);
}

/* The root is made with the tree and never changes. */
struct node *fs_root(struct fs *fs) UNCHECKED
{
	return fs->tree.root;
}

void fs_describe(struct fs *fs, struct buf *out)
{
	mutex_lock(&fs->tree.lock);
	size_t nodes = fs->tree.count;
	mutex_unlock(&fs->tree.lock);
	buf_addf(out, "nodes %zu\n", nodes);
	remote_describe(fs->conf.remote, out);
	stats_describe(out);
}

mode_t fs_shown_mode(const struct fs *fs, const struct node *n)
{
	static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK};
	mode_t mode = n->mode & 07777;

	if (n->type == ENTRY_LINK)
		return S_IFLNK | 0777;
	if (!(n->have & HAVE_MODE))
		mode = n->type == ENTRY_DIR ? 0755 : 0644;
	if (fs->conf.umask_set)
		mode &= ~fs->conf.umask;
	return types[n->type] | mode;
}

/* The kernel believes a larger size first and drops the page that had the old end in it afterwards:
 * whoever reads in between is shown zeros.  So it is told when the page is gone.  What grew by our
 * own writes it knows. */
static int64_t size_to_tell_locked(struct fs *fs, struct node *n) REQUIRES(fs->tree.lock)
{
	struct file *f = n->file;

	if (!f || !fs->conf.on_growth)
		return n->size;
	if (f->telling >= 0)
		return f->told < n->size ? f->told : n->size;
	if (!(n->flags & (NODE_LOCAL | NODE_BUSY)) && n->size > f->told &&
	    fs->conf.on_growth(fs->conf.on_change_arg, n, f->told)) {
		f->telling = n->size;
		tree_pin_locked(n);
		return f->told;
	}
	f->told = n->size;
	return n->size;
}

void fs_pages_dropped(struct fs *fs, struct node *n)
{
	mutex_lock(&fs->tree.lock);
	if (n->file && n->file->telling >= 0) {
		n->file->told = n->file->telling;
		n->file->telling = -1;
	}
	cond_broadcast(&fs->tree.settled);
	tree_unpin_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
}

void fs_show_locked(struct fs *fs, struct node *n, struct fs_attr *out)
{
	struct stat *st = &out->st;
	int64_t mtime = n->mtime / NS_PER_S - (n->mtime % NS_PER_S < 0);

	memset(out, 0, sizeof(*out));
	st->st_ino = n->ino;
	st->st_mode = fs_shown_mode(fs, n);
	st->st_nlink = n->flags & NODE_UNLINKED ? 0 : n->type == ENTRY_DIR ? 2 : 1;
	st->st_uid = fs->conf.uid;
	st->st_gid = fs->conf.gid;
	if (n->type == ENTRY_FILE)
		st->st_size = size_to_tell_locked(fs, n);
	else if (n->type == ENTRY_DIR)
		st->st_size = DIR_SIZE;
	else if (n->target)
		st->st_size = (off_t)strlen(n->target);
	st->st_blksize = SHOWN_BLOCK;
	st->st_blocks = (st->st_size + 511) / 512;
	/* Whole seconds, as the server keeps them: what we show before a commit and after it is
	 * equal. */
	st->st_mtim.tv_sec = mtime;
	st->st_atim = st->st_ctim = st->st_mtim;
	out->ttl = n->type == ENTRY_FILE && st->st_size != n->size
			   ? 0
			   : tree_attr_ttl_locked(&fs->tree, n);
}

void fs_found_locked(struct fs *fs, struct node *n, struct fs_found *out)
{
	int64_t names = n->parent ? tree_names_ttl_locked(&fs->tree, n->parent) : 0;

	n->lookups++;
	out->node = n;
	fs_show_locked(fs, n, &out->attr);
	/* A name that we are writing cannot be taken from us by a listing. */
	if (n->flags & (NODE_LOCAL | NODE_BUSY))
		out->name_ttl = fs->tree.ttl;
	else
		out->name_ttl = names > out->attr.ttl ? names : out->attr.ttl;
}

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct fs_found *out,
	      const struct opctx *ctx)
{
	struct node *n;
	int err = path_check_name(name, strlen(name));

	*out = (struct fs_found){0};
	if (!err)
		err = dircache_lookup(&fs->dircache, dir, name, &n, ctx);
	if (err)
		return err;
	if (!n) {
		mutex_lock(&fs->tree.lock);
		out->name_ttl = tree_names_ttl_locked(&fs->tree, dir);
		mutex_unlock(&fs->tree.lock);
		if (!out->name_ttl)
			out->name_ttl = fs->tree.ttl; /* the server has just said so */
		return 0;
	}
	/* The kernel will believe what we answer: not a minute where there could be a second. */
	err = dircache_exact(&fs->dircache, n, ctx);
	mutex_lock(&fs->tree.lock);
	if (!err && (n->flags & NODE_UNLINKED))
		err = -ENOENT;
	if (!err)
		fs_found_locked(fs, n, out);
	tree_unpin_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
	return err;
}

void fs_forget(struct fs *fs, struct node *n, uint64_t lookups)
{
	tree_forget(&fs->tree, n, lookups);
}

/* Make what we know of n good enough to be shown.  Whoever has it open may go on looking at it
 * after it lost its name. */
static int bring_up_to_date(struct fs *fs, struct node *n, const struct opctx *ctx)
{
	int err = 0;

	mutex_lock(&fs->tree.lock);
	bool stale = !(n->flags & (NODE_LOCAL | NODE_BUSY)) && !tree_attr_ttl_locked(&fs->tree, n);
	mutex_unlock(&fs->tree.lock);
	if (stale)
		err = dircache_refresh(&fs->dircache, n, ctx);
	if (!err)
		err = dircache_exact(&fs->dircache, n, ctx);
	mutex_lock(&fs->tree.lock);
	if (n->flags & NODE_UNLINKED)
		err = n->file || n->pins ? 0 : -ENOENT;
	mutex_unlock(&fs->tree.lock);
	return err;
}

int fs_getattr(struct fs *fs, struct node *n, struct fs_attr *out, const struct opctx *ctx)
{
	struct opctx soon = opctx_for(DROP_SOON);
	int err = bring_up_to_date(fs, n, ctx);

	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	fs_show_locked(fs, n, out);
	while (!err && n->type == ENTRY_FILE && out->st.st_size < n->size) {
		err = cond_wait_ctx(&fs->tree.settled, &fs->tree.lock, &soon);
		fs_show_locked(fs, n, out);
	}
	mutex_unlock(&fs->tree.lock);
	return 0;
}

int fs_readlink(struct fs *fs, struct node *n, struct buf *out, const struct opctx *ctx)
{
	struct buf path;
	size_t start = out->len;
	int err;

	if (n->type != ENTRY_LINK)
		return -EINVAL;
	mutex_lock(&fs->tree.lock);
	bool known = n->target && tree_attr_ttl_locked(&fs->tree, n);
	if (known)
		err = buf_adds(out, n->target);
	mutex_unlock(&fs->tree.lock);
	if (known)
		return err;
	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(&fs->tree, n, &path);
	if (!err)
		err = remote_readlink(fs->conf.remote, buf_text(&path), out, ctx);
	buf_free(&path);
	if (err)
		return err;
	mutex_lock(&fs->tree.lock);
	free(n->target);
	n->target = strdup(buf_text(out) + start); /* not kept: asked again */
	mutex_unlock(&fs->tree.lock);
	return 0;
}

int fs_open(struct fs *fs, struct node *n, int flags, struct handle **out, bool *keep_cache,
	    const struct opctx *ctx)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	int err = 0;

	*out = NULL;
	*keep_cache = false;
	if (n->type == ENTRY_DIR)
		return -EISDIR;
	if (n->type != ENTRY_FILE)
		return n->type == ENTRY_LINK ? -ELOOP : -ENXIO;
	if (writes && fs->conf.read_only)
		return -EROFS;
	err = file_await_release(&fs->files, n, ctx);
	/* Reads are checked against the size and time known now, and the kernel's pages, too. */
	if (!err && !(flags & O_TRUNC))
		err = bring_up_to_date(fs, n, ctx);
	if (err)
		return err;
	if (writes) {
		mutex_lock(&fs->tree.lock);
		tree_changed_locked(&fs->tree, n);
		mutex_unlock(&fs->tree.lock);
	}
	err = file_open(&fs->files, n, flags, out, keep_cache, ctx);
	if (!err && (flags & O_ACCMODE) != O_WRONLY)
		prefetch_opened(fs->files.prefetch, n);
	return err;
}

/* Only what can neither be read nor mapped through the handle.  Not where the way is one of a
 * network: there the pages are worth more than they cost. */
bool fs_past_pages(const struct fs *fs, int flags)
{
	int64_t trip = remote_round_trip(fs->conf.remote);

	return (flags & O_ACCMODE) == O_WRONLY && trip > 0 && trip < NEAR;
}

ssize_t fs_read(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx)
{
	return file_read(h, to, n, at, ctx);
}

/* Listings that are on their way must not bring back the size before this write. */
static void about_to_write(struct handle *h)
{
	struct tree *t = h->file->files->tree;

	mutex_lock(&t->lock);
	tree_changed_locked(t, h->file->node);
	mutex_unlock(&t->lock);
}

ssize_t fs_write(struct handle *h, const void *from, size_t n, int64_t at, const struct opctx *ctx)
{
	about_to_write(h);
	return file_write(h, from, n, at, ctx);
}

ssize_t fs_write_page(struct handle *h, const void *from, size_t n, int64_t at,
		      const struct opctx *ctx)
{
	about_to_write(h);
	return file_write_page(h, from, n, at, ctx);
}

ssize_t fs_copy(struct handle *from, int64_t from_at, struct handle *to, int64_t to_at, size_t n,
		const struct opctx *ctx)
{
	about_to_write(to);
	return file_copy(from, from_at, to, to_at, n, ctx);
}

int fs_flush(struct handle *h, const struct opctx *ctx)
{
	return file_flush(h, ctx);
}

int fs_fsync(struct handle *h, const struct opctx *ctx)
{
	return file_fsync(h, ctx);
}

int fs_fallocate(struct handle *h, int mode, int64_t at, int64_t len, const struct opctx *ctx)
{
	if (mode)
		return -EOPNOTSUPP;
	about_to_write(h);
	return file_allocate(h, at, len, ctx);
}

void fs_release(struct handle *h)
{
	file_release(h, true);
}

int fs_statfs(struct fs *fs, struct statvfs *out, const struct opctx *ctx)
{
	/* Most servers cannot tell.  cp, installers and file managers refuse to write where nothing
	 * is free, so that not knowing is shown as plenty; a full disk is told by the write. */
	struct space space = {.total = UINT64_C(1) << 40, .free = UINT64_C(1) << 40};
	int err = remote_space(fs->conf.remote, &space, ctx);

	if (err && err != -EOPNOTSUPP)
		return err;
	memset(out, 0, sizeof(*out));
	out->f_bsize = out->f_frsize = 4096;
	out->f_blocks = space.total / out->f_frsize;
	out->f_bfree = out->f_bavail = space.free / out->f_frsize;
	out->f_files = out->f_ffree = out->f_favail = 1000000000;
	out->f_namemax = NAME_LIMIT;
	return 0;
}
