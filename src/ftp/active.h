/* active - what awaiting a data connection (open_data.c) needs of asking for one (active.c). */
#ifndef FTPFS_FTP_ACTIVE_H
#define FTPFS_FTP_ACTIVE_H

#include "ftp_private.h"

/* d listens: 0, d is the server's connection; -EAGAIN and *want; or -errno. */
int data_take_call(struct session *s, struct data *d, short *want);
/* ctx, or one that ends when the server should have called. */
struct opctx data_call_patience(const struct session *s, const struct data *d,
				const struct opctx *ctx);
/* The transfer was refused with `code`: 425 when that is about the connection that the server was
 * to open, else `code`. */
int data_call_refused(struct session *s, struct data *d, int code);
/* Waiting has failed: the session is broken.  DATA_NOT_CALLED, or rc. */
int data_call_failed(struct session *s, struct data *d, int rc, const struct opctx *ctx);

#endif
