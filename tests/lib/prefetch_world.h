/* prefetch_world - a server, a tree over it and the threads that look ahead, for tests of those. */
#ifndef FTPFS_TESTS_PREFETCH_WORLD_H
#define FTPFS_TESTS_PREFETCH_WORLD_H

#include "../../src/fs/prefetch_private.h"
#include "remote_mem.h"

enum { THREADS = 6 };

/* A remote with a gate before the server: what comes from looking ahead is counted, and waits while
 * the gate is shut. */
struct gate {
	struct remote remote;
	struct remote *inner;
	atomic_bool shut;
	atomic_uint busy; /* so many requests find no connection */
	atomic_uint lists, fetches, waiting;
	const char *refused; /* listing it is -EACCES */
};

struct world {
	struct mem_server *server;
	struct gate gate;
	struct tree tree;
	struct dircache dircache;
	struct prefetch *p;
	int64_t waste, fetched, files, hits; /* counters when it began */
	int64_t read_bytes;
	int64_t claimed_bytes; /* of files that had been fetched ahead, each fetch once */
	unsigned from_server;  /* files that the user had to fetch */
};

void ahead_begin(struct world *w, int64_t bytes);
void ahead_end(struct world *w);
int64_t ahead_wasted(const struct world *w);
int64_t ahead_fetched(const struct world *w);
/* Until done, or the test fails. */
void ahead_await(bool (*done)(struct world *w), struct world *w);
/* Nothing is under way, and the budget of bytes is kept. */
bool ahead_idle(struct world *w);
/* The node stays valid while it is linked. */
struct node *ahead_find(struct world *w, const char *path);
/* opendir(3) */
void ahead_user_lists(struct world *w, const char *path);
/* open(2) and read(2) to the end; then waits until nothing is under way.  The bytes are compared.
 */
void ahead_user_reads(struct world *w, struct node *n);
void ahead_put_file(struct world *w, const char *path, size_t size);
/* Names that sort otherwise than they were made. */
void ahead_put_files(struct world *w, const char *dir, unsigned n, size_t size);
void ahead_make_dirs(struct world *w, const char *above, unsigned n);
/* The children of a listed directory, in its order. */
size_t ahead_children(struct world *w, const char *path, struct node **v, size_t max);

#endif
