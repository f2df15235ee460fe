/* dircache_test - how often the server is asked, and what is believed of its answers. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/stats.h"
#include "fs/dircache.h"
#include "remote_fault.h"
#include "remote_mem.h"

#define TTL (20 * NS_PER_S)

static struct mem_server *server;
static struct fault_plan *plan;
static struct tree t;
static struct dircache c;
static struct opctx forever;
static unsigned changes;

static void on_change(void *arg, struct node *dir, const char *name)
{
	(void)arg;
	(void)dir;
	(void)name;
	changes++;
}

static void start(const struct mem_traits *traits, int64_t ttl)
{
	server = mem_server_create(traits);
	plan = fault_plan_create(1);
	assert_int_equal(tree_init(&t, ttl, 100000), 0);
	t.on_change = on_change;
	changes = 0;
	c = (struct dircache){.tree = &t,
			      .remote = remote_fault_create(remote_mem_create(server), plan)};
	forever = opctx_for(OPCTX_FOREVER);
}

static void stop(void)
{
	tree_check(&t);
	tree_destroy(&t);
	remote_destroy(c.remote);
	fault_plan_destroy(plan);
	mem_server_destroy(server);
}

static void fill(unsigned n)
{
	char path[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		assert_int_equal(mem_put(server, path, "abc", 3), 0);
	}
}

/* The node, which stays valid while it is linked; NULL: not there. */
static struct node *look(struct node *dir, const char *name)
{
	struct node *n = NULL;

	assert_int_equal(dircache_lookup(&c, dir, name, &n, &forever), 0);
	if (n)
		tree_unpin(&t, n);
	return n;
}

static int list(struct node *dir)
{
	return dircache_list(&c, dir, LIST_FOR_USER, &forever);
}

#define ASKED(lists, stats, many)                                                                  \
	do {                                                                                       \
		assert_int_equal(fault_calls(plan, FAULT_LIST), lists);                            \
		assert_int_equal(fault_calls(plan, FAULT_STAT), stats);                            \
		assert_int_equal(fault_calls(plan, FAULT_STAT_MANY), many);                        \
	} while (0)

static void test_a_listing_answers_everything(void **state)
{
	(void)state;
	start(&(struct mem_traits){0}, TTL);
	fill(100);
	assert_int_equal(list(t.root), 0);
	assert_int_equal(list(t.root), 0);
	assert_non_null(look(t.root, "f7"));
	assert_null(look(t.root, "nope"));
	ASKED(1, 0, 0);
	clock_advance(TTL + 1);
	assert_int_equal(list(t.root), 0);
	ASKED(2, 0, 0);
	stop();
}

static void test_one_stat_then_a_listing(void **state)
{
	(void)state;
	start(&(struct mem_traits){0}, TTL);
	fill(3);
	struct node *n = look(t.root, "f0");
	assert_non_null(n);
	assert_int_equal(n->size, 3);
	ASKED(0, 1, 0);
	assert_ptr_equal(look(t.root, "f0"), n); /* remembered */
	ASKED(0, 1, 0);
	assert_null(look(t.root, "x"));
	assert_null(look(t.root, "y"));
	ASKED(1, 1, 0);
	stop();
}

static void test_without_stat_the_first_miss_lists(void **state)
{
	(void)state;
	start(&(struct mem_traits){.no_stat = true}, TTL);
	fill(3);
	assert_non_null(look(t.root, "f1"));
	assert_null(look(t.root, "x"));
	assert_int_equal(fault_calls(plan, FAULT_LIST), 1);
	stop();
}

static void test_no_cache(void **state)
{
	(void)state;
	start(&(struct mem_traits){0}, 0);
	fill(3);
	assert_int_equal(list(t.root), 0);
	assert_int_equal(list(t.root), 0);
	assert_non_null(look(t.root, "f1"));
	mem_remove(server, "/f1");
	assert_null(look(t.root, "f1"));
	assert_null(look(t.root, "f1"));
	assert_non_null(look(t.root, "f2"));
	stop();
}

static void test_a_failed_listing_is_an_error(void **state)
{
	(void)state;
	struct node *n;

	start(&(struct mem_traits){.no_stat = true}, TTL);
	fill(3);
	fault_nth(plan, FAULT_LIST, FAULT_BEFORE, -EIO, 1, 2);
	assert_int_equal(list(t.root), -EIO);
	assert_int_equal(dircache_lookup(&c, t.root, "f1", &n, &forever), -EIO);
	assert_non_null(look(t.root, "f1"));
	stop();
}

