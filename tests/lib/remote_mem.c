/* remote_mem - a struct remote over a tree in memory. */
#include "remote_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/path.h"
#include "remote_mem_private.h"

struct mem_remote {
	struct remote remote;
	struct mem_server *server;
};

static struct mem_server *server_of(struct remote *r)
{
	return ((struct mem_remote *)r)->server;
}

static int op_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *d;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, dir, &d);
	if (!rc && d->type != ENTRY_DIR)
		rc = -ENOTDIR;
	for (struct mem_node *n = rc ? NULL : d->first; n && !rc; n = n->next) {
		struct entry e;

		mem_entry_locked(m, n, m->traits.coarse_times, &e);
		rc = listing_add(out, &e);
	}
	mutex_unlock(&m->lock);
	return rc;
}

static int op_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		   const struct opctx *ctx)
{
	int rc = opctx_check(ctx);

	(void)want;
	if (rc)
		return rc;
	if (server_of(r)->traits.no_stat)
		return -EOPNOTSUPP;
	return mem_stat(server_of(r), path, out);
}

static int op_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *d;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	if (mem_find_locked(m, dir, &d) == 0 && d->type == ENTRY_DIR)
		for (size_t i = 0; i < n; i++) {
			struct mem_node *c = mem_child_locked(d, e[i]->name, strlen(e[i]->name));

			if (!c || c->type != ENTRY_FILE)
				continue;
			e[i]->size = (int64_t)c->size;
			e[i]->mtime = c->mtime;
			e[i]->mtime_slack = 0;
			e[i]->have |= HAVE_SIZE | HAVE_MTIME | HAVE_EXACT_MTIME;
		}
	mutex_unlock(&m->lock);
	return 0;
}

static int op_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	int rc = opctx_check(ctx);

	if (!rc)
		rc = mem_make_dir(server_of(r), path);
	return rc == -EEXIST && server_of(r)->traits.sloppy ? 0 : rc;
}

static int remove_as(struct mem_server *m, const char *path, bool dir)
{
	struct mem_node *n;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	if (!rc && !m->traits.sloppy && dir && n->type != ENTRY_DIR)
		rc = -ENOTDIR;
	if (!rc && !m->traits.sloppy && !dir && n->type == ENTRY_DIR)
		rc = -EISDIR;
	if (!rc)
		rc = mem_unlink_locked(m, n);
	mutex_unlock(&m->lock);
	return rc;
}

static int op_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	int rc = opctx_check(ctx);

	return rc ? rc : remove_as(server_of(r), path, true);
}

static int op_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	int rc = opctx_check(ctx);

	return rc ? rc : remove_as(server_of(r), path, false);
}

/* May n take the place of the existing `over`? */
static int may_replace_locked(const struct mem_server *m, const struct mem_node *n,
			      const struct mem_node *over, enum if_exists how)
{
	if (how == RENAME_KEEP_TARGET || m->traits.no_rename_over)
		return -EEXIST;
	if (n->type == ENTRY_DIR && over->type != ENTRY_DIR)
		return -ENOTDIR;
	if (n->type != ENTRY_DIR && over->type == ENTRY_DIR)
		return -EISDIR;
	return over->first ? -ENOTEMPTY : 0;
}

static int rename_locked(struct mem_server *m, const char *from, const char *to, enum if_exists how)
	REQUIRES(m->lock)
{
	struct mem_node *n, *dir, *over;
	const char *name;
	int rc = mem_find_locked(m, from, &n);

	if (!rc)
		rc = mem_find_parent_locked(m, to, &dir, &name);
	if (rc)
		return rc;
	if (strcmp(from, to) != 0 && path_below(to, from))
		return -EACCES; /* all that a 550 says */
	over = mem_child_locked(dir, name, strlen(name));
	if (over == n)
		return 0;
	if (over) {
		rc = may_replace_locked(m, n, over, how);
		if (!rc)
			rc = mem_unlink_locked(m, over);
	}
	return rc ? rc : mem_move_locked(n, dir, name);
}

static int op_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
		     const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	rc = rename_locked(m, from, to, how);
	mutex_unlock(&m->lock);
	return rc;
}

static int op_set_mtime(struct remote *r, const char *path, int64_t mtime, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *n;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	m->tried[REMOTE_MTIME] |= !rc && n->type == ENTRY_FILE;
	if (!rc && (m->traits.no_set_mtime || m->refusing || n->type != ENTRY_FILE))
		rc = -EOPNOTSUPP;
	if (!rc)
		n->mtime = mem_whole_second(mtime);
	mutex_unlock(&m->lock);
	return rc;
}

static int op_set_mode(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *n;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	m->tried[REMOTE_MODE] |= !rc;
	if (!rc && (m->traits.no_modes || m->refusing))
		rc = -EOPNOTSUPP;
	if (!rc)
		n->mode = mode & 07777;
	mutex_unlock(&m->lock);
	return rc;
}

static int op_can_set(struct remote *r, enum remote_attr what)
{
	struct mem_server *m = server_of(r);
	bool cannot = what == REMOTE_MTIME ? m->traits.no_set_mtime : m->traits.no_modes;
	bool tried;

	mutex_lock(&m->lock);
	tried = m->tried[what];
	cannot |= m->refusing && tried;
	mutex_unlock(&m->lock);
	if (m->traits.untold && !tried)
		return -EAGAIN;
	return cannot ? -EOPNOTSUPP : 0;
}

