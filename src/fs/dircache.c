/* fs/dircache - when to ask the server about names, and how its answers reach the tree. */
#include "fs/dircache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/stats.h"
#include "fs/commit.h"
#include "tree_private.h"

enum {
	FETCH_TRIES = 3,
	/* A listing costs about as much as so many names of it asked for one by one. */
	NAMES_PER_STAT = 500,
};

/* Temporaries would be shown to programs that want to copy or remove them, half written as they
 * are, and whether their commit still runs, here or in another client, cannot be seen. */
static void hide_temporaries(struct listing *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (!commit_is_temp(l->v[i].name))
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
}

/* One trip to the server; dir->fetching is ours. */
static int fetch_once(struct dircache *c, struct node *dir, uint64_t epoch, const struct opctx *ctx)
{
	struct listing l;
	struct buf path, now;
	size_t bytes;
	int err;

	buf_init(&path, PATH_LIMIT + 1);
	buf_init(&now, PATH_LIMIT + 1);
	listing_init(&l, LISTING_MAX);
	err = tree_path(c->tree, dir, &path);
	if (!err)
		err = remote_list(c->remote, buf_text(&path), &l, ctx);
	if (!err) {
		hide_temporaries(&l);
		err = tree_publish(c->tree, dir, &l, epoch);
	} else if (err == -ENOENT && !tree_path(c->tree, dir, &now) &&
		   strcmp(buf_text(&path), buf_text(&now)) != 0) {
		err = -EAGAIN; /* renamed by us meanwhile */
	}
	bytes = l.cap * sizeof(*l.v);
	listing_free(&l);
	memory_freed(bytes);
	buf_free(&path);
	buf_free(&now);
	return err;
}

static int fetch(struct dircache *c, struct node *dir, const struct opctx *ctx)
{
	struct tree *t = c->tree;
	int err = -EAGAIN;
	uint64_t epoch;

	for (int i = 0; i < FETCH_TRIES && err == -EAGAIN && !(i && ctx->background); i++) {
		mutex_lock(&t->lock);
		epoch = tree_fetch_begin_locked(t, dir);
		mutex_unlock(&t->lock);
		err = fetch_once(c, dir, epoch, ctx);
	}
	return err == -EAGAIN && !ctx->background ? -EBUSY : err;
}

/* Was it the fetcher's own affair that it failed, so that somebody else may well succeed? */
static bool personal(int err)
{
	return err == -EINTR || err == -ETIMEDOUT || err == -EAGAIN;
}

/* Wait for the listing that is being fetched: 1: that was the answer, 0: try yourself, or -errno.
 */
static int share_fetch(struct tree *t, struct node *dir, const struct opctx *ctx) REQUIRES(t->lock)
{
	uint64_t seen = dir->dir->fetches;
	int err = 0;

	while (dir->dir->fetching && dir->dir->fetches == seen && !err)
		err = cond_wait_ctx(&t->settled, &t->lock, ctx);
	if (err)
		return err;
	err = dir->dir->fetch_error;
	return err == 0 ? 1 : personal(err) ? 0 : err;
}

static void served(struct node *dir, enum list_why why)
{
	if (why == LIST_FOR_USER && (dir->flags & NODE_AHEAD)) {
		node_clear(dir, NODE_AHEAD);
		stats_add(STAT_PREFETCH_HITS, 1);
	}
}