static void test_refresh(void **state)
{
	(void)state;
	start(&(struct mem_traits){0}, TTL);
	fill(3);
	assert_int_equal(list(t.root), 0);
	struct node *f0 = look(t.root, "f0"), *f1 = look(t.root, "f1");
	f0->lookups = f1->lookups = 1;
	assert_int_equal(mem_put(server, "/f0", "longer", 6), 0);
	assert_int_equal(mem_remove(server, "/f1"), 0);
	assert_int_equal(dircache_refresh(&c, f0, &forever), 0);
	assert_int_equal(f0->size, 3); /* still believed */
	clock_advance(TTL + 1);
	assert_int_equal(dircache_refresh(&c, f0, &forever), 0);
	assert_int_equal(f0->size, 6);
	assert_int_equal(dircache_refresh(&c, f1, &forever), -ENOENT);
	assert_true(f1->flags & NODE_UNLINKED);
	assert_int_equal(changes, 1);
	tree_forget(&t, f1, 1);
	assert_int_equal(dircache_refresh(&c, t.root, &forever), 0);
	stop();
}

static void test_exact_times_come_in_one_batch(void **state)
{
	(void)state;
	struct entry e;

	start(&(struct mem_traits){.coarse_times = true, .no_stat = true}, TTL);
	fill(50);
	assert_int_equal(list(t.root), 0);
	for (struct node *n = t.root->dir->first; n; n = n->next)
		assert_int_equal(dircache_exact(&c, n, &forever), 0);
	assert_int_equal(fault_calls(plan, FAULT_STAT_MANY), 1);
	assert_int_equal(mem_stat(server, "/f49", &e), 0);
	assert_int_equal(look(t.root, "f49")->mtime, e.mtime);
	assert_true(look(t.root, "f49")->have & HAVE_EXACT_MTIME);
	entry_clear(&e);
	clock_advance(TTL + 1); /* the same minutes again: the seconds stay */
	assert_int_equal(list(t.root), 0);
	assert_int_equal(dircache_exact(&c, t.root->dir->first, &forever), 0);
	assert_int_equal(fault_calls(plan, FAULT_STAT_MANY), 1);
	stop();
}

static void *list_it(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)list(t.root);
}

static void test_single_flight(void **state)
{
	(void)state;
	pthread_t threads[8];
	void *result;

	start(&(struct mem_traits){0}, TTL);
	fill(10);
	fault_nth(plan, FAULT_LIST, FAULT_DELAY, 0, 1, FAULT_ALWAYS);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, list_it, NULL), 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, 0);
	}
	assert_int_equal(fault_calls(plan, FAULT_LIST), 1);
	stop();
}

static void test_listed_ahead_and_then_asked_for(void **state)
{
	(void)state;
	int64_t hits = stats_get(STAT_PREFETCH_HITS);

	start(&(struct mem_traits){0}, TTL);
	fill(3);
	assert_int_equal(dircache_list(&c, t.root, LIST_AHEAD, &forever), 0);
	assert_true(t.root->flags & NODE_AHEAD);
	assert_int_equal(dircache_list(&c, t.root, LIST_AHEAD, &forever), 0);
	assert_int_equal(stats_get(STAT_PREFETCH_HITS), hits);
	assert_int_equal(list(t.root), 0);
	assert_int_equal(list(t.root), 0);
	assert_int_equal(stats_get(STAT_PREFETCH_HITS), hits + 1);
	stop();
}

static void test_a_directory_that_vanished(void **state)
{
	(void)state;
	start(&(struct mem_traits){0}, TTL);
	assert_int_equal(mem_make_dir(server, "/d"), 0);
	struct node *d = look(t.root, "d");
	d->lookups = 1;
	assert_int_equal(mem_remove(server, "/d"), 0);
	assert_int_equal(list(d), -ENOENT);
	assert_null(look(t.root, "d")); /* asked again, though the stat was fresh */
	tree_forget(&t, d, 1);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_listing_answers_everything),
		cmocka_unit_test(test_one_stat_then_a_listing),
		cmocka_unit_test(test_without_stat_the_first_miss_lists),
		cmocka_unit_test(test_no_cache),
		cmocka_unit_test(test_a_failed_listing_is_an_error),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_exact_times_come_in_one_batch),
		cmocka_unit_test(test_single_flight),
		cmocka_unit_test(test_listed_ahead_and_then_asked_for),
		cmocka_unit_test(test_a_directory_that_vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
