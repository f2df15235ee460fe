/* model_ops_names - random operations on names, on both sides. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/commit.h"
#include "model_world.h"

enum { NODES_MAX = 60, DEPTH_MAX = 3 };

int64_t touch(struct mnode *m, int64_t before)
{
	m->mtime = before;
	m->mtime_exact = false;
	return before;
}

static unsigned depth(const struct mnode *m)
{
	return m->parent ? 1 + depth(m->parent) : 0;
}

/* Is there something of this type on the server? */
static bool on_server(struct world *w, const struct mnode *dir, const char *name,
		      enum entry_type type)
{
	struct buf path;
	struct entry e;
	bool there = false;

	world_path(w, dir, name, &path);
	if (mem_stat(w->rig->server, buf_text(&path), &e) == 0) {
		there = e.type == type;
		entry_clear(&e);
	}
	buf_free(&path);
	return there;
}

static void add_name(struct mnode *dir, const char *name, enum entry_type type, uint32_t mode)
{
	struct mnode *m = model_new(type, name);

	m->mode = mode;
	m->on_server = true;
	model_link(dir, m);
}

static void do_mkdir(struct world *w)
{
	struct mnode *dir = pick_dir(w);
	const char *name = pick_name(w);
	uint32_t mode = world_chance(w, 80) ? 0755 : 0700;
	struct fs_found found;
	struct node *n;
	int rc;

	if (depth(dir) >= DEPTH_MAX || world_node(w, dir, &n))
		return;
	world_log(w, "mkdir \"%s\" in \"%s\", mode %o", name, dir->name, mode);
	rc = fs_mkdir(w->rig->fs, n, name, mode, &found, &w->rig->ctx);
	world_forget(w, n);
	if (world_spoilt(w, "mkdir", rc, model_child(dir, name) ? -EEXIST : 0)) {
		if (!model_child(dir, name) && on_server(w, dir, name, ENTRY_DIR)) {
			struct buf path;
			struct entry e;

			world_path(w, dir, name, &path);
			mem_stat(w->rig->server, buf_text(&path), &e);
			add_name(dir, name, ENTRY_DIR, e.mode);
			buf_free(&path);
		}
		world_expire(w);
		return;
	}
	if (rc)
		return;
	add_name(dir, name, ENTRY_DIR, mode);
	/* The mode is asked for in a second command, whose failure mkdir does not report. */
	if (w->rig->faults) {
		world_forget(w, found.node);
		adopt_mode(w, model_child(dir, name));
		return;
	}
	check_attr(w, model_child(dir, name), &found.attr);
	world_forget(w, found.node);
}

static void do_symlink(struct world *w)
{
	struct mnode *dir = pick_dir(w);
	const char *name = pick_name(w), *target = pick_name(w);
	struct fs_found found;
	struct node *n;
	int rc, want = model_child(dir, name) ? -EEXIST : 0;

	if (w->rig->traits.no_symlink || world_node(w, dir, &n))
		return;
	world_log(w, "symlink \"%s\" in \"%s\" -> \"%s\"", name, dir->name, target);
	rc = fs_symlink(w->rig->fs, target, n, name, &found, &w->rig->ctx);
	world_forget(w, n);
	if (world_spoilt(w, "symlink", rc, want)) {
		if (!model_child(dir, name) && on_server(w, dir, name, ENTRY_LINK))
			want = rc = 0;
		world_expire(w);
	} else if (!rc) {
		world_forget(w, found.node);
	}
	if (rc || want)
		return;
	add_name(dir, name, ENTRY_LINK, 0777);
	strcpy(model_child(dir, name)->target, target);
}

