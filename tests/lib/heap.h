/* heap - can what is allocated be measured here? */
#ifndef FTPFS_TESTS_HEAP_H
#define FTPFS_TESTS_HEAP_H

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

/* Is it malloc() of the C library that allocates?  A sanitizer's has its own sizes. */
static inline bool heap_is_counted(void)
{
	enum { PROBE = 100 << 10 };
	size_t before = mallinfo2().uordblks;
	void *volatile probe = malloc(PROBE);
	size_t grown = mallinfo2().uordblks - before;

	free(probe);
	return grown >= PROBE && grown < 2 * PROBE;
}

#endif
