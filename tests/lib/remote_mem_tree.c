/* remote_mem - its tree, and the doors through which a test looks into it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "remote_mem_private.h"

int64_t mem_whole_second(int64_t ns)
{
	return ns - ns % NS_PER_S;
}

struct mem_node *mem_child_locked(const struct mem_node *dir, const char *name, size_t len)
{
	for (struct mem_node *n = dir->first; n; n = n->next)
		if (strncmp(n->name, name, len) == 0 && n->name[len] == '\0')
			return n;
	return NULL;
}

int mem_find_locked(struct mem_server *m, const char *path, struct mem_node **out)
{
	struct mem_node *n = m->root;

	for (const char *at = path; *at;) {
		size_t len;

		while (*at == '/')
			at++;
		len = strcspn(at, "/");
		if (len == 0)
			break;
		if (n->type != ENTRY_DIR)
			return -ENOENT; /* as most servers put it */
		n = mem_child_locked(n, at, len);
		if (!n)
			return -ENOENT;
		at += len;
	}
	*out = n;
	return 0;
}

int mem_find_parent_locked(struct mem_server *m, const char *path, struct mem_node **dir,
			   const char **name)
{
	struct buf parent;
	int rc;

	*name = path_name(path);
	if (**name == '\0')
		return -EBUSY;
	buf_init(&parent, PATH_LIMIT + 1);
	rc = path_parent(&parent, path);
	if (!rc)
		rc = mem_find_locked(m, buf_text(&parent), dir);
	buf_free(&parent);
	if (!rc && (*dir)->type != ENTRY_DIR)
		rc = -ENOENT;
	return rc;
}

static struct mem_node *node_new(const char *name, enum entry_type type)
{
	struct mem_node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->name = strdup(name);
	if (!n->name)
		abort();
	n->type = (uint8_t)type;
	n->mode = type == ENTRY_DIR ? 0755 : type == ENTRY_LINK ? 0777 : 0644;
	n->mtime = mem_whole_second(clock_realtime());
	n->refs = 1;
	return n;
}

void mem_unref_locked(struct mem_node *n)
{
	if (--n->refs > 0)
		return;
	free(n->name);
	free(n->target);
	free(n->bytes);
	free(n);
}

static void link_child(struct mem_node *dir, struct mem_node *n)
{
	n->parent = dir;
	n->prev = dir->last;
	n->next = NULL;
	*(dir->last ? &dir->last->next : &dir->first) = n;
	dir->last = n;
	dir->mtime = mem_whole_second(clock_realtime());
}

static void unlink_child(struct mem_node *n)
{
	struct mem_node *dir = n->parent;

	*(n->prev ? &n->prev->next : &dir->first) = n->next;
	*(n->next ? &n->next->prev : &dir->last) = n->prev;
	n->parent = NULL;
	dir->mtime = mem_whole_second(clock_realtime());
}

int mem_make_locked(struct mem_server *m, const char *path, enum entry_type type,
		    struct mem_node **out)
{
	struct mem_node *dir;
	const char *name;
	int rc = mem_find_parent_locked(m, path, &dir, &name);

	if (rc)
		return rc == -EBUSY ? -EEXIST : rc;
	if (mem_child_locked(dir, name, strlen(name)))
		return -EEXIST;
	*out = node_new(name, type);
	link_child(dir, *out);
	return 0;
}

int mem_unlink_locked(struct mem_server *m, struct mem_node *n)
{
	if (n == m->root)
		return -EBUSY;
	if (n->first)
		return -ENOTEMPTY;
	unlink_child(n);
	mem_unref_locked(n);
	return 0;
}

int mem_move_locked(struct mem_node *n, struct mem_node *dir, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		abort();
	unlink_child(n);
	free(n->name);
	n->name = copy;
	link_child(dir, n);
	return 0;
}

void mem_entry_locked(const struct mem_server *m, const struct mem_node *n, bool coarse,
		      struct entry *e)
{
	*e = (struct entry){
		.name = n->name,
		.target = n->target,
		.size = (int64_t)n->size,
		.mtime = n->mtime,
		.mode = m->traits.no_modes ? 0 : n->mode,
		.type = n->type,
		.have = HAVE_MTIME,
	};
	if (n->type == ENTRY_FILE)
		e->have |= HAVE_SIZE;
	if (!m->traits.no_modes)
		e->have |= HAVE_MODE;
	if (n->target)
		e->have |= HAVE_TARGET;
	if (!coarse) {
		e->have |= HAVE_EXACT_MTIME;
		return;
	}
	e->mtime_slack = 60 * NS_PER_S;
	e->mtime -= e->mtime % e->mtime_slack;
}

