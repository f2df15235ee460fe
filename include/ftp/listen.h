/* ftp/listen - the sockets of a data connection that the server opens (EPRT, RFC 2428 section 2).
 *
 * Only the control connection's peer may call, and only at the address that it already knows us by:
 * nobody else gets in, and no other host can be named.  Nothing here waits.  Any thread, no lock.
 */
#ifndef FTPFS_FTP_LISTEN_H
#define FTPFS_FTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/buf.h"

/* Do the two ends of a control connection see each other's real address, as far as addresses tell?
 * Both loopback, both private (RFC 1918, RFC 6598, RFC 3927, RFC 4193), or both global: otherwise
 * something in between translates.  False for what EPRT cannot say (an IPv6 link-local address has
 * a zone). */
bool listen_reachable(const struct sockaddr *local, const struct sockaddr *peer);
/* ... of a connected socket. */
bool listen_worthwhile(int control_fd);

/* Listen for one connection on the control connection's own address: the descriptor, or -errno. */
int listen_open(int control_fd);
/* Append EPRT's argument, "|1|192.0.2.1|40000|": 0 or -errno. */
int listen_say(int listener, struct buf *argument);

/* The server's call: its descriptor; -EAGAIN when it has not come; or -errno.  What comes from
 * another address than the control connection's peer is closed.  The listener stays the caller's.
 */
int listen_accept(int listener, int control_fd);

#endif
