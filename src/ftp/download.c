/* ftp/download - a RETR as a stream
 *
 * Closed early it is cut: the data connection is closed and the one final reply is owed by the
 * session.  No ABOR: its replies vary in number, and no server needs it. */
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/stats.h"

enum { SKIP_CHUNK = 64 << 10 };

/* An open data connection, or one that the server opens, or one more round trip. */
static int connect_for(struct transfer *t, bool passive)
{
	struct session *s = t->x.s;
	bool probe = !passive && s->calling.probe;
	int rc = probe ? data_probe(s, &t->d, t->x.ctx) : DATA_REFUSED;

	if (rc == DATA_REFUSED && data_take_hot(s, &t->d, t->x.ctx))
		rc = 0;
	if (rc == DATA_REFUSED && !passive && data_may_call(s) && data_listen(s, &t->d))
		rc = data_call(s, 0, &t->d);
	t->at_once = rc == 0;
	return rc == DATA_REFUSED ? data_open(s, NULL, &t->d, &t->x.reply, t->x.ctx) : rc;
}

static int try_read(struct transfer *t, int64_t from, bool passive)
{
	struct session *s = t->x.s;
	bool can_rest = caps_may(&s->caps, CAP_REST);
	int rc = connect_for(t, passive);

	t->skip = can_rest ? 0 : from;
	if (rc == 0)
		rc = transfer_send(t, "RETR", can_rest ? from : 0);
	if (rc == 0)
		rc = data_start(s, &t->d, &t->x.reply, t->x.ctx);
	if (rc == 0)
		s->rest_set = false;
	return rc;
}

static int start_read(struct transfer *t, int64_t from, bool passive)
{
	int rc = try_read(t, from, passive);

	/* The server had given the hot connection up, or cannot call us: once more, quietly. */
	if (rc == 425 && t->at_once) {
		data_close(&t->d);
		rc = try_read(t, from, true);
	}
	return rc;
}

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
	struct session *s = t->x.s;

	data_close(&t->d);
	t->ended = true;
	/* Asked for before the final reply is here: the next transfer finds its connection open. */
	session_heat(s, 1);
	int rc = session_reply(s, &t->x.reply, t->x.ctx);
	if (rc != 0)
		return transfer_break_off(t, rc);
	rc = judge_read(t);
	transfer_let_go(t, false);
	return rc;
}

static ssize_t pull(struct transfer *t, void *to, size_t n)
{
	for (;;) {
		short want;
		ssize_t got = data_read(&t->d, to, n, &want);
		if (got > 0) {
			stats_add(STAT_BYTES_IN, got);
			t->received += got;
			return got;
		}
		if (got == 0)
			return at_end(t);
		if (got != -EAGAIN)
			return transfer_break_off(t, got == -EPROTO ? -EIO : -ECONNRESET);
		int rc = session_poll(t->x.s, 0, t->d.fd, want, t->x.ctx);
		/* An interrupted reader may come back; a stalled link is given up. */
		if (rc == -EINTR)
			return rc;
		if (rc < 0)
			return transfer_break_off(t, rc);
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
	int rc = pool_unpark(t->x.ftp->pool, t->x.s, &t->d);
	if (rc != 0)
		t->x.s = NULL;
	return rc;
}

/* Has every byte come, though the FIN behind them has not?  Some servers name the size of the whole
 * file, some what was to come. */
static bool all_received(const struct transfer *t)
{
	return t->opening >= 0 &&
	       (t->received == t->opening || t->received + t->from == t->opening);
}

/* The transfer ends early, and the session goes back. */
static void cut(struct transfer *t)
{
	bool end = data_at_end(&t->d) || all_received(t);

	data_close(&t->d);
	session_owe(t->x.s, end ? OWED_FINAL : OWED_CUT);
	if (!end)
		stats_add(STAT_CUTS, 1);
	/* Behind a transfer that may still be running nothing must be sent. */
	transfer_let_go(t, end);
}

static ssize_t transfer_read(struct stream *stream, void *to, size_t n, const struct opctx *ctx)
{
	struct transfer *t = (struct transfer *)stream;
	int rc = unpark(t);

	if (rc != 0)
		return rc;
	if (!t->x.s)
		return t->ended && t->verdict / 100 == 2 ? 0 : -ECONNRESET;
	t->x.ctx = ctx;
	if (ctx->lasting && pool_wants_back(t->x.ftp->pool, t->x.s)) {
		cut(t);
		return -ESTALE;
	}
	if ((rc = skip_bytes(t)) != 0)
		return rc;
	return t->x.s ? pull(t, to, n) : 0;
}

static void transfer_park(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (t->parked || !t->x.s)
		return;
	t->parked = true;
	pool_park(t->x.ftp->pool, t->x.s, &t->d);
}

static void read_close(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	if (unpark(t) == 0 && t->x.s)
		cut(t);
	transfer_free(t);
}

static bool transfer_queued(struct stream *stream)
{
	struct transfer *t = (struct transfer *)stream;

	return !t->parked && data_queued(&t->d);
}

static int no_write(struct stream *s, const void *from, size_t n, const struct opctx *ctx)
{
	(void)s, (void)from, (void)n, (void)ctx;
	return -EBADF;
}

static ssize_t no_send(struct stream *s, int fd, int64_t at, size_t n, bool wait,
		       const struct opctx *ctx)
{
	(void)s, (void)fd, (void)at, (void)n, (void)wait, (void)ctx;
	return -EBADF;
}

static int no_finish(struct stream *s, struct settle *settle, const struct opctx *ctx)
{
	(void)s, (void)settle, (void)ctx;
	return -EBADF;
}

static const struct stream_ops OPS = {
	.read = transfer_read,
	.write = no_write,
	.send = no_send,
	.park = transfer_park,
	.queued = transfer_queued,
	.finish = no_finish,
	.close = read_close,
};

/* "554 Restart offset is too large": at or behind the end there is nothing to read. */
static bool beyond_end(const struct transfer *t, int64_t from)
{
	return from > 0 && t->x.reply.code == 554;
}

/* A session on which the server does not call may be busy trying to for a minute: the transfer goes
 * to another one. */
static int begin_read(struct remote *r, const char *path, int64_t from, struct transfer **t,
		      const struct opctx *ctx)
{
	for (bool passive = false;; passive = true) {
		int rc = transfer_begin(r, path, VERB_RETR, &OPS, t, ctx);
		if (rc != 0)
			return rc;
		rc = start_read(*t, from, passive);
		if (rc >= 0)
			return rc;
		(void)transfer_break_off(*t, rc);
		transfer_free(*t);
		if (rc != DATA_NOT_CALLED)
			return rc;
	}
}

int ftp_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		  const struct opctx *ctx)
{
	struct transfer *t;
	int rc = begin_read(r, path, from, &t, ctx);

	if (rc < 0)
		return rc;
	if (rc > 0 && beyond_end(t, from)) {
		t->verdict = 226;
		t->ended = true;
		transfer_let_go(t, false);
		rc = 0;
	} else if (rc > 0) {
		data_close(&t->d);
		rc = transfer_refused(t);
	} else {
		t->started = true;
		t->from = from - t->skip;
		if (reply_opening(&t->x.reply, &t->opening) != 0)
			t->opening = -1;
	}
	if (rc != 0) {
		transfer_free(t);
		return rc;
	}
	*out = &t->base;
	return 0;
}
