/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - "HOST:PORT,KEY=VALUE…": what a listener gives its clients.
 */
#include "engine/feed/feed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/packet.h"

enum { NS_DIGITS = 9, CLIENTS_MOST = 65536, CACHE_LEAST = 32 << 20 };

struct key {
	const char *name;
	int (*set)(struct feed_config *cfg, const char *value);
	const char *takes;
};

/* -- times ----------------------------------------------------------------- */

static int to_digits(const char *text, size_t len, uint64_t *v)
{
	char digits[24];

	if (len == 0 || len >= sizeof(digits))
		return ERR_MALFORMED;
	memcpy(digits, text, len);
	digits[len] = 0;
	return text_to_uint(digits, v);
}

/* ".25" after the seconds, as nanoseconds. */
static int to_fraction(const char *text, uint64_t *ns)
{
	size_t len = strlen(text);

	*ns = 0;
	if (len == 0)
		return 0;
	if (text[0] != '.' || len - 1 > NS_DIGITS ||
	    to_digits(text + 1, len - 1, ns) < 0)
		return ERR_MALFORMED;
	for (size_t i = len - 1; i < NS_DIGITS; i++)
		*ns *= 10;
	return 0;
}

/* "2026-03-01T10:00:00Z", or seconds since 1970; both with a fraction. */
static int to_time_ns(const char *text, uint64_t *ns)
{
	char body[64], fraction[16] = "";
	size_t len = strcspn(text, ".");
	size_t all = strlen(text);
	struct tm tm = { 0 };
	uint64_t s, below;
	char *end;

	if (all >= sizeof(body))
		return ERR_MALFORMED;
	memcpy(body, text, all + 1);
	if (all && body[all - 1] == 'Z')
		body[--all] = 0;
	else if (strchr(body, 'T'))
		return ERR_MALFORMED; /* an hour of which zone? */
	if (len < all) {
		if (all - len >= sizeof(fraction))
			return ERR_MALFORMED;
		memcpy(fraction, body + len, all - len + 1);
		body[len] = 0;
	}
	if (to_fraction(fraction, &below) < 0)
		return ERR_MALFORMED;
	if (text_to_uint(body, &s) < 0) {
		end = strptime(body, "%Y-%m-%dT%H:%M:%S", &tm);
		if (!end || *end || tm.tm_year < 70)
			return ERR_MALFORMED;
		s = (uint64_t)timegm(&tm);
	}
	if (s > UINT32_MAX)
		return ERR_LIMIT;
	*ns = s * UINT64_C(1000000000) + below;
	return 0;
}

/* -- keys ------------------------------------------------------------------ */

static int set_from(struct feed_config *cfg, const char *value)
{
	static const struct {
		const char *word;
		enum feed_from from;
	} words[] = { { "live", FEED_LIVE },
		      { "oldest", FEED_OLDEST },
		      { "client", FEED_CLIENT } };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(value, words[i].word) == 0) {
			cfg->from = words[i].from;
			return 0;
		}
	if (strncmp(value, "time:", 5) == 0) {
		cfg->from = FEED_TIME;
		return to_time_ns(value + 5, &cfg->from_value);
	}
	if (strncmp(value, "ago:", 4) == 0) {
		cfg->from = FEED_AGO;
		return text_to_duration_ns(value + 4, &cfg->from_value);
	}
	cfg->from = FEED_INDEX;
	return text_to_uint(value, &cfg->from_value);
}

static int choose(const char *value, const char *no, const char *yes, bool *to)
{
	*to = strcmp(value, yes) == 0;
	return *to || strcmp(value, no) == 0 ? 0 : ERR_MALFORMED;
}

static int set_unit(struct feed_config *cfg, const char *value)
{
	return choose(value, "us", "ns", &cfg->nano);
}

static int set_on_gap(struct feed_config *cfg, const char *value)
{
	return choose(value, "close", "continue", &cfg->continue_at_gap);
}

static int set_on_slow(struct feed_config *cfg, const char *value)
{
	return choose(value, "lag", "drop", &cfg->drop_slow);
}

