/* hash - HASH, XSHA256, XMD5, ...: what the server computes over a whole file.
 *
 * OPTS HASH is sent ahead of a session's first HASH (settle.c); the session keeps it. */
#ifndef FTPFS_FTP_HASH_H
#define FTPFS_FTP_HASH_H

#include "ftp_private.h"

/* Can the file be named to that command?  All but HASH and MD5 take more arguments than one. */
bool hash_can_name(const struct hash_way *way, const char *arg);
int hash_command(const struct hash_way *way, const char *arg, struct buf *line);
/* What the server said to it.  A command that it does not have, or answers in a way that is not
 * understood, is not used again. */
void hash_answer(struct caps *c, const struct hash_way *way, const struct reply *r,
		 struct digest *out);

#endif
