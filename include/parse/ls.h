/* parse/ls - one line of LIST, in the dialects that servers speak. */
#ifndef FTPFS_PARSE_LS_H
#define FTPFS_PARSE_LS_H

#include <stddef.h>
#include <stdint.h>

#include "base/entry.h"

enum ls_dialect { LS_UNKNOWN, LS_UNIX, LS_DOS, LS_DIALECTS };

/* Fill *e from line[0..n) (no line end), in one dialect.  `now` (ns UTC) decides missing years;
 * times are as if UTC (the caller adds the zone).  Returns 0; -EAGAIN: a line to skip ("total N",
 * ".", "..", blank); -EPROTO: not of this dialect; -ENOMEM.  Names keep their spaces exactly: in
 * the Unix dialect one space ends the date and everything behind it is the name.  "name -> target"
 * is split at the first " -> " for links (mode l). */
int ls_parse(enum ls_dialect dialect, const char *line, size_t n, int64_t now, struct entry *e);

#endif
