/* powercut_private - what was recorded. */
#ifndef FTPFS_TESTS_POWERCUT_PRIVATE_H
#define FTPFS_TESTS_POWERCUT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPS_MAX = 20000, FILES_MAX = 2000, NAME_SIZE = 64 };

enum kind { NOTE, WRITE, TRUNCATE, SYNC, CREATE, RENAME, UNLINK, SYNC_DIR };

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

struct recording {
	struct op ops[OPS_MAX];
	size_t n;
	int files;
	char dir[4096];
};

extern struct recording powercut;

#endif
