/* ftp/transfer - struct stream over one data connection: RETR, STOR, APPE
 *
 *     read    EPSV            (none when the data connection is hot)
 *             [REST n] RETR   one flight; 150; bytes; the final reply
 *     write   EPSV
 *             STOR | APPE     not waited for: the bytes follow in the same flight, and a refusal is
 * read when the socket breaks or at finish
 *
 * A read stream that is closed early is cut: the data connection is closed and the one final reply
 * is owed by the session.  No ABOR: its replies vary in number, and no server needs it. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/stats.h"
#include "ftp_private.h"

enum { SKIP_CHUNK = 64 << 10 };

struct transfer {
	struct stream base;
	struct exchange
		x; /* x.s is NULL once the session has gone back; x.ctx only during a call */
	struct data d;
	enum verb verb;
	int64_t skip; /* bytes to throw away: the server has no REST */
	int verdict;  /* code of the final reply, 0: not yet */
	bool started; /* the 1xx has come */
	bool parked;
	bool ended; /* the end of data was seen (read), or sent (write) */
};

static struct session *session_of(const struct transfer *t)
{
	return t->x.s;
}

/* The session goes back; the stream has nothing more to say to the server. */
static void let_go(struct transfer *t, bool heat)
{
	struct session *s = session_of(t);

	data_close(&t->d);
	if (!s)
		return;
	if (heat && !s->broken)
		session_heat(s);
	pool_put(t->x.ftp->pool, s);
	t->x.s = NULL;
}

static int break_off(struct transfer *t, int error)
{
	if (session_of(t))
		session_of(t)->broken = true;
	let_go(t, false);
	return error;
}

static int refused(struct transfer *t)
{
	int rc = exchange_refused(&t->x, t->verb);

	let_go(t, false);
	return rc;
}

/* ---- starting ---- */

static int send_start(struct transfer *t, const char *word, int64_t rest)
{
	struct session *s = session_of(t);
	bool undo = rest == 0 && s->rest_set;
	int rc = 0;

	if (rest > 0 || undo)
		rc = session_queue(s, "REST %lld", (long long)rest);
	s->rest_set = rest > 0;
	if (rc == 0 && (rest > 0 || undo) && !session_pipelines(s)) {
		rc = session_flush(s, t->x.ctx);
		if (rc == 0)
			rc = session_reply(s, &t->x.reply, t->x.ctx);
	}
	if (rc == 0)
		rc = session_queue(s, "%s %s", word, buf_text(&t->x.arg));
	if (rc == 0 && session_tls(s))
		rc = data_tls(&t->d, login_ssl(s->login));
	if (rc == 0)
		rc = session_flush(s, t->x.ctx);
	if (rc == 0 && (rest > 0 || undo) && session_pipelines(s))
		rc = session_reply(s, &t->x.reply, t->x.ctx);
	if (rc == 0 && rest > 0)
		caps_learn(&s->caps, CAP_REST, t->x.reply.code);
	/* The server goes on from the start of the file all the same: what comes first is thrown
	 * away. */
	if (rc == 0 && rest > 0 && t->x.reply.code != 350)
		t->skip = rest;
	return rc;
}

static int start_read(struct transfer *t, int64_t from, bool may_be_hot)
{
	struct session *s = session_of(t);
	bool can_rest = caps_may(&s->caps, CAP_REST);
	bool hot = may_be_hot && data_take_hot(s, &t->d, t->x.ctx);
	int rc = hot ? 0 : data_open(s, NULL, &t->d, &t->x.reply, t->x.ctx);

	t->skip = can_rest ? 0 : from;
	if (rc == 0)
		rc = send_start(t, "RETR", can_rest ? from : 0);
	if (rc == 0)
		rc = data_start(s, &t->d, &t->x.reply, t->x.ctx);
	if (rc == 0)
		s->rest_set = false;
	/* The server had given the hot connection up. */
	if (rc == 425 && hot) {
		data_close(&t->d);
		return start_read(t, from, false);
	}
	return rc;
}

static const struct stream_ops READ_OPS, WRITE_OPS;

