/* ftp/data - one data connection, in the clear or under TLS */
#include "ftp/data.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* SSL_read and SSL_write take an int. */
enum { TLS_CHUNK = 1 << 20, DRAIN_CHUNK = 4096 };

int data_connect(int control_fd, uint16_t port)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	int on = 1;

	if (getpeername(control_fd, (struct sockaddr *)&peer, &len) != 0)
		return -errno;
	if (peer.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&peer)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&peer)->sin_port = htons(port);
	int fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&peer, len) != 0 && errno != EINPROGRESS) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int data_connected(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof error;

	if (poll(&p, 1, 0) == 0)
		return -EAGAIN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return -errno;
	return -error;
}

/* ---- TLS ---- */

static pthread_once_t ctx_once = PTHREAD_ONCE_INIT;
static SSL_CTX *tls_ctx; /* constant after ctx_once; lives as long as the process */

static void make_ctx(void)
{
	tls_ctx = SSL_CTX_new(TLS_client_method());
	if (!tls_ctx)
		return;
	/* Each data connection resumes the control connection's session, never another data
	 * connection's. */
	SSL_CTX_set_session_cache_mode(tls_ctx, SSL_SESS_CACHE_OFF);
	/* Many servers close without close_notify; the final reply and SIZE tell whether all came.
	 */
	SSL_CTX_set_options(tls_ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(tls_ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

/* Only of the first group offered the key is in the ClientHello: a server that wants another one
 * (vsftpd: P-256) asks for it, one round trip for each data connection.  What the control
 * connection agreed on is right at once. */
static void offer_group_first(SSL *ssl, int group)
{
	static const int USUAL[] = {NID_X25519, NID_X9_62_prime256v1, NID_X448, NID_secp521r1,
				    NID_secp384r1};
	int groups[1 + sizeof USUAL / sizeof USUAL[0]] = {group};
	long n = 1;

	for (size_t i = 0; i < sizeof USUAL / sizeof USUAL[0]; i++)
		if (USUAL[i] != group)
			groups[n++] = USUAL[i];
	/* A group that has no name here, or none at all, is refused: the order stays as it was. */
	if (SSL_set1_groups(ssl, groups, n) != 1)
		ERR_clear_error();
}

int data_tls(struct data *d, void *control_ssl)
{
	SSL *control = control_ssl;

	pthread_once(&ctx_once, make_ctx);
	SSL *ssl = tls_ctx ? SSL_new(tls_ctx) : NULL;
	if (!ssl || SSL_set_fd(ssl, d->fd) != 1) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_SESSION *session = SSL_get1_session(control);
	if (session) {
		SSL_set_session(ssl, session);
		SSL_SESSION_free(session);
	}
	/* A session can only be resumed under the version it was made with. */
	SSL_set_min_proto_version(ssl, SSL_version(control));
	SSL_set_max_proto_version(ssl, SSL_version(control));
	offer_group_first(ssl, (int)SSL_get_negotiated_group(control));
	const char *name = SSL_get_servername(control, TLSEXT_NAMETYPE_host_name);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	d->ssl = ssl;
	d->shaken = false;
	return 0;
}

/* After a failed SSL call: -EAGAIN and *want, 0 for an orderly end, or -errno. */
static ssize_t tls_error(SSL *ssl, int result, short *want)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*want = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*want = POLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -ECONNRESET;
	default:
		log_debug("TLS on a data connection: %s",
			  ERR_reason_error_string(ERR_peek_last_error()));
		return -EPROTO;
	}
}

/* The control connection's certificate has been checked against its name; a data connection that
 * did not resume its session must at least come from the holder of the same certificate. */
static bool same_peer(SSL *ssl, SSL *control)
{
	X509 *a = SSL_get1_peer_certificate(ssl), *b = SSL_get1_peer_certificate(control);
	bool same = a && b && X509_cmp(a, b) == 0;

	X509_free(a);
	X509_free(b);
	return same;
}

int data_handshake(struct data *d, void *control_ssl, bool insecure, short *want)
{
	if (!d->ssl || d->shaken)
		return 0;
	ERR_clear_error();
	errno = 0;
	int n = SSL_connect(d->ssl);
	if (n != 1) {
		ssize_t rc = tls_error(d->ssl, n, want);
		return rc == 0 ? -ECONNRESET : (int)rc;
	}
	if (!insecure && !SSL_session_reused(d->ssl) && !same_peer(d->ssl, control_ssl)) {
		log_error(
			"a data connection showed another certificate than the control connection");
		return -EPROTO;
	}
	d->shaken = true;
	return 0;
}

void data_only_read(struct data *d)
{
	if (!d->ssl)
		return;
	ERR_clear_error();
	SSL_shutdown(d->ssl); /* one record into an empty socket buffer */
	ERR_clear_error();
}

ssize_t data_read(struct data *d, void *to, size_t n, short *want)
{
	if (d->ssl) {
		ERR_clear_error();
		errno = 0;
		int got = SSL_read(d->ssl, to, n < TLS_CHUNK ? (int)n : TLS_CHUNK);
		return got > 0 ? got : tls_error(d->ssl, got, want);
	}
	ssize_t got = recv(d->fd, to, n, 0);
	if (got >= 0)
		return got;
	*want = POLLIN;
	return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

ssize_t data_write(struct data *d, const void *from, size_t n, short *want)
{
	if (d->ssl) {
		ERR_clear_error();
		errno = 0;
		int sent = SSL_write(d->ssl, from, n < TLS_CHUNK ? (int)n : TLS_CHUNK);
		if (sent > 0)
			return sent;
		ssize_t rc = tls_error(d->ssl, sent, want);
		return rc == 0 ? -EPIPE : rc;
	}
	/* The last segment waits for more, or for the FIN: as a packet of its own that would cost a
	 * file that just fills the initial window another round trip. */
	ssize_t sent = send(d->fd, from, n, MSG_NOSIGNAL | MSG_MORE);
	if (sent >= 0)
		return sent;
	*want = POLLOUT;
	return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

ssize_t data_send_file(struct data *d, int fd, int64_t at, size_t n, short *want)
{
	off_t from = at;

	if (d->ssl)
		return -EOPNOTSUPP;
	ssize_t sent = sendfile(d->fd, fd, &from, n);
	if (sent > 0)
		return sent;
	*want = POLLOUT;
	if (sent == 0)
		return -EIO;
	if (errno == EINVAL || errno == ENOSYS)
		return -EOPNOTSUPP;
	return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

int data_finish(struct data *d, short *want)
{
	char sink[DRAIN_CHUNK];

	if (!d->ssl)
		return shutdown(d->fd, SHUT_WR) == 0 || errno == ENOTCONN ? 0 : -errno;
	if (!(SSL_get_shutdown(d->ssl) & SSL_SENT_SHUTDOWN)) {
		ERR_clear_error();
		errno = 0;
		int n = SSL_shutdown(d->ssl);
		if (n < 0) {
			ssize_t rc = tls_error(d->ssl, n, want);
			if (rc != 0)
				return (int)rc;
		}
		shutdown(d->fd, SHUT_WR);
	}
	for (;;) {
		ERR_clear_error();
		errno = 0;
		int n = SSL_read(d->ssl, sink, sizeof sink);
		if (n > 0)
			continue;
		ssize_t rc = tls_error(d->ssl, n, want);
		/* The bytes are sent; how the peer closes its side is told by the final reply. */
		return rc == -EAGAIN ? -EAGAIN : 0;
	}
}

/* The round trip of the handshake, when nothing of ours was on the way, against that of the bytes
 * that come now.  A millisecond is a busy machine. */
bool data_queued(const struct data *d)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	if (d->fd < 0 || getsockopt(d->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return false;
	return info.tcpi_rtt > 0 && info.tcpi_rcv_rtt > 2 * info.tcpi_rtt + 1000;
}

/* Under TLS the end is a record (close_notify) that has to be read to be seen. */
static bool tls_at_end(SSL *ssl)
{
	char byte;

	ERR_clear_error();
	int n = SSL_peek(ssl, &byte, 1);
	return n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
}

bool data_at_end(struct data *d)
{
	char byte;

	if (d->fd < 0)
		return true;
	if (d->ssl && d->shaken && tls_at_end(d->ssl))
		return true;
	return recv(d->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void data_close(struct data *d)
{
	if (d->ssl) {
		ERR_clear_error();
		if (d->shaken && !(SSL_get_shutdown(d->ssl) & SSL_SENT_SHUTDOWN))
			SSL_shutdown(d->ssl); /* one record into the socket buffer; lost is fine */
		SSL_free(d->ssl);
		ERR_clear_error();
	}
	if (d->fd >= 0)
		close(d->fd);
	d->ssl = NULL;
	d->fd = -1;
	d->shaken = d->listening = false;
}

void data_reset_on_close(int fd, bool on)
{
	struct linger reset = {.l_onoff = on};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void data_abort(struct data *d)
{
	/* An end, of TCP or TLS, would say that the file is complete. */
	if (d->ssl)
		SSL_set_shutdown(d->ssl, SSL_SENT_SHUTDOWN);
	if (d->fd >= 0)
		data_reset_on_close(d->fd, true);
	data_close(d);
}
