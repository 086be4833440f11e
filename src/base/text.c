/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Read digits up to the first other character; *end points there. */
static int leading_uint(const char *text, const char **end, uint64_t *v)
{
	const char *p = text;

	*v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*v, 10u, v) ||
		    __builtin_add_overflow(*v, (unsigned)(*p - '0'), v))
			return ERR_LIMIT;
	*end = p;
	return p == text ? ERR_MALFORMED : 0;
}

int text_to_uint(const char *text, uint64_t *v)
{
	const char *end;
	int rc = leading_uint(text, &end, v);

	return rc ? rc : *end ? ERR_MALFORMED : 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "K", UINT64_C(1) << 10 },
	{ "KB", UINT64_C(1) << 10 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "MB", UINT64_C(1) << 20 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "GB", UINT64_C(1) << 30 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ "TB", UINT64_C(1) << 40 },
	{ "TiB", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

static const struct unit time_units[] = {
	{ "", UINT64_C(1000000000) },
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", UINT64_C(1000000000) },
	{ "m", UINT64_C(60000000000) },
	{ "h", UINT64_C(3600000000000) },
	{ "d", UINT64_C(86400000000000) },
	{ NULL, 0 },
};

static int with_unit(const struct unit *units, const char *text, uint64_t *v)
{
	const char *end;
	int rc = leading_uint(text, &end, v);

	if (rc)
		return rc;
	for (; units->name; units++)
		if (strcmp(units->name, end) == 0)
			return __builtin_mul_overflow(*v, units->factor, v)
				       ? ERR_LIMIT
				       : 0;
	return ERR_MALFORMED;
}

int text_to_size(const char *text, uint64_t *bytes)
{
	return with_unit(size_units, text, bytes);
}

/* ".5" of a unit; *end points behind it. */
static uint64_t decimals(const char *text, const char **end, uint64_t factor)
{
	uint64_t sum = 0;

	for (*end = text; **end >= '0' && **end <= '9'; ++*end) {
		factor /= 10;
		sum += (uint64_t)(**end - '0') * factor;
	}
	return sum;
}

/* The unit at the front, the longest name that fits; NULL for none. */
static const struct unit *unit_at(const char *text, size_t *len)
{
	const struct unit *best = NULL;

	*len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
	for (const struct unit *u = time_units; u->name; u++)
		if (strlen(u->name) == *len &&
		    strncmp(u->name, text, *len) == 0)
			best = u;
	return best;
}

int text_to_duration_ns(const char *text, uint64_t *ns)
{
	bool first = true;

	*ns = 0;
	do {
		const char *end, *fraction = NULL;
		const struct unit *u;
		uint64_t v;
		size_t len;
		int rc = leading_uint(text, &end, &v);

		if (rc)
			return rc;
		if (*end == '.') {
			fraction = end + 1;
			if (*fraction < '0' || *fraction > '9')
				return ERR_MALFORMED;
			end = fraction + strspn(fraction, "0123456789");
		}
		u = unit_at(end, &len);
		/* A bare number is seconds only where it stands alone. */
		if (!u || (!len && (!first || end[len])))
			return ERR_MALFORMED;
		if (__builtin_mul_overflow(v, u->factor, &v) ||
		    __builtin_add_overflow(*ns, v, ns))
			return ERR_LIMIT;
		if (fraction &&
		    __builtin_add_overflow(
			    *ns, decimals(fraction, &fraction, u->factor), ns))
			return ERR_LIMIT;
		text = end + len;
		first = false;
	} while (*text);
	return 0;
}

char *text_of_size(char out[TEXT_SIZE], uint64_t bytes)
{
	static const char *const names[] = { "B",   "KiB", "MiB",
					     "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1024 && i + 1 < sizeof(names) / sizeof(*names); i++)
		v /= 1024;
	snprintf(out, TEXT_SIZE, i ? "%.1f %s" : "%.0f %s", v, names[i]);
	return out;
}

/* Length of the valid UTF-8 sequence at p (1 to 4), or 0. */
static size_t utf8_at(const unsigned char *p)
{
	static const unsigned lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80		   ? 1
		   : (p[0] & 0xe0) == 0xc0 ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	unsigned v;

	if (n <= 1)
		return n;
	v = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3fu);
	}
	if (v < lowest[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	return n;
}

void text_to_json(char *out, size_t cap, const char *in)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t used = 0;

	if (!cap)
		return;
	while (*p) {
		char piece[8];
		size_t step = utf8_at(p);
		size_t len;

		if (!step)
			len = (size_t)sprintf(piece, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			len = (size_t)sprintf(piece, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			len = (size_t)sprintf(piece, "\\u%04x", *p);
		else
			memcpy(piece, p, len = step);
		if (used + len + 1 > cap)
			break;
		memcpy(out + used, piece, len);
		used += len;
		p += step ? step : 1;
	}
	out[used] = '\0';
}

unsigned text_distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	unsigned row[LONGEST + 1];
	size_t n = strlen(b);

	if (n > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}
