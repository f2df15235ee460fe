/* ftpdrive - a program for tests that drives ftp/remote_ftp from a script; see ftpdrive.c. */
#ifndef FTPFS_TESTS_DRIVE_H
#define FTPFS_TESTS_DRIVE_H

#include <pthread.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/lock.h"
#include "base/opctx.h"
#include "remote.h"

enum { STREAMS_MAX = 16, THREADS_MAX = 64 };

struct drive {
	struct remote *remote;
	struct mutex mutex;		     /* stdout: one answer at a time */
	struct stream *streams[STREAMS_MAX]; /* each used by one operation at a time */
	pthread_t threads[THREADS_MAX];
	size_t nthreads;
};

struct job {
	struct drive *drive;
	char *line;
	char **words;
	int argc; /* the operation's arguments, not counting its name */
	char **argv;
	const char *tag;
	struct opctx ctx;
	struct buf out;
};

struct op {
	const char *name;
	int argc;		   /* at least */
	int (*run)(struct job *j); /* 0 or -errno; adds to the answer */
};

/* NULL when there is none of that name. */
const struct op *find_op(const char *name);
/* `, "key": "text"` */
void add_field(struct buf *out, const char *key, const char *text);

#endif
