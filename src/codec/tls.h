/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - what TLS says in the clear: hellos, names, certificates, records.
 *
 * RFC 5246 and 8446; JA3 as its authors define it (MD5), JA4 as in FoxIO's
 * description of it (SHA-256, BSD-licensed part).  Handshake messages may span
 * records and records may carry several messages.
 */
#ifndef CODEC_TLS_H
#define CODEC_TLS_H

#include "base/buf.h"
#include "codec/message.h"

enum {
	TLS_LIST_MAX = 128, /* ciphers, extensions, …; more are counted only */
	TLS_NAME_MAX = 256,
	TLS_ALPN_MAX = 8,
	TLS_ALPN_TEXT = 32,
	TLS_JA3 = 33, /* hex and NUL */
	TLS_JA4 = 40,
	TLS_HANDSHAKE_MAX = 128 << 10, /* of one message; a longer one is odd */
	TLS_RECORDS_MAX = 256		/* reported a direction */
};

struct tls_list {
	uint16_t at[TLS_LIST_MAX];
	size_t n;
};

enum tls_hello { TLS_NO_HELLO, TLS_CLIENT_HELLO, TLS_SERVER_HELLO };

/* What one record, and the handshake messages that end in it, tell. */
struct tls_facts {
	uint8_t content_type; /* 20 … 24 */
	uint16_t version;     /* of the record */
	uint32_t length;
	uint8_t handshake_type; /* of its first message that ends here; 0 */
	enum tls_hello hello;
	uint16_t hello_version; /* the highest that a hello offers or takes */
	char sni[TLS_NAME_MAX];
	char alpn[TLS_ALPN_MAX][TLS_ALPN_TEXT];
	size_t n_alpn;
	struct tls_list ciphers; /* of a server hello: the one */
	char ja3[TLS_JA3];	 /* client hello; ja3s of a server hello */
	char ja4[TLS_JA4];
	uint32_t certificates;
	char subject[TLS_NAME_MAX], issuer[TLS_NAME_MAX]; /* of the first */
};

/*
 * A whole ClientHello or ServerHello message, its type byte first.  `quic`
 * only changes JA4's first letter.  0 or ERR_MALFORMED.
 */
int tls_hello_parse(struct bytes message, bool quic, struct tls_facts *facts);

/* Do these bytes begin like a TLS record that begins a handshake? */
bool tls_looks_like(struct bytes start); /* true for a prefix of one, too */

struct tls_way {
	uint64_t next;	      /* offset of the next byte */
	uint64_t start;	      /* of the record being read */
	uint64_t ordinal;
	uint8_t head[5];
	size_t n_head;
	uint32_t left;	      /* of the record's body */
	struct buf bytes;     /* handshake messages, gathered */
	bool encrypted;	      /* handshake records tell no more */
	bool unsure;	      /* by a change of ciphers only: see end_record() */
	bool broken_by_gap;   /* the record being read */
	bool lost;
	const char *error;    /* what is wrong with the record's messages */
	struct tls_facts facts;
};

/* Both directions of a stream; zeroed is ready. */
struct tls_stream {
	struct tls_way way[2];
};

void tls_stream_feed(struct tls_stream *s, int way, uint64_t offset,
		     struct bytes data, const struct message_sink *sink);
/* Bytes up to `to` will never come; only inside a record framing holds. */
void tls_stream_gap(struct tls_stream *s, int way, uint64_t to,
		    const struct message_sink *sink);

/* A direction has ended: a record under way is PARTIAL. */
void tls_stream_end(struct tls_stream *s, int way,
		    const struct message_sink *sink);
void tls_stream_release(struct tls_stream *s);

#endif
