/* path - names and paths, checked once for the whole program.
 *
 * A path inside ftpfs is absolute, '/'-separated, without empty, "." or ".." components, without
 * CR, LF or NUL, and at most PATH_LIMIT bytes long; "/" is the root.  A name is one component of
 * it, at most NAME_LIMIT bytes.  CR, LF and NUL would end an FTP command line (RFC 959
 * section 5.3), so a name that carries one is refused here and nowhere else. */
#ifndef FTPFS_BASE_PATH_H
#define FTPFS_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { NAME_LIMIT = 255, PATH_LIMIT = 4095 };

/* 0; -EINVAL: empty, ".", "..", or holds '/', CR, LF or NUL; -ENAMETOOLONG. */
int path_check_name(const char *name, size_t len);
/* 0, -EINVAL or -ENAMETOOLONG, as above, for a whole path. */
int path_check(const char *path);
/* out = dir + '/' + name (no doubled slash); appends to out.  -ENAMETOOLONG or -ENOMEM. */
int path_join(struct buf *out, const char *dir, const char *name);
/* The last component ("" for the root); points into path. */
const char *path_name(const char *path);
/* out = the directory that holds path ("/" for the root); appends to out. */
int path_parent(struct buf *out, const char *path);
/* Is `path` equal to `dir` or below it?  "/foobar" is not below "/foo". */
bool path_below(const char *path, const char *dir);
/* Percent-decode n bytes, appending to out; -EINVAL on a bad escape or on %00, %0A, %0D. */
int path_percent_decode(struct buf *out, const char *text, size_t n);
/* out = `path` with ".", ".." and empty components folded; ".." at the root stays there. */
int path_normalise(struct buf *out, const char *path);

/* What a symbolic link in directory `dir` with the server's `target` shows in the mount, so that
 * following it can never leave the mount: a target inside the mount becomes (or stays) a relative
 * path, one outside is -EPERM.  `root` is the server's directory that is mounted (an absolute
 * server path); `dir` is a path inside the mount.  Appends to out. */
int path_contain_link(struct buf *out, const char *root, const char *dir, const char *target);
/* The way back, for a link that is to be made: the absolute server path that a relative `target`
 * means there (".." is folded: a link to a directory on the way is not known here).  -EPERM: it
 * leads out of the mount.  Appends to out, which is empty. */
int path_aim_link(struct buf *out, const char *root, const char *dir, const char *target);

#endif