static void do_readlink(struct world *w)
{
	struct mnode *dir = pick_dir(w), *m = model_child(dir, pick_name(w));
	struct node *n;
	struct buf target;
	int rc;

	if (!m || world_node(w, m, &n))
		return;
	world_log(w, "readlink \"%s\"", m->name);
	buf_init(&target, 4096);
	rc = fs_readlink(w->rig->fs, n, &target, &w->rig->ctx);
	world_forget(w, n);
	if (!world_spoilt(w, "readlink", rc, m->type == ENTRY_LINK ? 0 : -EINVAL) && !rc &&
	    strcmp(buf_text(&target), m->target) != 0)
		world_fail(w, "readlink: \"%s\", was made as \"%s\"", buf_text(&target), m->target);
	buf_free(&target);
}

static void do_unlink(struct world *w)
{
	struct mnode *dir = pick_dir(w), *m;
	const char *name = pick_name(w);
	struct node *n;
	int rc;

	if (world_node(w, dir, &n))
		return;
	m = model_child(dir, name);
	world_log(w, "unlink \"%s\" in \"%s\"%s", name, dir->name,
		  m && m->handles ? " (open)" : "");
	fault_spare_after(w->rig->plan, m && m->handles);
	rc = fs_unlink(w->rig->fs, n, name, &w->rig->ctx);
	fault_spare_after(w->rig->plan, false);
	world_forget(w, n);
	if (world_spoilt(w, "unlink", rc, model_may_unlink(m))) {
		if (m && m->type != ENTRY_DIR && m->handles == 0 &&
		    !on_server(w, dir, name, m->type))
			model_unlink(m);
		world_expire(w);
	} else if (!rc) {
		model_unlink(m);
		check_absent(w, dir, name);
	}
}

static void find_litter(void *arg, const char *path, const struct entry *e)
{
	(void)e;
	if (strstr(path, "/" COMMIT_TEMP_PREFIX))
		*(bool *)arg = true;
}

/* Did a lost link leave a temporary sibling behind in this directory? */
static bool has_litter(struct world *w, const struct mnode *dir)
{
	struct buf path;
	bool found = false;

	if (!w->rig->faults)
		return false;
	world_path(w, dir, NULL, &path);
	mem_walk(w->rig->server, buf_text(&path), find_litter, &found);
	buf_free(&path);
	return found;
}

static void do_rmdir(struct world *w)
{
	struct mnode *dir = pick_dir(w), *m;
	const char *name = pick_name(w);
	struct node *n;
	int rc;

	if (world_node(w, dir, &n))
		return;
	m = model_child(dir, name);
	world_log(w, "rmdir \"%s\" in \"%s\"", name, dir->name);
	rc = fs_rmdir(w->rig->fs, n, name, &w->rig->ctx);
	world_forget(w, n);
	if (rc == -ENOTEMPTY && m && has_litter(w, m))
		return;
	if (world_spoilt(w, "rmdir", rc, model_may_rmdir(m))) {
		if (m && model_may_rmdir(m) == 0 && !on_server(w, dir, name, ENTRY_DIR))
			model_unlink(m);
		world_expire(w);
	} else if (!rc) {
		model_unlink(m);
		check_absent(w, dir, name);
	}
}

/* After a failure: how far did it come? */
static void adopt_rename(struct world *w, struct mnode *m, struct mnode *to, const char *name)
{
	struct mnode *over = model_child(to, name);

	if (m == over)
		return;
	if (!on_server(w, m->parent, m->name, m->type) && on_server(w, to, name, m->type) &&
	    m->on_server) {
		world_log(w, "        it was renamed");
		model_move(m, to, name);
	} else if (over && (over->type == ENTRY_DIR || w->rig->traits.no_rename_over) &&
		   !on_server(w, to, name, over->type) && over->on_server) {
		world_log(w, "        the target was removed");
		model_unlink(over);
	} else if (over && over->type == ENTRY_DIR) {
		adopt_mode(w, over); /* it may have been removed and made again */
	}
	world_expire(w);
}

