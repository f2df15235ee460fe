/* model_check - is the filesystem what the model says?  And the server? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/commit.h"
#include "model_world.h"

static int64_t st_mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
}

static void check_mtime(struct world *w, const struct mnode *m, int64_t shown)
{
	if (shown % NS_PER_S != 0)
		world_fail(w, "mtime of %s is not a whole second: %" PRId64, m->name, shown);
	if (m->mtime_exact && shown != m->mtime)
		world_fail(w, "mtime of %s: %" PRId64 ", was set to %" PRId64, m->name, shown,
			   m->mtime);
	if (!m->mtime_exact && (shown < m->mtime || shown > clock_realtime()))
		world_fail(w, "mtime of %s: %" PRId64 ", changed at %" PRId64 ", now %" PRId64,
			   m->name, shown, m->mtime, clock_realtime());
}

static mode_t stat_type(const struct mnode *m)
{
	return m->type == ENTRY_DIR ? S_IFDIR : m->type == ENTRY_LINK ? S_IFLNK : S_IFREG;
}

void check_attr(struct world *w, struct mnode *m, const struct fs_attr *a)
{
	if ((a->st.st_mode & S_IFMT) != stat_type(m))
		world_fail(w, "type of %s: %o", m->name, a->st.st_mode);
	if (a->st.st_uid != 1000 || a->st.st_gid != 1000)
		world_fail(w, "owner of %s", m->name);
	if (a->ttl < 0)
		world_fail(w, "ttl of %s: %" PRId64, m->name, a->ttl);
	if (m->type != ENTRY_LINK && !w->rig->traits.no_modes && (a->st.st_mode & 07777) != m->mode)
		world_fail(w, "mode of %s: %o, the model says %o", m->name, a->st.st_mode & 07777,
			   m->mode);
	if (m->type != ENTRY_FILE)
		return;
	if ((size_t)a->st.st_size != m->size)
		world_fail(w, "size of %s: %jd, the model says %zu", m->name,
			   (intmax_t)a->st.st_size, m->size);
	check_mtime(w, m, st_mtime_ns(&a->st));
}

static struct node *open_node(const struct world *w, const struct mnode *m)
{
	for (int i = 0; i < WORLD_HANDLES; i++)
		if (w->handles[i].m == m)
			return w->handles[i].node;
	return NULL;
}

void check_path(struct world *w, struct mnode *m)
{
	struct fs_found found;
	struct fs_attr attr;
	struct node *dir, *held = open_node(w, m);
	int rc;

	if (!m->parent || world_node(w, m->parent, &dir))
		return;
	rc = fs_lookup(w->rig->fs, dir, m->name, &found, &w->rig->ctx);
	world_forget(w, dir);
	if (world_spoilt(w, "lookup", rc, 0))
		return;
	if (!found.node)
		world_fail(w, "\"%s\" is not there", m->name);
	if (held && found.node != held)
		world_fail(w, "\"%s\" is open, and its name leads to another node", m->name);
	check_attr(w, m, &found.attr);
	rc = fs_getattr(w->rig->fs, found.node, &attr, &w->rig->ctx);
	if (!world_spoilt(w, "getattr", rc, 0))
		check_attr(w, m, &attr);
	world_forget(w, found.node);
}

void check_absent(struct world *w, const struct mnode *mdir, const char *name)
{
	struct fs_found found;
	struct node *dir;
	int rc;

	if (world_node(w, mdir, &dir))
		return;
	rc = fs_lookup(w->rig->fs, dir, name, &found, &w->rig->ctx);
	world_forget(w, dir);
	if (world_spoilt(w, "lookup of nothing", rc, 0))
		return;
	if (found.node)
		world_fail(w, "\"%s\" is there, and must not be", name);
}

static bool is_aside(const char *name)
{
	return strncmp(name, COMMIT_TEMP_PREFIX, strlen(COMMIT_TEMP_PREFIX)) == 0 &&
	       !commit_is_temp(name);
}

static void check_dirent(struct world *w, struct mnode *dir, struct dirhandle *d, uint64_t index,
			 const struct fs_dirent *e)
{
	struct mnode *m = model_child(dir, e->name);
	struct fs_found found;

	if (!m)
		world_fail(w, "readdir shows \"%s\"", e->name);
	if (e->type != stat_type(m))
		world_fail(w, "readdir: type of \"%s\": %o", e->name, e->type);
	if (e->ino == 0)
		world_fail(w, "readdir: \"%s\" has no inode number", e->name);
	if (index % 2 && fs_dirent_plus(d, index, &found)) {
		if (!found.node)
			world_fail(w, "readdirplus: \"%s\" without a node", e->name);
		if (found.attr.st.st_ino != e->ino)
			world_fail(w, "readdirplus: \"%s\" has two inode numbers", e->name);
		check_attr(w, m, &found.attr);
		world_forget(w, found.node);
	}
}

static void check_dots(struct world *w, struct dirhandle *d)
{
	struct fs_dirent e;

	if (!fs_dirent(d, 0, &e) || strcmp(e.name, ".") != 0 || e.type != S_IFDIR ||
	    !fs_dirent(d, 1, &e) || strcmp(e.name, "..") != 0 || e.type != S_IFDIR)
		world_fail(w, "readdir: no \".\" and \"..\"");
}

void check_names(struct world *w, struct mnode *dir)
{
	struct dirhandle *d;
	struct fs_dirent e;
	struct node *n;
	unsigned count = 0, want = 0;
	int rc;

	if (world_node(w, dir, &n))
		return;
	rc = fs_opendir(w->rig->fs, n, &d, &w->rig->ctx);
	world_forget(w, n);
	if (world_spoilt(w, "opendir", rc, 0))
		return;
	check_dots(w, d);
	for (uint64_t i = 2; fs_dirent(d, i, &e); i++) {
		if (w->rig->faults && is_aside(e.name))
			continue; /* of a rename whose link was lost */
		check_dirent(w, dir, d, i, &e);
		count++;
	}
	fs_releasedir(d);
	for (const struct mnode *c = dir->first; c; c = c->next)
		want++;
	if (count != want)
		world_fail(w, "readdir of \"%s\": %u names, the model has %u", dir->name, count,
			   want);
}

