/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/quic.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/cursor.h"
#include "base/err.h"
#include "codec/tls.h"

enum {
	CID_MAX = 20,
	SECRET = 32,
	TAG = 16,
	SAMPLE = 16,
	SAMPLE_AT = 4, /* behind where the packet number begins */
	HANDSHAKE_HEAD = 4,
	HANDSHAKE = 22 /* TLS's content type */
};

enum frame_type {
	PADDING = 0,
	PING = 1,
	ACK = 2,
	ACK_ECN = 3,
	CRYPTO = 6,
	CRYPTO_GOOGLE = 8 /* T050 and T051; nobody else has it in an Initial */
};

/* What the versions differ in.  RFC 9001, RFC 9369 and the drafts. */
struct version {
	uint32_t first, last;
	uint8_t salt[20];
	uint8_t initial; /* the type bits of an Initial packet */
	const char *label;
};

#define SALT_DRAFT_21                                                          \
	{ 0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a,          \
	  0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a }
#define SALT_DRAFT_23                                                          \
	{ 0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,          \
	  0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02 }
#define SALT_DRAFT_29                                                          \
	{ 0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,          \
	  0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99 }
#define SALT_1                                                                 \
	{ 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,          \
	  0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a }
#define SALT_2                                                                 \
	{ 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,          \
	  0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 }
#define SALT_T050                                                              \
	{ 0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80,          \
	  0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10 }
#define SALT_T051                                                              \
	{ 0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50,          \
	  0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d }

static const struct version versions[] = {
	{ 1, 1, SALT_1, 0, "quic" },
	{ 0x6b3343cf, 0x6b3343cf, SALT_2, 1, "quicv2" },
	{ 0xff000015, 0xff000016, SALT_DRAFT_21, 0, "quic" },
	{ 0xff000017, 0xff00001c, SALT_DRAFT_23, 0, "quic" },
	{ 0xff00001d, 0xff000020, SALT_DRAFT_29, 0, "quic" },
	{ 0xff000021, 0xff000022, SALT_1, 0, "quic" },
	{ 0xfaceb001, 0xfaceb001, SALT_DRAFT_21, 0, "quic" },
	{ 0xfaceb002, 0xfaceb002, SALT_DRAFT_23, 0, "quic" },
	{ 0xfaceb00e, 0xfaceb00e, SALT_DRAFT_23, 0, "quic" },
	{ 0xfaceb011, 0xfaceb013, SALT_DRAFT_23, 0, "quic" },
	{ 0x54303530, 0x54303530, SALT_T050, 0, "quic" },
	{ 0x54303531, 0x54303531, SALT_T051, 0, "quic" },
};

/* One that no server may accept, to make it say what it has (RFC 9000, 15). */
static bool is_reserved(uint32_t number)
{
	return (number & 0x0f0f0f0f) == 0x0a0a0a0a;
}

static const struct version *version_of(uint32_t number)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++)
		if (number >= versions[i].first && number <= versions[i].last)
			return &versions[i];
	return NULL;
}

/* -- packets as they lie in a datagram ------------------------------------- */

/* What a version that nobody has may be sealed with. */
enum { VERSION_1 = 1 };
static const uint32_t VERSION_DRAFT_29 = 0xff00001d;

struct packet {
	struct bytes whole; /* header and payload */
	size_t number_at;   /* of the packet number in it */
	uint32_t version;
	struct bytes dcid;
	bool initial;
};

static uint64_t get_varint(struct cursor *c)
{
	uint8_t first = get_u8(c);
	size_t more = (1u << (first >> 6)) - 1;

	return (uint64_t)(first & 0x3f) << (8 * more) | get_be(c, more);
}

/* The next packet with a long header and a length; false: none is here. */
static bool next_packet(struct cursor *c, struct packet *p)
{
	const uint8_t *start = c->p;
	const struct version *v;
	uint8_t first = get_u8(c), type = first >> 4 & 3;
	uint64_t length;

	*p = (struct packet){ .version = get_be32(c) };
	v = version_of(is_reserved(p->version) ? VERSION_1 : p->version);
	if (!(first & 0x80) || !v)
		return false;
	p->dcid = get_bytes(c, get_u8(c));
	skip_bytes(c, get_u8(c));
	/* A Retry, which has no length, goes up to the datagram's end. */
	if (type == (v->initial ? 0 : 3) || p->dcid.len > CID_MAX)
		return false;
	p->initial = type == v->initial;
	if (p->initial)
		skip_bytes(c, get_varint(c)); /* a token */
	length = get_varint(c);
	p->number_at = (size_t)(c->p - start);
	skip_bytes(c, length);
	p->whole = bytes_of(start, (size_t)(c->p - start));
	return !c->short_;
}

