/* path - names and paths, checked once for the whole program. */
#include "base/path.h"

#include <errno.h>
#include <string.h>

/* An append to a path fails for want of memory or because the path became too long. */
static int path_error(int error)
{
	return error == -EOVERFLOW ? -ENAMETOOLONG : error;
}

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.');
}

int path_check_name(const char *name, size_t len)
{
	if (len == 0 || is_dots(name, len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (name[i] == '/' || name[i] == '\r' || name[i] == '\n' || name[i] == '\0')
			return -EINVAL;
	return len > NAME_LIMIT ? -ENAMETOOLONG : 0;
}

int path_check(const char *path)
{
	if (path[0] != '/')
		return -EINVAL;
	if (strnlen(path, PATH_LIMIT + 1) > PATH_LIMIT)
		return -ENAMETOOLONG;
	if (path[1] == '\0')
		return 0;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");
		int error = path_check_name(path, len);

		if (error)
			return error;
		path += len;
	}
	return 0;
}

int path_join(struct buf *out, const char *dir, const char *name)
{
	size_t dir_len = strlen(dir), name_len = strlen(name);

	if (dir_len && dir[dir_len - 1] == '/')
		dir_len--;
	if (dir_len + 1 + name_len > PATH_LIMIT)
		return -ENAMETOOLONG;
	buf_add(out, dir, dir_len);
	buf_adds(out, "/");
	buf_add(out, name, name_len);
	return path_error(buf_error(out));
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int path_parent(struct buf *out, const char *path)
{
	size_t len = (size_t)(path_name(path) - path);

	if (len > 1)
		len--;
	return path_error(len ? buf_add(out, path, len) : buf_adds(out, "/"));
}

bool path_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that text[0..n) begins with, and how much of the text it takes; -1: a bad escape, or a
 * byte that may not be in a path. */
static int decode_byte(const char *text, size_t n, size_t *used)
{
	int c = (unsigned char)text[0];

	*used = 1;
	if (c == '%') {
		if (n < 3 || hex(text[1]) < 0 || hex(text[2]) < 0)
			return -1;
		c = hex(text[1]) * 16 + hex(text[2]);
		*used = 3;
	}
	return c == '\0' || c == '\r' || c == '\n' ? -1 : c;
}

int path_percent_decode(struct buf *out, const char *text, size_t n)
{
	char *to = buf_room(out, n);
	size_t len = 0, used;

	if (!to)
		return path_error(buf_error(out));
	for (size_t i = 0; i < n; i += used) {
		int c = decode_byte(text + i, n - i, &used);

		if (c < 0) {
			buf_added(out, 0);
			return -EINVAL;
		}
		to[len++] = (char)c;
	}
	buf_added(out, len);
	return 0;
}

/* Removes the last component of what stands in out behind `base`; at the root nothing is left to
 * remove. */
static void pop(struct buf *out, size_t base)
{
	while (out->len > base && out->data[--out->len] != '/')
		;
	if (out->data)
		out->data[out->len] = '\0';
}

/* Appends the components of `path` to the folded path that stands in out behind `base`: each as
 * "/name", so that the root is the empty text. */
static int fold(struct buf *out, size_t base, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && is_dots(path, len)) {
			pop(out, base);
		} else if (len && !is_dots(path, len)) {
			buf_adds(out, "/");
			buf_add(out, path, len);
		}
		path += len + (path[len] == '/');
	}
	if (buf_error(out))
		return path_error(buf_error(out));
	return out->len - base > PATH_LIMIT ? -ENAMETOOLONG : 0;
}

int path_normalise(struct buf *out, const char *path)
{
	size_t base = out->len;
	int error = fold(out, base, path);

	if (error)
		return error;
	if (path[0] == '/')
		return out->len == base ? path_error(buf_adds(out, "/")) : 0;
	if (out->len == base)
		return 0;
	out->len--; /* relative: without the leading '/' */
	memmove(out->data + base, out->data + base + 1, out->len - base + 1);
	return 0;
}

/* May the kernel follow `target` from a directory `depth` levels below the root of the mount
 * without leaving it, whatever links it meets?  Only if every ".." comes first: behind a name,
 * which may be a link to somewhere higher up, ".." would count from there. */
static bool is_contained(const char *target, size_t depth)
{
	bool named = false;

	if (target[0] == '/')
		return false;
	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && is_dots(target, len)) {
			if (named || depth-- == 0)
				return false;
		} else if (len && !is_dots(target, len)) {
			named = true;
		}
		target += len + (target[len] == '/');
	}
	return true;
}

static size_t count_components(const char *folded)
{
	size_t n = 0;

	for (; *folded; folded++)
		n += *folded == '/';
	return n;
}

/* The way from one folded path to another: "../../x/y". */
static int add_relative(struct buf *out, const char *from, const char *to)
{
	size_t same = 0;
	size_t ups;

	for (size_t i = 0;; i++) {
		bool from_ends = from[i] == '/' || from[i] == '\0';

		if (from_ends && (to[i] == '/' || to[i] == '\0'))
			same = i;
		if (from[i] != to[i] || from[i] == '\0')
			break;
	}
	ups = count_components(from + same);
	to += same;
	if (ups == 0 && *to == '\0')
		return path_error(buf_adds(out, "."));
	for (size_t i = 0; i < ups; i++)
		buf_adds(out, i ? "/.." : "..");
	return path_error(buf_adds(out, ups ? to : to + 1));
}

/* root, dir and target folded to one absolute path of the server; out is empty. */
static int resolve(struct buf *out, const char *root, const char *dir, const char *target)
{
	int error = 0;

	if (target[0] != '/') {
		error = fold(out, 0, root);
		if (!error)
			error = fold(out, 0, dir);
	}
	return error ? error : fold(out, 0, target);
}

/* The relative text for a target that is not safe as it stands. */
static int rewrite_link(struct buf *out, const char *root, const char *dir, const char *target)
{
	struct buf top, here, there;
	int error;

	buf_init(&top, PATH_LIMIT);
	buf_init(&here, PATH_LIMIT);
	buf_init(&there, 3 * PATH_LIMIT);
	error = fold(&top, 0, root);
	if (!error)
		error = fold(&here, 0, dir);
	if (!error)
		error = resolve(&there, root, dir, target);
	if (!error && !path_below(buf_text(&there), buf_text(&top)))
		error = -EPERM;
	if (!error)
		error = add_relative(out, buf_text(&here), buf_text(&there) + top.len);
	buf_free(&top);
	buf_free(&here);
	buf_free(&there);
	return error;
}

int path_contain_link(struct buf *out, const char *root, const char *dir, const char *target)
{
	size_t depth = strcmp(dir, "/") == 0 ? 0 : count_components(dir);

	if (*target == '\0')
		return -EINVAL;
	if (is_contained(target, depth))
		return path_error(
			buf_adds(out, target)); /* as readlink(2) shows it on the server */
	return rewrite_link(out, root, dir, target);
}

int path_aim_link(struct buf *out, const char *root, const char *dir, const char *target)
{
	struct buf top;
	int error;

	buf_init(&top, PATH_LIMIT);
	error = fold(&top, 0, root);
	if (!error)
		error = resolve(out, root, dir, target);
	if (!error && !path_below(buf_text(out), buf_text(&top)))
		error = -EPERM;
	if (!error && out->len == 0)
		error = path_error(buf_adds(out, "/"));
	buf_free(&top);
	return error;
}
