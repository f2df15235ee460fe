/* tree_kit - a tree of a test, and short words for what is done to it. */
#ifndef FTPFS_TESTS_TREE_KIT_H
#define FTPFS_TESTS_TREE_KIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/path.h"
#include "fs/tree.h"
#include "heap.h"

#define TTL    (20 * NS_PER_S)
#define T0     (INT64_C(1500000000) * NS_PER_S)
#define MINUTE (60 * NS_PER_S)

static struct tree t;
static unsigned changes;
static char changed_name[64];

static inline void on_change(void *arg, struct node *dir, const char *name)
{
	(void)arg;
	assert_non_null(dir);
	changes++;
	snprintf(changed_name, sizeof(changed_name), "%s", name);
}

static inline int setup(void **state)
{
	(void)state;
	changes = 0;
	if (tree_init(&t, TTL, 1000000))
		return -1;
	t.on_change = on_change;
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	tree_check(&t);
	tree_destroy(&t);
	return 0;
}

static inline struct entry file_entry(const char *name, int64_t size, int64_t mtime, int64_t slack)
{
	return (struct entry){
		.name = (char *)(uintptr_t)name,
		.size = size,
		.mtime = mtime,
		.mtime_slack = slack,
		.type = ENTRY_FILE,
		.have = (uint8_t)(HAVE_SIZE | HAVE_MTIME | (slack ? 0 : HAVE_EXACT_MTIME))};
}

static inline struct entry dir_entry(const char *name)
{
	return (struct entry){.name = (char *)(uintptr_t)name,
			      .mtime = T0,
			      .type = ENTRY_DIR,
			      .have = HAVE_MTIME};
}

static inline struct node *put(struct node *dir, struct entry e)
{
	mutex_lock(&t.lock);
	struct node *n = tree_put_locked(&t, dir, e.name, &e);
	mutex_unlock(&t.lock);
	assert_non_null(n);
	return n;
}

static inline struct node *child(struct node *dir, const char *name)
{
	mutex_lock(&t.lock);
	struct node *n = tree_child_locked(&t, dir, name);
	mutex_unlock(&t.lock);
	return n;
}

static inline int move(struct node *n, struct node *dir, const char *name)
{
	mutex_lock(&t.lock);
	int err = tree_move_locked(&t, n, dir, name);
	mutex_unlock(&t.lock);
	return err;
}

static inline void unlink_(struct node *n)
{
	mutex_lock(&t.lock);
	tree_unlink_locked(&t, n);
	mutex_unlock(&t.lock);
}

static inline uint64_t begin(struct node *dir)
{
	mutex_lock(&t.lock);
	uint64_t epoch = tree_fetch_begin_locked(&t, dir);
	mutex_unlock(&t.lock);
	return epoch;
}

static inline void end(struct node *dir)
{
	mutex_lock(&t.lock);
	tree_fetch_end_locked(&t, dir, 0);
	mutex_unlock(&t.lock);
}

static inline int publish_at(struct node *dir, uint64_t epoch, const struct entry *v, size_t n)
{
	struct listing l;

	listing_init(&l, LISTING_MAX);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(listing_add(&l, &v[i]), 0);
	int err = tree_publish(&t, dir, &l, epoch);
	listing_free(&l);
	return err;
}

#define PUBLISH(dir, ...)                                                                          \
	do {                                                                                       \
		const struct entry v_[] = {__VA_ARGS__};                                           \
		assert_int_equal(publish_at(dir, begin(dir), v_, sizeof(v_) / sizeof(*v_)), 0);    \
		end(dir);                                                                          \
	} while (0)

static inline int64_t names_ttl(struct node *dir)
{
	mutex_lock(&t.lock);
	int64_t left = tree_names_ttl_locked(&t, dir);
	mutex_unlock(&t.lock);
	return left;
}

static inline int64_t attr_ttl(struct node *n)
{
	mutex_lock(&t.lock);
	int64_t left = tree_attr_ttl_locked(&t, n);
	mutex_unlock(&t.lock);
	return left;
}

static inline void assert_path(struct node *n, const char *want)
{
	struct buf b;

	buf_init(&b, PATH_LIMIT);
	assert_int_equal(tree_path(&t, n, &b), 0);
	assert_string_equal(buf_text(&b), want);
	buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
