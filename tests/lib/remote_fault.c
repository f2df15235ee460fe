/* remote_fault - a remote that spoils another one. */
#include "remote_fault.h"

#include <errno.h>
#include <stdlib.h>

#include "remote_fault_plan.h"

struct fault_remote {
	struct remote remote;
	struct remote *inner;
	struct fault_plan *plan;
};

struct fault_stream {
	struct stream stream;
	struct stream *inner;
	struct fault_plan *plan;
	int dead; /* -errno of every further call */
};

static struct remote *inner_of(struct remote *r)
{
	return ((struct fault_remote *)r)->inner;
}

/* Every operation is SPOIL(what it is, the call of the inner remote). */
static struct verdict judge(struct remote *r, enum fault_op op)
{
	struct fault_plan *plan = ((struct fault_remote *)r)->plan;
	struct verdict v = fault_judge(plan, op);

	if (v.kind != FAULT_BEFORE)
		fault_count_carried(plan, op);
	return v;
}

#define SPOIL(r, op, call)                                                                         \
	do {                                                                                       \
		struct verdict v_ = judge(r, op);                                                  \
		int rc_;                                                                           \
		if (v_.kind == FAULT_BEFORE)                                                       \
			return v_.error;                                                           \
		rc_ = call;                                                                        \
		return v_.kind == FAULT_AFTER ? v_.error : rc_;                                    \
	} while (0)

static int fault_list(struct remote *r, const char *dir, struct listing *out,
		      const struct opctx *ctx)
{
	SPOIL(r, FAULT_LIST, remote_list(inner_of(r), dir, out, ctx));
}

static int fault_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		      const struct opctx *ctx)
{
	struct verdict v = judge(r, FAULT_STAT);
	int rc = v.kind == FAULT_BEFORE ? v.error : remote_stat(inner_of(r), path, want, out, ctx);

	if (v.kind != FAULT_AFTER)
		return rc;
	if (!rc)
		entry_clear(out);
	return v.error;
}

static int fault_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			   const struct opctx *ctx)
{
	SPOIL(r, FAULT_STAT_MANY, remote_stat_many(inner_of(r), dir, e, n, ctx));
}

static int fault_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	SPOIL(r, FAULT_CAN_PATCH, remote_can_patch(inner_of(r), temp, ctx));
}

static int fault_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	SPOIL(r, FAULT_MKDIR, remote_mkdir(inner_of(r), path, ctx));
}

static int fault_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	SPOIL(r, FAULT_RMDIR, remote_rmdir(inner_of(r), path, ctx));
}

static int fault_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	SPOIL(r, FAULT_REMOVE, remote_remove(inner_of(r), path, ctx));
}

static int fault_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
			const struct opctx *ctx)
{
	SPOIL(r, FAULT_RENAME, remote_rename(inner_of(r), from, to, how, ctx));
}

static int fault_set_mtime(struct remote *r, const char *path, int64_t mtime,
			   const struct opctx *ctx)
{
	SPOIL(r, FAULT_SET_MTIME, remote_set_mtime(inner_of(r), path, mtime, ctx));
}

static int fault_set_mode(struct remote *r, const char *path, uint32_t mode,
			  const struct opctx *ctx)
{
	SPOIL(r, FAULT_SET_MODE, remote_set_mode(inner_of(r), path, mode, ctx));
}

static int fault_symlink(struct remote *r, const char *target, const char *path,
			 const struct opctx *ctx)
{
	SPOIL(r, FAULT_SYMLINK, remote_symlink(inner_of(r), target, path, ctx));
}

static int fault_readlink(struct remote *r, const char *path, struct buf *out,
			  const struct opctx *ctx)
{
	SPOIL(r, FAULT_READLINK, remote_readlink(inner_of(r), path, out, ctx));
}

static int fault_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	SPOIL(r, FAULT_COPY, remote_copy(inner_of(r), from, to, ctx));
}

