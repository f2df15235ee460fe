/* ftp/copy - a file is copied by the server itself: SITE CPFR and SITE CPTO, or SITE COPY.
 *
 * The two of a pair are not sent in one flight: should the first be refused, the second might find
 * what an earlier one had named, and copy another file. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "ftp_private.h"

/* For a look from another connection, while this one waits. */
#define LOOK (5 * NS_PER_S)

/* Has the copy grown since the last look? */
static bool grew(struct exchange *x, const char *to, int64_t *size)
{
	struct opctx soon = opctx_for(LOOK);
	struct entry e = {0};
	int64_t before = *size;

	if (ftp_stat(&x->ftp->base, to, HAVE_SIZE, &e, &soon) != 0)
		return false;
	if (e.have & HAVE_SIZE)
		*size = e.size;
	entry_clear(&e);
	return *size > before;
}

/* The reply comes when all is copied, which may take longer than a server may be silent: as long as
 * the copy grows it is at work.  The reply's code, or -errno. */
static int await_copy(struct exchange *x, const char *to)
{
	struct session *s = x->s;
	int64_t size = -1;
	int rc;

	while ((rc = session_reply_now(s, &x->reply)) == 0) {
		rc = session_poll(s, POLLIN, -1, 0, x->ctx);
		if (rc == -ETIMEDOUT && opctx_check(x->ctx) == 0 && grew(x, to, &size))
			continue;
		if (rc < 0) {
			s->broken = true;
			return rc;
		}
	}
	return rc < 0 ? rc : x->reply.code;
}

static int send_copy(struct exchange *x, const char *to, const char *line)
{
	int rc = session_queue(x->s, "%s", line);

	if (rc == 0)
		rc = session_flush(x->s, x->ctx);
	return rc == 0 ? await_copy(x, to) : rc;
}

/* Any permanent no but the one that is about a file is about the command: it may be closed to this
 * user. */
static void learn(struct caps *c, enum cap cap, int code)
{
	bool about_file = code == 550 || code == 553;

	if (code / 100 == 5 && !about_file)
		c->known[cap] = NO;
	else
		caps_learn(c, cap, code);
}

/* Code of the last reply, or -errno; 0: not this way. */
static int copy_by_pair(struct exchange *x, const char *to, const char *to_arg, struct buf *line)
{
	struct caps *c = &x->s->caps;
	int rc;

	if (!caps_may(c, CAP_SITE_CPFR))
		return 0;
	rc = session_command(x->s, &x->reply, x->ctx, "SITE CPFR %s", buf_text(&x->arg));
	if (rc < 0)
		return rc;
	learn(c, CAP_SITE_CPFR, rc);
	if (rc / 100 != 3)
		return caps_may(c, CAP_SITE_CPFR) ? rc : 0;
	buf_addf(line, "SITE CPTO %s", to_arg);
	return send_copy(x, to, buf_text(line));
}

/* Two words: a name with a space cannot be said.  Asked only where FEAT names it. */
static int copy_by_one(struct exchange *x, const char *to, const char *to_arg, struct buf *line)
{
	struct caps *c = &x->s->caps;
	int rc;

	if (c->known[CAP_SITE_COPY] != YES || strchr(buf_text(&x->arg), ' ') || strchr(to_arg, ' '))
		return 0;
	buf_addf(line, "SITE COPY %s %s", buf_text(&x->arg), to_arg);
	rc = send_copy(x, to, buf_text(line));
	if (rc > 0)
		learn(c, CAP_SITE_COPY, rc);
	return rc > 0 && !caps_may(c, CAP_SITE_COPY) ? 0 : rc;
}

static int refused(const struct exchange *x)
{
	int rc = errmap(VERB_SITE, x->reply.code, buf_text(&x->reply.text), buf_text(&x->path));

	return rc == ERRMAP_MUTE ? -EACCES : rc;
}

/* ProFTPD strips them, and would copy another file. */
static bool ends_in_blank(const char *path)
{
	size_t n = strlen(path);

	return n > 0 && (path[n - 1] == ' ' || path[n - 1] == '\t');
}

int ftp_copy(struct remote *r, const char *from, const char *to, const struct opctx *ctx)
{
	struct exchange x;
	struct buf to_arg, line;

	if (ends_in_blank(from) || ends_in_blank(to))
		return -EOPNOTSUPP;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, from, ctx);

	if (rc != 0)
		return rc;
	x.s->changing = true;
	buf_init(&to_arg, 2 * PATH_LIMIT);
	buf_init(&line, 2 * SESSION_LINE);
	rc = ftp_path(x.ftp, to, &to_arg);
	if (rc == 0)
		rc = copy_by_pair(&x, to, buf_text(&to_arg), &line);
	if (rc == 0)
		rc = copy_by_one(&x, to, buf_text(&to_arg), &line);
	if (rc == 0)
		rc = -EOPNOTSUPP;
	else if (rc > 0)
		rc = rc / 100 == 2 ? 0 : refused(&x);
	buf_free(&to_arg);
	buf_free(&line);
	return exchange_end(&x, rc);
}
