/* publish_test - what a listing may overrule in the tree, and what not. */
#include "tree_kit.h"

static void test_publish_reconciles(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("a", 1, T0, 0), file_entry("b", 2, T0, 0), dir_entry("d"));
	struct node *a = child(t.root, "a"), *d = child(t.root, "d");

	a->lookups = 1;
	child(t.root, "b")->lookups = 1;
	struct node *b = child(t.root, "b");
	PUBLISH(t.root, dir_entry("d"), file_entry("c", 3, T0, 0), file_entry("a", 9, T0, 0));
	assert_ptr_equal(child(t.root, "a"), a);
	assert_ptr_equal(child(t.root, "d"), d);
	assert_int_equal(a->size, 9);
	assert_null(child(t.root, "b"));
	assert_true(b->flags & NODE_UNLINKED);
	assert_int_equal(changes, 1);
	assert_string_equal(changed_name, "b");
	/* the server's order */
	assert_string_equal(t.root->dir->first->name, "d");
	assert_string_equal(t.root->dir->first->next->name, "c");
	assert_string_equal(t.root->dir->last->name, "a");
	tree_forget(&t, b, 1);
	tree_forget(&t, a, 1);
}

static void test_publish_empty_and_twice_the_same_name(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("a", 1, T0, 0), file_entry("a", 2, T0, 0));
	assert_int_equal(t.root->dir->count, 1);
	tree_check(&t);
	struct node *local = put(t.root, file_entry("mine", 0, T0, 0));
	local->flags |= NODE_LOCAL;
	assert_int_equal(publish_at(t.root, begin(t.root), NULL, 0), 0);
	end(t.root);
	assert_int_equal(t.root->dir->count, 1);
	assert_ptr_equal(t.root->dir->first, local);
	assert_true(names_ttl(t.root) > 0);
}

static void test_type_change_is_another_node(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("x", 1, T0, 0));
	struct node *old = child(t.root, "x");

	old->lookups = 1;
	PUBLISH(t.root, dir_entry("x"));
	struct node *new = child(t.root, "x");
	assert_ptr_not_equal(new, old);
	assert_non_null(new->dir);
	assert_true(old->flags & NODE_UNLINKED);
	assert_true(new->ino != old->ino);
	assert_int_equal(changes, 1);
	tree_forget(&t, old, 1);
}

static void test_busy_and_local_are_spared(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("w", 1, T0, 0));
	struct node *w = child(t.root, "w");

	w->flags |= NODE_BUSY;
	w->size = 100;
	PUBLISH(t.root, file_entry("w", 7, T0 + MINUTE, 0));
	assert_int_equal(w->size, 100);
	assert_int_equal(w->mtime, T0);
	assert_int_equal(attr_ttl(w), 0);
	PUBLISH(t.root, file_entry("other", 7, T0, 0));
	assert_ptr_equal(child(t.root, "w"), w); /* hidden while it is stored */
	w->flags &= (uint8_t)~NODE_BUSY;
	PUBLISH(t.root, file_entry("other", 7, T0, 0));
	assert_null(child(t.root, "w"));
}

static void test_missing_size_keeps_the_known_one(void **state)
{
	(void)state;
	struct entry e = file_entry("a", 5, T0, 0);

	put(t.root, e);
	e.have = HAVE_MTIME | HAVE_EXACT_MTIME;
	e.size = 0;
	struct node *a = put(t.root, e);
	assert_int_equal(a->size, 5);
	assert_true(a->have & HAVE_SIZE);
}

static void test_exact_time_survives_a_coarse_listing(void **state)
{
	(void)state;
	struct node *a = put(t.root, file_entry("a", 5, T0 + 17 * NS_PER_S, 0));

	PUBLISH(t.root, file_entry("a", 5, T0, MINUTE));
	assert_int_equal(a->mtime, T0 + 17 * NS_PER_S);
	assert_true(a->have & HAVE_EXACT_MTIME);
	PUBLISH(t.root, file_entry("a", 6, T0, MINUTE)); /* another size: another content */
	assert_int_equal(a->mtime, T0);
	assert_false(a->have & HAVE_EXACT_MTIME);
	put(t.root, file_entry("a", 6, T0 + 17 * NS_PER_S, 0));
	PUBLISH(t.root, file_entry("a", 6, T0 + MINUTE, MINUTE)); /* another minute */
	assert_int_equal(a->mtime, T0 + MINUTE);
	assert_int_equal(a->mtime_slack, MINUTE);
	put(t.root, file_entry("a", 6, T0 + 2 * MINUTE, 0)); /* just outside */
	PUBLISH(t.root, file_entry("a", 6, T0 + MINUTE, MINUTE));
	assert_false(a->have & HAVE_EXACT_MTIME);
}

