/* fs/xattr - user.ftpfs.*: what the server says of a file now, and how far we are with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "file_private.h"
#include "fs/recover.h"
#include "fs_private.h"

/* The hash is not listed: whoever copies all that is listed (cp -a, tar --xattrs) would have the
 * server read every file once more. */
static const char listed[] = "user.ftpfs.state\0user.ftpfs.size\0user.ftpfs.mtime";

static const char *state_locked(const struct file *f) REQUIRES(f->lock)
{
	switch (f->state) {
	case FILE_CLEAN:
		return "clean";
	case FILE_DIRTY:
		return f->owed && !f->intent && f->promised == f->writes ? "promised" : "dirty";
	case FILE_COMMITTING:
		return "uploading";
	case FILE_FAILED:
		return "failed";
	default:
		return "removed";
	}
}

static const char *state_of(struct fs *fs, struct node *n)
{
	struct file *f = file_of(&fs->files, n);
	const char *state = "clean";

	if (f) {
		mutex_lock(&f->lock);
		state = state_locked(f);
		mutex_unlock(&f->lock);
		file_put(f);
	}
	mutex_lock(&fs->tree.lock);
	if (strcmp(state, "clean") == 0 && strstr(n->name, RECOVER_CONFLICT))
		state = "conflict";
	mutex_unlock(&fs->tree.lock);
	return state;
}

static int tell_size(struct fs *fs, const char *path, struct buf *out, const struct opctx *ctx)
{
	struct entry e;
	int rc = version_ask(fs->conf.remote, path, &e, ctx);

	if (rc)
		return rc;
	return e.have & HAVE_SIZE ? buf_addf(out, "%" PRId64, e.size) : -ENODATA;
}

static int tell_mtime(struct fs *fs, const char *path, struct buf *out, const struct opctx *ctx)
{
	struct entry e;
	int rc = version_ask(fs->conf.remote, path, &e, ctx);

	if (rc)
		return rc;
	if (!(e.have & HAVE_EXACT_MTIME))
		return -ENODATA;
	return buf_addf(out, "%" PRId64 ".%09" PRId64, e.mtime / NS_PER_S, e.mtime % NS_PER_S);
}

static int tell_hash(struct fs *fs, const char *path, int64_t size, struct buf *out,
		     const struct opctx *ctx)
{
	struct settle s = {.mode = REMOTE_KEEP_MODE,
			   .mtime = REMOTE_KEEP_MTIME,
			   .hash = remote_hash_kind(fs->conf.remote),
			   .hashed = size};
	char text[DIGEST_TEXT_SIZE];
	int rc = s.hash ? remote_settle(fs->conf.remote, path, &s, ctx) : -EOPNOTSUPP;

	if (rc)
		return rc;
	if (s.digest.kind == HASH_NONE)
		return -ENODATA;
	digest_print(&s.digest, text);
	return buf_adds(out, text);
}

static int ask(struct fs *fs, struct node *n, const char *what, struct buf *out,
	       const struct opctx *ctx)
{
	struct buf path;
	int64_t size;
	int rc;

	if (strcmp(what, "state") == 0)
		return buf_adds(out, state_of(fs, n));
	buf_init(&path, PATH_LIMIT);
	rc = tree_path(&fs->tree, n, &path);
	mutex_lock(&fs->tree.lock);
	size = n->size;
	mutex_unlock(&fs->tree.lock);
	if (rc == 0 && strcmp(what, "size") == 0)
		rc = tell_size(fs, buf_text(&path), out, ctx);
	else if (rc == 0 && strcmp(what, "mtime") == 0)
		rc = tell_mtime(fs, buf_text(&path), out, ctx);
	else if (rc == 0)
		rc = tell_hash(fs, buf_text(&path), size, out, ctx);
	buf_free(&path);
	/* The file is here, and not there yet. */
	return rc == -ENOENT ? -ENODATA : rc;
}

ssize_t fs_getxattr(struct fs *fs, struct node *n, const char *name, char *value, size_t size,
		    const struct opctx *ctx)
{
	static const char *const whats[] = {"state", "size", "mtime", "hash"};
	const char *prefix = "user.ftpfs.", *what = NULL;
	struct buf text;
	ssize_t rc;

	/* Of these the kernel and its tools ask by themselves, often. */
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < 4; i++)
		if (strncmp(name, prefix, strlen(prefix)) == 0 &&
		    strcmp(name + strlen(prefix), whats[i]) == 0)
			what = whats[i];
	if (!what || n->type != ENTRY_FILE)
		return -ENODATA;
	if (size == 0)
		return FS_XATTR_MAX;
	buf_init(&text, FS_XATTR_MAX);
	rc = ask(fs, n, what, &text, ctx);
	if (rc == 0)
		rc = text.len > size ? -ERANGE : (ssize_t)text.len;
	if (rc > 0)
		memcpy(value, text.data, text.len);
	buf_free(&text);
	return rc;
}

size_t fs_listxattr(const struct node *n, const char **names)
{
	*names = listed;
	return n->type == ENTRY_FILE ? sizeof listed : 0;
}
