/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ipcap processes said to each other, read frame by frame, held against
 * what is known of it, and written again.
 */
#include "t.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "codec/hex.h"
#include "codec/ipcap.h"
#include "codec/record.h"
#include "codec/zframe.h"

static const char *shared(const char *folder, const char *file)
{
	static char full[1024];

	if (!t_shared())
		t_skip("the shared material is not there");
	snprintf(full, sizeof(full), "%s/interop/ipcap/%s/%s", t_shared(),
		 folder, file);
	return full;
}

static json_t *load_json(const char *folder, const char *file)
{
	json_error_t why;
	json_t *all = json_load_file(shared(folder, file), 0, &why);

	if (!all)
		t_skip("the recorded sessions are not there");
	return all;
}

static uint64_t number(const json_t *in, const char *key)
{
	const json_t *v = json_object_get(in, key);

	CHECK(json_is_integer(v));
	return (uint64_t)json_integer_value(v);
}

static const char *text(const json_t *in, const char *key)
{
	const char *v = json_string_value(json_object_get(in, key));

	CHECK(v != NULL);
	return v;
}

static void check_sha256(struct bytes in, const char *want)
{
	uint8_t sum[32];
	char hex[65];

	CHECK_EQ(EVP_Digest(in.p, in.len, sum, NULL, EVP_sha256(), NULL), 1);
	CHECK_STR(hex_of(hex, bytes_of(sum, sizeof(sum))), want);
}

/* -- the packets that went in ------------------------------------------- */

struct input {
	struct buf file;
	struct packet p[1000]; /* borrowed from the file */
	int n;
};

static void load_input(struct input *in, const char *path)
{
	gzFile gz = gzopen(shared("a-plain", path), "rb"); /* "../input/…" */
	struct pcap_head head;
	struct cursor c;
	int got;

	*in = (struct input){ 0 };
	CHECK(gz != NULL);
	while ((got = gzread(gz, buf_reserve(&in->file, 1 << 16), 1 << 16)) > 0)
		buf_added(&in->file, (size_t)got);
	CHECK_EQ(got, 0);
	gzclose(gz);
	CHECK_EQ(pcap_head_parse(buf_bytes(&in->file), &head), 0);
	c = cursor_on(buf_from(&in->file, PCAP_HEADER));
	while (c.len) {
		struct packet *p = &in->p[in->n++];
		uint64_t sec = get_le32(&c);
		uint64_t frac = get_le32(&c);
		uint32_t len = get_le32(&c);

		/* ipcap keeps whole microseconds */
		p->time_ns = sec * 1000000000 +
			     (head.micro ? frac : frac / 1000) * 1000;
		p->wire_len = get_le32(&c);
		p->data = get_bytes(&c, len);
	}
	CHECK(cursor_done(&c));
}

static void check_packets(const struct input *in, const json_t *map,
			  uint64_t first, struct bytes records)
{
	const json_t *range = json_array_get(map, 0);
	struct cursor c = cursor_on(records);
	uint64_t index = first;
	struct packet p;

	for (; record_next(&c, &p) == 0; index++) {
		const struct packet *want;

		CHECK(index >= number(range, "first_index") &&
		      index < number(range, "end_index"));
		want = &in->p[number(range, "first_input_packet") + index -
			      number(range, "first_index")];
		CHECK(p.time_ns == want->time_ns);
		CHECK_EQ(p.wire_len, want->wire_len);
		CHECK_BYTES(p.data, want->data);
	}
	CHECK_EQ(c.len, 0);
}

/* -- one scenario ------------------------------------------------------- */

struct session {
	struct input input;
	const json_t *map;
	struct zframe zstd;
	uint64_t packets;
};

