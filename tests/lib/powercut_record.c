/* powercut_record - what fs/disk is asked to do, written down. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/disk.h"
#include "powercut.h"
#include "powercut_private.h"

struct recording powercut;
static ino_t inodes[FILES_MAX]; /* a number that is used again belongs to the younger file */

static struct op *next_op(enum kind kind)
{
	struct op *op = &powercut.ops[powercut.n++];

	if (powercut.n == OPS_MAX || powercut.files == FILES_MAX)
		abort();
	*op = (struct op){.kind = kind};
	return op;
}

static int file_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		for (int i = powercut.files - 1; i >= 0; i--)
			if (inodes[i] == st.st_ino)
				return i;
	abort();
}

static bool name_of(const char *path, char name[NAME_SIZE])
{
	size_t n = strlen(powercut.dir);

	if (strncmp(path, powercut.dir, n) != 0 || path[n] != '/')
		return false;
	snprintf(name, NAME_SIZE, "%s", path + n + 1);
	return true;
}

static int note_create(const char *path)
{
	int fd = disk_real.create(path);
	struct stat st;
	char name[NAME_SIZE];

	if (fd < 0 || !name_of(path, name) || fstat(fd, &st) < 0)
		return fd;
	struct op *op = next_op(CREATE);

	op->file = powercut.files;
	memcpy(op->name, name, NAME_SIZE);
	inodes[powercut.files++] = st.st_ino;
	return fd;
}

static ssize_t note_pwrite(int fd, const void *from, size_t n, int64_t at)
{
	ssize_t got = disk_real.pwrite(fd, from, n, at);

	if (got > 0) {
		struct op *op = next_op(WRITE);

		op->file = file_of(fd);
		op->at = at;
		op->n = (size_t)got;
		op->bytes = malloc(op->n);
		memcpy(op->bytes, from, op->n);
	}
	return got;
}

static int note_ftruncate(int fd, int64_t size)
{
	int rc = disk_real.ftruncate(fd, size);

	if (rc == 0) {
		struct op *op = next_op(TRUNCATE);

		op->file = file_of(fd);
		op->at = size;
	}
	return rc;
}

static int note_fdatasync(int fd)
{
	int file = file_of(fd);

	next_op(SYNC)->file = file;
	return 0;
}

static int note_rename(const char *from, const char *to)
{
	int rc = disk_real.rename(from, to);

	if (rc == 0) {
		struct op *op = next_op(RENAME);

		if (!name_of(from, op->name) || !name_of(to, op->to))
			abort();
	}
	return rc;
}

static int note_unlink(const char *path)
{
	int rc = disk_real.unlink(path);

	if (rc == 0 && !name_of(path, next_op(UNLINK)->name))
		abort();
	return rc;
}

static int note_fsync_dir(const char *path)
{
	if (strcmp(path, powercut.dir) == 0)
		next_op(SYNC_DIR);
	return 0;
}

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static int no_fsync_dir(const char *path)
{
	(void)path;
	return 0;
}

static const struct disk_ops recording = {note_create, note_pwrite, note_ftruncate, note_fdatasync,
					  note_rename, note_unlink, note_fsync_dir};
static struct disk_ops unsynced;

/* A file that is there already, as if it had been written and synced now. */
static void note_given(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW);
	struct stat st;
	struct op *op;

	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	inodes[powercut.files] = st.st_ino;
	op = next_op(CREATE);
	op->given = true;
	op->file = powercut.files;
	snprintf(op->name, NAME_SIZE, "%.63s", name);
	op = next_op(WRITE);
	op->given = true;
	op->file = powercut.files;
	op->n = (size_t)st.st_size;
	op->bytes = malloc(op->n + 1);
	if (read(fd, op->bytes, op->n) != (ssize_t)op->n)
		abort();
	op = next_op(SYNC);
	op->given = true;
	op->file = powercut.files++;
	close(fd);
}

void powercut_record(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_REG && strcmp(e->d_name, "lock") != 0)
			note_given(dirfd(d), e->d_name);
	if (d)
		closedir(d);
	next_op(SYNC_DIR)->given = true;
	snprintf(powercut.dir, sizeof powercut.dir, "%s", dir);
	disk = &recording;
}

void powercut_note(int what, size_t which)
{
	struct op *op = next_op(NOTE);

	op->at = what;
	op->n = which;
}

size_t powercut_operations(void)
{
	return powercut.n;
}

void powercut_stop(void)
{
	unsynced = disk_real;
	unsynced.fdatasync = no_sync;
	unsynced.fsync_dir = no_fsync_dir;
	disk = &unsynced;
}

void powercut_forget(void)
{
	for (size_t i = 0; i < powercut.n; i++)
		free(powercut.ops[i].bytes);
	powercut.n = 0;
	powercut.files = 0;
	disk = &disk_real;
}
