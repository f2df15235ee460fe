/* tree_test - the tree by itself: places, lifetimes, ages, bounds. */
#include "tree_kit.h"

static void test_paths(void **state)
{
	(void)state;
	struct node *a = put(t.root, dir_entry("a"));
	struct node *b = put(a, dir_entry("b"));
	struct node *f = put(b, file_entry("f", 1, T0, 0));
	struct buf out;

	assert_path(t.root, "/");
	assert_path(f, "/a/b/f");
	buf_init(&out, PATH_LIMIT);
	assert_int_equal(tree_child_path(&t, t.root, "x", &out), 0);
	assert_string_equal(buf_text(&out), "/x");
	buf_reset(&out);
	assert_int_equal(tree_child_path(&t, b, "x", &out), 0);
	assert_string_equal(buf_text(&out), "/a/b/x");
	buf_free(&out);
	assert_int_equal(move(a, t.root, "c"), 0);
	assert_path(f, "/c/b/f");
}

static void test_path_limit(void **state)
{
	(void)state;
	char name[256];
	struct node *n = t.root;
	struct buf out;

	memset(name, 'n', 255);
	name[255] = '\0';
	for (int i = 0; i < 16; i++) /* 4096 bytes */
		n = put(n, dir_entry(name));
	buf_init(&out, 2 * PATH_LIMIT);
	assert_int_equal(tree_path(&t, n, &out), -ENAMETOOLONG);
	assert_int_equal(tree_path(&t, n->parent, &out), 0);
	assert_int_equal(out.len, 15 * 256);
	buf_free(&out);
}

static void test_lifetimes(void **state)
{
	(void)state;
	size_t before = t.count;
	struct node *a = put(t.root, file_entry("a", 1, T0, 0));

	mutex_lock(&t.lock);
	tree_pin_locked(a);
	mutex_unlock(&t.lock);
	a->lookups = 2;
	unlink_(a);
	assert_int_equal(t.count, before + 1);
	tree_check(&t);
	tree_forget(&t, a, 1);
	assert_int_equal(a->lookups, 1);
	tree_unpin(&t, a);
	assert_int_equal(t.count, before + 1);
	tree_forget(&t, a, 1);
	assert_int_equal(t.count, before);
	struct node *b = put(t.root, file_entry("b", 1, T0, 0));
	b->lookups = 1;
	tree_forget(&t, b, 1); /* linked: stays */
	assert_ptr_equal(child(t.root, "b"), b);
}

static void test_a_removed_directory_takes_all_below_it(void **state)
{
	(void)state;
	size_t before = t.count;
	struct node *a = put(t.root, dir_entry("a"));
	struct node *b = put(a, dir_entry("b"));
	struct node *f = put(b, file_entry("f", 1, T0, 0));
	struct buf out;

	put(a, file_entry("g", 1, T0, 0));
	f->lookups = 1;
	assert_int_equal(publish_at(t.root, begin(t.root), NULL, 0), 0);
	end(t.root);
	assert_int_equal(t.count, before + 1);
	buf_init(&out, PATH_LIMIT);
	assert_int_equal(tree_path(&t, f, &out), -ENOENT);
	buf_free(&out);
	tree_forget(&t, f, 1);
	assert_int_equal(t.count, before);
}

static void test_move(void **state)
{
	(void)state;
	struct node *d = put(t.root, dir_entry("d"));
	struct node *a = put(t.root, file_entry("a", 1, T0, 0));
	struct node *b = put(d, file_entry("b", 2, T0, 0));
	uint64_t ino = a->ino, e1 = t.root->dir->epoch, e2 = d->dir->epoch;

	b->lookups = 1;
	assert_int_equal(move(a, d, "b"), 0);
	assert_null(child(t.root, "a"));
	assert_ptr_equal(child(d, "b"), a);
	assert_int_equal(a->ino, ino);
	assert_true(b->flags & NODE_UNLINKED);
	assert_true(t.root->dir->epoch > e1 && d->dir->epoch > e2);
	/* what comes to the place it left is somebody else */
	struct node *new = put(t.root, file_entry("a", 3, T0, 0));
	assert_true(new->ino != ino);
	tree_forget(&t, b, 1);
	unlink_(d);
	assert_int_equal(move(new, t.root, "a"), 0); /* onto itself */
	assert_ptr_equal(child(t.root, "a"), new);
}

static void test_ino_is_stable(void **state)
{
	(void)state;
	struct node *d = put(t.root, dir_entry("d"));
	uint64_t dir_ino = d->ino, ino = put(d, file_entry("f", 1, T0, 0))->ino;

	unlink_(d);
	d = put(t.root, dir_entry("d"));
	assert_int_equal(d->ino, dir_ino);
	assert_int_equal(put(d, file_entry("f", 1, T0, 0))->ino, ino);
	assert_int_equal(t.root->ino, 1);
	assert_true(ino > 1 && dir_ino > 1 && ino != dir_ino);
}

