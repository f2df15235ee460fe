/* listing_test - the golden corpora of tests/data/listings, and listings too big for a file.
 *
 * NAME.txt is what came over the wire (mlsd-, list- or nlst-); NAME.want is what it means, a line
 * per entry: type, mode, size, time/slack in seconds, [name], and the target of a link.  All of
 * them were fetched at 2025-11-23 06:00 UTC. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "parse/ftime.h"
#include "parse/listing.h"
#include "parse/ls.h"
#include "parse/mlsd.h"

enum { CORPUS_MAX = 1 << 20, MILLION = 1000000 };

static int64_t fetched(void)
{
	return (ftime_days(2025, 11, 23) * 86400 + 6 * 3600) * NS_PER_S;
}

static void print_entry(struct buf *out, const struct entry *e)
{
	char time[15];

	buf_addf(out, "%c ", "fdlo"[e->type]);
	buf_addf(out, e->have & HAVE_MODE ? "%04o " : "- ", e->mode);
	buf_addf(out, e->have & HAVE_SIZE ? "%lld " : "- ", (long long)e->size);
	if (e->have & HAVE_MTIME) {
		assert_int_equal(ftime_format(e->mtime, time, sizeof(time)), 0);
		buf_addf(out, "%s/%lld ", time, (long long)(e->mtime_slack / NS_PER_S));
	} else {
		buf_adds(out, "- ");
	}
	buf_addf(out, "[%s]", e->name);
	if (e->have & HAVE_TARGET)
		buf_addf(out, " -> [%s]", e->target);
	buf_adds(out, "\n");
	assert_int_equal(e->mtime_slack == 0 && (e->have & HAVE_MTIME),
			 !!(e->have & HAVE_EXACT_MTIME));
}

static void read_file(struct buf *out, const char *dir, const char *name)
{
	char path[512];
	FILE *f;
	size_t n;
	char *to;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	buf_init(out, CORPUS_MAX);
	to = buf_room(out, CORPUS_MAX);
	assert_non_null(to);
	n = fread(to, 1, CORPUS_MAX, f);
	buf_added(out, n);
	fclose(f);
}

static enum listing_format format_of(const char *name)
{
	if (strncmp(name, "mlsd-", 5) == 0)
		return FORMAT_MLSD;
	return strncmp(name, "list-", 5) == 0 ? FORMAT_LIST : FORMAT_NLST;
}

static void check_corpus(const char *dir, const char *name)
{
	struct listing_notes notes;
	struct listing l;
	struct buf text, want, got;
	char want_name[300];
	int error;

	snprintf(want_name, sizeof(want_name), "%.*s.want", (int)(strlen(name) - 4), name);
	read_file(&text, dir, name);
	read_file(&want, dir, want_name);
	buf_init(&got, CORPUS_MAX);
	listing_init(&l, LISTING_MAX);
	error = listing_parse(format_of(name), text.data, text.len, fetched(), &l, &notes);
	if (error)
		buf_adds(&got, error == -EPROTO ? "error\n" : "an error of another kind\n");
	for (size_t i = 0; i < l.n; i++)
		print_entry(&got, &l.v[i]);
	buf_addf(&got, "refused %zu strange %zu\n", notes.refused, notes.strange);
	assert_int_equal(notes.dates_local, format_of(name) == FORMAT_LIST);
	assert_int_equal(notes.strange > 0, notes.first_strange[0] != '\0');
	if (strcmp(buf_text(&got), buf_text(&want)) != 0)
		fail_msg("%s\n--- want\n%s--- got\n%s", name, buf_text(&want), buf_text(&got));
	listing_free(&l);
	buf_free(&text);
	buf_free(&want);
	buf_free(&got);
}

static void test_corpora(void **state)
{
	char dir[400];
	char *slash;
	struct dirent *d;
	int checked = 0;
	DIR *open_dir;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", __FILE__);
	slash = strrchr(dir, '/');
	assert_non_null(slash);
	snprintf(slash, sizeof(dir) - (size_t)(slash - dir), "/../data/listings");
	open_dir = opendir(dir);
	assert_non_null(open_dir);
	while ((d = readdir(open_dir))) {
		size_t n = strlen(d->d_name);

		if (n < 5 || strcmp(d->d_name + n - 4, ".txt") != 0)
			continue;
		check_corpus(dir, d->d_name);
		checked++;
	}
	closedir(open_dir);
	assert_true(checked >= 20);
}

static int parse(const struct buf *text, size_t max, struct listing *l)
{
	struct listing_notes notes;

	listing_init(l, max);
	return listing_parse(FORMAT_MLSD, text->data, text->len, fetched(), l, &notes);
}

/* Half of the lines are duplicates: a search by comparison would take hours. */
static void test_a_million_names(void **state)
{
	struct buf text;
	struct listing l;
	int64_t start;

	(void)state;
	buf_init(&text, (size_t)100 * MILLION);
	for (int i = 0; i < MILLION; i++)
		buf_addf(&text, "type=file;size=%d;modify=20251123053001; f%06d\r\n", i, i);
	for (int i = 0; i < MILLION; i++)
		buf_addf(&text, "type=dir;modify=20251123053001; f%06d\r\n", i);
	assert_int_equal(buf_error(&text), 0);
	start = clock_monotonic();
	assert_int_equal(parse(&text, LISTING_MAX, &l), 0);
	assert_true(clock_monotonic() - start < 60 * NS_PER_S);
	assert_int_equal(l.n, MILLION);
	for (int i = 0; i < MILLION; i += 997) {
		assert_int_equal(l.v[i].size, i); /* the server's order, the first of two */
		assert_int_equal(l.v[i].type, ENTRY_FILE);
	}
	listing_free(&l);
	buf_free(&text);
}

