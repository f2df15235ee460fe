/* remote_fault_plan - what remote_fault asks of its plan. */
#ifndef FTPFS_TESTS_REMOTE_FAULT_PLAN_H
#define FTPFS_TESTS_REMOTE_FAULT_PLAN_H

#include "remote_fault.h"

struct verdict {
	enum fault_kind kind; /* FAULT_KINDS: nothing happens */
	int error;
};

/* Counts the call, and takes its time when it is to be late. */
struct verdict fault_judge(struct fault_plan *p, enum fault_op op);
void fault_count_carried(struct fault_plan *p, enum fault_op op);
uint64_t fault_random(struct fault_plan *p);

#endif
