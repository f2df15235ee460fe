/* ftp/open_data - EPSV or PASV, the connection, and the handshake on it */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "active.h"
#include "base/clock.h"
#include "base/stats.h"

static int await_connection(struct session *s, int fd, const struct opctx *ctx)
{
	int rc;

	while ((rc = data_connected(fd)) == -EAGAIN) {
		rc = session_poll(s, 0, fd, POLLOUT, ctx);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* EPRT may be sent behind the last reply to a transfer: waiting for that is what it saves. */
static bool must_settle(const struct session *s)
{
	if (!data_may_call(s))
		return s->nowed > 0;
	for (unsigned i = 0; i < s->nowed; i++)
		if (s->owed[i].kind != OWED_FINAL)
			return true;
	return false;
}

bool data_take_hot(struct session *s, struct data *d, const struct opctx *ctx)
{
	if (must_settle(s) && session_settle(s, ctx) != 0)
		return false;
	if (s->hot < 0)
		return false;
	if (await_connection(s, s->hot, ctx) != 0 || data_at_end(&(struct data){.fd = s->hot})) {
		session_cool(s);
		return false;
	}
	*d = (struct data){.fd = s->hot};
	s->hot = -1;
	stats_add(STAT_HOT_USED, 1);
	return true;
}

/* The port in a 229 or 227; some answer EPSV with 227. */
static int passive_port(const struct reply *r, uint16_t *port)
{
	if (r->code == 229)
		return reply_epsv(r, port);
	if (r->code == 227)
		return reply_pasv(r, port);
	return -EPROTO;
}

static int queue_passive(struct session *s)
{
	return session_queue(s, "%s", s->caps.known[CAP_EPSV] == NO ? "PASV" : "EPSV");
}

/* The reply to EPSV or PASV is in *r: the port, asking for PASV when EPSV is not understood. */
static int settle_port(struct session *s, struct reply *r, uint16_t *port, const struct opctx *ctx)
{
	bool epsv = s->caps.known[CAP_EPSV] != NO;

	if (passive_port(r, port) == 0) {
		if (epsv)
			s->caps.known[CAP_EPSV] = r->code == 229 ? YES : NO;
		return 0;
	}
	/* 425 and 421 are about this moment, not about EPSV. */
	if (!epsv || r->code / 100 == 4)
		return -ECONNREFUSED;
	s->caps.known[CAP_EPSV] = NO;
	int code = session_command(s, r, ctx, "PASV");
	if (code < 0)
		return code;
	return passive_port(r, port) == 0 ? 0 : -ECONNREFUSED;
}

/* The connection is awaited: sent beside the SYN the command would win nothing (the server accepts
 * a round trip and a half after it), and ProFTPD closes the port when it refuses. */
static int connect_to(struct session *s, uint16_t port, struct data *d, const struct opctx *ctx)
{
	int fd = data_connect(login_fd(s->login), port);

	if (fd < 0)
		return fd;
	*d = (struct data){.fd = fd};
	stats_add(STAT_DATA_CONNECTIONS, 1);
	int rc = await_connection(s, fd, ctx);
	if (rc != 0)
		data_close(d);
	return rc;
}

/* CWD and EPSV go in one flight.  If the directory is refused the port is of no use to us now, but
 * the session keeps it for the next transfer. */
int data_open(struct session *s, const char *cwd, struct data *d, struct reply *r,
	      const struct opctx *ctx)
{
	uint16_t port;
	struct reply passive;
	bool together = session_pipelines(s);
	int rc = 0, refused = 0;

	if (s->rest_set) {
		rc = session_command(s, r, ctx, "REST 0");
		s->rest_set = false;
	}
	if (rc >= 0)
		rc = cwd ? session_queue(s, "CWD %s", cwd) : 0;
	if (rc == 0 && cwd && !together)
		rc = session_flush(s, ctx);
	if (rc == 0 && cwd && !together && (rc = session_reply(s, r, ctx)) == 0 &&
	    r->code / 100 != 2)
		return -ENOENT;
	if (rc == 0)
		rc = queue_passive(s);
	if (rc == 0)
		rc = session_flush(s, ctx);
	if (rc == 0 && cwd && together && (rc = session_reply(s, r, ctx)) == 0)
		refused = r->code / 100 != 2;
	if (rc != 0)
		return rc;
	reply_init(&passive);
	rc = session_reply(s, &passive, ctx);
	if (rc == 0)
		rc = settle_port(s, &passive, &port, ctx);
	reply_free(&passive);
	if (rc == 0)
		rc = connect_to(s, port, d, ctx);
	if (refused) {
		if (rc == 0) {
			s->hot = d->fd;
			s->hot_since = clock_monotonic();
			d->fd = -1;
		}
		return s->broken ? rc : -ENOENT;
	}
	return rc;
}

int data_secure(struct session *s, struct data *d)
{
	return session_tls(s) && !d->listening ? data_tls(d, login_ssl(s->login)) : 0;
}

void data_hello(struct session *s, struct data *d, bool behind)
{
	short want;

	if (d->listening || (behind && !(s->caps.quirks & QUIRK_EARLY_HELLO)))
		return;
	(void)data_handshake(d, login_ssl(s->login), s->conf->insecure, &want);
}

/* The connection, and TLS on it: 0, -EAGAIN and *want, or -errno. */
static int get_ready(struct session *s, struct data *d, short *want)
{
	int rc = d->listening ? data_take_call(s, d, want) : 0;

	return rc ? rc : data_handshake(d, login_ssl(s->login), s->conf->insecure, want);
}

int data_start(struct session *s, struct data *d, struct reply *r, const struct opctx *ctx)
{
	bool started = false;
	short want;
	int rc;

	for (;;) {
		int ready = get_ready(s, d, &want);
		rc = started ? 0 : session_reply_now(s, r);
		if (rc < 0)
			return data_call_failed(s, d, rc, ctx);
		if (rc == 1 && r->code / 100 != 1) {
			session_owe_no_more(s);
			return data_call_refused(s, d, r->code);
		}
		started |= rc == 1;
		/* A refusal explains a broken handshake better than the handshake does. */
		if (ready != 0 && ready != -EAGAIN && started)
			return ready;
		if (started && ready == 0) {
			if (s->caps.quirks & QUIRK_AWAITS_GOODBYE)
				data_only_read(d);
			return 0;
		}
		bool waits = ready == -EAGAIN;
		struct opctx soon = data_call_patience(s, d, ctx);
		rc = session_poll(s, started ? 0 : POLLIN, waits ? d->fd : -1, waits ? want : 0,
				  &soon);
		if (rc < 0)
			return data_call_failed(s, d, rc, ctx);
	}
}
