/* fs/disk - what the spool and the journal do to the local disk. */
#include "fs/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

static ssize_t real_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	ssize_t got = pwrite(fd, from, n, at);

	return got < 0 ? -errno : got;
}

static int real_ftruncate(int fd, int64_t size)
{
	return ftruncate(fd, size) < 0 ? -errno : 0;
}

static int real_fdatasync(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int real_rename(const char *from, const char *to)
{
	return rename(from, to) < 0 ? -errno : 0;
}

static int real_unlink(const char *path)
{
	return unlink(path) < 0 ? -errno : 0;
}

static int real_fsync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

const struct disk_ops disk_real = {
	.create = real_create,
	.pwrite = real_pwrite,
	.ftruncate = real_ftruncate,
	.fdatasync = real_fdatasync,
	.rename = real_rename,
	.unlink = real_unlink,
	.fsync_dir = real_fsync_dir,
};
const struct disk_ops *disk = &disk_real;

size_t disk_write(int fd, const void *from, size_t n, int64_t at, int *error)
{
	size_t done = 0;

	*error = 0;
	while (done < n) {
		ssize_t got = disk->pwrite(fd, (const char *)from + done, n - done,
					   at + (int64_t)done);

		if (got == -EINTR)
			continue;
		if (got <= 0) {
			*error = got < 0 ? (int)got : -EIO;
			break;
		}
		done += (size_t)got;
	}
	return done;
}

int disk_open(const char *path, int64_t *size)
{
	/* A FIFO in its place must not stop us. */
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EIO;
	}
	*size = st.st_size;
	return fd;
}

ssize_t disk_read(int fd, void *to, size_t n, int64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (char *)to + done, n - done, at + (int64_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int disk_reserve(int fd, int64_t at, int64_t n)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, at, n) < 0 ? -errno : 0;
}
