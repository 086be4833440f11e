/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real ipcap processes on one side, from a recording, and our end on the
 * other: the mirror and the packets are those of the original.
 */
#include <jansson.h>
#include <zlib.h>

#include "codec/ipcap.h"
#include "codec/zframe.h"
#include "engine/link/keysink.h"
#include "engine/link/memory.h"
#include "link_here.h"

static const char *const scenarios[] = {
	"a-plain",
	"b-zstd",
	"c-resume-437",
	"d-gap",
	"e-keylog",
	"f-beyond-head",
	"f2-beyond-head-same-epoch",
	"g-big-raw",
	"h-caught-up",
};
enum { SCENARIOS = 9 };

struct scenario {
	const char *name;
	json_t *all;
	uint64_t wanted, from, oldest, head;
	uint16_t source;
	uint32_t linktype;
	const char *epoch, *epoch_before;
	struct buf file;
	struct packet *packets; /* of the input; borrow from file */
	int n;
	struct bytes from_agent, from_collector;
};

static const char *shared(const char *folder, const char *file)
{
	static char full[1024];

	if (!t_shared())
		t_skip("the shared material is not there");
	snprintf(full, sizeof(full), "%s/interop/ipcap/%s/%s", t_shared(),
		 folder, file);
	return full;
}

static uint64_t number(const json_t *in, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(in, key));
}

static void load_input(struct scenario *s, const char *path)
{
	gzFile gz = gzopen(shared(s->name, path), "rb");
	struct pcap_head head;
	struct cursor c;
	int got;

	CHECK(gz != NULL);
	while ((got = gzread(gz, buf_reserve(&s->file, 1 << 16), 1 << 16)) > 0)
		buf_added(&s->file, (size_t)got);
	gzclose(gz);
	CHECK_EQ(pcap_head_parse(buf_bytes(&s->file), &head), 0);
	s->packets = mem_array(1000, sizeof(*s->packets));
	c = cursor_on(buf_from(&s->file, PCAP_HEADER));
	while (c.len) {
		struct packet *p = &s->packets[s->n++];
		uint64_t sec = get_le32(&c), frac = get_le32(&c);
		uint32_t len = get_le32(&c);

		/* ipcap keeps whole microseconds. */
		p->time_ns = sec * 1000000000 +
			     (head.micro ? frac : frac / 1000) * 1000;
		p->wire_len = get_le32(&c);
		p->data = get_bytes(&c, len);
	}
}

static void load(struct scenario *s, const char *name)
{
	json_t *agent;
	json_error_t why;

	*s = (struct scenario){ .name = name };
	s->all = json_load_file(shared(name, "scenario.json"), 0, &why);
	if (!s->all)
		t_skip("the recorded sessions are not there");
	agent = json_object_get(s->all, "agent");
	s->wanted = number(s->all, "wanted");
	s->from = number(s->all, "served_from");
	s->source = (uint16_t)number(s->all, "source");
	s->linktype = (uint32_t)number(s->all, "linktype");
	s->oldest = number(agent, "spool_oldest");
	s->head = number(agent, "spool_head");
	s->epoch = json_string_value(json_object_get(s->all, "epoch"));
	s->epoch_before =
		json_string_value(json_object_get(agent, "epoch_before"));
	if (!s->epoch_before)
		s->epoch_before = s->epoch;
	load_input(s, json_string_value(json_object_get(
			      json_object_get(s->all, "input"), "file")));
	s->from_agent = t_load(shared(name, "agent-to-collector.bin"));
	s->from_collector = t_load(shared(name, "collector-to-agent.bin"));
}

static void unload(struct scenario *s)
{
	json_decref(s->all);
	buf_release(&s->file);
	free(s->packets);
}

/* -- the agent is recorded, the collector ours --------------------------- */

struct player {
	struct pair p;
	struct link_wire wire;
	struct keysink *keys;
	int over;
};

