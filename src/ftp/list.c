/* ftp/list - directories: CWD, then MLSD, LIST -a, LIST or NLST without a path
 *
 * With a path the argument is split or globbed by some servers, and a missing directory looks empty
 * with a 226 on others; only CWD proves that a directory is there and may be entered. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stats.h"
#include "ftp_private.h"
#include "parse/listing.h"

enum { LISTING_BYTES_MAX = 512 << 20, PULL = 64 << 10, CALIBRATE_TRIES = 3 };

/* ---- one attempt with one command ---- */

static int pull_text(struct session *s, struct data *d, struct buf *text, const struct opctx *ctx)
{
	for (;;) {
		short want;
		char *room = buf_room(text, PULL);
		if (!room)
			return buf_error(text);
		ssize_t n = data_read(d, room, PULL, &want);
		if (n == 0)
			return 0;
		if (n > 0) {
			buf_added(text, (size_t)n);
			stats_add(STAT_BYTES_IN, n);
			continue;
		}
		if (n != -EAGAIN)
			return (int)n;
		int rc = session_poll(s, 0, d->fd, want, ctx);
		if (rc < 0)
			return rc;
	}
}

/* Success replies that do not mean success: the words are Pure-FTPd's and vsftpd's. */
static int final_verdict(const struct reply *r)
{
	const char *text = buf_text(&r->text);

	if (r->code / 100 != 2)
		return r->code;
	if (strcasestr(text, "truncated")) {
		log_error("the server cut a listing short: %s", text);
		return -EOVERFLOW;
	}
	return strcasestr(text, "failed to open directory") ? -EACCES : 0;
}

/* CWD and the listing in one flight, on a data connection that is already open or that the server
 * opens.  When CWD is refused the server lists some other directory all the same: that answer is
 * cut and dropped. */
static int send_at_once(struct session *s, const char *cwd, const char *verb, struct data *d,
			struct reply *r, const struct opctx *ctx)
{
	struct reply refusal;
	int rc = s->rest_set ? session_queue(s, "REST 0") : 0;
	bool undo = s->rest_set;

	s->rest_set = false;
	if (rc == 0)
		rc = session_queue(s, "CWD %s", cwd);
	if (rc == 0 && d->listening)
		rc = data_call(s, undo ? 2 : 1, d);
	if (rc == 0)
		rc = session_queue(s, "%s", verb);
	if (rc == 0)
		rc = data_secure(s, d);
	if (rc == 0)
		rc = session_flush(s, ctx);
	if (rc == 0)
		data_hello(s, d, true);
	if (rc == 0 && undo)
		rc = session_reply(s, r, ctx);
	if (rc == 0)
		rc = session_reply(s, r, ctx);
	if (rc != 0 || r->code / 100 == 2)
		return rc;
	reply_init(&refusal);
	rc = data_start(s, d, &refusal, ctx);
	reply_free(&refusal);
	if (rc == 0)
		session_owe(s, OWED_CUT);
	return rc < 0 ? rc : -ENOENT;
}

static int send_cold(struct session *s, const char *cwd, const char *verb, struct data *d,
		     struct reply *r, const struct opctx *ctx)
{
	int rc = data_open(s, cwd, d, r, ctx);

	if (rc == 0)
		rc = session_queue(s, "%s", verb);
	if (rc == 0)
		rc = data_secure(s, d);
	return rc == 0 ? session_flush(s, ctx) : rc;
}

enum step { STEP_DONE, STEP_CWD_REFUSED, STEP_VERB_REFUSED };

/* 0 with *step, or -errno of the link.  A refusal's reply is in *r. */
static int run_listing(struct session *s, const char *cwd, const char *verb, struct buf *text,
		       struct reply *r, enum step *step, const struct opctx *ctx)
{
	struct data d = {.fd = -1};

