/* spool_test - a file that is being written, against an array of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/disk.h"
#include "fs/journal.h"
#include "fs/spool.h"

enum { LIMIT = 3000, STEPS = 40000 };

static char dir[] = "/tmp/ftpfs-spool-XXXXXX";
static uint32_t state = 4711;

static size_t roll(size_t below)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

static int make_dir(void **unused)
{
	(void)unused;
	return mkdtemp(dir) ? 0 : -1;
}

/* Fails when a spool was left behind. */
static int remove_dir(void **unused)
{
	(void)unused;
	return rmdir(dir);
}

/* What the server has, and what the application sees. */
struct model {
	char server[LIMIT], seen[LIMIT];
	int64_t server_size, size;
	bool changed[LIMIT]; /* not on the server, at this offset */
	bool resized;
};

static void model_start(struct model *m)
{
	memset(m, 0, sizeof *m);
	m->server_size = m->size = (int64_t)roll(LIMIT);
	for (int64_t i = 0; i < m->size; i++)
		m->server[i] = m->seen[i] = (char)('A' + roll(26));
}

/* What a commit and the readers do: fetch what is missing from the server. */
static void fetch(struct spool *s, const struct model *m, int64_t from, int64_t to)
{
	struct extent gap;

	while (spool_missing(s, from, to, &gap)) {
		assert_true(gap.from >= from && gap.to <= to && gap.to <= m->server_size);
		/* More than is missing: what is here already must win. */
		int64_t at = gap.from > 50 ? gap.from - 50 : 0;

		assert_int_equal(spool_fill(s, m->server + at, (size_t)(gap.to - at), at), 0);
	}
}

static void check_read(struct spool *s, const struct model *m)
{
	int64_t at = (int64_t)roll(LIMIT), n = (int64_t)roll(LIMIT), want;
	char got[LIMIT];
	struct extent gap;

	if (spool_missing(s, at, at + n < m->size ? at + n : m->size, &gap) && roll(2)) {
		if (at < m->size)
			assert_int_equal(spool_read(s, got, (size_t)n, at), -EIO);
		return;
	}
	fetch(s, m, at, at + n);
	want = at >= m->size ? 0 : at + n > m->size ? m->size - at : n;
	assert_int_equal(spool_read(s, got, (size_t)n, at), want);
	assert_memory_equal(got, m->seen + at, (size_t)want);
}

static void do_write(struct spool *s, struct model *m)
{
	char bytes[400];
	size_t n = 1 + roll(sizeof bytes);
	int64_t at = (int64_t)roll(LIMIT - n);

	memset(bytes, (int)('a' + roll(26)), n);
	assert_int_equal(spool_write(s, bytes, n, at), 0);
	memcpy(m->seen + at, bytes, n);
	memset(m->changed + at, true, n);
	if (at + (int64_t)n > m->size)
		m->size = at + (int64_t)n;
}

static void do_truncate(struct spool *s, struct model *m)
{
	int64_t size = (int64_t)roll(roll(10) ? LIMIT : 1);

	assert_int_equal(spool_truncate(s, size), 0);
	for (int64_t i = size; i < LIMIT; i++) {
		m->seen[i] = 0;
		m->changed[i] = false;
	}
	if (size < m->server_size)
		m->resized = true;
	m->size = size;
}

/* Give the server what a commit would, by the way that the spool says is enough. */
static void do_commit(struct spool *s, struct model *m)
{
	int64_t from = 0;

	if (!spool_changed(s)) {
		assert_int_equal(m->size, m->server_size);
		assert_memory_equal(m->seen, m->server, (size_t)m->size);
	}
	if (spool_only_grew(s)) {
		from = s->base_size;
		assert_int_equal(from, m->server_size);
	}
	fetch(s, m, from, m->size);
	if (from < m->size)
		assert_int_equal(spool_read(s, m->server + from, (size_t)(m->size - from), from),
				 m->size - from);
	m->server_size = m->size;
	assert_memory_equal(m->seen, m->server, (size_t)m->size);
	spool_clean(s, m->size);
	memset(m->changed, false, sizeof m->changed);
	m->resized = false;
	assert_false(spool_changed(s));
}

