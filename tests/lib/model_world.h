/* model_world - a filesystem under test (fs/fs.h over faults over a server in memory) beside its
 * model.
 *
 * A rig is one mount; a world is one thread's part of it: a subtree, the model of it, and its open
 * files.  Every disagreement ends the program, after printing the last operations and how to repeat
 * them. */
#ifndef FTPFS_TESTS_MODEL_WORLD_H
#define FTPFS_TESTS_MODEL_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opctx.h"
#include "fs/fs.h"
#include "model.h"
#include "remote_fault.h"
#include "remote_mem.h"

enum { WORLD_HANDLES = 8, WORLD_LOG = 60, WORLD_LINE = 160, WORLD_TTL_S = 20, WORLD_NAMES = 64 };

struct rig {
	struct mem_server *server;
	struct mem_traits traits;
	struct fault_plan *plan;
	struct journal *journal; /* NULL: none */
	struct fs *fs;
	struct opctx ctx;
	char spool[64];
	bool faults;  /* operations may fail for no reason of the model's */
	bool threads; /* others use the rig: no clock to move, no fault to pause */
	bool back;    /* a close does not wait for the server */
};

struct mhandle {
	struct mnode *m; /* NULL: free slot */
	struct node *node;
	struct handle *h;
	int flags;
	bool owed;  /* an error that another handle's commit met is still to be told to this one */
	bool maybe; /* ... may be */
};

/* A directory held open, and the names it had then. */
struct mdir {
	struct dirhandle *d; /* NULL: none */
	struct node *node;
	char names[WORLD_NAMES][MODEL_NAME + 8];
	unsigned n;
};

struct world {
	struct rig *rig;
	struct mnode *root;
	char prefix[16]; /* where root is: "" or "/t1" */
	struct mhandle handles[WORLD_HANDLES];
	struct mdir dir;
	uint64_t random;
	uint64_t seed;
	uint64_t episode, op;
	bool paused; /* faults are off: nothing may fail */
	char log[WORLD_LOG][WORLD_LINE];
	uint64_t lines;
};

struct rig_conf {
	struct mem_traits traits;
	bool faults, threads;
	int64_t patience;   /* ns, of retry */
	int64_t prefetch;   /* bytes; 0: off */
	bool atomic;	    /* everything is stored beside its place */
	bool inplace;	    /* parts of a file are replaced wherever the server can */
	bool journal, back; /* back: only with a journal */
	uint64_t seed;
};

void rig_open(struct rig *r, const struct rig_conf *conf);
/* Unmounts; the server and the plan stay for rig_free(). */
void rig_unmount(struct rig *r);
void rig_free(struct rig *r);

uint64_t world_random(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
/* One line of what is being done. */
void world_log(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void world_fail(struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* rc is what was expected, or (returns true) an error that a fault explains; else the end. */
bool world_spoilt(struct world *w, const char *what, long rc, long want);
/* With a journal, what a lost link has left in part is completed by and by: now. */
void world_settle(struct world *w);
void world_pause(struct world *w, bool on);
void world_expire(struct world *w); /* time passes: nothing is believed any more */
int64_t world_now(void);	    /* whole second */

void world_path(struct world *w, const struct mnode *dir, const char *name, struct buf *out);
/* The node of m, with one lookup for the caller (world_forget); 0 or an error of a fault. */
int world_node(struct world *w, const struct mnode *m, struct node **out);
bool handle_is_for_writing(const struct mhandle *h);
/* Is m open for writing? */
bool world_writes(const struct world *w, const struct mnode *m);
void world_forget(struct world *w, struct node *n);

/* model_check.c: each ends the program when the filesystem and the model disagree. */
void check_attr(struct world *w, struct mnode *m, const struct fs_attr *a);
void check_path(struct world *w, struct mnode *m); /* lookup and getattr */
void check_absent(struct world *w, const struct mnode *dir, const char *name);
void check_names(struct world *w, struct mnode *dir); /* readdir */
void look_into(struct world *w);		      /* readdir of any directory */
void check_bytes(struct world *w, struct mnode *m);   /* open, read, close */
void check_tree(struct world *w);		      /* all of it, faults paused */
void check_stored(struct world *w, struct mnode *m);  /* the server has m's bytes */
void check_server(struct world *w,
		  bool temporaries);   /* the server has the model and nothing else */
void check_dir_again(struct world *w); /* the directory held open */
/* After a failure: m becomes what the server has, if that is one of the things it may have. */
void adopt_file(struct world *w, struct mnode *m);
/* A commit failed, or said so: remember what the server may have from now on. */
void guess_stored(struct world *w, struct mnode *m);
void adopt_mode(struct world *w, struct mnode *m);

/* model_ops_names.c, model_ops_files.c: one random operation, carried out on both sides. */
void world_step(struct world *w);
void step_file(struct world *w, unsigned dice);
void step_name(struct world *w, unsigned dice);
struct mnode *pick_dir(struct world *w);
struct mnode *pick_file(struct world *w); /* may be NULL */
struct mnode *pick_any(struct world *w);  /* may be NULL */
const char *pick_name(struct world *w);
int64_t touch(struct mnode *m,
	      int64_t before); /* content changed at `before` or later; returns it */
/* flush or fsync: 0 is a promise that the server has it all. */
int world_flush(struct world *w, struct mhandle *h, bool sync);
void world_close(struct world *w, struct mhandle *h, bool flush);
void world_close_all(struct world *w);
void world_sync(struct world *w); /* what was promised is stored */
void world_end(struct world *w);  /* closes everything, then checks both sides */

#endif
