/* ftp/exchange - one dialogue with a borrowed session, and what a refusal means */
#include <errno.h>
#include <string.h>

#include "base/path.h"
#include "ftp_private.h"

enum { SERVER_PATH_MAX = 2 * PATH_LIMIT };

int ftp_path(const struct remote_ftp *ftp, const char *path, struct buf *out)
{
	int rc = path_check(path);

	if (rc != 0)
		return rc;
	buf_adds(out, ftp->root);
	if (strcmp(path, "/") != 0 || ftp->root[0] == '\0')
		buf_adds(out, path);
	return buf_error(out);
}

/* Names that the server would take for others. */
static bool sendable(const struct session *s, const char *path)
{
	if ((s->caps.quirks & QUIRK_BACKSLASH) && strpbrk(path, "\\\""))
		return false;
	if (s->caps.quirks & QUIRK_LATIN1_ONLY)
		for (const char *c = path; *c; c++)
			if ((unsigned char)*c >= 0x80)
				return false;
	return true;
}

int exchange_begin(struct exchange *x, struct remote_ftp *ftp, enum purpose purpose,
		   const char *path, const struct opctx *ctx)
{
	*x = (struct exchange){.ftp = ftp, .ctx = ctx};
	buf_init(&x->path, SERVER_PATH_MAX);
	buf_init(&x->arg, SERVER_PATH_MAX);
	int rc = ftp_path(ftp, path, &x->path);
	if (rc == 0)
		rc = pool_get(ftp->pool, purpose, &x->s, ctx);
	if (rc != 0) {
		buf_free(&x->path);
		return rc;
	}
	reply_init(&x->reply);
	x->s->changing = false;
	x->s->patience = 0;
	rc = sendable(x->s, buf_text(&x->path)) ? 0 : -EINVAL;
	if (rc == 0)
		rc = session_path(x->s, buf_text(&x->path), &x->arg, ctx);
	return rc == 0 ? 0 : exchange_end(x, rc);
}

int exchange_end(struct exchange *x, int rc)
{
	if (x->s)
		pool_put(x->ftp->pool, x->s);
	x->s = NULL;
	reply_free(&x->reply);
	buf_free(&x->path);
	buf_free(&x->arg);
	return rc;
}

/* ---- looking ---- */

struct look {
	const char *arg;
	const char *second; /* what answers for a file */
	int cwd, size;
};

static int look_command(void *arg, size_t i, struct buf *line)
{
	const struct look *l = arg;

	return buf_addf(line, "%s %s", i == 0 ? "CWD" : l->second, l->arg);
}

static void look_answer(void *arg, size_t i, const struct reply *r)
{
	struct look *l = arg;

	*(i == 0 ? &l->cwd : &l->size) = r->code;
}

/* SIZE alone does not do: two servers answer it for directories. */
int look_at(struct session *s, const char *server_path, enum found *out, const struct opctx *ctx)
{
	struct buf arg;
	struct look l = {0};
	struct session_batch b = {2, &l, look_command, look_answer};

	buf_init(&arg, SERVER_PATH_MAX);
	int rc = session_path(s, server_path, &arg, ctx);
	l.arg = buf_text(&arg);
	l.second = s->caps.known[CAP_MLST] == YES ? "MLST" : "SIZE";
	/* Entered step by step the path is relative, and CWD would change what it is relative to.
	 */
	if (rc == 0 && l.arg[0] != '/')
		rc = -ENAMETOOLONG;
	if (rc == 0)
		rc = session_batch(s, &b, ctx);
	buf_free(&arg);
	if (rc != 0)
		return rc;
	*out = l.cwd / 100 == 2 ? FOUND_DIR : l.size / 100 == 2 ? FOUND_FILE : FOUND_NOTHING;
	return 0;
}

/* Is the name listed in `parent`, though neither CWD nor SIZE can reach it? */
static bool listed_in(struct exchange *x, const char *parent, const char *name)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	bool there = ftp_list_on(x->s, parent, &l, x->ctx) == 0 && listing_find(&l, name);
	listing_free(&l);
	return there;
}

static bool has_children(struct exchange *x)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	bool some = ftp_list_on(x->s, buf_text(&x->path), &l, x->ctx) == 0 && l.n > 0;
	listing_free(&l);
	return some;
}

static int refused_dir(struct exchange *x, enum verb verb)
{
	switch (verb) {
	case VERB_RETR:
	case VERB_STOR:
	case VERB_APPE:
	case VERB_SIZE:
	case VERB_DELE:
		return -EISDIR;
	case VERB_MKD:
		return -EEXIST;
	case VERB_RMD:
		return has_children(x) ? -ENOTEMPTY : -EACCES;
	default:
		return -EACCES;
	}
}

static int refused_file(enum verb verb)
{
	switch (verb) {
	case VERB_MKD:
		return -EEXIST;
	case VERB_RMD:
	case VERB_CWD:
	case VERB_LIST:
		return -ENOTDIR;
	default:
		return -EACCES;
	}
}

/* Nothing answers at the path itself: the lowest directory above it that can be entered tells
 * whether the next name is missing or closed to us. */
static int refused_nothing(struct exchange *x, enum verb verb)
{
	struct buf below, up;
	enum found found = FOUND_NOTHING;
	bool makes = verb == VERB_MKD || verb == VERB_STOR || verb == VERB_APPE ||
		     verb == VERB_RNTO;
	bool direct = true;
	int rc;

	buf_init(&below, SERVER_PATH_MAX);
	buf_init(&up, SERVER_PATH_MAX);
	buf_adds(&below, buf_text(&x->path));
	rc = path_parent(&up, buf_text(&below));
	while (rc == 0 && (rc = look_at(x->s, buf_text(&up), &found, x->ctx)) == 0) {
		if (found != FOUND_NOTHING || strcmp(buf_text(&up), "/") == 0)
			break;
		direct = false;
		buf_reset(&below);
		buf_adds(&below, buf_text(&up));
		buf_reset(&up);
		rc = path_parent(&up, buf_text(&below));
	}
	if (rc == 0 && found == FOUND_FILE)
		rc = -ENOTDIR;
	else if (rc == 0 && direct && makes)
		rc = -EACCES;
	else if (rc == 0)
		rc = listed_in(x, buf_text(&up), path_name(buf_text(&below))) ? -EACCES : -ENOENT;
	buf_free(&below);
	buf_free(&up);
	return rc;
}

int exchange_refused(struct exchange *x, enum verb verb)
{
	enum found found;

	if (x->s->broken)
		return -ECONNRESET;
	int rc = errmap(verb, x->reply.code, buf_text(&x->reply.text), buf_text(&x->path));
	if (rc != ERRMAP_MUTE)
		return rc;
	if ((rc = look_at(x->s, buf_text(&x->path), &found, x->ctx)) != 0)
		return rc;
	if (found == FOUND_DIR)
		return refused_dir(x, verb);
	return found == FOUND_FILE ? refused_file(verb) : refused_nothing(x, verb);
}