static void check_marks(const struct spool *s, const struct model *m)
{
	bool below = m->resized;

	assert_int_equal(s->size, m->size);
	for (int64_t i = 0; i < m->size; i++) {
		assert_int_equal(extents_cover(&s->dirty, i, i + 1), m->changed[i]);
		if (m->changed[i]) {
			assert_true(extents_cover(&s->present, i, i + 1));
			below |= i < m->server_size;
		}
	}
	if (!s->whole)
		assert_int_equal(spool_only_grew(s), !below && m->size > m->server_size);
}

static void test_random(void **unused)
{
	(void)unused;
	for (int round = 0; round < 40; round++) {
		struct model m;
		struct spool *s;

		model_start(&m);
		assert_int_equal(spool_create(dir, m.server_size, &s), 0);
		for (int step = 0; step < STEPS / 40; step++) {
			switch (roll(8)) {
			case 0:
				do_truncate(s, &m);
				break;
			case 1:
				do_commit(s, &m);
				break;
			case 2:
			case 3:
			case 4:
				do_write(s, &m);
				break;
			default:
				check_read(s, &m);
			}
			check_marks(s, &m);
		}
		spool_destroy(s);
	}
}

static void test_private_and_deleted(void **unused)
{
	struct spool *s;
	struct stat st;
	char *path;

	(void)unused;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
	path = strdup(s->path);
	spool_destroy(s);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

static void test_abandoned_stays(void **unused)
{
	struct spool *s;
	char *path, *old, id[20], got[5];
	int fd;

	(void)unused;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	assert_int_equal(spool_write(s, "precious", 8, 0), 0);
	old = strdup(s->path);
	assert_int_equal(spool_keep(s), 0);
	path = strdup(s->path);
	snprintf(id, sizeof id, "%016llx", (unsigned long long)s->id);
	spool_abandon(s);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(strncmp(path, dir, strlen(dir)), 0);
	assert_int_equal(strncmp(path + strlen(dir), "/kept-20", 8), 0);
	assert_string_equal(path + strlen(path) - 16, id);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, 5), 5);
	assert_memory_equal(got, "preci", 5);
	close(fd);
	assert_int_equal(unlink(path), 0);
	free(path);
	free(old);
}

/* Free the memory and leave the file as a killed process does. */
static struct promise forget(struct spool *s)
{
	struct promise p = {.id = s->id, .size = s->size, .whole = s->whole, .shrunk = s->shrunk};
	char aside[100];

	p.base_size = s->base_size;
	p.dirty = s->dirty;
	s->dirty = (struct extents){0};
	snprintf(aside, sizeof aside, "%s/aside", dir);
	assert_int_equal(link(s->path, aside), 0);
	free(s->path);
	assert_int_equal(asprintf(&s->path, "%s/gone", dir) > 0, 1);
	return p;
}

static void test_opened_again(void **unused)
{
	char aside[100], name[SPOOL_NAME_SIZE], path[200], got[20];
	struct spool *s, *again;
	struct promise p;

	(void)unused;
	assert_int_equal(spool_create(dir, 8, &s), 0);
	spool_name(s->id, name);
	snprintf(path, sizeof path, "%s/%s", dir, name);
	snprintf(aside, sizeof aside, "%s/aside", dir);
	assert_string_equal(s->path, path);
	assert_int_equal(spool_name_id(name), s->id);
	assert_int_equal(spool_fill(s, "01234567", 8, 0), 0);
	assert_int_equal(spool_write(s, "abc", 3, 2), 0);
	assert_int_equal(spool_write(s, "xyz", 3, 12), 0);
	assert_int_equal(spool_truncate(s, 20), 0);
	assert_int_equal(spool_sync(s), 0);
	p = forget(s);
	/* Written behind what was promised. */
	assert_int_equal(pwrite(s->fd, "later", 5, 20), 5);
	assert_int_equal(spool_open(dir, &p, &again), 0);
	assert_int_equal(again->id, p.id);
	assert_int_equal(again->size, 20);
	assert_int_equal(again->base_size, 8);
	assert_false(again->whole || again->shrunk);
	assert_int_equal(again->dirty.n, 2);
	assert_false(extents_cover(&again->present, 0, 8)); /* fetched bytes were not promised */
	assert_int_equal(spool_read(again, got, 8, 0), -EIO);
	assert_int_equal(spool_fill(again, "01234567", 8, 0), 0);
	assert_int_equal(spool_truncate(again, 24), 0);
	assert_int_equal(spool_read(again, got, 20, 0), 20);
	assert_memory_equal(got, "01abc567\0\0\0\0xyz\0\0\0\0", 20);
	assert_int_equal(spool_read(again, got, 4, 20), 4);
	assert_memory_equal(got, "\0\0\0\0", 4);
	spool_destroy(again);

	assert_int_equal(spool_open(dir, &p, &again), -ENOENT);
	assert_int_equal(truncate(aside, 14), 0);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(spool_open(dir, &p, &again), -EIO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_open(dir, &p, &again), -ELOOP);
	assert_int_equal(unlink(path), 0);
	extents_free(&p.dirty);
	spool_destroy(s);
}

