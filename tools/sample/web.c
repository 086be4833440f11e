/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web.c - HTTP/1.1 with its ways of sending a body, and a WebSocket.
 */
#include "sample.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zlib.h>

/* -- bodies ------------------------------------------------------------- */

static void put_page(struct gen *g, struct buf *b)
{
	uint32_t most = below(g, 5) ? 60 : 900;

	put_text(b, "<!doctype html>\n<title>notes</title>\n<ul>\n");
	for (uint32_t n = between(g, 3, most); n; n--) {
		put_text(b, "  <li><a href=\"/note/");
		put_word(g, b, 8);
		put_text(b, "\">");
		put_name_of(g, b);
		put_text(b, "</a> ");
		put_word(g, b, between(g, 5, 60));
		put_text(b, "</li>\n");
	}
	put_text(b, "</ul>\n");
}

static void put_notes(struct gen *g, struct buf *b, bool with_flag)
{
	uint32_t n = between(g, 1, 12);
	uint32_t where = below(g, n);

	put_text(b, "{\"notes\": [");
	for (uint32_t i = 0; i < n; i++) {
		put_text(b, i ? ", {\"by\": \"" : "{\"by\": \"");
		put_name_of(g, b);
		put_text(b, "\", \"text\": \"");
		if (with_flag && i == where)
			put_flag(g, b);
		else
			put_word(g, b, between(g, 8, 120));
		put_text(b, "\"}");
	}
	put_text(b, "]}\n");
}

static void put_gzip(struct buf *out, struct bytes in)
{
	z_stream z = { .next_in = (Bytef *)in.p, .avail_in = (uInt)in.len };
	size_t room = in.len + 1024;
	int rc;

	deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	z.next_out = buf_reserve(out, room);
	z.avail_out = (uInt)room;
	rc = deflate(&z, Z_FINISH);
	assert(rc == Z_STREAM_END);
	buf_added(out, z.total_out);
	deflateEnd(&z);
}

static void put_chunks(struct gen *g, struct buf *out, struct bytes in)
{
	while (in.len) {
		size_t n = between(g, 16, 4096);

		n = n < in.len ? n : in.len;
		put_format(out, "%zx\r\n", n);
		put_bytes(out, bytes_of(in.p, n));
		put_text(out, "\r\n");
		in = bytes_of(in.p + n, in.len - n);
	}
	put_text(out, "0\r\n\r\n");
}

/* -- messages ----------------------------------------------------------- */

static void put_response(struct gen *g, struct buf *out, const char *status,
			 const char *type, struct bytes body)
{
	struct buf packed = { 0 };
	bool gzip = body.len > 200 && below(g, 3) == 0;
	bool chunked = below(g, 3) == 0;

	if (gzip) {
		put_gzip(&packed, body);
		body = buf_bytes(&packed);
	}
	put_format(out, "HTTP/1.1 %s\r\nServer: nginx\r\nContent-Type: %s\r\n",
		   status, type);
	if (gzip)
		put_text(out, "Content-Encoding: gzip\r\n");
	if (chunked) {
		put_text(out, "Transfer-Encoding: chunked\r\n\r\n");
		put_chunks(g, out, body);
	} else {
		put_format(out, "Content-Length: %zu\r\n\r\n", body.len);
		put_bytes(out, body);
	}
	buf_release(&packed);
}

static void put_request_end(struct gen *g, struct buf *out,
			    const struct path *path, struct bytes body)
{
	static const char *const agents[] = { "python-requests/2.31.0",
					      "checker/1.4", "curl/8.5.0",
					      "Mozilla/5.0 (X11; Linux x86_64; "
					      "rv:128.0) Gecko/20100101 "
					      "Firefox/128.0" };

	put_format(out,
		   " HTTP/1.1\r\nHost: notes.team%u.example:%u\r\n"
		   "User-Agent: %s\r\nAccept-Encoding: gzip\r\nAccept: */*\r\n",
		   path->end[1].team, path->port[1], agents[below(g, 4)]);
	put_text(out, "Cookie: session=");
	put_word(g, out, 26);
	put_text(out, "\r\n");
	if (body.len)
		put_format(out,
			   "Content-Type: application/x-www-form-urlencoded\r\n"
			   "Content-Length: %zu\r\n",
			   body.len);
	put_text(out, "\r\n");
	put_bytes(out, body);
}

