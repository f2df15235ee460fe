/* ftp/half_open - connections that were reset while the link was down: the server has not heard of
 * it, and waits for more until its own time-out (vsftpd: 300 s), with the file that it received
 * locked and the session counted.
 *
 * Once the link works again a SYN between the same two ends makes the server's half tell what it
 * expects next (RFC 5961 section 4), and for a connection that it does not have our kernel answers
 * that with the right reset (RFC 9293 section 3.5.1).  Where the server's half has gone meanwhile,
 * it refuses, or what it offers is reset: no connection comes of it, whoever has the port now.
 *
 * Nothing here waits.  Any thread; one mutex inside, a leaf. */
#ifndef FTPFS_FTP_HALF_OPEN_H
#define FTPFS_FTP_HALF_OPEN_H

#include <netinet/in.h>
#include <stdint.h>

#include "base/lock.h"

/* Beyond it the oldest is forgotten.  Each is tried HALF_OPEN_TRIES times, since a SYN may be lost,
 * HALF_OPEN_PAUSE apart. */
enum { HALF_OPEN_MAX = 32, HALF_OPEN_TRIES = 3 };
#define HALF_OPEN_PAUSE NS_PER_S

union half_open_end {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

struct half_open_ends {
	union half_open_end here, there;
	unsigned tries; /* left */
	int64_t due;	/* monotonic ns */
};

struct half_open {
	struct mutex lock;
	struct half_open_ends v[HALF_OPEN_MAX] GUARDED_BY(lock); /* oldest first */
	unsigned n GUARDED_BY(lock);
};

void half_open_init(struct half_open *h);
void half_open_destroy(struct half_open *h);

/* Before fd is closed with a reset: noted when it is connected still, as far as this end knows. */
void half_open_note(struct half_open *h, int fd);

/* The server has just answered somebody: it is told of those that were noted, as far as they are
 * due.  A connection of now between the same two ends is left alone: the kernel gives its port to
 * nobody else. */
void half_open_end(struct half_open *h);

#endif
