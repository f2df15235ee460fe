/* kill - the process "ends" before a chosen step: from there on nothing has any effect.
 *
 * A step is a call to the server or to the local disk.  The one that is not reached any more
 * happens in part, when it is a write and the dice say so. */
#ifndef FTPFS_TESTS_KILL_H
#define FTPFS_TESTS_KILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opctx.h"
#include "remote_fault.h"

#define KILL_NEVER UINT64_MAX

/* Once in a process, by the thread that plays the application: the disk's calls are steps from now
 * on. */
void kill_setup(void);
/* Alive, for so many steps.  The seed decides what is torn, and how long other threads take. */
void kill_after(uint64_t steps, uint64_t seed);
bool kill_happened(void);
/* The calls of a remote are steps, too. */
void kill_gate(struct fault_plan *p);
/* What ends when the process does. */
struct opctx kill_ctx(void);

#endif
