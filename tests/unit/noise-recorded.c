/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes and records that other programs made: the vectors of cacophony
 * and snow, and sessions between two ipcap processes.
 */
#include "t.h"

#include <jansson.h>

#include "base/buf.h"
#include "codec/noise.h"

/* A path in the shared material, or the test is skipped. */
static const char *shared(const char *path)
{
	static char full[1024];

	if (!t_shared())
		t_skip("the shared material is not there");
	snprintf(full, sizeof(full), "%s/%s", t_shared(), path);
	return full;
}

static json_t *load(const char *path)
{
	json_error_t why;
	json_t *all = json_load_file(shared(path), 0, &why);

	if (!all)
		t_skip("the recorded file is not there");
	return all;
}

static struct bytes hex(const json_t *in, const char *key)
{
	const char *digits = json_string_value(json_object_get(in, key));

	CHECK(digits != NULL);
	return t_hex(digits);
}

struct keys {
	struct bytes s_i, e_i, s_r, e_r, prologue;
};

struct ends {
	struct noise_handshake i, r;
	struct noise_transport ti, tr;
	struct noise_keypair s_r;
	struct buf wire, got;
};

static struct ends *begin(const struct keys *k)
{
	static struct ends e;
	struct noise_keypair s_i;

	e = (struct ends){ 0 };
	noise_keypair_of(&s_i, k->s_i.p);
	noise_keypair_of(&e.s_r, k->s_r.p);
	noise_initiate(&e.i, &s_i, k->e_i.p, e.s_r.public, k->prologue);
	noise_respond(&e.r, &e.s_r, k->e_r.p, k->prologue);
	return &e;
}

static void end(struct ends *e)
{
	noise_handshake_release(&e->i);
	noise_handshake_release(&e->r);
	noise_transport_release(&e->ti);
	noise_transport_release(&e->tr);
	buf_release(&e->wire);
	buf_release(&e->got);
}

static void clear(struct ends *e)
{
	buf_clear(&e->wire);
	buf_clear(&e->got);
}

static void shake(struct ends *e, struct bytes payload_1,
		  struct bytes message_1, struct bytes payload_2,
		  struct bytes message_2)
{
	CHECK_EQ(noise_write_1(&e->i, payload_1, &e->wire), 0);
	CHECK_BYTES(buf_bytes(&e->wire), message_1);
	CHECK_EQ(noise_read_1(&e->r, message_1), 0);
	CHECK_EQ(noise_accept_1(&e->r, message_1, &e->got), 0);
	CHECK_BYTES(buf_bytes(&e->got), payload_1);
	clear(e);
	CHECK_EQ(noise_write_2(&e->r, payload_2, &e->wire), 0);
	CHECK_BYTES(buf_bytes(&e->wire), message_2);
	CHECK_EQ(noise_read_2(&e->i, message_2, &e->got), 0);
	CHECK_BYTES(buf_bytes(&e->got), payload_2);
	clear(e);
	noise_split(&e->i, &e->ti);
	noise_split(&e->r, &e->tr);
}

/* `wire` has the length in front, as it goes over TCP. */
static void record(struct ends *e, bool from_i, struct bytes plain,
		   struct bytes wire)
{
	size_t used;

	CHECK_EQ(noise_seal(from_i ? &e->ti.out : &e->tr.out, plain, &e->wire),
		 0);
	CHECK_BYTES(buf_bytes(&e->wire), wire);
	CHECK_EQ(noise_open(from_i ? &e->tr.in : &e->ti.in, wire, &used,
			    &e->got),
		 0);
	CHECK_EQ(used, wire.len);
	CHECK_BYTES(buf_bytes(&e->got), plain);
	clear(e);
}

/* -- cacophony, snow ---------------------------------------------------- */

static void check_vector(const json_t *v)
{
	struct keys k = { hex(v, "init_static"), hex(v, "init_ephemeral"),
			  hex(v, "resp_static"), hex(v, "resp_ephemeral"),
			  hex(v, "init_prologue") };
	struct ends *e = begin(&k);
	json_t *m = json_object_get(v, "messages");
	json_t *first = json_array_get(m, 0), *second = json_array_get(m, 1);

	CHECK_BYTES(bytes_of(e->s_r.public, NOISE_KEY),
		    hex(v, "init_remote_static"));
	shake(e, hex(first, "payload"), hex(first, "ciphertext"),
	      hex(second, "payload"), hex(second, "ciphertext"));
	if (json_object_get(v, "handshake_hash"))
		CHECK_BYTES(bytes_of(e->ti.hash, NOISE_HASH),
			    hex(v, "handshake_hash"));
	for (size_t n = 2; n < json_array_size(m); n++) {
		struct bytes sealed = hex(json_array_get(m, n), "ciphertext");
		struct buf wire = { 0 };

		put_be16(&wire, (uint16_t)sealed.len);
		put_bytes(&wire, sealed);
		record(e, n % 2 == 0, hex(json_array_get(m, n), "payload"),
		       buf_bytes(&wire));
		buf_release(&wire);
	}
	end(e);
}

static void check_vectors(const char *path)
{
	json_t *all = load(path), *v;
	size_t at;
	int found = 0;

	json_array_foreach(json_object_get(all, "vectors"), at, v)
	{
		const char *name =
			json_string_value(json_object_get(v, "protocol_name"));

		if (!name ||
		    strcmp(name, "Noise_IK_25519_ChaChaPoly_SHA256") != 0)
			continue;
		check_vector(v);
		found++;
	}
	CHECK_EQ(found, 1);
	json_decref(all);
}

