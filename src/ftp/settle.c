/* ftp/settle - mode and time of an upload, and what the server then has, in one flight */
#include "settle.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* A server on a slow disk, or with a slow processor, that says nothing until it is through; and the
 * size may be any number that it likes. */
enum { HASHED_A_SECOND = 4 << 20, HASH_SECONDS_MAX = 24 * 3600 };

int settling_command(void *settling, size_t i, struct buf *line)
{
	const struct settling *p = settling;
	const char *arg = buf_text(&p->x->arg);

	switch (p->kinds[i]) {
	case SETTLE_MODE:
		return buf_addf(line, "SITE CHMOD %04o %s", (unsigned)p->s->mode & 07777, arg);
	case SETTLE_MTIME:
		return mtime_command(p->way, p->s->mtime, arg, line);
	case SETTLE_MLST:
		return buf_addf(line, "MLST %s", arg);
	case SETTLE_SIZE:
		return buf_addf(line, "SIZE %s", arg);
	case SETTLE_MDTM:
		return buf_addf(line, "MDTM %s", arg);
	case SETTLE_HASH_KIND:
		return buf_addf(line, "OPTS HASH %s", hash_ftp_name(p->hash.kind));
	default:
		return hash_command(&p->hash, arg, line);
	}
}

void settling_answer(void *settling, size_t i, const struct reply *r)
{
	struct settling *p = settling;
	struct caps *caps = &p->x->s->caps;
	struct entry *out = &p->s->entry;

	switch (p->kinds[i]) {
	case SETTLE_MODE:
		chmod_learn(caps, r->code);
		p->mode_set = r->code / 100 == 2;
		break;
	case SETTLE_MTIME:
		p->mtime_set = mtime_accepted(caps, p->way, r->code);
		break;
	case SETTLE_MLST:
		p->code = r->code;
		if (r->code == 250)
			(void)entry_from_mlst(r, out);
		break;
	case SETTLE_SIZE:
		p->code = r->code;
		entry_take_size(out, r);
		break;
	case SETTLE_MDTM:
		entry_take_time(out, r);
		break;
	case SETTLE_HASH_KIND:
		/* Refused or not: an answer of another kind is noticed. */
		p->x->s->hash_set = true;
		break;
	default:
		hash_answer(caps, &p->hash, r, &p->s->digest);
	}
}

static void plan_hash(struct settling *p)
{
	struct session *s = p->x->s;
	int64_t seconds;

	if (p->s->hash == HASH_NONE || !caps_hash_way(&s->caps, p->s->hash, &p->hash) ||
	    !hash_can_name(&p->hash, buf_text(&p->x->arg)))
		return;
	if (p->hash.cap == CAP_HASH && !s->hash_set)
		p->kinds[p->n++] = SETTLE_HASH_KIND;
	p->kinds[p->n++] = SETTLE_HASH;
	seconds = p->s->hashed / HASHED_A_SECOND;
	s->patience = (seconds < HASH_SECONDS_MAX ? seconds : HASH_SECONDS_MAX) * NS_PER_S;
}

void settling_plan(struct settling *p, struct exchange *x, struct settle *s)
{
	const struct caps *c = &x->s->caps;

	*p = (struct settling){.x = x, .s = s, .way = mtime_way(c)};
	s->entry = (struct entry){.type = ENTRY_FILE};
	s->digest.kind = HASH_NONE;
	if (s->mode != REMOTE_KEEP_MODE && caps_may(c, CAP_SITE_CHMOD))
		p->kinds[p->n++] = SETTLE_MODE;
	if (s->mtime != REMOTE_KEEP_MTIME && p->way != MTIME_NONE)
		p->kinds[p->n++] = SETTLE_MTIME;
	if (c->known[CAP_MLST] == YES) {
		p->kinds[p->n++] = SETTLE_MLST;
	} else {
		if (caps_may(c, CAP_SIZE))
			p->kinds[p->n++] = SETTLE_SIZE;
		if (caps_may(c, CAP_MDTM))
			p->kinds[p->n++] = SETTLE_MDTM;
	}
	plan_hash(p);
}

int settling_end(struct settling *p)
{
	struct settle *s = p->s;
	unsigned mode = (unsigned)s->mode & 07777;

	p->x->s->patience = 0;
	entry_clear(&s->entry);
	s->mtime_refused = s->mtime != REMOTE_KEEP_MTIME && !p->mtime_set;
	/* No way to set a time is known yet: the way that works is found once per server. */
	if (s->mtime_refused && p->way != MTIME_NONE && mtime_set(p->x, s->mtime) == 0) {
		s->entry.mtime = s->mtime;
		s->entry.have |= HAVE_MTIME | HAVE_EXACT_MTIME;
		s->mtime_refused = false;
	}
	if (p->code == 550)
		return -ENOENT;
	s->mode_refused = s->mode != REMOTE_KEEP_MODE && !p->mode_set;
	if (p->mode_set) {
		s->entry.mode = mode;
		s->entry.have |= HAVE_MODE;
	} else if (s->mode_refused) {
		log_debug("%s: the server did not take mode %04o", buf_text(&p->x->path), mode);
	}
	return p->x->s->broken ? -ECONNRESET : 0;
}

int ftp_settle(struct remote *r, const char *path, struct settle *s, const struct opctx *ctx)
{
	struct exchange x;
	struct settling p;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, path, ctx);

	if (rc != 0)
		return rc;
	settling_plan(&p, &x, s);
	struct session_batch b = {p.n, &p, settling_command, settling_answer};
	rc = session_batch(x.s, &b, ctx);
	if (rc == 0)
		rc = settling_end(&p);
	return exchange_end(&x, rc);
}
