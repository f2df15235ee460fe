/* fuzz_parse - every entry point of parse/, fed with what a hostile server may say.
 *
 * The first byte of the input picks the entry point.  Build it with -fsanitize=fuzzer, or with
 * -DFUZZ_STANDALONE for a program of its own: fuzz_parse [-n RUNS] [-s SEED] FILE|DIR... runs each
 * file as it is through every entry point, then RUNS pseudo-random mutations of them. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "parse/caps.h"
#include "parse/ftime.h"
#include "parse/listing.h"
#include "parse/ls.h"
#include "parse/mlsd.h"
#include "parse/reply.h"
#include "parse/url.h"

enum { FUZZ_LISTING_MAX = 1000, FUZZ_TEXT_MAX = 16384 };

static const int64_t now = INT64_C(1763877600) * NS_PER_S;

static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_parse: broken promise: %s\n", what);
	abort();
}

static void check_entry(const struct entry *e)
{
	require(e->type <= ENTRY_OTHER, "type");
	require(e->size >= 0, "size");
	require(e->mode <= 07777, "mode");
	require(!(e->have & HAVE_TARGET) == !e->target, "target");
	require(e->mtime_slack >= 0, "slack");
}

static void fuzz_listing(enum listing_format format, const char *text, size_t n)
{
	struct listing_notes notes;
	struct listing l;
	int error;

	listing_init(&l, FUZZ_LISTING_MAX);
	error = listing_parse(format, text, n, now, &l, &notes);
	require(error == 0 || error == -EOVERFLOW || error == -EPROTO, "listing_parse's errors");
	require(memchr(notes.first_strange, '\0', sizeof(notes.first_strange)) != NULL, "notes");
	for (size_t i = 0; i < l.n; i++) {
		check_entry(&l.v[i]);
		require(path_check_name(l.v[i].name, strlen(l.v[i].name)) == 0, "name");
	}
	listing_free(&l);
}

static void fuzz_reply(const char *text, size_t n)
{
	struct caps caps = {0};
	struct digest digest;
	struct reply r;
	char line[40];
	int64_t value;
	uint16_t port;
	long used;

	reply_init(&r);
	used = reply_parse(&r, text, n);
	require(used >= -EPROTO && used <= (long)n, "reply_parse's result");
	if (used > 0) {
		require(r.code >= 100 && r.code <= 599, "code");
		require(reply_parse(&r, text, (size_t)used - 1) <= 0, "a reply ends with its line");
		require(reply_parse(&r, text, (size_t)used) == used, "the same again");
		reply_first_line(&r, line, sizeof(line));
		/* Values whatever the code: only the code would keep most inputs out. */
		for (int i = 0; i < 5; i++) {
			static const int codes[] = {211, 213, 227, 229, 257};

			r.code = codes[i];
			caps_from_feat(&caps, &r);
			require(reply_size(&r, &value) || value >= 0, "size");
			reply_time(&r, &value);
			for (int kind = HASH_NONE; kind < HASH_KINDS; kind++)
				require(reply_hash(&r, (enum hash_kind)kind, &digest) ||
						digest.kind == (enum hash_kind)kind,
					"hash");
			require(reply_epsv(&r, &port) || port, "port");
			require(reply_pasv(&r, &port) || port, "port");
		}
		caps_from_greeting(&caps, buf_text(&r.text));
	}
	reply_free(&r);
}

static void fuzz_line(int which, const char *text, size_t n)
{
	struct entry e;
	int error = which < 2 ? mlsd_parse(text, n, which, &e)
			      : ls_parse((enum ls_dialect)(which - 1), text, n, now, &e);

	require(error == 0 || error == -EAGAIN || error == -EPROTO, "a line's errors");
	if (error) {
		require(!e.name && !e.target, "nothing is left behind");
		return;
	}
	check_entry(&e);
	require(which == 0 || (e.name && *e.name), "name");
	entry_clear(&e);
}

static void fuzz_stamp(const char *text, size_t n)
{
	int64_t ns, again;
	char out[15];
	int used = ftime_stamp(text, n, &ns);

	require(used == -EPROTO || (used >= 14 && (size_t)used <= n), "ftime_stamp's result");
	if (used < 0)
		return;
	require(ftime_format(ns, out, sizeof(out)) == 0, "what was read can be written");
	if (used == 14) {
		require(ftime_stamp(out, 14, &again) == 14 && again == ns, "and read again");
	}
}

/* Text as the command line or a configuration gives it: without a NUL inside. */
static void fuzz_text(int which, const char *bytes, size_t n)
{
	char text[FUZZ_TEXT_MAX];
	struct buf out;
	struct url u;
	const char *why;

	n = n < sizeof(text) - 1 ? n : sizeof(text) - 1;
	memcpy(text, bytes, n);
	text[n] = '\0';
	if (which == 0) {
		if (url_parse(text, &u, &why) == 0) {
			require(u.host && *u.host && u.dir, "url");
			url_free(&u);
		}
		return;
	}
	buf_init(&out, PATH_LIMIT);
	if (which == 1 && path_normalise(&out, text) == 0 && text[0] == '/')
		require(strpbrk(text, "\r\n") || path_check(buf_text(&out)) != -EINVAL, "folded");
	if (which == 2 && path_contain_link(&out, "/srv/ftp", "/a/b", text) == 0)
		require(out.len && out.data[0] != '/', "a link stays relative");
	buf_free(&out);
}

enum { ENTRY_POINTS = 12 };