/* Where several rules are broken at once, which one is named is nobody's business. */
static bool rename_may_say(struct world *w, const struct mnode *m, const struct mnode *to,
			   const struct mnode *over, bool noreplace, int rc)
{
	if (!m || !over || over == m)
		return false;
	if (rc == -ENOTEMPTY && m->type == ENTRY_DIR && has_litter(w, over))
		return true;
	return (rc == -EINVAL && model_below(to, m)) || (rc == -EEXIST && noreplace) ||
	       (rc == -ENOTEMPTY && over->type == ENTRY_DIR && over->first) ||
	       (rc == -EISDIR && m->type != ENTRY_DIR && over->type == ENTRY_DIR) ||
	       (rc == -ENOTDIR && m->type == ENTRY_DIR && over->type != ENTRY_DIR);
}

static void do_rename(struct world *w)
{
	struct mnode *from = pick_dir(w), *to = pick_dir(w), *m, *over;
	const char *name = pick_name(w), *new_name = pick_name(w);
	bool noreplace = world_chance(w, 20);
	struct node *nf, *nt;
	int rc, want;

	m = model_child(from, name);
	over = model_child(to, new_name);
	/* Where the target has to step aside, a link lost at the wrong moment leaves it there. */
	if (w->rig->faults && w->rig->traits.no_rename_over && over && over->handles)
		return;
	if ((m && m->type == ENTRY_DIR && depth(to) >= DEPTH_MAX) || world_node(w, from, &nf))
		return;
	if (world_node(w, to, &nt)) {
		world_forget(w, nf);
		return;
	}
	world_log(w, "rename \"%s\" in \"%s\" to \"%s\" in \"%s\"%s%s%s", name, from->name,
		  new_name, to->name, noreplace ? ", noreplace" : "",
		  m && m->handles ? " (open)" : "", over && over->handles ? " (target open)" : "");
	want = model_may_rename(m, to, over, noreplace);
	fault_spare_after(w->rig->plan, (m && model_any_open(m)) || (over && over->handles));
	rc = fs_rename(w->rig->fs, nf, name, nt, new_name, noreplace ? FS_RENAME_NOREPLACE : 0,
		       &w->rig->ctx);
	fault_spare_after(w->rig->plan, false);
	world_forget(w, nf);
	world_forget(w, nt);
	if (rc && rename_may_say(w, m, to, over, noreplace, rc))
		return;
	if (world_spoilt(w, "rename", rc, want)) {
		if (m && m->type == ENTRY_FILE)
			guess_stored(w, m);
		for (int i = 0; m && i < WORLD_HANDLES; i++)
			if (w->handles[i].m && model_below(w->handles[i].m, m)) {
				w->handles[i].m->doubt = true;
				guess_stored(w, w->handles[i].m);
			}
		if (m && !want)
			adopt_rename(w, m, to, new_name);
	} else if (!rc && m != over) {
		model_move(m, to, new_name);
		check_absent(w, from, name);
		check_path(w, m);
		if (w->rig->back)
			return;
		if (m->type == ENTRY_FILE)
			check_stored(w, m);
		for (int i = 0; i < WORLD_HANDLES; i++) /* what is open below was committed first */
			if (w->handles[i].m && model_below(w->handles[i].m, m))
				check_stored(w, w->handles[i].m);
	}
}

/* An open file may be stored first: that is another test's. */
static int set_attr(struct world *w, const struct mnode *m, struct node *n, unsigned what,
		    const struct stat *want, struct fs_attr *attr)
{
	bool stores = m->handles > 0 && w->rig->traits.untold;
	int rc;

	if (stores)
		world_pause(w, true);
	rc = fs_setattr(w->rig->fs, n, NULL, what, want, attr, &w->rig->ctx);
	if (stores)
		world_pause(w, false);
	return rc;
}

