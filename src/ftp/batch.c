/* ftp/batch - many independent commands in as few flights as the window allows */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/stats.h"
#include "session_private.h"

struct flight {
	struct session *s;
	const struct session_batch *b;
	size_t *sizes; /* of each command line */
	size_t queued, answered;
	size_t bytes; /* of commands whose replies are still to come */
	struct buf line;
};

/* Replies that nobody will read are under way. */
static int give_up(struct flight *f, int error)
{
	f->s->broken = true;
	return error;
}

static bool window_open(const struct flight *f)
{
	size_t out = f->queued - f->answered;

	if (f->queued == f->b->n)
		return false;
	if (out == 0)
		return true;
	if (!session_pipelines(f->s))
		return false;
	return f->bytes < SESSION_WINDOW;
}

static int fill_window(struct flight *f)
{
	while (window_open(f)) {
		buf_reset(&f->line);
		int rc = f->b->command(f->b->arg, f->queued, &f->line);
		if (rc == 0)
			rc = session_queue(f->s, "%s", buf_text(&f->line));
		/* What is under way must still be answered, or the next user reads our replies. */
		if (rc != 0)
			return f->answered < f->queued ? give_up(f, rc) : rc;
		f->sizes[f->queued] = f->line.len + 2 +
				      (session_tls(f->s) ? SESSION_TLS_OVERHEAD : 0);
		f->bytes += f->sizes[f->queued++];
	}
	return 0;
}

static int take_answers(struct flight *f, struct reply *r)
{
	int rc;

	while (f->answered < f->queued && (rc = session_reply_now(f->s, r)) != 0) {
		if (rc < 0)
			return rc;
		f->b->answer(f->b->arg, f->answered, r);
		f->bytes -= f->sizes[f->answered++];
	}
	return 0;
}

static int fly(struct flight *f, struct reply *r, const struct opctx *ctx)
{
	stats_add(STAT_FLIGHTS, 1);
	while (f->answered < f->b->n) {
		int rc = fill_window(f);
		int sent = rc == 0 ? session_send_now(f->s) : 0;
		if (rc == 0 && sent != 0 && sent != -EAGAIN)
			rc = sent;
		size_t before = f->answered;
		if (rc == 0)
			rc = take_answers(f, r);
		if (rc == 0 && f->answered == before) {
			rc = session_poll(f->s, (short)(POLLIN | (sent == -EAGAIN ? POLLOUT : 0)),
					  -1, 0, ctx);
			if (rc < 0)
				return give_up(f, rc);
			rc = 0;
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

int session_batch(struct session *s, const struct session_batch *b, const struct opctx *ctx)
{
	struct flight f = {.s = s, .b = b};
	struct reply r;

	if (b->n == 0)
		return 0;
	if (!(f.sizes = calloc(b->n, sizeof *f.sizes)))
		return -ENOMEM;
	buf_init(&f.line, SESSION_LINE * 2);
	reply_init(&r);
	int rc = session_await_cut(s, ctx);
	if (rc == 0)
		rc = fly(&f, &r, ctx);
	reply_free(&r);
	buf_free(&f.line);
	free(f.sizes);
	return rc;
}