static void test_pinned_time(void **state)
{
	(void)state;
	struct node *d = put(t.root, dir_entry("d"));
	struct entry later = dir_entry("d");

	d->flags |= NODE_PINNED_TIME;
	d->listed_mtime = INT64_MIN;
	d->mtime = 42 * NS_PER_S;
	PUBLISH(t.root, dir_entry("d"));
	PUBLISH(t.root, dir_entry("d"));
	assert_int_equal(d->mtime, 42 * NS_PER_S);
	later.mtime = T0 + MINUTE;
	PUBLISH(t.root, later);
	assert_int_equal(d->mtime, T0 + MINUTE);
	assert_false(d->flags & NODE_PINNED_TIME);
}

static void test_touch_drops_a_pinned_time(void **state)
{
	(void)state;
	struct node *d = put(t.root, dir_entry("d"));
	uint64_t epoch = d->dir->epoch;

	d->flags |= NODE_PINNED_TIME;
	mutex_lock(&t.lock);
	tree_touch_dir_locked(&t, d);
	mutex_unlock(&t.lock);
	assert_false(d->flags & NODE_PINNED_TIME);
	assert_true(d->mtime > T0);
	assert_true(d->dir->epoch > epoch);
}

static void test_stale_listing_is_dropped(void **state)
{
	(void)state;
	struct entry a = file_entry("a", 1, T0, 0);

	PUBLISH(t.root, a);
	uint64_t seen = t.root->dir->epoch; /* nobody notes what happens now */
	unlink_(child(t.root, "a"));
	assert_int_equal(publish_at(t.root, seen, &a, 1), -EAGAIN);
	assert_null(child(t.root, "a"));
	assert_int_equal(publish_at(t.root, t.root->dir->epoch, &a, 1), 0);
	assert_non_null(child(t.root, "a"));
}

static void test_our_changes_outlive_a_listing_on_its_way(void **state)
{
	(void)state;
	const struct entry before[] = {file_entry("gone", 1, T0, 0), file_entry("from", 2, T0, 0),
				       file_entry("again", 3, T0, 0),
				       file_entry("stays", 4, T0, 0)};

	assert_int_equal(publish_at(t.root, begin(t.root), before, 4), 0);
	end(t.root);
	uint64_t seen = begin(t.root);
	struct node *from = child(t.root, "from");
	unlink_(child(t.root, "gone"));
	assert_int_equal(move(from, t.root, "to"), 0);
	unlink_(child(t.root, "again"));
	struct node *again = put(t.root, file_entry("again", 30, T0, 0));
	struct node *made = put(t.root, dir_entry("made"));
	assert_int_equal(publish_at(t.root, seen, before, 4), 0);
	end(t.root);
	assert_null(child(t.root, "gone"));
	assert_null(child(t.root, "from"));
	assert_ptr_equal(child(t.root, "to"), from);
	assert_ptr_equal(child(t.root, "again"), again);
	assert_int_equal(again->size, 30);
	assert_ptr_equal(child(t.root, "made"), made);
	assert_int_equal(t.root->dir->count, 4);
	assert_true(names_ttl(t.root) > 0);
	/* the next listing is believed in everything */
	PUBLISH(t.root, file_entry("stays", 5, T0, 0));
	assert_int_equal(t.root->dir->count, 1);
}

static void test_a_write_during_a_listing_keeps_its_size(void **state)
{
	(void)state;
	struct entry a = file_entry("a", 1, T0, 0);

	PUBLISH(t.root, a);
	struct node *n = child(t.root, "a");
	n->flags |= NODE_BUSY; /* being stored when the listing is asked for... */
	uint64_t seen = begin(t.root);
	n->flags &= (uint8_t)~NODE_BUSY;
	n->size = 99; /* ...and stored when it comes */
	assert_int_equal(publish_at(t.root, seen, &a, 1), 0);
	end(t.root);
	assert_int_equal(n->size, 99);
}