int dircache_list(struct dircache *c, struct node *dir, enum list_why why, const struct opctx *ctx)
{
	struct tree *t = c->tree;
	int err = 0;

	if (!dir->dir)
		return -ENOTDIR;
	mutex_lock(&t->lock);
	while (err == 0 && !tree_names_ttl_locked(t, dir) && dir->dir->fetching)
		err = share_fetch(t, dir, ctx);
	if (err || tree_names_ttl_locked(t, dir)) {
		if (err >= 0)
			served(dir, why);
		mutex_unlock(&t->lock);
		return err < 0 ? err : 0;
	}
	tree_pin_locked(dir);
	dir->dir->fetching = true;
	mutex_unlock(&t->lock);

	err = fetch(c, dir, ctx);

	mutex_lock(&t->lock);
	tree_fetch_end_locked(t, dir, err);
	node_clear(dir, NODE_AHEAD);
	if (!err && why == LIST_AHEAD)
		node_set(dir, NODE_AHEAD);
	if ((err == -ENOENT || err == -ENOTDIR) && dir->parent) {
		dir->parent->dir->complete = false; /* it named what is not there */
		dir->fresh_until = 0;
	}
	tree_unpin_locked(t, dir);
	mutex_unlock(&t->lock);
	return err;
}

static bool being_written(const struct node *n)
{
	return n->moving || (n->flags & (NODE_LOCAL | NODE_BUSY));
}

enum answer { KNOWN, ASK_STAT, ASK_LIST };

/* What the tree says by itself. */
static enum answer consult_locked(struct tree *t, struct node *dir, const char *name,
				  struct node **out) REQUIRES(t->lock)
{
	struct node *n = tree_child_locked(t, dir, name);
	bool names = tree_names_ttl_locked(t, dir) > 0;

	if (n ? being_written(n) || tree_attr_ttl_locked(t, n) > 0 : names) {
		if (names)
			served(dir, LIST_FOR_USER);
		if (n)
			tree_pin_locked(n);
		*out = n;
		return KNOWN;
	}
	/* Names known and one attribute stale (just stored): that one is all there is to ask. */
	if (names)
		return ASK_STAT;
	if (dir->dir->fetching || dir->dir->lookups_missed > dir->dir->count / NAMES_PER_STAT)
		return ASK_LIST;
	dir->dir->lookups_missed++;
	return ASK_STAT;
}

/* The server's word about one name: -EAGAIN when we changed something in dir meanwhile. */
static int learn_locked(struct tree *t, struct node *dir, const char *name, const struct entry *e,
			uint64_t epoch, struct node **out) REQUIRES(t->lock)
{
	struct node *n = tree_child_locked(t, dir, name);

	if (dir->dir->epoch != epoch || (dir->flags & NODE_UNLINKED))
		return -EAGAIN;
	if (n && being_written(n)) {
		tree_pin_locked(n);
		*out = n;
		return 0;
	}
	*out = NULL;
	if (e) {
		n = tree_put_locked(t, dir, name, e);
		if (!n)
			return -ENOMEM;
		tree_pin_locked(n);
		*out = n;
	} else if (n) {
		tree_vanish_locked(t, n);
	}
	return 0;
}

/* Ask for one name; -EOPNOTSUPP or -EAGAIN: list instead. */
static int ask_one(struct dircache *c, struct node *dir, const char *name, uint64_t epoch,
		   struct node **out, const struct opctx *ctx)
{
	struct entry e = {0};
	struct buf path;
	int err;

	buf_init(&path, 2 * PATH_LIMIT);
	err = tree_child_path(c->tree, dir, name, &path);
	if (!err)
		err = remote_stat(c->remote, buf_text(&path), HAVE_SIZE | HAVE_EXACT_MTIME, &e,
				  ctx);
	if (!err || err == -ENOENT) {
		mutex_lock(&c->tree->lock);
		err = learn_locked(c->tree, dir, name, err ? NULL : &e, epoch, out);
		mutex_unlock(&c->tree->lock);
	}
	entry_clear(&e);
	buf_free(&path);
	return err;
}

/* A listing was fetched at this moment: what it says now is the answer, however short-lived. */
static int list_for_one(struct dircache *c, struct node *dir, const char *name, struct node **out,
			const struct opctx *ctx)
{
	int err = dircache_list(c, dir, LIST_FOR_USER, ctx);

	if (err)
		return err;
	mutex_lock(&c->tree->lock);
	*out = tree_child_locked(c->tree, dir, name);
	if (*out)
		tree_pin_locked(*out);
	mutex_unlock(&c->tree->lock);
	return 0;
}