static void check_batch(struct session *s, const json_t *want,
			const struct ipcap_frame *f)
{
	struct buf inflated = { 0 }, records = { 0 }, again = { 0 };
	struct bytes payload = f->payload;
	struct cursor c;
	uint32_t count;

	if (f->flags & IPCAP_COMPRESSED) {
		CHECK_EQ(zframe_unpack(&s->zstd, payload, &inflated,
				       IPCAP_INFLATED_MAX),
			 0);
		payload = buf_bytes(&inflated);
		CHECK_EQ(payload.len, number(want, "decoded_length"));
		check_sha256(payload, text(want, "decoded_sha256"));
	}
	CHECK_EQ(ipcap_batch_records(payload, &records, &count), 0);
	CHECK_EQ(count, number(want, "count"));
	CHECK_EQ(f->base, number(want, "first_index"));
	CHECK_EQ(f->base + count, number(want, "end_index"));
	check_packets(&s->input, s->map, f->base, buf_bytes(&records));
	s->packets += count;

	c = cursor_on(buf_bytes(&records));
	CHECK_EQ(put_ipcap_batch(&again, &c, count, IPCAP_PAYLOAD_MAX), count);
	CHECK_EQ(c.len, 0);
	CHECK_BYTES(buf_bytes(&again), payload);
	buf_release(&inflated);
	buf_release(&records);
	buf_release(&again);
}

/* The payload parsed, compared, and written again into `again`. */
static void check_payload(struct session *s, const json_t *want,
			  const struct ipcap_frame *f, struct buf *again)
{
	struct ipcap_ack ack;
	struct ipcap_gap gap;
	struct ipcap_heartbeat beat;
	struct ipcap_stats stats;
	const json_t *counts = json_object_get(want, "stats");

	switch (f->type) {
	case IPCAP_BATCH:
		check_batch(s, want, f);
		put_bytes(again, f->payload);
		break;
	case IPCAP_ACK:
		CHECK_EQ(ipcap_ack_parse(f->payload, &ack), 0);
		CHECK_EQ(ack.source, number(want, "payload_source"));
		CHECK_EQ(ack.next, number(want, "wanted"));
		CHECK_EQ(ack.seq, number(want, "last_seq"));
		put_ipcap_ack(again, &ack);
		break;
	case IPCAP_GAP:
		CHECK_EQ(ipcap_gap_parse(f->payload, &gap), 0);
		CHECK_EQ(gap.source, number(want, "payload_source"));
		CHECK_EQ(gap.from, number(want, "from"));
		CHECK_EQ(gap.to, number(want, "to"));
		put_ipcap_gap(again, &gap);
		break;
	case IPCAP_HEARTBEAT:
		CHECK_EQ(ipcap_heartbeat_parse(f->payload, &beat), 0);
		CHECK(beat.wall_ns == number(want, "wall_ns"));
		CHECK_EQ(beat.head, number(want, "head"));
		put_ipcap_heartbeat(again, &beat);
		break;
	case IPCAP_STATS:
		CHECK_EQ(ipcap_stats_parse(f->payload, &stats), 0);
		CHECK_EQ(stats.captured, number(counts, "captured"));
		CHECK_EQ(stats.dropped_kernel,
			 number(counts, "dropped_kernel"));
		CHECK_EQ(stats.ifdrop, number(counts, "ifdrop"));
		CHECK_EQ(stats.spool_bytes, number(counts, "spool_bytes"));
		CHECK_EQ(stats.oldest, number(counts, "oldest_gpidx"));
		CHECK_EQ(stats.head, number(counts, "head_gpidx"));
		put_ipcap_stats(again, &stats);
		break;
	case IPCAP_KEYLOG:
		CHECK_BYTES(f->payload, bytes_of_text(text(want, "line")));
		put_bytes(again, f->payload);
		break;
	default:
		fail_msg("a frame of type %02x", f->type);
	}
	CHECK_BYTES(buf_bytes(again), f->payload);
}

static void check_frame(struct session *s, const json_t *want,
			const struct ipcap_frame *f, struct bytes raw)
{
	struct buf payload = { 0 }, again = { 0 };
	struct ipcap_frame copy = *f;

	CHECK_EQ(f->type, strtoul(text(want, "type"), NULL, 16));
	CHECK_EQ(f->flags, number(want, "flags"));
	CHECK_EQ(f->source, number(want, "source"));
	CHECK_EQ(f->base, number(want, "base"));
	CHECK_EQ(f->seq, number(want, "seq"));
	CHECK_EQ(f->payload.len, number(want, "payload_length"));
	check_payload(s, want, f, &payload);
	copy.payload = buf_bytes(&payload);
	put_ipcap_frame(&again, &copy);
	CHECK_BYTES(buf_bytes(&again), raw);
	buf_release(&payload);
	buf_release(&again);
}

