/* prefetch - looking ahead: its threads, and the table of what was asked for ahead of its user. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "prefetch_private.h"

void record_add(struct record *r, bool hit)
{
	r->bits = r->bits << 1 | (hit ? 1 : 0);
	if (r->n < PREFETCH_SAMPLE)
		r->n++;
}

bool record_poor(const struct record *r)
{
	return r->n == PREFETCH_SAMPLE && __builtin_popcountll(r->bits) < PREFETCH_SAMPLE / 2;
}

struct opctx prefetch_ctx(struct prefetch *p)
{
	struct opctx ctx = opctx_for(JOB_TIME);

	ctx.cancelled = &p->stop;
	ctx.cancel_fd = p->cancel_fd;
	ctx.background = true;
	return ctx;
}

bool node_below(const struct node *n, const struct node *top)
{
	for (n = n->parent; n; n = n->parent)
		if (n == top)
			return true;
	return false;
}

void repin_locked(struct prefetch *p, struct node **at, struct node *n)
{
	struct node *old = *at;

	if (n)
		tree_pin_locked(n);
	*at = n;
	if (old)
		tree_unpin_locked(p->tree, old);
}

static size_t bucket_of(const struct node *n)
{
	return (size_t)(((uint64_t)(uintptr_t)n * UINT64_C(0x9E3779B97F4A7C15)) >> 40) % BUCKETS;
}

struct item *item_find_locked(struct prefetch *p, const struct node *n)
{
	struct item *it = p->buckets[bucket_of(n)];

	while (it && it->node != n)
		it = it->hash_next;
	return it;
}

struct item *item_add_locked(struct prefetch *p, struct node *n, bool file, enum item_state state)
{
	struct item *it = calloc(1, sizeof *it);
	size_t b = bucket_of(n);

	if (!it)
		return NULL;
	tree_pin_locked(n);
	it->node = n;
	it->file = file;
	it->state = state;
	it->since = clock_monotonic();
	it->hash_next = p->buckets[b];
	p->buckets[b] = it;
	if (file) {
		TAILQ_INSERT_TAIL(&p->files, it, link);
		p->nfiles++;
	} else {
		TAILQ_INSERT_TAIL(&p->lists, it, link);
		p->unclaimed++;
	}
	return it;
}

void item_uncount(struct item *it)
{
	if (it->ahead)
		(*it->ahead)--;
	it->ahead = NULL;
}

void uncount_all(struct item_list *items, const unsigned *ahead)
{
	struct item *it;

	TAILQ_FOREACH(it, items, link)
	if (it->ahead == ahead)
		item_uncount(it);
}

/* Give back what only a live item holds: its share of the budgets and its bytes. */
static void item_release_locked(struct prefetch *p, struct item *it) REQUIRES(p->lock)
{
	if (it->state == ITEM_FAILED)
		return;
	if (it->file)
		p->bytes -= it->size;
	else
		p->unclaimed--;
	free(it->bytes);
	it->bytes = NULL;
}

void item_enter_locked(struct prefetch *p, struct item *it, enum item_state state)
{
	if (state == ITEM_FAILED) {
		item_uncount(it);
		item_release_locked(p, it);
	}
	it->state = state;
	it->since = clock_monotonic();
}

static void item_bury_locked(struct prefetch *p, struct item *it) REQUIRES(p->lock)
{
	struct item **at = &p->buckets[bucket_of(it->node)];

	while (*at != it)
		at = &(*at)->hash_next;
	*at = it->hash_next;
	if (it->file) {
		TAILQ_REMOVE(&p->files, it, link);
		p->nfiles--;
	} else {
		TAILQ_REMOVE(&p->lists, it, link);
	}
	it->hash_next = p->buried;
	p->buried = it;
}

/* A RUNNING item that was dropped comes here a second time, from its worker. */
void item_discard_locked(struct prefetch *p, struct item *it)
{
	item_uncount(it);
	if (it->state == ITEM_RUNNING) {
		it->dropped = true;
		cond_broadcast(&p->done);
		return;
	}
	if (it->state == ITEM_HELD) {
		record_add(it->file ? &p->file_record : &p->list_record, it->claimed);
		if (it->file && !it->claimed)
			stats_add(STAT_PREFETCH_WASTE, it->size);
	}
	item_release_locked(p, it);
	item_bury_locked(p, it);
}

void prefetch_reap(struct prefetch *p)
{
	struct item *it, *next;

	mutex_lock(&p->lock);
	it = p->buried;
	p->buried = NULL;
	mutex_unlock(&p->lock);
	for (; it; it = next) {
		next = it->hash_next;
		tree_unpin(p->tree, it->node);
		free(it);
	}
}

void prefetch_drop(struct prefetch *p, struct node *n)
{
	struct item *it;

	if (!p)
		return;
	mutex_lock(&p->lock);
	it = item_find_locked(p, n);
	if (it)
		item_discard_locked(p, it);
	mutex_unlock(&p->lock);
	prefetch_reap(p);
}

static void sweep_locked(struct prefetch *p, int64_t now) REQUIRES(p->tree->lock, p->lock)
{
	if (now - p->swept < NS_PER_S)
		return;
	p->swept = now;
	list_sweep_locked(p, now);
	file_sweep_locked(p, now);
}