bool quic_looks_like(struct bytes datagram)
{
	struct cursor c = cursor_on(datagram);
	struct packet p;

	return datagram.len && (datagram.p[0] & 0xc0) == 0xc0 &&
	       next_packet(&c, &p) && p.initial &&
	       p.whole.len >= p.number_at + SAMPLE_AT + SAMPLE;
}

/* -- keys ------------------------------------------------------------------ */

static void hmac(struct bytes key, struct bytes in, uint8_t out[SECRET])
{
	HMAC(EVP_sha256(), key.p, (int)key.len, in.p, in.len, out, NULL);
}

/* TLS 1.3's expansion for at most one digest's length (RFC 8446, 7.1). */
static void expand(const uint8_t secret[SECRET], const char *what,
		   const char *name, uint8_t *out, size_t len)
{
	uint8_t digest[SECRET];
	char label[32];
	uint8_t info[64];
	int n = snprintf(label, sizeof(label), "tls13 %s%s%s", what,
			 *what ? " " : "", name);
	size_t at = 0;

	info[at++] = 0;
	info[at++] = (uint8_t)len;
	info[at++] = (uint8_t)n;
	memcpy(info + at, label, (size_t)n);
	at += (size_t)n;
	info[at++] = 0; /* no context */
	info[at++] = 1; /* the first and only round */
	hmac(bytes_of(secret, SECRET), bytes_of(info, at), digest);
	memcpy(out, digest, len);
}

int quic_initial_keys(uint32_t version, struct bytes dcid, enum quic_side side,
		      struct quic_keys *keys)
{
	const struct version *v = version_of(version);
	uint8_t initial[SECRET], secret[SECRET];

	if (!v)
		return ERR_UNKNOWN;
	hmac(bytes_of(v->salt, sizeof(v->salt)), dcid, initial);
	expand(initial, "", side == QUIC_CLIENT ? "client in" : "server in",
	       secret, sizeof(secret));
	expand(secret, v->label, "key", keys->key, sizeof(keys->key));
	expand(secret, v->label, "iv", keys->iv, sizeof(keys->iv));
	expand(secret, v->label, "hp", keys->mask, sizeof(keys->mask));
	return 0;
}

/* -- opening a packet ------------------------------------------------------ */

static bool header_mask(const struct quic_keys *k, const uint8_t *sample,
			uint8_t mask[SAMPLE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = ctx &&
		  EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, k->mask,
				     NULL) &&
		  EVP_EncryptUpdate(ctx, mask, &n, sample, SAMPLE);

	EVP_CIPHER_CTX_free(ctx);
	return ok && n == SAMPLE;
}

/* False when the tag is not the one of these keys. */
static bool decrypt(const struct quic_keys *k, uint32_t number,
		    struct bytes header, struct bytes sealed, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t len = sealed.len - TAG;
	uint8_t nonce[12], tag[TAG];
	int n = 0, end = 0;
	bool ok;

	memcpy(nonce, k->iv, sizeof(nonce));
	for (int i = 0; i < 4; i++)
		nonce[11 - i] ^= (uint8_t)(number >> (8 * i));
	memcpy(tag, sealed.p + len, TAG);
	buf_clear(out);
	buf_reserve(out, len + TAG);
	ok = ctx &&
	     EVP_DecryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, k->key, nonce) &&
	     EVP_DecryptUpdate(ctx, NULL, &n, header.p, (int)header.len) &&
	     EVP_DecryptUpdate(ctx, out->p, &n, sealed.p, (int)len) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) &&
	     EVP_DecryptFinal_ex(ctx, out->p + n, &end) > 0;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		buf_added(out, len);
	return ok;
}

/*
 * The frames of a packet into out.  Its number is taken as it stands there:
 * those of a first flight are small enough to be whole.
 */
