/* fs/pace - how many streams of one file are worth having, found out by trying.
 *
 *     ALONE -> RUN_IN -> SETTLE -> TRIAL -> STEADY
 *
 * One stream that is always waited for, slow, and no longer getting faster is held back by
 * something: by losses or a window, which each further stream has of its own, or by the link, which
 * they would have to share.  Only trying tells: four streams, and then all there may be, each kept
 * when it won a quarter of what the added ones could win; and what did not pay is left alone for a
 * while.  (Two against one would be a gentler trial, but the rate of a single stream that loses
 * packets is not known to better than a third within a second or two.)
 *
 * A stream that moves PACE_SLOW a second is left alone in any case: it gains nothing that is worth
 * its own cut and restart.
 *
 * Where bytes stand in line on the way nothing is tried: it would only make the line longer.
 *
 * Values in, a number out: no clock, no lock. */
#ifndef FTPFS_FS_PACE_H
#define FTPFS_FS_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PACE_SLOW = 3 << 20 /* bytes a second */ };

/* Running totals. */
struct progress {
	int64_t at;	  /* monotonic ns */
	int64_t bytes;	  /* came, by all streams */
	int64_t waited;	  /* ns that the reader spent waiting for them */
	unsigned streams; /* open now */
	bool full;	  /* the link is, as the reader's stream sees it */
};

struct pace {
	enum pace_state { PACE_ALONE, PACE_RUN_IN, PACE_SETTLE, PACE_TRIAL, PACE_STEADY } state;
	unsigned target; /* streams there should be */
	unsigned kept;	 /* ... that have paid */
	unsigned most;
	int64_t rate;	    /* bytes a second, with `kept` of them; 0: not known */
	int64_t not_before; /* monotonic ns: the next trial */
	int64_t pause;	    /* after the next trial that does not pay */
	struct progress mark;
};

/* One stream, and never more than `most`. */
void pace_begin(struct pace *p, unsigned most);
/* The reader went elsewhere: one stream again, and what a trial has taught is remembered. */
void pace_restart(struct pace *p);
/* No trial for a while. */
void pace_hold(struct pace *p, int64_t now);
/* Is `full` of any interest to the next pace_tell()? */
bool pace_looks(const struct pace *p, int64_t now);
/* Returns the target. */
unsigned pace_tell(struct pace *p, const struct progress *now);

#endif
