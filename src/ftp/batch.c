/* ftp/batch - many independent commands in as few flights as the window allows
 *
 * A long batch is shared with a second session: the first one takes the commands from the front,
 * the second from the back.  What the second leaves unanswered is therefore always next to what
 * nobody has asked yet, and goes back to it when that session is lost or wanted by others. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ftp/pool.h"
#include "session_private.h"

/* Fewer commands are not worth a second session; so many answers tell how fast they come. */
enum { HELP_FROM = 500, SAMPLE = 256 };

struct flight {
	struct session *s; /* NULL: nobody helps */
	size_t queued, answered;
	size_t bytes; /* of commands whose replies are still to come */
	bool unsent;  /* the socket takes no more now */
	bool leaving; /* somebody waits for the session: no more commands on it */
};

struct batch {
	const struct session_batch *b;
	struct pool *pool; /* of the second session; NULL: none */
	struct flight front, back;
	size_t *sizes; /* of each command line */
	struct buf line;
	struct reply reply;
	size_t sampled; /* answers on the first session before `since` */
	int64_t since;	/* monotonic ns; 0: none yet */
};

static size_t place(const struct batch *w, const struct flight *f, size_t i)
{
	return f == &w->back ? w->b->n - 1 - i : i;
}

static size_t unasked(const struct batch *w)
{
	return w->b->n - w->front.queued - w->back.queued;
}

static bool window_open(const struct batch *w, const struct flight *f)
{
	size_t out = f->queued - f->answered;

	if (unasked(w) == 0 || f->leaving)
		return false;
	if (out == 0)
		return true;
	if (!session_pipelines(f->s))
		return false;
	return f->bytes < SESSION_WINDOW;
}

static int fill_window(struct batch *w, struct flight *f)
{
	while (window_open(w, f)) {
		size_t at = place(w, f, f->queued);
		buf_reset(&w->line);
		int rc = w->b->command(w->b->arg, at, &w->line);
		if (rc == 0)
			rc = session_queue(f->s, "%s", buf_text(&w->line));
		if (rc != 0)
			return rc;
		w->sizes[at] = w->line.len + 2 + (session_tls(f->s) ? SESSION_TLS_OVERHEAD : 0);
		f->bytes += w->sizes[at];
		f->queued++;
	}
	return 0;
}

static int take_answers(struct batch *w, struct flight *f)
{
	int rc;

	while (f->answered < f->queued && (rc = session_reply_now(f->s, &w->reply)) != 0) {
		if (rc < 0)
			return rc;
		size_t at = place(w, f, f->answered);
		w->b->answer(w->b->arg, at, &w->reply);
		f->bytes -= w->sizes[at];
		f->answered++;
	}
	return 0;
}

/* All that can be done without waiting: 1 when an answer came, 0, or -errno. */
static int advance(struct batch *w, struct flight *f)
{
	size_t before = f->answered;
	int rc = fill_window(w, f);
	int sent = rc == 0 ? session_send_now(f->s) : 0;

	f->unsent = sent == -EAGAIN;
	if (rc == 0 && sent != 0 && !f->unsent)
		rc = sent;
	if (rc == 0)
		rc = take_answers(w, f);
	return rc != 0 ? rc : f->answered > before;
}

/* ---- the second session ---- */

/* What the first one alone would take for the rest, in ns; 0: not known yet. */
static int64_t rest_takes(struct batch *w)
{
	const struct flight *f = &w->front;
	int64_t now = clock_monotonic();

	if (w->since == 0 && f->answered > 0) {
		w->since = now;
		w->sampled = f->answered;
	}
	if (w->since == 0 || f->answered < w->sampled + SAMPLE)
		return 0;
	return (now - w->since) / (int64_t)(f->answered - w->sampled) *
	       (int64_t)(w->b->n - f->answered - w->back.answered);
}

static void dismiss(struct batch *w)
{
	struct flight *f = &w->back;

	/* Replies that nobody will read are under way. */
	if (f->answered < f->queued)
		f->s->broken = true;
	pool_put(w->pool, f->s);
	*f = (struct flight){.queued = f->answered, .answered = f->answered};
}

/* As advance(). */
static int help(struct batch *w)
{
	struct flight *f = &w->back;

	if (!f->s && w->pool && unasked(w) >= HELP_FROM)
		f->s = pool_help(w->pool, rest_takes(w));
	if (!f->s)
		return 0;
	if (pool_wants_back(w->pool, f->s))
		f->leaving = true;
	int rc = advance(w, f);
	if (f->s->broken) {
		dismiss(w);
		w->pool = NULL;
		return 1;
	}
	if (rc >= 0 && f->answered == f->queued && (f->leaving || unasked(w) == 0))
		dismiss(w);
	return rc;
}

/* ---- both ---- */

static short awaited(const struct flight *f)
{
	return (short)((f->answered < f->queued ? POLLIN : 0) | (f->unsent ? POLLOUT : 0));
}

static int await(struct batch *w, const struct opctx *ctx)
{
	const struct session *second = w->back.s;
	int rc = session_poll(w->front.s, awaited(&w->front), second ? login_fd(second->login) : -1,
			      second ? awaited(&w->back) : 0, ctx);

	if (rc == -ETIMEDOUT && second && awaited(&w->front) == 0) {
		w->back.s->broken = true;
		return 0;
	}
	return rc < 0 ? rc : 0;
}

static int fly(struct batch *w, const struct opctx *ctx)
{
	stats_add(STAT_FLIGHTS, 1);
	while (w->front.answered + w->back.answered < w->b->n) {
		int rc = advance(w, &w->front);
		int helped = rc >= 0 ? help(w) : 0;
		if (rc == 0 && helped == 0)
			rc = await(w, ctx);
		if (rc < 0 || helped < 0)
			return rc < 0 ? rc : helped;
	}
	return 0;
}

int session_batch_helped(struct session *s, struct pool *pool, const struct session_batch *b,
			 const struct opctx *ctx)
{
	struct batch w = {.b = b, .pool = pool, .front.s = s};

	if (b->n == 0)
		return 0;
	if (!(w.sizes = calloc(b->n, sizeof *w.sizes)))
		return -ENOMEM;
	buf_init(&w.line, SESSION_LINE * 2);
	reply_init(&w.reply);
	int rc = session_await_cut(s, ctx);
	if (rc == 0)
		rc = fly(&w, ctx);
	if (w.front.answered < w.front.queued)
		s->broken = true;
	if (w.back.s)
		dismiss(&w);
	reply_free(&w.reply);
	buf_free(&w.line);
	free(w.sizes);
	return rc;
}

int session_batch(struct session *s, const struct session_batch *b, const struct opctx *ctx)
{
	return session_batch_helped(s, NULL, b, ctx);
}
