/* ftp/remote_ftp - struct remote, spoken as FTP dialogues. */
#ifndef FTPFS_FTP_REMOTE_FTP_H
#define FTPFS_FTP_REMOTE_FTP_H

#include "ftp/login.h"
#include "ftp/pool.h"
#include "remote.h"

struct ftp_conf {
	struct login_conf login;
	char *dir; /* as in struct url: "" or relative to the login directory, or absolute */
	unsigned max_conns; /* control connections at most; 1..64 */
	enum active_mode active;
};

/* Logs in once and enters the directory: 0 and *out; or -errno, *failure, and one line for the user
 * in *why.  *conf (and all it points to) must outlive the remote. */
int remote_ftp_create(const struct ftp_conf *conf, struct remote **out, enum login_failure *failure,
		      struct buf *why, const struct opctx *ctx);

#endif
