/* SPDX-License-Identifier: Apache-2.0 */
#include "base/when.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define NS_PER_S UINT64_C(1000000000)

/* -- days (the proleptic Gregorian calendar) ------------------------------ */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30,
				    31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01; a year that begins in March puts the leap day last. */
static int64_t day_number(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       of_year + day - 1 - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

/* -- reading -------------------------------------------------------------- */

/* Exactly n digits; false leaves *p where it was. */
static bool digits(const char **p, int n, int *v)
{
	int sum = 0;

	for (int i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		sum = sum * 10 + (*p)[i] - '0';
	}
	*p += n;
	*v = sum;
	return true;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

/* ".25" is 250 000 000 ns; what is finer is dropped. */
static bool fraction(const char **p, uint64_t *ns)
{
	uint64_t unit = NS_PER_S / 10;

	*ns = 0;
	if (!literal(p, '.'))
		return true;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; ++*p, unit /= 10)
		*ns += (uint64_t)(**p - '0') * unit;
	return true;
}

/* "", "Z", "+01:00" or "+0100" (Suricata); seconds east of Greenwich. */
static bool offset(const char **p, int64_t *seconds)
{
	int hours, minutes;
	bool west = **p == '-';

	*seconds = 0;
	if (literal(p, 'Z') || literal(p, 'z') || !**p)
		return true;
	if (!literal(p, '+') && !literal(p, '-'))
		return false;
	if (!digits(p, 2, &hours))
		return false;
	literal(p, ':');
	if (!digits(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*seconds = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

static bool day_of(const char **p, int64_t *days)
{
	int year, month, day;

	if (!digits(p, 4, &year) || !literal(p, '-') || !digits(p, 2, &month) ||
	    !literal(p, '-') || !digits(p, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in(year, month))
		return false;
	*days = day_number(year, month, day);
	return true;
}

/* Seconds may be 60, which a leap second is. */
static bool clock_of(const char **p, int *seconds)
{
	int h, m, s = 0;

	if (!digits(p, 2, &h) || !literal(p, ':') || !digits(p, 2, &m))
		return false;
	if (literal(p, ':') && !digits(p, 2, &s))
		return false;
	*seconds = h * 3600 + m * 60 + s;
	return h < 24 && m < 60 && s <= 60;
}

int when_parse(const char *text, uint64_t *ns)
{
	const char *p = text;
	int64_t days, east = 0, all;
	uint64_t part = 0;
	int seconds = 0;

	*ns = 0;
	if (!day_of(&p, &days))
		return ERR_MALFORMED;
	if (literal(&p, 'T') || literal(&p, 't') || literal(&p, ' '))
		if (!clock_of(&p, &seconds) || !fraction(&p, &part) ||
		    !offset(&p, &east))
			return ERR_MALFORMED;
	if (*p)
		return ERR_MALFORMED;
	all = days * 86400 + seconds - east;
	if (all < 0 || (uint64_t)all > UINT64_MAX / NS_PER_S - 1)
		return ERR_LIMIT;
	*ns = (uint64_t)all * NS_PER_S + part;
	return 0;
}

/* -- writing -------------------------------------------------------------- */

/* Digits behind the point without zeros at their end; none for 0. */
static void put_fraction(char out[16], uint64_t part, int digits_)
{
	int n;

	out[0] = '\0';
	if (!part)
		return;
	n = snprintf(out, 16, ".%0*" PRIu64, digits_, part % NS_PER_S);
	while (n > 0 && out[n - 1] == '0')
		out[--n] = '\0';
}

char *when_format(char out[WHEN_SIZE], uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_S;
	unsigned of_day = (unsigned)(seconds % 86400);
	char part[16];
	int64_t year;
	int month, day;

	date_of((int64_t)(seconds / 86400), &year, &month, &day);
	put_fraction(part, ns % NS_PER_S, 9);
	snprintf(out, WHEN_SIZE, "%04d-%02d-%02dT%02u:%02u:%02u%sZ", (int)year,
		 month, day, of_day / 3600, of_day / 60 % 60, of_day % 60,
		 part);
	return out;
}

char *when_span(char out[WHEN_SIZE], uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_S, hours = seconds / 3600;
	char part[16];

	if (ns && ns < 1000) {
		snprintf(out, WHEN_SIZE, "%" PRIu64 "ns", ns);
	} else if (ns && ns < 1000000) {
		put_fraction(part, ns % 1000, 3);
		snprintf(out, WHEN_SIZE, "%" PRIu64 "%s\xc2\xb5s", ns / 1000,
			 part);
	} else if (ns && ns < NS_PER_S) {
		put_fraction(part, ns % 1000000, 6);
		snprintf(out, WHEN_SIZE, "%" PRIu64 "%sms", ns / 1000000, part);
	} else {
		put_fraction(part, ns % NS_PER_S, 9);
		if (hours)
			snprintf(out, WHEN_SIZE, "%" PRIu64 "h%um%u%ss", hours,
				 (unsigned)(seconds / 60 % 60),
				 (unsigned)(seconds % 60), part);
		else if (seconds >= 60)
			snprintf(out, WHEN_SIZE, "%um%u%ss",
				 (unsigned)(seconds / 60),
				 (unsigned)(seconds % 60), part);
		else
			snprintf(out, WHEN_SIZE, "%u%ss", (unsigned)seconds,
				 part);
	}
	return out;
}