void look_into(struct world *w)
{
	struct mnode *dir = pick_dir(w);

	world_log(w, "readdir \"%s\"", dir->name);
	check_names(w, dir);
}

void check_dir_again(struct world *w)
{
	struct fs_dirent e;
	unsigned seen = 0;

	for (uint64_t i = 2; fs_dirent(w->dir.d, i, &e); i++, seen++)
		if (seen >= w->dir.n || strcmp(w->dir.names[seen], e.name) != 0)
			world_fail(w, "a directory held open changed its names");
	if (seen != w->dir.n)
		world_fail(w, "a directory held open lost names");
}

/* Reads all of h in pieces that are not aligned to anything. */
static void compare_bytes(struct world *w, const struct mnode *m, struct handle *h)
{
	size_t piece = 1 + world_random(w, world_chance(w, 30) ? 3000 : 200000);
	char *bytes = malloc(piece);
	size_t at = 0;
	ssize_t n;

	if (!bytes)
		abort();
	do {
		size_t want = m->size - at < piece ? m->size - at : piece;

		n = fs_read(h, bytes, piece, (int64_t)at, &w->rig->ctx);
		if (world_spoilt(w, "read", n, (long)want))
			break;
		if (n > 0 && memcmp(bytes, m->bytes + at, (size_t)n) != 0)
			world_fail(w, "bytes of \"%s\" at %zu (+%zd) are not the model's", m->name,
				   at, n);
		at += (size_t)n;
	} while (n > 0);
	free(bytes);
}

void check_bytes(struct world *w, struct mnode *m)
{
	struct handle *h;
	struct node *n;
	bool keep = false;
	int rc;

	if (world_node(w, m, &n))
		return;
	rc = fs_open(w->rig->fs, n, O_RDONLY, &h, &keep, &w->rig->ctx);
	if (!world_spoilt(w, "open to compare", rc, 0)) {
		if (keep && m->pages_stale)
			world_fail(w, "the kernel's pages of \"%s\" are kept, and wrong", m->name);
		m->pages_stale = false;
		m->pages = true;
		compare_bytes(w, m, h);
		rc = fs_flush(h, &w->rig->ctx);
		if (w->paused && rc) /* what an earlier commit left to be told, once */
			rc = fs_flush(h, &w->rig->ctx);
		world_spoilt(w, "close after comparing", rc, 0);
		fs_release(h);
	}
	world_forget(w, n);
}

static void check_below(struct world *w, struct mnode *dir)
{
	check_names(w, dir);
	for (struct mnode *c = dir->first; c; c = c->next) {
		check_path(w, c);
		if (c->type == ENTRY_DIR)
			check_below(w, c);
		else if (c->type == ENTRY_FILE)
			check_bytes(w, c);
	}
}

void check_tree(struct world *w)
{
	world_pause(w, true);
	check_below(w, w->root);
	world_pause(w, false);
}