/* All frames of a stream that comes in pieces of any size. */
static void check_frames(struct session *s, const json_t *frames,
			 struct bytes stream, size_t start)
{
	struct ipcap_reader r = { 0 };
	struct ipcap_frame f;
	size_t fed = start;
	size_t n = 0;
	int rc;

	for (;;) {
		size_t piece = (size_t)t_random_below(3000) + 1;

		while ((rc = ipcap_reader_frame(&r, &f)) == 0) {
			const json_t *want = json_array_get(frames, n++);
			size_t at = number(want, "offset");

			check_frame(s, want, &f,
				    bytes_of(stream.p + at,
					     f.payload.len + IPCAP_FRAME_HEAD +
						     IPCAP_FRAME_TAIL));
		}
		CHECK_EQ(rc, ERR_AGAIN);
		if (fed == stream.len)
			break;
		if (piece > stream.len - fed)
			piece = stream.len - fed;
		put_bytes(ipcap_reader_room(&r),
			  bytes_of(stream.p + fed, piece));
		fed += piece;
	}
	CHECK_EQ(n, json_array_size(frames));
	CHECK_EQ(ipcap_reader_room(&r)->len, 0);
	ipcap_reader_release(&r);
}

static size_t check_preamble(const json_t *want, struct bytes stream)
{
	const json_t *head = json_object_get(want, "header"), *v;
	const json_t *resume = json_object_get(head, "resumeAck");
	struct ipcap_preamble p;
	struct buf again = { 0 };
	size_t used, at;
	char id[8];

	CHECK_EQ(ipcap_preamble_parse(stream, &used, &p), 0);
	CHECK_EQ(used, IPCAP_PREAMBLE_HEAD + number(want, "body_length"));
	CHECK_STR(p.compression, text(head, "compression"));
	json_array_foreach(json_object_get(head, "sources"), at, v)
	{
		const struct ipcap_source *s = &p.sources[at];

		CHECK_EQ(s->id, number(v, "id"));
		CHECK_EQ(s->linktype, number(v, "linktype"));
		CHECK_EQ(s->snaplen, number(v, "snaplen"));
		CHECK_STR(s->name, text(v, "name"));
		CHECK_STR(s->kind, text(v, "kind"));
		CHECK_STR(s->epoch, text(v, "epoch"));
	}
	CHECK_EQ(p.n_sources, at);
	CHECK_EQ(p.n_resume, json_object_size(resume));
	for (int i = 0; i < p.n_resume; i++) {
		snprintf(id, sizeof(id), "%u", p.resume[i].source);
		CHECK_EQ(p.resume[i].index, number(resume, id));
	}
	put_ipcap_preamble(&again, &p);
	CHECK_BYTES(buf_bytes(&again), bytes_of(stream.p, used));
	buf_release(&again);
	return used;
}

static void check_scenario(const char *name)
{
	json_t *all = load_json(name, "scenario.json");
	json_t *agent = json_object_get(all, "agent_to_collector");
	json_t *collector = json_object_get(all, "collector_to_agent");
	json_t *input = json_object_get(all, "input");
	struct bytes from_agent =
		t_load(shared(name, "agent-to-collector.bin"));
	struct bytes from_collector =
		t_load(shared(name, "collector-to-agent.bin"));
	struct session *s = calloc(1, sizeof(*s));
	size_t preamble;

	load_input(&s->input, text(input, "file"));
	s->map = json_object_get(input, "index_map");
	preamble =
		check_preamble(json_object_get(agent, "preamble"), from_agent);
	check_frames(s, json_object_get(agent, "frames"), from_agent, preamble);
	CHECK_EQ(s->packets, number(agent, "packets"));
	check_frames(s, json_object_get(collector, "frames"), from_collector,
		     0);
	zframe_release(&s->zstd);
	buf_release(&s->input.file);
	free(s);
	json_decref(all);
}