static int fault_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	SPOIL(r, FAULT_SPACE, remote_space(inner_of(r), out, ctx));
}

static int fault_settle(struct remote *r, const char *path, struct settle *s,
			const struct opctx *ctx)
{
	SPOIL(r, FAULT_SETTLE, remote_settle(inner_of(r), path, s, ctx));
}

static int fault_can_set(struct remote *r, enum remote_attr what)
{
	return remote_can_set(inner_of(r), what);
}

static enum hash_kind fault_hash_kind(struct remote *r)
{
	return remote_hash_kind(inner_of(r));
}

static int die(struct fault_stream *s, int error)
{
	s->dead = error;
	return error;
}

static ssize_t stream_op_read(struct stream *stream, void *to, size_t n, const struct opctx *ctx)
{
	struct fault_stream *s = (struct fault_stream *)stream;
	struct verdict v;

	if (s->dead)
		return s->dead;
	v = fault_judge(s->plan, FAULT_READ);
	if (v.kind == FAULT_STALE)
		return die(s, -ESTALE);
	if (v.kind == FAULT_BEFORE || v.kind == FAULT_AFTER)
		return die(s, v.error);
	if (v.kind == FAULT_DIE)
		s->dead = v.error;
	if ((v.kind == FAULT_SHORT || v.kind == FAULT_DIE) && n > 1)
		n = 1 + (size_t)(fault_random(s->plan) % (n - 1));
	fault_count_carried(s->plan, FAULT_READ);
	return stream_read(s->inner, to, n, ctx);
}

static int stream_op_write(struct stream *stream, const void *from, size_t n,
			   const struct opctx *ctx)
{
	struct fault_stream *s = (struct fault_stream *)stream;
	struct verdict v;
	int rc;

	if (s->dead)
		return s->dead;
	v = fault_judge(s->plan, FAULT_WRITE);
	if (v.kind == FAULT_BEFORE)
		return die(s, v.error);
	fault_count_carried(s->plan, FAULT_WRITE);
	if (v.kind == FAULT_NOSPACE)
		v.error = -ENOSPC;
	if ((v.kind == FAULT_DIE || v.kind == FAULT_NOSPACE) && n > 0)
		n = (size_t)(fault_random(s->plan) % n);
	rc = stream_write(s->inner, from, n, ctx);
	if (v.kind == FAULT_DIE || v.kind == FAULT_NOSPACE || v.kind == FAULT_AFTER)
		return die(s, v.error);
	return rc;
}

/* As a write; and a connection that takes nothing now, or one of a kind that copies. */
static ssize_t stream_op_send(struct stream *stream, int fd, int64_t at, size_t n, bool wait,
			      const struct opctx *ctx)
{
	struct fault_stream *s = (struct fault_stream *)stream;
	struct verdict v;
	ssize_t rc;

	if (s->dead)
		return s->dead;
	if (fault_random(s->plan) % 4 == 0)
		return -EOPNOTSUPP;
	if (!wait && fault_random(s->plan) % 4 == 0)
		return -EAGAIN;
	v = fault_judge(s->plan, FAULT_WRITE);
	if (v.kind == FAULT_BEFORE)
		return die(s, v.error);
	fault_count_carried(s->plan, FAULT_WRITE);
	if (v.kind == FAULT_NOSPACE)
		v.error = -ENOSPC;
	rc = stream_send(s->inner, fd, at, n, wait, ctx);
	if (v.kind == FAULT_DIE || v.kind == FAULT_NOSPACE || v.kind == FAULT_AFTER)
		return die(s, v.error);
	return rc;
}

static void stream_op_park(struct stream *stream)
{
	stream_park(((struct fault_stream *)stream)->inner);
}

