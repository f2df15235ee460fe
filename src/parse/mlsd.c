/* parse/mlsd - one line of MLSD or MLST: "fact=value;fact=value; name". */
#include "parse/mlsd.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "parse/ftime.h"

/* A piece of the line. */
struct piece {
	const char *at;
	size_t len;
};

struct facts {
	bool any;
	bool here_or_up; /* cdir, pdir */
};

static bool is(struct piece p, const char *word)
{
	return p.len == strlen(word) && strncasecmp(p.at, word, p.len) == 0;
}

static bool starts(struct piece p, const char *word)
{
	return p.len >= strlen(word) && strncasecmp(p.at, word, strlen(word)) == 0;
}

static int take_target(struct piece value, struct entry *e)
{
	size_t skip = strlen("OS.unix=slink:");

	e->type = ENTRY_LINK;
	if (e->target || value.len <= skip || memchr(value.at, '\0', value.len))
		return 0;
	e->target = strndup(value.at + skip, value.len - skip);
	if (!e->target)
		return -ENOMEM;
	e->have |= HAVE_TARGET;
	return 0;
}

static int take_type(struct piece value, struct entry *e, struct facts *f)
{
	f->here_or_up = is(value, "cdir") || is(value, "pdir");
	if (is(value, "file"))
		e->type = ENTRY_FILE;
	else if (is(value, "dir") || f->here_or_up)
		e->type = ENTRY_DIR;
	else if (is(value, "OS.unix=symlink") || is(value, "OS.unix=slink"))
		e->type = ENTRY_LINK;
	else if (starts(value, "OS.unix=slink:"))
		return take_target(value, e);
	else
		e->type = ENTRY_OTHER;
	return 0;
}

static void take_size(struct piece value, struct entry *e)
{
	int64_t size = 0;

	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] < '0' || value.at[i] > '9' ||
		    __builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, value.at[i] - '0', &size))
			return;
	if (value.len == 0)
		return;
	e->size = size;
	e->have |= HAVE_SIZE;
}

static void take_mode(struct piece value, struct entry *e)
{
	uint32_t mode = 0;

	if (starts(value, "0o")) /* as Python writes it */
		value = (struct piece){value.at + 2, value.len - 2};
	if (value.len == 0 || value.len > 10)
		return;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '7')
			return;
		mode = mode * 8 + (uint32_t)(value.at[i] - '0');
	}
	e->mode = mode & 07777;
	e->have |= HAVE_MODE;
}

static int take_fact(struct piece name, struct piece value, struct entry *e, struct facts *f)
{
	f->any = true;
	if (is(name, "type"))
		return take_type(value, e, f);
	if (is(name, "size") || is(name, "sizd"))
		take_size(value, e);
	else if (is(name, "UNIX.mode"))
		take_mode(value, e);
	else if (is(name, "modify") && ftime_stamp(value.at, value.len, &e->mtime) > 0)
		e->have |= HAVE_MTIME | HAVE_EXACT_MTIME;
	return 0;
}

/* Where the value ends: at ';', or at the space before the name where the last ';' is absent.  The
 * target of a link is the one value that may hold spaces. */
static size_t value_len(struct piece value)
{
	const char *semicolon = memchr(value.at, ';', value.len);
	const char *space = memchr(value.at, ' ', value.len);

	if (semicolon && (!space || semicolon < space || starts(value, "OS.unix=slink:")))
		return (size_t)(semicolon - value.at);
	return space ? (size_t)(space - value.at) : value.len;
}

/* Takes the facts off the front of *rest, with the space behind them. */
static int take_facts(struct piece *rest, struct entry *e, struct facts *f)
{
	while (rest->len && *rest->at != ' ') {
		const char *equals = memchr(rest->at, '=', rest->len);
		struct piece name = {rest->at, equals ? (size_t)(equals - rest->at) : 0};
		struct piece value;
		int error;

		if (!equals || memchr(name.at, ' ', name.len) || memchr(name.at, ';', name.len))
			return -EPROTO;
		value = (struct piece){equals + 1, rest->len - name.len - 1};
		value.len = value_len(value);
		error = take_fact(name, value, e, f);
		if (error)
			return error;
		rest->len -= name.len + 1 + value.len;
		rest->at = value.at + value.len;
		if (rest->len && *rest->at == ';') {
			rest->at++;
			rest->len--;
		}
	}
	if (!f->any || rest->len == 0)
		return -EPROTO;
	rest->at++;
	rest->len--;
	return 0;
}

static int take_name(struct piece name, struct entry *e)
{
	if (name.len == 0 || memchr(name.at, '\0', name.len))
		return -EPROTO;
	if (is(name, ".") || is(name, ".."))
		return -EAGAIN;
	e->name = strndup(name.at, name.len);
	return e->name ? 0 : -ENOMEM;
}

int mlsd_parse(const char *line, size_t n, int list, struct entry *e)
{
	struct piece rest = {line, n};
	struct facts f = {0};
	int error;

	memset(e, 0, sizeof(*e));
	while (!list && rest.len && *rest.at == ' ') { /* MLST puts one before its facts */
		rest.at++;
		rest.len--;
	}
	error = take_facts(&rest, e, &f);
	if (!error && list)
		error = f.here_or_up ? -EAGAIN : take_name(rest, e);
	if (error)
		entry_clear(e);
	return error;
}
