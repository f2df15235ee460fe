/* startup - what happens around the mount: its two directories, and the way into the background. */
#ifndef FTPFS_STARTUP_H
#define FTPFS_STARTUP_H

#include <stdbool.h>

#include "options.h"

/* Can something be mounted there?  EXIT_OK and the absolute path in *out (allocated), or
 * EXIT_MOUNTPOINT after one line in the log.  Asks before anything is asked of the server. */
int startup_mountpoint(const char *path, char **out);

/* Make the private directory for written files, if it is missing; cache_dir may be NULL.  EXIT_OK
 * and its absolute path in *out (allocated), or EXIT_USAGE after one line in the log. */
int startup_cache_dir(const char *cache_dir, char **out);

/* As many descriptors as the system lets us have: each file being written keeps one. */
void startup_raise_limits(void);

/* The way into the background.  Forks before any thread exists; the child sets everything up, with
 * the terminal still its own, and the parent ends with the exit code that the child reports. */
struct background {
	int report; /* write end; -1: in the foreground, or reported */
};
/* In the child (and with foreground set): true.  In the parent: false, and *code is what to end
 * with. */
bool background_enter(struct background *b, bool foreground, int *code);
/* The mount stands: leave the terminal and the parent, log to syslog from now on. */
void background_ready(struct background *b);
/* It does not: the parent ends with code too. */
void background_failed(struct background *b, int code);

/* Have umount(8) call our helper (sync.h).  Run by root it looks at the filesystem's magic number
 * only, which says "fuse" and not whose, unless its own table names a helper for this mount. */
void startup_announce_helper(const char *source, const char *mountpoint);

#endif
