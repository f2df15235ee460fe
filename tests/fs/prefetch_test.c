/* prefetch_test - files ahead: what begins it, what it costs, and what it may never do. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prefetch_world.h"

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = (*(struct node *const *)a)->ino, y = (*(struct node *const *)b)->ino;

	return x < y ? -1 : x > y;
}

static bool all_wait(struct world *w)
{
	return atomic_load(&w->gate.waiting) == THREADS;
}

static void every_thread_takes_part(void **state)
{
	struct node *v[40];
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	ahead_user_lists(&w, "/");
	assert_int_equal(ahead_children(&w, "/", v, 40), 40);
	for (unsigned i = 0; i < 10; i++)
		ahead_user_reads(&w, v[i]);
	atomic_store(&w.gate.shut, true);
	for (unsigned i = 10; i < 20; i++)
		prefetch_opened(w.p, v[i]);
	ahead_await(all_wait, &w);
	ahead_end(&w);
}

static bool somebody_waits(struct world *w)
{
	return atomic_load(&w->gate.waiting) > 0;
}

static void read_all(struct world *w, int (*order)(const void *, const void *))
{
	struct node *v[100];
	size_t n = ahead_children(w, "/", v, 100);

	assert_int_equal(n, 100);
	if (order)
		qsort(v, n, sizeof *v, order);
	for (size_t i = 0; i < n; i++)
		ahead_user_reads(w, v[i]);
}

static void order_is_noticed(int (*order)(const void *, const void *))
{
	struct world w;

	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 100, 1000);
	ahead_user_lists(&w, "/");
	read_all(&w, order);
	assert_true(w.from_server <= 6);
	assert_true(stats_get(STAT_PREFETCH_HITS) - w.hits == 100 - w.from_server);
	assert_true(atomic_load(&w.gate.fetches) <= 104);
	ahead_end(&w);
}

static void files_are_fetched_in_listing_order(void **state)
{
	(void)state;
	order_is_noticed(NULL);
}

static void files_are_fetched_in_name_order(void **state)
{
	(void)state;
	order_is_noticed(by_name);
}

static void files_are_fetched_in_inode_order(void **state)
{
	(void)state;
	order_is_noticed(by_ino);
}

static void order_is_carried_from_directory_to_directory(void **state)
{
	struct node *dirs[8], *files[20];
	struct world w;
	char path[32];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", 8);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "/d%u", i);
		ahead_put_files(&w, path, 20, 500);
	}
	ahead_user_lists(&w, "/");
	assert_int_equal(ahead_children(&w, "/", dirs, 8), 8);
	qsort(dirs, 8, sizeof *dirs, by_ino);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "/%s", dirs[i]->name);
		ahead_user_lists(&w, path);
		ahead_await(ahead_idle, &w);
		assert_int_equal(ahead_children(&w, path, files, 20), 20);
		qsort(files, 20, sizeof *files, by_ino);
		for (unsigned j = 0; j < 20; j++)
			ahead_user_reads(&w, files[j]);
	}
	/* the beginning, and the first step into another directory */
	assert_true(w.from_server <= 5);
	assert_true(ahead_wasted(&w) <= 4 * 520);
	ahead_end(&w);
}

static unsigned draw(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % below;
}

/* Files of random directories in random order: what came for nobody is at most a fifth of what
 * was read, by counters that leave nothing out. */
static void random_reader(unsigned seed, unsigned ndirs, unsigned files, unsigned reads)
{
	struct node *v[8][200];
	struct world w;
	char path[32];

	ahead_begin(&w, 1 << 20);
	ahead_make_dirs(&w, "", ndirs);
	for (unsigned d = 0; d < ndirs; d++) {
		snprintf(path, sizeof path, "/d%u", d);
		ahead_put_files(&w, path, files, 200 + draw(&seed, 3000));
	}
	ahead_user_lists(&w, "/");
	for (unsigned d = 0; d < ndirs; d++) {
		snprintf(path, sizeof path, "/d%u", d);
		ahead_user_lists(&w, path);
		assert_int_equal(ahead_children(&w, path, v[d], 200), files);
	}
	for (unsigned i = 0; i < reads; i++) {
		unsigned d = draw(&seed, ndirs);
		ahead_user_reads(&w, v[d][draw(&seed, files)]);
	}
	prefetch_destroy(w.p); /* what is still held is wasted now */
	w.p = NULL;
	assert_true(5 * ahead_wasted(&w) <= w.read_bytes);
	assert_int_equal(ahead_fetched(&w), ahead_wasted(&w) + w.claimed_bytes);
	ahead_end(&w);
}