static void do_chmod(struct world *w)
{
	static const uint32_t modes[] = {0644, 0600, 0755, 0700, 0444};
	struct mnode *m = pick_any(w);
	struct stat want = {.st_mode = modes[world_random(w, 5)]};
	struct fs_attr attr;
	struct node *n;
	int rc;

	if (!m->parent || w->rig->traits.no_modes || world_node(w, m, &n))
		return;
	world_log(w, "chmod \"%s\" %o%s", m->name, want.st_mode, m->handles ? " (open)" : "");
	/* What was believed of an open file goes into its next commit: it must not be half true. */
	fault_spare_after(w->rig->plan, m->handles > 0);
	rc = set_attr(w, m, n, FS_SET_MODE, &want, &attr);
	fault_spare_after(w->rig->plan, false);
	world_forget(w, n);
	if (world_spoilt(w, "chmod", rc, 0)) {
		adopt_mode(w, m);
	} else {
		m->mode = want.st_mode;
		check_attr(w, m, &attr);
	}
}

static void do_utimens(struct world *w)
{
	struct mnode *m = pick_any(w);
	int64_t when = (1000000000 + (int64_t)world_random(w, 400000000)) * NS_PER_S;
	struct stat want = {.st_mtim = {.tv_sec = when / NS_PER_S, .tv_nsec = 5}};
	bool now = world_chance(w, 20);
	int64_t before = world_now();
	struct fs_attr attr;
	struct node *n;
	int rc;

	if (!m->parent || world_node(w, m, &n))
		return;
	world_log(w, "utimens \"%s\" %" PRId64 "%s", m->name, now ? -1 : when / NS_PER_S,
		  m->handles ? " (open)" : "");
	rc = set_attr(w, m, n, now ? FS_SET_MTIME_NOW : FS_SET_MTIME, &want, &attr);
	world_forget(w, n);
	if (w->rig->traits.no_set_mtime && m->type == ENTRY_FILE) {
		touch(m, 0);
		if (rc == -EOPNOTSUPP)
			return;
	}
	if (world_spoilt(w, "utimens", rc, 0)) {
		touch(m, 0);
		world_expire(w);
		return;
	}
	if (m->type == ENTRY_DIR && !now && attr.st.st_mtim.tv_sec != want.st_mtim.tv_sec)
		world_fail(w, "time of directory \"%s\" was not kept", m->name);
	if (m->type != ENTRY_FILE || w->rig->traits.no_set_mtime)
		return;
	touch(m, now ? before : when);
	m->mtime_exact = !now;
	check_attr(w, m, &attr);
}

static void do_bad_name(struct world *w)
{
	char long_name[300];
	struct fs_found found;
	struct node *n;
	int rc;

	if (world_node(w, w->root, &n))
		return;
	memset(long_name, 'x', sizeof(long_name));
	long_name[256] = '\0';
	world_log(w, "bad names");
	rc = fs_mkdir(w->rig->fs, n, long_name, 0755, &found, &w->rig->ctx);
	world_spoilt(w, "mkdir of a long name", rc, -ENAMETOOLONG);
	rc = fs_lookup(w->rig->fs, n, long_name, &found, &w->rig->ctx);
	world_spoilt(w, "lookup of a long name", rc, -ENAMETOOLONG);
	rc = fs_mkdir(w->rig->fs, n, "x\ny", 0755, &found, &w->rig->ctx);
	world_spoilt(w, "mkdir of a name with LF", rc, -EINVAL);
	rc = fs_symlink(w->rig->fs, "a", n, "x\ry", &found, &w->rig->ctx);
	world_spoilt(w, "symlink of a name with CR", rc, -EINVAL);
	world_forget(w, n);
}

static void do_statfs(struct world *w)
{
	struct statvfs sv;
	int rc = fs_statfs(w->rig->fs, &sv, &w->rig->ctx);

	world_log(w, "statfs");
	if (!world_spoilt(w, "statfs", rc, 0) && (sv.f_blocks == 0 || sv.f_namemax != 255))
		world_fail(w, "statfs: %ju blocks", (uintmax_t)sv.f_blocks);
}

