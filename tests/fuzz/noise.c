/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody without keys gets in: arbitrary bytes are never a message of the
 * handshake, nor a record; and what is sealed opens to what it was.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct noise_keypair collector, agent;
static uint8_t e_collector[NOISE_KEY], e_agent[NOISE_KEY];
static struct buf first, second;
static struct noise_handshake waiting; /* for message 2 */
static struct noise_transport near, far;

static void must(bool true_)
{
	if (!true_)
		abort();
}

static int read_1(struct noise_handshake *hs, struct bytes message)
{
	int rc;

	noise_respond(hs, &agent, e_agent, bytes_of(NULL, 0));
	rc = noise_read_1(hs, message);
	return rc < 0 ? rc : noise_accept_1(hs, message, NULL);
}

static void begin(void)
{
	struct noise_handshake hs;
	uint8_t key[NOISE_KEY] = { 1 };

	noise_keypair_of(&collector, key);
	key[0] = 2;
	noise_keypair_of(&agent, key);
	e_collector[0] = 3;
	e_agent[0] = 4;
	noise_initiate(&waiting, &collector, e_collector, agent.public,
		       bytes_of(NULL, 0));
	must(noise_write_1(&waiting, bytes_of(NULL, 0), &first) == 0);
	must(read_1(&hs, buf_bytes(&first)) == 0);
	must(noise_write_2(&hs, bytes_of(NULL, 0), &second) == 0);
	noise_split(&hs, &far);
	hs = waiting;
	must(noise_read_2(&hs, buf_bytes(&second), NULL) == 0);
	noise_split(&hs, &near);
}

/* The true message, or the fuzzer's bytes laid over it. */
static struct bytes over(const struct buf *good, struct bytes in,
			 struct buf *out)
{
	size_t n = in.len < good->len ? in.len : good->len;

	put_bytes(out, buf_bytes(good));
	for (size_t i = 0; i < n; i++)
		out->p[i] ^= in.p[i];
	if (in.len > n)
		put_bytes(out, bytes_of(in.p + n, in.len - n));
	return buf_bytes(out);
}

static void fuzz_handshake(struct bytes in, bool raw)
{
	struct noise_handshake hs;
	struct buf b = { 0 };
	struct bytes message = raw ? in : over(&first, in, &b);
	int rc = read_1(&hs, message);

	must((rc == 0) == bytes_equal(message, buf_bytes(&first)));
	noise_handshake_release(&hs);
	buf_clear(&b);
	message = raw ? in : over(&second, in, &b);
	hs = waiting;
	rc = noise_read_2(&hs, message, NULL);
	must((rc == 0) == bytes_equal(message, buf_bytes(&second)));
	noise_handshake_release(&hs);
	buf_release(&b);
}

static void fuzz_stream(struct bytes in)
{
	struct buf plain = { 0 };
	size_t used;
	uint64_t n = far.in.n;

	(void)noise_open(&far.in, in, &used, &plain);
	must(used == 0 && plain.len == 0 && far.in.n == n);
	buf_release(&plain);
}

static void fuzz_round_trip(struct bytes in, uint8_t times)
{
	struct buf bulk = { 0 }, wire = { 0 }, back = { 0 };
	size_t used;

	for (int i = 0; i <= times; i++)
		put_bytes(&bulk, in);
	must(noise_seal(&near.out, buf_bytes(&bulk), &wire) == 0);
	must(wire.len == noise_sealed_size(bulk.len));
	must(noise_open(&far.in, buf_bytes(&wire), &used, &back) == 0);
	must(used == wire.len &&
	     bytes_equal(buf_bytes(&back), buf_bytes(&bulk)));
	buf_release(&bulk);
	buf_release(&wire);
	buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in;

	if (!first.len)
		begin();
	if (!size)
		return 0;
	in = bytes_of(data + 1, size - 1);
	switch (data[0] & 3) {
	case 0:
	case 1:
		fuzz_handshake(in, data[0] & 1);
		break;
	case 2:
		fuzz_stream(in);
		break;
	default:
		fuzz_round_trip(in, data[0] >> 2);
	}
	return 0;
}
