/* remote/retry - repeats what a lost connection interrupted, where repeating is right. */
#include "remote/retry.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/path.h"
#include "base/stats.h"

/* The first pause is short because most losses are one dead connection while the server is fine;
 * the longest keeps a server that is rebooting from being hammered. */
#define PAUSE_FIRST (50 * NS_PER_MS)
#define PAUSE_MAX   (2 * NS_PER_S)

struct retry {
	struct remote remote;
	struct remote *inner;
	int64_t patience;
};

/* One operation and its tries. */
struct tries {
	struct remote *inner;
	const struct opctx *ctx;
	int64_t patience;
	int64_t give_up; /* CLOCK_MONOTONIC ns; known at the first loss */
	int64_t pause;	 /* before the next try */
	unsigned losses;
};

static struct tries tries_begin(struct remote *r, const struct opctx *ctx)
{
	struct retry *self = (struct retry *)r;

	return (struct tries){
		.inner = self->inner,
		.ctx = ctx,
		.patience = self->patience,
		.pause = PAUSE_FIRST,
	};
}

/* 0 after ns, or -EINTR as soon as ctx is interrupted. In slices, since a ctx need not have a
 * cancel_fd. */
static int wait_for(const struct opctx *ctx, int64_t ns)
{
	struct pollfd cancel = {.fd = ctx->cancel_fd, .events = POLLIN};
	int64_t until = clock_monotonic() + ns;
	int64_t left = ns;
	int rc = 0;

	while (left > 0 && (rc = opctx_check(ctx)) == 0) {
		int64_t slice = left < LOCK_SLICE_NS ? left : LOCK_SLICE_NS;

		if (poll(&cancel, 1, (int)((slice + NS_PER_MS - 1) / NS_PER_MS)) > 0)
			cancel.fd = -1; /* it stays readable: one look at `cancelled` is enough */
		left = until - clock_monotonic();
	}
	return rc;
}

/* Called with the result of a try: true after the pause that precedes another one; otherwise *rc is
 * the operation's result.  When there is no time left for another try the answer is the loss
 * itself, which says more than "timed out". */
static bool try_again(struct tries *t, int *rc)
{
	int64_t now;
	int interrupted;

	if (!remote_link_error(*rc))
		return false;
	now = clock_monotonic();
	if (t->losses++ == 0)
		t->give_up = t->ctx->deadline != OPCTX_FOREVER ? t->ctx->deadline
							       : now + t->patience;
	if (t->give_up - now <= t->pause)
		return false;
	interrupted = wait_for(t->ctx, t->pause);
	if (interrupted) {
		*rc = interrupted;
		return false;
	}
	t->pause = t->pause * 2 < PAUSE_MAX ? t->pause * 2 : PAUSE_MAX;
	stats_add(STAT_RETRIES, 1);
	return true;
}

static int retry_list(struct remote *r, const char *dir, struct listing *out,
		      const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	for (;;) {
		rc = remote_list(t.inner, dir, out, ctx);
		if (!try_again(&t, &rc))
			return rc;
		size_t max = out->max;
		listing_free(out); /* the part that came before the loss */
		listing_init(out, max);
	}
}

static int retry_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		      const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_stat(t.inner, path, want, out, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			   const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_stat_many(t.inner, dir, e, n, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
			   const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_open_read(t.inner, path, from, out, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
			    struct stream **out, const struct opctx *ctx)
{
	struct retry *self = (struct retry *)r;

	return remote_open_write(self->inner, path, how, at, out, ctx);
}

static int retry_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_can_patch(t.inner, temp, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_mkdir(t.inner, path, ctx);
	while (try_again(&t, &rc));
	return t.losses && rc == -EEXIST ? 0 : rc;
}

static int retry_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_rmdir(t.inner, path, ctx);
	while (try_again(&t, &rc));
	return t.losses && rc == -ENOENT ? 0 : rc;
}

static int retry_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_remove(t.inner, path, ctx);
	while (try_again(&t, &rc));
	return t.losses && rc == -ENOENT ? 0 : rc;
}