static int transfer_begin(struct remote *r, const char *path, enum verb verb, struct transfer **out,
			  const struct opctx *ctx)
{
	struct transfer *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	t->d.fd = -1;
	t->verb = verb;
	t->base.ops = verb == VERB_RETR ? &READ_OPS : &WRITE_OPS;
	int rc = exchange_begin(&t->x, (struct remote_ftp *)r, FOR_TRANSFER, path, ctx);
	if (rc != 0) {
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

static void transfer_free(struct transfer *t)
{
	data_close(&t->d);
	(void)exchange_end(&t->x, 0);
	free(t);
}

/* "554 Restart offset is too large": at or behind the end there is nothing to read. */
static bool beyond_end(const struct transfer *t, int64_t from)
{
	return from > 0 && t->x.reply.code == 554;
}

int ftp_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		  const struct opctx *ctx)
{
	struct transfer *t;
	int rc = transfer_begin(r, path, VERB_RETR, &t, ctx);

	if (rc != 0)
		return rc;
	rc = start_read(t, from, true);
	if (rc > 0 && beyond_end(t, from)) {
		t->verdict = 226;
		t->ended = true;
		let_go(t, false);
		rc = 0;
	} else if (rc > 0) {
		data_close(&t->d);
		rc = refused(t);
	} else if (rc < 0) {
		(void)break_off(t, rc);
	} else {
		t->started = true;
	}
	if (rc != 0) {
		transfer_free(t);
		return rc;
	}
	*out = &t->base;
	return 0;
}

/* ---- reading ---- */

/* What the last reply to a RETR says about the bytes before it. */
static int judge_read(struct transfer *t)
{
	int code = t->x.reply.code;

	t->verdict = code;
	if (code / 100 == 2)
		return 0;
	if (code == 426 || code == 425 || code == 421 || code / 100 == 1)
		return -ECONNRESET;
	int rc = errmap(VERB_RETR, code, buf_text(&t->x.reply.text), buf_text(&t->x.path));
	return rc == ERRMAP_MUTE ? -EIO : rc;
}

static ssize_t at_end(struct transfer *t)
{
	struct session *s = session_of(t);

	data_close(&t->d);
	t->ended = true;
	/* Asked for before the final reply is here: the next transfer finds its connection open. */
	session_heat(s);
	int rc = session_reply(s, &t->x.reply, t->x.ctx);
	if (rc != 0)
		return break_off(t, rc);
	rc = judge_read(t);
	let_go(t, false);
	return rc;
}

static ssize_t pull(struct transfer *t, void *to, size_t n)
{
	for (;;) {
		short want;
		ssize_t got = data_read(&t->d, to, n, &want);
		if (got > 0) {
			stats_add(STAT_BYTES_IN, got);
			return got;
		}
		if (got == 0)
			return at_end(t);
		if (got != -EAGAIN)
			return break_off(t, got == -EPROTO ? -EIO : -ECONNRESET);
		int rc = session_poll(session_of(t), 0, t->d.fd, want, t->x.ctx);
		/* An interrupted reader may come back; a stalled link is given up. */
		if (rc == -EINTR)
			return rc;
		if (rc < 0)
			return break_off(t, rc);
	}
}

static int skip_bytes(struct transfer *t)
{
	char *sink = t->skip > 0 ? malloc(SKIP_CHUNK) : NULL;
	ssize_t n = 1;

	if (t->skip > 0 && !sink)
		return -ENOMEM;
	while (t->skip > 0 && n > 0) {
		size_t want = t->skip < SKIP_CHUNK ? (size_t)t->skip : SKIP_CHUNK;
		n = pull(t, sink, want);
		t->skip -= n > 0 ? n : 0;
	}
	free(sink);
	return n < 0 ? (int)n : 0;
}

static int unpark(struct transfer *t)
{
	if (!t->parked)
		return 0;
	t->parked = false;
	int rc = pool_unpark(t->x.ftp->pool, session_of(t), &t->d);
	if (rc != 0)
		t->x.s = NULL;
	return rc;
}

static ssize_t transfer_read(struct stream *stream, void *to, size_t n, const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	int rc = unpark(t);

	if (rc != 0)
		return rc;
	if (!session_of(t))
		return t->ended && t->verdict / 100 == 2 ? 0 : -ECONNRESET;
	t->x.ctx = ctx;
	if ((rc = skip_bytes(t)) != 0)
		return rc;
	return session_of(t) ? pull(t, to, n) : 0;
}

static void transfer_park(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (t->parked || !session_of(t))
		return;
	t->parked = true;
	pool_park(t->x.ftp->pool, session_of(t), &t->d);
}

static void read_close(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (unpark(t) == 0 && session_of(t)) {
		bool end = data_at_end(&t->d);
		data_close(&t->d);
		session_owe(session_of(t), OWED_FINAL);
		if (!end)
			stats_add(STAT_CUTS, 1);
		/* Behind a transfer that may still be running nothing must be sent. */
		let_go(t, end);
	}
	transfer_free(t);
}

/* ---- writing ---- */

/* A reply came, or must come, while bytes are on their way: 0 to go on, or what went wrong. */
static int judge_write(struct transfer *t)
{
	int code = t->x.reply.code;

	if (code / 100 == 1) {
		t->started = true;
		return 0;
	}
	t->verdict = code;
	if (code / 100 == 2)
		return 0;
	data_close(&t->d);
	/* 425 to a hot connection that expired: nothing was stored, the caller begins again. */
	if (!t->started)
		return refused(t);
	int rc = errmap(t->verb, code, buf_text(&t->x.reply.text), buf_text(&t->x.path));
	let_go(t, false);
	return rc == ERRMAP_MUTE ? -EIO : rc;
}

/* The socket broke: the reason is in the control connection. */
static int why_broken(struct transfer *t, int error)
{
	int rc = 0;

	data_close(&t->d);
	while (rc == 0 && !t->verdict && session_of(t)) {
		rc = session_reply(session_of(t), &t->x.reply, t->x.ctx);
		if (rc == 0)
			rc = judge_write(t);
	}
	if (session_of(t))
		return break_off(t, rc ? rc : -ECONNRESET);
	return rc ? rc : error;
}

static int take_replies(struct transfer *t)
{
	int rc;

	while (session_of(t) && !t->verdict &&
	       (rc = session_reply_now(session_of(t), &t->x.reply)) != 0) {
		if (rc < 0)
			return break_off(t, rc);
		if ((rc = judge_write(t)) != 0)
			return rc;
	}
	return 0;
}

/* Wait for the data connection (or a reply that ends the transfer). */
static int await_data(struct transfer *t, short want)
{
	int rc = session_poll(session_of(t), POLLIN, t->d.fd, want, t->x.ctx);

	if (rc < 0)
		return rc == -EINTR ? rc : break_off(t, rc);
	return rc & SESSION_CONTROL ? take_replies(t) : 0;
}

static int shake(struct transfer *t)
{
	struct session *s = session_of(t);
	short want;
	int rc;

	while ((rc = data_handshake(&t->d, login_ssl(s->login), s->conf->insecure, &want)) ==
	       -EAGAIN) {
		rc = await_data(t, want);
		if (rc != 0)
			return rc;
	}
	return rc == 0 ? 0 : why_broken(t, rc);
}

static int transfer_write(struct stream *stream, const void *from, size_t n,
			  const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	const char *p = from;

	if (!session_of(t))
		return -ECONNRESET;
	t->x.ctx = ctx;
	int rc = shake(t);
	while (rc == 0 && n > 0) {
		short want;
		ssize_t sent = data_write(&t->d, p, n, &want);
		if (sent > 0) {
			stats_add(STAT_BYTES_OUT, sent);
			p += sent;
			n -= (size_t)sent;
		} else if (sent == -EAGAIN) {
			rc = await_data(t, want);
			if (rc == 0 && t->verdict)
				rc = -EIO; /* "complete" before we were */
		} else {
			rc = why_broken(t, -ECONNRESET);
		}
	}
	return rc;
}

static int transfer_finish(struct stream *stream, const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	short want;

	if (!session_of(t))
		return -ECONNRESET;
	t->x.ctx = ctx;
	/* Even an empty file needs its handshake: servers refuse a bare FIN. */
	int rc = shake(t);
	while (rc == 0 && (rc = data_finish(&t->d, &want)) == -EAGAIN)
		rc = await_data(t, want);
	if (rc != 0)
		return session_of(t) && rc != -EINTR ? why_broken(t, rc) : rc;
	data_close(&t->d);
	t->ended = true;
	while (rc == 0 && !t->verdict) {
		rc = session_reply(session_of(t), &t->x.reply, ctx);
		if (rc != 0)
			return break_off(t, rc);
		rc = judge_write(t);
	}
	let_go(t, true);
	return rc;
}

static void write_close(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (session_of(t)) {
		/* A FIN would say that the file is complete. */
		struct linger reset = {.l_onoff = 1};
		setsockopt(t->d.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		(void)break_off(t, 0);
	}
	transfer_free(t);
}

static int start_write(struct transfer *t, enum write_how how, int64_t at)
{
	struct session *s = session_of(t);

	if (how == WRITE_APPEND && !caps_may(&s->caps, CAP_APPE))
		return -EOPNOTSUPP;
	/* A REST must be answered before the STOR that follows it is sent, or a server without REST
	 * would truncate the file. */
	if (how == WRITE_PATCH)
		return -EOPNOTSUPP;
	bool hot = data_take_hot(s, &t->d, t->x.ctx);
	int rc = hot ? 0 : data_open(s, NULL, &t->d, &t->x.reply, t->x.ctx);
	(void)at;
	return rc == 0 ? send_start(t, how == WRITE_APPEND ? "APPE" : "STOR", 0) : rc;
}

int ftp_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		   struct stream **out, const struct opctx *ctx)
{
	struct transfer *t;
	int rc = transfer_begin(r, path, how == WRITE_APPEND ? VERB_APPE : VERB_STOR, &t, ctx);

	if (rc != 0)
		return rc;
	rc = start_write(t, how, at);
	if (rc != 0) {
		if (rc != -EOPNOTSUPP)
			(void)break_off(t, rc);
		transfer_free(t);
		return rc;
	}
	*out = &t->base;
	return 0;
}

static int no_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx)
{
	(void)s, (void)from, (void)n, (void)ctx;
	return -EBADF;
}

static ssize_t no_read(struct stream *s, void *to, size_t n, const struct opctx *ctx)
{
	(void)s, (void)to, (void)n, (void)ctx;
	return -EBADF;
}

static int no_finish(struct stream *s, const struct opctx *ctx)
{
	(void)s, (void)ctx;
	return -EBADF;
}

static void no_park(struct stream *s)
{
	(void)s; /* an upload cannot be taken up again: its connection is not for the taking */
}

static const struct stream_ops READ_OPS = {
	.read = transfer_read,
	.write = no_write,
	.park = transfer_park,
	.finish = no_finish,
	.close = read_close,
};

static const struct stream_ops WRITE_OPS = {
	.read = no_read,
	.write = transfer_write,
	.park = no_park,
	.finish = transfer_finish,
	.close = write_close,
};
