/* parse/listing - a whole listing as it came over the data connection -> struct listing. */
#include "parse/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "parse/ls.h"
#include "parse/mlsd.h"

/* The names that are already in a listing: open addressing, at most half full; a slot holds an
 * index into the listing plus one. */
struct names {
	uint32_t *slots;
	size_t size; /* a power of two, or 0 */
	uint64_t seed;
};

enum { NAMES_FIRST = 64 };

struct parser {
	enum listing_format format;
	enum ls_dialect dialect;
	int64_t now;
	struct listing *out;
	struct listing_notes *notes;
	struct names names;
};

/* FNV-1a, seeded, with a final mix: the low bits pick the slot, and a server that chooses its names
 * to collide must not be able to make this slow. */
static uint64_t hash(const struct names *set, const char *name)
{
	uint64_t h = set->seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

/* The slot that holds the name, or the empty one where it belongs. */
static uint32_t *find_slot(const struct names *set, const struct listing *in, const char *name)
{
	size_t i = hash(set, name) & (set->size - 1);

	while (set->slots[i] && strcmp(in->v[set->slots[i] - 1].name, name) != 0)
		i = (i + 1) & (set->size - 1);
	return &set->slots[i];
}

static int names_grow(struct names *set, const struct listing *in)
{
	struct names bigger = {.size = set->size ? set->size * 2 : NAMES_FIRST};

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	/* Where the table lies is what a server cannot know. */
	bigger.seed = ((uint64_t)(uintptr_t)bigger.slots >> 4) * UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 0; i < in->n; i++)
		*find_slot(&bigger, in, in->v[i].name) = (uint32_t)(i + 1);
	free(set->slots);
	*set = bigger;
	return 0;
}

static int add_once(struct parser *p, const struct entry *e)
{
	uint32_t *slot;
	int error = 0;

	if (p->out->n >= p->names.size / 2)
		error = names_grow(&p->names, p->out);
	if (error)
		return error;
	slot = find_slot(&p->names, p->out, e->name);
	if (*slot)
		return 0;
	error = listing_add(p->out, e);
	if (!error)
		*slot = (uint32_t)p->out->n;
	return error;
}

static void note_strange(struct parser *p, const char *line, size_t n)
{
	char *first = p->notes->first_strange;
	size_t room = sizeof(p->notes->first_strange) - 1;

	if (p->notes->strange++)
		return;
	n = n < room ? n : room;
	memcpy(first, line, n);
	first[n] = '\0';
}

/* Until a line is understood, each dialect may try; from then on only the one that understood. */
static int parse_list_line(struct parser *p, const char *line, size_t n, struct entry *e)
{
	int error = -EPROTO;

	if (p->dialect != LS_UNKNOWN)
		return ls_parse(p->dialect, line, n, p->now, e);
	for (int d = LS_UNKNOWN + 1; d < LS_DIALECTS && error == -EPROTO; d++) {
		error = ls_parse((enum ls_dialect)d, line, n, p->now, e);
		if (error == 0)
			p->dialect = (enum ls_dialect)d;
	}
	return error;
}

static int parse_name_line(const char *line, size_t n, struct entry *e)
{
	const char *slash = memrchr(line, '/', n);

	memset(e, 0, sizeof(*e));
	if (slash) {
		n -= (size_t)(slash + 1 - line);
		line = slash + 1;
	}
	if (n == 0 || (n == 1 && line[0] == '.') || (n == 2 && line[0] == '.' && line[1] == '.'))
		return -EAGAIN;
	e->type = ENTRY_FILE;
	e->name = strndup(line, n);
	return e->name ? 0 : -ENOMEM;
}

static int parse_line(struct parser *p, const char *line, size_t n, struct entry *e)
{
	switch (p->format) {
	case FORMAT_MLSD:
		return n ? mlsd_parse(line, n, 1, e) : -EAGAIN;
	case FORMAT_LIST:
		return parse_list_line(p, line, n, e);
	case FORMAT_NLST:
		return parse_name_line(line, n, e);
	}
	return -EPROTO;
}

static int take_line(struct parser *p, const char *line, size_t n)
{
	struct entry e = {0};
	int error;

	if (n && memchr(line, '\0', n)) { /* it would cut the name short: another file's name */
		p->notes->refused++;
		return 0;
	}
	error = parse_line(p, line, n, &e);
	if (error == -EAGAIN)
		return 0;
	if (error == -EPROTO) {
		note_strange(p, line, n);
		return 0;
	}
	if (error)
		return error;
	if (path_check_name(e.name, strlen(e.name)))
		p->notes->refused++;
	else
		error = add_once(p, &e);
	entry_clear(&e);
	return error;
}

static int take_lines(struct parser *p, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t used = end ? (size_t)(end - text) + 1 : n;
		size_t len = end ? used - 1 : n;
		int error;

		if (len && text[len - 1] == '\r')
			len--;
		error = take_line(p, text, len);
		if (error)
			return error;
		text += used;
		n -= used;
	}
	return 0;
}

int listing_parse(enum listing_format format, const char *text, size_t n, int64_t now,
		  struct listing *out, struct listing_notes *notes)
{
	struct parser p = {.format = format, .now = now, .out = out, .notes = notes};
	int error;

	memset(notes, 0, sizeof(*notes));
	notes->dates_local = format == FORMAT_LIST;
	error = take_lines(&p, text, n);
	free(p.names.slots);
	if (!error && out->n == 0 && notes->strange)
		return -EPROTO;
	return error;
}
