/* remote/trace - one debug line per remote operation: name, paths, result, time. */
#include "remote/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

struct trace {
	struct remote remote;
	struct remote *inner;
};

static struct remote *inner_of(struct remote *r)
{
	return ((struct trace *)r)->inner;
}

/* `other`: a second path or detail; "" when there is none.  Returns rc. */
static int report(const char *what, const char *path, const char *other, int rc, int64_t began)
{
	const char *name = rc < 0 ? strerrorname_np(-rc) : "ok";
	double ms;

	if (!log_on(LOG_LEVEL_DEBUG))
		return rc;
	ms = (double)(clock_monotonic() - began) / (double)NS_PER_MS;
	log_debug("remote: %s %s%s%s: %s, %.1f ms", what, path, *other ? " " : "", other,
		  name ? name : "unknown error", ms);
	return rc;
}

static int trace_list(struct remote *r, const char *dir, struct listing *out,
		      const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("list", dir, "", remote_list(inner_of(r), dir, out, ctx), began);
}

static int trace_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		      const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("stat", path, "", remote_stat(inner_of(r), path, want, out, ctx), began);
}

static int trace_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			   const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("stat_many", dir, "", remote_stat_many(inner_of(r), dir, e, n, ctx), began);
}

static int trace_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
			   const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("open_read", path, from ? "(from the middle)" : "",
		      remote_open_read(inner_of(r), path, from, out, ctx), began);
}

static int trace_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
			    struct stream **out, const struct opctx *ctx)
{
	static const char *const names[] = {
		[WRITE_WHOLE] = "whole",
		[WRITE_APPEND] = "append",
		[WRITE_PATCH] = "patch",
	};
	int64_t began = clock_monotonic();

	return report("open_write", path, names[how],
		      remote_open_write(inner_of(r), path, how, at, out, ctx), began);
}

static int trace_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("can_patch", temp ? temp : "", "", remote_can_patch(inner_of(r), temp, ctx),
		      began);
}

static int trace_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("mkdir", path, "", remote_mkdir(inner_of(r), path, ctx), began);
}

static int trace_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("rmdir", path, "", remote_rmdir(inner_of(r), path, ctx), began);
}

static int trace_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("remove", path, "", remote_remove(inner_of(r), path, ctx), began);
}

static int trace_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
			const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("rename", from, to, remote_rename(inner_of(r), from, to, how, ctx), began);
}

static int trace_set_mtime(struct remote *r, const char *path, int64_t mtime,
			   const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("set_mtime", path, "", remote_set_mtime(inner_of(r), path, mtime, ctx),
		      began);
}

static int trace_set_mode(struct remote *r, const char *path, uint32_t mode,
			  const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("set_mode", path, "", remote_set_mode(inner_of(r), path, mode, ctx), began);
}

static int trace_symlink(struct remote *r, const char *target, const char *path,
			 const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("symlink", path, target, remote_symlink(inner_of(r), target, path, ctx),
		      began);
}

static int trace_readlink(struct remote *r, const char *path, struct buf *out,
			  const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("readlink", path, "", remote_readlink(inner_of(r), path, out, ctx), began);
}

static int trace_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("copy", from, to, remote_copy(inner_of(r), from, to, ctx), began);
}

static int trace_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("space", "/", "", remote_space(inner_of(r), out, ctx), began);
}

static int trace_settle(struct remote *r, const char *path, struct settle *s,
			const struct opctx *ctx)
{
	int64_t began = clock_monotonic();

	return report("settle", path, s->hash ? hash_name(s->hash) : "",
		      remote_settle(inner_of(r), path, s, ctx), began);
}

static int trace_can_set(struct remote *r, enum remote_attr what)
{
	return remote_can_set(inner_of(r), what);
}

static enum hash_kind trace_hash_kind(struct remote *r)
{
	return remote_hash_kind(inner_of(r));
}

static int64_t trace_round_trip(struct remote *r)
{
	return remote_round_trip(inner_of(r));
}

static void trace_describe(struct remote *r, struct buf *out)
{
	remote_describe(inner_of(r), out);
}

static void trace_destroy(struct remote *r)
{
	remote_destroy(inner_of(r));
	free(r);
}

static const struct remote_ops trace_ops = {
	.list = trace_list,
	.stat = trace_stat,
	.stat_many = trace_stat_many,
	.open_read = trace_open_read,
	.open_write = trace_open_write,
	.can_patch = trace_can_patch,
	.mkdir = trace_mkdir,
	.rmdir = trace_rmdir,
	.remove = trace_remove,
	.rename = trace_rename,
	.set_mtime = trace_set_mtime,
	.set_mode = trace_set_mode,
	.can_set = trace_can_set,
	.symlink = trace_symlink,
	.readlink = trace_readlink,
	.copy = trace_copy,
	.space = trace_space,
	.settle = trace_settle,
	.hash_kind = trace_hash_kind,
	.round_trip = trace_round_trip,
	.describe = trace_describe,
	.destroy = trace_destroy,
};

struct remote *trace_create(struct remote *inner)
{
	struct trace *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->remote.ops = &trace_ops;
	self->inner = inner;
	return &self->remote;
}
