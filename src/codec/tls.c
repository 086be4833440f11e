/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/tls.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

enum content_type {
	CHANGE_CIPHER = 20,
	ALERT = 21,
	HANDSHAKE = 22,
	APPLICATION = 23,
	HEARTBEAT = 24
};

enum handshake_type {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	CERTIFICATE = 11
};

enum extension {
	EXT_SNI = 0,
	EXT_GROUPS = 10,
	EXT_POINT_FORMATS = 11,
	EXT_SIGNATURES = 13,
	EXT_ALPN = 16,
	EXT_VERSIONS = 43
};

enum { RECORD_MAX = 16384 + 2048, HANDSHAKE_HEAD = 4, DIGEST_MAX = 64 };

/* The parts of a hello that fingerprints are made of. */
struct hello {
	uint16_t version;
	struct tls_list ciphers, extensions, groups, formats, signatures;
	size_t n_extensions; /* without GREASE, all of them */
	bool sni;
	char alpn[3]; /* JA4's two letters for the first protocol */
};

/* RFC 8701: values that mean nothing, put there to keep servers honest. */
static bool is_grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static void add(struct tls_list *list, uint16_t v)
{
	if (!is_grease(v) && list->n < TLS_LIST_MAX)
		list->at[list->n++] = v;
}

static void get_list16(struct bytes in, struct tls_list *list)
{
	struct cursor c = cursor_on(in);

	while (c.len >= 2)
		add(list, get_be16(&c));
}

static void copy_text(char *out, size_t cap, struct bytes in)
{
	size_t n = 0;

	for (; n < in.len && n + 1 < cap; n++)
		out[n] = in.p[n] > 0x20 && in.p[n] < 0x7f ? (char)in.p[n]
							  : '.';
	out[n] = '\0';
}

/* -- extensions ---------------------------------------------------------------- */

