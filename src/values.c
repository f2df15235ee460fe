/* values - the text of an option -> a number */
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { WORD_MAX = 40, YEAR_S = 366 * 24 * 3600 };

/* strtoull() alone would take spaces, signs and nothing at all. */
static int digits(const char *text, int base, char **end, uint64_t *out)
{
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, end, base);
	return errno ? -EINVAL : 0;
}

int value_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	char *end;

	if (digits(text, 10, &end, out) < 0 || *end || *out < low || *out > high)
		return -EINVAL;
	return 0;
}

int value_seconds(const char *text, int64_t *ns)
{
	uint64_t s;

	if (value_number(text, 0, YEAR_S, &s) < 0)
		return -EINVAL;
	*ns = (int64_t)s * NS_PER_S;
	return 0;
}

int value_size(const char *text, int64_t *bytes)
{
	static const char units[] = "kmg";
	char *end;
	uint64_t n;
	unsigned shift = 0;

	if (digits(text, 10, &end, &n) < 0)
		return -EINVAL;
	if (*end) {
		const char *unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = (unsigned)(unit - units + 1) * 10;
	}
	if (n > (uint64_t)INT64_MAX >> shift)
		return -EINVAL;
	*bytes = (int64_t)(n << shift);
	return 0;
}

int value_umask(const char *text, mode_t *out)
{
	char *end;
	uint64_t n;

	if (digits(text, 8, &end, &n) < 0 || *end || n > 0777)
		return -EINVAL;
	*out = (mode_t)n;
	return 0;
}

int value_uid(const char *text, uid_t *out)
{
	uint64_t n;

	if (value_number(text, 0, UINT_MAX - 1, &n) == 0) {
		*out = (uid_t)n;
		return 0;
	}
	const struct passwd *pw = getpwnam(text);
	if (!pw)
		return -EINVAL;
	*out = pw->pw_uid;
	return 0;
}

int value_gid(const char *text, gid_t *out)
{
	uint64_t n;

	if (value_number(text, 0, UINT_MAX - 1, &n) == 0) {
		*out = (gid_t)n;
		return 0;
	}
	const struct group *gr = getgrnam(text);
	if (!gr)
		return -EINVAL;
	*out = gr->gr_gid;
	return 0;
}

int value_choice(const char *text, const char *words)
{
	size_t n = strlen(text);

	for (int i = 0;; i++) {
		size_t len = strcspn(words, "|");
		if (len == n && memcmp(words, text, n) == 0)
			return i;
		if (!words[len])
			return -EINVAL;
		words += len + 1;
	}
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* d[i][j] is the distance of the first i letters of a to the first j of b. */
unsigned word_distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return UINT_MAX;
	for (size_t i = 0; i <= na; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			unsigned other = a[i - 1] != b[j - 1];
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + other);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, UINT_MAX);
		}
	}
	return d[na][nb];
}