void check_stored(struct world *w, struct mnode *m)
{
	struct buf path;
	char *bytes;
	size_t n;
	int rc;

	if (!m->parent)
		return; /* removed: it has no place on the server */
	world_path(w, m, NULL, &path);
	rc = mem_get(w->rig->server, buf_text(&path), &bytes, &n);
	if (rc)
		world_fail(w, "%s is not on the server: %s", buf_text(&path), strerror(-rc));
	if (n != m->size)
		world_fail(w, "%s has %zu bytes on the server, the model %zu", buf_text(&path), n,
			   m->size);
	if (n > 0 && memcmp(bytes, m->bytes, n) != 0)
		world_fail(w, "%s has other bytes on the server", buf_text(&path));
	free(bytes);
	buf_free(&path);
	if (w->rig->faults)
		model_confirmed(m);
}

struct server_walk {
	struct world *w;
	bool temporaries; /* a lost link may have left some behind */
	unsigned count;
};

static void check_server_name(void *arg, const char *path, const struct entry *e)
{
	struct server_walk *sw = arg;
	struct mnode *m = sw->w->root;
	char copy[512], *save = NULL;

	if (sw->temporaries && strstr(path, "/" COMMIT_TEMP_PREFIX))
		return;
	snprintf(copy, sizeof(copy), "%s", path + strlen(sw->w->prefix));
	for (char *name = strtok_r(copy, "/", &save); name && m; name = strtok_r(NULL, "/", &save))
		m = model_child(m, name);
	if (!m || m->type != e->type)
		world_fail(sw->w, "the server has %s, and must not", path);
	sw->count++;
	if (m->type == ENTRY_FILE)
		check_stored(sw->w, m);
}

void check_server(struct world *w, bool temporaries)
{
	struct server_walk sw = {.w = w, .temporaries = temporaries};

	mem_walk(w->rig->server, w->prefix[0] ? w->prefix : "/", check_server_name, &sw);
	if (sw.count + 1 != model_count(w->root))
		world_fail(w, "the server has %u names, the model %u", sw.count,
			   model_count(w->root) - 1);
}

void guess_stored(struct world *w, struct mnode *m)
{
	struct buf path;
	char *bytes;
	size_t n;
	bool same = false;

	world_path(w, m, NULL, &path);
	if (m->parent && mem_get(w->rig->server, buf_text(&path), &bytes, &n) == 0) {
		same = n == m->size && (n == 0 || memcmp(bytes, m->bytes, n) == 0);
		free(bytes);
	}
	buf_free(&path);
	/* It may have succeeded and still have told of an older failure; or the proof was lost, and
	 * the filesystem goes on as if nothing had been stored. */
	if (same) {
		bool in_place = model_in_place(m);

		model_confirmed(m);
		m->in_place = in_place;
	} else {
		model_may_be_stored(m);
	}
}

void adopt_file(struct world *w, struct mnode *m)
{
	struct buf path;
	struct entry e;
	char *bytes;
	size_t n;

	world_settle(w);
	world_path(w, m, NULL, &path);
	if (mem_stat(w->rig->server, buf_text(&path), &e)) {
		if (m->on_server)
			world_fail(w, "%s was stored once, and is gone", buf_text(&path));
		world_log(w, "        %s was never stored", buf_text(&path));
		model_unlink(m);
		buf_free(&path);
		return;
	}
	if (mem_get(w->rig->server, buf_text(&path), &bytes, &n))
		world_fail(w, "%s is no file any more", buf_text(&path));
	/* A server that does not rename over a file has its files written in place. */
	if (!w->rig->traits.no_rename_over && !model_plausible(m, bytes, n) &&
	    !(!w->rig->traits.no_patch && model_mixture(m, bytes, n)))
		world_fail(w, "%s has %zu bytes on the server that it never had", buf_text(&path),
			   n);
	if (n != m->size || (n > 0 && memcmp(bytes, m->bytes, n) != 0)) {
		world_log(w, "        %s is what the server has: %zu bytes", buf_text(&path), n);
		m->pages_stale = m->pages;
		m->size = 0;
		model_write(m, bytes, n, 0);
	}
	m->mode = e.mode;
	m->mtime = 0;
	m->mtime_exact = false;
	model_confirmed(m);
	free(bytes);
	entry_clear(&e);
	buf_free(&path);
}

void adopt_mode(struct world *w, struct mnode *m)
{
	struct buf path;
	struct entry e;

	world_path(w, m, NULL, &path);
	if (mem_stat(w->rig->server, buf_text(&path), &e) == 0) {
		m->mode = e.mode;
		entry_clear(&e);
	}
	buf_free(&path);
	world_expire(w);
}