static void random_reader_wastes_little(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 8; seed++) {
		random_reader(seed, 1, 5, 100);
		random_reader(seed, 1, 20, 200);
		random_reader(seed, 1, 200, 500);
		random_reader(seed, 8, 40, 200);
	}
}

static void bytes_keep_their_budget(void **state)
{
	struct node *v[40];
	struct world w;

	(void)state;
	ahead_begin(&w, 100 << 10);
	ahead_put_files(&w, "", 40, 24 << 10);
	ahead_user_lists(&w, "/");
	assert_int_equal(ahead_children(&w, "/", v, 40), 40);
	for (unsigned i = 0; i < 20; i++)
		ahead_user_reads(&w, v[i]); /* ahead_idle() looks at the budget */
	assert_true(w.from_server <= 2);
	clock_advance(21 * NS_PER_S); /* what is held for nobody ends */
	ahead_user_lists(&w, "/");
	ahead_user_reads(&w, v[0]);
	ahead_user_reads(&w, v[1]);
	ahead_user_reads(&w, v[2]);
	assert_true(ahead_wasted(&w) > 0 && ahead_wasted(&w) <= 100 << 10);
	ahead_end(&w);
}

/* Read two, so that the third is on its way or here. */
static struct node *third(struct world *w, struct node **v)
{
	ahead_user_lists(w, "/");
	assert_int_equal(ahead_children(w, "/", v, 40), 40);
	prefetch_opened(w->p, v[0]);
	prefetch_opened(w->p, v[1]);
	return v[2];
}

static void another_version_is_not_served(void **state)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *v[40], *n;
	struct world w;
	char to[8];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	n = third(&w, v);
	ahead_await(ahead_idle, &w);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime, to, 4, 0, &ctx), 4);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime + 1, to, 4, 0, &ctx), -EAGAIN);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime, to, 4, 0, &ctx), -EAGAIN);
	n = v[3];
	assert_int_equal(prefetch_read(w.p, n, n->size + 1, n->mtime, to, 4, 0, &ctx), -EAGAIN);
	assert_int_equal(ahead_wasted(&w), n->size);
	ahead_end(&w);
}

static void time_made_exact_is_the_same_version(void **state)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *v[40], *n;
	struct world w;
	char to[8];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	ahead_user_lists(&w, "/");
	ahead_children(&w, "/", v, 40);
	mutex_lock(&w.tree.lock);
	for (unsigned i = 0; i < 40; i++)
		v[i]->mtime_slack = 60 * NS_PER_S;
	mutex_unlock(&w.tree.lock);
	prefetch_opened(w.p, v[0]);
	prefetch_opened(w.p, v[1]);
	ahead_await(ahead_idle, &w);
	n = v[2];
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime + 59 * NS_PER_S, to, 4, 0, &ctx),
			 4);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime + 60 * NS_PER_S, to, 4, 0, &ctx),
			 -EAGAIN);
	ahead_end(&w);
}

static void file_of_another_length_is_not_held(void **state)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *v[40], *n;
	struct world w;
	char path[300], to[8];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	ahead_user_lists(&w, "/");
	ahead_children(&w, "/", v, 40);
	for (unsigned i = 2; i < 4; i++) {
		snprintf(path, sizeof path, "/%s", v[i]->name);
		ahead_put_file(&w, path, i == 2 ? 999 : 9999); /* behind our back */
	}
	n = third(&w, v);
	ahead_await(ahead_idle, &w);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime, to, 4, 0, &ctx), -EAGAIN);
	assert_int_equal(prefetch_read(w.p, v[3], v[3]->size, v[3]->mtime, to, 4, 0, &ctx),
			 -EAGAIN);
	assert_int_equal(stats_get(STAT_PREFETCH_FILES) - w.files, 0);
	ahead_end(&w);
}

struct reader {
	struct world *w;
	struct node *n;
	int64_t deadline;
	ssize_t got;
	pthread_t thread;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct opctx ctx = opctx_for(r->deadline);
	char to[4];

	r->got = prefetch_read(r->w->p, r->n, r->n->size, r->n->mtime, to, 4, 0, &ctx);
	return NULL;
}

static void start_reader(struct reader *r, struct world *w, struct node *n)
{
	*r = (struct reader){.w = w, .n = n, .deadline = OPCTX_FOREVER};
	assert_int_equal(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

static bool third_runs(struct world *w)
{
	unsigned running = 0;
	struct item *it;

	mutex_lock(&w->p->lock);
	TAILQ_FOREACH(it, &w->p->files, link)
	running += it->state == ITEM_RUNNING;
	mutex_unlock(&w->p->lock);
	return running == AHEAD_FIRST;
}

static void reader_waits_for_what_is_on_its_way(void **state)
{
	struct node *v[40], *n;
	struct reader r;
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.shut, true);
	n = third(&w, v);
	ahead_await(third_runs, &w);
	start_reader(&r, &w, n);
	atomic_store(&w.gate.shut, false);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.got, 4);
	ahead_end(&w);
}

