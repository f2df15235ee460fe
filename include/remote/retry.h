/* remote/retry - repeats what a lost connection interrupted, where repeating is right.
 *
 * Idempotent operations (list, stat, stat_many, open_read, set_mtime, set_mode, readlink, space,
 * settle) are repeated with a growing pause until they succeed or the deadline in ctx (or, without
 * one, patience_ns after the first loss) has passed.  mkdir, rmdir, remove and rename are repeated
 * too, but a lost reply leaves open whether the first try was carried out: an answer "already so"
 * to a later try (EEXIST to mkdir, ENOENT to remove and rmdir; for rename: source gone and target
 * there) counts as success, and only after a loss.  Write streams are never repeated here: commit
 * has the bytes and decides. */
#ifndef FTPFS_REMOTE_RETRY_H
#define FTPFS_REMOTE_RETRY_H

#include <stdint.h>

#include "remote.h"

/* Takes ownership of `inner`; NULL when out of memory (inner stays the caller's). */
struct remote *retry_create(struct remote *inner, int64_t patience_ns);

#endif
