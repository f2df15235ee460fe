/* stats - named atomic counters for tests, the log and the status.  Any thread, no lock. */
#ifndef FTPFS_BASE_STATS_H
#define FTPFS_BASE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

enum stat_id {
	STAT_LOGINS,	       /* control connections opened and logged in */
	STAT_COMMANDS,	       /* FTP commands sent after login */
	STAT_FLIGHTS,	       /* waits for the first reply to a flight of commands */
	STAT_DATA_CONNECTIONS, /* data connections opened */
	STAT_HOT_USED,	       /* transfers that found their data connection open */
	STAT_CALLS,	       /* data connections that the server opened */
	STAT_CALLS_MISSED,     /* ... that it was asked for and that did not come */
	STAT_CUTS,	       /* RETRs ended before their end */
	STAT_BYTES_IN,	       /* data bytes received */
	STAT_BYTES_OUT,	       /* data bytes sent */
	STAT_RETRIES,	       /* operations repeated after a lost connection */
	STAT_LISTS,	       /* directory listings fetched */
	STAT_PREFETCH_LISTS,   /* ... of which ahead of anybody's asking */
	STAT_PREFETCH_FILES,   /* files fetched ahead */
	STAT_PREFETCH_BYTES,   /* bytes of them */
	STAT_PREFETCH_HITS,    /* files or listings fetched ahead and then asked for */
	STAT_PREFETCH_WASTE,   /* bytes fetched ahead and thrown away unread */
	STAT_SEGMENTS,	       /* pieces of big files fetched beside their reader's stream */
	STAT_COUNT
};

void stats_add(enum stat_id id, int64_t n);
int64_t stats_get(enum stat_id id);
const char *stats_name(enum stat_id id);
void stats_describe(struct buf *out); /* "name value\n" lines */

#endif
