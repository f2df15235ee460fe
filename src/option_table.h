/* option_table - private to options: what is known while argv is read. */
#ifndef FTPFS_OPTION_TABLE_H
#define FTPFS_OPTION_TABLE_H

#include <limits.h>
#include <sys/types.h>

#include "options.h"

#define NOT_SET UINT_MAX

/* `o` leaves; the rest is turned into fields of it, or freed. */
struct parse {
	struct options o;
	char *url;	   /* as typed */
	char *credentials; /* path */
	bool password_stdin;
	/* which of the option's words, or NOT_SET */
	unsigned tls, chown, log, prefetch_off;
	unsigned active;  /* enum active_mode */
	unsigned inplace; /* enum inplace */
	unsigned atomic;  /* enum atomicity */
	unsigned write;	  /* 1: back */
	unsigned verify;  /* 1: hash */
	unsigned xattr;	  /* 1: on */
	int64_t prefetch_size;
	mode_t umask; /* or NOT_SET */
	uid_t uid;
	gid_t gid;
	char *fuse_opts; /* libfuse's own: comma-separated, escaped; NULL: none */
};

/* Fill *p, which has its defaults.  EXIT_OK, or another exit code after one line in the log. */
int option_table_read(struct parse *p, int argc, char **argv);

/* Log one line; EXIT_USAGE and EXIT_INTERNAL. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int no_memory(void);

#endif