static struct item *file_pick_locked(struct prefetch *p, int64_t now)
	REQUIRES(p->tree->lock, p->lock)
{
	struct item *it;

	for (size_t i = 0; i < FILE_WALKS; i++)
		if (p->file_walks[i].plan)
			plan_walk_locked(p, &p->file_walks[i], now);
	TAILQ_FOREACH(it, &p->files, link)
	if (it->state == ITEM_QUEUED)
		break;
	if (it)
		item_enter_locked(p, it, ITEM_RUNNING);
	return it;
}

static struct item *pick_locked(struct prefetch *p) REQUIRES(p->tree->lock, p->lock)
{
	int64_t now = clock_monotonic();
	struct item *it = NULL;

	sweep_locked(p, now);
	if (p->unclaimed < LISTS_NEAR)
		it = list_pick_locked(p, now);
	if (!it)
		it = file_pick_locked(p, now);
	if (!it)
		it = list_pick_locked(p, now);
	return it;
}

/* While there is anything to grow old somebody looks at it every second. */
static int64_t wake_at_locked(struct prefetch *p) REQUIRES(p->lock)
{
	int64_t at = list_wake_at_locked(p), sweep = p->swept + NS_PER_S;
	bool any = !TAILQ_EMPTY(&p->files) || !TAILQ_EMPTY(&p->lists);

	for (size_t i = 0; i < LIST_WALKS; i++)
		any = any || p->list_walks[i].top;
	for (size_t i = 0; i < FILE_WALKS; i++)
		any = any || p->file_walks[i].last;
	return any && sweep < at ? sweep : at;
}

/* The next thing to do; NULL: nothing now, after having waited for it. */
static struct item *next_item(struct prefetch *p) EXCLUDES(p->tree->lock, p->lock)
{
	struct item *it;

	mutex_lock(&p->tree->lock);
	mutex_lock(&p->lock);
	it = pick_locked(p);
	mutex_unlock(&p->tree->lock);
	if (!it && !atomic_load(&p->stop))
		cond_wait_until(&p->wake, &p->lock, wake_at_locked(p));
	mutex_unlock(&p->lock);
	prefetch_reap(p);
	return it;
}

/* Every connection is wanted by somebody else: step aside for a moment. */
static void pause_briefly(struct prefetch *p)
{
	int64_t until = clock_monotonic() + PAUSE;

	mutex_lock(&p->lock);
	while (!atomic_load(&p->stop) && clock_monotonic() < until)
		cond_wait_until(&p->wake, &p->lock, until);
	mutex_unlock(&p->lock);
}

static void *worker(void *arg)
{
	struct prefetch *p = arg;
	struct item *it;

	while (!atomic_load(&p->stop)) {
		it = next_item(p);
		if (!it)
			continue;
		if ((it->file ? file_run(p, it) : list_run(p, it)) == -EAGAIN)
			pause_briefly(p);
		prefetch_reap(p);
	}
	return NULL;
}

static int start_threads(struct prefetch *p, unsigned threads)
{
	p->threads = calloc(threads ? threads : 1, sizeof *p->threads);
	if (!p->threads)
		return -ENOMEM;
	for (; p->nthreads < threads; p->nthreads++) {
		int rc = pthread_create(&p->threads[p->nthreads], NULL, worker, p);

		if (rc)
			return -rc;
	}
	return 0;
}

/* Nobody else knows p yet. */
static void init_tables(struct prefetch *p) UNCHECKED
{
	TAILQ_INIT(&p->lists);
	TAILQ_INIT(&p->files);
	p->need = NEED_FIRST;
}

int prefetch_create(struct tree *tree, struct dircache *dircache, struct remote *remote,
		    int64_t bytes, unsigned threads, struct prefetch **out)
{
	struct prefetch *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return -ENOMEM;
	p->tree = tree;
	p->dircache = dircache;
	p->remote = remote;
	p->bytes_max = bytes;
	mutex_init(&p->lock);
	cond_init(&p->wake);
	cond_init(&p->done);
	init_tables(p);
	p->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->cancel_fd < 0 ? -errno : start_threads(p, threads);
	if (rc) {
		prefetch_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}

static void stop_threads(struct prefetch *p)
{
	mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	cond_broadcast(&p->wake);
	cond_broadcast(&p->done);
	mutex_unlock(&p->lock);
	if (p->cancel_fd >= 0)
		eventfd_write(p->cancel_fd, 1);
	for (unsigned i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
}

static void forget_all(struct prefetch *p)
{
	struct item *it;

	mutex_lock(&p->tree->lock);
	mutex_lock(&p->lock);
	for (size_t i = 0; i < LIST_WALKS; i++) {
		repin_locked(p, &p->list_walks[i].top, NULL);
		repin_locked(p, &p->list_walks[i].at, NULL);
	}
	for (size_t i = 0; i < FILE_WALKS; i++) {
		repin_locked(p, &p->file_walks[i].top, NULL);
		repin_locked(p, &p->file_walks[i].last, NULL);
	}
	while ((it = TAILQ_FIRST(&p->lists)) != NULL)
		item_discard_locked(p, it);
	while ((it = TAILQ_FIRST(&p->files)) != NULL)
		item_discard_locked(p, it);
	mutex_unlock(&p->lock);
	mutex_unlock(&p->tree->lock);
	prefetch_reap(p);
}

void prefetch_destroy(struct prefetch *p)
{
	if (!p)
		return;
	stop_threads(p);
	forget_all(p);
	if (p->cancel_fd >= 0)
		close(p->cancel_fd);
	cond_destroy(&p->done);
	cond_destroy(&p->wake);
	mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}
