/* clock - the two clocks of the program, replaceable by tests. */
#ifndef FTPFS_BASE_CLOCK_H
#define FTPFS_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t clock_monotonic(void); /* ns; for ages and deadlines */
int64_t clock_realtime(void);  /* ns since the epoch, UTC; for file times */

/* Move both clocks forward by `ns` (tests only: ages pass without sleeping).  Any thread. */
void clock_advance(int64_t ns);

#endif
