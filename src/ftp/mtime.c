/* ftp/mtime - MFMT, MDTM with a time, SITE UTIME */
#include "mtime.h"

#include <errno.h>
#include <string.h>

#include "parse/ftime.h"

static const enum cap CAP_OF[] = {CAP_MFMT, CAP_MDTM_SET, CAP_SITE_UTIME};

enum mtime_way mtime_way(const struct caps *c)
{
	for (int w = 0; w < MTIME_NONE; w++)
		if (c->known[CAP_OF[w]] == YES)
			return (enum mtime_way)w;
	for (int w = 0; w < MTIME_NONE; w++)
		if (caps_may(c, CAP_OF[w]))
			return (enum mtime_way)w;
	return MTIME_NONE;
}

enum tristate mtime_known(const struct caps *c)
{
	enum mtime_way way = mtime_way(c);

	return way == MTIME_NONE ? NO : (enum tristate)c->known[CAP_OF[way]];
}

int mtime_command(enum mtime_way way, int64_t mtime, const char *arg, struct buf *line)
{
	static const char *const VERBS[] = {"MFMT", "MDTM", "SITE UTIME"};
	char stamp[16];
	int rc = ftime_format(mtime, stamp, sizeof stamp);

	return rc == 0 ? buf_addf(line, "%s %s %s", VERBS[way], stamp, arg) : rc;
}

bool mtime_accepted(struct caps *c, enum mtime_way way, int code)
{
	if (code / 100 != 2)
		return false;
	c->known[CAP_OF[way]] = YES;
	return true;
}

/* vsftpd's words; who takes it for a question could not *get* a time. */
static bool understood(const struct reply *r)
{
	return strstr(buf_text(&r->text), "Could not set file modification time") != NULL;
}

/* What a refusal teaches.  0: go on with the next way; else the answer. */
static int refused(struct exchange *x, enum mtime_way way, bool proven)
{
	struct caps *c = &x->s->caps;
	int code = x->reply.code;
	enum found found;

	if (code == 500 || code == 502 || code == 504 || (code == 501 && way == MTIME_UTIME)) {
		c->known[CAP_OF[way]] = NO;
		return 0;
	}
	if (proven || way == MTIME_MFMT)
		return exchange_refused(x, VERB_MTIME);
	/* MDTM with a time is, to most servers, a question about an oddly named file: they say that
	 * there is none. vsftpd, which does understand it, says the same of a directory. */
	bool set = understood(&x->reply);
	int rc = look_at(x->s, buf_text(&x->path), &found, x->ctx);
	if (rc != 0)
		return rc;
	/* It has understood: this file's time is not ours to set, and nothing is learned of others.
	 */
	if (found == FOUND_FILE && set)
		return -EPERM;
	if (found == FOUND_FILE)
		c->known[CAP_OF[way]] = NO;
	return found == FOUND_NOTHING ? -ENOENT : 0;
}

int mtime_set(struct exchange *x, int64_t mtime)
{
	struct session *s = x->s;

	for (int pass = YES; pass != NO; pass = pass == YES ? UNTRIED : NO)
		for (int w = 0; w < MTIME_NONE; w++) {
			enum mtime_way way = (enum mtime_way)w;
			struct buf line;
			if (s->caps.known[CAP_OF[w]] != pass)
				continue;
			buf_init(&line, SESSION_LINE * 2);
			int rc = mtime_command(way, mtime, buf_text(&x->arg), &line);
			if (rc == 0)
				rc = session_command(s, &x->reply, x->ctx, "%s", buf_text(&line));
			buf_free(&line);
			if (rc < 0)
				return rc;
			if (mtime_accepted(&s->caps, way, rc))
				return 0;
			if ((rc = refused(x, way, pass == YES)) != 0)
				return rc;
		}
	return -EOPNOTSUPP;
}