static bool on_allowed(void *arg, const uint8_t key[NOISE_KEY])
{
	const struct player *y = arg;

	return noise_key_equal(key, y->p.collector_key.public);
}

static bool on_answer(void *arg, struct bytes hello, struct buf *answer)
{
	(void)arg;
	(void)hello;
	(void)answer;
	return false;
}

static void on_keyline(void *arg, struct bytes line)
{
	struct player *y = arg;

	keysink_put(y->keys, line);
}

static void exchange(struct player *y)
{
	struct link_end *c = link_collector_end(y->p.collector);
	struct err err = ERR_NONE;

	for (int i = 0; i < 1000 && !y->over; i++) {
		struct bytes out;

		if (c->calls->work(c, y->p.now, &y->p.collector_err) < 0)
			y->over = y->p.collector_err.code;
		out = link_wire_out(c->wire);
		link_wire_take(&y->wire, out);
		link_wire_sent(c->wire, out.len);
		while (link_wire_step(&y->wire, &err) == 0)
			;
		CHECK_OK(link_wire_flush(&y->wire, y->p.now, &err), &err);
		if (!out.len && !link_wire_out(&y->wire).len &&
		    c->calls->hungry(c))
			return;
		if (c->calls->take(c, link_wire_out(&y->wire), y->p.now,
				   &y->p.collector_err) < 0)
			y->over = y->p.collector_err.code;
		link_wire_sent(&y->wire, link_wire_out(&y->wire).len);
		pair_settle(&y->p);
	}
}

static void play(struct player *y, struct bytes stream)
{
	const struct link_wire_asks asks = { on_allowed, on_answer, y };

	y->over = 0;
	y->p.collector_err = ERR_NONE;
	y->p.collector_cfg.on_keyline = on_keyline;
	y->p.collector_cfg.arg = y;
	y->p.collector = link_collector_new(&y->p.collector_cfg, y->p.now);
	link_wire_answer(&y->wire, &y->p.agent_key,
			 (const uint8_t[NOISE_KEY]){ 7 }, &asks);
	exchange(y);
	CHECK(y->wire.open);
	put_bytes(&y->wire.plain, stream);
	exchange(y);
}

static void stop_playing(struct player *y)
{
	link_collector_free(y->p.collector);
	y->p.collector = NULL;
	link_wire_release(&y->wire);
}

/* Bring the mirror to where the recorded collector's was. */
static void play_before(struct player *y, const struct scenario *s)
{
	struct ipcap_preamble p = { .compression = "none", .n_sources = 1 };
	struct ipcap_frame f = { .type = IPCAP_BATCH, .source = s->source };
	struct buf stream = { 0 }, records = { 0 };
	struct cursor c;
	size_t begun;

	if (!s->wanted)
		return;
	p.sources[0] = (struct ipcap_source){ .id = s->source,
					      .linktype = (uint16_t)s->linktype,
					      .snaplen = 65536 };
	strcpy(p.sources[0].epoch, s->epoch_before);
	put_ipcap_preamble(&stream, &p);
	for (uint64_t i = 0; i < s->wanted; i++)
		put_record(&records, &s->packets[i]);
	c = cursor_on(buf_bytes(&records));
	begun = ipcap_frame_begin(&stream);
	CHECK(put_ipcap_batch(&stream, &c, 65535, IPCAP_PAYLOAD_MAX) > 0);
	ipcap_frame_end(&stream, begun, &f);
	play(y, buf_bytes(&stream));
	CHECK_EQ(y->over, 0);
	stop_playing(y);
	buf_release(&stream);
	buf_release(&records);
}

/* All packets of the mirror are the input's; how many spools and packets. */
struct content {
	int spools;
	uint64_t packets, next, gap_from, gap_to;
};

