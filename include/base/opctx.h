/* opctx - what one operation may cost its caller: until when, and whether it was interrupted.
 *
 * Lives on the caller's stack and is handed down through every call that may block.  Any thread may
 * set `*cancelled` and make `cancel_fd` readable; only the owner reads the rest. */
#ifndef FTPFS_BASE_OPCTX_H
#define FTPFS_BASE_OPCTX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define OPCTX_FOREVER INT64_MAX

struct opctx {
	int64_t deadline; /* CLOCK_MONOTONIC ns; OPCTX_FOREVER: only the stall limit of each
			   * network wait applies */
	const atomic_bool *cancelled; /* NULL: cannot be interrupted */
	int cancel_fd;		      /* polled beside the sockets; -1: none */
	bool background; /* looking ahead: may only use a connection that nobody else wants;
			  * -EAGAIN at once when there is none */
	bool lasting;	 /* in the background, but for seconds: leaves a connection free, and a
			  * stream of it ends with -ESTALE as soon as anybody waits for one */
};

/* An opctx that cannot be interrupted and ends after `ns` (or OPCTX_FOREVER). */
struct opctx opctx_for(int64_t ns);

/* 0, -EINTR when interrupted, -ETIMEDOUT when the deadline has passed. */
int opctx_check(const struct opctx *ctx);

#endif