static void put_get(struct gen *g, struct buf *out, const struct path *path,
		    const char *target)
{
	put_format(out, "GET %s", target);
	if (target[strlen(target) - 1] == '=' || strstr(target, "/note/"))
		put_word(g, out, 8);
	put_request_end(g, out, path, nothing());
}

/* -- what is asked for -------------------------------------------------- */

static void look_at_page(struct conn *c, struct buf *b)
{
	static const char *const pages[] = { "/", "/note/", "/search?q=",
					     "/static/app.js?v=", "/about" };
	struct buf body = { 0 };

	put_get(c->g, b, &c->path, pages[below(c->g, 5)]);
	conn_say_buf(c, 0, b);
	conn_think(c, 30);
	put_page(c->g, &body);
	put_response(c->g, b, "200 OK", "text/html; charset=utf-8",
		     buf_bytes(&body));
	conn_say_buf(c, 1, b);
	buf_release(&body);
}

/* The checker keeps a flag, or somebody finds it. */
static void ask_api(struct conn *c, struct buf *b)
{
	static const char *const ways[] = {
		"/api/notes?user=", "/api/notes?user=%27%20OR%201%3D1--%20&x=",
		"/download?file=..%2F..%2Fdata%2Fnotes&x="
	};
	struct buf body = { 0 };

	put_get(c->g, b, &c->path, ways[below(c->g, 3)]);
	conn_say_buf(c, 0, b);
	conn_think(c, 12);
	put_notes(c->g, &body, below(c->g, 2));
	put_response(c->g, b, "200 OK", "application/json", buf_bytes(&body));
	conn_say_buf(c, 1, b);
	buf_release(&body);
}

static void post_note(struct conn *c, struct buf *b)
{
	struct buf body = { 0 };

	put_text(&body, "user=");
	put_name_of(c->g, &body);
	put_text(&body, "&text=");
	put_flag(c->g, &body);
	put_text(b, "POST /note");
	put_request_end(c->g, b, &c->path, buf_bytes(&body));
	conn_say_buf(c, 0, b);
	conn_think(c, 25);
	put_text(b, "HTTP/1.1 302 Found\r\nServer: nginx\r\nLocation: /note/");
	put_word(c->g, b, 8);
	put_text(b, "\r\nContent-Length: 0\r\n\r\n");
	conn_say_buf(c, 1, b);
	buf_release(&body);
}

static void miss(struct conn *c, struct buf *b)
{
	static const char *const tried[] = { "/admin", "/.git/config", "/.env",
					     "/backup.zip" };

	put_get(c->g, b, &c->path, tried[below(c->g, 4)]);
	conn_say_buf(c, 0, b);
	put_response(c->g, b, "404 Not Found", "text/plain",
		     bytes_of_text("there is nothing here\n"));
	conn_say_buf(c, 1, b);
}

void web_story(struct gen *g, uint64_t at, struct path *path)
{
	static void (*const what[])(struct conn *, struct buf *) = {
		look_at_page, look_at_page, ask_api, ask_api, post_note, miss
	};
	struct conn c;
	struct buf b = { 0 };

	path->port[1] = 8080;
	c = conn_new(g, path, at);
	conn_open(&c);
	for (uint32_t n = between(g, 1, 7); n; n--) {
		what[below(g, 6)](&c, &b);
		conn_think(&c, 900);
	}
	conn_close(&c, below(g, 2) != 0);
	buf_release(&b);
}