/* The yes to the bytes comes, and then the link breaks: before the rest was done, or after. */
static int finish_and_settle(struct fault_stream *s, struct settle *settle, const struct opctx *ctx)
{
	struct verdict v = fault_judge(s->plan, FAULT_SETTLE);
	int rc = stream_finish(s->inner, v.kind == FAULT_BEFORE ? NULL : settle, ctx);

	if (settle->done)
		fault_count_carried(s->plan, FAULT_SETTLE);
	if (v.kind == FAULT_AFTER)
		settle->done = false;
	return rc;
}

static int stream_op_finish(struct stream *stream, struct settle *settle, const struct opctx *ctx)
{
	struct fault_stream *s = (struct fault_stream *)stream;
	struct verdict v;
	int rc;

	if (s->dead)
		return s->dead;
	v = fault_judge(s->plan, FAULT_FINISH);
	if (v.kind == FAULT_BEFORE)
		return die(s, v.error);
	fault_count_carried(s->plan, FAULT_FINISH);
	rc = settle ? finish_and_settle(s, settle, ctx) : stream_finish(s->inner, NULL, ctx);
	return v.kind == FAULT_AFTER ? die(s, v.error) : rc;
}

static void stream_op_close(struct stream *stream)
{
	struct fault_stream *s = (struct fault_stream *)stream;

	stream_close(s->inner);
	free(s);
}

static const struct stream_ops fault_stream_ops = {
	.read = stream_op_read,
	.write = stream_op_write,
	.send = stream_op_send,
	.park = stream_op_park,
	.finish = stream_op_finish,
	.close = stream_op_close,
};

/* What became of an open: *out holds the inner stream when rc is 0. */
static int opened(struct remote *r, struct verdict v, int rc, struct stream **out)
{
	struct fault_stream *s;

	if (rc)
		return v.kind == FAULT_AFTER ? v.error : rc;
	if (v.kind == FAULT_AFTER) {
		stream_close(*out);
		*out = NULL;
		return v.error;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->stream.ops = &fault_stream_ops;
	s->inner = *out;
	s->plan = ((struct fault_remote *)r)->plan;
	*out = &s->stream;
	return 0;
}

static int fault_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
			   const struct opctx *ctx)
{
	struct verdict v = judge(r, FAULT_OPEN_READ);

	if (v.kind == FAULT_BEFORE)
		return v.error;
	return opened(r, v, remote_open_read(inner_of(r), path, from, out, ctx), out);
}

static int fault_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
			    struct stream **out, const struct opctx *ctx)
{
	struct verdict v = judge(r, FAULT_OPEN_WRITE);

	if (v.kind == FAULT_BEFORE)
		return v.error;
	return opened(r, v, remote_open_write(inner_of(r), path, how, at, out, ctx), out);
}

static int64_t fault_round_trip(struct remote *r)
{
	return remote_round_trip(inner_of(r));
}

static void fault_describe(struct remote *r, struct buf *out)
{
	remote_describe(inner_of(r), out);
}

static void fault_destroy(struct remote *r)
{
	remote_destroy(inner_of(r));
	free(r);
}

static const struct remote_ops fault_ops = {
	.list = fault_list,
	.stat = fault_stat,
	.stat_many = fault_stat_many,
	.open_read = fault_open_read,
	.open_write = fault_open_write,
	.can_patch = fault_can_patch,
	.mkdir = fault_mkdir,
	.rmdir = fault_rmdir,
	.remove = fault_remove,
	.rename = fault_rename,
	.set_mtime = fault_set_mtime,
	.set_mode = fault_set_mode,
	.can_set = fault_can_set,
	.symlink = fault_symlink,
	.readlink = fault_readlink,
	.copy = fault_copy,
	.space = fault_space,
	.settle = fault_settle,
	.hash_kind = fault_hash_kind,
	.round_trip = fault_round_trip,
	.describe = fault_describe,
	.destroy = fault_destroy,
};

struct remote *remote_fault_create(struct remote *inner, struct fault_plan *plan)
{
	struct fault_remote *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->remote.ops = &fault_ops;
	f->inner = inner;
	f->plan = plan;
	return &f->remote;
}