static void check_records(const struct scenario *s, const struct run *r)
{
	struct cursor c = cursor_on(r->records);
	uint64_t i = r->first;
	struct packet p;

	for (; record_next(&c, &p) == 0; i++) {
		const struct packet *want = &s->packets[i];

		CHECK((int)i < s->n);
		CHECK(p.time_ns == want->time_ns);
		CHECK_EQ(p.wire_len, want->wire_len);
		CHECK_BYTES(p.data, want->data);
	}
}

static struct content read_mirror(const struct scenario *s)
{
	struct err err = ERR_NONE;
	struct spool_reader *r =
		spool_reader_open(sys_here(), t_path("mirror/src1"), &err);
	struct content got = { 0 };
	struct spool_event ev;
	struct buf b = { 0 };

	CHECK(r != NULL);
	while (spool_reader_next(r, &ev, &err) == 0) {
		if (ev.kind == SPOOL_EVENT_BEGIN) {
			got.spools++;
			got.next = ev.at;
			CHECK_EQ(ev.identity->linktype, s->linktype);
		} else if (ev.kind == SPOOL_EVENT_RUN) {
			buf_clear(&b);
			CHECK_OK(spool_reader_load(r, &ev, &b, &err), &err);
			CHECK_EQ(ev.run.first, got.next);
			check_records(s, &ev.run);
			got.packets += ev.run.count;
			got.next += ev.run.count;
		} else if (ev.note.is == SPOOL_IS_GAP) {
			got.gap_from = ev.at;
			got.gap_to = got.next = ev.note.value;
		}
	}
	spool_reader_close(r);
	buf_release(&b);
	return got;
}

static struct content settled(const struct scenario *s, struct player *y)
{
	struct content got = { 0 };

	pair_settle(&y->p);
	for (int tries = 0; tries < 2000; tries++) {
		got = read_mirror(s);
		if (got.next == mirror_durable(y->p.mirror) ||
		    mirror_target(y->p.mirror) != mirror_identity(y->p.mirror))
			break;
		poll(NULL, 0, 5);
	}
	return got;
}

static uint64_t packets_after(const struct scenario *s)
{
	json_t *files = json_object_get(
		json_object_get(s->all, "mirror_after_session"), "files");
	uint64_t sum = 0;
	size_t i;
	json_t *file;

	json_array_foreach(files, i, file) sum += number(file, "packets");
	return sum;
}

static void play_scenario(struct scenario *s, struct player *y)
{
	memset(y, 0, sizeof(*y));
	remove_dir(t_path("mirror"));
	pair_init(&y->p);
	mirror_close(y->p.mirror);
	y->p.mirror = mirror_of_source(s->source);
	remove(t_path("keys.log"));
	y->keys = keysink_open(sys_here(), t_path("keys.log"), &y->p.agent_err);
	CHECK(y->keys != NULL);
	play_before(y, s);
	play(y, s->from_agent);
}

static void end_play(struct player *y)
{
	stop_playing(y);
	keysink_close(y->keys);
	mirror_close(y->p.mirror);
}

TEST(X06_a_recorded_ipcap_agent_fills_our_mirror_as_it_did_its_collectors)
{
	for (int i = 0; i < SCENARIOS; i++) {
		struct scenario s;
		struct player y;
		struct content got;

		load(&s, scenarios[i]);
		play_scenario(&s, &y);
		got = settled(&s, &y);
		CHECK_EQ(got.packets, packets_after(&s));
		/* Our question was the recorded one, to the byte. */
		CHECK(link_wire_in(&y.wire).len >= 54);
		CHECK_BYTES(bytes_of(link_wire_in(&y.wire).p, 54),
			    bytes_of(s.from_collector.p, 54));
		if (strcmp(s.name, "d-gap") == 0) {
			CHECK_EQ(got.gap_from, 200);
			CHECK_EQ(got.gap_to, 594);
		}
		CHECK_EQ(got.spools,
			 strcmp(s.name, "f-beyond-head") == 0 ? 2 : 1);
		end_play(&y);
		unload(&s);
	}
}

