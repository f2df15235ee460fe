/* ftp/introduce - from a login to a session: is it in step, what can the server do, TYPE I */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ftp/session.h"

/* Above the window, so that one more command always fits. */
enum { OUT_MAX = SESSION_WINDOW + (8 << 10) };

static void learn_feat(struct session *s, const struct opctx *ctx)
{
	struct reply r;

	reply_init(&r);
	if (session_command(s, &r, ctx, "FEAT") == 211)
		caps_from_feat(&s->caps, &r);
	/* FEAT may be missing where MLST exists; a try tells. */
	if (!s->broken && s->caps.known[CAP_MLST] == UNTRIED) {
		int code = session_command(s, &r, ctx, "MLST /");
		if (code > 0)
			s->caps.known[CAP_MLST] = code == 250 ? YES : NO;
	}
	reply_free(&r);
}

/* Is what libcurl handed over really a control channel in step?  NOOP must be answered by one
 * reply; a 5xx is an honest "unknown command". */
static int check_in_step(struct session *s, const struct opctx *ctx)
{
	struct reply r;

	reply_init(&r);
	int code = session_command(s, &r, ctx, "NOOP");
	reply_free(&r);
	if (code < 0)
		return code;
	caps_learn(&s->caps, CAP_NOOP, code);
	if (code / 100 == 2 || code / 100 == 5)
		return 0;
	s->broken = true;
	return -EPROTO;
}

struct settings {
	struct session *s;
	const char *lines[3];
	size_t n;
	int type_code;
};

static int setting_command(void *arg, size_t i, struct buf *line)
{
	struct settings *set = arg;

	return buf_adds(line, set->lines[i]);
}

static void setting_answer(void *arg, size_t i, const struct reply *r)
{
	struct settings *set = arg;

	if (i == 0)
		set->type_code = r->code;
}

/* TYPE I for good: SIZE and REST mean bytes only there, and listings read the same in it. */
static int apply_settings(struct session *s, const struct opctx *ctx)
{
	struct settings set = {.s = s, .lines = {"TYPE I"}, .n = 1};

	if (s->caps.known[CAP_UTF8] != NO)
		set.lines[set.n++] = "OPTS UTF8 ON";
	if (s->caps.known[CAP_MLST] == YES && s->caps.mlst_mode)
		set.lines[set.n++] = "OPTS MLST type;size;modify;perm;unique;UNIX.mode;";
	struct session_batch b = {set.n, &set, setting_command, setting_answer};
	int rc = session_batch(s, &b, ctx);
	if (rc == 0 && set.type_code / 100 != 2)
		rc = -EPROTO;
	return rc;
}

static int introduce(struct session *s, const struct caps *known, const struct buf *greeting,
		     const struct opctx *ctx)
{
	int rc = 0;

	if (known) {
		s->caps = *known;
	} else {
		caps_from_greeting(&s->caps, buf_text(greeting));
		if ((rc = check_in_step(s, ctx)) == 0)
			learn_feat(s, ctx);
		if (rc == 0 && s->broken)
			rc = -ECONNRESET;
	}
	return rc == 0 ? apply_settings(s, ctx) : rc;
}

int session_open(const struct login_conf *conf, unsigned id, const struct caps *known,
		 struct session **out, enum login_failure *failure, struct buf *why,
		 const struct opctx *ctx)
{
	struct buf greeting;
	struct session *s = calloc(1, sizeof *s);

	*failure = LOGIN_INTERNAL;
	if (!s)
		return -ENOMEM;
	s->id = id;
	s->conf = conf;
	s->hot = -1;
	buf_init(&s->in, REPLY_MAX);
	buf_init(&s->out, OUT_MAX);
	buf_init(&greeting, 16 << 10);
	int rc = login_open(conf, &s->login, &greeting, failure, why, ctx);
	if (rc == 0) {
		stats_add(STAT_LOGINS, 1);
		rc = introduce(s, known, &greeting, ctx);
		if (rc != 0) {
			*failure = rc == -EPROTO ? LOGIN_NOT_FTP : LOGIN_NO_CONNECT;
			buf_addf(why, "logged in, then: %s", strerror(-rc));
		}
	}
	buf_free(&greeting);
	if (rc != 0) {
		session_close(s);
		return rc;
	}
	s->last_used = clock_monotonic();
	*out = s;
	return 0;
}

void session_close(struct session *s)
{
	session_cool(s);
	/* Only then: a reset that a cut link swallows leaves the server with a session until its
	 * own time-out, and it may allow few. */
	if (s->broken && s->changing && s->login)
		data_reset_on_close(login_fd(s->login), true);
	login_close(s->login);
	buf_free(&s->in);
	buf_free(&s->out);
	free(s);
}
