/* fs/disk - what the spool and the journal do to the local disk, so that a test can stand between:
 * it writes down the order of these calls and plays a power cut after each of them.
 *
 * Everything is 0 (or a count, a descriptor) or -errno.  What is written is safe against a power
 * cut after fdatasync(), names (of create, rename and unlink) after fsync_dir(). */
#ifndef FTPFS_FS_DISK_H
#define FTPFS_FS_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_ops {
	int (*create)(const char *path); /* new, 0600, to read and write; -EEXIST */
	ssize_t (*pwrite)(int fd, const void *from, size_t n, int64_t at);
	int (*ftruncate)(int fd, int64_t size);
	int (*fdatasync)(int fd);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*fsync_dir)(const char *path);
};

extern const struct disk_ops disk_real;
/* disk_real, until a test puts its own here before any thread begins. */
extern const struct disk_ops *disk;

/* Count of bytes written, which is n unless *error is set. */
size_t disk_write(int fd, const void *from, size_t n, int64_t at, int *error);
/* An existing regular file, to read and write; a descriptor or -errno; *size is its length. */
int disk_open(const char *path, int64_t *size);
/* Count of bytes read, less than n only at the end of the file, or -errno. */
ssize_t disk_read(int fd, void *to, size_t n, int64_t at);

/* Room for n bytes at `at`, also behind the end of the file, whose content and length stay.  Not
 * every filesystem can. */
int disk_reserve(int fd, int64_t at, int64_t n);

#endif
