/* ftp/half_open - connections that were reset while the link was down */
#include "ftp/half_open.h"

#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

void half_open_init(struct half_open *h)
{
	mutex_init(&h->lock);
	h->n = 0;
}

void half_open_destroy(struct half_open *h)
{
	mutex_destroy(&h->lock);
}

static bool is_connected(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_ESTABLISHED;
}

static void remove_locked(struct half_open *h, unsigned i) REQUIRES(h->lock)
{
	memmove(&h->v[i], &h->v[i + 1], (--h->n - i) * sizeof h->v[0]);
}

void half_open_note(struct half_open *h, int fd)
{
	struct half_open_ends e = {.tries = HALF_OPEN_TRIES};
	socklen_t here = sizeof e.here, there = sizeof e.there;

	if (!is_connected(fd) || getsockname(fd, &e.here.any, &here) != 0 ||
	    getpeername(fd, &e.there.any, &there) != 0)
		return;
	mutex_lock(&h->lock);
	if (h->n == HALF_OPEN_MAX)
		remove_locked(h, 0);
	h->v[h->n++] = e;
	mutex_unlock(&h->lock);
}

/* Whatever becomes of it: the kernel answers for a socket that is not there. */
static void send_syn(const struct half_open_ends *e)
{
	static const int on = 1;
	static const struct linger reset = {.l_onoff = 1};
	socklen_t len = e->here.any.sa_family == AF_INET ? sizeof e->here.four : sizeof e->here.six;
	int fd = socket(e->here.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	if (bind(fd, &e->here.any, len) == 0)
		(void)connect(fd, &e->there.any, len);
	close(fd);
}

void half_open_end(struct half_open *h)
{
	struct half_open_ends due[HALF_OPEN_MAX];
	unsigned n = 0;

	mutex_lock(&h->lock);
	int64_t now = h->n ? clock_monotonic() : 0;
	for (unsigned i = 0; i < h->n;) {
		struct half_open_ends *e = &h->v[i];

		if (e->due > now) {
			i++;
			continue;
		}
		e->due = now + HALF_OPEN_PAUSE;
		e->tries--;
		due[n++] = *e;
		if (e->tries == 0)
			remove_locked(h, i);
		else
			i++;
	}
	mutex_unlock(&h->lock);
	for (unsigned i = 0; i < n; i++)
		send_syn(&due[i]);
	if (n > 0)
		log_debug("the server is told of %u connections that broke earlier", n);
}
