/* fs/fs - making and ending a filesystem, and what the kernel asks of an open file. */
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
	COPY_LEAST = 64 << 10, /* less is read and written in no more round trips */
};

#define DRAIN_SLICE (200 * NS_PER_MS)
/* The same machine, or one beside it: a written file is fetched again about as fast as it is
 * copied.
 */
#define NEAR (NS_PER_MS / 5)

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
		err = fs_bring_up_to_date(fs, n, ctx);
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
