/* fs/rename - what rename.c, rename_alone.c and aside.c share. */
#ifndef FTPFS_FS_RENAME_H
#define FTPFS_FS_RENAME_H

#include "fs_private.h"

struct move {
	struct node *from, *to; /* directories */
	const char *name, *new_name;
	struct node *source, *target; /* pinned; target may be NULL */
	enum if_exists how;
	bool target_on_server;
};

int rename_in_tree(struct fs *fs, const struct move *m);

/* Is the source a file that only we have?  Then *out is that file, with a reference and busy, for
 * rename_alone(); else NULL.  0, or why it cannot be said. */
int rename_alone_begin(struct fs *fs, const struct move *m, struct file **out,
		       const struct opctx *ctx);
/* Gives the file back. */
int rename_alone(struct fs *fs, struct move *m, struct file *f, const struct opctx *ctx);

#endif