	*step = STEP_CWD_REFUSED;
	bool at_once = data_take_hot(s, &d, ctx) || (data_may_call(s) && data_listen(s, &d));
	int rc = at_once ? send_at_once(s, cwd, verb, &d, r, ctx)
			 : send_cold(s, cwd, verb, &d, r, ctx);
	if (rc == 0) {
		*step = STEP_VERB_REFUSED;
		rc = data_start(s, &d, r, ctx);
		/* The hot connection had expired on the server, or it cannot call us: once more. */
		if (rc == 425 && at_once) {
			data_close(&d);
			rc = send_cold(s, cwd, verb, &d, r, ctx);
			if (rc == 0)
				rc = data_start(s, &d, r, ctx);
		}
	} else if (rc == -ENOENT && !s->broken) {
		data_close(&d);
		return 0;
	}
	if (rc == 0) {
		rc = pull_text(s, &d, text, ctx);
		data_close(&d);
		if (rc != 0)
			s->broken = true;
		else
			session_heat(s, 1);
		if (rc == 0 && (rc = session_reply(s, r, ctx)) == 0) {
			rc = final_verdict(r);
			*step = rc > 0 ? STEP_VERB_REFUSED : STEP_DONE;
		}
	} else if (rc < 0) {
		s->broken = true;
	}
	data_close(&d);
	if (rc == DATA_NOT_CALLED)
		rc = -ECONNRESET; /* a listing may be repeated: whoever asked does */
	return rc < 0 ? rc : 0;
}

/* ---- which command ---- */

struct way {
	const char *verb;
	enum listing_format format;
};

static struct way next_way(const struct caps *c, unsigned *tried)
{
	static const struct way WAYS[] = {{"MLSD", FORMAT_MLSD},
					  {"LIST -a", FORMAT_LIST},
					  {"LIST", FORMAT_LIST},
					  {"NLST", FORMAT_NLST}};

	while (*tried < 4) {
		unsigned i = (*tried)++;
		if ((i == 0 && c->known[CAP_MLST] != YES) || (i == 1 && c->known[CAP_LIST_A] == NO))
			continue;
		return WAYS[i];
	}
	return (struct way){NULL, FORMAT_NLST};
}

/* Was it the command that was refused, rather than the directory? */
static bool wrong_command(const struct way *w, int code)
{
	if (code == 500 || code == 502 || code == 504)
		return true;
	/* "-a" taken for a name, or for an option that is not understood. */
	return strcmp(w->verb, "LIST -a") == 0 && (code == 501 || code == 550 || code == 451);
}

static void learn_way(struct session *s, const struct way *w, bool works)
{
	if (w->format == FORMAT_MLSD)
		s->caps.known[CAP_MLST] = works ? YES : NO;
	else if (strcmp(w->verb, "LIST -a") == 0)
		s->caps.known[CAP_LIST_A] = works ? YES : NO;
}

static int refusal_of(struct session *s, const char *server_dir, struct reply *r, enum verb verb,
		      const struct opctx *ctx)
{
	enum found found = FOUND_NOTHING;
	int rc = errmap(verb, r->code, buf_text(&r->text), server_dir);

	if (rc != ERRMAP_MUTE)
		return rc;
	if ((rc = look_at(s, server_dir, &found, ctx)) != 0)
		return rc;
	if (found == FOUND_FILE)
		return -ENOTDIR;
	return found == FOUND_DIR ? -EACCES : ERRMAP_MUTE;
}

/* The text of the listing, in *format. */
static int fetch(struct session *s, const char *server_dir, struct buf *text,
		 enum listing_format *format, const struct opctx *ctx)
{
	struct buf cwd;
	struct reply r;
	enum step step;
	unsigned tried = 0;
	int rc = 0;

	buf_init(&cwd, 2 * PATH_LIMIT);
	reply_init(&r);
	for (struct way w = next_way(&s->caps, &tried); rc == 0; w = next_way(&s->caps, &tried)) {
		if (!w.verb) {
			rc = -EOPNOTSUPP;
			break;
		}
		buf_reset(text);
		buf_reset(&cwd);
		/* Each time: a long path is entered in steps. */
		if ((rc = session_path(s, server_dir, &cwd, ctx)) != 0)
			break;
		rc = run_listing(s, buf_text(&cwd), w.verb, text, &r, &step, ctx);
		if (rc != 0)
			break;
		if (step == STEP_DONE) {
			learn_way(s, &w, true);
			*format = w.format;
			break;
		}
		if (step == STEP_CWD_REFUSED || !wrong_command(&w, r.code)) {
			rc = refusal_of(s, server_dir, &r,
					step == STEP_CWD_REFUSED ? VERB_CWD : VERB_LIST, ctx);
			break;
		}
		learn_way(s, &w, false);
	}
	reply_free(&r);
	buf_free(&cwd);
	return rc;
}

/* ---- the zone of LIST's times ---- */