int dircache_lookup(struct dircache *c, struct node *dir, const char *name, struct node **out,
		    const struct opctx *ctx)
{
	struct tree *t = c->tree;
	enum answer answer = ASK_STAT;
	uint64_t epoch;
	int err = -EAGAIN;

	*out = NULL;
	if (!dir->dir)
		return -ENOTDIR;
	if (commit_is_temp(name))
		return 0;
	for (int i = 0; i < FETCH_TRIES && answer == ASK_STAT && err == -EAGAIN; i++) {
		mutex_lock(&t->lock);
		if (dir->flags & NODE_UNLINKED) {
			mutex_unlock(&t->lock);
			return -ENOENT;
		}
		answer = consult_locked(t, dir, name, out);
		epoch = dir->dir->epoch;
		mutex_unlock(&t->lock);
		if (answer == KNOWN)
			return 0;
		if (answer == ASK_STAT)
			err = ask_one(c, dir, name, epoch, out, ctx);
	}
	if (answer == ASK_STAT && err != -EOPNOTSUPP && err != -EAGAIN)
		return err;
	if (answer == ASK_STAT) {
		mutex_lock(&t->lock);
		dir->dir->complete = false; /* or it would answer with what is stale */
		mutex_unlock(&t->lock);
	}
	return list_for_one(c, dir, name, out, ctx);
}

/* The root is in no listing. */
static int refresh_root(struct dircache *c, const struct opctx *ctx)
{
	struct tree *t = c->tree;
	struct entry e = {.type = ENTRY_DIR};
	int err = remote_stat(c->remote, "/", HAVE_MTIME, &e, ctx);

	if (err && err != -EOPNOTSUPP && err != -ENOENT)
		return err;
	mutex_lock(&t->lock);
	tree_update_locked(t, t->root, &e);
	mutex_unlock(&t->lock);
	entry_clear(&e);
	return 0;
}

int dircache_refresh(struct dircache *c, struct node *n, const struct opctx *ctx)
{
	struct tree *t = c->tree;
	struct node *dir, *found = NULL;
	char *name;
	int err;

	mutex_lock(&t->lock);
	if (n == t->root || tree_attr_ttl_locked(t, n) || !n->parent) {
		bool ask = n == t->root && !tree_attr_ttl_locked(t, n);
		err = n->flags & NODE_UNLINKED ? -ENOENT : 0;
		mutex_unlock(&t->lock);
		return ask ? refresh_root(c, ctx) : err;
	}
	dir = n->parent;
	tree_pin_locked(dir);
	tree_pin_locked(n); /* the answer may be that it is gone */
	name = strdup(n->name);
	mutex_unlock(&t->lock);

	err = name ? dircache_lookup(c, dir, name, &found, ctx) : -ENOMEM;

	free(name);
	mutex_lock(&t->lock);
	if (found)
		tree_unpin_locked(t, found);
	if (!err && (n->flags & NODE_UNLINKED))
		err = -ENOENT;
	tree_unpin_locked(t, n);
	tree_unpin_locked(t, dir);
	mutex_unlock(&t->lock);
	return err;
}

/* Files whose exact times are asked for together. */
struct batch {
	struct node **nodes; /* pinned */
	struct was {
		int64_t size, mtime;
	} * before;
	struct listing after;
	struct entry **asked; /* points into after */
	size_t n;
};

static bool wants_time(const struct node *n)
{
	return n->type == ENTRY_FILE && !(n->have & HAVE_EXACT_MTIME) &&
	       !(n->flags & (NODE_ASKED | NODE_LOCAL | NODE_BUSY | NODE_UNLINKED));
}