static bool open_packet(const struct quic_keys *k, const struct packet *p,
			struct buf *out)
{
	uint8_t mask[SAMPLE];
	struct buf header = { 0 };
	uint32_t number = 0;
	size_t number_len, at = p->number_at;
	bool ok = false;

	if (p->whole.len < at + SAMPLE_AT + SAMPLE ||
	    !header_mask(k, p->whole.p + at + SAMPLE_AT, mask))
		return false;
	put_bytes(&header, bytes_of(p->whole.p, at + 4));
	header.p[0] ^= mask[0] & 0x0f;
	number_len = (header.p[0] & 3) + 1u;
	header.len = at + number_len;
	for (size_t i = 0; i < number_len; i++) {
		header.p[at + i] ^= mask[1 + i];
		number = number << 8 | header.p[at + i];
	}
	if (p->whole.len >= header.len + TAG)
		ok = decrypt(k, number, buf_bytes(&header),
			     bytes_of(p->whole.p + header.len,
				      p->whole.len - header.len),
			     out);
	buf_release(&header);
	return ok;
}

/* -- the handshake --------------------------------------------------------- */

/* Take [from, to) in among the pieces; false when there is no room. */
static bool add_piece(struct quic_way *w, uint32_t from, uint32_t to)
{
	size_t i = 0, last;

	while (i < w->n_pieces && w->pieces[i].to < from)
		i++;
	for (last = i; last < w->n_pieces && w->pieces[last].from <= to;
	     last++) {
		if (w->pieces[last].from < from)
			from = w->pieces[last].from;
		if (w->pieces[last].to > to)
			to = w->pieces[last].to;
	}
	if (last == i && w->n_pieces == QUIC_PIECES_MAX)
		return false;
	/* One takes the place of those from i up to `last`. */
	memmove(&w->pieces[i + 1], &w->pieces[last],
		(w->n_pieces - last) * sizeof(*w->pieces));
	w->n_pieces = w->n_pieces - (last - i) + 1;
	w->pieces[i] = (struct quic_piece){ from, to };
	return true;
}

static void take_crypto(struct quic_way *w, uint64_t offset, struct bytes data)
{
	size_t end;

	if (offset > QUIC_CRYPTO_MAX || data.len > QUIC_CRYPTO_MAX - offset ||
	    !data.len)
		return;
	end = (size_t)offset + data.len;
	if (!add_piece(w, (uint32_t)offset, (uint32_t)end))
		return;
	if (w->bytes.len < end)
		put_zeros(&w->bytes, end - w->bytes.len);
	memcpy(w->bytes.p + offset, data.p, data.len);
}

static void skip_ack(struct cursor *c, bool ecn)
{
	uint64_t ranges;

	get_varint(c);
	get_varint(c);
	ranges = get_varint(c);
	get_varint(c);
	for (; ranges > 0 && !c->short_; ranges--) {
		get_varint(c);
		get_varint(c);
	}
	for (int i = 0; ecn && i < 3; i++)
		get_varint(c);
}

/* Frames that an Initial may have, up to one that ends the connection. */
static void take_frames(struct quic_way *w, struct bytes frames)
{
	struct cursor c = cursor_on(frames);

	while (c.len && !c.short_) {
		uint64_t type = get_varint(&c);

		if (type == ACK || type == ACK_ECN) {
			skip_ack(&c, type == ACK_ECN);
		} else if (type == CRYPTO || type == CRYPTO_GOOGLE) {
			uint64_t offset = get_varint(&c);
			struct bytes data = get_bytes(&c, get_varint(&c));

			if (!c.short_)
				take_crypto(w, offset, data);
		} else if (type != PADDING && type != PING) {
			return;
		}
	}
}

/* -- messages -------------------------------------------------------------- */

static void tell(struct quic_way *w, int way, struct message *m,
		 const struct message_sink *sink)
{
	m->protocol = MESSAGE_QUIC;
	m->way = way;
	m->ordinal = w->ordinal++;
	m->all = (struct message_range){ w->start, w->end };
	sink->message(sink->self, m);
	w->done = true;
	buf_release(&w->bytes);
}

static void tell_error(struct quic_way *w, int way, const char *error,
		       const struct message_sink *sink)
{
	struct message m = { .kind = MESSAGE_ERROR,
			     .status = MESSAGE_PARSE_ERROR,
			     .error = error };

	message_summary(&m, "%s", error);
	tell(w, way, &m, sink);
}