static const int64_t ZONE_STEP = 15 * 60 * NS_PER_S, ZONE_MAX = 15 * 3600 * NS_PER_S;

static int64_t zone_between(int64_t listed, int64_t exact)
{
	int64_t d = exact - listed;
	int64_t half = d >= 0 ? ZONE_STEP / 2 : -ZONE_STEP / 2;

	return (d + half) / ZONE_STEP * ZONE_STEP;
}

/* MDTM is UTC everywhere, LIST is in whatever zone the server was set up with: one file that has
 * both tells. */
static int calibrate(struct session *s, const char *dir, const struct listing *l,
		     const struct opctx *ctx)
{
	struct reply r;
	struct buf path;
	int tries = 0, rc = 0;

	if (s->caps.zone_known || !caps_may(&s->caps, CAP_MDTM))
		return 0;
	reply_init(&r);
	for (size_t i = 0; i < l->n && tries < CALIBRATE_TRIES && rc == 0; i++) {
		const struct entry *e = &l->v[i];
		int64_t exact;
		if (e->type != ENTRY_FILE || !(e->have & HAVE_MTIME) ||
		    e->mtime_slack > 60 * NS_PER_S)
			continue;
		tries++;
		buf_init(&path, 2 * PATH_LIMIT);
		rc = path_join(&path, dir, e->name);
		int code = rc == 0 ? session_command(s, &r, ctx, "MDTM %s", buf_text(&path)) : rc;
		buf_free(&path);
		rc = code < 0 && s->broken ? code : 0;
		caps_learn(&s->caps, CAP_MDTM, code);
		if (code != 213 || reply_time(&r, &exact) != 0)
			continue;
		int64_t zone = zone_between(e->mtime, exact);
		if (zone > ZONE_MAX || zone < -ZONE_MAX)
			continue;
		s->caps.zone = zone;
		s->caps.zone_known = true;
		break;
	}
	reply_free(&r);
	return rc;
}

static void shift_times(struct listing *l, int64_t zone)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].have & HAVE_MTIME)
			l->v[i].mtime += zone;
}

/* NLST gives names only: CWD and SIZE tell what each is. */
static int classify(struct session *s, const char *dir, struct listing *l, const struct opctx *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < l->n && rc == 0; i++) {
		struct buf path;
		enum found found = FOUND_FILE;
		buf_init(&path, 2 * PATH_LIMIT);
		rc = path_join(&path, dir, l->v[i].name);
		if (rc == 0)
			rc = look_at(s, buf_text(&path), &found, ctx);
		l->v[i].type = found == FOUND_DIR ? ENTRY_DIR : ENTRY_FILE;
		buf_free(&path);
	}
	return rc;
}

int ftp_list_on(struct session *s, const char *server_dir, struct listing *out,
		const struct opctx *ctx)
{
	struct buf text;
	struct listing_notes notes = {0};
	enum listing_format format = FORMAT_LIST;

	buf_init(&text, LISTING_BYTES_MAX);
	int rc = fetch(s, server_dir, &text, &format, ctx);
	if (rc == 0)
		rc = listing_parse(format, buf_text(&text), text.len, clock_realtime(), out,
				   &notes);
	buf_free(&text);
	if (notes.refused)
		log_warn("%zu names in %s cannot exist in a filesystem and are not shown",
			 notes.refused, server_dir);
	if (notes.strange)
		log_warn("%zu lines of the listing of %s are not understood, the first: %s",
			 notes.strange, server_dir, notes.first_strange);
	if (rc == 0 && notes.dates_local) {
		rc = calibrate(s, server_dir, out, ctx);
		shift_times(out, s->caps.zone);
	}
	if (rc == 0 && format == FORMAT_NLST)
		rc = classify(s, server_dir, out, ctx);
	return rc;
}

int ftp_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx)
{
	struct exchange x;
	int rc = exchange_begin(&x, (struct remote_ftp *)r, FOR_METADATA, dir, ctx);

	if (rc != 0)
		return rc;
	rc = ftp_list_on(x.s, buf_text(&x.path), out, ctx);
	if (rc == ERRMAP_MUTE) {
		x.reply.code = 550;
		rc = exchange_refused(&x, VERB_CWD);
	}
	if (rc == 0)
		stats_add(STAT_LISTS, 1);
	return exchange_end(&x, rc);
}
