/* memory - what was needed for a moment goes back to the system. */
#ifndef FTPFS_BASE_MEMORY_H
#define FTPFS_BASE_MEMORY_H

#include <stddef.h>

/* Once, before threads begin. */
void memory_setup(void);

/* About so many bytes have just been freed.  When they are many, free pages leave the process: the
 * allocator by itself keeps them for a next time that may never come, in an arena for each thread.
 * No lock is held. */
enum { MEMORY_MANY = 256 << 10 };
void memory_freed(size_t bytes);

#endif
