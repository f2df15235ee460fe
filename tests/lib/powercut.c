/* powercut - a disk that forgets: what a power cut leaves of what was recorded. */
#include "powercut.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "powercut_private.h"

enum { PENDING_MAX = 500 };

static const char *const kind_names[] = {"note",   "write",  "truncate", "sync",
					 "create", "rename", "unlink",	 "sync_dir"};

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
		 moment, kind_names[powercut.ops[moment].kind], pending_count, what, which,
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

	if (op == powercut.ops)
		now.n = 0;
	if (op->kind == RENAME && (found = find_name(&now, op->name)))
		op->file = found->file;
	apply_name(&now, op);
}

/* Operation i is done. */
static void advance(size_t i, const struct powercut_eyes *eyes)
{
	know_file(&powercut.ops[i]);
	if (powercut.ops[i].kind == NOTE)
		eyes->noted((int)powercut.ops[i].at, powercut.ops[i].n);
	else if (powercut.ops[i].kind == SYNC || powercut.ops[i].kind == SYNC_DIR)
		make_safe(&powercut.ops[i]);
	else if (pending_count < PENDING_MAX)
		pending[pending_count++] = &powercut.ops[i];
	else
		abort();
}

static void forget_disk(void)
{
	for (int i = 0; i < powercut.files; i++)
		free(safe[i].bytes);
	memset(safe, 0, sizeof safe);
	safe_names.n = pending_count = 0;
}

size_t powercut_replay(const char *dir, const struct powercut_eyes *eyes, int dice, unsigned seed)
{
	looked = 0;
	for (size_t i = 0; i < powercut.n; i++) {
		advance(i, eyes);
		if (powercut.ops[i].kind != NOTE && !powercut.ops[i].given)
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

	while (given < powercut.n && powercut.ops[given].given)
		given++;
	moment = given + (size_t)rand_r(&seed) % (powercut.n - given);
	for (size_t i = 0; i <= moment; i++)
		advance(i, eyes);
	for (size_t k = 0; k < pending_count; k++)
		fates[k] = (enum fate)(rand_r(&seed) % 5 % 4);
	build(powercut.dir, fates);
	forget_disk();
}