static void take_sni(struct bytes in, struct tls_facts *f)
{
	struct cursor c = cursor_on(in);

	skip_bytes(&c, 2);
	if (get_u8(&c) == 0)
		copy_text(f->sni, sizeof(f->sni),
			  get_bytes(&c, get_be16(&c)));
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* First and last byte; when one is no letter or digit, of the hex form. */
static void letters_of_alpn(struct bytes name, char out[3])
{
	uint8_t first = name.len ? name.p[0] : 0;
	uint8_t last = name.len ? name.p[name.len - 1] : 0;

	if (!name.len)
		return;
	if (is_alnum(first) && is_alnum(last))
		snprintf(out, 3, "%c%c", first, last);
	else
		snprintf(out, 3, "%x%x", first >> 4, last & 15);
}

static void take_alpn(struct bytes in, struct hello *h, struct tls_facts *f)
{
	struct cursor c = cursor_on(in);

	skip_bytes(&c, 2);
	while (c.len && !c.short_ && f->n_alpn < TLS_ALPN_MAX) {
		struct bytes name = get_bytes(&c, get_u8(&c));

		if (!f->n_alpn)
			letters_of_alpn(name, h->alpn);
		copy_text(f->alpn[f->n_alpn++], TLS_ALPN_TEXT, name);
	}
}

static void take_versions(struct bytes in, struct tls_facts *f)
{
	struct cursor c = cursor_on(in);

	if (f->hello == TLS_CLIENT_HELLO)
		skip_bytes(&c, 1);
	while (c.len >= 2) {
		uint16_t v = get_be16(&c);

		if (!is_grease(v) && v > f->hello_version)
			f->hello_version = v;
	}
}

static void take_extension(uint16_t type, struct bytes body, struct hello *h,
			   struct tls_facts *f)
{
	struct cursor c = cursor_on(body);

	switch (type) {
	case EXT_SNI:
		h->sni = true;
		take_sni(body, f);
		break;
	case EXT_ALPN:
		take_alpn(body, h, f);
		break;
	case EXT_VERSIONS:
		take_versions(body, f);
		break;
	case EXT_GROUPS:
		get_list16(get_bytes(&c, get_be16(&c)), &h->groups);
		break;
	case EXT_SIGNATURES:
		get_list16(get_bytes(&c, get_be16(&c)), &h->signatures);
		break;
	case EXT_POINT_FORMATS:
		for (uint8_t n = get_u8(&c); n > 0 && c.len; n--)
			add(&h->formats, get_u8(&c));
		break;
	default:
		break;
	}
}

static void take_extensions(struct bytes in, struct hello *h,
			    struct tls_facts *f)
{
	struct cursor c = cursor_on(in);

	while (c.len >= 4) {
		uint16_t type = get_be16(&c);
		struct bytes body = get_bytes(&c, get_be16(&c));

		if (c.short_)
			return;
		if (!is_grease(type))
			h->n_extensions++;
		add(&h->extensions, type);
		take_extension(type, body, h, f);
	}
}

/* -- fingerprints ----------------------------------------------------------------- */

static void digest(const EVP_MD *md, struct bytes in, char *out, size_t cap)
{
	uint8_t sum[DIGEST_MAX];
	unsigned len = 0;

	if (!EVP_Digest(in.p, in.len, sum, &len, md, NULL))
		len = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < len && 2 * i + 2 < cap; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static void put_decimals(struct buf *b, const struct tls_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		put_format(b, "%s%u", i ? "-" : "", list->at[i]);
}

static void ja3(const struct hello *h, bool client, char out[TLS_JA3])
{
	struct buf b = { 0 };

	put_format(&b, "%u,", h->version);
	put_decimals(&b, &h->ciphers);
	put_u8(&b, ',');
	put_decimals(&b, &h->extensions);
	if (client) {
		put_u8(&b, ',');
		put_decimals(&b, &h->groups);
		put_u8(&b, ',');
		put_decimals(&b, &h->formats);
	}
	digest(EVP_md5(), buf_bytes(&b), out, TLS_JA3);
	buf_release(&b);
}

static int by_value(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void put_hexes(struct buf *b, const struct tls_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		put_format(b, "%s%04x", i ? "," : "", list->at[i]);
}

static const char *ja4_version(uint16_t v)
{
	switch (v) {
	case 0x0304:
		return "13";
	case 0x0303:
		return "12";
	case 0x0302:
		return "11";
	case 0x0301:
		return "10";
	case 0x0300:
		return "s3";
	case 0x0002:
		return "s2";
	default:
		return "00";
	}
}

static void ja4(const struct hello *h, const struct tls_facts *f, bool quic,
		char out[TLS_JA4])
{
	struct tls_list ciphers = h->ciphers, extensions = { .n = 0 };
	char one[13] = "000000000000", two[13] = "000000000000";
	struct buf b = { 0 };

	qsort(ciphers.at, ciphers.n, sizeof(*ciphers.at), by_value);
	put_hexes(&b, &ciphers);
	if (ciphers.n)
		digest(EVP_sha256(), buf_bytes(&b), one, sizeof(one));

	for (size_t i = 0; i < h->extensions.n; i++)
		if (h->extensions.at[i] != EXT_SNI &&
		    h->extensions.at[i] != EXT_ALPN)
			add(&extensions, h->extensions.at[i]);
	qsort(extensions.at, extensions.n, sizeof(*extensions.at), by_value);
	buf_clear(&b);
	put_hexes(&b, &extensions);
	if (h->signatures.n) {
		put_u8(&b, '_');
		put_hexes(&b, &h->signatures);
	}
	if (h->n_extensions)
		digest(EVP_sha256(), buf_bytes(&b), two, sizeof(two));
	buf_release(&b);

	snprintf(out, TLS_JA4, "%c%s%c%02zu%02zu%s_%s_%s", quic ? 'q' : 't',
		 ja4_version(f->hello_version), h->sni ? 'd' : 'i',
		 h->ciphers.n < 99 ? h->ciphers.n : (size_t)99,
		 h->n_extensions < 99 ? h->n_extensions : (size_t)99, h->alpn,
		 one, two);
}

/* -- hellos --------------------------------------------------------------------------- */

int tls_hello_parse(struct bytes message, bool quic, struct tls_facts *f)
{
	struct cursor whole = cursor_on(message);
	uint8_t type = get_u8(&whole);
	uint32_t len = (uint32_t)get_be(&whole, 3);
	struct cursor c = cursor_on(get_bytes(&whole, len));
	struct hello h = { .version = get_be16(&c), .alpn = "00" };

	if (whole.short_ || (type != CLIENT_HELLO && type != SERVER_HELLO))
		return ERR_MALFORMED;
	f->hello = type == CLIENT_HELLO ? TLS_CLIENT_HELLO : TLS_SERVER_HELLO;
	f->hello_version = h.version;
	skip_bytes(&c, 32);
	skip_bytes(&c, get_u8(&c)); /* session id */
	if (type == CLIENT_HELLO) {
		get_list16(get_bytes(&c, get_be16(&c)), &h.ciphers);
		skip_bytes(&c, get_u8(&c)); /* compression */
	} else {
		add(&h.ciphers, get_be16(&c));
		skip_bytes(&c, 1);
	}
	if (c.short_)
		return ERR_MALFORMED;
	if (c.len)
		take_extensions(get_bytes(&c, get_be16(&c)), &h, f);
	f->ciphers = h.ciphers;
	ja3(&h, type == CLIENT_HELLO, f->ja3);
	if (type == CLIENT_HELLO)
		ja4(&h, f, quic, f->ja4);
	return 0;
}

static void take_certificates(struct bytes body, struct tls_facts *f)
{
	struct cursor c = cursor_on(body);
	struct cursor list = cursor_on(get_bytes(&c, get_be(&c, 3)));

	while (list.len >= 3) {
		struct bytes der = get_bytes(&list, get_be(&list, 3));
		const unsigned char *p = der.p;
		X509 *x;

		if (list.short_)
			return;
		if (f->certificates++)
			continue;
		x = d2i_X509(NULL, &p, (long)der.len);
		if (!x)
			continue;
		X509_NAME_oneline(X509_get_subject_name(x), f->subject,
				  sizeof(f->subject));
		X509_NAME_oneline(X509_get_issuer_name(x), f->issuer,
				  sizeof(f->issuer));
		X509_free(x);
	}
}

bool tls_looks_like(struct bytes start)
{
	const uint8_t *p = start.p;

	return start.len && p[0] == HANDSHAKE && (start.len < 2 || p[1] == 3) &&
	       (start.len < 3 || p[2] <= 4) &&
	       (start.len < 5 || (p[3] << 8 | p[4]) <= RECORD_MAX) &&
	       (start.len < 6 || p[5] == CLIENT_HELLO || p[5] == SERVER_HELLO);
}

/* -- records --------------------------------------------------------------------------- */

static void take_handshake(struct tls_way *w, struct bytes whole)
{
	uint8_t type = whole.p[0];
	struct bytes body = bytes_of(whole.p + HANDSHAKE_HEAD,
				     whole.len - HANDSHAKE_HEAD);

	if (!w->facts.handshake_type)
		w->facts.handshake_type = type;
	if (type == CERTIFICATE)
		take_certificates(body, &w->facts);
	else if ((type == CLIENT_HELLO || type == SERVER_HELLO) &&
		 tls_hello_parse(whole, false, &w->facts) < 0)
		w->error = "a hello that breaks its format";
}

/* Nothing of the handshake can be read from here on. */
static void close_handshake(struct tls_way *w)
{
	w->encrypted = true;
	w->unsure = false;
	buf_release(&w->bytes);
}

static void take_handshake_messages(struct tls_way *w)
{
	size_t done = 0;

	while (w->bytes.len - done >= HANDSHAKE_HEAD) {
		const uint8_t *p = w->bytes.p + done;
		size_t len = HANDSHAKE_HEAD +
			     ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);

		if (len > TLS_HANDSHAKE_MAX) {
			w->error = "a handshake message over the limit";
			close_handshake(w);
			return;
		}
		if (w->bytes.len - done < len)
			break;
		take_handshake(w, bytes_of(p, len));
		done += len;
	}
	buf_consume(&w->bytes, done);
	if (!w->bytes.len)
		buf_release(&w->bytes);
}

/* Whole messages leave at each record's end, so one and a record fit. */
static void gather(struct tls_way *w, struct bytes data)
{
	if (w->facts.content_type == HANDSHAKE &&
	    (!w->encrypted || w->unsure))
		put_bytes(&w->bytes, data);
}

static const char *content_name(uint8_t type)
{
	switch (type) {
	case CHANGE_CIPHER:
		return "change cipher spec";
	case ALERT:
		return "alert";
	case HANDSHAKE:
		return "handshake";
	case APPLICATION:
		return "application data";
	default:
		return "heartbeat";
	}
}

static void summarise(struct message *m, const struct tls_facts *f)
{
	if (f->hello == TLS_CLIENT_HELLO)
		message_summary(m, "client hello %s", f->sni);
	else if (f->hello == TLS_SERVER_HELLO)
		message_summary(m, "server hello %04x",
				f->ciphers.n ? f->ciphers.at[0] : 0);
	else
		message_summary(m, "%s, %u bytes",
				content_name(f->content_type), f->length);
}

static void report(struct tls_way *w, int way, enum message_status status,
		   const char *error, const struct message_sink *sink)
{
	uint64_t head_end = w->start + w->n_head;
	struct message m = {
		.protocol = MESSAGE_TLS,
		.kind = error ? MESSAGE_ERROR : MESSAGE_RECORD,
		.status = error ? MESSAGE_PARSE_ERROR : status,
		.way = way,
		.ordinal = w->ordinal++,
		.all = { w->start, w->next },
		.head = { w->start, head_end },
		.body = { head_end, w->next },
		.body_bytes = w->next - head_end,
		.error = error,
		.tls = &w->facts,
	};

	if (m.ordinal >= TLS_RECORDS_MAX)
		return;
	if (error)
		message_summary(&m, "%s", error);
	else
		summarise(&m, &w->facts);
	sink->message(sink->self, &m);
}

static bool begin_record(struct tls_way *w)
{
	uint32_t len = (uint32_t)w->head[3] << 8 | w->head[4];

	w->facts = (struct tls_facts){
		.content_type = w->head[0],
		.version = (uint16_t)(w->head[1] << 8 | w->head[2]),
		.length = len,
	};
	w->left = len;
	w->error = NULL;
	w->broken_by_gap = false;
	return w->head[0] >= CHANGE_CIPHER && w->head[0] <= HEARTBEAT &&
	       w->head[1] == 3 && len <= RECORD_MAX;
}

/* Exactly one hello?  What is encrypted looks like that once in 2^32 times. */
static bool is_hello(struct bytes b)
{
	return b.len >= HANDSHAKE_HEAD && b.p[0] == CLIENT_HELLO &&
	       b.p[1] == 0 &&
	       (size_t)(b.p[2] << 8 | b.p[3]) + HANDSHAKE_HEAD == b.len;
}

static void end_record(struct tls_way *w, int way,
		       const struct message_sink *sink)
{
	uint8_t type = w->facts.content_type;

	if (type == HANDSHAKE && w->unsure && !is_hello(buf_bytes(&w->bytes)))
		close_handshake(w);
	if (type == HANDSHAKE && (!w->encrypted || w->unsure))
		take_handshake_messages(w);
	report(w, way, w->broken_by_gap ? MESSAGE_PARTIAL : MESSAGE_COMPLETE,
	       w->error, sink);
	if (type == APPLICATION || type == CHANGE_CIPHER)
		close_handshake(w);
	/*
	 * A client that was asked for another hello changes its ciphers for
	 * show and says hello once more (RFC 8446, D.4): if the next handshake
	 * record is one, it is read.
	 */
	w->unsure = type == CHANGE_CIPHER;
	w->n_head = 0;
}

static void feed_head(struct tls_way *w, int way, struct cursor *c,
		      const struct message_sink *sink)
{
	if (!w->n_head)
		w->start = w->next;
	w->head[w->n_head++] = get_u8(c);
	w->next++;
	if (w->n_head == sizeof(w->head) && !begin_record(w)) {
		w->lost = true;
		report(w, way, MESSAGE_PARSE_ERROR,
		       "no TLS record begins here", sink);
		buf_release(&w->bytes);
	}
}

void tls_stream_feed(struct tls_stream *s, int way, uint64_t offset,
		     struct bytes data, const struct message_sink *sink)
{
	struct tls_way *w = &s->way[way];
	struct cursor c = cursor_on(data);

	if (offset != w->next)
		tls_stream_gap(s, way, offset, sink);
	while (c.len && !w->lost) {
		if (w->n_head < sizeof(w->head)) {
			feed_head(w, way, &c, sink);
			if (w->n_head < sizeof(w->head))
				continue;
		} else {
			size_t n = c.len < w->left ? c.len : w->left;
			struct bytes body = get_bytes(&c, n);

			gather(w, body);
			w->left -= (uint32_t)n;
			w->next += n;
		}
		if (!w->left && !w->lost)
			end_record(w, way, sink);
	}
	w->next = offset + data.len;
}

void tls_stream_gap(struct tls_stream *s, int way, uint64_t to,
		    const struct message_sink *sink)
{
	struct tls_way *w = &s->way[way];
	uint64_t skipped = to - w->next;

	if (w->n_head == sizeof(w->head) && skipped < w->left && !w->lost) {
		w->left -= (uint32_t)skipped;
		w->broken_by_gap = true;
		if (w->facts.content_type == HANDSHAKE)
			close_handshake(w); /* its messages are torn */
	} else {
		tls_stream_end(s, way, sink);
		w->lost = true;
	}
	w->next = to;
}

void tls_stream_end(struct tls_stream *s, int way,
		    const struct message_sink *sink)
{
	struct tls_way *w = &s->way[way];

	if (w->n_head == sizeof(w->head) && !w->lost)
		report(w, way, MESSAGE_PARTIAL, NULL, sink);
	w->n_head = 0;
	buf_release(&w->bytes);
}

void tls_stream_release(struct tls_stream *s)
{
	buf_release(&s->way[0].bytes);
	buf_release(&s->way[1].bytes);
}
