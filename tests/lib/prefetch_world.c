/* prefetch_world - see the header. */
#include "prefetch_world.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/path.h"

enum { PATIENCE_S = 20 };

static void nap(void)
{
	struct timespec t = {.tv_nsec = 200000};

	nanosleep(&t, NULL);
}

/* Wait until the gate opens or ctx ends. */
static int pass(struct gate *g, const struct opctx *ctx)
{
	unsigned busy = atomic_load(&g->busy);
	int rc = 0;

	if (!ctx->background)
		return 0;
	while (busy && !atomic_compare_exchange_weak(&g->busy, &busy, busy - 1))
		;
	if (busy)
		return -EAGAIN;
	atomic_fetch_add(&g->waiting, 1);
	while (!rc && atomic_load(&g->shut)) {
		struct pollfd fd = {.fd = ctx->cancel_fd, .events = POLLIN};

		poll(&fd, 1, 1);
		rc = opctx_check(ctx);
	}
	atomic_fetch_sub(&g->waiting, 1);
	return rc;
}

static int gate_list(struct remote *r, const char *dir, struct listing *out,
		     const struct opctx *ctx)
{
	struct gate *g = (struct gate *)r;
	int rc = pass(g, ctx);

	if (rc)
		return rc;
	atomic_fetch_add(&g->lists, 1);
	if (g->refused && strcmp(dir, g->refused) == 0)
		return -EACCES;
	return remote_list(g->inner, dir, out, ctx);
}

static int gate_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		     const struct opctx *ctx)
{
	return remote_stat(((struct gate *)r)->inner, path, want, out, ctx);
}

static int gate_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
			  const struct opctx *ctx)
{
	struct gate *g = (struct gate *)r;
	int rc = pass(g, ctx);

	if (rc)
		return rc;
	if (ctx->background)
		atomic_fetch_add(&g->fetches, 1);
	return remote_open_read(g->inner, path, from, out, ctx);
}

static const struct remote_ops gate_ops = {
	.list = gate_list, .stat = gate_stat, .open_read = gate_open_read};

void ahead_begin(struct world *w, int64_t bytes)
{
	struct mem_traits traits = {0};

	memset(w, 0, sizeof *w);
	w->server = mem_server_create(&traits);
	w->gate.remote.ops = &gate_ops;
	w->gate.inner = remote_mem_create(w->server);
	assert_int_equal(tree_init(&w->tree, 20 * NS_PER_S, 100000), 0);
	w->dircache = (struct dircache){.tree = &w->tree, .remote = &w->gate.remote};
	w->waste = stats_get(STAT_PREFETCH_WASTE);
	w->fetched = stats_get(STAT_PREFETCH_BYTES);
	w->files = stats_get(STAT_PREFETCH_FILES);
	w->hits = stats_get(STAT_PREFETCH_HITS);
	assert_int_equal(
		prefetch_create(&w->tree, &w->dircache, &w->gate.remote, bytes, THREADS, &w->p), 0);
}

void ahead_end(struct world *w)
{
	prefetch_destroy(w->p);
	tree_check(&w->tree);
	tree_destroy(&w->tree);
	remote_destroy(w->gate.inner);
	mem_server_destroy(w->server);
}

int64_t ahead_wasted(const struct world *w)
{
	return stats_get(STAT_PREFETCH_WASTE) - w->waste;
}

int64_t ahead_fetched(const struct world *w)
{
	return stats_get(STAT_PREFETCH_BYTES) - w->fetched;
}

static bool idle_locked(struct prefetch *p) REQUIRES(p->lock)
{
	struct item *it;

	for (size_t i = 0; i < LIST_WALKS; i++)
		if (p->list_walks[i].moved)
			return false;
	for (size_t i = 0; i < FILE_WALKS; i++)
		if (p->file_walks[i].plan)
			return false;
	TAILQ_FOREACH(it, &p->lists, link)
	if (it->state == ITEM_RUNNING)
		return false;
	TAILQ_FOREACH(it, &p->files, link)
	if (it->state == ITEM_QUEUED || it->state == ITEM_RUNNING)
		return false;
	return true;
}

void ahead_await(bool (*done)(struct world *w), struct world *w)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (!done(w)) {
		assert_true(time(NULL) < end);
		nap();
	}
}

bool ahead_idle(struct world *w)
{
	mutex_lock(&w->p->lock);
	bool is = idle_locked(w->p);
	assert_true(w->p->bytes <= w->p->bytes_max);
	mutex_unlock(&w->p->lock);
	return is;
}

struct node *ahead_find(struct world *w, const char *path)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *n, *next;
	char copy[256], *save = NULL;

	mutex_lock(&w->tree.lock);
	n = w->tree.root;
	mutex_unlock(&w->tree.lock);
	snprintf(copy, sizeof copy, "%s", path);
	for (char *s = strtok_r(copy, "/", &save); s; s = strtok_r(NULL, "/", &save)) {
		assert_int_equal(dircache_lookup(&w->dircache, n, s, &next, &ctx), 0);
		assert_non_null(next);
		tree_unpin(&w->tree, next); /* it stays linked */
		n = next;
	}
	return n;
}

void ahead_user_lists(struct world *w, const char *path)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *n = ahead_find(w, path);

	assert_int_equal(dircache_list(&w->dircache, n, LIST_FOR_USER, &ctx), 0);
	mutex_lock(&w->tree.lock);
	n->dir->last_listed_by_user = clock_monotonic();
	mutex_unlock(&w->tree.lock);
	prefetch_listed(w->p, n);
}

void ahead_user_reads(struct world *w, struct node *n)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	char *got = malloc((size_t)n->size), *want;
	struct buf path;
	size_t len;
	ssize_t rc;

	int64_t hits = stats_get(STAT_PREFETCH_HITS);
	prefetch_opened(w->p, n);
	rc = prefetch_read(w->p, n, n->size, n->mtime, got, (size_t)n->size, 0, &ctx);
	if (stats_get(STAT_PREFETCH_HITS) > hits)
		w->claimed_bytes += n->size;
	if (rc == -EAGAIN) {
		w->from_server++;
	} else {
		buf_init(&path, PATH_LIMIT);
		assert_int_equal(tree_path(&w->tree, n, &path), 0);
		assert_int_equal(mem_get(w->server, buf_text(&path), &want, &len), 0);
		assert_int_equal(rc, (ssize_t)len);
		assert_memory_equal(got, want, len);
		free(want);
		buf_free(&path);
	}
	w->read_bytes += n->size;
	free(got);
	ahead_await(ahead_idle, w);
}

void ahead_put_file(struct world *w, const char *path, size_t size)
{
	char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(path[strlen(path) - 1] + (int)(i % 7));
	assert_int_equal(mem_put(w->server, path, bytes, size), 0);
	free(bytes);
}

void ahead_put_files(struct world *w, const char *dir, unsigned n, size_t size)
{
	char path[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/f%03u", dir, i * 37 % 997);
		ahead_put_file(w, path, size + i);
	}
}

void ahead_make_dirs(struct world *w, const char *above, unsigned n)
{
	char path[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/d%u", above, i);
		assert_int_equal(mem_make_dir(w->server, path), 0);
	}
}

size_t ahead_children(struct world *w, const char *path, struct node **v, size_t max)
{
	struct node *dir = ahead_find(w, path);
	size_t n = 0;

	mutex_lock(&w->tree.lock);
	for (struct node *c = dir->dir->first; c && n < max; c = c->next)
		v[n++] = c;
	mutex_unlock(&w->tree.lock);
	return n;
}
