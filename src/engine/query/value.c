/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - numbers, times and networks as a query writes them.
 *
 * Whatever can be compared becomes a range of whole numbers, both ends
 * included.  A value may stand for more than one of them: the day 2026-11-25
 * is all of its nanoseconds, and 5s all that lasts five seconds and a bit.
 */
#include "engine/query/query_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

static const uint64_t second_ns = 1000000000;

/* Of dates, and of the numbers that may stand for any of their ends. */
#define DATES_MAX   INT64_C(8000000000)
#define SECONDS_MAX UINT64_C(9000000000)

/* -- times -------------------------------------------------------------------- */

struct reader {
	const char *p;
	bool wrong;
};

static unsigned take_digits(struct reader *r, int n)
{
	unsigned v = 0;

	for (int i = 0; i < n && !r->wrong; i++, r->p++) {
		if (*r->p < '0' || *r->p > '9')
			r->wrong = true;
		else
			v = 10 * v + (unsigned)(*r->p - '0');
		if (r->wrong)
			break;
	}
	return v;
}

static bool take(struct reader *r, char c)
{
	if (r->wrong || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* ".250": at most nine digits. */
static uint64_t take_fraction(struct reader *r, uint64_t *width)
{
	uint64_t unit = second_ns, ns = 0;

	while (unit > 1 && *r->p >= '0' && *r->p <= '9') {
		unit /= 10;
		ns += unit * (uint64_t)(*r->p++ - '0');
	}
	if (unit == second_ns)
		r->wrong = true;
	*width = unit;
	return ns;
}

static int64_t take_zone(struct reader *r)
{
	int sign = *r->p == '+' ? 1 : *r->p == '-' ? -1 : 0;
	unsigned hours, minutes;

	if (!sign) {
		take(r, 'Z');
		return 0;
	}
	r->p++;
	hours = take_digits(r, 2);
	take(r, ':');
	minutes = take_digits(r, 2);
	return sign * (int64_t)(hours * 3600 + minutes * 60);
}

static void take_clock(struct reader *r, struct tm *tm, uint64_t *ns,
		       uint64_t *width)
{
	tm->tm_hour = (int)take_digits(r, 2);
	if (!take(r, ':'))
		r->wrong = true;
	tm->tm_min = (int)take_digits(r, 2);
	*width = 60 * second_ns;
	if (take(r, ':')) {
		tm->tm_sec = (int)take_digits(r, 2);
		*width = second_ns;
		if (take(r, '.'))
			*ns = take_fraction(r, width);
	}
	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		r->wrong = true;
}

/* "2026-11-25", "2026-11-25T10:00:07.5Z", "10:00" of the day of now. */
static int calendar_read(const char *text, uint64_t now_ns, uint64_t *ns,
			 uint64_t *width)
{
	struct reader r = { text, false };
	struct tm tm = { .tm_mday = 0 };
	uint64_t fraction = 0;
	time_t now = (time_t)(now_ns / second_ns);
	int64_t t;

	*width = 24 * 3600 * second_ns;
	if (strlen(text) > 4 && text[4] == '-') {
		tm.tm_year = (int)take_digits(&r, 4) - 1900;
		take(&r, '-');
		tm.tm_mon = (int)take_digits(&r, 2) - 1;
		if (!take(&r, '-'))
			r.wrong = true;
		tm.tm_mday = (int)take_digits(&r, 2);
		if (tm.tm_mon > 11 || tm.tm_mon < 0 || tm.tm_mday < 1 ||
		    tm.tm_mday > 31)
			r.wrong = true;
		if (take(&r, 'T'))
			take_clock(&r, &tm, &fraction, width);
	} else {
		struct tm today;

		gmtime_r(&now, &today);
		tm.tm_year = today.tm_year;
		tm.tm_mon = today.tm_mon;
		tm.tm_mday = today.tm_mday;
		take_clock(&r, &tm, &fraction, width);
	}
	t = (int64_t)timegm(&tm) - take_zone(&r);
	if (r.wrong || *r.p || t < 0 || t >= DATES_MAX)
		return ERR_MALFORMED;
	*ns = (uint64_t)t * second_ns + fraction;
	return 0;
}

/* "@1700000000", "@1700000000.25" */
static int epoch_read(const char *text, uint64_t *ns, uint64_t *width)
{
	struct reader r = { text, false };
	uint64_t s = 0;

	while (*r.p >= '0' && *r.p <= '9' && s < SECONDS_MAX)
		s = 10 * s + (uint64_t)(*r.p++ - '0');
	*width = second_ns;
	*ns = s * second_ns;
	if (r.p == text || s >= SECONDS_MAX)
		return ERR_MALFORMED;
	if (take(&r, '.'))
		*ns += take_fraction(&r, width);
	return r.wrong || *r.p ? ERR_MALFORMED : 0;
}

/* *open: a time before now, which alone stands for all since then. */
static int time_read(const char *text, uint64_t now_ns, uint64_t *ns,
		     uint64_t *width, bool *open)
{
	uint64_t back;

	*open = false;
	*width = 1;
	if (strcmp(text, "now") == 0) {
		*ns = now_ns;
		return 0;
	}
	if (*text == '@')
		return epoch_read(text + 1, ns, width);
	if (*text != '-')
		return calendar_read(text, now_ns, ns, width);
	if (text_to_duration_ns(text + 1, &back) < 0)
		return ERR_MALFORMED;
	*open = true;
	*ns = back < now_ns ? now_ns - back : 0;
	return 0;
}

/* -- ranges ---------------------------------------------------------------------- */

/* What one of its unit is worth. */
static uint64_t width_of_duration(const char *text)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "m", UINT64_C(60000000000) },
		{ "h", UINT64_C(3600000000000) },
		{ "d", UINT64_C(86400000000000) },
	};
	const char *unit = text + strspn(text, "0123456789");

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(units[i].unit, unit) == 0)
			return units[i].ns;
	return second_ns;
}

