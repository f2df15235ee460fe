/* parse/ls - one line of LIST, in the dialects that servers speak. */
#include "parse/ls.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "parse/ftime.h"

/* A word of the line, or what is left of it. */
struct word {
	const char *at;
	size_t len;
};

/* Mode, links, owner, group, size and date, owners with spaces in them, and no more: a line has its
 * date among its first words. */
enum { MODE_LEN = 10, WORDS_MAX = 16, DATE_WORDS = 4, YEAR_PIVOT = 70 };

/* DOS: the column behind "<DIR>" is as wide as that of a size. */
enum { TAG_COLUMN = 15 };

static struct word next_word(struct word *rest)
{
	struct word w;

	while (rest->len && (*rest->at == ' ' || *rest->at == '\t')) {
		rest->at++;
		rest->len--;
	}
	w = (struct word){rest->at, 0};
	while (w.len < rest->len && w.at[w.len] != ' ' && w.at[w.len] != '\t')
		w.len++;
	rest->at += w.len;
	rest->len -= w.len;
	return w;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the number at the front of *w, of `least` to `most` digits; -1 when there is none. */
static int take_number(struct word *w, size_t least, size_t most)
{
	int value = 0;
	size_t n = 0;

	for (; n < w->len && n < most && is_digit(w->at[n]); n++)
		value = value * 10 + (w->at[n] - '0');
	if (n < least || (n < w->len && is_digit(w->at[n])))
		return -1;
	w->at += n;
	w->len -= n;
	return value;
}

static bool take_char(struct word *w, const char *any_of)
{
	if (w->len == 0 || *w->at == '\0' || !strchr(any_of, *w->at))
		return false;
	w->at++;
	w->len--;
	return true;
}

static bool to_size(struct word w, int64_t *size)
{
	*size = 0;
	for (size_t i = 0; i < w.len; i++)
		if (!is_digit(w.at[i]) || __builtin_mul_overflow(*size, 10, size) ||
		    __builtin_add_overflow(*size, w.at[i] - '0', size))
			return false;
	return w.len > 0;
}

static int copy_name(struct word name, char **out)
{
	if (name.len == 0 || memchr(name.at, '\0', name.len))
		return -EPROTO;
	*out = strndup(name.at, name.len);
	return *out ? 0 : -ENOMEM;
}

static bool is_dots(struct word w)
{
	return (w.len == 1 && w.at[0] == '.') || (w.len == 2 && w.at[0] == '.' && w.at[1] == '.');
}

static void set_time(struct entry *e, int64_t ns, int64_t slack)
{
	e->mtime = ns;
	e->mtime_slack = slack;
	e->have |= HAVE_MTIME;
}

/* --- the Unix dialect ------------------------------------------------------------------------ */

/* One class of permissions: "rwx", where the last letter may stand for a special bit as well. */
static int take_class(const char *s, uint32_t special, uint32_t *bits)
{
	*bits = 0;
	if ((s[0] != 'r' && s[0] != '-') || (s[1] != 'w' && s[1] != '-') || s[2] == '\0' ||
	    !strchr("-xsStTlL", s[2]))
		return -EPROTO;
	*bits |= s[0] == 'r' ? 4 : 0;
	*bits |= s[1] == 'w' ? 2 : 0;
	*bits |= strchr("xst", s[2]) ? 1 : 0;
	*bits |= strchr("-x", s[2]) ? 0 : special;
	return 0;
}

static int take_mode(struct word w, struct entry *e)
{
	uint32_t user, group, other;
	const char *type;

	/* One more for the mark of an access list, an SELinux label or extended attributes. */
	if (w.len < MODE_LEN || w.len > MODE_LEN + 1)
		return -EPROTO;
	if (w.len > MODE_LEN && !strchr("+.@", w.at[MODE_LEN]))
		return -EPROTO;
	type = w.at[0] ? strchr("-dlbcpsDnCMPwm?", w.at[0]) : NULL;
	if (!type || take_class(w.at + 1, 040, &user) || take_class(w.at + 4, 020, &group) ||
	    take_class(w.at + 7, 010, &other))
		return -EPROTO;
	e->type = *type == '-'	 ? ENTRY_FILE
		  : *type == 'd' ? ENTRY_DIR
		  : *type == 'l' ? ENTRY_LINK
				 : ENTRY_OTHER;
	/* 040 << 6, 020 << 6 and 010 << 6 are the set-user, set-group and sticky bits. */
	e->mode = (user & 7) << 6 | (group & 7) << 3 | (other & 7);
	e->mode |= ((user | group | other) & 070) << 6;
	e->have |= HAVE_MODE;
	return 0;
}

static int to_month(struct word w)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	if (w.len != 3)
		return -1;
	for (int i = 0; i < 12; i++)
		if (strncasecmp(w.at, months + (ptrdiff_t)3 * i, 3) == 0)
			return i + 1;
	return -1;
}

