/* model_ops_files - random operations on file contents, on both sides. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model_world.h"

enum { WRITE_BIG = 300000, WRITE_MAX = 400000 };

static struct mhandle *free_handle(struct world *w)
{
	for (int i = 0; i < WORLD_HANDLES; i++)
		if (!w->handles[i].m)
			return &w->handles[i];
	return NULL;
}

static struct mhandle *pick_handle(struct world *w, bool writing)
{
	struct mhandle *v[WORLD_HANDLES];
	unsigned n = 0;

	for (int i = 0; i < WORLD_HANDLES; i++) {
		int acc = w->handles[i].flags & O_ACCMODE;

		if (w->handles[i].m && acc != (writing ? O_RDONLY : O_WRONLY))
			v[n++] = &w->handles[i];
	}
	return n ? v[world_random(w, n)] : NULL;
}

static void opened(struct mhandle *slot, struct mnode *m, struct node *n, struct handle *h,
		   int flags)
{
	*slot = (struct mhandle){.m = m, .node = n, .h = h, .flags = flags};
	m->handles++;
}

static void check_pages(struct world *w, struct mnode *m, bool keep)
{
	if (keep && m->pages_stale)
		world_fail(w, "the kernel's pages of \"%s\" are kept, and wrong", m->name);
	m->pages_stale = false;
	m->pages = true;
}

static int random_flags(struct world *w)
{
	int flags = world_chance(w, 20) ? O_WRONLY : O_RDWR;

	if (world_chance(w, 20))
		flags |= O_APPEND;
	if (world_chance(w, 20))
		flags |= O_TRUNC;
	return flags;
}

static void do_create(struct world *w)
{
	struct mhandle *slot = free_handle(w);
	struct mnode *dir = pick_dir(w), *m;
	const char *name = pick_name(w);
	int flags = random_flags(w) | O_CREAT | (world_chance(w, 20) ? O_EXCL : 0);
	uint32_t mode = world_chance(w, 80) ? 0644 : 0600;
	int64_t before = world_now();
	struct fs_found found;
	struct handle *h;
	struct node *n;
	bool keep = false;
	int rc;

	m = model_child(dir, name);
	if (!slot || (m && m->type == ENTRY_LINK) || world_node(w, dir, &n))
		return;
	world_log(w, "create \"%s\" in \"%s\"%s%s%s, mode %o", name, dir->name,
		  flags & O_EXCL ? ", excl" : "", flags & O_TRUNC ? ", trunc" : "",
		  flags & O_APPEND ? ", append" : "", mode);
	rc = fs_create_file(w->rig->fs, n, name, mode, flags, &found, &h, &keep, &w->rig->ctx);
	world_forget(w, n);
	if (world_spoilt(w, "create", rc, model_may_create(m, flags & O_EXCL)) || rc) {
		if (m)
			m->doubt = true;
		return;
	}
	if (!m) {
		m = model_new(ENTRY_FILE, name);
		m->mode = mode;
		touch(m, before);
		model_link(dir, m);
	} else if (flags & O_TRUNC) {
		model_resize(m, 0);
		touch(m, before);
	}
	check_pages(w, m, keep && !(flags & O_TRUNC));
	opened(slot, m, found.node, h, flags & ~(O_CREAT | O_EXCL | O_TRUNC));
	check_attr(w, m, &found.attr);
}

static void do_open(struct world *w)
{
	struct mhandle *slot = free_handle(w);
	struct mnode *m = pick_any(w);
	int flags = world_chance(w, 50) ? O_RDONLY : random_flags(w);
	int64_t before = world_now();
	struct handle *h;
	struct node *n;
	bool keep = false;
	int rc;

	if (!slot || world_node(w, m, &n))
		return;
	world_log(w, "open \"%s\" %s%s%s", m->name,
		  (flags & O_ACCMODE) == O_RDONLY ? "to read" : "to write",
		  flags & O_TRUNC ? ", trunc" : "", flags & O_APPEND ? ", append" : "");
	rc = fs_open(w->rig->fs, n, flags, &h, &keep, &w->rig->ctx);
	if (world_spoilt(w, "open", rc, m->type == ENTRY_DIR ? -EISDIR : 0) || rc) {
		m->doubt = true;
		world_forget(w, n);
		return;
	}
	if (flags & O_TRUNC) {
		model_resize(m, 0);
		touch(m, before);
	}
	check_pages(w, m, keep && !(flags & O_TRUNC));
	opened(slot, m, n, h, flags & ~O_TRUNC);
}

static void write_at(struct world *w, struct mhandle *h, size_t at, size_t len)
{
	int64_t before = world_now();
	char *bytes;
	ssize_t n;

	if (h->flags & O_APPEND)
		at = h->m->size;
	if (at + len > MODEL_FILE_MAX)
		return;
	bytes = malloc(len);
	if (!bytes)
		abort();
	for (size_t i = 0, x = world_random(w, 1 << 20); i < len; i++)
		bytes[i] = (char)(x + i * 31 + (i >> 8));
	world_log(w, "write \"%s\" %zu at %zu%s", h->m->name, len, at,
		  h->flags & O_APPEND ? " (append)" : "");
	/* Where O_APPEND decides, the offset that comes with it must not. */
	n = fs_write(h->h, bytes, len, h->flags & O_APPEND ? 0 : (int64_t)at, &w->rig->ctx);
	if (!world_spoilt(w, "write", n, (long)len)) {
		model_write(h->m, bytes, len, at);
		touch(h->m, before);
	} else {
		h->m->doubt = true; /* what was torn is completed first */
	}
	free(bytes);
}