static void test_too_many_is_an_error(void **state)
{
	struct buf text;
	struct listing l;

	(void)state;
	buf_init(&text, 1000);
	buf_adds(&text, "type=file; a\ntype=file; b\ntype=file; a\n");
	assert_int_equal(parse(&text, 2, &l), 0);
	listing_free(&l);
	buf_adds(&text, "type=file; c\n");
	assert_int_equal(parse(&text, 2, &l), -EOVERFLOW);
	listing_free(&l);
	buf_free(&text);
}

static void test_mlst(void **state)
{
	static const char line[] =
		" type=cdir;sizd=4096;modify=20251123053001;UNIX.mode=0755; /a b";
	struct entry e;

	(void)state;
	assert_int_equal(mlsd_parse(line, strlen(line), 0, &e), 0);
	assert_null(e.name);
	assert_int_equal(e.type, ENTRY_DIR);
	assert_int_equal(e.mode, 0755);
	assert_int_equal(e.have, HAVE_SIZE | HAVE_MTIME | HAVE_EXACT_MTIME | HAVE_MODE);
	assert_int_equal(mlsd_parse(line + 1, strlen(line) - 1, 1, &e), -EAGAIN);
	assert_int_equal(mlsd_parse("", 0, 0, &e), -EPROTO);
	assert_int_equal(mlsd_parse("Listing x", 9, 0, &e), -EPROTO);
	assert_int_equal(mlsd_parse("type=file; a\0b", 14, 1, &e), -EPROTO);
}

static void test_one_dialect_at_a_time(void **state)
{
	static const char dos[] = "11-23-25  05:30AM                    1 x";
	static const char ls[] = "-rw-r--r-- 1 0 0 1 Nov 23 05:30 x";
	struct entry e;

	(void)state;
	assert_int_equal(ls_parse(LS_DOS, dos, strlen(dos), fetched(), &e), 0);
	entry_clear(&e);
	assert_int_equal(ls_parse(LS_UNIX, ls, strlen(ls), fetched(), &e), 0);
	entry_clear(&e);
	assert_int_equal(ls_parse(LS_UNIX, dos, strlen(dos), fetched(), &e), -EPROTO);
	assert_int_equal(ls_parse(LS_DOS, ls, strlen(ls), fetched(), &e), -EPROTO);
	assert_int_equal(ls_parse(LS_UNKNOWN, ls, strlen(ls), fetched(), &e), -EPROTO);
	assert_int_equal(ls_parse(LS_DOS, "  ", 2, fetched(), &e), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpora),
		cmocka_unit_test(test_a_million_names),
		cmocka_unit_test(test_too_many_is_an_error),
		cmocka_unit_test(test_mlst),
		cmocka_unit_test(test_one_dialect_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
