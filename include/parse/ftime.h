/* parse/ftime - times as FTP writes them <-> ns since the epoch, UTC. */
#ifndef FTPFS_PARSE_FTIME_H
#define FTPFS_PARSE_FTIME_H

#include <stddef.h>
#include <stdint.h>

/* YYYYMMDDhhmmss[.fraction] (RFC 3659 section 2.3).  Reads at most n bytes; returns the bytes used,
 * or -EPROTO. "19100..." (the year 2000 bug of old servers: 19 followed by years since 1900) is
 * understood. */
int ftime_stamp(const char *text, size_t n, int64_t *ns);
/* The other way, 14 digits, whole seconds (rounded down); out holds at least 15 bytes. -ERANGE
 * outside years 1..9999. */
int ftime_format(int64_t ns, char *out, size_t size);

/* The date of an `ls -l` line: "Nov 23 05:30" or "Nov 23  2025" (also "23 Nov", "2025-11-23
 * 05:30"). A date without a year is the latest one not more than a day after `now`.  *slack is what
 * the text leaves open: a minute or a day (ns).  The zone is not known here: the result is as if
 * the text were UTC. -EPROTO. */
struct ls_date {
	int month;	  /* 1..12 */
	int day;	  /* 1..31 */
	int year;	  /* 0: not given */
	int hour, minute; /* -1: not given */
};
int ftime_ls(const struct ls_date *d, int64_t now, int64_t *ns, int64_t *slack);

/* Civil date to days since 1970-01-01; no validation beyond the arithmetic. */
int64_t ftime_days(int year, int month, int day);

#endif
