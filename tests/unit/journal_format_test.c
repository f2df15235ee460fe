/* journal_format_test - whatever bytes have a good checksum: they are refused, or make sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/fs/journal_private.h"
#include "base/path.h"
#include "remote.h"

enum { MUTATIONS = 200000 };

static unsigned seed = 42;

static size_t roll(size_t below)
{
	return (size_t)rand_r(&seed) % below;
}

static void make_record(struct buf *out)
{
	struct extent ranges[] = {{0, 10}, {20, 30}, {INT64_C(1) << 33, (INT64_C(1) << 33) + 5}};
	struct promise p = {.id = 1 + roll(1000), .size = INT64_C(1) << 34, .whole = roll(2)};

	p.path = "/directory/some file.txt";
	p.litter = roll(8) == 0;
	p.from = !p.litter && roll(8) == 0 ? "/directory/other" : NULL;
	p.server_size = -1;
	p.server_mtime = p.mtime = REMOTE_KEEP_MTIME;
	p.mode = 0644;
	p.dirty = (struct extents){.v = ranges, .n = roll(4)};
	buf_init(out, JOURNAL_RECORD_MAX);
	assert_int_equal(roll(5) ? record_promise(out, &p) : record_done(out, p.id), 0);
	record_stamp(out->data, out->len, 1 + roll(9), roll(9));
}

static void mutate(unsigned char *bytes, size_t n)
{
	static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff, '/', '\n', '.'};

	for (size_t i = roll(4); i < 4; i++) {
		size_t at = 12 + roll(n - 12), length = 1 + roll(8);

		for (size_t k = at; k < n && k < at + length; k++)
			bytes[k] = odd[roll(sizeof odd)];
	}
}

static void check_sense(const struct record *r)
{
	struct promise p;
	int64_t last = -1;

	assert_true(r->id != 0);
	if (!r->is_promise)
		return;
	assert_int_equal(record_to_promise(r, &p), 0);
	assert_int_equal(path_check(p.path), 0);
	assert_true(!p.from || (path_check(p.from) == 0 && !p.litter));
	assert_true(p.size >= 0 && p.base_size >= 0 && p.server_size >= -1);
	assert_in_range(p.mode + 1, 0, 010000);
	for (size_t i = 0; i < p.dirty.n; i++) {
		assert_true(last < p.dirty.v[i].from && p.dirty.v[i].from < p.dirty.v[i].to);
		last = p.dirty.v[i].to;
	}
	assert_true(last <= p.size);
	promise_clear(&p);
}

static void test_mutations(void **unused)
{
	int good = 0;

	(void)unused;
	for (int i = 0; i < MUTATIONS; i++) {
		struct record r;
		struct buf b;

		make_record(&b);
		/* In memory of its exact size, so that a byte too many is seen. */
		size_t n = roll(3) ? b.len : RECORD_FIXED + roll(b.len - RECORD_FIXED + 1);
		unsigned char *bytes = malloc(n);

		memcpy(bytes, b.data, n);
		mutate(bytes, n);
		record_stamp(bytes, n, 1, 0);
		if (record_read(bytes, n, &r)) {
			assert_int_equal(r.length, n);
			check_sense(&r);
			good++;
		}
		assert_false(record_read(bytes, n - 1, &r));
		free(bytes);
		buf_free(&b);
	}
	/* The mutations get past the first checks. */
	assert_in_range(good, MUTATIONS / 100, MUTATIONS / 2);
}

/* Nor does anything that is too long. */
static void test_limits(void **unused)
{
	struct promise p = {.id = 1, .path = "/x", .size = INT64_MAX};
	struct record r;
	struct buf b;

	(void)unused;
	for (int64_t i = 0; i < EXTENTS_MAX; i++)
		assert_int_equal(extents_add(&p.dirty, 10 * i, 10 * i + 5), 0);
	buf_init(&b, JOURNAL_RECORD_MAX);
	assert_int_equal(record_promise(&b, &p), 0);
	record_stamp(b.data, b.len, 7, 3);
	assert_true(record_read((unsigned char *)b.data, b.len, &r));
	assert_true(r.seq == 7 && r.synced == 3);
	assert_int_equal(r.range_count, EXTENTS_MAX);
	/* A length that its checksum confirms, and that no record may have. */
	size_t n = JOURNAL_RECORD_MAX + 1;
	unsigned char *big = calloc(1, n);

	memcpy(big, b.data, b.len);
	record_stamp(big, n, 1, 0);
	assert_false(record_read(big, n, &r));
	free(big);
	buf_free(&b);
	extents_free(&p.dirty);
}

/* As the first versions wrote it, and as they would read it. */
static void test_the_bytes_stay_as_they_were(void **unused)
{
	static const char want[] =
		"8bc42c6b6a7265637700000003000000000000000200000000000000070000000000000001166400"
		"00000000000005000000000000000900000000000000010000000000000000000000000000"
		"80a401000000000000040000002f612f62000200000000000000000000000a0000000000000014"
		"000000000000001e00000000000000";
	struct extent ranges[] = {{0, 10}, {20, 30}};
	struct promise p = {.id = 7,
			    .path = "/a/b",
			    .patching = true,
			    .shrunk = true,
			    .on_server = true,
			    .size = 100,
			    .base_size = 5,
			    .server_size = 9,
			    .server_mtime = 1,
			    .mtime = REMOTE_KEEP_MTIME,
			    .mode = 0644,
			    .dirty = {.v = ranges, .n = 2}};
	struct buf b, hex;

	(void)unused;
	buf_init(&b, JOURNAL_RECORD_MAX);
	buf_init(&hex, JOURNAL_RECORD_MAX);
	assert_int_equal(record_promise(&b, &p), 0);
	record_stamp(b.data, b.len, 3, 2);
	for (size_t i = 0; i < b.len; i++)
		buf_addf(&hex, "%02x", (unsigned char)b.data[i]);
	assert_string_equal(buf_text(&hex), want);
	buf_free(&hex);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_the_bytes_stay_as_they_were),
	};

	return cmocka_run_group_tests_name("journal_format", tests, NULL, NULL);
}
