/* memory - what was needed for a moment goes back to the system. */
#include "base/memory.h"

#include <malloc.h>

/* What one thread needs for a read or a small listing stays with it.  Left alone, the allocator
 * raises both bounds with every big piece that is freed, until each thread keeps up to 64 MiB. */
enum { KEPT_MAX = 4 << 20, PIECE_MAX = 2 << 20 };

void memory_setup(void)
{
	mallopt(M_TRIM_THRESHOLD, KEPT_MAX);
	mallopt(M_MMAP_THRESHOLD, PIECE_MAX);
}

void memory_freed(size_t bytes)
{
	if (bytes >= MEMORY_MANY)
		malloc_trim(0);
}
