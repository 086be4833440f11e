/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/feed/feed.h"

#include "t.h"

static struct feed_config parse(const char *text)
{
	struct feed_config cfg = FEED_CONFIG_DEFAULT;
	struct err err = ERR_NONE;

	CHECK_OK(feed_config_parse(&cfg, text, &err), &err);
	return cfg;
}

static const char *refused(const char *text)
{
	static struct err err;
	struct feed_config cfg = FEED_CONFIG_DEFAULT;

	err = ERR_NONE;
	CHECK_EQ(feed_config_parse(&cfg, text, &err), ERR_USAGE);
	return err.text;
}

TEST(an_address_alone_keeps_the_defaults)
{
	struct feed_config cfg = parse("[::1]:0");

	CHECK_STR(cfg.listen, "[::1]:0");
	CHECK_EQ(cfg.from, FEED_LIVE);
	CHECK(!cfg.nano && !cfg.continue_at_gap && !cfg.drop_slow);
	CHECK_EQ(cfg.max_caplen, 0);
	CHECK_STR(cfg.filter, "");
}

TEST(every_key_arrives_where_it_belongs)
{
	struct feed_config cfg =
		parse(":4242,unit=ns,max-caplen=256KiB,on-gap=continue,"
		      "on-slow=drop,slow-after=30s,clients=7,cache=1GiB,"
		      "filter=tcp port 80 and tcp[13] & 2 != 0");

	CHECK_STR(cfg.listen, ":4242");
	CHECK(cfg.nano && cfg.continue_at_gap && cfg.drop_slow);
	CHECK_EQ(cfg.max_caplen, 262144);
	CHECK_EQ(cfg.slow_ns, UINT64_C(30000000000));
	CHECK_EQ(cfg.clients_max, 7);
	CHECK_EQ(cfg.cache_max, UINT64_C(1) << 30);
	CHECK_STR(cfg.filter, "tcp port 80 and tcp[13] & 2 != 0");
}

TEST(I58_from_is_a_word_a_number_or_a_time)
{
	static const struct {
		const char *text;
		enum feed_from from;
		uint64_t value;
	} cases[] = {
		{ "live", FEED_LIVE, 0 },
		{ "oldest", FEED_OLDEST, 0 },
		{ "client", FEED_CLIENT, 0 },
		{ "0", FEED_INDEX, 0 },
		{ "123456789012", FEED_INDEX, 123456789012 },
		{ "ago:10m", FEED_AGO, UINT64_C(600000000000) },
		{ "time:1700000000", FEED_TIME, UINT64_C(1700000000000000000) },
		{ "time:1700000000.25", FEED_TIME,
		  UINT64_C(1700000000250000000) },
		{ "time:2023-11-14T22:13:20Z", FEED_TIME,
		  UINT64_C(1700000000000000000) },
		{ "time:2023-11-14T22:13:20.000000007Z", FEED_TIME,
		  UINT64_C(1700000000000000007) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[96];
		struct feed_config cfg;

		snprintf(text, sizeof(text), "h:1,from=%s", cases[i].text);
		cfg = parse(text);
		CHECK_EQ(cfg.from, cases[i].from);
		if (cases[i].value)
			CHECK_EQ(cfg.from_value, cases[i].value);
	}
}

TEST(what_is_wrong_is_named)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "localhost", "\"localhost\"" },
		{ "h:99999", "\"h:99999\"" },
		{ "h:", "HOST:PORT" },
		{ "h:1,uint=ns", "did you mean unit?" },
		{ "h:1,unit", "unit=VALUE" },
		{ "h:1,unit=ms", "us or ns, not \"ms\"" },
		{ "h:1,from=newest", "not \"newest\"" },
		{ "h:1,from=-1", "not \"-1\"" },
		{ "h:1,from=time:2023-11-14T22:13:20", "not \"time:" },
		{ "h:1,from=time:yesterday", "not \"time:yesterday\"" },
		{ "h:1,from=time:9999999999999", "not \"time:" },
		{ "h:1,from=ago:x", "not \"ago:x\"" },
		{ "h:1,max-caplen=0", "1 to 16MiB, not \"0\"" },
		{ "h:1,max-caplen=17MiB", "1 to 16MiB, not \"17MiB\"" },
		{ "h:1,clients=0", "1 to 65536, not \"0\"" },
		{ "h:1,cache=1MiB", "at least 32MiB, not \"1MiB\"" },
		{ "h:1,slow-after=10ms", "1s to 24h, not \"10ms\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strstr(refused(cases[i].text), cases[i].says))
			fail_msg("%s: %s", cases[i].text,
				 refused(cases[i].text));
}

TEST(a_filter_beyond_its_bound_is_refused)
{
	static char text[FEED_FILTER_MAX + 64];

	strcpy(text, "h:1,filter=");
	memset(text + strlen(text), 'x', FEED_FILTER_MAX);
	CHECK(strstr(refused(text), "at most 4095") != NULL);
	text[strlen("h:1,filter=") + FEED_FILTER_MAX - 1] = 0;
	CHECK_EQ(strlen(parse(text).filter), FEED_FILTER_MAX - 1);
}