static int to_day(struct word w)
{
	int day = take_number(&w, 1, 2);

	return w.len == 0 && day >= 1 && day <= 31 ? day : -1;
}

/* "05:30" or "2025". */
static bool take_time_or_year(struct word w, struct ls_date *d)
{
	int first = take_number(&w, 1, 4);

	if (first < 0)
		return false;
	if (w.len == 0) {
		d->year = first;
		return first >= 1000;
	}
	d->hour = first;
	if (first > 23 || !take_char(&w, ":"))
		return false;
	d->minute = take_number(&w, 2, 2);
	return w.len == 0 && d->minute >= 0;
}

/* "Nov 23 05:30", "Nov 23  2025", "23 Nov 05:30". */
static bool take_month_date(const struct word w[], struct ls_date *d)
{
	int month = to_month(w[0]);
	bool month_first = month > 0;

	if (!month_first)
		month = to_month(w[1]);
	d->month = month;
	d->day = to_day(w[month_first ? 1 : 0]);
	return month > 0 && d->day > 0 && take_time_or_year(w[2], d);
}

/* "2025-11-23 05:30", and "05:30:01.000000000 +0100" as ls --full-time has it (*words is 3 then).
 * The zone is as good as none: the caller finds out the server's. */
static bool take_iso_date(const struct word w[], struct ls_date *d, int *seconds, size_t *words)
{
	struct word date = w[0], time = w[1], zone = w[2];

	d->year = take_number(&date, 4, 4);
	if (d->year < 1 || !take_char(&date, "-"))
		return false;
	d->month = take_number(&date, 2, 2);
	if (!take_char(&date, "-"))
		return false;
	d->day = take_number(&date, 2, 2);
	d->hour = take_number(&time, 2, 2);
	if (date.len || d->day < 0 || d->hour < 0 || !take_char(&time, ":"))
		return false;
	d->minute = take_number(&time, 2, 2);
	*words = 2;
	if (d->minute < 0 || time.len == 0)
		return d->minute >= 0;
	if (!take_char(&time, ":"))
		return false;
	*seconds = take_number(&time, 2, 2);
	if (*seconds < 0 || time.len == 0)
		return *seconds >= 0;
	if (!take_char(&time, ".") || take_number(&time, 1, 9) < 0 || time.len)
		return false;
	if (take_char(&zone, "+-") && take_number(&zone, 4, 4) >= 0 && zone.len == 0)
		*words = 3;
	return true;
}

/* The date that begins at w[0]; *words becomes how many words it has. */
static bool take_date(const struct word w[], int64_t now, struct entry *e, size_t *words)
{
	struct ls_date d = {.hour = -1, .minute = -1};
	int64_t ns, slack;
	int seconds = -1;

	*words = 3;
	if (!take_month_date(w, &d)) {
		d = (struct ls_date){.hour = -1, .minute = -1};
		if (!take_iso_date(w, &d, &seconds, words))
			return false;
	}
	if (ftime_ls(&d, now, &ns, &slack))
		return false;
	if (seconds >= 0 && seconds < 60) {
		ns += seconds * NS_PER_S;
		slack = NS_PER_S;
	}
	set_time(e, ns, slack);
	return true;
}

