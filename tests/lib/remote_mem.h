/* remote_mem - a struct remote over a tree in memory: a server without a network, for tests.
 *
 * The server and the remotes that speak to it are two objects: a test keeps the server, and looks
 * into it or changes it behind everybody's back, while a filesystem owns (and destroys) a remote.
 * Everything may be called from any thread; one mutex inside, a leaf. */
#ifndef FTPFS_TESTS_REMOTE_MEM_H
#define FTPFS_TESTS_REMOTE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entry.h"
#include "remote.h"

/* What this server cannot do.  All false: the best of servers, except that it cannot set the time
 * of a directory (hardly any can). */
struct mem_traits {
	bool no_stat;	   /* stat: -EOPNOTSUPP */
	bool coarse_times; /* list: to the minute, mtime_slack says so */
	bool no_modes;	   /* none shown, set_mode: -EOPNOTSUPP */
	bool no_append;	   /* WRITE_APPEND: -EOPNOTSUPP */
	bool no_patch;	   /* WRITE_PATCH: -EOPNOTSUPP */
	bool no_set_mtime; /* -EOPNOTSUPP for files too */
	bool untold;	   /* whether modes and times can be set is not known before it is tried */
	bool no_rename_over; /* rename onto an existing name: -EEXIST, whatever was asked */
	bool sloppy;  /* DELE takes empty directories, RMD files, and MKD says yes to what exists */
	bool no_copy; /* -EOPNOTSUPP */
	bool no_symlink;     /* -EOPNOTSUPP */
	bool settles_behind; /* stream_finish() settles, too */
	enum hash_kind hash; /* can be asked for; HASH_NONE: none */
	bool hash_refused;   /* ... or so it says, and then does not tell */
	int64_t round_trip;  /* what it is said to be, ns; nothing takes so long */
};

struct mem_server;

struct mem_server *mem_server_create(const struct mem_traits *traits);
/* After every remote to it is destroyed. */
void mem_server_destroy(struct mem_server *m);
/* A remote that speaks to it; destroying it leaves the server alone. */
struct remote *remote_mem_create(struct mem_server *m);

/* Behind the filesystem's back.  0 or -errno. */
int mem_stat(struct mem_server *m, const char *path, struct entry *out); /* entry_clear() it */
/* The bytes of a file: *out is malloc()ed, never NULL on success. */
int mem_get(struct mem_server *m, const char *path, char **out, size_t *n);
/* Is it a file with exactly these bytes? */
bool mem_is(struct mem_server *m, const char *path, const void *bytes, size_t n);
/* Create or replace a file; its time becomes now. */
int mem_put(struct mem_server *m, const char *path, const void *bytes, size_t n);
int mem_make_dir(struct mem_server *m, const char *path);
/* The next n uploads that are finished have a wrong byte in their middle. */
void mem_corrupt(struct mem_server *m, unsigned n);
/* How often was a hash asked for? */
unsigned mem_hashes_asked(struct mem_server *m);
/* Downloads that are not closed. */
unsigned mem_reads_open(struct mem_server *m);
/* What was learned of modes and times is forgotten, as by a new mount.  `refuse`: it could set
 * them, and cannot any more; can_set() says that it can until it is tried. */
void mem_forget_attrs(struct mem_server *m, bool refuse);
int mem_remove(struct mem_server *m, const char *path); /* a file, a link, or an empty directory */
/* Calls `each` for every name below `path`, parents first, without the server's lock. */
void mem_walk(struct mem_server *m, const char *path,
	      void (*each)(void *arg, const char *path, const struct entry *e), void *arg);
unsigned mem_count(struct mem_server *m); /* names that it would call it for, below "/" */

#endif
