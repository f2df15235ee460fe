/* parse/reply - FTP replies: bytes in, values out. */
#include "parse/reply.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "parse/ftime.h"

enum { CODE_LEN = 3, FIRST_CODE = 100, LAST_CODE = 599 };

/* One line without its end. */
struct line {
	const char *at;
	size_t len;
};

void reply_init(struct reply *r)
{
	r->code = 0;
	buf_init(&r->text, REPLY_MAX);
}

void reply_free(struct reply *r)
{
	buf_free(&r->text);
	r->code = 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes a line off *bytes; false when its end has not come yet. */
static bool next_line(const char **bytes, size_t *n, struct line *line)
{
	const char *end = *n ? memchr(*bytes, '\n', *n) : NULL;

	if (!end)
		return false;
	line->at = *bytes;
	line->len = (size_t)(end - *bytes);
	*n -= line->len + 1;
	*bytes = end + 1;
	if (line->len && line->at[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* The code that begins the line, if what follows makes it one; 0 if there is none. */
static int line_code(const struct line *line)
{
	const char *s = line->at;
	int code;

	if (line->len < CODE_LEN || !is_digit(s[0]) || !is_digit(s[1]) || !is_digit(s[2]))
		return 0;
	if (line->len > CODE_LEN && s[CODE_LEN] != ' ' && s[CODE_LEN] != '-')
		return 0;
	code = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	return code >= FIRST_CODE && code <= LAST_CODE ? code : 0;
}

static bool is_last(const struct line *line, int code)
{
	return line_code(line) == code && (line->len == CODE_LEN || line->at[CODE_LEN] == ' ');
}

/* Could an incomplete first line still become one with a code?  A peer that speaks something else
 * is found out at its first bytes, not at its timeout. */
static bool may_have_code(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && i < CODE_LEN; i++)
		if (!is_digit(bytes[i]))
			return false;
	return n == 0 || (bytes[0] >= '1' && bytes[0] <= '5');
}

static int add_line(struct reply *r, const struct line *line, bool first)
{
	size_t skip = 0;

	if (line_code(line) == r->code)
		skip = line->len == CODE_LEN ? CODE_LEN : CODE_LEN + 1;
	if (!first)
		buf_adds(&r->text, "\n");
	return buf_add(&r->text, line->at + skip, line->len - skip);
}

/* The bytes up to and with the last line of the reply that begins here; 0: not all there. */
static size_t find_end(const char *bytes, size_t n, int *code)
{
	const char *at = bytes;
	struct line line;
	bool first = true;

	while (next_line(&at, &n, &line)) {
		if (first)
			*code = line_code(&line);
		if (*code == 0 || is_last(&line, *code))
			return (size_t)(at - bytes);
		first = false;
	}
	return 0;
}

long reply_parse(struct reply *r, const char *bytes, size_t n)
{
	size_t seen = n < REPLY_MAX ? n : REPLY_MAX;
	size_t used, left;
	struct line line;
	int code = 0;
	int error = 0;

	if (!may_have_code(bytes, seen))
		return -EPROTO;
	used = find_end(bytes, seen, &code);
	if (used == 0)
		return n >= REPLY_MAX ? -EPROTO : 0;
	if (code == 0)
		return -EPROTO;
	r->code = code;
	buf_reset(&r->text);
	left = used;
	for (bool first = true; !error && next_line(&bytes, &left, &line); first = false)
		error = add_line(r, &line, first);
	return error ? error : (long)used;
}

static struct line first_line(const struct reply *r)
{
	struct line line = {.at = buf_text(&r->text)};

	line.len = strcspn(line.at, "\n");
	return line;
}

void reply_first_line(const struct reply *r, char *out, size_t size)
{
	struct line line = first_line(r);

	if (size == 0)
		return;
	if (line.len > size - 1)
		line.len = size - 1;
	memcpy(out, line.at, line.len);
	out[line.len] = '\0';
}

int reply_size(const struct reply *r, int64_t *bytes)
{
	struct line line = first_line(r);
	size_t end = line.len, start;
	int64_t value = 0;

	if (r->code != 213)
		return -EPROTO;
	while (end && (line.at[end - 1] == ' ' || line.at[end - 1] == '\t'))
		end--;
	/* The last number: some servers say "213 something 123". */
	for (start = end; start && is_digit(line.at[start - 1]); start--)
		;
	if (start == end || (start && line.at[start - 1] != ' '))
		return -EPROTO;
	for (size_t i = start; i < end; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, line.at[i] - '0', &value))
			return -EPROTO;
	*bytes = value;
	return 0;
}

int reply_opening(const struct reply *r, int64_t *bytes)
{
	struct line line = first_line(r);
	static const char UNIT[] = " bytes)";
	const char *unit = memmem(line.at, line.len, UNIT, sizeof UNIT - 1), *at = unit;
	int64_t value = 0;

	while (at && at > line.at && is_digit(at[-1]))
		at--;
	/* A file may be called "(12 bytes)": only a figure that ends the text counts. */
	if (!unit || at == unit || at == line.at || at[-1] != '(' ||
	    (size_t)(line.at + line.len - unit) > sizeof UNIT)
		return -EPROTO;
	for (; at < unit; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *at - '0', &value))
			return -EPROTO;
	*bytes = value;
	return 0;
}

int reply_time(const struct reply *r, int64_t *ns)
{
	struct line line = first_line(r);

	if (r->code != 213)
		return -EPROTO;
	while (line.len && *line.at == ' ') {
		line.at++;
		line.len--;
	}
	return ftime_stamp(line.at, line.len, ns) < 0 ? -EPROTO : 0;
}

/* A decimal number of at most `max` at *at; moves *at behind it.  -1 when there is none. */
static long take_number(const char **at, long max)
{
	long value = 0;

	if (!is_digit(**at))
		return -1;
	for (; is_digit(**at); (*at)++) {
		value = value * 10 + (**at - '0');
		if (value > max)
			return -1;
	}
	return value;
}

int reply_epsv(const struct reply *r, uint16_t *port)
{
	const char *text = buf_text(&r->text);
	const char *open = strchr(text, '(');

	if (r->code != 229)
		return -EPROTO;
	for (const char *s = open ? open + 1 : text; s[0] && s[1] && s[2]; s++) {
		const char *at = s + 3;
		long value;

		if (s[0] <= ' ' || s[0] > '~' || is_digit(s[0]) || s[1] != s[0] || s[2] != s[0])
			continue;
		value = take_number(&at, UINT16_MAX);
		if (value <= 0 || *at != s[0])
			continue;
		*port = (uint16_t)value;
		return 0;
	}
	return -EPROTO;
}

/* Six numbers of a byte each with commas between. */
static bool take_six(const char *at, long number[6])
{
	for (int i = 0; i < 6; i++) {
		if (i && *at++ != ',')
			return false;
		at += strspn(at, " ");
		number[i] = take_number(&at, UINT8_MAX);
		if (number[i] < 0)
			return false;
	}
	return true;
}

int reply_pasv(const struct reply *r, uint16_t *port)
{
	long number[6];

	if (r->code != 227)
		return -EPROTO;
	for (const char *s = buf_text(&r->text); *s; s++) {
		if (!is_digit(*s) || !take_six(s, number))
			continue;
		*port = (uint16_t)(number[4] * 256 + number[5]);
		return *port ? 0 : -EPROTO;
	}
	return -EPROTO;
}

/* ---- hashes ---- */

static struct line last_line(const struct reply *r)
{
	const char *text = buf_text(&r->text), *end = strrchr(text, '\n');
	struct line line = {.at = end ? end + 1 : text};

	line.len = strlen(line.at);
	return line;
}

/* Takes a word off the front of *line; false at its end. */
static bool next_word(struct line *line, struct line *word)
{
	while (line->len && *line->at == ' ') {
		line->at++;
		line->len--;
	}
	*word = (struct line){.at = line->at};
	while (word->len < line->len && line->at[word->len] != ' ')
		word->len++;
	line->at += word->len;
	line->len -= word->len;
	return word->len > 0;
}

static bool is_named(const struct line *word, enum hash_kind kind)
{
	const char *name = hash_ftp_name(kind);

	return strlen(name) == word->len && strncasecmp(word->at, name, word->len) == 0;
}

/* "SHA-256 0-1023 <hash> name"; whoever says "0-1023" or "0-1024" for 1,024 bytes means all.  Of a
 * range that begins elsewhere it would be another hash. */
static int hash_of_213(struct line line, enum hash_kind kind, struct digest *out)
{
	struct line name, range, hex;

	if (!next_word(&line, &name) || !is_named(&name, kind) || !next_word(&line, &range) ||
	    range.len < 3 || strncmp(range.at, "0-", 2) != 0 || !next_word(&line, &hex))
		return -EPROTO;
	return digest_parse(out, kind, hex.at, hex.len);
}

int reply_hash(const struct reply *r, enum hash_kind kind, struct digest *out)
{
	struct line line = last_line(r), word, last = {.len = 0};

	if (r->code == 213)
		return hash_of_213(line, kind, out);
	if (r->code != 250 && r->code != 251)
		return -EPROTO;
	while (next_word(&line, &word))
		last = word;
	return digest_parse(out, kind, last.at, last.len);
}