static void reader_waits_no_longer_than_it_may(void **state)
{
	struct opctx ctx = opctx_for(50 * NS_PER_MS);
	struct node *v[40], *n;
	struct world w;
	char to[4];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.shut, true);
	n = third(&w, v);
	ahead_await(third_runs, &w);
	ctx = opctx_for(50 * NS_PER_MS);
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime, to, 4, 0, &ctx), -ETIMEDOUT);
	ahead_end(&w);
}

static void drop_ends_the_wait_for_it(void **state)
{
	struct node *v[40], *n;
	struct reader r;
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.shut, true);
	n = third(&w, v);
	ahead_await(third_runs, &w);
	start_reader(&r, &w, n);
	prefetch_drop(w.p, n);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.got, -EAGAIN);
	atomic_store(&w.gate.shut, false);
	ahead_await(ahead_idle, &w);
	assert_int_equal(ahead_wasted(&w), n->size); /* it came, for nobody */
	ahead_end(&w);
}

static void unlinked_files_are_skipped(void **state)
{
	struct node *v[40], *n;
	struct world w;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.shut, true);
	n = third(&w, v);
	ahead_await(third_runs, &w);
	mutex_lock(&w.tree.lock);
	for (unsigned i = 1; i < 40; i++)
		tree_unlink_locked(&w.tree, v[i]); /* pins keep the memory of those ahead */
	mutex_unlock(&w.tree.lock);
	prefetch_drop(w.p, n);
	atomic_store(&w.gate.shut, false);
	ahead_await(ahead_idle, &w);
	prefetch_opened(w.p, v[0]);
	ahead_await(ahead_idle, &w);
	assert_true(atomic_load(&w.gate.fetches) <= AHEAD_FIRST);
	ahead_end(&w);
}

static void busy_connections_are_left_alone(void **state)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	struct node *v[40], *n;
	struct world w;
	char to[4];

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.busy, 4);
	n = third(&w, v);
	ahead_await(ahead_idle, &w); /* tried again, and had */
	assert_int_equal(prefetch_read(w.p, n, n->size, n->mtime, to, 4, 0, &ctx), 4);
	atomic_store(&w.gate.busy, 1000);
	prefetch_opened(w.p, v[2]);
	prefetch_opened(w.p, v[3]);
	ahead_await(ahead_idle, &w); /* given up */
	assert_int_equal(prefetch_read(w.p, v[7], v[7]->size, v[7]->mtime, to, 4, 0, &ctx),
			 -EAGAIN);
	ahead_end(&w);
}

static void destroy_does_not_wait_for_the_server(void **state)
{
	struct node *v[40];
	struct world w;
	int64_t began;

	(void)state;
	ahead_begin(&w, 1 << 20);
	ahead_put_files(&w, "", 40, 1000);
	atomic_store(&w.gate.shut, true);
	third(&w, v);
	ahead_await(somebody_waits, &w);
	began = clock_monotonic();
	prefetch_destroy(w.p);
	w.p = NULL;
	assert_true(clock_monotonic() - began < NS_PER_S);
	ahead_end(&w);
}

static void without_looking_ahead_nothing_happens(void **state)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	char to[4];

	(void)state;
	prefetch_listed(NULL, NULL);
	prefetch_opened(NULL, NULL);
	prefetch_drop(NULL, NULL);
	prefetch_destroy(NULL);
	assert_int_equal(prefetch_read(NULL, NULL, 1, 0, to, 1, 0, &ctx), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_takes_part),
		cmocka_unit_test(files_are_fetched_in_listing_order),
		cmocka_unit_test(files_are_fetched_in_name_order),
		cmocka_unit_test(files_are_fetched_in_inode_order),
		cmocka_unit_test(order_is_carried_from_directory_to_directory),
		cmocka_unit_test(random_reader_wastes_little),
		cmocka_unit_test(bytes_keep_their_budget),
		cmocka_unit_test(another_version_is_not_served),
		cmocka_unit_test(time_made_exact_is_the_same_version),
		cmocka_unit_test(file_of_another_length_is_not_held),
		cmocka_unit_test(reader_waits_for_what_is_on_its_way),
		cmocka_unit_test(reader_waits_no_longer_than_it_may),
		cmocka_unit_test(drop_ends_the_wait_for_it),
		cmocka_unit_test(unlinked_files_are_skipped),
		cmocka_unit_test(busy_connections_are_left_alone),
		cmocka_unit_test(destroy_does_not_wait_for_the_server),
		cmocka_unit_test(without_looking_ahead_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
