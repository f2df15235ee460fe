/* parse/mlsd - one line of MLSD or MLST (RFC 3659 section 7.2): "fact=value;fact=value; name". */
#ifndef FTPFS_PARSE_MLSD_H
#define FTPFS_PARSE_MLSD_H

#include <stddef.h>

#include "base/entry.h"

/* Fill *e from line[0..n) (no line end).  e->name is allocated; the caller entry_clear()s it.
 * Returns 0; -EAGAIN: a line to skip (cdir, pdir, ".", ".."); -EPROTO: not a fact line; -ENOMEM.
 * Knows: type (file dir cdir pdir OS.unix=symlink OS.unix=slink:TARGET, any case), size, sizd,
 * modify, UNIX.mode (octal, with or without 0o), an absent last ';'.  Other facts are ignored.  For
 * MLST the name may be a path: take the facts, ignore the name. cdir and pdir are -EAGAIN only when
 * `list` is true; otherwise they are directories. */
int mlsd_parse(const char *line, size_t n, int list, struct entry *e);

#endif
