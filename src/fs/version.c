/* fs/version - is the server's file still the one that we began with? */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/path.h"
#include "file_private.h"

static int ask_listing(struct remote *r, const char *dir, const char *name, struct entry *e,
		       const struct opctx *ctx)
{
	struct listing l;
	struct entry *found;
	int rc;

	listing_init(&l, LISTING_MAX);
	rc = remote_list(r, dir, &l, ctx);
	if (rc == 0) {
		found = listing_find(&l, name);
		if (found) {
			*e = *found;
			e->name = e->target = NULL;
		} else {
			rc = -ENOENT;
		}
	}
	listing_free(&l);
	return rc;
}

/* A server without a one-flight answer may still know SIZE and MDTM; one without these has its
 * listing, which is dear, but asked for rarely: after a loss and before an append. */
static int ask_by_parent(struct remote *r, const char *path, struct entry *e,
			 const struct opctx *ctx)
{
	char name[NAME_LIMIT + 1];
	struct entry *one = e;
	struct buf dir;
	int rc;

	if (strlen(path_name(path)) > NAME_LIMIT)
		return -ENAMETOOLONG;
	strcpy(name, path_name(path));
	buf_init(&dir, PATH_LIMIT);
	rc = path_parent(&dir, path);
	if (rc == 0) {
		*e = (struct entry){.name = name, .type = ENTRY_FILE};
		rc = remote_stat_many(r, buf_text(&dir), &one, 1, ctx);
		e->name = NULL;
	}
	if (rc == -EOPNOTSUPP || (rc == 0 && !(e->have & HAVE_SIZE)))
		rc = ask_listing(r, buf_text(&dir), name, e, ctx);
	buf_free(&dir);
	return rc;
}

int version_ask(struct remote *r, const char *path, struct entry *e, const struct opctx *ctx)
{
	int rc;

	memset(e, 0, sizeof *e);
	rc = remote_stat(r, path, HAVE_SIZE | HAVE_MTIME, e, ctx);
	if (rc == -EOPNOTSUPP)
		return ask_by_parent(r, path, e, ctx);
	if (rc == 0)
		entry_clear(e);
	e->name = e->target = NULL;
	return rc;
}

bool version_is(const struct file *f, const struct entry *e, int64_t size, int64_t mtime)
{
	int64_t own_mtime = atomic_load(&f->own_mtime);

	if (e->type != ENTRY_FILE)
		return false;
	if (size >= 0 && (e->have & HAVE_SIZE) && e->size != size)
		return false;
	if (mtime == REMOTE_KEEP_MTIME || !(e->have & HAVE_EXACT_MTIME))
		return true;
	/* Whole seconds: one way of asking may tell fractions that the other does not. */
	return e->mtime / NS_PER_S == mtime / NS_PER_S ||
	       e->mtime / NS_PER_S == own_mtime / NS_PER_S;
}

bool version_same(const struct file *f, const struct entry *e, int64_t size, int64_t mtime)
{
	int64_t append_end = atomic_load(&f->append_end);

	/* Our own append leaves what was there as it was. */
	if (append_end && size >= 0 && (e->have & HAVE_SIZE))
		return e->type == ENTRY_FILE && e->size >= size && e->size <= append_end;
	return version_is(f, e, size, mtime);
}

bool version_grown(const struct entry *e, int64_t size, int64_t mtime)
{
	if (e->type != ENTRY_FILE || size < 0 || !(e->have & HAVE_SIZE) || e->size <= size)
		return false;
	return mtime == REMOTE_KEEP_MTIME || !(e->have & HAVE_EXACT_MTIME) ||
	       e->mtime / NS_PER_S >= mtime / NS_PER_S;
}

int version_pause(const struct opctx *ctx, int64_t ns)
{
	struct pollfd cancel = {.fd = ctx->cancel_fd, .events = POLLIN};
	int64_t until = clock_monotonic() + ns;
	int64_t left = ns;
	int rc;

	/* In slices: an opctx need not have a cancel_fd. */
	while ((rc = opctx_check(ctx)) == 0 && left > 0) {
		int64_t slice = left < LOCK_SLICE_NS ? left : LOCK_SLICE_NS;

		if (poll(&cancel, 1, (int)((slice + NS_PER_MS - 1) / NS_PER_MS)) > 0)
			cancel.fd = -1;
		left = until - clock_monotonic();
	}
	return rc;
}