void mem_write_locked(struct mem_node *n, const void *bytes, size_t len, size_t at)
{
	if (at + len > n->cap) {
		n->cap = (at + len) * 2;
		n->bytes = realloc(n->bytes, n->cap);
		if (!n->bytes)
			abort();
	}
	if (at > n->size)
		memset(n->bytes + n->size, 0, at - n->size);
	if (len > 0)
		memcpy(n->bytes + at, bytes, len);
	if (at + len > n->size)
		n->size = at + len;
	n->mtime = mem_whole_second(clock_realtime());
}

struct mem_server *mem_server_create(const struct mem_traits *traits)
{
	struct mem_server *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	mutex_init(&m->lock);
	if (traits)
		m->traits = *traits;
	mutex_lock(&m->lock);
	m->root = node_new("", ENTRY_DIR);
	mutex_unlock(&m->lock);
	return m;
}

static void free_below(struct mem_node *n)
{
	while (n->first) {
		struct mem_node *c = n->first;

		free_below(c);
		unlink_child(c);
		mem_unref_locked(c);
	}
}

void mem_server_destroy(struct mem_server *m)
{
	mutex_lock(&m->lock);
	free_below(m->root);
	mem_unref_locked(m->root);
	mutex_unlock(&m->lock);
	mutex_destroy(&m->lock);
	free(m);
}

int mem_stat(struct mem_server *m, const char *path, struct entry *out)
{
	struct mem_node *n;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	if (!rc) {
		mem_entry_locked(m, n, false, out);
		out->name = NULL;
		if (out->target && !(out->target = strdup(out->target)))
			abort();
	}
	mutex_unlock(&m->lock);
	return rc;
}

int mem_get(struct mem_server *m, const char *path, char **out, size_t *n)
{
	struct mem_node *f;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &f);
	if (!rc && f->type != ENTRY_FILE)
		rc = -EISDIR;
	if (!rc) {
		*n = f->size;
		*out = malloc(f->size + 1);
		if (!*out)
			abort();
		if (f->size > 0)
			memcpy(*out, f->bytes, f->size);
	}
	mutex_unlock(&m->lock);
	return rc;
}

int mem_put(struct mem_server *m, const char *path, const void *bytes, size_t n)
{
	struct mem_node *f;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &f);
	if (rc == -ENOENT)
		rc = mem_make_locked(m, path, ENTRY_FILE, &f);
	if (!rc && f->type != ENTRY_FILE)
		rc = -EISDIR;
	if (!rc) {
		f->size = 0;
		mem_write_locked(f, bytes, n, 0);
	}
	mutex_unlock(&m->lock);
	return rc;
}

int mem_make_dir(struct mem_server *m, const char *path)
{
	struct mem_node *n;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_make_locked(m, path, ENTRY_DIR, &n);
	mutex_unlock(&m->lock);
	return rc;
}

int mem_remove(struct mem_server *m, const char *path)
{
	struct mem_node *n;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &n);
	if (!rc)
		rc = mem_unlink_locked(m, n);
	mutex_unlock(&m->lock);
	return rc;
}

static int copy_names(struct mem_server *m, const char *path, struct listing *l)
{
	struct mem_node *d;
	int rc;

	mutex_lock(&m->lock);
	rc = mem_find_locked(m, path, &d);
	for (struct mem_node *n = rc ? NULL : d->first; n && !rc; n = n->next) {
		struct entry e;

		mem_entry_locked(m, n, false, &e);
		rc = listing_add(l, &e);
	}
	mutex_unlock(&m->lock);
	return rc;
}

void mem_walk(struct mem_server *m, const char *path,
	      void (*each)(void *arg, const char *path, const struct entry *e), void *arg)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	copy_names(m, path, &l);
	for (size_t i = 0; i < l.n; i++) {
		struct buf child;

		buf_init(&child, PATH_LIMIT + 1);
		if (path_join(&child, path, l.v[i].name) != 0)
			abort();
		each(arg, buf_text(&child), &l.v[i]);
		if (l.v[i].type == ENTRY_DIR)
			mem_walk(m, buf_text(&child), each, arg);
		buf_free(&child);
	}
	listing_free(&l);
}

static void count_name(void *arg, const char *path, const struct entry *e)
{
	(void)path, (void)e;
	++*(unsigned *)arg;
}

unsigned mem_count(struct mem_server *m)
{
	unsigned n = 0;

	mem_walk(m, "/", count_name, &n);
	return n;
}

bool mem_is(struct mem_server *m, const char *path, const void *bytes, size_t n)
{
	char *got;
	size_t size;
	bool same;

	if (mem_get(m, path, &got, &size) != 0)
		return false;
	same = size == n && memcmp(got, bytes, n) == 0;
	free(got);
	return same;
}
