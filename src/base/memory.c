/* memory - what was needed for a moment goes back to the system. */
#include "base/memory.h"

#include <malloc.h>

void memory_freed(size_t bytes)
{
	if (bytes >= MEMORY_MANY)
		malloc_trim(0);
}