static void batch_free(struct batch *b)
{
	size_t bytes = b->after.cap * sizeof(*b->after.v);

	free(b->nodes);
	free(b->before);
	free(b->asked);
	listing_free(&b->after);
	memory_freed(bytes);
}

static void batch_add_locked(struct batch *b, struct node *n)
{
	const struct entry e = {.name = n->name,
				.size = n->size,
				.mtime = n->mtime,
				.type = n->type,
				.mtime_slack = n->mtime_slack,
				.have = n->have & (HAVE_SIZE | HAVE_MTIME)};

	if (listing_add(&b->after, &e))
		return;
	b->before[b->n] = (struct was){.size = n->size, .mtime = n->mtime};
	b->nodes[b->n++] = n;
	tree_pin_locked(n);
}

static int batch_collect_locked(struct batch *b, struct node *from)
{
	size_t max = from->parent->dir->count;
	struct node *n;

	if (max > DIRCACHE_NEIGHBOURS)
		max = DIRCACHE_NEIGHBOURS;
	b->nodes = calloc(max, sizeof(*b->nodes));
	b->before = calloc(max, sizeof(*b->before));
	b->asked = calloc(max, sizeof(struct entry *));
	if (!b->nodes || !b->before || !b->asked)
		return -ENOMEM;
	for (n = from; n && b->n < max; n = n->next) {
		if (wants_time(n))
			batch_add_locked(b, n);
	}
	for (n = from->parent->dir->first; n != from && b->n < max; n = n->next) {
		if (wants_time(n))
			batch_add_locked(b, n);
	}
	for (size_t i = 0; i < b->n; i++)
		b->asked[i] = &b->after.v[i];
	return 0;
}

/* Only what nobody changed since it was asked for. */
static void batch_learn_locked(struct tree *t, struct node *dir, struct batch *b) REQUIRES(t->lock)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->after.v[i];
		struct node *n = b->nodes[i];
		if (!wants_time(n) || n->parent != dir || strcmp(n->name, e->name) != 0 ||
		    n->size != b->before[i].size || n->mtime != b->before[i].mtime)
			continue;
		if (e->have & HAVE_EXACT_MTIME)
			tree_learn_locked(t, n, e);
		else
			node_set(n, NODE_ASKED);
	}
}

static int ask_times(struct dircache *c, struct node *dir, struct batch *b, const struct opctx *ctx)
{
	struct buf path;
	int err;

	buf_init(&path, PATH_LIMIT + 1);
	err = tree_path(c->tree, dir, &path);
	if (!err)
		err = remote_stat_many(c->remote, buf_text(&path), b->asked, b->n, ctx);
	buf_free(&path);
	return err == -EOPNOTSUPP ? 0 : err;
}

int dircache_exact(struct dircache *c, struct node *n, const struct opctx *ctx)
{
	struct tree *t = c->tree;
	struct batch b = {0};
	struct node *dir;
	int err = 0;

	listing_init(&b.after, DIRCACHE_NEIGHBOURS);
	mutex_lock(&t->lock);
	while (!err && wants_time(n) && n->parent && n->parent->dir->timing)
		err = cond_wait_ctx(&t->settled, &t->lock, ctx);
	if (err || !wants_time(n) || !n->parent) {
		mutex_unlock(&t->lock);
		return err;
	}
	dir = n->parent;
	err = batch_collect_locked(&b, n);
	tree_pin_locked(dir);
	dir->dir->timing = true;
	mutex_unlock(&t->lock);

	if (!err)
		err = ask_times(c, dir, &b, ctx);

	mutex_lock(&t->lock);
	if (!err)
		batch_learn_locked(t, dir, &b);
	for (size_t i = 0; i < b.n; i++)
		tree_unpin_locked(t, b.nodes[i]);
	dir->dir->timing = false;
	cond_broadcast(&t->settled);
	tree_unpin_locked(t, dir);
	mutex_unlock(&t->lock);
	batch_free(&b);
	return err;
}