static int listed(struct remote *r, const char *path, const struct opctx *ctx)
{
	struct listing l;
	struct buf dir;
	int rc;

	listing_init(&l, LISTING_MAX);
	buf_init(&dir, PATH_LIMIT + 1);
	rc = path_parent(&dir, path);
	if (!rc)
		rc = retry_list(r, buf_text(&dir), &l, ctx);
	if (!rc)
		rc = listing_find(&l, path_name(path)) ? 1 : 0;
	buf_free(&dir);
	listing_free(&l);
	return rc;
}

/* Is `path` there?  1, 0 or -errno, whichever way this server can tell. */
static int there(struct remote *r, const char *path, const struct opctx *ctx)
{
	struct entry e = {0};
	int rc = retry_stat(r, path, 0, &e, ctx);

	if (!rc) {
		entry_clear(&e);
		return 1;
	}
	if (rc == -EOPNOTSUPP)
		rc = listed(r, path, ctx);
	return rc == -ENOENT ? 0 : rc;
}

static int retry_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
			const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_rename(t.inner, from, to, how, ctx);
	while (try_again(&t, &rc));
	/* An answer "no" after a loss may be the echo of our own success: the source is no longer
	 * there (ENOENT), or the target is, because we put it there (EEXIST). */
	if (t.losses && (rc == -ENOENT || rc == -EEXIST) && there(r, from, ctx) == 0 &&
	    there(r, to, ctx) == 1)
		return 0;
	return rc;
}

static int retry_set_mtime(struct remote *r, const char *path, int64_t mtime,
			   const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_set_mtime(t.inner, path, mtime, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_set_mode(struct remote *r, const char *path, uint32_t mode,
			  const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_set_mode(t.inner, path, mode, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_symlink(struct remote *r, const char *target, const char *path,
			 const struct opctx *ctx)
{
	struct retry *self = (struct retry *)r;

	return remote_symlink(self->inner, target, path, ctx);
}

static int retry_readlink(struct remote *r, const char *path, struct buf *out,
			  const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	size_t before = out->len;
	int rc;

	for (;;) {
		rc = remote_readlink(t.inner, path, out, ctx);
		if (!try_again(&t, &rc))
			return rc;
		out->len = before; /* the part that came before the loss */
		if (out->data)
			out->data[before] = '\0';
	}
}

static int retry_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	struct retry *self = (struct retry *)r;

	return remote_copy(self->inner, from, to, ctx);
}

static int retry_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_space(t.inner, out, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_settle(struct remote *r, const char *path, struct settle *s,
			const struct opctx *ctx)
{
	struct tries t = tries_begin(r, ctx);
	int rc;

	do
		rc = remote_settle(t.inner, path, s, ctx);
	while (try_again(&t, &rc));
	return rc;
}

static int retry_can_set(struct remote *r, enum remote_attr what)
{
	return remote_can_set(((struct retry *)r)->inner, what);
}

static enum hash_kind retry_hash_kind(struct remote *r)
{
	return remote_hash_kind(((struct retry *)r)->inner);
}

static int64_t retry_round_trip(struct remote *r)
{
	struct retry *self = (struct retry *)r;

	return remote_round_trip(self->inner);
}

static void retry_describe(struct remote *r, struct buf *out)
{
	struct retry *self = (struct retry *)r;

	remote_describe(self->inner, out);
}

static void retry_destroy(struct remote *r)
{
	struct retry *self = (struct retry *)r;

	remote_destroy(self->inner);
	free(self);
}

static const struct remote_ops retry_ops = {
	.list = retry_list,
	.stat = retry_stat,
	.stat_many = retry_stat_many,
	.open_read = retry_open_read,
	.open_write = retry_open_write,
	.can_patch = retry_can_patch,
	.mkdir = retry_mkdir,
	.rmdir = retry_rmdir,
	.remove = retry_remove,
	.rename = retry_rename,
	.set_mtime = retry_set_mtime,
	.set_mode = retry_set_mode,
	.can_set = retry_can_set,
	.symlink = retry_symlink,
	.readlink = retry_readlink,
	.copy = retry_copy,
	.space = retry_space,
	.settle = retry_settle,
	.hash_kind = retry_hash_kind,
	.round_trip = retry_round_trip,
	.describe = retry_describe,
	.destroy = retry_destroy,
};

struct remote *retry_create(struct remote *inner, int64_t patience_ns)
{
	struct retry *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->remote.ops = &retry_ops;
	self->inner = inner;
	self->patience = patience_ns;
	return &self->remote;
}
