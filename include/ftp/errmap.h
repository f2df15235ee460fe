/* ftp/errmap - (command, reply) -> errno: the one place where a server's refusal becomes an errno.
 *
 * Pure.  From replies measured on ten servers.  The text decides where there is one; a path that
 * the server echoes is taken out first, since a file may be called "File exists". */
#ifndef FTPFS_FTP_ERRMAP_H
#define FTPFS_FTP_ERRMAP_H

#include <stdbool.h>

enum verb {
	VERB_CWD,
	VERB_LIST,
	VERB_RETR,
	VERB_STOR,
	VERB_APPE,
	VERB_DELE,
	VERB_MKD,
	VERB_RMD,
	VERB_RNFR,
	VERB_RNTO,
	VERB_SIZE,
	VERB_MLST,
	VERB_MTIME,
	VERB_CHMOD,
	VERB_SITE,
	VERB_OTHER
};

/* The server gave no reason (vsftpd says the same for everything): the caller has to look. */
#define ERRMAP_MUTE 1

/* -errno, or ERRMAP_MUTE.  `code` is 400..599; `path` (may be NULL) is what the command named. */
int errmap(enum verb verb, int code, const char *text, const char *path);
/* Is it the session that ends, whatever was asked?  421; vsftpd's "500 OOPS: child died".  `text`
 * is what follows the code. */
bool errmap_farewell(int code, const char *text);
/* Does the text of a refused login or a 421 mean that there are too many connections? */
bool errmap_too_many(const char *text);

#endif
