/* powercut - a disk that forgets. */
#include "powercut.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/disk.h"

enum { OPS_MAX = 20000, FILES_MAX = 2000, PENDING_MAX = 500, NAME_SIZE = 64 };

enum kind { NOTE, WRITE, TRUNCATE, SYNC, CREATE, RENAME, UNLINK, SYNC_DIR };
static const char *const kind_names[] = {"note",   "write",  "truncate", "sync",
					 "create", "rename", "unlink",	 "sync_dir"};

struct op {
	enum kind kind;
	bool given;	      /* it was so before */
	int file;	      /* number of the file, in the order of creation */
	int64_t at;	      /* WRITE; size of TRUNCATE; `what` of NOTE */
	size_t n;	      /* WRITE; `which` of NOTE */
	char *bytes;	      /* WRITE */
	char name[NAME_SIZE]; /* CREATE, UNLINK, from of RENAME */
	char to[NAME_SIZE];
};

static struct op ops[OPS_MAX];
static size_t op_count;
static ino_t inodes[FILES_MAX]; /* a number that is used again belongs to the younger file */
static int file_count;
static char recorded_dir[4096];

/* ---- recording ---- */

static struct op *next_op(enum kind kind)
{
	struct op *op = &ops[op_count++];

	if (op_count == OPS_MAX || file_count == FILES_MAX)
		abort();
	*op = (struct op){.kind = kind};
	return op;
}

static int file_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		for (int i = file_count - 1; i >= 0; i--)
			if (inodes[i] == st.st_ino)
				return i;
	abort();
}

static bool name_of(const char *path, char name[NAME_SIZE])
{
	size_t n = strlen(recorded_dir);

	if (strncmp(path, recorded_dir, n) != 0 || path[n] != '/')
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

	op->file = file_count;
	memcpy(op->name, name, NAME_SIZE);
	inodes[file_count++] = st.st_ino;
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
	if (strcmp(path, recorded_dir) == 0)
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
	inodes[file_count] = st.st_ino;
	op = next_op(CREATE);
	op->given = true;
	op->file = file_count;
	snprintf(op->name, NAME_SIZE, "%.63s", name);
	op = next_op(WRITE);
	op->given = true;
	op->file = file_count;
	op->n = (size_t)st.st_size;
	op->bytes = malloc(op->n + 1);
	if (read(fd, op->bytes, op->n) != (ssize_t)op->n)
		abort();
	op = next_op(SYNC);
	op->given = true;
	op->file = file_count++;
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
	snprintf(recorded_dir, sizeof recorded_dir, "%s", dir);
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
	return op_count;
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
	for (size_t i = 0; i < op_count; i++)
		free(ops[i].bytes);
	op_count = 0;
	file_count = 0;
	disk = &disk_real;
}

/* ---- what is on the disk ---- */

struct image {
	char *bytes;
	size_t size;
};

struct name {
	char name[NAME_SIZE];
	int file;
};

struct names {
	struct name v[FILES_MAX];
	size_t n;
};

/* Safe, and in which order the rest came. */
static struct image safe[FILES_MAX];
static struct names safe_names;
static const struct op *pending[PENDING_MAX];
static size_t pending_count;

enum fate { DONE, LOST, FIRST_HALF, SECOND_HALF };

static void resize(struct image *image, size_t size)
{
	if (size > image->size) {
		image->bytes = realloc(image->bytes, size);
		memset(image->bytes + image->size, 0, size - image->size);
	}
	image->size = size;
}

static void apply_data(struct image *image, const struct op *op, enum fate fate)
{
	size_t from = fate == SECOND_HALF ? op->n / 2 : 0;
	size_t to = fate == FIRST_HALF ? op->n / 2 : op->n;

	if (op->kind == TRUNCATE)
		resize(image, (size_t)op->at);
	if (op->kind != WRITE || from >= to)
		return;
	if ((size_t)op->at + to > image->size)
		resize(image, (size_t)op->at + to);
	memcpy(image->bytes + op->at + from, op->bytes + from, to - from);
}

static struct name *find_name(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i].name, name) == 0)
			return &names->v[i];
	return NULL;
}

static void set_name(struct names *names, const char *name, int file)
{
	struct name *found = find_name(names, name);

	if (!found) {
		found = &names->v[names->n++];
		memcpy(found->name, name, NAME_SIZE);
	}
	found->file = file;
}

static void clear_name(struct names *names, const char *name)
{
	struct name *found = find_name(names, name);

	if (found)
		*found = names->v[--names->n];
}

static void apply_name(struct names *names, const struct op *op)
{
	if (op->kind == CREATE)
		set_name(names, op->name, op->file);
	if (op->kind == UNLINK || op->kind == RENAME)
		clear_name(names, op->name);
	if (op->kind == RENAME)
		set_name(names, op->to, op->file);
}

static bool is_name(const struct op *op)
{
	return op->kind == CREATE || op->kind == RENAME || op->kind == UNLINK;
}

/* The pending operations that this sync is about are safe. */
static void make_safe(const struct op *sync)
{
	size_t left = 0;

	for (size_t i = 0; i < pending_count; i++) {
		const struct op *op = pending[i];

		if (sync->kind == SYNC_DIR && is_name(op))
			apply_name(&safe_names, op);
		else if (sync->kind == SYNC && !is_name(op) && op->file == sync->file)
			apply_data(&safe[op->file], op, DONE);
		else
			pending[left++] = op;
	}
	pending_count = left;
}

