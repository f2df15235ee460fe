/* ftp/upload - a STOR or APPE as a stream */
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/stats.h"
#include "session_private.h"
#include "settle.h"

/* Where commands wait behind the transfer, the answer to one of them that comes out of turn proves
 * nothing. */
static bool stored(const struct transfer *t)
{
	int code = t->x.reply.code;

	return t->behind ? code == 226 || code == 250 : code / 100 == 2;
}

/* The transfer failed, and the answers to what was sent behind it are nobody's. */
static void drop_behind(struct transfer *t)
{
	struct reply unused;

	reply_init(&unused);
	for (; t->behind > 0 && !t->x.s->broken; t->behind--)
		(void)session_reply(t->x.s, &unused, t->x.ctx);
	reply_free(&unused);
}

/* A reply came, or must come, while bytes are on their way: 0 to go on, or what went wrong. */
static int judge_write(struct transfer *t)
{
	int code = t->x.reply.code;

	if (code / 100 == 1) {
		t->started = true;
		t->x.s->rest_set = false;
		return 0;
	}
	t->verdict = code;
	if (!t->started)
		session_owe_no_more(t->x.s);
	if (stored(t))
		return 0;
	data_close(&t->d);
	if (code / 100 == 2)
		return transfer_break_off(t, -ECONNRESET);
	drop_behind(t);
	/* 425 to a hot connection that expired: nothing was stored, the caller begins again. */
	if (!t->started)
		return transfer_refused(t);
	int rc = errmap(t->verb, code, buf_text(&t->x.reply.text), buf_text(&t->x.path));
	transfer_let_go(t, false);
	return rc == ERRMAP_MUTE ? -EIO : rc;
}

/* The socket broke: the reason is in the control connection. */
static int why_broken(struct transfer *t, int error)
{
	int rc = 0;

	data_close(&t->d);
	while (rc == 0 && !t->verdict && t->x.s) {
		rc = session_reply(t->x.s, &t->x.reply, t->x.ctx);
		if (rc == 0)
			rc = judge_write(t);
	}
	if (t->x.s)
		return transfer_break_off(t, rc ? rc : -ECONNRESET);
	return rc ? rc : error;
}

static int take_replies(struct transfer *t)
{
	int rc;

	while (t->x.s && !t->verdict && (rc = session_reply_now(t->x.s, &t->x.reply)) != 0) {
		if (rc < 0)
			return transfer_break_off(t, rc);
		if ((rc = judge_write(t)) != 0)
			return rc;
	}
	return 0;
}

/* Wait for the data connection (or a reply that ends the transfer). */
static int await_data(struct transfer *t, short want)
{
	int rc = session_poll(t->x.s, POLLIN, t->d.fd, want, t->x.ctx);

	if (rc < 0)
		return rc == -EINTR ? rc : transfer_break_off(t, rc);
	return rc & SESSION_CONTROL ? take_replies(t) : 0;
}

static int shake(struct transfer *t)
{
	struct session *s = t->x.s;
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

/* The connection took nothing: 0 to try again, or -errno; without `wait` -EAGAIN, unless the server
 * has refused meanwhile. */
static int await_room(struct transfer *t, short want, bool wait)
{
	int rc = wait ? await_data(t, want) : take_replies(t);

	if (rc == 0 && t->verdict)
		return -EIO; /* "complete" before we were */
	return rc == 0 && !wait ? -EAGAIN : rc;
}

static int transfer_write(struct stream *stream, const void *from, size_t n,
			  const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	const char *p = from;

	if (!t->x.s)
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
			rc = await_room(t, want, true);
		} else {
			rc = why_broken(t, -ECONNRESET);
		}
	}
	return rc;
}

static ssize_t transfer_send_file(struct stream *stream, int fd, int64_t at, size_t n, bool wait,
				  const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	int rc = 0;

	if (!t->x.s)
		return -ECONNRESET;
	t->x.ctx = ctx;
	while (rc == 0) {
		short want;
		ssize_t sent = data_send_file(&t->d, fd, at, n, &want);
		if (sent > 0)
			stats_add(STAT_BYTES_OUT, sent);
		if (sent > 0 || sent == -EOPNOTSUPP || sent == -EIO)
			return sent;
		rc = sent == -EAGAIN ? await_room(t, want, wait) : why_broken(t, -ECONNRESET);
	}
	return rc;
}

/* Behind the bytes, in their flight: a server that reads no command while a transfer runs answers
 * in turn, so that the settling costs no round trip of its own. */