TEST(a_plain_session_reads_and_writes_back)
{
	check_scenario("a-plain");
}

TEST(I37_a_compressed_session_reads_and_writes_back)
{
	check_scenario("b-zstd");
}

TEST(a_resumed_session_reads_and_writes_back)
{
	check_scenario("c-resume-437");
}

TEST(a_session_with_a_gap_reads_and_writes_back)
{
	check_scenario("d-gap");
}

TEST(a_session_with_tls_keys_reads_and_writes_back)
{
	check_scenario("e-keylog");
}

TEST(a_session_with_a_new_epoch_reads_and_writes_back)
{
	check_scenario("f-beyond-head");
}

TEST(a_session_beyond_the_head_reads_and_writes_back)
{
	check_scenario("f2-beyond-head-same-epoch");
}

TEST(a_session_of_large_raw_packets_reads_and_writes_back)
{
	check_scenario("g-big-raw");
}

TEST(a_session_that_has_caught_up_reads_and_writes_back)
{
	check_scenario("h-caught-up");
}

/* -- what ipcap's collector did with odd input -------------------------- */

/* As a collector reads: how many packets, or the code that ended it. */
static int collect(struct bytes stream)
{
	struct ipcap_preamble p;
	struct ipcap_frame f;
	struct zframe zstd = { 0 };
	struct buf inflated = { 0 }, records = { 0 };
	uint32_t count;
	size_t used, at;
	int packets = 0;
	int rc = ipcap_preamble_parse(stream, &at, &p);

	while (rc == 0) {
		rc = ipcap_frame_parse(bytes_of(stream.p + at, stream.len - at),
				       &used, &f);
		if (rc < 0)
			break;
		at += used;
		buf_clear(&inflated);
		if (f.flags & IPCAP_COMPRESSED) {
			rc = zframe_unpack(&zstd, f.payload, &inflated,
					   IPCAP_INFLATED_MAX);
			f.payload = buf_bytes(&inflated);
		}
		if (rc == 0)
			rc = f.type == IPCAP_PKT
				     ? ipcap_pkt_records(f.payload, &records,
							 &count)
				     : ipcap_batch_records(f.payload, &records,
							   &count);
		packets += rc == 0 ? (int)count : 0;
	}
	zframe_release(&zstd);
	buf_release(&inflated);
	buf_release(&records);
	return rc == ERR_AGAIN && at == stream.len ? packets : rc;
}

TEST(odd_streams_are_taken_or_refused_as_ipcap_does)
{
	static const struct {
		const char *id;
		int want;
	} probes[] = {
		{ "C11", 3 },		  /* no sources */
		{ "C17", 3 },		  /* zstd without a content size */
		{ "C18", 3 },		  /* zstd without a checksum */
		{ "C20", 3 },		  /* a skippable zstd frame first */
		{ "C22b", ERR_LIMIT },	  /* a window of 128 MiB */
		{ "C22c", ERR_LIMIT },	  /* of 64 MiB */
		{ "C22d", 3 },		  /* of 32 MiB */
		{ "C26", 1 },		  /* PKT: we take it, ipcap does not */
		{ "C37", ERR_LIMIT },	  /* 8 MiB and a byte */
		{ "C50", 1 },		  /* longer than it was on the wire */
		{ "C51", ERR_MALFORMED }, /* 2^32 + 5 seconds: we refuse it */
		{ "C57", 0 },		  /* a preamble and no more */
		{ "C58", ERR_MALFORMED }, /* no preamble */
	};
	json_t *all = load_json(".", "probes.json"), *probe;
	size_t at, seen = 0;

	json_array_foreach(json_object_get(all, "probes"), at, probe)
	{
		for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]);
		     i++) {
			if (strcmp(text(probe, "id"), probes[i].id) != 0)
				continue;
			printf("# %s: %s\n", probes[i].id, text(probe, "sent"));
			CHECK_EQ(collect(t_hex(text(probe, "stream"))),
				 probes[i].want);
			seen++;
		}
	}
	CHECK_EQ(seen, sizeof(probes) / sizeof(probes[0]));
	json_decref(all);
}
