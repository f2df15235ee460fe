/* fs/patch - a change in the middle of a big file: the parts that changed, and nothing else, go
 * into the server's file itself (REST + STOR).
 *
 * From the first byte until the server has confirmed the last one its file is a mixture.  When a
 * try breaks off, the next one sends the same again: file.h has the invariant that makes that, and
 * everything else that may follow, right.  If the application has written meanwhile the whole file
 * is replaced instead: bytes that were on their way when the link broke may still arrive, and they
 * may only meet bytes that are equal, or a file that is nobody's any more.
 *
 * Where that is not wanted (inplace=off, atomic=on) and the server can copy, it makes a copy beside
 * the file, the parts go into that, and it replaces the file. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "file_private.h"
#include "fs/commit.h"

enum {
	CHUNK = 256 << 10,
	GAP_MAX = 32 << 10, /* two parts cost more round trips than the bytes between them */
	AUTO_SIZE = 1 << 20,
	AUTO_SHARE = 4, /* less than this part of the file has changed */
};

static bool add_part(struct patch *p, int64_t from, int64_t to)
{
	struct extent *last = p->n ? &p->part[p->n - 1] : NULL;

	if (last && from - last->to <= GAP_MAX) {
		last->to = to > last->to ? to : last->to;
		return true;
	}
	if (p->n == PATCH_PARTS_MAX)
		return false;
	p->part[p->n++] = (struct extent){from, to};
	return true;
}

/* What is dirty in the base, in order, and all that lies beyond it. */
static bool parts_of(const struct spool *s, struct patch *p)
{
	p->n = 0;
	for (size_t i = 0; i < s->dirty.n && s->dirty.v[i].from < s->base_size; i++)
		if (!add_part(p, s->dirty.v[i].from, s->dirty.v[i].to))
			return false;
	if (s->size > s->base_size && !add_part(p, s->base_size, s->size))
		return false;
	/* A STOR at 0 begins anew. */
	return p->n && p->part[0].from > 0;
}

static bool worth_while(const struct patch *p, const struct spool *s)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < p->n; i++)
		bytes += p->part[i].to - p->part[i].from;
	return s->size >= AUTO_SIZE && bytes < s->size / AUTO_SHARE;
}

/* The server's file is what the spool began with, but for a patch of ours with the same bytes. */
static bool base_is_there(const struct commit *c)
{
	const struct stored *s = &c->stored;
	const struct spool *spool = c->spool;
	bool torn = atomic_load(&c->file->append_end) != 0;

	return s->on_server && !s->partial && s->size == spool->base_size && !spool->whole &&
	       !spool->shrunk && (!torn || s->patching == c->writes);
}

bool patch_plan(const struct commit *c, struct patch *p)
{
	enum inplace inplace = c->files->inplace;
	const struct stored *s = &c->stored;

	p->beside = inplace == INPLACE_OFF || c->files->atomic == ATOMIC_ON;
	if (p->beside && s->no_temp)
		return false;
	if (s->no_patch || s->upload || !base_is_there(c) ||
	    upload_may_append(c->file, s, c->spool))
		return false;
	return parts_of(c->spool, p) && (inplace == INPLACE_ON || worth_while(p, c->spool));
}

/* Where the parts are wider than what is dirty.  Before the server's file is looked at: if it is
 * still the base then, so is what was fetched. */
static int fill_gaps(struct commit *c, const struct patch *p)
{
	int rc = 0;

	for (size_t i = 0; i < p->n && rc == 0; i++)
		rc = upload_fill(c, p->part[i].from, p->part[i].to);
	return rc;
}

/* May a part be replaced here?  Once per server that is tried on a temporary sibling. */
static int find_out(struct commit *c)
{
	struct remote *r = c->files->remote;
	int rc = remote_can_patch(r, NULL, c->ctx);

	if (rc != -EAGAIN)
		return rc;
	rc = temp_name(c);
	if (rc == 0)
		rc = remote_can_patch(r, c->stored.temp, c->ctx);
	temp_discard(c);
	return rc;
}

