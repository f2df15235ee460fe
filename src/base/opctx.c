/* opctx - what one operation may cost its caller. */
#include "base/opctx.h"

#include <errno.h>
#include <stddef.h>

#include "base/clock.h"

struct opctx opctx_for(int64_t ns)
{
	struct opctx ctx = {.deadline = OPCTX_FOREVER, .cancel_fd = -1};

	if (ns != OPCTX_FOREVER && __builtin_add_overflow(clock_monotonic(), ns, &ctx.deadline))
		ctx.deadline = OPCTX_FOREVER;
	return ctx;
}

int opctx_check(const struct opctx *ctx)
{
	if (ctx->cancelled && atomic_load(ctx->cancelled))
		return -EINTR;
	if (ctx->deadline != OPCTX_FOREVER && clock_monotonic() >= ctx->deadline)
		return -ETIMEDOUT;
	return 0;
}
