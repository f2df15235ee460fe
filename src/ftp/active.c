/* ftp/active - data connections that the server opens (EPRT, RFC 2428): the dialogue
 *
 *     EPRT |1|address|port|, RETR path    one flight; 200; its SYN reaches us; 150 and the bytes
 *
 * A round trip less than EPSV, our SYN, RETR.  It works only where nothing between the two ends
 * translates addresses or filters, so it is relied on after it has been seen to work, and whatever
 * goes wrong with it is done again by EPSV. */
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ftp/listen.h"
#include "ftp_private.h"

enum { EPRT_ROOM = 80 };

/* The SYN comes a round trip after the reply to EPRT.  Where that is proven, there is time for one
 * SYN to be lost and repeated; else just for a server that is slow to open the file. */
static const int64_t PATIENCE = 2 * NS_PER_S, PROBE_MARGIN = 250 * NS_PER_MS;
enum { PROBE_TRIPS = 4 };

bool data_may_call(const struct session *s)
{
	if (!session_calls(s) || s->hot >= 0)
		return false;
	for (unsigned i = 0; i < s->nowed; i++)
		if (s->owed[i].kind == OWED_EPSV)
			return false;
	return true;
}

bool data_listen(struct session *s, struct data *d)
{
	int fd = listen_open(login_fd(s->login));

	if (fd >= 0)
		*d = (struct data){.fd = fd, .listening = true};
	return fd >= 0;
}

int data_call(struct session *s, unsigned awaited, struct data *d)
{
	struct buf argument;

	buf_init(&argument, EPRT_ROOM);
	int rc = listen_say(d->fd, &argument);
	if (rc == 0)
		rc = session_queue(s, "EPRT %s", buf_text(&argument));
	buf_free(&argument);
	if (rc != 0)
		return rc;
	session_asked_call(s, awaited);
	s->calling.patience = PATIENCE;
	return 0;
}

static void missed(struct session *s, const char *how)
{
	log_debug("session %u: the server did not open the data connection: %s", s->id, how);
	s->calling.outcome = CALL_MISSED;
	if (s->caps.known[CAP_EPRT] == UNTRIED)
		s->caps.known[CAP_EPRT] = NO;
	stats_add(STAT_CALLS_MISSED, 1);
}

static void met(struct session *s)
{
	s->calling.outcome = CALL_MET;
	if (s->caps.known[CAP_EPRT] == UNTRIED)
		s->caps.known[CAP_EPRT] = YES;
	stats_add(STAT_CALLS, 1);
	stats_add(STAT_DATA_CONNECTIONS, 1);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* The server has called before it was told of a transfer (pyftpdlib): its 200 came a round trip
 * late, out of turn if more had been sent behind, and nothing is won.  pyftpdlib also has to hear
 * of another data connection while this one is open: when it hears later it stops to listen to
 * whichever connection, of any session, has got the same descriptor. */
static int decline(struct session *s, const struct opctx *ctx)
{
	s->calling.outcome = CALL_REFUSED;
	session_heat(s, 0);
	return session_settle(s, ctx);
}

/* EPRT and its answer; *trip: how long that took. */
static int ask(struct session *s, struct data *d, int64_t *trip, const struct opctx *ctx)
{
	int64_t begun = clock_monotonic();
	struct opctx soon = *ctx;

	if (soon.deadline > begun + PATIENCE)
		soon.deadline = begun + PATIENCE;
	int rc = data_call(s, 0, d);
	if (rc == 0)
		rc = session_flush(s, &soon);
	if (rc == 0)
		rc = session_settle(s, &soon);
	*trip = clock_monotonic() - begun;
	if (rc == 0 && s->calling.outcome != CALL_REFUSED && readable(d->fd))
		rc = decline(s, &soon);
	return rc;
}

int data_probe(struct session *s, struct data *d, const struct opctx *ctx)
{
	int64_t trip;
	int rc = session_settle(s, ctx); /* an EPSV on its way would be cancelled */

	session_cool(s);
	if (rc != 0)
		return rc;
	if (!data_listen(s, d))
		return DATA_REFUSED;
	rc = ask(s, d, &trip, ctx);
	if (rc == 0 && s->calling.outcome != CALL_REFUSED) {
		if (PROBE_TRIPS * trip + PROBE_MARGIN < PATIENCE)
			s->calling.patience = PROBE_TRIPS * trip + PROBE_MARGIN;
		return 0;
	}
	data_close(d);
	if (opctx_check(ctx) != 0)
		return rc != 0 ? rc : DATA_REFUSED;
	missed(s, rc == 0 ? "EPRT is refused, or obeyed at once" : "EPRT is not answered");
	return rc == 0 ? DATA_REFUSED : DATA_NOT_CALLED;
}

int data_take_call(struct session *s, struct data *d, short *want)
{
	int fd = listen_accept(d->fd, login_fd(s->login));

	*want = POLLIN;
	if (fd < 0)
		return fd;
	data_close(d);
	*d = (struct data){.fd = fd};
	met(s);
	return data_secure(s, d);
}

struct opctx data_call_patience(const struct session *s, const struct data *d,
				const struct opctx *ctx)
{
	struct opctx soon = *ctx;
	int64_t until = s->calling.answered + s->calling.patience;

	if (d->listening && s->calling.answered != 0 && soon.deadline > until)
		soon.deadline = until;
	return soon;
}

int data_call_refused(struct session *s, struct data *d, int code)
{
	bool refused = s->calling.outcome == CALL_REFUSED;

	if (!d->listening || (code != 425 && !refused))
		return code;
	missed(s, refused ? "EPRT is refused" : "425");
	return 425;
}

/* A box in between may even break the control connection when it sees EPRT. */
int data_call_failed(struct session *s, struct data *d, int rc, const struct opctx *ctx)
{
	bool silent = rc == -ETIMEDOUT && s->calling.answered != 0;
	bool cut_off = rc == -ECONNRESET && s->caps.known[CAP_EPRT] == UNTRIED;

	s->broken = true;
	if (!d->listening || !(silent || cut_off) || opctx_check(ctx) != 0)
		return rc;
	missed(s, silent ? "silence" : "the control connection is lost");
	return DATA_NOT_CALLED;
}