static void test_an_answer_during_a_listing_keeps_its_size(void **state)
{
	(void)state;
	struct entry older[] = {file_entry("a", 1, T0, 0), file_entry("b", 1, T0, 0)};
	struct entry a = file_entry("a", 99, T0, 0);

	PUBLISH(t.root, older[0], older[1]);
	struct node *grown = child(t.root, "a");
	uint64_t seen = begin(t.root);
	mutex_lock(&t.lock);
	tree_learn_locked(&t, grown, &a);
	mutex_unlock(&t.lock);
	older[1].size = 2;
	assert_int_equal(publish_at(t.root, seen, older, 2), 0);
	end(t.root);
	assert_int_equal(grown->size, 99);
	assert_int_equal(child(t.root, "b")->size, 2); /* of which nothing newer was known */
}

static void test_what_is_being_renamed_stays(void **state)
{
	(void)state;
	PUBLISH(t.root, file_entry("old", 1, T0, 0));
	struct node *n = child(t.root, "old");

	n->moving = true; /* the server has done it, the tree not yet */
	PUBLISH(t.root, file_entry("new", 1, T0, 0));
	assert_ptr_equal(child(t.root, "old"), n);
	assert_int_equal(move(n, t.root, "new"), 0);
	n->moving = false;
	assert_ptr_equal(child(t.root, "new"), n);
	assert_int_equal(t.root->dir->count, 1);
}

/* ---- between two slices ---- */

enum { MANY = 5 * PUBLISH_SLICE };

static struct entry *many;
static char (*many_names)[16];
static unsigned slices;
static size_t count_was;

static void make_many(void)
{
	many = calloc(MANY, sizeof(*many));
	many_names = calloc(MANY, sizeof(*many_names));
	for (size_t i = 0; i < MANY; i++) {
		snprintf(many_names[i], sizeof(*many_names), "%zu", i);
		many[i] = file_entry(many_names[i], (int64_t)i, T0, 0);
	}
}

static void free_many(void)
{
	free(many);
	free(many_names);
}

static size_t distance(size_t a, size_t b)
{
	return a > b ? a - b : b - a;
}

/* Others come in, and find no more done than what one slice may do. */
static void others_look(struct tree *tree)
{
	size_t now = t.root->dir->count;

	assert_ptr_equal(tree, &t);
	slices++;
	if (now)
		assert_non_null(child(t.root, t.root->dir->first->name));
	assert_true(distance(now, count_was) <= PUBLISH_SLICE);
	count_was = now;
}

static void test_a_big_listing_lets_others_in(void **state)
{
	(void)state;
	const struct entry one = file_entry("one", 1, T0, 0);

	make_many();
	slices = 0;
	count_was = 0;
	t.on_slice = others_look;
	assert_int_equal(publish_at(t.root, begin(t.root), many, MANY), 0);
	end(t.root);
	assert_int_equal(t.root->dir->count, MANY);
	assert_true(slices >= MANY / PUBLISH_SLICE);
	slices = 0;
	assert_int_equal(publish_at(t.root, begin(t.root), &one, 1), 0); /* all gone but one */
	end(t.root);
	assert_int_equal(t.root->dir->count, 1);
	assert_true(slices >= MANY / PUBLISH_SLICE);
	free_many();
}

static struct node *moved;

/* The first slice is in the tree, the others are still to come. */
static void others_change(struct tree *tree)
{
	if (slices++ == 0) {
		unlink_(child(t.root, "0"));
		moved = child(t.root, "1");
		assert_int_equal(move(moved, t.root, many_names[MANY - 1]), 0);
		put(t.root, file_entry("made", 77, T0, 0));
		unlink_(put(t.root, file_entry(many_names[MANY - 2], 77, T0, 0)));
		put(t.root, file_entry(many_names[MANY - 3], 77, T0, 0));
	}
	assert_ptr_equal(tree, &t);
	assert_null(child(t.root, "0"));
	assert_null(child(t.root, "1"));
	assert_null(child(t.root, many_names[MANY - 2]));
	assert_ptr_equal(child(t.root, many_names[MANY - 1]), moved);
	assert_int_equal(child(t.root, "made")->size, 77);
	assert_int_equal(child(t.root, many_names[MANY - 3])->size, 77);
}

