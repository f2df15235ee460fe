/* fuse/control - what a program may ask of a mount: ioctl(2) on its root directory.  fsync(2) on
 * any directory of a mount waits until the server has all that was promised. */
#ifndef FTPFS_FUSE_CONTROL_H
#define FTPFS_FUSE_CONTROL_H

#include <stdint.h>
#include <sys/ioctl.h>

struct ftpfs_owing {
	uint64_t files;	     /* closed, and not on the server yet */
	int64_t bytes;	     /* of them */
	uint64_t failing;    /* of the files: the last try failed */
	int64_t umount_wait; /* seconds that umount(8) waits at most; 0: no limit */
};

#define FTPFS_IOC_OWING _IOR(0xF7, 1, struct ftpfs_owing)

#endif
