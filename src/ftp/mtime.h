/* mtime - the ways in which servers let a time be set; the one that works is learned. */
#ifndef FTPFS_FTP_MTIME_H
#define FTPFS_FTP_MTIME_H

#include "ftp_private.h"

/* In the order in which they are tried. */
enum mtime_way { MTIME_MFMT, MTIME_MDTM, MTIME_UTIME, MTIME_NONE };

/* The best way that is not known to fail. */
enum mtime_way mtime_way(const struct caps *c);
/* Is there one?  YES, NO, or UNTRIED. */
enum tristate mtime_known(const struct caps *c);
/* Appends the command line. */
int mtime_command(enum mtime_way way, int64_t mtime, const char *arg, struct buf *line);
/* Judges the reply, and remembers a way that works. */
bool mtime_accepted(struct caps *c, enum mtime_way way, int code);
/* Set the time of x->path by the first way that works: 0, -EOPNOTSUPP when none does, or -errno. */
int mtime_set(struct exchange *x, int64_t mtime);

#endif
