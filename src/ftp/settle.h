/* settle - what follows an upload: SITE CHMOD, MFMT (or its kin), then MLST, or SIZE and MDTM, then
 * HASH (or its kin). */
#ifndef FTPFS_FTP_SETTLE_H
#define FTPFS_FTP_SETTLE_H

#include "ftp_private.h"
#include "hash.h"
#include "mtime.h"

enum settle_kind {
	SETTLE_MODE,
	SETTLE_MTIME,
	SETTLE_MLST,
	SETTLE_SIZE,
	SETTLE_MDTM,
	SETTLE_HASH_KIND,
	SETTLE_HASH,
	SETTLE_KINDS
};

struct settling {
	struct exchange *x;
	struct settle *s;
	enum mtime_way way;
	struct hash_way hash;
	enum settle_kind kinds[SETTLE_KINDS];
	size_t n;
	bool mode_set, mtime_set;
	int code; /* of the command that tells the size */
};

/* Which commands, by what is known of the server: s->n of them. */
void settling_plan(struct settling *p, struct exchange *x, struct settle *s);
/* Appends the i-th command line; takes its reply.  As in struct session_batch. */
int settling_command(void *settling, size_t i, struct buf *line);
void settling_answer(void *settling, size_t i, const struct reply *r);
/* Every reply is here: 0 and what `s` is to tell, -ENOENT, or an error of the link.  Tries the
 * other ways to set a time when the first was refused. */
int settling_end(struct settling *p);

#endif
