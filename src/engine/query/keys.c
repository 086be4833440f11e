/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.c - every key of the language, one row each.
 *
 * doc/query.md has the same table with more words; a test holds the two
 * against each other.
 */
#include "engine/query/query_priv.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

/* Ways are sorted by address; the one who called is the client. */
#define CLIENT(column)                                                         \
	"CASE s.caller WHEN 0 THEN s." column "_a ELSE s." column "_b END"
#define SERVER(column)                                                         \
	"CASE s.caller WHEN 0 THEN s." column "_b ELSE s." column "_a END"
#define MATCHES "(SELECT count(*) FROM matches t WHERE t.stream=s.id)"
#define MESSAGES(protocols)                                                    \
	"messages m WHERE m.stream=s.id AND m.protocol IN(" protocols ")"

static const struct query_word protocols[] = {
	{ "tcp", "s.protocol=6" },
	{ "udp", "s.protocol=17" },
	{ "sctp", "s.protocol=132" },
	{ "icmp", "s.protocol IN(1,58)" },
	{ "ip", "s.protocol NOT IN(6,17,132,1,58)" },
	{ NULL, NULL }
};

static const struct query_word states[] = {
	{ "half", "s.state=0 AND s.protocol=6" },
	{ "open", "s.ended=0 AND s.state<3" },
	{ "closing", "s.ended=0 AND s.state=2" },
	{ "closed", "s.ended<>0 OR s.state=3" },
	{ "fin", "s.ended=1" },
	{ "reset", "s.ended=2 OR s.rst_a OR s.rst_b" },
	{ "idle", "s.ended=3" },
	{ "reused", "s.ended=4" },
	{ "crowded", "s.ended=5" },
	{ "cut", "s.ended=6" },
	{ "gap", "s.gaps_a+s.gaps_b>0" },
	{ "conflict", "s.conflicts_a+s.conflicts_b>0" },
	{ "capped", "s.capped<>0" },
	{ "evicted", "s.evicted<>0" },
	{ NULL, NULL }
};

static const struct query_word contents[] = {
	{ "unknown", "s.content_kind=0" }, { "text", "s.content_kind=1" },
	{ "binary", "s.content_kind=2" },  { "mixed", "s.content_kind=3" },
	{ NULL, NULL }
};

static const struct query_word marks[] = {
	{ "pinned", "k.pinned<>0" },
	{ "comment", "k.comment<>''" },
	{ "any", "k.pinned<>0 OR k.comment<>''" },
	{ NULL, NULL }
};

static const struct query_word statuses[] = { { "complete", "m.status=0" },
					      { "partial", "m.status=1" },
					      { "error", "m.status=2" },
					      { NULL, NULL } };

/* The SQL is what is sorted by. */
static const struct query_word sorts[] = {
	{ "time", "s.first_ns" },
	{ "last", "s.last_ns" },
	{ "duration", "s.last_ns-s.first_ns" },
	{ "bytes", "s.delivered_a+s.delivered_b" },
	{ "packets", "s.packets_a+s.packets_b" },
	{ "matches", MATCHES },
	{ NULL, NULL }
};

#define HTTP "0,1"
#define DNS  "3"
#define TLS  "4,5"