static int hex_read(const char *text, uint64_t *v)
{
	size_t len = strlen(text);

	if (!len || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
		return ERR_MALFORMED;
	*v = strtoull(text, NULL, 16);
	return 0;
}

struct point {
	uint64_t v, width;
	bool open;
};

static int point_read(enum query_type type, const char *text, uint64_t now_ns,
		      struct point *p)
{
	p->width = 1;
	p->open = false;
	switch (type) {
	case QUERY_SIZE:
		return text_to_size(text, &p->v);
	case QUERY_DURATION:
		p->width = width_of_duration(text);
		return text_to_duration_ns(text, &p->v);
	case QUERY_TIME:
		return time_read(text, now_ns, &p->v, &p->width, &p->open);
	case QUERY_HEX:
		return hex_read(text, &p->v);
	default:
		return text_to_uint(text, &p->v);
	}
}

static int wrong(enum query_type type, const char *text, struct err *err)
{
	static const char *const like[] = {
		[QUERY_NUMBER] = "a whole number, like 80 or 8000..8100",
		[QUERY_SIZE] = "bytes, like 4096, 64k or 1M..2M",
		[QUERY_DURATION] = "a duration, like 500ms, 10s or 1m..5m",
		[QUERY_TIME] = "a time, like 2026-11-25T10:00, 10:00, -10m or "
			       "@1764064800",
		[QUERY_HEX] = "up to 16 hexadecimal digits",
		[QUERY_LIMIT] = "a whole number",
	};

	return err_set(err, ERR_USAGE, "\"%s\" is not %s", text, like[type]);
}

static uint64_t last_of(const struct point *p)
{
	return p->v > UINT64_MAX - (p->width - 1) ? UINT64_MAX
						  : p->v + (p->width - 1);
}

static void compare(char op, const struct point *p, struct query_value *v)
{
	v->lo = 0;
	v->hi = UINT64_MAX;
	switch (op) {
	case '<':
		v->hi = p->v - 1;
		if (!p->v) /* nothing is */
			v->lo = 1, v->hi = 0;
		break;
	case 'l':
		v->hi = last_of(p);
		break;
	case '>':
		v->lo = last_of(p) + 1;
		if (!v->lo)
			v->lo = 1, v->hi = 0;
		break;
	case 'g':
		v->lo = p->v;
		break;
	default:
		v->lo = p->v;
		v->hi = p->open ? UINT64_MAX : last_of(p);
	}
}

/* "a..b", "a..", "..b": op is ':' */
static int two_read(enum query_type type, char *from, char *to, uint64_t now_ns,
		    struct query_value *v, struct err *err)
{
	struct point p;

	v->lo = 0;
	v->hi = UINT64_MAX;
	if (!*from && !*to)
		return wrong(type, "..", err);
	if (*from) {
		if (point_read(type, from, now_ns, &p) < 0)
			return wrong(type, from, err);
		v->lo = p.v;
	}
	if (*to) {
		if (point_read(type, to, now_ns, &p) < 0)
			return wrong(type, to, err);
		v->hi = last_of(&p);
	}
	if (v->lo > v->hi)
		return err_set(err, ERR_USAGE, "%s..%s goes backwards", from,
			       to);
	return 0;
}

int query_range_read(enum query_type type, char op, const char *text,
		     uint64_t now_ns, struct query_value *v, struct err *err)
{
	const char *dots = type == QUERY_HEX ? NULL : strstr(text, "..");
	char copy[128];
	struct point p;

	*v = (struct query_value){ .how = QUERY_RANGE };
	if (strlen(text) >= sizeof(copy))
		return err_set(err, ERR_USAGE,
			       "the value has more than %zu characters",
			       sizeof(copy) - 1);
	if (dots && op == ':') {
		strcpy(copy, text);
		copy[dots - text] = '\0';
		return two_read(type, copy, copy + (dots - text) + 2, now_ns, v,
				err);
	}
	if (point_read(type, text, now_ns, &p) < 0)
		return wrong(type, text, err);
	compare(op, &p, v);
	return 0;
}

/* -- networks ---------------------------------------------------------------------- */

static bool bits_read(const char *text, unsigned most, uint8_t *bits)
{
	uint64_t v;

	if (text_to_uint(text, &v) < 0 || v > most)
		return false;
	*bits = (uint8_t)(v + 128 - most);
	return true;
}

int query_net_read(const char *text, struct query_value *v, struct err *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[64];
	unsigned most = 0;

	*v = (struct query_value){ .how = QUERY_IN_NET, .bits = 128 };
	if (len < sizeof(address)) {
		memcpy(address, text, len);
		address[len] = '\0';
		if (inet_pton(AF_INET, address, v->net + 12) == 1) {
			v->net[10] = v->net[11] = 0xff;
			most = 32;
		} else if (inet_pton(AF_INET6, address, v->net) == 1) {
			most = 128;
		}
	}
	if (most && (!slash || bits_read(slash + 1, most, &v->bits)))
		return 0;
	return err_set(err, ERR_USAGE,
		       "\"%s\" is not an address or a network, like 10.60.1.3, "
		       "10.60.0.0/16 or 2001:db8::/32", text);
}
