/* remote_mem - its streams: a file is visible on the server while it is being written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "remote_mem_private.h"

struct mem_stream {
	struct stream stream;
	struct mem_server *server;
	struct mem_node *node;
	size_t at; /* of a read, or of a write to the file's middle */
	bool patches, reads;
	struct remote *remote;
	char *path; /* of a write */
};

static ssize_t mem_read(struct stream *s, void *to, size_t n, const struct opctx *ctx)
{
	struct mem_stream *self = (struct mem_stream *)s;
	int rc = opctx_check(ctx);
	size_t left;

	if (rc)
		return rc;
	mutex_lock(&self->server->lock);
	left = self->node->size > self->at ? self->node->size - self->at : 0;
	if (n > left)
		n = left;
	if (n > 0)
		memcpy(to, self->node->bytes + self->at, n);
	self->at += n;
	mutex_unlock(&self->server->lock);
	return (ssize_t)n;
}

static int mem_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx)
{
	struct mem_stream *self = (struct mem_stream *)s;
	int rc = opctx_check(ctx);

	if (rc || n == 0)
		return rc;
	mutex_lock(&self->server->lock);
	mem_write_locked(self->node, from, n, self->patches ? self->at : self->node->size);
	self->at += n;
	mutex_unlock(&self->server->lock);
	return 0;
}

static ssize_t mem_send(struct stream *s, int fd, int64_t at, size_t n, bool wait,
			const struct opctx *ctx)
{
	char bytes[4096];
	ssize_t got = pread(fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes), at);
	int rc = got > 0 ? mem_write(s, bytes, (size_t)got, ctx) : -EIO;

	(void)wait;
	return rc ? rc : got;
}

static void mem_park(struct stream *s)
{
	(void)s;
}

static int mem_finish(struct stream *s, struct settle *settle, const struct opctx *ctx)
{
	struct mem_stream *self = (struct mem_stream *)s;
	int rc = opctx_check(ctx);

	mutex_lock(&self->server->lock);
	if (!rc && self->server->corrupt && self->node->size) {
		self->server->corrupt--;
		self->node->bytes[self->node->size / 2] ^= 1;
	}
	mutex_unlock(&self->server->lock);
	if (!rc && settle && self->server->traits.settles_behind)
		settle->done = remote_settle(self->remote, self->path, settle, ctx) == 0;
	return rc;
}

static void mem_close(struct stream *s)
{
	struct mem_stream *self = (struct mem_stream *)s;

	mutex_lock(&self->server->lock);
	self->server->reads_open -= self->reads;
	mem_unref_locked(self->node);
	mutex_unlock(&self->server->lock);
	free(self->path);
	free(self);
}

static ssize_t no_read(struct stream *s, void *to, size_t n, const struct opctx *ctx)
{
	(void)s;
	(void)to;
	(void)n;
	(void)ctx;
	return -EBADF;
}

static int no_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx)
{
	(void)s;
	(void)from;
	(void)n;
	(void)ctx;
	return -EBADF;
}

static ssize_t no_send(struct stream *s, int fd, int64_t at, size_t n, bool wait,
		       const struct opctx *ctx)
{
	(void)fd;
	(void)at;
	(void)wait;
	return no_write(s, NULL, n, ctx);
}

static int no_finish(struct stream *s, struct settle *settle, const struct opctx *ctx)
{
	(void)s;
	(void)settle;
	(void)ctx;
	return -EBADF;
}

static const struct stream_ops read_ops = {
	.read = mem_read,
	.write = no_write,
	.send = no_send,
	.park = mem_park,
	.finish = no_finish,
	.close = mem_close,
};

static const struct stream_ops write_ops = {
	.read = no_read,
	.write = mem_write,
	.send = mem_send,
	.park = mem_park,
	.finish = mem_finish,
	.close = mem_close,
};

static struct mem_stream *stream_on_locked(struct mem_server *m, struct mem_node *n,
					   const struct stream_ops *ops, size_t at)
	REQUIRES(m->lock)
{
	struct mem_stream *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->stream.ops = ops;
	s->server = m;
	s->node = n;
	s->at = at;
	n->refs++;
	return s;
}

int mem_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		  const struct opctx *ctx)
{
	struct mem_server *m = mem_server_of(r);
	struct mem_node *n;
	int rc = opctx_check(ctx);

	if (rc)
		return rc;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	if (!rc && n->type == ENTRY_DIR)
		rc = -EISDIR;
	if (!rc) {
		struct mem_stream *s = stream_on_locked(m, n, &read_ops, (size_t)from);

		s->reads = true;
		m->reads_open++;
		*out = &s->stream;
	}
	mutex_unlock(&m->lock);
	return rc;
}

int mem_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	struct mem_server *m = mem_server_of(r);
	bool tried;
	int rc = opctx_check(ctx);

	mutex_lock(&m->lock);
	tried = m->patch_tried;
	mutex_unlock(&m->lock);
	if (rc == 0 && !tried)
		rc = temp ? mem_put(m, temp, "012ab567", 8) : -EAGAIN;
	if (rc)
		return rc;
	mutex_lock(&m->lock);
	m->patch_tried = true;
	mutex_unlock(&m->lock);
	return m->traits.no_patch ? -EOPNOTSUPP : 0;
}

int mem_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		   struct stream **out, const struct opctx *ctx)
{
	struct mem_server *m = mem_server_of(r);
	struct mem_node *n;
	int rc = opctx_check(ctx);

	/* APPE goes to the end, wherever the caller believes it is. */
	if (rc)
		return rc;
	if ((how == WRITE_PATCH && m->traits.no_patch) ||
	    (how == WRITE_APPEND && m->traits.no_append))
		return -EOPNOTSUPP;
	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	if (rc == -ENOENT)
		rc = mem_make_locked(m, path, ENTRY_FILE, &n);
	else if (!rc && n->type == ENTRY_DIR)
		rc = -EISDIR;
	if (!rc) {
		if (how == WRITE_WHOLE || (how == WRITE_PATCH && at == 0))
			n->size = 0;
		if (n->size == 0) /* to open a file changes nothing of it */
			n->mtime = mem_whole_second(clock_realtime());
		struct mem_stream *s = stream_on_locked(m, n, &write_ops, (size_t)at);
		s->patches = how == WRITE_PATCH;
		s->remote = r;
		s->path = strdup(path);
		if (!s->path)
			abort();
		*out = &s->stream;
	}
	mutex_unlock(&m->lock);
	return rc;
}