const struct query_key query_keys[] = {
	{ "id", "stream", QUERY_HEX, { "s.id" },
	  .about = "the stream's id" },
	{ "flow", "flow_key", QUERY_HEX, { "s.flow_key" },
	  .about = "rustmate's hash of the endpoints" },
	{ "service", NULL, QUERY_TEXT,
	  { "CASE s.service WHEN '' THEN 'unknown' ELSE s.service END" },
	  .about = "what is spoken: http, tls, unknown" },
	{ "protocol", "proto", QUERY_WORD, .words = protocols,
	  .about = "above IP" },
	{ "state", "status", QUERY_WORD, .words = states,
	  .about = "how it stands, or how it ended" },
	{ "content", NULL, QUERY_WORD, .words = contents,
	  .about = "what its payload looks like" },
	{ "host", NULL, QUERY_NET, { "s.address_a", "s.address_b" },
	  .about = "either end" },
	{ "chost", "in.host", QUERY_NET, { CLIENT("address") },
	  .about = "the end that called" },
	{ "shost", "out.host", QUERY_NET, { SERVER("address") },
	  .about = "the end that answered" },
	{ "port", NULL, QUERY_NUMBER, { "s.port_a", "s.port_b" },
	  .about = "either end" },
	{ "cport", "in.port", QUERY_NUMBER, { CLIENT("port") },
	  .about = "the end that called" },
	{ "sport", "out.port", QUERY_NUMBER, { SERVER("port") },
	  .about = "the end that answered" },
	{ "vlan", NULL, QUERY_NUMBER, { "s.vlan" },
	  .about = "outermost tag of the first packet" },
	{ "bytes", "size", QUERY_SIZE, { "s.delivered_a+s.delivered_b" },
	  .about = "payload in order, both ways" },
	{ "cbytes", "in.bytes", QUERY_SIZE, { CLIENT("delivered") },
	  .about = "payload of the client" },
	{ "sbytes", "out.bytes", QUERY_SIZE, { SERVER("delivered") },
	  .about = "payload of the server" },
	{ "packets", NULL, QUERY_NUMBER, { "s.packets_a+s.packets_b" },
	  .about = "both ways" },
	{ "cpackets", "in.packets", QUERY_NUMBER, { CLIENT("packets") },
	  .about = "of the client" },
	{ "spackets", "out.packets", QUERY_NUMBER, { SERVER("packets") },
	  .about = "of the server" },
	{ "duration", "dur", QUERY_DURATION, { "s.last_ns-s.first_ns" },
	  .about = "from the first packet to the last" },
	{ "time", "first", QUERY_TIME, { "s.first_ns" },
	  .about = "when its first packet came" },
	{ "last", NULL, QUERY_TIME, { "s.last_ns" },
	  .about = "when its last packet came" },
	{ "gaps", NULL, QUERY_NUMBER, { "s.gaps_a+s.gaps_b" },
	  .about = "holes in its payload" },
	{ "lost", NULL, QUERY_SIZE, { "s.gap_bytes_a+s.gap_bytes_b" },
	  .about = "bytes in those holes" },
	{ "matches", NULL, QUERY_NUMBER, { MATCHES },
	  .about = "how many patterns were found" },
	{ "pattern", NULL, QUERY_TEXT, { "t.name", "t.pattern" },
	  .inside = "matches t WHERE t.stream=s.id",
	  .about = "a pattern found in it, by its name or as regex:0" },
	{ "tag", NULL, QUERY_TEXT, { "t.tag" },
	  .inside = "tags t WHERE t.stream=s.id",
	  .about = "a tag on it" },
	{ "mark", NULL, QUERY_WORD, .words = marks,
	  .inside = "marks k WHERE k.stream=s.id",
	  .about = "what people did to it" },
	{ "comment", NULL, QUERY_TEXT, { "k.comment" },
	  .inside = "marks k WHERE k.stream=s.id",
	  .about = "what people wrote about it" },
	{ "message", NULL, QUERY_TEXT, { "m.summary" },
	  .inside = "messages m WHERE m.stream=s.id",
	  .about = "a line about a message: GET /login" },
	{ "message.status", NULL, QUERY_WORD, .words = statuses,
	  .inside = "messages m WHERE m.stream=s.id",
	  .about = "whether a message is whole" },
	{ "http.method", "method", QUERY_TEXT, { "m.method" },
	  .inside = MESSAGES(HTTP), .about = "of a request" },
	{ "http.target", "target", QUERY_TEXT, { "m.target" },
	  .inside = MESSAGES(HTTP), .about = "of a request: /login?x=1" },
	{ "http.host", NULL, QUERY_TEXT, { "m.host" },
	  .inside = MESSAGES(HTTP), .about = "whom a request is for" },
	{ "http.code", "code", QUERY_NUMBER, { "m.code" },
	  .inside = MESSAGES(HTTP), .about = "of a response" },
	{ "sni", NULL, QUERY_TEXT, { "m.host" },
	  .inside = MESSAGES(TLS), .about = "the server name of a hello" },
	{ "dns.name", "dns", QUERY_TEXT, { "m.name" },
	  .inside = MESSAGES(DNS), .about = "a name that was asked for" },
	{ "data", "any", QUERY_PAYLOAD, .side = QUERY_BOTH,
	  .about = "somewhere in the payload" },
	{ "cdata", "in", QUERY_PAYLOAD, .side = QUERY_CLIENT,
	  .about = "in what the client said" },
	{ "sdata", "out", QUERY_PAYLOAD, .side = QUERY_SERVER,
	  .about = "in what the server said" },
	{ "sort", NULL, QUERY_SORT, .words = sorts,
	  .about = "largest first; with - in front smallest first" },
	{ "limit", NULL, QUERY_LIMIT, .about = "end after so many streams" },
	{ .name = NULL }
};

