/* ftp/session - one control connection: commands out, replies in */
#include "ftp/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stats.h"
#include "ftp/errmap.h"
#include "session_private.h"

enum { READ_SIZE = 16 << 10 };

bool session_tls(const struct session *s)
{
	return login_tls(s->login);
}

bool session_pipelines(const struct session *s)
{
	return !(s->caps.quirks & QUIRK_ONE_AT_A_TIME);
}

bool session_calls(const struct session *s)
{
	return s->caps.known[CAP_EPRT] == YES && session_pipelines(s);
}

size_t session_line_max(const struct session *s)
{
	return s->caps.quirks & QUIRK_SHORT_LINES ? SESSION_LINE_SHORT : SESSION_LINE;
}

static int broken(struct session *s, int error)
{
	s->broken = true;
	return error;
}

/* ---- waiting ---- */

static int poll_timeout(const struct session *s, const struct opctx *ctx)
{
	int64_t left = s->conf->timeout + s->patience;
	int64_t now = clock_monotonic();

	if (ctx->deadline != OPCTX_FOREVER && ctx->deadline - now < left)
		left = ctx->deadline - now;
	if (left <= 0)
		return 0;
	return left / NS_PER_MS > 3600000 ? 3600000 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

int session_poll(struct session *s, short control_events, int data_fd, short data_events,
		 const struct opctx *ctx)
{
	struct pollfd fds[3] = {
		{.fd = control_events ? login_fd(s->login) : -1, .events = control_events},
		{.fd = data_fd, .events = data_events},
		{.fd = ctx->cancel_fd, .events = POLLIN},
	};
	int n, rc;

	do {
		if ((rc = opctx_check(ctx)) != 0)
			return rc;
		n = poll(fds, 3, poll_timeout(s, ctx));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	rc = (fds[0].revents ? SESSION_CONTROL : 0) | (fds[1].revents ? SESSION_DATA : 0);
	return rc ? rc : -EINTR;
}

/* ---- commands ---- */

int session_queue(struct session *s, const char *format, ...)
{
	va_list args;
	size_t before = s->out.len;

	va_start(args, format);
	int rc = buf_vaddf(&s->out, format, args);
	va_end(args);
	if (rc != 0)
		return broken(s, rc);
	const char *line = s->out.data + before;
	size_t n = s->out.len - before;
	if (memchr(line, '\r', n) || memchr(line, '\n', n) || memchr(line, '\0', n))
		rc = -EINVAL;
	else if (n > session_line_max(s))
		rc = -ENAMETOOLONG;
	if (rc != 0) {
		s->out.len = before;
		s->out.data[before] = '\0';
		return rc;
	}
	log_command(s->id, '>', line);
	stats_add(STAT_COMMANDS, 1);
	rc = buf_adds(&s->out, "\r\n");
	return rc == 0 ? 0 : broken(s, rc);
}

/* Bytes from `at` to give to one send: over TLS one command per record, since some servers poll the
 * socket while their TLS library already holds the next command. */
static size_t next_send(const struct session *s, size_t at)
{
	const char *from = s->out.data + at;
	size_t n = s->out.len - at;
	const char *end = session_tls(s) ? memchr(from, '\n', n) : NULL;

	return end ? (size_t)(end + 1 - from) : n;
}

static int send_some(struct session *s)
{
	size_t at = 0;
	long sent = 1;

	while (at < s->out.len &&
	       (sent = login_send(s->login, s->out.data + at, next_send(s, at))) > 0)
		at += (size_t)sent;
	buf_drop(&s->out, at);
	if (at > 0)
		s->last_used = clock_monotonic();
	if (sent < 0)
		return broken(s, (int)sent);
	return sent == 0 ? -EAGAIN : 0;
}

/* Sends what the socket takes now: 0 all gone, -EAGAIN, -ECONNRESET. */
int session_send_now(struct session *s)
{
	/* Many records are not as many packets. */
	bool many = s->out.len > 0 && next_send(s, 0) < s->out.len;

	if (many)
		login_cork(s->login, true);
	int rc = send_some(s);
	if (many)
		login_cork(s->login, false);
	return rc;
}

/* Behind a transfer that may still be running nothing is sent. */
int session_await_cut(struct session *s, const struct opctx *ctx)
{
	for (unsigned i = 0; i < s->nowed; i++)
		if (s->owed[i].kind == OWED_CUT)
			return session_settle(s, ctx);
	return 0;
}

int session_flush(struct session *s, const struct opctx *ctx)
{
	int rc = session_await_cut(s, ctx);

	if (rc != 0)
		return rc;
	stats_add(STAT_FLIGHTS, 1);
	while ((rc = session_send_now(s)) == -EAGAIN) {
		rc = session_poll(s, POLLOUT, -1, 0, ctx);
		if (rc < 0)
			return broken(s, rc);
	}
	return rc;
}

/* ---- replies ---- */

/* Takes in what the socket has: 0, or -ECONNRESET when closed. *got: something came. */
static int receive_now(struct session *s, bool *got)
{
	char *room = buf_room(&s->in, READ_SIZE);

	*got = false;
	if (!room)
		return broken(s, -EPROTO);
	long n = login_recv(s->login, room, READ_SIZE);
	if (n < 0)
		return broken(s, (int)n);
	*got = n > 0;
	buf_added(&s->in, (size_t)n);
	return 0;
}

static void log_reply(const struct session *s, const struct reply *r)
{
	char line[512], shown[520];

	if (!log_on(LOG_LEVEL_DEBUG))
		return;
	reply_first_line(r, line, sizeof line);
	snprintf(shown, sizeof shown, "%d %s", r->code, line);
	log_command(s->id, '<', shown);
}

/* 1: a reply was taken from what has arrived; 0: incomplete. */
static int parse_one(struct session *s, struct reply *r)
{
	char line[32];

	if (s->in.len == 0)
		return 0;
	long used = reply_parse(r, s->in.data, s->in.len);
	if (used < 0)
		return broken(s, (int)used);
	if (used == 0)
		return 0;
	buf_drop(&s->in, (size_t)used);
	s->last_used = clock_monotonic();
	log_reply(s, r);
	/* The server is about to close.  Of what was asked nobody knows. */
	reply_first_line(r, line, sizeof line);
	return errmap_farewell(r->code, line) ? broken(s, -ECONNRESET) : 1;
}

static int next_reply_now(struct session *s, struct reply *r)
{
	for (;;) {
		bool got;
		int rc = parse_one(s, r);
		if (rc != 0)
			return rc;
		if ((rc = receive_now(s, &got)) != 0)
			return rc;
		if (!got)
			return 0;
	}
}

static void take_epsv(struct session *s, const struct reply *r)
{
	uint16_t port;

	if (s->caps.known[CAP_EPSV] == UNTRIED)
		caps_learn(&s->caps, CAP_EPSV, r->code);
	if (r->code != 229 || reply_epsv(r, &port) != 0)
		return;
	s->hot = data_connect(login_fd(s->login), port);
	s->hot_since = clock_monotonic();
	if (s->hot < 0)
		s->hot = -1;
	else
		stats_add(STAT_DATA_CONNECTIONS, 1);
}

/* r is the reply that was owed first. */
static void paid(struct session *s, const struct reply *r)
{
	enum owed_kind kind = s->owed[0].kind;

	/* Some answer a cut with two replies: what comes before the 229 belongs to the transfer. */
	if (kind == OWED_EPSV && (r->code < 400 || r->code == 426) && r->code != 229 &&
	    r->code != 227)
		return;
	if (kind == OWED_EPSV)
		take_epsv(s, r);
	if (kind == OWED_EPRT) {
		s->calling.answered = clock_monotonic();
		if (r->code / 100 != 2)
			s->calling.outcome = CALL_REFUSED;
	}
	s->nowed--;
	memmove(s->owed, s->owed + 1, s->nowed * sizeof s->owed[0]);
}

static bool owes_next(const struct session *s)
{
	return s->nowed > 0 && s->owed[0].after == 0;
}

int session_settle_now(struct session *s)
{
	struct reply r;
	int rc = 0;

	reply_init(&r);
	while (owes_next(s) && (rc = next_reply_now(s, &r)) == 1)
		paid(s, &r);
	reply_free(&r);
	return rc < 0 ? rc : 0;
}

int session_reply_now(struct session *s, struct reply *r)
{
	int rc = session_settle_now(s);

	if (rc != 0 || owes_next(s))
		return rc;
	rc = next_reply_now(s, r);
	if (rc == 1 && s->nowed > 0)
		s->owed[0].after--;
	return rc;
}

int session_reply(struct session *s, struct reply *r, const struct opctx *ctx)
{
	int rc;

	while ((rc = session_reply_now(s, r)) == 0) {
		rc = session_poll(s, POLLIN, -1, 0, ctx);
		if (rc < 0)
			return broken(s, rc);
	}
	return rc < 0 ? rc : 0;
}

int session_settle(struct session *s, const struct opctx *ctx)
{
	int rc;

	while ((rc = session_settle_now(s)) == 0 && owes_next(s)) {
		rc = session_poll(s, POLLIN, -1, 0, ctx);
		if (rc < 0)
			return broken(s, rc);
	}
	return rc;
}

int session_command(struct session *s, struct reply *r, const struct opctx *ctx, const char *format,
		    ...)
{
	va_list args;
	struct buf line;

	buf_init(&line, SESSION_LINE * 2);
	va_start(args, format);
	int rc = buf_vaddf(&line, format, args);
	va_end(args);
	if (rc == 0)
		rc = session_queue(s, "%s", buf_text(&line));
	buf_free(&line);
	if (rc == 0)
		rc = session_flush(s, ctx);
	int64_t sent = s->last_used;
	if (rc == 0)
		rc = session_reply(s, r, ctx);
	if (rc != 0)
		return rc;
	if (s->round_trip == 0 || s->last_used - sent < s->round_trip)
		s->round_trip = s->last_used - sent;
	return r->code;
}

/* ---- what is owed ---- */

static void owe_at(struct session *s, unsigned place, struct owed owed)
{
	if (s->nowed == SESSION_OWED_MAX) {
		s->broken = true;
		return;
	}
	memmove(s->owed + place + 1, s->owed + place, (s->nowed - place) * sizeof s->owed[0]);
	s->owed[place] = owed;
	s->nowed++;
}

void session_owe(struct session *s, enum owed_kind kind)
{
	unsigned place = 0;

	while (place < s->nowed && s->owed[place].after == 0)
		place++;
	if (place < s->nowed)
		s->owed[place].after--;
	owe_at(s, place, (struct owed){kind, 0});
}

void session_owe_no_more(struct session *s)
{
	for (unsigned i = 0; i < s->nowed; i++)
		s->owed[i].after = 0;
}

void session_cool(struct session *s)
{
	if (s->hot >= 0)
		close(s->hot);
	s->hot = -1;
}

void session_heat(struct session *s, unsigned awaited)
{
	if (s->broken || s->hot >= 0 || !session_pipelines(s) || !caps_may(&s->caps, CAP_EPSV))
		return;
	s->calling.heat_later = s->calling.ahead && session_calls(s);
	if (s->calling.heat_later)
		return;
	for (unsigned i = 0; i < s->nowed; i++)
		if (s->owed[i].kind == OWED_EPSV)
			return;
	if (session_queue(s, "EPSV") != 0)
		return;
	if (session_send_now(s) != 0)
		s->broken = true; /* a control socket that does not take ten bytes is not worth
				     keeping */
	else
		owe_at(s, s->nowed, (struct owed){OWED_EPSV, awaited});
}

void session_asked_call(struct session *s, unsigned awaited)
{
	s->calling.outcome = CALL_ASKED;
	s->calling.answered = 0;
	owe_at(s, s->nowed, (struct owed){OWED_EPRT, awaited});
}

bool session_alive(struct session *s)
{
	bool got;

	if (s->broken || s->in.len > 0)
		return false;
	return receive_now(s, &got) == 0 && !got;
}

/* ---- long paths ---- */

static int step_into(struct session *s, const char *dir, size_t n, const struct opctx *ctx)
{
	struct reply r;

	reply_init(&r);
	int code = session_command(s, &r, ctx, "CWD %.*s", (int)n, dir);
	reply_free(&r);
	if (code < 0)
		return code;
	return code / 100 == 2 ? 0 : -ENOENT;
}

int session_path(struct session *s, const char *path, struct buf *out, const struct opctx *ctx)
{
	enum { VERB_ROOM = 32 };
	size_t room = session_line_max(s) - VERB_ROOM;
	const char *rest = path;

	if (strlen(path) <= room)
		return buf_adds(out, path);
	while (strlen(rest) > room) {
		size_t n = room;
		while (n > 0 && rest[n] != '/')
			n--;
		if (n == 0)
			return -ENAMETOOLONG;
		int rc = step_into(s, rest, n, ctx);
		if (rc != 0)
			return rc;
		rest += n + 1;
	}
	/* "./": a name that begins with '-' is taken for an option by some. */
	buf_adds(out, "./");
	buf_adds(out, rest);
	return buf_error(out);
}
