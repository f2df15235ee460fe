/* resident_test - what a cached entry costs in memory of the process, as the system counts it. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/dircache.h"
#include "heap.h"

enum { MANY = 200000, LIMIT = 256 };

/* A server without memory of its own: one big directory, times to the minute. */
static int op_list(struct remote *r, const char *dir, struct listing *out, const struct opctx *ctx)
{
	char name[32];
	int err = 0;

	(void)r, (void)dir, (void)ctx;
	for (int i = 0; i < MANY && !err; i++) {
		snprintf(name, sizeof(name), "IMG_2024_%08d.jpg", i);
		struct entry e = {.name = name,
				  .size = i,
				  .mtime = NS_PER_S,
				  .mtime_slack = 60 * NS_PER_S,
				  .type = ENTRY_FILE,
				  .have = HAVE_SIZE | HAVE_MTIME};
		err = listing_add(out, &e);
	}
	return err;
}

static int op_stat_many(struct remote *r, const char *dir, struct entry *const e[], size_t n,
			const struct opctx *ctx)
{
	(void)r, (void)dir, (void)ctx;
	for (size_t i = 0; i < n; i++) {
		e[i]->mtime += 17 * NS_PER_S;
		e[i]->have |= HAVE_EXACT_MTIME;
	}
	return 0;
}

static const struct remote_ops ops = {.list = op_list, .stat_many = op_stat_many};
static struct remote server = {.ops = &ops};

static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void assert_small(size_t before)
{
	size_t each = (resident() - before) / MANY;

	print_message("%zu bytes an entry\n", each);
	if (heap_is_counted())
		assert_true(each <= LIMIT);
}

static void test_resident_after_ls_and_ls_l(void **state)
{
	struct tree t;
	struct dircache c = {.tree = &t, .remote = &server};
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	size_t before;

	(void)state;
	assert_int_equal(tree_init(&t, 60 * NS_PER_S, 2 * MANY), 0);
	malloc_trim(0);
	before = resident();
	assert_int_equal(dircache_list(&c, t.root, LIST_FOR_USER, &ctx), 0);
	assert_small(before);
	mutex_lock(&t.lock);
	struct node *n = t.root->dir->first;
	mutex_unlock(&t.lock);
	for (; n; n = n->next) /* nobody else is here */
		assert_int_equal(dircache_exact(&c, n, &ctx), 0);
	assert_true(t.root->dir->last->have & HAVE_EXACT_MTIME);
	assert_small(before);
	tree_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resident_after_ls_and_ls_l),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