/* Several requests in one breath, and all their answers behind. */
void pipelined_story(struct gen *g, uint64_t at, struct path *path)
{
	struct conn c;
	struct buf b = { 0 }, body = { 0 };
	uint32_t n = between(g, 2, 6);

	path->port[1] = 8080;
	c = conn_new(g, path, at);
	conn_open(&c);
	for (uint32_t i = 0; i < n; i++)
		put_get(g, &b, path, "/api/notes?user=");
	conn_say_buf(&c, 0, &b);
	conn_think(&c, 20);
	for (uint32_t i = 0; i < n; i++) {
		put_notes(g, &body, below(g, 3) == 0);
		put_response(g, &b, "200 OK", "application/json",
			     buf_bytes(&body));
		buf_clear(&body);
	}
	conn_say_buf(&c, 1, &b);
	conn_close(&c, 0);
	buf_release(&body);
	buf_release(&b);
}

/* -- WebSocket ---------------------------------------------------------- */

static void put_base64(struct buf *b, struct bytes in)
{
	uint8_t *to = buf_reserve(b, in.len * 2 + 8);

	buf_added(b, (size_t)EVP_EncodeBlock(to, in.p, (int)in.len));
}

static void upgrade(struct conn *c, struct buf *b)
{
	uint8_t sum[SHA_DIGEST_LENGTH];
	struct buf noise = { 0 }, key = { 0 };

	put_noise(c->g, &noise, 16);
	put_base64(&key, buf_bytes(&noise));
	put_format(b,
		   "GET /chat HTTP/1.1\r\nHost: chat.team%u.example:3000\r\n"
		   "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
		   c->path.end[1].team);
	put_bytes(b, buf_bytes(&key));
	put_text(b, "\r\n\r\n");
	conn_say_buf(c, 0, b);

	put_text(&key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	SHA1(key.p, key.len, sum);
	put_text(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		    "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
	put_base64(b, bytes_of(sum, sizeof(sum)));
	put_text(b, "\r\n\r\n");
	conn_say_buf(c, 1, b);
	buf_release(&noise);
	buf_release(&key);
}

enum { WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* What a client sends is masked. */
static void put_ws(struct gen *g, struct buf *b, int from, uint8_t opcode,
		   struct bytes payload)
{
	uint8_t mask = from == 0 ? 0x80 : 0;
	size_t key;

	put_u8(b, 0x80 | opcode);
	if (payload.len < 126) {
		put_u8(b, (uint8_t)(mask | payload.len));
	} else {
		put_u8(b, mask | 126);
		put_be16(b, (uint16_t)payload.len);
	}
	if (!mask) {
		put_bytes(b, payload);
		return;
	}
	key = b->len;
	put_noise(g, b, 4);
	for (size_t i = 0; i < payload.len; i++)
		put_u8(b, payload.p[i] ^ b->p[key + i % 4]);
}

static void chat_line(struct conn *c, struct buf *b, int from)
{
	struct buf line = { 0 };

	put_text(&line, "{\"from\": \"");
	put_name_of(c->g, &line);
	put_text(&line, "\", \"say\": \"");
	if (below(c->g, 6))
		put_word(c->g, &line, between(c->g, 4, 300));
	else
		put_flag(c->g, &line);
	put_text(&line, "\"}");
	put_ws(c->g, b, from, WS_TEXT, buf_bytes(&line));
	conn_say_buf(c, from, b);
	buf_release(&line);
}

void chat_story(struct gen *g, uint64_t at, struct path *path)
{
	struct conn c;
	struct buf b = { 0 };

	path->port[1] = 3000;
	c = conn_new(g, path, at);
	conn_open(&c);
	upgrade(&c, &b);
	for (uint32_t n = between(g, 10, 60); n; n--) {
		conn_think(&c, 1500);
		chat_line(&c, &b, below(g, 3) != 0);
		if (below(g, 10))
			continue;
		put_ws(g, &b, 1, WS_PING, bytes_of_text("are you there"));
		conn_say_buf(&c, 1, &b);
		put_ws(g, &b, 0, WS_PONG, bytes_of_text("are you there"));
		conn_say_buf(&c, 0, &b);
	}
	put_ws(g, &b, 0, WS_CLOSE, bytes_of("\x03\xe8", 2));
	conn_say_buf(&c, 0, &b);
	put_ws(g, &b, 1, WS_CLOSE, bytes_of("\x03\xe8", 2));
	conn_say_buf(&c, 1, &b);
	conn_close(&c, 1);
	buf_release(&b);
}