static int within(int rc, const uint64_t *v, uint64_t min, uint64_t max)
{
	return rc < 0 ? rc : *v < min || *v > max ? ERR_LIMIT : 0;
}

static int set_slow_after(struct feed_config *cfg, const char *value)
{
	return within(text_to_duration_ns(value, &cfg->slow_ns), &cfg->slow_ns,
		      UINT64_C(1000000000), UINT64_C(86400000000000));
}

static int set_max_caplen(struct feed_config *cfg, const char *value)
{
	return within(text_to_size(value, &cfg->max_caplen), &cfg->max_caplen,
		      1, PACKET_MAX);
}

static int set_clients(struct feed_config *cfg, const char *value)
{
	return within(text_to_uint(value, &cfg->clients_max), &cfg->clients_max,
		      1, CLIENTS_MOST);
}

static int set_cache(struct feed_config *cfg, const char *value)
{
	return within(text_to_size(value, &cfg->cache_max), &cfg->cache_max,
		      CACHE_LEAST, UINT64_MAX);
}

static int set_filter(struct feed_config *cfg, const char *value)
{
	size_t len = strlen(value);

	if (len >= sizeof(cfg->filter))
		return ERR_LIMIT;
	memcpy(cfg->filter, value, len + 1);
	return 0;
}

static const struct key keys[] = {
	{ "from", set_from,
	  "live, oldest, client, a packet's number, "
	  "time:2026-03-01T10:00:00Z, time:SECONDS or ago:10m" },
	{ "unit", set_unit, "us or ns" },
	{ "max-caplen", set_max_caplen, "1 to 16MiB" },
	{ "filter", set_filter, "an expression of at most 4095 characters" },
	{ "on-gap", set_on_gap, "close or continue" },
	{ "on-slow", set_on_slow, "lag or drop" },
	{ "slow-after", set_slow_after, "1s to 24h" },
	{ "clients", set_clients, "1 to 65536" },
	{ "cache", set_cache, "at least 32MiB" },
};

static int unknown(const char *name, struct err *err)
{
	const char *nearest = keys[0].name;

	for (size_t i = 1; i < sizeof(keys) / sizeof(*keys); i++)
		if (text_distance(name, keys[i].name) <
		    text_distance(name, nearest))
			nearest = keys[i].name;
	return err_set(err, ERR_USAGE,
		       "a listener has no option \"%s\"; did you mean %s?",
		       name, nearest);
}

static int set_one(struct feed_config *cfg, char *pair, struct err *err)
{
	char *value = pair + strcspn(pair, "=");

	if (!*value)
		return err_set(err, ERR_USAGE,
			       "the listener's option \"%s\" has no value; "
			       "write %s=VALUE",
			       pair, pair);
	*value++ = 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strcmp(pair, keys[i].name) != 0)
			continue;
		if (keys[i].set(cfg, value) == 0)
			return 0;
		return err_set(err, ERR_USAGE,
			       "the listener's option %s takes %s, not \"%s\"",
			       pair, keys[i].takes, value);
	}
	return unknown(pair, err);
}

/* The address itself: a port must be there, the rest is for the resolver. */
static int set_address(struct feed_config *cfg, const char *text,
		       struct err *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || text_to_uint(colon + 1, &port) < 0 || port > 65535)
		return err_set(err, ERR_USAGE,
			       "a listener is HOST:PORT with a port of 0 to "
			       "65535, not \"%s\"",
			       text);
	if (strlen(text) >= sizeof(cfg->listen))
		return err_set(err, ERR_USAGE,
			       "a listener's address has at most %zu "
			       "characters, not %zu",
			       sizeof(cfg->listen) - 1, strlen(text));
	memcpy(cfg->listen, text, strlen(text) + 1);
	return 0;
}

int feed_config_parse(struct feed_config *cfg, const char *text,
		      struct err *err)
{
	char *copy = mem_text(text), *rest = copy;
	int rc = set_address(cfg, strsep(&rest, ","), err);

	while (rc == 0 && rest)
		rc = set_one(cfg, strsep(&rest, ","), err);
	free(copy);
	return rc;
}
