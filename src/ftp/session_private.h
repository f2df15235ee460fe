/* session_private - what batch.c needs of session.c. */
#ifndef FTPFS_FTP_SESSION_PRIVATE_H
#define FTPFS_FTP_SESSION_PRIVATE_H

#include "ftp/session.h"

/* Sends what the socket takes now: 0 all gone, -EAGAIN, -ECONNRESET. */
int session_send_now(struct session *s);
/* Behind a transfer that may still be running nothing is sent. */
int session_await_cut(struct session *s, const struct opctx *ctx);

#endif