/* ipcap itself takes all of them for doubles, for ever. */
TEST(I48_an_ipcap_agent_that_has_fallen_back_is_asked_for_all_it_has)
{
	struct scenario s;
	struct player y;
	struct content got;

	load(&s, "f2-beyond-head-same-epoch");
	play_scenario(&s, &y);
	CHECK_EQ(y.over, ERR_END);
	CHECK(link_collector_again(y.p.collector));
	stop_playing(&y);
	play(&y, s.from_agent);
	CHECK_EQ(y.over, 0);
	got = settled(&s, &y);
	CHECK_EQ(got.packets, 1300);
	CHECK_EQ(got.spools, 2);
	CHECK_EQ(got.next, 300);
	/* And from there on it is an ordinary session. */
	stop_playing(&y);
	play(&y, s.from_agent);
	CHECK_EQ(y.over, 0);
	CHECK_EQ(settled(&s, &y).packets, 1300);
	end_play(&y);
	unload(&s);
}

TEST(I62_I63_I64_recorded_key_lines_give_the_recorded_file)
{
	struct scenario s;
	struct player y;
	const char *want;

	load(&s, "e-keylog");
	play_scenario(&s, &y);
	want = json_string_value(json_object_get(
		json_object_get(s.all, "keylog"), "collector_sslkeylog_file"));
	CHECK_BYTES(t_load(t_path("keys.log")), bytes_of_text(want));
	/* Sent again, over another connection and another start. */
	stop_playing(&y);
	keysink_close(y.keys);
	y.keys = keysink_open(sys_here(), t_path("keys.log"), &y.p.agent_err);
	play(&y, s.from_agent);
	CHECK_BYTES(t_load(t_path("keys.log")), bytes_of_text(want));
	end_play(&y);
	unload(&s);
}

/* -- the collector is recorded, the agent ours --------------------------- */

static void write_input(const struct scenario *s, uint8_t origin[SPOOL_ID])
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct err err = ERR_NONE;
	struct spool *spool;

	cfg.want.linktype = s->linktype;
	cfg.first = s->oldest;
	spool = open_with(&cfg);
	for (uint64_t at = s->oldest; at < s->head; at += 37) {
		struct run r = { .first = at };
		struct buf b = { 0 };

		for (uint64_t i = at; i < s->head && i < at + 37; i++)
			put_record(&b, &s->packets[i]);
		r.records = buf_bytes(&b);
		CHECK_EQ(run_measure(&r), 0);
		CHECK_OK(spool_append(spool, &r, NULL, &err), &err);
		buf_release(&b);
	}
	commit(spool);
	spool_status(spool, &st);
	memcpy(origin, st.identity.origin, SPOOL_ID);
	spool_close(spool);
}

struct answer {
	struct pair p;
	struct link_wire wire;
	struct buf stream; /* all that the agent said */
	int over;
};

static void ask(struct answer *k)
{
	struct link_end *a = link_agent_end(k->p.agent);
	struct err err = ERR_NONE;

	for (int i = 0; i < 1000 && !k->over; i++) {
		struct bytes out = link_wire_out(&k->wire);

		if (a->calls->take(a, out, k->p.now, &k->p.agent_err) < 0 ||
		    a->calls->work(a, k->p.now, &k->p.agent_err) < 0)
			k->over = k->p.agent_err.code;
		link_wire_sent(&k->wire, out.len);
		out = link_wire_out(a->wire);
		if (!out.len && !link_wire_out(&k->wire).len)
			break;
		link_wire_take(&k->wire, out);
		link_wire_sent(a->wire, out.len);
		while (link_wire_step(&k->wire, &err) == 0)
			;
		put_bytes(&k->stream, link_wire_in(&k->wire));
		k->wire.in_at = k->wire.in.len;
	}
}

