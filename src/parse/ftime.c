/* parse/ftime - times as FTP writes them <-> ns since the epoch, UTC. */
#include "parse/ftime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { DAY_S = 86400, STAMP_DIGITS = 14, FRACTION_DIGITS = 9, LEAP_GAP = 8 };

/* Howard Hinnant's civil calendar: years begin in March, so that the leap day is the last of them;
 * 400 years have 146097 days. */
int64_t ftime_days(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void civil(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool is_date(int year, int month, int day)
{
	return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= days_in_month(year, month);
}

/* -EPROTO where 64 bits of ns end (1677, 2262): no file is that old. */
static int to_ns(int64_t days, int64_t seconds, int64_t *ns)
{
	if (__builtin_mul_overflow(days * DAY_S + seconds, NS_PER_S, ns))
		return -EPROTO;
	return 0;
}

static int number(const char *digits, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++)
		value = value * 10 + (digits[i] - '0');
	return value;
}

static size_t count_digits(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i;
}

/* ".25" -> 250,000,000; returns the bytes used. */
static size_t fraction(const char *text, size_t n, int64_t *ns)
{
	size_t digits = n && text[0] == '.' ? count_digits(text + 1, n - 1) : 0;
	int64_t unit = NS_PER_S / 10;

	*ns = 0;
	for (size_t i = 0; i < digits && i < FRACTION_DIGITS; i++, unit /= 10)
		*ns += (text[1 + i] - '0') * unit;
	return digits ? digits + 1 : 0;
}

int ftime_stamp(const char *text, size_t n, int64_t *ns)
{
	size_t digits = count_digits(text, n);
	bool y2k = digits == STAMP_DIGITS + 1 && memcmp(text, "191", 3) == 0;
	const char *rest = text + (y2k ? 5 : 4);
	int64_t whole, part;
	int year, month, day, hour, minute, second;
	size_t used;

	if (digits != STAMP_DIGITS && !y2k)
		return -EPROTO;
	year = y2k ? 1900 + number(text + 2, 3) : number(text, 4);
	month = number(rest, 2);
	day = number(rest + 2, 2);
	hour = number(rest + 4, 2);
	minute = number(rest + 6, 2);
	second = number(rest + 8, 2);
	if (!is_date(year, month, day) || hour > 23 || minute > 59 || second > 60)
		return -EPROTO;
	if (to_ns(ftime_days(year, month, day), hour * 3600 + minute * 60 + second, &whole))
		return -EPROTO;
	used = digits + fraction(text + digits, n - digits, &part);
	if (__builtin_add_overflow(whole, part, ns) || used > INT32_MAX)
		return -EPROTO;
	return (int)used;
}

int ftime_format(int64_t ns, char *out, size_t size)
{
	int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);
	int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
	int of_day = (int)(seconds - days * DAY_S);
	int year, month, day;

	civil(days, &year, &month, &day);
	if (year < 1 || year > 9999 || size < STAMP_DIGITS + 1)
		return -ERANGE;
	snprintf(out, size, "%04d%02d%02d%02d%02d%02d", year, month, day, of_day / 3600,
		 of_day / 60 % 60, of_day % 60);
	return 0;
}

int ftime_ls(const struct ls_date *d, int64_t now, int64_t *ns, int64_t *slack)
{
	int64_t seconds = d->hour < 0 ? 0 : d->hour * 3600 + d->minute * 60;
	int64_t limit, t;
	char today[STAMP_DIGITS + 1];
	int year;

	if (d->hour > 23 || d->minute > 59 || (d->hour >= 0 && d->minute < 0))
		return -EPROTO;
	*slack = (d->hour < 0 ? DAY_S : 60) * NS_PER_S;
	if (d->year) {
		if (!is_date(d->year, d->month, d->day))
			return -EPROTO;
		return to_ns(ftime_days(d->year, d->month, d->day), seconds, ns);
	}
	if (ftime_format(now, today, sizeof(today)) ||
	    __builtin_add_overflow(now, DAY_S * NS_PER_S, &limit))
		return -EPROTO;
	year = number(today, 4) + 1;
	/* February 29th may be LEAP_GAP years away. */
	for (int oldest = year - 1 - LEAP_GAP; year >= oldest; year--) {
		if (!is_date(year, d->month, d->day) ||
		    to_ns(ftime_days(year, d->month, d->day), seconds, &t) || t > limit)
			continue;
		*ns = t;
		return 0;
	}
	return -EPROTO;
}
