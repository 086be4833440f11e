/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - the encrypted stream under both protocols, without any I/O.
 *
 * Bytes of the network go in by link_wire_take(); each link_wire_step() turns
 * one handshake message or one record of them into plaintext at `in`, or says
 * that more is needed.  Plaintext to send is put into `plain`, and
 * link_wire_flush() makes records of it in `out`, for the network.
 *
 * One record a step, because a frame in it may be the last one that its reader
 * has room for: what is not stepped over stays as it came.
 */
#ifndef ENGINE_LINK_WIRE_H
#define ENGINE_LINK_WIRE_H

#include "base/buf.h"
#include "codec/noise.h"

struct err;

enum {
	LINK_MESSAGE_1_MAX = 4096,
	/* What a record that we send holds at most: nothing of it can be used
	 * before all of it is there, which counts on a slow or broken wire. */
	LINK_RECORD_MAX = 16 << 10,
	LINK_REKEY_RECORDS = 1 << 20
};
#define LINK_REKEY_BYTES (UINT64_C(64) << 30)
#define LINK_REKEY_NS	 UINT64_C(120000000000)

/* What the answering side asks its owner. */
struct link_wire_asks {
	/* Is this collector's key on the list? */
	bool (*allowed)(void *arg, const uint8_t key[NOISE_KEY]);
	/* Append the payload of message 2 for that of message 1; true where
	 * the peer speaks Weir. */
	bool (*answer)(void *arg, struct bytes hello, struct buf *answer);
	void *arg;
};

struct link_wire {
	struct noise_handshake hs;
	struct noise_transport t;
	struct link_wire_asks asks; /* the responder's */
	bool initiator;
	bool open;   /* both messages are done; plaintext may be put */
	bool proven; /* a record of the peer has decrypted */
	bool rekeys; /* Weir: an empty record asks for a new key */
	uint8_t peer[NOISE_KEY]; /* its static key, once `open` */
	struct buf answer;	 /* the initiator: payload of message 2 */

	struct buf raw; /* from the network; before raw_at it is done with */
	size_t raw_at;
	struct buf in; /* plaintext; before in_at it is done with */
	size_t in_at;
	struct buf plain; /* to be sent */
	struct buf out;	  /* for the network; before out_at it has gone */
	size_t out_at;

	uint64_t key_since_ns, key_records, key_bytes; /* of our direction */
	uint64_t rekey_records, rekey_bytes, rekey_ns;
	uint64_t rekeyed_in, rekeyed_out;
	uint64_t records_in;
};

/* Begin; message 1 with `hello` lies in `out`.  Keys are copied. */
void link_wire_dial(struct link_wire *w, const struct noise_keypair *own,
		    const uint8_t e_secret[NOISE_KEY],
		    const uint8_t agent[NOISE_KEY], struct bytes hello);
void link_wire_answer(struct link_wire *w, const struct noise_keypair *own,
		      const uint8_t e_secret[NOISE_KEY],
		      const struct link_wire_asks *asks);
void link_wire_release(struct link_wire *w);

void link_wire_take(struct link_wire *w, struct bytes in);

/*
 * 0: something moved.  ERR_AGAIN: more bytes are needed.  Anything else ends
 * the connection; ERR_AUTH and ERR_MALFORMED tell a stranger nothing.
 */
int link_wire_step(struct link_wire *w, struct err *err);

/* What was put into `plain` becomes records; the clock is for the rekey. */
int link_wire_flush(struct link_wire *w, uint64_t now_ns, struct err *err);

static inline struct bytes link_wire_in(const struct link_wire *w)
{
	return buf_from(&w->in, w->in_at);
}

/* Waiting to go out. */
static inline struct bytes link_wire_out(const struct link_wire *w)
{
	return buf_from(&w->out, w->out_at);
}

/* The network took n bytes. */
void link_wire_sent(struct link_wire *w, size_t n);

#endif