static void do_write(struct world *w)
{
	struct mhandle *h = pick_handle(w, true);
	size_t len = 1 + world_random(w, world_chance(w, 50) ? 100 : 9000);
	size_t at;

	if (!h)
		return;
	at = world_chance(w, 40) ? h->m->size : world_random(w, h->m->size + 2000);
	write_at(w, h, at, len);
}

/* Enough in a row that an upload follows the writer. */
static void do_write_long(struct world *w)
{
	struct mhandle *h = pick_handle(w, true);
	unsigned pieces = 2 + (unsigned)world_random(w, 6);

	if (!h || !world_chance(w, 10))
		return;
	if (world_chance(w, 30))
		write_at(w, h, 0, 1 + world_random(w, 100));
	for (unsigned i = 0; i < pieces && h->m->size < MODEL_FILE_MAX / 2; i++)
		write_at(w, h, h->m->size, WRITE_BIG + world_random(w, WRITE_MAX - WRITE_BIG));
}

static void do_read(struct world *w)
{
	struct mhandle *h = pick_handle(w, false);
	size_t at, len = 1 + world_random(w, world_chance(w, 80) ? 5000 : 300000);
	size_t want;
	char *bytes;
	ssize_t n;

	if (!h)
		return;
	at = world_random(w, h->m->size + 100);
	want = at >= h->m->size ? 0 : h->m->size - at < len ? h->m->size - at : len;
	bytes = malloc(len);
	if (!bytes)
		abort();
	world_log(w, "read \"%s\" %zu at %zu", h->m->name, len, at);
	n = fs_read(h->h, bytes, len, (int64_t)at, &w->rig->ctx);
	if (!world_spoilt(w, "read", n, (long)want) && want > 0 &&
	    memcmp(bytes, h->m->bytes + at, want) != 0)
		world_fail(w, "other bytes were read");
	free(bytes);
}

static size_t random_size(struct world *w, const struct mnode *m)
{
	switch (world_random(w, 4)) {
	case 0:
		return 0;
	case 1:
		return world_random(w, m->size + 1);
	case 2:
		return m->size;
	default:
		return m->size + world_random(w, 10000);
	}
}

static void resized(struct world *w, struct mnode *m, size_t size, int64_t before)
{
	/* Without a change of size POSIX leaves it open whether the time changes; and what is cut
	 * back to the bytes that the server has keeps the server's time where none can be set. */
	if (size < m->size && w->rig->traits.no_set_mtime)
		touch(m, 0);
	else
		touch(m, size != m->size || m->mtime > before ? before : m->mtime);
	model_resize(m, size);
}

/* It may be stored, although that was not said. */
static void copy_in_doubt(struct mnode *m, const struct mnode *from)
{
	model_write(m, from->bytes, from->size, 0);
	model_may_be_stored(m);
	model_resize(m, 0);
}

