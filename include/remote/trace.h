/* remote/trace - one debug line per remote operation: name, paths, result, time. */
#ifndef FTPFS_REMOTE_TRACE_H
#define FTPFS_REMOTE_TRACE_H

#include "remote.h"

/* Takes ownership of `inner`; NULL when out of memory (inner stays the caller's). */
struct remote *trace_create(struct remote *inner);

#endif