/* What stands before the date: a size, or the two numbers of a device. */
static bool take_size(const struct word w[], size_t at, struct entry *e)
{
	struct word major = w[at];
	int64_t number;

	e->have = (uint8_t)(e->have &
			    ~HAVE_SIZE); /* an owner's number may have been taken for it */
	if (to_size(w[at], &e->size)) {
		struct word before = w[at - 1];
		bool device = before.len > 1 && before.at[before.len - 1] == ',' &&
			      is_digit(before.at[0]);

		if (device || e->type == ENTRY_OTHER)
			e->size = 0;
		else
			e->have |= HAVE_SIZE;
		return true;
	}
	e->size = 0;
	while (major.len && is_digit(*major.at)) { /* "8,0" */
		major.at++;
		major.len--;
	}
	return major.at != w[at].at && take_char(&major, ",") && to_size(major, &number);
}

/* Finds size and date, counted from neither end: groups are left out by some servers, owners have
 * spaces on others, and names may hold anything.  *name becomes what follows the date and a space.
 */
static int take_columns(struct word rest, int64_t now, struct entry *e, struct word *name)
{
	const char *end = rest.at + rest.len;
	struct word w[WORDS_MAX + DATE_WORDS];
	size_t n = 0;

	memset(w, 0, sizeof(w));
	while (n < WORDS_MAX && rest.len) {
		w[n] = next_word(&rest);
		n += w[n].len > 0;
	}
	for (size_t i = 1; i + 2 < n; i++) {
		const char *after;
		size_t words;

		if (!take_size(w, i, e) || !take_date(w + i + 1, now, e, &words))
			continue;
		after = w[i + words].at + w[i + words].len;
		if (after == end || *after != ' ')
			return -EPROTO;
		*name = (struct word){after + 1, (size_t)(end - after - 1)};
		return 0;
	}
	return -EPROTO;
}

static int take_link(struct word *name, struct entry *e)
{
	const char *arrow = memmem(name->at, name->len, " -> ", 4);
	struct word target;
	int error;

	if (!arrow)
		return 0;
	target = (struct word){arrow + 4, name->len - (size_t)(arrow + 4 - name->at)};
	name->len = (size_t)(arrow - name->at);
	if (target.len == 0)
		return 0;
	error = copy_name(target, &e->target);
	if (!error)
		e->have |= HAVE_TARGET;
	return error;
}

static bool is_total(struct word line)
{
	struct word first = next_word(&line);
	struct word second = next_word(&line);

	return first.len == 5 && strncasecmp(first.at, "total", 5) == 0 &&
	       (second.len == 0 || is_digit(*second.at)) && next_word(&line).len == 0;
}

static int parse_unix(struct word line, int64_t now, struct entry *e)
{
	struct word rest = line, name;
	struct word mode = next_word(&rest);
	int error;

	if (is_total(line))
		return -EAGAIN;
	if (mode.at != line.at || take_mode(mode, e))
		return -EPROTO;
	error = take_columns(line, now, e, &name);
	if (error)
		return error;
	if (is_dots(name))
		return -EAGAIN;
	error = e->type == ENTRY_LINK ? take_link(&name, e) : 0;
	return error ? error : copy_name(name, &e->name);
}

/* --- the DOS dialect ------------------------------------------------------------------------- */

