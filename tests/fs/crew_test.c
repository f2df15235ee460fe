/* crew_test - a big file read by several streams: right bytes of one version whatever becomes of
 * the helpers, bounded memory, and an end when the reader ends.
 *
 * The link is simulated: a read of a stream lets time pass (clock_advance), the less the more
 * streams share it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../src/fs/file_private.h"
#include "base/clock.h"
#include "base/stats.h"
#include "fs/crew.h"
#include "fs/reader.h"
#include "remote_fault.h"
#include "remote_mem.h"

/* 16 KiB in 20 ms. */
#define FLIGHT (20 * NS_PER_MS)

enum { SIZE = 40 << 20, WINDOW = 16 << 10, PIECE = 128 << 10 };

/* A remote whose streams are slow: each for itself, or all together. */
struct slow {
	struct remote remote;
	struct remote *inner;
	bool shared; /* they share the link */
	bool full;   /* the background finds no connection */
	struct files *files;
	atomic_uint streams, most; /* open at a time */
	atomic_uint most_segments;
};

struct slow_stream {
	struct stream stream;
	struct stream *inner;
	struct slow *slow;
};

static void raise_to(atomic_uint *most, unsigned n)
{
	unsigned known = atomic_load(most);

	while (n > known && !atomic_compare_exchange_weak(most, &known, n))
		;
}

static ssize_t slow_read(struct stream *stream, void *to, size_t n, const struct opctx *ctx)
{
	struct slow_stream *s = (struct slow_stream *)stream;
	ssize_t got = stream_read(s->inner, to, n < WINDOW ? n : WINDOW, ctx);

	nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* the other threads have to run */
	clock_advance(FLIGHT / (s->slow->shared ? 1 : atomic_load(&s->slow->streams)));
	raise_to(&s->slow->most_segments, atomic_load(&s->slow->files->segments));
	return got;
}

static void slow_park(struct stream *stream)
{
	stream_park(((struct slow_stream *)stream)->inner);
}

static void slow_close(struct stream *stream)
{
	struct slow_stream *s = (struct slow_stream *)stream;

	atomic_fetch_sub(&s->slow->streams, 1);
	stream_close(s->inner);
	free(s);
}

static const struct stream_ops SLOW_STREAM = {
	.read = slow_read, .park = slow_park, .close = slow_close};

static int slow_open_read(struct remote *r, const char *path, int64_t from, struct stream **out,
			  const struct opctx *ctx)
{
	struct slow *slow = (struct slow *)r;
	struct slow_stream *s;
	int rc;

	if (slow->full && ctx->background)
		return -EAGAIN;
	s = calloc(1, sizeof *s);
	assert_non_null(s);
	rc = remote_open_read(slow->inner, path, from, &s->inner, ctx);
	if (rc) {
		free(s);
		return rc;
	}
	s->stream.ops = &SLOW_STREAM;
	s->slow = slow;
	raise_to(&slow->most, atomic_fetch_add(&slow->streams, 1) + 1);
	*out = &s->stream;
	return 0;
}

static int slow_stat(struct remote *r, const char *path, unsigned want, struct entry *out,
		     const struct opctx *ctx)
{
	return remote_stat(((struct slow *)r)->inner, path, want, out, ctx);
}

static const struct remote_ops SLOW = {.open_read = slow_open_read, .stat = slow_stat};

struct world {
	struct mem_server *server;
	struct fault_plan *plan;
	struct slow slow;
	struct tree tree;
	struct files files;
	struct node *node;
	struct file *file;
	struct reader *reader;
	char *bytes; /* of the server's file */
	char piece[PIECE];
	int64_t at;
	int64_t segments; /* counter when it began */
};

static char *content(unsigned seed)
{
	uint32_t *v = malloc(SIZE);

	assert_non_null(v);
	for (size_t i = 0; i < SIZE / sizeof *v; i++)
		v[i] = seed = seed * 1664525 + 1013904223;
	return (char *)v;
}