const struct query_key *query_key_find(const char *name)
{
	for (const struct query_key *k = query_keys; k->name; k++)
		if (strcasecmp(k->name, name) == 0 ||
		    (k->also && strcasecmp(k->also, name) == 0))
			return k;
	return NULL;
}

/* In half edits.  Farther than this, a guess would only confuse. */
static unsigned reach(const char *name)
{
	size_t len = strlen(name);

	return len < 4 ? 4 : len < 8 ? 6 : 8;
}

/* Of two equally near ones, the one that begins alike is meant. */
static void consider(const char *name, const char *other, unsigned *best,
		     const char **nearest)
{
	unsigned d = other ? 2 * text_distance(name, other) +
				     (*name != *other)
			   : *best;

	if (d < *best) {
		*best = d;
		*nearest = other;
	}
}

const char *query_key_nearest(const char *name)
{
	unsigned best = reach(name);
	const char *nearest = NULL;

	for (const struct query_key *k = query_keys; k->name; k++) {
		consider(name, k->name, &best, &nearest);
		consider(name, k->also, &best, &nearest);
	}
	return nearest;
}

const struct query_word *query_word_find(const struct query_word *words,
					 const char *name)
{
	for (; words->name; words++)
		if (strcasecmp(words->name, name) == 0)
			return words;
	return NULL;
}

const char *query_word_nearest(const struct query_word *words,
			       const char *name)
{
	unsigned best = reach(name);
	const char *nearest = NULL;

	for (; words->name; words++)
		consider(name, words->name, &best, &nearest);
	return nearest;
}

static const char *values_of(const struct query_key *k)
{
	static const char *const kinds[] = {
		[QUERY_NUMBER] = "a number or a range of them",
		[QUERY_SIZE] = "bytes (64k, 2M) or a range of them",
		[QUERY_DURATION] = "a duration (500ms, 10s) or a range",
		[QUERY_TIME] = "a time (2026-11-25T10:00, -10m) or a range",
		[QUERY_HEX] = "up to 16 hexadecimal digits",
		[QUERY_NET] = "an address or a network (10.0.0.0/8)",
		[QUERY_TEXT] = "a text, * for anything; ~ for a part, ~/regex/",
		[QUERY_WORD] = "a word",
		[QUERY_PAYLOAD] = "a word, \"text\", /regex/ or x\"de ad\"",
		[QUERY_SORT] = "a word",
		[QUERY_LIMIT] = "a number",
	};

	return kinds[k->type];
}

bool query_key_info(size_t i, struct query_key_info *info)
{
	const struct query_key *k = &query_keys[i];

	if (i >= sizeof(query_keys) / sizeof(*query_keys) - 1)
		return false;
	*info = (struct query_key_info){ k->name, k->also, values_of(k),
					 k->about };
	return true;
}