static void tell_hello(struct quic_way *w, int way, struct bytes hello,
		       const struct message_sink *sink)
{
	struct tls_facts facts = { .content_type = HANDSHAKE,
				   .version = 0x0303,
				   .length = (uint32_t)hello.len,
				   .handshake_type = hello.p[0] };
	struct message m = { .kind = MESSAGE_RECORD,
			     .status = MESSAGE_COMPLETE,
			     .tls = &facts };

	if (tls_hello_parse(hello, true, &facts) < 0) {
		tell_error(w, way, "a hello that breaks its format", sink);
		return;
	}
	if (facts.hello == TLS_CLIENT_HELLO)
		message_summary(&m, "client hello %s", facts.sni);
	else
		message_summary(&m, "server hello %04x",
				facts.ciphers.n ? facts.ciphers.at[0] : 0);
	tell(w, way, &m, sink);
}

/* Is the first handshake message whole? */
static void look_for_hello(struct quic_way *w, int way,
			   const struct message_sink *sink)
{
	size_t have = w->n_pieces && !w->pieces[0].from ? w->pieces[0].to : 0;
	struct cursor c = cursor_on(bytes_of(w->bytes.p, have));
	size_t len;

	skip_bytes(&c, 1);
	len = HANDSHAKE_HEAD + (size_t)get_be(&c, 3);
	if (c.short_)
		return;
	if (len > QUIC_CRYPTO_MAX)
		tell_error(w, way, "a hello over the limit", sink);
	else if (have >= len)
		tell_hello(w, way, bytes_of(w->bytes.p, len), sink);
}

/* -- datagrams ------------------------------------------------------------- */

/* A client's first packet, or its first after a Retry, leads to its keys. */
static bool open_first(struct quic_stream *s, int way, uint32_t version,
		       const struct packet *p, struct buf *frames)
{
	struct quic_keys keys;

	if (quic_initial_keys(version, p->dcid, QUIC_CLIENT, &keys) < 0 ||
	    !open_packet(&keys, p, frames))
		return false;
	s->keys[QUIC_CLIENT] = keys;
	quic_initial_keys(version, p->dcid, QUIC_SERVER, &s->keys[QUIC_SERVER]);
	s->client = way + 1;
	return true;
}

static bool open_initial(struct quic_stream *s, int way, const struct packet *p,
			 struct buf *frames)
{
	if (s->client && open_packet(&s->keys[s->client != way + 1], p, frames))
		return true;
	if (!is_reserved(p->version))
		return open_first(s, way, p->version, p, frames);
	return open_first(s, way, VERSION_1, p, frames) ||
	       open_first(s, way, VERSION_DRAFT_29, p, frames);
}

void quic_stream_feed(struct quic_stream *s, int way, uint64_t offset,
		      struct bytes datagram, const struct message_sink *sink)
{
	struct quic_way *w = &s->way[way];
	struct cursor c = cursor_on(datagram);
	struct buf frames = { 0 };
	struct packet p;

	while (!w->done && w->tried < QUIC_PACKETS_MAX && c.len &&
	       next_packet(&c, &p)) {
		if (!p.initial)
			continue;
		w->tried++;
		if (!open_initial(s, way, &p, &frames))
			continue;
		if (!w->n_pieces)
			w->start = offset;
		w->end = offset + datagram.len;
		take_frames(w, buf_bytes(&frames));
		look_for_hello(w, way, sink);
	}
	buf_release(&frames);
}

void quic_stream_end(struct quic_stream *s, int way,
		     const struct message_sink *sink)
{
	struct quic_way *w = &s->way[way];
	struct message m = { .kind = MESSAGE_RECORD,
			     .status = MESSAGE_PARTIAL };

	if (w->done || !w->n_pieces)
		return;
	message_summary(&m, "a hello that is cut off");
	tell(w, way, &m, sink);
}

void quic_stream_release(struct quic_stream *s)
{
	buf_release(&s->way[0].bytes);
	buf_release(&s->way[1].bytes);
}

bool quic_stream_done(const struct quic_stream *s)
{
	for (int i = 0; i < 2; i++)
		if (!s->way[i].done && s->way[i].tried < QUIC_PACKETS_MAX)
			return false;
	return true;
}