/* "11-23-25", "11/23/2025", "2025-11-23", and with dots day first, as Germans write it. */
static bool take_dos_date(struct word w, struct ls_date *d)
{
	int first = take_number(&w, 1, 4);
	bool dots = w.len && *w.at == '.';
	int second, third;

	if (first < 0 || !take_char(&w, "-/."))
		return false;
	second = take_number(&w, 1, 2);
	if (second < 0 || !take_char(&w, "-/."))
		return false;
	third = take_number(&w, 1, 4);
	if (third < 0 || w.len)
		return false;
	if (first > 99) {
		*d = (struct ls_date){.year = first, .month = second, .day = third};
		return true;
	}
	if (third < 100)
		third += third < YEAR_PIVOT ? 2000 : 1900;
	*d = (struct ls_date){.year = third, .month = dots ? second : first};
	d->day = dots ? first : second;
	return true;
}

/* "03:46PM", "03:46 PM", "15:46". */
static bool take_dos_time(struct word *rest, struct ls_date *d)
{
	struct word w = next_word(rest);
	struct word ahead = *rest;
	struct word half;

	d->hour = take_number(&w, 1, 2);
	if (d->hour < 0 || !take_char(&w, ":"))
		return false;
	d->minute = take_number(&w, 2, 2);
	if (d->minute < 0)
		return false;
	half = w.len ? w : next_word(&ahead);
	if (half.len < 1 || half.len > 2 || !strchr("aApP", *half.at) ||
	    (half.len == 2 && (half.at[1] | 32) != 'm'))
		return w.len == 0;
	if (w.len == 0)
		*rest = ahead;
	if (d->hour > 12)
		return false;
	d->hour = d->hour % 12 + ((*half.at | 32) == 'p' ? 12 : 0);
	return true;
}

static bool take_dos_size(struct word w, struct entry *e)
{
	char digits[32];
	size_t n = 0;

	for (size_t i = 0; i < w.len; i++) {
		if (w.at[i] == ',')
			continue;
		if (n == sizeof(digits))
			return false;
		digits[n++] = w.at[i];
	}
	if (!to_size((struct word){digits, n}, &e->size))
		return false;
	e->have |= HAVE_SIZE;
	return true;
}

/* The name begins one space behind a size; behind a tag, where a size would have ended it. */
static struct word dos_name(struct word rest, size_t tag_len)
{
	size_t skip = tag_len == 0 ? 1 : tag_len < TAG_COLUMN ? TAG_COLUMN - tag_len : 1;

	while (skip-- && rest.len && *rest.at == ' ') {
		rest.at++;
		rest.len--;
	}
	return rest;
}

static int parse_dos(struct word line, int64_t now, struct entry *e)
{
	struct word rest = line;
	struct word date = next_word(&rest);
	struct ls_date d;
	struct word column;
	int64_t ns, slack;
	bool tag;

	if (!take_dos_date(date, &d) || !take_dos_time(&rest, &d) || ftime_ls(&d, now, &ns, &slack))
		return -EPROTO;
	set_time(e, ns, slack);
	column = next_word(&rest);
	tag = column.len > 2 && column.at[0] == '<' && column.at[column.len - 1] == '>';
	if (!tag && !take_dos_size(column, e))
		return -EPROTO;
	if (tag)
		e->type = strncmp(column.at, "<DIR>", 5) == 0 ? ENTRY_DIR : ENTRY_OTHER;
	if (rest.len == 0 || *rest.at != ' ')
		return -EPROTO;
	rest = dos_name(rest, tag ? column.len : 0);
	return is_dots(rest) ? -EAGAIN : copy_name(rest, &e->name);
}

int ls_parse(enum ls_dialect dialect, const char *line, size_t n, int64_t now, struct entry *e)
{
	struct word whole = {line, n}, rest = whole;
	int error = -EPROTO;

	memset(e, 0, sizeof(*e));
	if (next_word(&rest).len == 0)
		return -EAGAIN;
	if (dialect == LS_UNIX)
		error = parse_unix(whole, now, e);
	else if (dialect == LS_DOS)
		error = parse_dos(whole, now, e);
	if (error)
		entry_clear(e);
	return error;
}
