/* crash_ops - what the operations of crash_world share. */
#ifndef FTPFS_TESTS_CRASH_OPS_H
#define FTPFS_TESTS_CRASH_OPS_H

#include "crash_world.h"

extern const char *const crash_dir_names[CRASH_DIRS];

/* With one lookup for the caller, but for the root. */
int crash_get_dir(struct crash *c, int dir, struct node **out);
void crash_put_dir(struct crash *c, int dir, struct node *n);
/* A name whose directory is there. */
int crash_any_place(struct crash *c);
bool crash_is_open(const struct crash *c, int file);
void crash_fill(struct crash *c, char *out, size_t n);
/* Opens, writes and closes it, which promises it. */
int crash_write_close(struct crash *c, int file, int flags, const char *bytes, size_t n, size_t at);

int crash_op_rename(struct crash *c);
int crash_op_swap(struct crash *c);
int crash_op_save(struct crash *c);
int crash_op_remove(struct crash *c);
int crash_op_mkdir(struct crash *c);
int crash_op_rmdir(struct crash *c);
int crash_op_rename_dir(struct crash *c);

#endif