static int begin(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct mem_traits best = {0};
	struct entry e;

	assert_non_null(w);
	w->server = mem_server_create(&best);
	w->bytes = content(1);
	assert_int_equal(mem_put(w->server, "/f", w->bytes, SIZE), 0);
	assert_int_equal(mem_stat(w->server, "/f", &e), 0);
	w->plan = fault_plan_create(7);
	w->slow.remote.ops = &SLOW;
	w->slow.inner = remote_fault_create(remote_mem_create(w->server), w->plan);
	w->slow.files = &w->files;
	assert_int_equal(tree_init(&w->tree, 20 * NS_PER_S, 1000), 0);
	w->files.tree = &w->tree;
	w->files.remote = &w->slow.remote;
	w->files.timeout = 20 * NS_PER_S;
	mutex_lock(&w->tree.lock);
	w->node = tree_put_locked(&w->tree, w->tree.root, "f", &e);
	mutex_unlock(&w->tree.lock);
	assert_int_equal(file_get(&w->files, w->node, &w->file), 0);
	assert_int_equal(reader_create(w->file, e.size, e.mtime, READER_HANDLE, &w->reader), 0);
	entry_clear(&e);
	w->segments = stats_get(STAT_SEGMENTS);
	*state = w;
	return 0;
}

static void drop_reader(struct world *w)
{
	reader_drop(w->reader);
	w->reader = NULL;
	assert_int_equal(atomic_load(&w->slow.streams), 0);
	assert_int_equal(atomic_load(&w->files.segments), 0);
}

static int end(void **state)
{
	struct world *w = *state;

	drop_reader(w);
	assert_true(atomic_load(&w->slow.most_segments) <= CREW_SEGMENTS);
	file_put(w->file);
	tree_destroy(&w->tree);
	remote_destroy(w->slow.inner);
	fault_plan_destroy(w->plan);
	mem_server_destroy(w->server);
	free(w->bytes);
	free(w);
	return 0;
}

/* One more piece, as it should be. */
static int read_piece(struct world *w)
{
	struct opctx ctx = opctx_for(OPCTX_FOREVER);
	ssize_t got = reader_read(w->reader, w->piece, PIECE, w->at, &ctx);

	if (got < 0)
		return (int)got;
	assert_int_equal(got, w->at + PIECE <= SIZE ? PIECE : SIZE - w->at);
	assert_memory_equal(w->piece, w->bytes + w->at, (size_t)got);
	w->at += got;
	return 0;
}

static void read_to(struct world *w, int64_t end_at)
{
	while (w->at < end_at)
		assert_int_equal(read_piece(w), 0);
}

static int64_t segments(const struct world *w)
{
	return stats_get(STAT_SEGMENTS) - w->segments;
}

/* Helpers are at work, and have been for some segments. */
static void read_until_helped(struct world *w)
{
	while (segments(w) < 3) {
		assert_true(w->at < SIZE / 2);
		assert_int_equal(read_piece(w), 0);
	}
}

static void await_no_stream(struct world *w)
{
	struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; atomic_load(&w->slow.streams) > 1; i++) {
		assert_true(i < 20000);
		nanosleep(&nap, NULL);
	}
}

static void several_streams_bring_what_one_would(void **state)
{
	struct world *w = *state;

	read_to(w, SIZE);
	assert_true(atomic_load(&w->slow.most) > 4);
	assert_true(atomic_load(&w->slow.most) <= CREW_STREAMS + 1);
	assert_true(segments(w) > 4);
}

static void one_where_they_share_the_link(void **state)
{
	struct world *w = *state;

	w->slow.shared = true;
	read_to(w, SIZE);
	/* Tried, and at a seam the next one may stand before the last is closed. */
	assert_in_range(atomic_load(&w->slow.most), 2, 5);
}