static int settle_behind(struct transfer *t, struct settle *settle, struct settling *behind)
{
	struct session *s = t->x.s;
	struct buf line;
	int rc = 0;

	settling_plan(behind, &t->x, settle);
	buf_init(&line, SESSION_LINE * 2);
	for (size_t i = 0; i < behind->n && rc == 0; i++) {
		buf_reset(&line);
		rc = settling_command(behind, i, &line);
		if (rc == 0)
			rc = session_queue(s, "%s", buf_text(&line));
		t->behind += rc == 0;
	}
	buf_free(&line);
	if (rc == 0 && (rc = session_send_now(s)) == -EAGAIN)
		rc = session_flush(s, t->x.ctx);
	return rc == 0 ? 0 : transfer_break_off(t, rc);
}

/* After the server's yes: what is lost now is the answers, not the upload. */
static void take_settled(struct transfer *t, struct settle *settle, struct settling *behind)
{
	int rc = 0;

	for (size_t i = 0; i < behind->n && rc == 0; i++) {
		rc = session_reply(t->x.s, &t->x.reply, t->x.ctx);
		if (rc == 0)
			settling_answer(behind, i, &t->x.reply);
	}
	settle->done = rc == 0 && settling_end(behind) == 0;
}

static int end_data(struct transfer *t)
{
	short want;
	int rc = 0;

	/* From here on all of it is to arrive. */
	data_reset_on_close(t->d.fd, false);
	while (rc == 0 && (rc = data_finish(&t->d, &want)) == -EAGAIN)
		rc = await_data(t, want);
	if (rc != 0)
		return t->x.s && rc != -EINTR ? why_broken(t, rc) : rc;
	data_close(&t->d);
	t->ended = true;
	return 0;
}

static int transfer_finish(struct stream *stream, struct settle *settle, const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	struct settling behind = {.n = 0};

	if (!t->x.s)
		return -ECONNRESET;
	t->x.ctx = ctx;
	/* Even an empty file needs its handshake: servers refuse a bare FIN. */
	int rc = shake(t);
	if (rc == 0 && settle && (t->x.s->caps.quirks & QUIRK_WAITS_ITS_TURN))
		rc = settle_behind(t, settle, &behind);
	if (rc == 0)
		rc = end_data(t);
	while (rc == 0 && !t->verdict) {
		rc = session_reply(t->x.s, &t->x.reply, ctx);
		if (rc != 0)
			return transfer_break_off(t, rc);
		rc = judge_write(t);
	}
	if (rc == 0 && t->behind > 0)
		take_settled(t, settle, &behind);
	transfer_let_go(t, true);
	return rc;
}

static void write_close(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (t->x.s)
		(void)transfer_break_off(t, 0);
	transfer_free(t);
}

static ssize_t no_read(struct stream *s, void *to, size_t n, const struct opctx *ctx)
{
	(void)s, (void)to, (void)n, (void)ctx;
	return -EBADF;
}

static void no_park(struct stream *s)
{
	(void)s; /* an upload cannot be taken up again: its connection is not for the taking */
}

static const struct stream_ops OPS = {
	.read = no_read,
	.write = transfer_write,
	.send = transfer_send_file,
	.park = no_park,
	.finish = transfer_finish,
	.close = write_close,
};

static int start_write(struct transfer *t, enum write_how how, int64_t at)
{
	struct session *s = t->x.s;

	if (how == WRITE_APPEND && !caps_may(&s->caps, CAP_APPE))
		return -EOPNOTSUPP;
	bool hot = data_take_hot(s, &t->d, t->x.ctx);
	int rc = hot ? 0 : data_open(s, NULL, &t->d, &t->x.reply, t->x.ctx);
	/* Should this process be killed, the kernel must not go on sending: the next mount looks at
	 * what has arrived. */
	if (rc == 0)
		data_reset_on_close(t->d.fd, true);
	if (rc == 0 && how == WRITE_PATCH)
		rc = patch_begin(t, at);
	return rc == 0 ? transfer_send(t, how == WRITE_APPEND ? "APPE" : "STOR", 0) : rc;
}

int upload_open(struct remote *r, const char *path, enum write_how how, int64_t at,
		struct stream **out, const struct opctx *ctx)
{
	struct transfer *t;
	int rc = transfer_begin(r, path, how == WRITE_APPEND ? VERB_APPE : VERB_STOR, &OPS, &t,
				ctx);

	if (rc != 0)
		return rc;
	t->x.s->changing = true;
	rc = start_write(t, how, at);
	if (rc != 0) {
		if (rc != -EOPNOTSUPP)
			(void)transfer_break_off(t, rc);
		transfer_free(t);
		return rc;
	}
	*out = &t->base;
	return 0;
}

int ftp_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		   struct stream **out, const struct opctx *ctx)
{
	int rc = how == WRITE_PATCH ? patch_may(r, at, ctx) : 0;

	return rc ? rc : upload_open(r, path, how, at, out, ctx);
}
