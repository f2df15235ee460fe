/* ftp/stat - what is known of one file or of many: MLST, SIZE, MDTM in batches */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "ftp_private.h"
#include "parse/mlsd.h"

/* The fact line of an MLST reply is the one that begins with a space (RFC 3659 section 7.2); some
 * servers leave the space out, and one says everything twice. */
int entry_from_mlst(const struct reply *r, struct entry *out)
{
	const char *text = buf_text(&r->text);

	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *line = text + (*text == ' ');
		size_t len = n - (size_t)(line - text);
		if (len > 0 && line[len - 1] == '\r')
			len--;
		const char *name = memchr(line, ' ', len);
		if (memchr(line, '=', name ? (size_t)(name - line) : len) &&
		    mlsd_parse(line, len, false, out) == 0)
			return 0;
		text += n + (text[n] == '\n');
	}
	return -EPROTO;
}

/* ---- SIZE, MDTM, CWD in one flight, for servers without MLST ---- */

struct probe {
	const char *arg;
	struct entry *out;
	int size, mdtm, cwd;
	struct caps *caps;
};

static int probe_command(void *arg, size_t i, struct buf *line)
{
	static const char *const VERBS[] = {"SIZE", "MDTM", "CWD"};
	const struct probe *p = arg;

	return buf_addf(line, "%s %s", VERBS[i], p->arg);
}

void entry_take_size(struct entry *e, const struct reply *r)
{
	if (r->code == 213 && reply_size(r, &e->size) == 0)
		e->have |= HAVE_SIZE;
}

void entry_take_time(struct entry *e, const struct reply *r)
{
	if (r->code != 213 || reply_time(r, &e->mtime) != 0)
		return;
	e->mtime_slack = 0;
	e->have |= HAVE_MTIME | HAVE_EXACT_MTIME;
}

static void probe_answer(void *arg, size_t i, const struct reply *r)
{
	struct probe *p = arg;

	if (i == 0) {
		p->size = r->code;
		caps_learn(p->caps, CAP_SIZE, r->code);
		entry_take_size(p->out, r);
	} else if (i == 1) {
		p->mdtm = r->code;
		caps_learn(p->caps, CAP_MDTM, r->code);
		entry_take_time(p->out, r);
	} else {
		p->cwd = r->code;
	}
}

static int probe(struct exchange *x, struct entry *out)
{
	struct probe p = {.arg = buf_text(&x->arg), .out = out, .caps = &x->s->caps};
	struct session_batch b = {3, &p, probe_command, probe_answer};
	int rc = session_batch(x->s, &b, x->ctx);

	if (rc != 0)
		return rc;
	if (p.cwd / 100 == 2) {
		*out = (struct entry){.type = ENTRY_DIR};
		return 0;
	}
	out->type = ENTRY_FILE;
	if (p.size == 213 || p.mdtm == 213)
		return 0;
	return p.size == 550 ? -ENOENT : -EOPNOTSUPP;
}

static int stat_mlst(struct exchange *x, struct entry *out)
{
	int code = session_command(x->s, &x->reply, x->ctx, "MLST %s", buf_text(&x->arg));

	if (code < 0)
		return code;
	caps_learn(&x->s->caps, CAP_MLST, code);
	if (code == 250) {
		int rc = entry_from_mlst(&x->reply, out);
		return rc == -EPROTO ? -EOPNOTSUPP : rc;
	}
	if (code == 500 || code == 502 || code == 504)
		return -EOPNOTSUPP;
	return exchange_refused(x, VERB_MLST);
}

/* Can MLST be believed for this?  Where it follows links it answers for the target. */
static bool mlst_answers(const struct caps *c, unsigned want)
{
	if (c->known[CAP_MLST] != YES)
		return false;
	return !(c->quirks & QUIRK_MLST_FOLLOWS) || !(want & (HAVE_MODE | HAVE_TARGET));
}

int ftp_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
	     const struct opctx *ctx)
{
	struct exchange x;
	struct caps caps;

	*out = (struct entry){.type = ENTRY_DIR};
	if (strcmp(path, "/") == 0)
		return 0; /* what is mounted was entered at login */
	pool_caps(((struct remote_ftp *)r)->pool, &caps);
	if (!mlst_answers(&caps, want) && ((want & HAVE_MODE) || caps.known[CAP_SIZE] == NO))
		return -EOPNOTSUPP;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);
	if (rc != 0)
		return rc;
	rc = mlst_answers(&caps, want) ? stat_mlst(&x, out) : probe(&x, out);
	if (rc != 0)
		entry_clear(out);
	return exchange_end(&x, rc);
}

/* ---- many ---- */

struct many {
	const char *dir;
	struct entry *const *e;
	struct caps *caps;
};

static int many_command(void *arg, size_t i, struct buf *line)
{
	const struct many *m = arg;

	buf_adds(line, "MDTM ");
	return path_join(line, m->dir, m->e[i]->name);
}

static void many_answer(void *arg, size_t i, const struct reply *r)
{
	const struct many *m = arg;

	caps_learn(m->caps, CAP_MDTM, r->code);
	entry_take_time(m->e[i], r);
}

int ftp_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
		  const struct opctx *ctx)
{
	struct exchange x;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, dir, ctx);

	if (rc != 0)
		return rc;
	struct many m = {buf_text(&x.arg), e, &x.s->caps};
	struct session_batch b = {n, &m, many_command, many_answer};
	/* Entered step by step the path is relative to where this session is. */
	bool shared = m.dir[0] == '/' && !ctx->background;
	if (caps_may(&x.s->caps, CAP_MDTM))
		rc = session_batch_helped(x.s, shared ? x.ftp->pool : NULL, &b, ctx);
	return exchange_end(&x, rc);
}
