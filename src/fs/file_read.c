/* fs/file_read - a read of an open file: from the spool, from what was fetched ahead, or through
 * the handle's reader. */
#include <errno.h>
#include <fcntl.h>

#include "file_private.h"
#include "fs/prefetch.h"
#include "fs/reader.h"

static ssize_t read_ahead(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx)
{
	struct files *files = h->file->files;
	struct node *node = h->file->node;
	int64_t size, mtime;
	ssize_t got;
	bool known;

	if (!files->prefetch)
		return -EAGAIN;
	mutex_lock(&files->tree->lock);
	known = node->have & HAVE_SIZE;
	size = node->size;
	mtime = node->mtime;
	mutex_unlock(&files->tree->lock);
	if (!known || size > PREFETCH_SMALL)
		return -EAGAIN;
	if (at >= size)
		return 0;
	if ((int64_t)n > size - at)
		n = (size_t)(size - at);
	got = prefetch_read(files->prefetch, node, size, mtime, to, n, at, ctx);
	/* A short answer would say that the file still ends there. */
	mutex_lock(&files->tree->lock);
	known = node->size == size;
	mutex_unlock(&files->tree->lock);
	if (got >= 0 && !known)
		return -EAGAIN;
	return got == (ssize_t)n || got == -EINTR ? got : -EAGAIN;
}

/* The handle's reader for this version of the file, held; NULL with *rc == 0 when there is none and
 * `make` is not set. */
static struct reader *take_reader(struct handle *h, uint64_t version, bool make, int *rc)
{
	struct file *f = h->file;
	struct node *n = f->node;
	struct reader *r;

	*rc = 0;
	mutex_lock(&h->reader_made);
	if (h->reader && h->version != version) {
		reader_drop(h->reader);
		h->reader = NULL;
	}
	if (!h->reader && make) {
		int64_t size, mtime;

		mutex_lock(&f->files->tree->lock);
		size = n->have & HAVE_SIZE ? n->size : -1;
		mtime = n->have & HAVE_EXACT_MTIME ? n->mtime : REMOTE_KEEP_MTIME;
		mutex_unlock(&f->files->tree->lock);
		*rc = reader_create(f, size, mtime, READER_HANDLE, &h->reader);
		h->version = version;
	}
	r = *rc ? NULL : h->reader;
	if (r)
		reader_hold(r);
	mutex_unlock(&h->reader_made);
	return r;
}

static struct reader *reader_of_any(struct file *f)
{
	struct reader *r = NULL;

	mutex_lock(&f->lock);
	for (struct handle *h = f->handles; h && !r; h = h->next) {
		mutex_lock(&h->reader_made);
		r = h->reader;
		h->reader = NULL;
		mutex_unlock(&h->reader_made);
	}
	mutex_unlock(&f->lock);
	return r;
}

int file_let_go(struct file *f, const struct opctx *ctx)
{
	int rc = f->filler ? reader_let_go(f->filler, false, ctx) : 0;
	struct reader *r;

	while (rc == 0 && (r = reader_of_any(f))) {
		rc = reader_let_go(r, true, ctx);
		reader_drop(r);
	}
	return rc;
}

static ssize_t read_server(struct handle *h, uint64_t version, void *to, size_t n, int64_t at,
			   const struct opctx *ctx)
{
	int rc;
	struct reader *r = take_reader(h, version, false, &rc);
	ssize_t got;

	if (!r) {
		got = read_ahead(h, to, n, at, ctx);
		if (got != -EAGAIN)
			return got;
		r = take_reader(h, version, true, &rc);
		if (!r)
			return rc;
	}
	got = reader_read(r, to, n, at, ctx);
	reader_drop(r);
	return got;
}

/* True: *got is the answer.  False: there is no spool, and *version is what the server has. */
static bool read_spool(struct file *f, void *to, size_t n, int64_t at, ssize_t *got,
		       uint64_t *version, const struct opctx *ctx)
{
	bool answered = false;

	mutex_lock(&f->lock);
	if (f->spool) {
		*got = file_present_locked(f, at, at + (int64_t)n, ctx);
		answered = *got < 0;
	}
	/* It may have gone while somebody else's work was waited for. */
	if (f->spool && !answered) {
		*got = spool_read(f->spool, to, n, at);
		answered = true;
	}
	*version = f->version;
	mutex_unlock(&f->lock);
	return answered;
}

ssize_t file_read(struct handle *h, void *to, size_t n, int64_t at, const struct opctx *ctx)
{
	struct file *f = h->file;

	if ((h->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (at < 0 || at > INT64_MAX - (int64_t)n)
		return -EINVAL;
	for (;;) {
		uint64_t version;
		ssize_t got;
		bool moved;

		if (read_spool(f, to, n, at, &got, &version, ctx))
			return got;
		got = read_server(h, version, to, n, at, ctx);
		if (got == -EINTR || got == -ETIMEDOUT)
			return got;
		/* An error about a version that we ourselves have replaced meanwhile is nobody's;
		 * and bytes of a file that was patched meanwhile may be of two versions. */
		mutex_lock(&f->lock);
		moved = f->version != version || f->spool;
		mutex_unlock(&f->lock);
		if (!moved)
			return got;
	}
}