/* The agent's whole answer, held against what the recorded one gave. */
static void check_stream(const struct scenario *s, const struct answer *k)
{
	static struct ipcap_preamble p;
	struct ipcap_reader r = { 0 };
	struct zframe z = { 0 };
	struct ipcap_frame f;
	uint64_t next, gaps = 0;

	put_bytes(ipcap_reader_room(&r), buf_bytes(&k->stream));
	CHECK_EQ(ipcap_reader_preamble(&r, &p), 0);
	CHECK_EQ(p.n_sources, 1);
	CHECK_EQ(p.sources[0].id, s->source);
	CHECK_EQ(p.sources[0].linktype, s->linktype);
	CHECK_EQ(strlen(p.sources[0].epoch), 16);
	CHECK_EQ(p.resume[0].index, s->from);
	next = s->from;
	while (ipcap_reader_frame(&r, &f) == 0) {
		struct buf flat = { 0 }, records = { 0 };
		struct run run = { .first = f.base };
		struct ipcap_gap g;
		uint32_t count;

		if (f.type == IPCAP_GAP) {
			CHECK_EQ(ipcap_gap_parse(f.payload, &g), 0);
			CHECK_EQ(g.from, s->wanted);
			CHECK_EQ(g.to, s->from);
			gaps++;
		}
		if (f.type != IPCAP_BATCH)
			continue;
		CHECK_EQ(f.base, next);
		if (f.flags & IPCAP_COMPRESSED)
			CHECK_EQ(zframe_unpack(&z, f.payload, &flat,
					       IPCAP_INFLATED_MAX),
				 0);
		else
			put_bytes(&flat, f.payload);
		CHECK_EQ(
			ipcap_batch_records(buf_bytes(&flat), &records, &count),
			0);
		CHECK(count <= IPCAP_BATCH_COUNT); /* I36 */
		CHECK(flat.len <= IPCAP_BATCH_BYTES);
		run.records = buf_bytes(&records);
		check_records(s, &run);
		next += count;
		buf_release(&flat);
		buf_release(&records);
	}
	CHECK_EQ(next, s->head);
	CHECK_EQ(gaps, strcmp(s->name, "d-gap") == 0);
	zframe_release(&z);
	ipcap_reader_release(&r);
}

TEST(X06_I36_a_recorded_ipcap_collector_gets_the_same_packets_from_our_agent)
{
	for (int i = 0; i < SCENARIOS; i++) {
		struct served was = { .known = true };
		struct scenario s;
		struct answer k = { .over = 0 };
		struct err err = ERR_NONE;

		load(&s, scenarios[i]);
		remove_dir(t_path("mirror"));
		remove_dir(t_path("spool"));
		pair_init(&k.p);
		write_input(&s, was.origin);
		k.p.source.id = s.source;
		k.p.agent_cfg.collectors =
			(const uint8_t(*)[NOISE_KEY])k.p.listed;
		if (s.wanted) {
			char print[LINK_FINGERPRINT + 1];

			if (s.epoch_before != s.epoch)
				was.origin[0] ^= 1;
			link_fingerprint(print, k.p.collector_key.public);
			CHECK_OK(memory_put_served(sys_here(), t_path("spool"),
						   s.source, print, &was, &err),
				 &err);
		}
		k.p.agent = link_agent_new(&k.p.agent_cfg, k.p.now);
		link_wire_dial(&k.wire, &k.p.collector_key,
			       (const uint8_t[NOISE_KEY]){ 8 },
			       k.p.agent_key.public, bytes_of(NULL, 0));
		ask(&k);
		put_bytes(&k.wire.plain, s.from_collector);
		CHECK_OK(link_wire_flush(&k.wire, k.p.now, &err), &err);
		ask(&k);
		CHECK_EQ(k.over, 0);
		check_stream(&s, &k);
		link_agent_free(k.p.agent);
		link_wire_release(&k.wire);
		buf_release(&k.stream);
		mirror_close(k.p.mirror);
		unload(&s);
	}
}
