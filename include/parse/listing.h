/* parse/listing - a whole listing as it came over the data connection -> struct listing.
 *
 * Every name is checked here before anything above sees it: one that path_check_name() refuses is
 * left out and counted, since a hostile server could otherwise walk out of the mount. */
#ifndef FTPFS_PARSE_LISTING_H
#define FTPFS_PARSE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entry.h"

enum listing_format { FORMAT_MLSD, FORMAT_LIST, FORMAT_NLST };

struct listing_notes {
	size_t refused;		 /* names that may not enter the kernel */
	size_t strange;		 /* lines of no known dialect */
	bool dates_local;	 /* FORMAT_LIST: times need the server's zone added */
	char first_strange[120]; /* for the log; NUL-terminated */
};

/* Parse text[0..n) into *out (initialised, empty).  0, -ENOMEM, -EOVERFLOW, or -EPROTO when nothing
 * but strange lines came: better no answer than an empty directory.  Lines end with CRLF or LF; a
 * last line without an end counts.  Of two entries with one name the first stays.  FORMAT_LIST
 * tries each dialect on the first lines and keeps the one that understands them.  FORMAT_NLST
 * yields files without any attribute; a path prefix before the last '/' is removed. */
int listing_parse(enum listing_format format, const char *text, size_t n, int64_t now,
		  struct listing *out, struct listing_notes *notes);

#endif
