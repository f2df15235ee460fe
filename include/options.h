/* options - argv, -o, environment and files -> one conf struct per room; the only place that knows
 * option names. */
#ifndef FTPFS_OPTIONS_H
#define FTPFS_OPTIONS_H

#include <stdbool.h>

#include "base/log.h"
#include "fs/fs.h"
#include "ftp/remote_ftp.h"
#include "fuse/ops.h"

struct fuse_args;

/* What `ftpfs` ends with.  Scripts may rely on the numbers (README, man page). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 1,	  /* bad option, bad URL, unreadable credentials */
	EXIT_NO_HOST = 2, /* cannot resolve */
	EXIT_NO_CONNECT = 3,
	EXIT_NO_TLS = 4, /* TLS or certificate refused */
	EXIT_LOGIN_REFUSED = 5,
	EXIT_NO_DIR =
		6, /* the directory in the URL is missing, not a directory, or may not be listed */
	EXIT_NOT_FTP = 7,
	EXIT_MOUNTPOINT = 8, /* missing, not a directory, not empty, busy, or FUSE refused */
	EXIT_TOO_MANY = 9,   /* the server has no room for another connection */
	EXIT_INTERNAL = 10,
	EXIT_NOT_STORED = 11, /* --sync, umount: the server has not got everything */
};

struct options {
	struct ftp_conf ftp;
	struct fs_conf fs; /* remote, on_change and journal are set by main */
	struct mount_conf mount;
	enum log_level log_level;
	char *cache_dir; /* where the spool lives; NULL: $XDG_CACHE_HOME/ftpfs, ~/.cache/ftpfs, or
			  * /var/cache/ftpfs for root */
	char *url_shown; /* the URL without its password, for fsname and messages */
	char *mountpoint;
	bool foreground, help, version;
	bool sync;	 /* --sync: mountpoint is one of ours, and all the rest is not set */
	bool may_prompt; /* a user name, no password, and a terminal to ask on */
};

/* Parses, and fetches the password from the first place that has one: URL, FTPFS_PASSWORD,
 * password_stdin, credentials=.  (~/.netrc is libcurl's, the prompt is main's, after it.)  A
 * password in argv is overwritten at once.  fuse_args receives what is libfuse's own.  0, or an
 * enum exit_code after one line on stderr. */
int options_parse(int argc, char **argv, struct options *out, struct fuse_args *fuse_args);
/* Ask on the terminal, without echo; 0 or -errno. */
int options_prompt(struct options *o);
void options_free(struct options *o);
void options_usage(void);

#endif