static void test_names(void **unused)
{
	(void)unused;
	assert_int_equal(spool_name_id("spool-00000000000000ff"), 255);
	assert_int_equal(spool_name_id("spool-00000000000000FF"), 0);
	assert_int_equal(spool_name_id("spool-0000000000000000"), 0);
	assert_int_equal(spool_name_id("spool-ff"), 0);
	assert_int_equal(spool_name_id("spool-00000000000000ff.1"), 0);
	assert_int_equal(spool_name_id("kept-2026-01-01-00000000000000ff"), 0);
}

/* What the disk lost once stays lost, though it says so only once. */
static int failing_sync(int fd)
{
	(void)fd;
	return -EIO;
}

static void test_sync_error_stays(void **unused)
{
	struct disk_ops failing = disk_real;
	struct spool *s;

	(void)unused;
	failing.fdatasync = failing_sync;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	assert_int_equal(spool_write(s, "x", 1, 0), 0);
	disk = &failing;
	assert_int_equal(spool_sync(s), -EIO);
	disk = &disk_real;
	assert_int_equal(spool_sync(s), -EIO);
	spool_destroy(s);
}

static void test_no_directory(void **unused)
{
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create("/nonexistent/spool", 0, &s), -ENOENT);
}

static void test_zeros_after_shrinking_and_growing(void **unused)
{
	char got[10];
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create(dir, 10, &s), 0);
	assert_int_equal(spool_write(s, "0123456789", 10, 0), 0);
	assert_int_equal(spool_truncate(s, 4), 0);
	assert_int_equal(spool_truncate(s, 10), 0);
	assert_int_equal(spool_read(s, got, 10, 0), 10);
	assert_memory_equal(got, "0123\0\0\0\0\0\0", 10);
	assert_false(spool_only_grew(s));
	spool_destroy(s);
}