static void test_ages(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("a", 1, T0, 0));
	struct node *a = child(t.root, "a");

	assert_true(names_ttl(t.root) > TTL / 2 && names_ttl(t.root) <= TTL);
	assert_true(attr_ttl(a) > TTL / 2 && attr_ttl(a) <= TTL);
	clock_advance(TTL / 2 + NS_PER_S);
	assert_in_range(names_ttl(t.root), 1, TTL / 2);
	clock_advance(TTL / 2);
	assert_int_equal(names_ttl(t.root), 0);
	assert_int_equal(attr_ttl(a), 0);
	put(t.root, file_entry("a", 1, T0, 0)); /* one answer about one name */
	assert_true(attr_ttl(a) > 0);
	assert_int_equal(names_ttl(t.root), 0);
	PUBLISH(t.root, file_entry("a", 1, T0, 0));
	mutex_lock(&t.lock);
	tree_expire_locked(&t, t.root);
	mutex_unlock(&t.lock);
	assert_int_equal(names_ttl(t.root), 0);
	assert_int_equal(attr_ttl(a), 0);
	assert_ptr_equal(child(t.root, "a"), a);
}

static void fill(struct node *dir, size_t n)
{
	struct listing l;
	char name[64];

	listing_init(&l, LISTING_MAX);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "IMG_2024_%08zu.jpg", i);
		struct entry e = file_entry(name, (int64_t)i, T0, 0);
		assert_int_equal(listing_add(&l, &e), 0);
	}
	uint64_t epoch = begin(dir);
	assert_int_equal(tree_publish(&t, dir, &l, epoch), 0);
	end(dir);
	listing_free(&l);
}

static void test_bound_drops_the_oldest_unused_listing(void **state)
{
	(void)state;
	t.max = t.sweep_at = 1000;
	struct node *d[4];
	char name[2] = "0";

	for (int i = 0; i < 4; i++) {
		name[0] = (char)('0' + i);
		d[i] = put(t.root, dir_entry(name));
		d[i]->lookups = 1;
		fill(d[i], 300);
		if (i == 0)
			d[0]->dir->first->lookups = 1; /* the kernel knows one of these */
		clock_advance(NS_PER_MS);
	}
	assert_true(t.count <= 1000);
	assert_int_equal(d[0]->dir->count, 300);
	assert_true(d[0]->dir->complete);
	assert_int_equal(d[1]->dir->count, 0);
	assert_false(d[1]->dir->complete);
	assert_int_equal(d[3]->dir->count, 300);
	tree_check(&t);
}

static void test_bound_when_everything_is_in_use(void **state)
{
	(void)state;
	t.max = t.sweep_at = 100;
	mutex_lock(&t.lock);
	tree_pin_locked(t.root);
	mutex_unlock(&t.lock);
	fill(t.root, 500);
	assert_int_equal(t.root->dir->count, 500);
	assert_true(t.sweep_at > 500); /* does not look again for each new node */
	tree_unpin(&t, t.root);
}

static void test_memory_of_an_entry(void **state)
{
	(void)state;
	enum { MANY = 200000 };

	struct mallinfo2 before = mallinfo2();
	fill(t.root, MANY);
	struct mallinfo2 after = mallinfo2();
	size_t bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
	print_message("%zu bytes an entry\n", bytes / MANY);
	/* Resident is a little more; the limit for that is 256. */
	if (heap_is_counted())
		assert_true(bytes / MANY <= 224);
	assert_int_equal(child(t.root, "IMG_2024_00077777.jpg")->size, 77777);
}

/* The longer name is given up again: nothing but the name may change. */
static void test_names_shorter_and_longer(void **state)
{
	(void)state;
	struct node *n = put(t.root, file_entry("a", 1, T0, 0));
	char name[256] = "";

	for (size_t len = 255; len; len /= 2) {
		memset(name, 'x', len);
		name[len] = '\0';
		assert_int_equal(move(n, t.root, name), 0);
		assert_ptr_equal(child(t.root, name), n);
		assert_int_equal(n->size, 1);
	}
	assert_int_equal(move(n, t.root, "a"), 0);
	assert_path(n, "/a");
}

static void test_every_name_is_found_while_the_tables_grow(void **state)
{
	(void)state;
	enum { MANY = 5000 };
	char name[16];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%u", i);
		put(t.root, file_entry(name, i, T0, 0));
		for (unsigned j = i / 2; j <= i; j += i / 8 + 1) {
			snprintf(name, sizeof(name), "%u", j);
			assert_int_equal(child(t.root, name)->size, j);
		}
	}
	assert_true(t.nbuckets >= MANY && t.nbuckets <= MANY + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_paths),
		TEST(test_path_limit),
		TEST(test_lifetimes),
		TEST(test_a_removed_directory_takes_all_below_it),
		TEST(test_move),
		TEST(test_ino_is_stable),
		TEST(test_ages),
		TEST(test_bound_drops_the_oldest_unused_listing),
		TEST(test_bound_when_everything_is_in_use),
		TEST(test_memory_of_an_entry),
		TEST(test_names_shorter_and_longer),
		TEST(test_every_name_is_found_while_the_tables_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