/* ---- a directory after the cut ---- */

static void empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static void write_out(const char *dir, const char *name, const struct image *image)
{
	char path[5000];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, image->bytes, image->size) != (ssize_t)image->size)
		abort();
	close(fd);
}

static void build(const char *dir, const enum fate *fates)
{
	static struct names names;

	empty(dir);
	names = safe_names;
	for (size_t i = 0; i < pending_count; i++)
		if (is_name(pending[i]) && fates[i] == DONE)
			apply_name(&names, pending[i]);
	for (size_t i = 0; i < names.n; i++) {
		const struct image *was = &safe[names.v[i].file];
		struct image image = {malloc(was->size + 1), was->size};

		memcpy(image.bytes, was->bytes ? was->bytes : "", was->size);
		for (size_t k = 0; k < pending_count; k++)
			if (!is_name(pending[k]) && pending[k]->file == names.v[i].file &&
			    fates[k] != LOST)
				apply_data(&image, pending[k], fates[k]);
		write_out(dir, names.v[i].name, &image);
		free(image.bytes);
	}
}

static char where[200];
static size_t looked;

const char *powercut_where(void)
{
	return where;
}

static void look(const char *dir, const struct powercut_eyes *eyes, size_t moment,
		 const enum fate *fates, const char *what, size_t which)
{
	snprintf(where, sizeof where, "after operation %zu (%s), %zu not synced: %s %zu (%s)",
		 moment, kind_names[ops[moment].kind], pending_count, what, which,
		 which < pending_count ? kind_names[pending[which]->kind] : "-");
	build(dir, fates);
	looked++;
	eyes->look();
}

static void set_all(enum fate *fates, enum fate fate)
{
	for (size_t i = 0; i < pending_count; i++)
		fates[i] = fate;
}

static void look_at_each(const char *dir, const struct powercut_eyes *eyes, size_t moment,
			 enum fate *fates)
{
	for (size_t i = 0; i < pending_count; i++) {
		set_all(fates, DONE);
		fates[i] = LOST;
		look(dir, eyes, moment, fates, "lost", i);
		set_all(fates, LOST);
		fates[i] = DONE;
		look(dir, eyes, moment, fates, "alone", i);
		set_all(fates, DONE);
		if (pending[i]->kind != WRITE)
			continue;
		fates[i] = FIRST_HALF;
		look(dir, eyes, moment, fates, "first half", i);
		fates[i] = SECOND_HALF;
		look(dir, eyes, moment, fates, "second half", i);
	}
}

static void look_at_all(const char *dir, const struct powercut_eyes *eyes, size_t moment, int dice,
			unsigned *seed)
{
	enum fate fates[PENDING_MAX];

	set_all(fates, DONE);
	look(dir, eyes, moment, fates, "all done", pending_count);
	if (!pending_count)
		return;
	set_all(fates, LOST);
	look(dir, eyes, moment, fates, "all lost", pending_count);
	look_at_each(dir, eyes, moment, fates);
	for (int i = 0; i < dice; i++) {
		for (size_t k = 0; k < pending_count; k++)
			fates[k] = (enum fate)(rand_r(seed) % 5 % 4);
		look(dir, eyes, moment, fates, "dice", pending_count);
	}
}

/* RENAME names no file: whatever has the name then. */
static void know_file(struct op *op)
{
	static struct names now;
	struct name *found;

	if (op == ops)
		now.n = 0;
	if (op->kind == RENAME && (found = find_name(&now, op->name)))
		op->file = found->file;
	apply_name(&now, op);
}

/* Operation i is done. */
static void advance(size_t i, const struct powercut_eyes *eyes)
{
	know_file(&ops[i]);
	if (ops[i].kind == NOTE)
		eyes->noted((int)ops[i].at, ops[i].n);
	else if (ops[i].kind == SYNC || ops[i].kind == SYNC_DIR)
		make_safe(&ops[i]);
	else if (pending_count < PENDING_MAX)
		pending[pending_count++] = &ops[i];
	else
		abort();
}

static void forget_disk(void)
{
	for (int i = 0; i < file_count; i++)
		free(safe[i].bytes);
	memset(safe, 0, sizeof safe);
	safe_names.n = pending_count = 0;
}

size_t powercut_replay(const char *dir, const struct powercut_eyes *eyes, int dice, unsigned seed)
{
	looked = 0;
	for (size_t i = 0; i < op_count; i++) {
		advance(i, eyes);
		if (ops[i].kind != NOTE && !ops[i].given)
			look_at_all(dir, eyes, i, dice, &seed);
	}
	empty(dir);
	forget_disk();
	return looked;
}

void powercut_strike(const struct powercut_eyes *eyes, unsigned seed)
{
	enum fate fates[PENDING_MAX];
	size_t given = 0, moment;

	while (given < op_count && ops[given].given)
		given++;
	moment = given + (size_t)rand_r(&seed) % (op_count - given);
	for (size_t i = 0; i <= moment; i++)
		advance(i, eyes);
	for (size_t k = 0; k < pending_count; k++)
		fates[k] = (enum fate)(rand_r(&seed) % 5 % 4);
	build(recorded_dir, fates);
	forget_disk();
}