static int op_symlink(struct remote *r, const char *target, const char *path,
		      const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *n;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	if (m->traits.no_symlink)
		return -EOPNOTSUPP;
	mutex_lock(&m->lock);
	rc = mem_make_locked(m, path, ENTRY_LINK, &n);
	if (!rc) {
		n->target = strdup(target);
		if (!n->target)
			abort();
	}
	mutex_unlock(&m->lock);
	return rc;
}

static int op_readlink(struct remote *r, const char *path, struct buf *out, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct buf dir;
	struct mem_node *n;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	buf_init(&dir, PATH_LIMIT + 1);
	rc = path_parent(&dir, path);
	mutex_lock(&m->lock);
	if (!rc)
		rc = mem_find_locked(m, path, &n);
	if (!rc && n->type != ENTRY_LINK)
		rc = -EINVAL;
	if (!rc)
		rc = path_contain_link(out, "/", buf_text(&dir), n->target);
	mutex_unlock(&m->lock);
	buf_free(&dir);
	return rc;
}

static int op_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	struct mem_node *source, *copy;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	if (m->traits.no_copy)
		return -EOPNOTSUPP;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, from, &source);
	if (!rc && source->type != ENTRY_FILE)
		rc = -EISDIR;
	if (!rc)
		rc = mem_make_locked(m, to, ENTRY_FILE, &copy);
	if (!rc) {
		mem_write_locked(copy, source->bytes, source->size, 0);
		copy->mode = source->mode;
	}
	mutex_unlock(&m->lock);
	return rc;
}

static int op_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	(void)r;
	*out = (struct space){.total = UINT64_C(1) << 40, .free = UINT64_C(1) << 39};
	return opctx_check(ctx);
}

static void tell_hash(struct mem_server *m, const char *path, struct settle *s)
{
	struct mem_node *n;
	struct hash *h;

	s->digest.kind = HASH_NONE;
	mutex_lock(&m->lock);
	m->hashes_asked += s->hash != HASH_NONE;
	if (s->hash && s->hash == m->traits.hash && !m->traits.hash_refused &&
	    mem_find_locked(m, path, &n) == 0 && hash_begin(s->hash, &h) == 0) {
		if (n->size)
			hash_add(h, n->bytes, n->size);
		hash_end(h, &s->digest);
	}
	mutex_unlock(&m->lock);
}

static enum hash_kind op_hash_kind(struct remote *r)
{
	return server_of(r)->traits.hash;
}

static int op_settle(struct remote *r, const char *path, struct settle *s, const struct opctx *ctx)
{
	struct mem_server *m = server_of(r);
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	s->mode_refused = s->mode != REMOTE_KEEP_MODE &&
			  op_set_mode(r, path, (uint32_t)s->mode, ctx) != 0;
	s->mtime_refused = s->mtime != REMOTE_KEEP_MTIME &&
			   op_set_mtime(r, path, s->mtime, ctx) != 0;
	rc = mem_stat(m, path, &s->entry);
	if (!rc)
		entry_clear(&s->entry);
	tell_hash(m, path, s);
	return rc;
}

static int64_t op_round_trip(struct remote *r)
{
	return server_of(r)->traits.round_trip;
}

static void op_describe(struct remote *r, struct buf *out)
{
	(void)r;
	buf_adds(out, "server in memory\n");
}

static void op_destroy(struct remote *r)
{
	free(r);
}

static const struct remote_ops mem_ops = {
	.list = op_list,
	.stat = op_stat,
	.stat_many = op_stat_many,
	.open_read = mem_open_read,
	.open_write = mem_open_write,
	.can_patch = mem_can_patch,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.remove = op_remove,
	.rename = op_rename,
	.set_mtime = op_set_mtime,
	.set_mode = op_set_mode,
	.can_set = op_can_set,
	.symlink = op_symlink,
	.readlink = op_readlink,
	.copy = op_copy,
	.space = op_space,
	.settle = op_settle,
	.hash_kind = op_hash_kind,
	.round_trip = op_round_trip,
	.describe = op_describe,
	.destroy = op_destroy,
};

struct remote *remote_mem_create(struct mem_server *m)
{
	struct mem_remote *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->remote.ops = &mem_ops;
	r->server = m;
	return &r->remote;
}

struct mem_server *mem_server_of(struct remote *r)
{
	return server_of(r);
}

void mem_corrupt(struct mem_server *m, unsigned n)
{
	mutex_lock(&m->lock);
	m->corrupt = n;
	mutex_unlock(&m->lock);
}

void mem_forget_attrs(struct mem_server *m, bool refuse)
{
	mutex_lock(&m->lock);
	m->refusing = refuse;
	m->tried[REMOTE_MODE] = m->tried[REMOTE_MTIME] = false;
	mutex_unlock(&m->lock);
}

unsigned mem_reads_open(struct mem_server *m)
{
	mutex_lock(&m->lock);
	unsigned n = m->reads_open;
	mutex_unlock(&m->lock);
	return n;
}

unsigned mem_hashes_asked(struct mem_server *m)
{
	mutex_lock(&m->lock);
	unsigned n = m->hashes_asked;
	mutex_unlock(&m->lock);
	return n;
}