TEST(I28_the_vectors_of_cacophony_match)
{
	check_vectors("corpus/noise-vectors/cacophony/cacophony.txt");
}

TEST(I28_the_vectors_of_snow_match)
{
	check_vectors("corpus/noise-vectors/snow/snow.txt");
}

/* -- ipcap -------------------------------------------------------------- */

static struct keys ipcap_keys(const json_t *all)
{
	json_t *keys = json_object_get(all, "keys");
	json_t *collector = json_object_get(keys, "collector");
	json_t *agent = json_object_get(keys, "agent");

	return (struct keys){ hex(collector, "static_private"),
			      hex(collector, "ephemeral_private"),
			      hex(agent, "static_private"),
			      hex(agent, "ephemeral_private"),
			      bytes_of(NULL, 0) };
}

/* Behind the two bytes of its length. */
static struct bytes message(struct bytes wire)
{
	return bytes_of(wire.p + 2, wire.len - 2);
}

static void check_ipcap(const json_t *session, const struct keys *k)
{
	json_t *m = json_object_get(session, "messages"), *r;
	json_t *first = json_array_get(m, 0), *second = json_array_get(m, 1);
	struct ends *e = begin(k);
	size_t at;

	shake(e, hex(first, "payload"), message(hex(first, "wire")),
	      hex(second, "payload"), message(hex(second, "wire")));
	CHECK_BYTES(bytes_of(e->ti.hash, NOISE_HASH),
		    hex(session, "handshake_hash"));
	CHECK_BYTES(bytes_of(e->ti.out.k, NOISE_KEY),
		    hex(session, "transport_key_collector_to_agent"));
	CHECK_BYTES(bytes_of(e->tr.out.k, NOISE_KEY),
		    hex(session, "transport_key_agent_to_collector"));
	json_array_foreach(json_object_get(session, "collector_to_agent"), at,
			   r)
	{
		record(e, true, hex(r, "plaintext"), hex(r, "wire"));
	}
	CHECK(at > 0);
	json_array_foreach(json_object_get(session, "agent_to_collector"), at,
			   r)
	{
		record(e, false, hex(r, "plaintext"), hex(r, "wire"));
	}
	CHECK(at > 0);
	end(e);
}

TEST(I28_a_recorded_ipcap_handshake_matches_byte_for_byte)
{
	json_t *all = load("interop/ipcap/noise/handshake.json");
	struct keys k = ipcap_keys(all);

	check_ipcap(all, &k);
	json_decref(all);
}

TEST(I28_a_recorded_ipcap_handshake_with_payloads_matches)
{
	json_t *keys = load("interop/ipcap/noise/handshake.json");
	json_t *all = load("interop/ipcap/noise/payload.json");
	struct keys k = ipcap_keys(keys);

	check_ipcap(json_object_get(all, "transcript"), &k);
	json_decref(all);
	json_decref(keys);
}

/* Open a direction as it crossed TCP, seal it again with the same cuts. */
static void check_long(struct noise_cipher *in, struct noise_cipher *out,
		       struct bytes wire, const json_t *about)
{
	json_t *cuts = json_object_get(about, "record_plaintext_lengths"), *cut;
	struct buf plain = { 0 }, again = { 0 };
	size_t used, at, done = 0;

	CHECK_EQ(noise_open(in, wire, &used, &plain), 0);
	CHECK_EQ(used, wire.len);
	CHECK_EQ(plain.len,
		 json_integer_value(json_object_get(about, "plaintext_bytes")));
	json_array_foreach(cuts, at, cut)
	{
		size_t len = (size_t)json_integer_value(cut);

		CHECK_EQ(noise_seal(out, bytes_of(plain.p + done, len), &again),
			 0);
		done += len;
	}
	CHECK_EQ(done, plain.len);
	CHECK_BYTES(buf_bytes(&again), wire);
	buf_release(&plain);
	buf_release(&again);
}

TEST(I28_a_recorded_ipcap_session_with_a_full_record_matches)
{
	json_t *all = load("interop/ipcap/noise/long.json");
	struct keys k = ipcap_keys(all);
	struct ends *e = begin(&k);
	struct bytes to_agent = t_load(
		shared("interop/ipcap/noise/long-collector-to-agent.wire"));
	struct bytes to_collector = t_load(
		shared("interop/ipcap/noise/long-agent-to-collector.wire"));
	struct bytes none = { 0 };

	shake(e, none, bytes_of(to_agent.p + 2, NOISE_MESSAGE_1), none,
	      bytes_of(to_collector.p + 2, NOISE_MESSAGE_2));
	CHECK_BYTES(bytes_of(e->ti.hash, NOISE_HASH),
		    hex(all, "handshake_hash"));
	check_long(&e->tr.in, &e->ti.out,
		   bytes_of(to_agent.p + 2 + NOISE_MESSAGE_1,
			    to_agent.len - 2 - NOISE_MESSAGE_1),
		   json_object_get(all, "collector_to_agent"));
	check_long(&e->ti.in, &e->tr.out,
		   bytes_of(to_collector.p + 2 + NOISE_MESSAGE_2,
			    to_collector.len - 2 - NOISE_MESSAGE_2),
		   json_object_get(all, "agent_to_collector"));
	end(e);
	json_decref(all);
}
