/* ftp/data - a data connection: TCP to the port that EPSV or PASV named (RFC 2428, RFC 959
 * section 3.3), and TLS on it that resumes the control connection's session (RFC 4217 section 7),
 * as servers demand.
 *
 * The address is always the control connection's peer: what a PASV reply says about it is ignored
 * (it is wrong behind NAT, and a hostile server could point us elsewhere).  All calls are
 * non-blocking and return -EAGAIN with *want set to the poll events to wait for. */
#ifndef FTPFS_FTP_DATA_H
#define FTPFS_FTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct data {
	int fd;		/* -1: none */
	void *ssl;	/* SSL *; NULL in the clear */
	bool shaken;	/* the TLS handshake is complete */
	bool listening; /* fd is where the server is to call us (ftp/listen); no other function
			 * here but data_close() may be used yet */
};

/* Start connecting to `port` of control_fd's peer: the descriptor, or -errno. */
int data_connect(int control_fd, uint16_t port);
/* The result of connecting: 0, -EAGAIN (still on its way), -errno. */
int data_connected(int fd);

/* Put TLS on d, resuming the session of control_ssl.  The handshake itself is data_handshake(). */
int data_tls(struct data *d, void *control_ssl);
/* 0 when complete; `insecure`: do not demand that an unresumed peer shows the control connection's
 * certificate.  -EPROTO when TLS fails. */
int data_handshake(struct data *d, void *control_ssl, bool insecure, short *want);

/* Say close_notify ahead: nothing will be written.  Reading goes on. */
void data_only_read(struct data *d);
ssize_t data_read(struct data *d, void *to, size_t n, short *want); /* 0: end */
ssize_t data_write(struct data *d, const void *from, size_t n, short *want);
/* Bytes of the local file `fd`, which has all n of them, from the page cache: a count, or -errno.
 * -EOPNOTSUPP under TLS, or where that file cannot be sent so; -EIO: it could not be read.  SIGPIPE
 * is ignored by the process: there is no flag for it here. */
ssize_t data_send_file(struct data *d, int fd, int64_t at, size_t n, short *want);
/* End of what we send: close_notify, then FIN, then read to the peer's end, since closing with
 * unread bytes (TLS 1.3 tickets) resets the connection and loses the tail of an upload. */
int data_finish(struct data *d, short *want);
/* Has the peer ended, with nothing left to read?  Never waits. */
/* Does what comes stand in line on the way longer than an empty way takes? */
bool data_queued(const struct data *d);
bool data_at_end(struct data *d);
void data_close(struct data *d);
/* The same for a transfer that is given up: what has not arrived by now never will. */
void data_abort(struct data *d);
/* From here on close(fd) resets the connection.  Otherwise the kernel goes on for minutes to send
 * what the peer has not acknowledged, and a link that mends would deliver commands and bytes to a
 * server that has been told other things since. */
void data_reset_on_close(int fd, bool on);

#endif
