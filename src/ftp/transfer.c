/* ftp/transfer - what downloads and uploads share: a borrowed session and its data connection */
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>

/* The session goes back; the stream has nothing more to say to the server. */
void transfer_let_go(struct transfer *t, bool heat)
{
	struct session *s = t->x.s;

	data_close(&t->d);
	if (!s)
		return;
	if (heat && !s->broken)
		session_heat(s, 0);
	pool_put(t->x.ftp->pool, s);
	t->x.s = NULL;
}

int transfer_break_off(struct transfer *t, int error)
{
	if (t->x.s) {
		t->x.s->broken = true;
		if (t->x.s->changing && t->d.fd >= 0)
			pool_note_reset(t->x.ftp->pool, t->d.fd);
	}
	data_abort(&t->d);
	transfer_let_go(t, false);
	return error;
}

int transfer_refused(struct transfer *t)
{
	int rc = exchange_refused(&t->x, t->verb);

	transfer_let_go(t, false);
	return rc;
}

/* REST n, or REST 0 to undo one whose transfer never came.  Returns how many replies it will have.
 */
static int queue_rest(struct transfer *t, int64_t rest)
{
	struct session *s = t->x.s;

	if (rest == 0 && !s->rest_set)
		return 0;
	s->rest_set = rest > 0;
	int rc = session_queue(s, "REST %lld", (long long)rest);
	if (rc == 0 && !session_pipelines(s)) {
		rc = session_flush(s, t->x.ctx);
		if (rc == 0)
			rc = session_reply(s, &t->x.reply, t->x.ctx);
		return rc;
	}
	return rc == 0 ? 1 : rc;
}

int transfer_send(struct transfer *t, const char *word, int64_t rest)
{
	struct session *s = t->x.s;
	int rest_replies = t->restarted ? 0 : queue_rest(t, rest);
	int rc = rest_replies < 0 ? rest_replies : 0;

	if (rc == 0)
		rc = session_queue(s, "%s %s", word, buf_text(&t->x.arg));
	if (rc == 0)
		rc = data_secure(s, &t->d);
	/* Behind the 1xx and the final reply. */
	if (rc == 0 && (s->caps.quirks & QUIRK_WAITS_ITS_TURN))
		session_heat(s, (unsigned)rest_replies + 2);
	if (rc == 0)
		rc = session_flush(s, t->x.ctx);
	if (rc == 0)
		data_hello(s, &t->d, rest_replies > 0);
	if (rc == 0 && rest_replies > 0)
		rc = session_reply(s, &t->x.reply, t->x.ctx);
	if (rc != 0 || rest == 0)
		return rc;
	caps_learn(&s->caps, CAP_REST, t->x.reply.code);
	/* The server goes on from the start of the file all the same: what comes first is thrown
	 * away. */
	if (t->x.reply.code != 350)
		t->skip = rest;
	return 0;
}

int transfer_begin(struct remote *r, const char *path, enum verb verb, const struct stream_ops *ops,
		   struct transfer **out, const struct opctx *ctx)
{
	struct transfer *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	t->d.fd = -1;
	t->verb = verb;
	t->base.ops = ops;
	int rc = exchange_begin(&t->x, (struct remote_ftp *)r, FOR_TRANSFER, path, ctx);
	if (rc != 0) {
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void transfer_free(struct transfer *t)
{
	data_close(&t->d);
	(void)exchange_end(&t->x, 0);
	free(t);
}
