/* ftp/listen - the sockets of a data connection that the server opens */
#include "ftp/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* ---- addresses ---- */

enum scope { SCOPE_NONE, SCOPE_LOOPBACK, SCOPE_PRIVATE, SCOPE_GLOBAL };

static enum scope scope_of_4(uint32_t a)
{
	if (a >> 24 == 127)
		return SCOPE_LOOPBACK;
	if (a >> 24 == 0 || a >> 28 >= 14)
		return SCOPE_NONE;
	if (a >> 24 == 10 || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8 || a >> 16 == 0xA9FE ||
	    a >> 22 == 0x191)
		return SCOPE_PRIVATE;
	return SCOPE_GLOBAL;
}

static enum scope scope_of_6(const struct in6_addr *a)
{
	if (IN6_IS_ADDR_LOOPBACK(a))
		return SCOPE_LOOPBACK;
	if (IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_MULTICAST(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
	    IN6_IS_ADDR_V4MAPPED(a))
		return SCOPE_NONE;
	return (a->s6_addr[0] & 0xFE) == 0xFC ? SCOPE_PRIVATE : SCOPE_GLOBAL;
}

static enum scope scope_of(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return scope_of_4(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
	if (a->sa_family == AF_INET6)
		return scope_of_6(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return SCOPE_NONE;
}

bool listen_reachable(const struct sockaddr *local, const struct sockaddr *peer)
{
	enum scope scope = scope_of(local);

	return scope != SCOPE_NONE && local->sa_family == peer->sa_family &&
	       scope == scope_of(peer);
}

static int ends_of(int fd, struct sockaddr_storage *local, struct sockaddr_storage *peer)
{
	socklen_t local_len = sizeof *local, peer_len = sizeof *peer;

	if (getsockname(fd, (struct sockaddr *)local, &local_len) != 0 ||
	    getpeername(fd, (struct sockaddr *)peer, &peer_len) != 0)
		return -errno;
	return 0;
}

bool listen_worthwhile(int control_fd)
{
	struct sockaddr_storage local, peer;

	return ends_of(control_fd, &local, &peer) == 0 &&
	       listen_reachable((struct sockaddr *)&local, (struct sockaddr *)&peer);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->ss_family == AF_INET6 &&
	       IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
				  &((const struct sockaddr_in6 *)b)->sin6_addr);
}

/* ---- sockets ---- */

static void *address_in(struct sockaddr_storage *a, in_port_t **port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;

	*port = a->ss_family == AF_INET6 ? &six->sin6_port : &four->sin_port;
	return a->ss_family == AF_INET6 ? (void *)&six->sin6_addr : (void *)&four->sin_addr;
}

int listen_open(int control_fd)
{
	struct sockaddr_storage local, peer;
	in_port_t *port;
	int rc = ends_of(control_fd, &local, &peer);

	if (rc != 0)
		return rc;
	if (local.ss_family != AF_INET && local.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	int fd = socket(local.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)address_in(&local, &port);
	*port = 0;
	if (bind(fd, (struct sockaddr *)&local, sizeof local) == 0 && listen(fd, 1) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int listen_say(int listener, struct buf *argument)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	char text[INET6_ADDRSTRLEN];
	in_port_t *port;

	if (getsockname(listener, (struct sockaddr *)&at, &len) != 0)
		return -errno;
	if (!inet_ntop(at.ss_family, address_in(&at, &port), text, sizeof text))
		return -errno;
	return buf_addf(argument, "|%d|%s|%u|", at.ss_family == AF_INET6 ? 2 : 1, text,
			(unsigned)ntohs(*port));
}

int listen_accept(int listener, int control_fd)
{
	struct sockaddr_storage local, peer, caller;
	int on = 1, rc = ends_of(control_fd, &local, &peer);

	while (rc == 0) {
		socklen_t len = sizeof caller;
		int fd = accept4(listener, (struct sockaddr *)&caller, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
		if (same_host(&caller, &peer)) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
			setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
			return fd;
		}
		close(fd);
	}
	return rc;
}
