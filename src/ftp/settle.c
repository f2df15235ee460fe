/* ftp/settle - mode and time of an upload, and what the server then has, in one flight */
#include "settle.h"

#include <errno.h>

#include "base/log.h"

int settling_command(void *settling, size_t i, struct buf *line)
{
	const struct settling *s = settling;
	const char *arg = buf_text(&s->x->arg);

	switch (s->kinds[i]) {
	case SETTLE_MODE:
		return buf_addf(line, "SITE CHMOD %04o %s", (unsigned)s->mode & 07777, arg);
	case SETTLE_MTIME:
		return mtime_command(s->way, s->mtime, arg, line);
	case SETTLE_MLST:
		return buf_addf(line, "MLST %s", arg);
	case SETTLE_SIZE:
		return buf_addf(line, "SIZE %s", arg);
	default:
		return buf_addf(line, "MDTM %s", arg);
	}
}

void settling_answer(void *settling, size_t i, const struct reply *r)
{
	struct settling *s = settling;
	struct caps *caps = &s->x->s->caps;

	switch (s->kinds[i]) {
	case SETTLE_MODE:
		chmod_learn(caps, r->code);
		s->mode_set = r->code / 100 == 2;
		break;
	case SETTLE_MTIME:
		s->mtime_refused = !mtime_accepted(caps, s->way, r->code);
		break;
	case SETTLE_MLST:
		s->code = r->code;
		if (r->code == 250)
			(void)entry_from_mlst(r, s->out);
		break;
	case SETTLE_SIZE:
		s->code = r->code;
		entry_take_size(s->out, r);
		break;
	default:
		entry_take_time(s->out, r);
	}
}

void settling_plan(struct settling *s, struct exchange *x, int64_t mode, int64_t mtime,
		   struct entry *out)
{
	const struct caps *c = &x->s->caps;

	*s = (struct settling){
		.x = x, .out = out, .mode = mode, .mtime = mtime, .way = mtime_way(c)};
	*out = (struct entry){.type = ENTRY_FILE};
	if (mode != REMOTE_KEEP_MODE && caps_may(c, CAP_SITE_CHMOD))
		s->kinds[s->n++] = SETTLE_MODE;
	if (mtime != REMOTE_KEEP_MTIME && s->way != MTIME_NONE)
		s->kinds[s->n++] = SETTLE_MTIME;
	if (c->known[CAP_MLST] == YES) {
		s->kinds[s->n++] = SETTLE_MLST;
		return;
	}
	if (caps_may(c, CAP_SIZE))
		s->kinds[s->n++] = SETTLE_SIZE;
	if (caps_may(c, CAP_MDTM))
		s->kinds[s->n++] = SETTLE_MDTM;
}

int settling_end(struct settling *s)
{
	struct entry *out = s->out;
	unsigned mode = (unsigned)s->mode & 07777;

	entry_clear(out);
	/* No way to set a time is known yet: the way that works is found once per server. */
	if (s->mtime_refused && mtime_set(s->x, s->mtime) == 0) {
		out->mtime = s->mtime;
		out->have |= HAVE_MTIME | HAVE_EXACT_MTIME;
	}
	if (s->code == 550)
		return -ENOENT;
	if (s->mode_set) {
		out->mode = mode;
		out->have |= HAVE_MODE;
	} else if (s->mode != REMOTE_KEEP_MODE) {
		log_debug("%s: the server did not take mode %04o", buf_text(&s->x->path), mode);
	}
	return s->x->s->broken ? -ECONNRESET : 0;
}

int ftp_settle(struct remote *r, const char *path, int64_t mode, int64_t mtime, struct entry *out,
	       const struct opctx *ctx)
{
	struct exchange x;
	struct settling s;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	settling_plan(&s, &x, mode, mtime, out);
	struct session_batch b = {s.n, &s, settling_command, settling_answer};
	rc = session_batch(x.s, &b, ctx);
	if (rc == 0)
		rc = settling_end(&s);
	return exchange_end(&x, rc);
}