static void fuzz_one(int which, const char *text, size_t n)
{
	switch (which) {
	case 0:
	case 1:
	case 2:
		fuzz_listing((enum listing_format)which, text, n);
		break;
	case 3:
		fuzz_reply(text, n);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		fuzz_line(which - 4, text, n);
		break;
	case 8:
		fuzz_stamp(text, n);
		break;
	default:
		fuzz_text(which - 9, text, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy;

	if (n == 0)
		return 0;
	/* In memory of its exact size, so that a byte too many is seen. */
	copy = malloc(n - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, n - 1);
	fuzz_one(data[0] % ENTRY_POINTS, copy, n - 1);
	free(copy);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include <dirent.h>
#include <sys/stat.h>

enum { SEEDS_MAX = 1000, SEED_SIZE_MAX = 1 << 20, MUTATIONS_MAX = 8, INPUT_MAX = 4096 };

struct seed {
	uint8_t *bytes;
	size_t n;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t random_state = 1;

/* xorshift64*: the same numbers everywhere, so that a seed on the command line repeats a run. */
static size_t random_below(size_t limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (size_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % limit;
}

static void load_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct seed *s = &seeds[seed_count];

	if (!f || seed_count == SEEDS_MAX) {
		fprintf(stderr, "fuzz_parse: cannot load %s\n", path);
		exit(2);
	}
	s->bytes = malloc(SEED_SIZE_MAX);
	s->n = s->bytes ? fread(s->bytes, 1, SEED_SIZE_MAX, f) : 0;
	seed_count++;
	fclose(f);
}

static void load(const char *path)
{
	struct dirent *d;
	char below[4096];
	struct stat st;
	DIR *dir = opendir(path);

	if (!dir) {
		load_file(path);
		return;
	}
	while ((d = readdir(dir))) {
		snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
		if (stat(below, &st) == 0 && S_ISREG(st.st_mode))
			load_file(below);
	}
	closedir(dir);
}

static size_t mutate(uint8_t *bytes, size_t n)
{
	static const char *const words[] = {" ",
					    "\r\n",
					    ";",
					    "=",
					    " -> ",
					    "..",
					    "/",
					    "%2F",
					    "20251123053001",
					    "type=OS.unix=slink:",
					    "-rw-r--r--",
					    "Nov 23 05:30",
					    "99999999999999999999",
					    "<DIR>",
					    "211-",
					    "229 (|||1|)\r\n",
					    "213-Computing\r\n213 CRC32 0-9 cbf43926 /a b\r\n",
					    "250 25F9E794323B453885F5181F1B624D0B\r\n",
					    "211-\r\n HASH CRC32;MD5*;\r\n XSHA256\r\n211 End\r\n",
					    "\"",
					    "[",
					    "@",
					    ":",
					    "\0x"};
	size_t at = random_below(n + 1);
	const char *word = words[random_below(sizeof(words) / sizeof(words[0]))];
	size_t len = *word ? strlen(word) : 1;

	switch (random_below(5)) {
	case 0: /* flip */
		if (at < n)
			bytes[at] = (uint8_t)(bytes[at] ^ (1U << random_below(8)));
		return n;
	case 1: /* cut the end */
		return at;
	case 2: /* take some out */
		len = random_below(n - at + 1);
		memmove(bytes + at, bytes + at + len, n - at - len);
		return n - len;
	case 3: /* overwrite */
		if (at + len <= n)
			memcpy(bytes + at, word, len);
		return n;
	default: /* put in */
		if (n + len > INPUT_MAX)
			return n;
		memmove(bytes + at + len, bytes + at, n - at);
		memcpy(bytes + at, word, len);
		return n + len;
	}
}

static void run_mutation(void)
{
	const struct seed *s = &seeds[random_below(seed_count)];
	uint8_t input[1 + INPUT_MAX];
	size_t from = random_below(s->n + 1);
	size_t n = s->n - from < INPUT_MAX ? s->n - from : INPUT_MAX;

	if (random_below(2)) {
		from = 0;
		n = s->n < INPUT_MAX ? s->n : INPUT_MAX;
	}
	memcpy(input + 1, s->bytes + from, n);
	for (size_t i = random_below(MUTATIONS_MAX) + 1; i; i--)
		n = mutate(input + 1, n);
	input[0] = (uint8_t)random_below(ENTRY_POINTS);
	LLVMFuzzerTestOneInput(input, n + 1);
}

static void run_seed(const struct seed *s)
{
	uint8_t *input = malloc(s->n + 1);

	if (!input)
		exit(2);
	memcpy(input + 1, s->bytes, s->n);
	for (int which = 0; which < ENTRY_POINTS; which++) {
		input[0] = (uint8_t)which;
		LLVMFuzzerTestOneInput(input, s->n + 1);
	}
	free(input);
}

int main(int argc, char **argv)
{
	long runs = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
			runs = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
			random_state = strtoull(argv[++i], NULL, 10) | 1;
		else
			load(argv[i]);
	}
	if (seed_count == 0) {
		fprintf(stderr, "usage: fuzz_parse [-n RUNS] [-s SEED] FILE|DIR...\n");
		return 2;
	}
	for (size_t i = 0; i < seed_count; i++)
		run_seed(&seeds[i]);
	for (long i = 0; i < runs; i++)
		run_mutation();
	for (size_t i = 0; i < seed_count; i++)
		free(seeds[i].bytes);
	printf("fuzz_parse: %zu seeds, %ld mutations\n", seed_count, runs);
	return 0;
}
#endif