/* The local disk takes 6 of 10 bytes and refuses the rest. */
static void test_failed_write(void **unused)
{
	struct rlimit old, small;
	char got[8];
	struct spool *s;
	int rc;

	(void)unused;
	assert_int_equal(spool_create(dir, 8, &s), 0);
	assert_int_equal(spool_fill(s, "OLDBYTES", 8, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = spool_write(s, "new bytes!", 10, 4);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(s->size, 8);
	assert_true(extents_cover(&s->dirty, 4, 8));
	assert_false(extents_cover(&s->dirty, 0, 5));
	assert_int_equal(spool_read(s, got, 8, 0), 8);
	assert_memory_equal(got, "OLDBnew ", 8);
	/* What the failed write left beyond the end must not show up later. */
	assert_int_equal(spool_truncate(s, 10), 0);
	assert_int_equal(spool_read(s, got, 2, 8), 2);
	assert_memory_equal(got, "\0\0", 2);
	spool_destroy(s);
}

static void test_emptying_the_empty_is_a_change(void **unused)
{
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	assert_false(spool_changed(s));
	assert_int_equal(spool_truncate(s, 0), 0);
	assert_true(spool_changed(s));
	spool_clean(s, 0);
	assert_false(spool_changed(s));
	spool_destroy(s);
}

/* Of an empty file everything is here, holes too, however much of it the server has got since. */
static void test_resumed_on_an_empty_file(void **unused)
{
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	assert_int_equal(spool_truncate(s, 10), 0);
	assert_false(s->whole);
	assert_false(spool_has_base(s));
	spool_resume(s, 4);
	assert_true(spool_has_base(s));
	assert_true(spool_complete(s));
	assert_true(extents_cover(&s->present, 4, 10));
	assert_true(extents_cover(&s->dirty, 4, 10));
	assert_false(extents_cover(&s->dirty, 3, 4));
	spool_destroy(s);
}

static void test_too_many_ranges(void **unused)
{
	struct extent gap;
	struct spool *s;
	int64_t at = 4;
	int rc;

	(void)unused;
	assert_int_equal(spool_create(dir, 8 * (int64_t)EXTENTS_MAX, &s), 0);
	while ((rc = spool_write(s, "x", 1, at)) == 0)
		at += 4;
	assert_int_equal(rc, -EFBIG);
	assert_true(s->dirty.n >= EXTENTS_MAX - 2);
	/* A fill still goes through, and makes one range of all. */
	while (spool_missing(s, 0, s->size, &gap)) {
		static const char zeros[4];
		size_t n = gap.to - gap.from > 4 ? 4 : (size_t)(gap.to - gap.from);

		assert_int_equal(spool_fill(s, zeros, n, gap.from), 0);
	}
	assert_int_equal(s->present.n, 1);
	spool_clean(s, s->size);
	assert_int_equal(spool_write(s, "x", 1, at), 0);
	spool_destroy(s);
}

static void test_solid_is_what_the_local_file_has(void **unused)
{
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create(dir, 8, &s), 0);
	assert_int_equal(spool_write(s, "abcd", 4, 8), 0);
	assert_true(spool_solid(s, 8, 12));
	assert_false(spool_solid(s, 4, 12)); /* a hole that only the server can fill */
	assert_int_equal(spool_fill(s, "01234567", 8, 0), 0);
	assert_true(spool_solid(s, 0, 12));
	assert_int_equal(spool_truncate(s, 20), 0);
	assert_false(spool_solid(s, 8, 20)); /* zeros that are in no file */
	assert_true(spool_solid(s, 8, 12));
	spool_destroy(s);
}

static int64_t on_disk(const struct spool *s)
{
	struct stat st;

	assert_int_equal(fstat(s->fd, &st), 0);
	assert_int_equal(st.st_size, s->size);
	return (int64_t)st.st_blocks * 512;
}

static void test_room_ahead_of_a_long_run(void **unused)
{
	enum { PIECE = 1 << 20, FEW = 4, MANY = 10, SLACK = 256 << 10 };
	static char bytes[PIECE];
	struct spool *s;

	(void)unused;
	assert_int_equal(spool_create(dir, 0, &s), 0);
	for (int64_t i = 0; i < FEW; i++)
		assert_int_equal(spool_write(s, bytes, PIECE, i * PIECE), 0);
	assert_true(on_disk(s) <= s->size + SLACK);
	for (int64_t i = FEW; i < MANY; i++)
		assert_int_equal(spool_write(s, bytes, PIECE, i * PIECE), 0);
	if (disk_reserve(s->fd, 0, 1) == 0)
		assert_true(on_disk(s) > s->size + SLACK);
	assert_true(on_disk(s) <= s->size + s->size / 8 + SLACK);
	assert_int_equal(spool_write(s, bytes, PIECE, 1000 * (int64_t)PIECE), 0);
	assert_true(on_disk(s) <= (MANY + 4) * PIECE);
	spool_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_private_and_deleted),
		cmocka_unit_test(test_abandoned_stays),
		cmocka_unit_test(test_opened_again),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sync_error_stays),
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_zeros_after_shrinking_and_growing),
		cmocka_unit_test(test_failed_write),
		cmocka_unit_test(test_emptying_the_empty_is_a_change),
		cmocka_unit_test(test_resumed_on_an_empty_file),
		cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_room_ahead_of_a_long_run),
		cmocka_unit_test(test_solid_is_what_the_local_file_has),
	};

	return cmocka_run_group_tests_name("spool", tests, make_dir, remove_dir);
}
