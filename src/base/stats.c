/* stats - named atomic counters. */
#include "base/stats.h"

#include <stddef.h>

static _Atomic int64_t counters[STAT_COUNT];

static const char *const names[STAT_COUNT] = {
	[STAT_LOGINS] = "logins",
	[STAT_COMMANDS] = "commands",
	[STAT_FLIGHTS] = "flights",
	[STAT_DATA_CONNECTIONS] = "data_connections",
	[STAT_HOT_USED] = "hot_used",
	[STAT_CALLS] = "calls",
	[STAT_CALLS_MISSED] = "calls_missed",
	[STAT_CUTS] = "cuts",
	[STAT_BYTES_IN] = "bytes_in",
	[STAT_BYTES_OUT] = "bytes_out",
	[STAT_RETRIES] = "retries",
	[STAT_LISTS] = "lists",
	[STAT_PREFETCH_LISTS] = "prefetch_lists",
	[STAT_PREFETCH_FILES] = "prefetch_files",
	[STAT_PREFETCH_BYTES] = "prefetch_bytes",
	[STAT_PREFETCH_HITS] = "prefetch_hits",
	[STAT_PREFETCH_WASTE] = "prefetch_waste",
	[STAT_SEGMENTS] = "segments",
};

void stats_add(enum stat_id id, int64_t n)
{
	atomic_fetch_add_explicit(&counters[id], n, memory_order_relaxed);
}

int64_t stats_get(enum stat_id id)
{
	return atomic_load_explicit(&counters[id], memory_order_relaxed);
}

const char *stats_name(enum stat_id id)
{
	return names[id];
}

void stats_describe(struct buf *out)
{
	for (int id = 0; id < STAT_COUNT; id++)
		buf_addf(out, "%s %lld\n", names[id], (long long)stats_get((enum stat_id)id));
}
