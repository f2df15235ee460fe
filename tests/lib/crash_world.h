/* crash_world - a mount that may be killed (kill.h) beside what was promised to its application.
 *
 * One at a time: a round is one server, one cache directory, some mounts.  The first disagreement
 * ends the program, after telling what was done. */
#ifndef FTPFS_TESTS_CRASH_WORLD_H
#define FTPFS_TESTS_CRASH_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fs.h"
#include "remote_fault.h"
#include "remote_mem.h"

enum {
	CRASH_FILES = 7,
	CRASH_DIRS = 3, /* the root is one */
	CRASH_HANDLES = 3,
	CRASH_STORY = 40,
};

/* The bytes of a file, at some time; lives until the end of the round. */
struct text {
	struct text *next;
	size_t n;
	char bytes[];
};

/* Under each name; NULL: no file. */
struct view {
	const struct text *file[CRASH_FILES];
	bool dir[CRASH_DIRS];
};

struct open_file {
	struct handle *h; /* NULL: free slot */
	struct node *node;
	int file; /* -1: it has lost its name */
};

struct crash_conf {
	bool back;
	bool big; /* some files are large enough to follow their writer */
	enum inplace inplace;
	enum atomicity atomic;
	struct mem_traits traits;
	int64_t compact; /* bytes, of the journal; 0: as ever */
};

struct crash {
	struct crash_conf conf;
	struct mem_server *server;
	struct fault_plan *plan;
	struct journal *journal; /* NULL: the mount failed */
	struct fs *fs;
	struct opctx ctx;
	char cache[64];
	struct text *texts;
	uint64_t dice;
	struct open_file open[CRASH_HANDLES];
	/* What was promised, and what the application sees. */
	struct view now, seen;
	/* The same once the operation that is under way has succeeded. */
	struct view then, shown;
	/* Another content that may be there: until it is promised, or for this operation alone. */
	const struct text *may[CRASH_FILES], *meanwhile[CRASH_FILES];
	/* Where this operation moves a file to; -1: nowhere. */
	int moves[CRASH_FILES];
	char story[CRASH_STORY][80];
	unsigned lines;
	char title[80];
};

uint64_t crash_dice(struct crash *c, uint64_t below);
bool crash_chance(struct crash *c, unsigned percent);
const char *crash_path(int file);
const char *crash_name(int file); /* in its directory */
int crash_dir_of(int file);
void crash_tell(struct crash *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void crash_fail(struct crash *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* At most n bytes of it come from `from`, the rest is zeros. */
struct text *crash_text(struct crash *c, const char *from, size_t n, size_t size);

void crash_begin(struct crash *c, const struct crash_conf *conf, uint64_t seed);
void crash_end(struct crash *c);
/* A mount, and what it recovers; an error (of the server or the disk) leaves no mount. */
int crash_mount(struct crash *c);
void crash_unmount(struct crash *c);
/* After a mount: does it show what was promised? */
void crash_check_mount(struct crash *c);
/* ... and everything is stored: has the server what was promised, and nothing else? */
void crash_check_server(struct crash *c);
/* While it lives: the server has `file` as it was promised. */
void crash_check_stored(struct crash *c, int file);

/* crash_ops.c: one random operation; 0, or an error that only death excuses. */
int crash_step(struct crash *c);
int crash_close_all(struct crash *c);

/* The operation has succeeded. */
void crash_done(struct crash *c);

#endif
