/* ftp/patch - REST n, STOR: may a part of a file be replaced, and the beginning of that
 *
 * Some servers keep what lies around the part, some cut the file off at n, and what a server says
 * tells nothing about it.  So it is tried, once per server, on a temporary file of the caller's,
 * which he removes:
 *
 *     STOR .ftpfs-x             8 bytes
 *     REST 3; STOR .ftpfs-x     2 bytes; the 350 is waited for
 *     RETR .ftpfs-x             3 + 2 + 3 bytes, or no patching here
 *
 * What goes wrong for reasons of its own leaves the question open for the next time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "transfer.h"

static const char WHOLE[] = "01234567", PART[] = "ab", PATCHED[] = "012ab567";
enum { PART_AT = 3, ROOM = 64 };

/* A server without REST would truncate the file: the STOR is not sent before the 350 is here. */
int patch_begin(struct transfer *t, int64_t at)
{
	struct session *s = t->x.s;
	int code = session_command(s, &t->x.reply, t->x.ctx, "REST %lld", (long long)at);

	if (code < 0)
		return code;
	caps_learn(&s->caps, CAP_REST, code);
	t->restarted = s->rest_set = code == 350;
	return t->restarted ? 0 : -EOPNOTSUPP;
}

static int put(struct remote *r, const char *path, enum write_how how, int64_t at, const char *text,
	       const struct opctx *ctx)
{
	struct stream *s;
	int rc = upload_open(r, path, how, at, &s, ctx);

	if (rc != 0)
		return rc;
	rc = stream_write(s, text, strlen(text), ctx);
	if (rc == 0)
		rc = stream_finish(s, NULL, ctx);
	stream_close(s);
	return rc;
}

/* All of a file that has less than ROOM bytes; count, or -errno. */
static ssize_t get(struct remote *r, const char *path, char bytes[ROOM], const struct opctx *ctx)
{
	struct stream *s;
	ssize_t n = 0, got = ftp_open_read(r, path, 0, &s, ctx);

	if (got != 0)
		return got;
	do {
		got = stream_read(s, bytes + n, (size_t)(ROOM - n), ctx);
		n += got > 0 ? got : 0;
	} while (got > 0 && n < ROOM);
	stream_close(s);
	return got < 0 ? got : n;
}

/* Did the server, and not the link, the disk or the caller, say no? */
static bool refused(int rc)
{
	return rc != 0 && !remote_link_error(rc) && rc != -EINTR && rc != -ENOMEM &&
	       rc != -ENOSPC && rc != -EDQUOT;
}

/* YES, NO, or UNTRIED and *rc tells why. */
static enum tristate try_on(struct remote *r, const char *temp, int *rc, const struct opctx *ctx)
{
	char bytes[ROOM];
	ssize_t n;

	*rc = put(r, temp, WRITE_WHOLE, 0, WHOLE, ctx);
	if (*rc != 0)
		return UNTRIED;
	*rc = put(r, temp, WRITE_PATCH, PART_AT, PART, ctx);
	if (*rc != 0)
		return refused(*rc) ? NO : UNTRIED;
	n = get(r, temp, bytes, ctx);
	if (n < 0) {
		*rc = (int)n;
		return UNTRIED;
	}
	return n == (ssize_t)strlen(PATCHED) && memcmp(bytes, PATCHED, (size_t)n) == 0 ? YES : NO;
}

int ftp_can_patch(struct remote *r, const char *temp, const struct opctx *ctx)
{
	struct pool *pool = ((struct remote_ftp *)r)->pool;
	enum tristate found;
	struct caps caps;
	int rc;

	pool_caps(pool, &caps);
	if (!caps_may(&caps, CAP_REST) || !caps_may(&caps, CAP_PATCH))
		return -EOPNOTSUPP;
	if (caps.known[CAP_PATCH] == YES)
		return 0;
	if (!temp)
		return -EAGAIN;
	found = try_on(r, temp, &rc, ctx);
	if (found == UNTRIED)
		return refused(rc) ? -EOPNOTSUPP : rc;
	log_info("the server %s a part of a file", found == YES ? "can replace" : "cannot replace");
	pool_learn(pool, CAP_PATCH, found);
	return found == YES ? 0 : -EOPNOTSUPP;
}

int patch_may(struct remote *r, int64_t at, const struct opctx *ctx)
{
	return at > 0 && ftp_can_patch(r, NULL, ctx) == 0 ? 0 : -EOPNOTSUPP;
}