static void test_changes_between_slices_are_kept(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) { /* all new; all known */
		make_many();
		if (again)
			assert_int_equal(publish_at(t.root, begin(t.root), many, MANY), 0);
		slices = 0;
		t.on_slice = others_change;
		assert_int_equal(publish_at(t.root, begin(t.root), many, MANY), 0);
		t.on_slice = NULL;
		end(t.root);
		others_change(&t);
		assert_int_equal(t.root->dir->count, MANY - 2);
		assert_true(names_ttl(t.root) > 0);
		tree_check(&t);
		PUBLISH(t.root, many[0]); /* and the next listing is believed in everything */
		assert_int_equal(t.root->dir->count, 1);
		free_many();
	}
}

static struct node *victim;

static void others_remove_it(struct tree *tree)
{
	if (slices++ == 0) {
		assert_ptr_equal(tree, &t);
		unlink_(victim);
	}
}

static void test_a_directory_removed_between_slices(void **state)
{
	(void)state;
	make_many();
	victim = put(t.root, dir_entry("d"));
	victim->lookups = 1;
	slices = 0;
	t.on_slice = others_remove_it;
	assert_int_equal(publish_at(victim, begin(victim), many, MANY), -ENOENT);
	assert_int_equal(slices, 2);
	assert_null(victim->dir->first);
	end(victim);
	tree_forget(&t, victim, 1);
	free_many();
}

static void others_change_too_much(struct tree *tree)
{
	if (slices++ == 0) {
		assert_ptr_equal(tree, &t);
		t.root->dir->touched.lost = true;
		unlink_(child(t.root, "0"));
	}
}

static void test_too_many_changes_between_slices(void **state)
{
	(void)state;
	make_many();
	slices = 0;
	t.on_slice = others_change_too_much;
	assert_int_equal(publish_at(t.root, begin(t.root), many, MANY), -EAGAIN);
	assert_int_equal(names_ttl(t.root), 0);
	assert_null(child(t.root, "0"));
	t.on_slice = NULL;
	assert_int_equal(publish_at(t.root, begin(t.root), many, MANY), 0);
	end(t.root);
	assert_int_equal(t.root->dir->count, MANY);
	assert_string_equal(t.root->dir->first->name, "0");
	free_many();
}

static void test_many_changes_are_noted(void **state)
{
	(void)state;
	make_many();
	uint64_t epoch = begin(t.root);
	for (size_t i = 0; i < MANY; i += 2) {
		unlink_(put(t.root, many[i]));
		unlink_(put(t.root, many[i])); /* a name is noted once */
	}
	assert_int_equal(t.root->dir->touched.n, MANY / 2);
	assert_int_equal(publish_at(t.root, epoch, many, MANY), 0);
	end(t.root);
	assert_int_equal(t.root->dir->count, MANY / 2);
	assert_null(child(t.root, "0"));
	assert_non_null(child(t.root, "1"));
	free_many();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_publish_reconciles),
		TEST(test_publish_empty_and_twice_the_same_name),
		TEST(test_type_change_is_another_node),
		TEST(test_busy_and_local_are_spared),
		TEST(test_missing_size_keeps_the_known_one),
		TEST(test_exact_time_survives_a_coarse_listing),
		TEST(test_pinned_time),
		TEST(test_touch_drops_a_pinned_time),
		TEST(test_stale_listing_is_dropped),
		TEST(test_our_changes_outlive_a_listing_on_its_way),
		TEST(test_what_is_being_renamed_stays),
		TEST(test_a_write_during_a_listing_keeps_its_size),
		TEST(test_an_answer_during_a_listing_keeps_its_size),
		TEST(test_a_big_listing_lets_others_in),
		TEST(test_changes_between_slices_are_kept),
		TEST(test_a_directory_removed_between_slices),
		TEST(test_too_many_changes_between_slices),
		TEST(test_many_changes_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
