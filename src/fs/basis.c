/* fs/basis - what is stored may keep a part of what the server had: is that still there? */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "file_private.h"
#include "fs/reader.h"

int upload_not_ours(struct commit *c, int64_t size)
{
	log_error("%s: somebody else changed it on the server: %" PRId64 " bytes where %" PRId64
		  " were",
		  buf_text(&c->path), size, c->spool->base_size);
	c->not_ours = true;
	return -EIO;
}

int upload_fill(struct commit *c, int64_t from, int64_t to)
{
	struct extent gap;
	int rc;

	if (!spool_missing(c->spool, from, to, &gap))
		return 0;
	c->stored.fetched = true;
	rc = file_fill(c->file, from, to, c->ctx);
	if (rc == 0)
		c->progress = clock_monotonic();
	return rc;
}

/* The word of our own rename may have been lost. */
static bool is_ours(const struct commit *c, const struct entry *e)
{
	const struct stored *s = &c->stored;

	return s->replacing && version_is(c->file, e, s->new_size, s->new_mtime);
}

/* What is sent now would be a mixture of two versions for good, or lose the other one. */
int upload_check_base(struct commit *c)
{
	struct entry e;
	int rc = version_ask(c->files->remote, buf_text(&c->path), &e, c->ctx);

	if (rc)
		return rc;
	if (!(e.have & HAVE_SIZE))
		return -EOPNOTSUPP;
	if (!version_same(c->file, &e, c->stored.size, c->stored.mtime) && !is_ours(c, &e))
		return upload_not_ours(c, e.size);
	c->stored.fetched = false;
	return 0;
}

void upload_forget_locked(struct commit *c, struct file *f, int rc)
{
	/* It counts when a later try has looked.  To fetch it once more may not be possible: some
	 * servers (vsftpd) lock what an upload that was cut had begun to write. */
	if (!f->stored.fetched || rc == -EINTR || remote_link_error(rc))
		return;
	f->stored.fetched = false;
	spool_forget_fill(c->spool);
	reader_drop(f->filler);
	f->filler = NULL;
}

/* Is something that the server had a part of what it is to have? */
static bool on_base(const struct commit *c)
{
	const struct stored *s = &c->stored;
	const struct spool *spool = c->spool;
	int64_t old = spool->base_size < spool->size ? spool->base_size : spool->size;

	return s->on_server && !s->partial && !spool->whole && old > 0 &&
	       !extents_cover(&spool->dirty, 0, old);
}

int upload_complete(struct commit *c)
{
	int rc = upload_fill(c, 0, INT64_MAX);

	if (rc || !on_base(c))
		return rc;
	rc = upload_check_base(c);
	/* Nobody's version is replaced where there is none, if all was here before. */
	if (rc == -EOPNOTSUPP || (rc == -ENOENT && !c->stored.fetched)) {
		c->stored.fetched = false;
		rc = 0;
	}
	return rc;
}
