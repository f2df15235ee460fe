/* remote - the short forms of the seam, and which errors are the link's. */
#include "remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/path.h"

bool remote_link_error(int error)
{
	switch (error < 0 ? -error : error) {
	case ECONNRESET:
	case ECONNREFUSED:
	case ECONNABORTED:
	case EPIPE:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENOTCONN:
		return true;
	default:
		return false;
	}
}

int remote_temp_path(const char *path, struct buf *out)
{
	char name[sizeof REMOTE_TEMP_PREFIX + 16];
	uint64_t random;
	struct buf dir;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return -EIO;
	snprintf(name, sizeof name, REMOTE_TEMP_PREFIX "%016" PRIx64, random);
	buf_init(&dir, PATH_LIMIT);
	int rc = path_parent(&dir, path);
	if (rc == 0)
		rc = path_join(out, buf_text(&dir), name);
	buf_free(&dir);
	return rc;
}

int remote_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx)
{
	return r->ops->list(r, dir, out, ctx);
}

int remote_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		const struct opctx *ctx)
{
	return r->ops->stat(r, path, want, out, ctx);
}

int remote_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
		     const struct opctx *ctx)
{
	return r->ops->stat_many(r, dir, e, n, ctx);
}

int remote_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		     const struct opctx *ctx)
{
	return r->ops->open_read(r, path, from, out, ctx);
}

int remote_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		      struct stream **out, const struct opctx *ctx)
{
	return r->ops->open_write(r, path, how, at, out, ctx);
}

int remote_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	return r->ops->can_patch(r, temp, ctx);
}

int remote_mkdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	return r->ops->mkdir(r, path, ctx);
}

int remote_rmdir(struct remote *r, const char *path, const struct opctx *ctx)
{
	return r->ops->rmdir(r, path, ctx);
}

int remote_remove(struct remote *r, const char *path, const struct opctx *ctx)
{
	return r->ops->remove(r, path, ctx);
}

int remote_rename(struct remote *r, const char *from, const char *to, enum if_exists how,
		  const struct opctx *ctx)
{
	return r->ops->rename(r, from, to, how, ctx);
}

int remote_set_mtime(struct remote *r, const char *path, int64_t mtime, const struct opctx *ctx)
{
	return r->ops->set_mtime(r, path, mtime, ctx);
}

int remote_set_mode(struct remote *r, const char *path, uint32_t mode, const struct opctx *ctx)
{
	return r->ops->set_mode(r, path, mode, ctx);
}

int remote_can_set(struct remote *r, enum remote_attr what)
{
	return r->ops->can_set(r, what);
}

int remote_symlink(struct remote *r, const char *target, const char *path, const struct opctx *ctx)
{
	return r->ops->symlink(r, target, path, ctx);
}

int remote_readlink(struct remote *r, const char *path, struct buf *out, const struct opctx *ctx)
{
	return r->ops->readlink(r, path, out, ctx);
}

int remote_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	return r->ops->copy(r, from, to, ctx);
}

int remote_space(struct remote *r, struct space *out, const struct opctx *ctx)
{
	return r->ops->space(r, out, ctx);
}

int remote_settle(struct remote *r, const char *path, struct settle *s, const struct opctx *ctx)
{
	return r->ops->settle(r, path, s, ctx);
}

enum hash_kind remote_hash_kind(struct remote *r)
{
	return r->ops->hash_kind(r);
}

int64_t remote_round_trip(struct remote *r)
{
	return r->ops->round_trip ? r->ops->round_trip(r) : 0;
}

void remote_describe(struct remote *r, struct buf *out)
{
	r->ops->describe(r, out);
}

void remote_destroy(struct remote *r)
{
	r->ops->destroy(r);
}

ssize_t stream_read(struct stream *s, void *to, size_t n, const struct opctx *ctx)
{
	return s->ops->read(s, to, n, ctx);
}

int stream_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx)
{
	return s->ops->write(s, from, n, ctx);
}

ssize_t stream_send(struct stream *s, int fd, int64_t at, size_t n, bool wait,
		    const struct opctx *ctx)
{
	return s->ops->send(s, fd, at, n, wait, ctx);
}

bool stream_queued(struct stream *s)
{
	return s->ops->queued && s->ops->queued(s);
}

void stream_park(struct stream *s)
{
	s->ops->park(s);
}

int stream_finish(struct stream *s, struct settle *settle, const struct opctx *ctx)
{
	return s->ops->finish(s, settle, ctx);
}

void stream_close(struct stream *s)
{
	s->ops->close(s);
}