/* Over a file that was emptied, by the server itself. */
static void do_copy(struct world *w)
{
	struct mhandle *from = pick_handle(w, false), *to = pick_handle(w, true);
	int64_t before = world_now();
	struct stat want = {0};
	struct fs_attr attr;
	ssize_t n;

	if (!from || !to || from->m == to->m || from->m->size == 0 || to->flags & O_APPEND)
		return;
	world_log(w, "copy \"%s\" over \"%s\"", from->m->name, to->m->name);
	world_pause(w, true);
	world_spoilt(
		w, "truncate",
		fs_setattr(w->rig->fs, to->node, to->h, FS_SET_SIZE, &want, &attr, &w->rig->ctx),
		0);
	resized(w, to->m, 0, before);
	world_pause(w, false);
	n = fs_copy(from->h, 0, to->h, 0, from->m->size, &w->rig->ctx);
	if (n == -EOPNOTSUPP) {
		world_log(w, "        (not by the server)");
		if (w->rig->faults)
			copy_in_doubt(to->m, from->m);
		return;
	}
	world_spoilt(w, "copy", n, (long)from->m->size);
	model_write(to->m, from->m->bytes, from->m->size, 0);
	touch(to->m, before);
	check_stored(w, to->m);
	check_path(w, to->m);
}

/* A truncation failed: of an open file it may have happened here, of a closed one there. */
static void adopt_size(struct world *w, struct node *n, struct mnode *m, size_t size)
{
	struct fs_attr attr;
	int rc;

	model_may_be_stored(m);
	if (m->handles == 0) {
		model_resize(m, size);
		adopt_file(w, m);
		return;
	}
	world_pause(w, true);
	rc = fs_getattr(w->rig->fs, n, &attr, &w->rig->ctx);
	world_spoilt(w, "getattr", rc, 0);
	if ((size_t)attr.st.st_size == size)
		model_resize(m, size);
	else if ((size_t)attr.st.st_size != m->size) /* nobody writes it: given up at once */
		adopt_file(w, m);
	touch(m, 0);
	model_may_be_stored(m);
	if (m->parent)
		check_bytes(w, m);
	world_pause(w, false);
}

static void do_truncate(struct world *w)
{
	struct mhandle *h = world_chance(w, 50) ? pick_handle(w, true) : NULL;
	struct mnode *m = h ? h->m : pick_any(w);
	int64_t before = world_now();
	struct stat want = {0};
	struct fs_attr attr;
	struct node *n;
	size_t size = random_size(w, m);
	int rc;

	want.st_size = (off_t)size;
	if (size > MODEL_FILE_MAX || (!h && world_node(w, m, &n)))
		return;
	world_log(w, "truncate \"%s\" to %zu%s", m->name, size,
		  h	       ? " (by handle)"
		  : m->handles ? " (open)"
			       : "");
	rc = fs_setattr(w->rig->fs, h ? h->node : n, h ? h->h : NULL, FS_SET_SIZE, &want, &attr,
			&w->rig->ctx);
	if (world_spoilt(w, "truncate", rc, m->type == ENTRY_DIR ? -EISDIR : 0)) {
		m->doubt = true;
		if (m->type == ENTRY_FILE)
			adopt_size(w, h ? h->node : n, m, size);
		if (!h)
			world_forget(w, n);
		world_expire(w);
		return;
	}
	if (!h)
		world_forget(w, n);
	if (rc)
		return;
	resized(w, m, size, before);
	if (h)
		check_attr(w, m, &attr);
	if (m->parent && !world_writes(w, m) && !w->rig->back) /* nobody's close will store it */
		check_stored(w, m);
}

static void do_bad_size(struct world *w)
{
	struct mnode *m = pick_file(w);
	struct stat want = {.st_size = -1};
	struct fs_attr attr;
	struct node *n;
	int rc;

	if (!m || world_node(w, m, &n))
		return;
	world_log(w, "truncate \"%s\" to -1", m->name);
	rc = fs_setattr(w->rig->fs, n, NULL, FS_SET_SIZE, &want, &attr, &w->rig->ctx);
	world_spoilt(w, "truncate to -1", rc, -EINVAL);
	world_forget(w, n);
}

