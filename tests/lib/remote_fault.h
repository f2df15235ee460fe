/* remote_fault - a remote that spoils another one: faults enter by the front door.
 *
 * The plan and the remote are two objects: a test keeps the plan, arms it and counts, while a
 * filesystem owns the remote.  A plan is used by any thread; one mutex inside, a leaf. */
#ifndef FTPFS_TESTS_REMOTE_FAULT_H
#define FTPFS_TESTS_REMOTE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "remote.h"

enum fault_op {
	FAULT_LIST,
	FAULT_STAT,
	FAULT_STAT_MANY,
	FAULT_OPEN_READ,
	FAULT_OPEN_WRITE,
	FAULT_CAN_PATCH,
	FAULT_MKDIR,
	FAULT_RMDIR,
	FAULT_REMOVE,
	FAULT_RENAME,
	FAULT_SET_MTIME,
	FAULT_SET_MODE,
	FAULT_SYMLINK,
	FAULT_READLINK,
	FAULT_COPY,
	FAULT_SPACE,
	FAULT_SETTLE,
	FAULT_READ, /* of a stream, as the next two */
	FAULT_WRITE,
	FAULT_FINISH,
	FAULT_OPS
};

enum fault_kind {
	FAULT_BEFORE,  /* the error, and nothing was carried out */
	FAULT_AFTER,   /* carried out, and the reply was lost */
	FAULT_SHORT,   /* READ: fewer bytes than there are */
	FAULT_STALE,   /* READ: -ESTALE; the connection was taken away */
	FAULT_DIE,     /* READ, WRITE: a part moves, then the error */
	FAULT_NOSPACE, /* WRITE: a part moves, then -ENOSPC */
	FAULT_DELAY,   /* takes FAULT_DELAY_NS longer */
	FAULT_KINDS
};

enum { FAULT_RULES_MAX = 128, FAULT_DELAY_NS = 1000000, FAULT_ALWAYS = 1000000 };

struct fault_plan;

struct fault_plan *fault_plan_create(uint64_t seed);
void fault_plan_destroy(struct fault_plan *p);

/* Spoil `count` calls of op, from the nth one from now on (1: the next).  error is a -errno. */
void fault_nth(struct fault_plan *p, enum fault_op op, enum fault_kind kind, int error,
	       uint64_t nth, uint64_t count);
/* Spoil that many of a million calls of op. */
void fault_rate(struct fault_plan *p, enum fault_op op, enum fault_kind kind, int error,
		unsigned per_million);
void fault_clear(struct fault_plan *p);		 /* forget all of that; counts stay */
void fault_pause(struct fault_plan *p, bool on); /* nothing is spoilt meanwhile */
/* The chances from here on follow from seed alone, whatever was asked before. */
void fault_reseed(struct fault_plan *p, uint64_t seed);
/* Nothing is carried out whose reply is then lost, meanwhile (AFTER). */
void fault_spare_after(struct fault_plan *p, bool on);

/* Call fn once, in the middle of the next call of op: in its thread, without any lock.  NULL: not
 * any more. */
void fault_meanwhile(struct fault_plan *p, enum fault_op op, void (*fn)(void *arg), void *arg);

/* From now on `gate` is asked before each call, in its thread, without any lock.  FAULT_KINDS: it
 * happens; else what becomes of it, and the error is -ECONNRESET. */
void fault_gate(struct fault_plan *p, enum fault_kind (*gate)(void *arg, enum fault_op op),
		void *arg);

uint64_t fault_calls(struct fault_plan *p, enum fault_op op);	/* asked of us */
uint64_t fault_carried(struct fault_plan *p, enum fault_op op); /* passed on to the inner remote */
uint64_t fault_injected(struct fault_plan *p, enum fault_kind kind);
uint64_t fault_total(struct fault_plan *p); /* injected, all kinds that show as an error */
const char *fault_kind_name(enum fault_kind kind);

/* Takes ownership of inner, not of the plan. */
struct remote *remote_fault_create(struct remote *inner, struct fault_plan *plan);

#endif