/* Hold a directory open over other operations; the names must stay those of its opening. */
static void do_hold_dir(struct world *w)
{
	struct fs_dirent e;
	struct mnode *dir = pick_dir(w);
	int rc;

	if (w->dir.d) {
		world_log(w, "readdir again, close");
		check_dir_again(w);
		fs_releasedir(w->dir.d);
		world_forget(w, w->dir.node);
		w->dir = (struct mdir){0};
		return;
	}
	if (world_node(w, dir, &w->dir.node))
		return;
	world_log(w, "opendir \"%s\" and hold", dir->name);
	rc = fs_opendir(w->rig->fs, w->dir.node, &w->dir.d, &w->rig->ctx);
	if (world_spoilt(w, "opendir", rc, 0)) {
		world_forget(w, w->dir.node);
		w->dir = (struct mdir){0};
		return;
	}
	for (uint64_t i = 2; fs_dirent(w->dir.d, i, &e) && w->dir.n < WORLD_NAMES; i++)
		strcpy(w->dir.names[w->dir.n++], e.name);
}

/* Somebody else changes the server. */
static void do_elsewhere(struct world *w)
{
	struct mnode *dir = pick_dir(w), *m;
	const char *name = pick_name(w);
	char bytes[100];
	size_t len = world_random(w, sizeof(bytes));
	struct buf path;
	int64_t before;

	m = model_child(dir, name);
	if (w->rig->threads || (m && (m->handles || m->type != ENTRY_FILE)))
		return;
	world_sync(w);
	world_expire(w);
	if (w->rig->traits.coarse_times) /* the same size in the same minute cannot be told apart */
		clock_advance(60 * NS_PER_S);
	before = world_now();
	world_path(w, dir, name, &path);
	memset(bytes, 'A' + (int)world_random(w, 26), sizeof(bytes));
	if (m && world_chance(w, 30)) {
		world_log(w, "elsewhere: %s is removed", buf_text(&path));
		if (mem_remove(w->rig->server, buf_text(&path)))
			world_fail(w, "it was not on the server");
		model_unlink(m);
	} else {
		world_log(w, "elsewhere: %s gets %zu bytes", buf_text(&path), len);
		if (mem_put(w->rig->server, buf_text(&path), bytes, len))
			world_fail(w, "cannot be put on the server");
		if (!m)
			add_name(dir, name, ENTRY_FILE, 0644);
		m = model_child(dir, name);
		model_resize(m, 0);
		model_write(m, bytes, len, 0);
		touch(m, before);
		m->pages_stale = m->pages;
		if (w->rig->faults)
			model_confirmed(m);
	}
	buf_free(&path);
	world_expire(w);
}

static void do_look(struct world *w)
{
	struct mnode *m = pick_any(w);
	struct mnode *dir = pick_dir(w);
	const char *name = pick_name(w);

	if (w->rig->back && world_chance(w, 10)) {
		world_log(w, "sync");
		world_sync(w);
	}
	world_log(w, "look at \"%s\", and for \"%s\" in \"%s\"", m->name, name, dir->name);
	check_path(w, m);
	if (!model_child(dir, name))
		check_absent(w, dir, name);
}

void step_name(struct world *w, unsigned dice)
{
	static const struct {
		unsigned weight;
		void (*step)(struct world *w);
	} steps[] = {
		{12, do_mkdir},	  {8, do_rmdir},    {16, do_unlink},   {16, do_rename},
		{3, do_symlink},  {3, do_readlink}, {6, do_chmod},     {8, do_utimens},
		{1, do_bad_name}, {1, do_statfs},   {4, do_hold_dir},  {4, do_elsewhere},
		{10, do_look},	  {6, look_into},   {2, world_expire},
	};
	size_t i = 0;

	if (model_count(w->root) > NODES_MAX) {
		do_unlink(w);
		do_rmdir(w);
		return;
	}
	for (dice %= 100; dice >= steps[i].weight; i++)
		dice -= steps[i].weight;
	steps[i].step(w);
}