/* From here on the server's file is a mixture, until the commit is noted as stored. */
static void begin(struct commit *c)
{
	if (c->stored.patching == c->writes)
		return;
	c->stored.patching = c->writes;
	atomic_store(&c->file->append_end, c->spool->size);
}

static int send_part(struct commit *c, int64_t to)
{
	struct stored *s = &c->stored;
	char *bytes = malloc(CHUNK);
	int rc = bytes ? 0 : -ENOMEM;

	while (rc == 0 && s->sent < to) {
		int64_t left = to - s->sent;
		ssize_t n = spool_read(c->spool, bytes, left < CHUNK ? (size_t)left : CHUNK,
				       s->sent);

		rc = n > 0 ? stream_write(s->upload, bytes, (size_t)n, c->ctx) : (int)n;
		if (rc == 0 && n > 0) {
			s->sent += n;
			upload_sent_some(c);
		}
	}
	free(bytes);
	return rc;
}

static int store_part(struct commit *c, const char *path, const struct extent *part, bool last)
{
	struct stored *s = &c->stored;
	int rc = remote_open_write(c->files->remote, path, WRITE_PATCH, part->from, &s->upload,
				   c->ctx);

	/* A command that was lost may have been carried out. */
	if (s->to == UPLOAD_PART && (rc == 0 || rc == -EINTR || remote_link_error(rc)))
		begin(c);
	if (rc)
		return rc;
	s->sent = part->from;
	rc = send_part(c, part->to);
	if (rc == 0 && last)
		return upload_finish(c);
	if (rc == 0)
		rc = stream_finish(s->upload, NULL, c->ctx);
	upload_drop(s);
	return rc;
}

static int in_place(struct commit *c, const struct patch *p)
{
	int rc = upload_check_base(c);

	if (rc == 0 && c->stored.patching != c->writes)
		rc = promise_patch(c->file);
	if (rc == 0)
		rc = file_let_go(c->file, c->ctx);
	for (size_t i = 0; i < p->n && rc == 0; i++)
		rc = store_part(c, buf_text(&c->path), &p->part[i], i + 1 == p->n);
	return rc;
}

/* ---- in a copy ---- */

/* The base is looked at when the copy is complete: so it was the base all the time. */
static int copy_base(struct commit *c)
{
	int64_t least = c->stored.size, most = atomic_load(&c->file->append_end);
	int rc = copy_to_temp(c, buf_text(&c->path), least);

	if (rc == 0)
		rc = copy_complete(c, least, most > least ? most : least);
	return rc ? rc : upload_check_base(c);
}

/* Should the word of the rename be lost, the file is the old or the new one.  Both are the base
 * outside what is dirty, which is all that is asked of a mixture. */
static int replace(struct commit *c)
{
	int rc = copy_settle(c, c->spool->size);

	if (rc == 0)
		rc = copy_place(c);
	if (rc == -EINTR || remote_link_error(rc))
		begin(c);
	return rc;
}

/* Whatever goes wrong has happened to a file that nobody sees: it is thrown away. */
static int in_copy(struct commit *c, const struct patch *p)
{
	struct stored *s = &c->stored;
	int rc = copy_base(c);

	s->to = UPLOAD_TEMP;
	for (size_t i = 0; i < p->n && rc == 0; i++)
		rc = store_part(c, s->temp, &p->part[i], false);
	if (rc == 0)
		rc = replace(c);
	if (rc == 0)
		return 0;
	copy_discard(c);
	s->to = UPLOAD_PART;
	return rc == -EEXIST || rc == -ENAMETOOLONG ? -EOPNOTSUPP : rc;
}

int patch_store(struct commit *c, const struct patch *p)
{
	int rc;

	c->stored.to = UPLOAD_PART;
	rc = find_out(c);
	if (rc == 0)
		rc = fill_gaps(c, p);
	if (rc)
		return rc;
	return p->beside ? in_copy(c, p) : in_place(c, p);
}