static void one_where_there_is_no_connection(void **state)
{
	struct world *w = *state;

	w->slow.full = true;
	read_to(w, SIZE);
	assert_int_equal(atomic_load(&w->slow.most), 1);
	assert_int_equal(segments(w), 0);
}

static void helpers_that_fail_cost_only_speed(void **state)
{
	struct world *w = *state;

	fault_rate(w->plan, FAULT_READ, FAULT_DIE, -ECONNRESET, 10000);
	fault_rate(w->plan, FAULT_READ, FAULT_STALE, -ESTALE, 10000);
	fault_rate(w->plan, FAULT_READ, FAULT_SHORT, 0, 100000);
	fault_rate(w->plan, FAULT_OPEN_READ, FAULT_BEFORE, -ECONNRESET, 100000);
	fault_rate(w->plan, FAULT_STAT, FAULT_BEFORE, -ECONNRESET, 100000);
	read_to(w, SIZE);
	assert_true(segments(w) > 0);
	assert_true(fault_total(w->plan) > 10);
}

static void never_two_versions(void **state)
{
	struct world *w = *state;
	char *other = content(2);
	int rc = 0;

	read_until_helped(w);
	assert_int_equal(mem_remove(w->server, "/f"), 0);
	assert_int_equal(mem_put(w->server, "/f", other, SIZE), 0);
	while (rc == 0 && w->at < SIZE)
		rc = read_piece(w);
	/* The old one to its end, when a stream on it stood. */
	assert_true(rc == 0 || rc == -EIO);
	free(other);
}

static void elsewhere_it_begins_anew(void **state)
{
	struct world *w = *state;

	read_until_helped(w);
	w->at = 30 << 20;
	assert_int_equal(read_piece(w), 0);
	/* A read or two later: neither streams nor memory of what was left. */
	assert_true(atomic_load(&w->slow.streams) == 1);
	assert_int_equal(atomic_load(&w->files.segments), 0);
	w->at = 1 << 20;
	read_to(w, 12 << 20);
	for (unsigned i = 0; i < 40; i++) {
		w->at = (int64_t)(i * 7919 % (SIZE / PIECE)) * PIECE;
		assert_int_equal(read_piece(w), 0);
	}
	assert_int_equal(atomic_load(&w->slow.streams), 1);
}

static void they_end_with_the_reader(void **state)
{
	struct world *w = *state;

	read_until_helped(w);
	drop_reader(w);
}

static void they_stop_with_the_reader(void **state)
{
	struct world *w = *state;

	read_until_helped(w);
	await_no_stream(w);
	assert_true(atomic_load(&w->files.segments) <= CREW_SEGMENTS);
	read_to(w, SIZE);
}

static void small_files_know_nothing_of_it(void **state)
{
	struct world *w = *state;
	struct opctx ctx = opctx_for(OPCTX_FOREVER);

	assert_int_equal(mem_put(w->server, "/f", w->bytes, 4 << 20), 0);
	reader_drop(w->reader);
	assert_int_equal(
		reader_create(w->file, 4 << 20, REMOTE_KEEP_MTIME, READER_HANDLE, &w->reader), 0);
	for (w->at = 0; w->at < 4 << 20; w->at += PIECE)
		assert_int_equal(reader_read(w->reader, w->piece, PIECE, w->at, &ctx), PIECE);
	assert_int_equal(atomic_load(&w->slow.most), 1);
	assert_int_equal(fault_calls(w->plan, FAULT_OPEN_READ), 1);
	assert_int_equal(fault_calls(w->plan, FAULT_STAT), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(several_streams_bring_what_one_would),
		TEST(one_where_they_share_the_link),
		TEST(one_where_there_is_no_connection),
		TEST(helpers_that_fail_cost_only_speed),
		TEST(never_two_versions),
		TEST(elsewhere_it_begins_anew),
		TEST(they_end_with_the_reader),
		TEST(they_stop_with_the_reader),
		TEST(small_files_know_nothing_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
