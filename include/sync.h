/* sync - `ftpfs --sync MOUNTPOINT`, and what umount(8) calls for a mount of ours.
 *
 * Both wait until the server has everything that was written, with a line of progress where stderr
 * is a terminal.  Exit codes are those of options.h; EXIT_NOT_STORED: the server has not got
 * everything, and one line says how much is missing and where it is. */
#ifndef FTPFS_SYNC_H
#define FTPFS_SYNC_H

#include <stdbool.h>

int sync_mount(const char *mountpoint);

/* Was this program called as umount.fuse.ftpfs (by umount(8), with the mount point and umount's own
 * flags)? */
bool sync_is_umount(const char *argv0);
/* Waits as above, for umount_wait seconds at most, then has umount(8) do its part.  Unmounts also
 * when something is missing: it stays promised. */
int sync_umount(int argc, char **argv);

#endif