static void do_allocate(struct world *w)
{
	struct mhandle *h = pick_handle(w, true);
	int64_t before = world_now();
	size_t at, len = 1 + world_random(w, 5000);
	int mode = world_chance(w, 10) ? FALLOC_FL_KEEP_SIZE : 0;
	int rc;

	if (!h)
		return;
	at = world_random(w, h->m->size + 100);
	if (at + len > MODEL_FILE_MAX)
		return;
	world_log(w, "fallocate \"%s\" %zu at %zu, mode %d", h->m->name, len, at, mode);
	rc = fs_fallocate(h->h, mode, (int64_t)at, (int64_t)len, &w->rig->ctx);
	if (world_spoilt(w, "fallocate", rc, mode ? -EOPNOTSUPP : 0) || rc) {
		h->m->doubt = true;
		return;
	}
	resized(w, h->m, at + len > h->m->size ? at + len : h->m->size, before);
}

static void do_flush(struct world *w)
{
	struct mhandle *h = pick_handle(w, world_chance(w, 80));

	if (!h || world_flush(w, h, world_chance(w, 50)))
		return;
	check_path(w, h->m);
}

void world_close(struct world *w, struct mhandle *h, bool flush)
{
	struct mnode *m = h->m;
	bool told = flush && world_flush(w, h, false) == 0 && handle_is_for_writing(h);
	bool last = m->handles == 1 && m->parent;

	m->doubt |= !told; /* its last words are a commit, too */
	world_log(w, "close \"%s\"%s", m->name, flush ? "" : " without a flush");
	if (!told && w->rig->faults)
		guess_stored(w, m);
	fs_release(h->h);
	world_forget(w, h->node);
	*h = (struct mhandle){0};
	model_closed(m);
	if (!last)
		return;
	if (told || !w->rig->faults) {
		if (!w->rig->back)
			check_stored(w, m);
		return;
	}
	adopt_file(w, m);
	world_expire(w);
}

static void do_close(struct world *w)
{
	struct mhandle *h = &w->handles[world_random(w, WORLD_HANDLES)];
	struct mnode *m = h->m;
	bool stays = m && (m->parent || m->handles > 1);

	if (!m)
		return;
	world_close(w, h, world_chance(w, 90));
	if (stays && !w->rig->faults)
		check_path(w, m);
}

void world_close_all(struct world *w)
{
	world_pause(w, true);
	for (int i = 0; i < WORLD_HANDLES; i++)
		if (w->handles[i].m)
			world_close(w, &w->handles[i], true);
	world_pause(w, false);
}

/* An open file (or an orphan) is what its handle shows. */
static void do_look_open(struct world *w)
{
	struct mhandle *h = &w->handles[world_random(w, WORLD_HANDLES)];
	struct fs_attr attr;
	int rc;

	if (!h->m)
		return;
	world_log(w, "fstat \"%s\"%s", h->m->name, h->m->parent ? "" : " (orphan)");
	rc = fs_getattr(w->rig->fs, h->node, &attr, &w->rig->ctx);
	if (!world_spoilt(w, "fstat", rc, 0))
		check_attr(w, h->m, &attr);
}

static void do_compare(struct world *w)
{
	struct mnode *m = pick_file(w);

	if (!m)
		return;
	world_log(w, "compare \"%s\"", m->name);
	check_bytes(w, m);
}

void step_file(struct world *w, unsigned dice)
{
	static const struct {
		unsigned weight;
		void (*step)(struct world *w);
	} steps[] = {
		{12, do_create}, {12, do_open},	   {20, do_write},    {3, do_write_long},
		{14, do_read},	 {8, do_truncate}, {1, do_bad_size},  {2, do_allocate},
		{7, do_flush},	 {13, do_close},   {3, do_look_open}, {3, do_compare},
		{2, do_copy},
	};
	size_t i = 0;

	for (dice %= 100; dice >= steps[i].weight; i++)
		dice -= steps[i].weight;
	steps[i].step(w);
}

void world_step(struct world *w)
{
	if (world_chance(w, 60))
		step_file(w, (unsigned)world_random(w, 100));
	else
		step_name(w, (unsigned)world_random(w, 100));
}

void world_sync(struct world *w)
{
	world_spoilt(w, "sync", fs_sync(w->rig->fs, &w->rig->ctx), 0);
}

void world_end(struct world *w)
{
	world_close_all(w);
	world_sync(w);
	if (w->dir.d) {
		check_dir_again(w);
		fs_releasedir(w->dir.d);
		world_forget(w, w->dir.node);
		w->dir = (struct mdir){0};
	}
	check_tree(w);
	world_expire(w);
	check_tree(w);
	check_server(w, w->rig->faults);
}
