/* remote_mem_private - what remote_mem's tree, streams and operations share. */
#ifndef FTPFS_TESTS_REMOTE_MEM_PRIVATE_H
#define FTPFS_TESTS_REMOTE_MEM_PRIVATE_H

#include "base/lock.h"
#include "remote_mem.h"

struct mem_node {
	struct mem_node *parent; /* NULL: the root, or removed */
	struct mem_node *first, *last, *prev, *next;
	char *name;
	char *target;
	char *bytes;
	size_t size, cap;
	int64_t mtime; /* whole seconds, in ns */
	uint32_t mode;
	unsigned refs; /* its name, and each stream */
	uint8_t type;
};

struct mem_server {
	struct mutex lock;
	struct mem_traits traits; /* constant */
	bool refusing GUARDED_BY(lock), tried[REMOTE_MTIME + 1] GUARDED_BY(lock);
	struct mem_node *root GUARDED_BY(lock);
	bool patch_tried GUARDED_BY(lock); /* on a temporary file, as a client does */
	unsigned corrupt GUARDED_BY(lock), hashes_asked GUARDED_BY(lock);
	unsigned reads_open GUARDED_BY(lock);
};

int64_t mem_whole_second(int64_t ns);
int mem_find_locked(struct mem_server *m, const char *path, struct mem_node **out)
	REQUIRES(m->lock);
int mem_find_parent_locked(struct mem_server *m, const char *path, struct mem_node **dir,
			   const char **name) REQUIRES(m->lock);
struct mem_node *mem_child_locked(const struct mem_node *dir, const char *name, size_t len);
int mem_make_locked(struct mem_server *m, const char *path, enum entry_type type,
		    struct mem_node **out) REQUIRES(m->lock);
int mem_unlink_locked(struct mem_server *m, struct mem_node *n) REQUIRES(m->lock);
int mem_move_locked(struct mem_node *n, struct mem_node *dir, const char *name);
/* Borrowed strings. */
void mem_entry_locked(const struct mem_server *m, const struct mem_node *n, bool coarse,
		      struct entry *e);
void mem_write_locked(struct mem_node *n, const void *bytes, size_t len, size_t at);
void mem_unref_locked(struct mem_node *n);

int mem_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
		  const struct opctx *ctx);
int mem_can_patch(struct remote *r, const char *temp, const struct opctx *ctx);
int mem_open_write(struct remote *r, const char *path, enum write_how how, int64_t at,
		   struct stream **out, const struct opctx *ctx);
struct mem_server *mem_server_of(struct remote *r);

#endif
