/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http1.h"

#include <strings.h>

#include "base/err.h"

enum {
	HEADER_MAX = 64 << 10,
	CHUNK_LINE_MAX = 256,
	METHOD_MAX = 32,
	FIRST_LINE_MAX = 8192,
	VERSION_LEN = 8, /* "HTTP/1.1" */
	VERSION_MAX = 16,
	KEEP_MAX = 4096 /* room that an idle direction holds on to */
};

static const char NOT_HTTP[] = "what stands here is no HTTP message";

/* -- heads ----------------------------------------------------------------- */

static bool is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct bytes trimmed(struct bytes b)
{
	while (b.len && (is_blank(b.p[0]) || b.p[0] == '\r' || b.p[0] == '\n'))
		b = bytes_of(b.p + 1, b.len - 1);
	while (b.len && (is_blank(b.p[b.len - 1]) || b.p[b.len - 1] == '\r' ||
			 b.p[b.len - 1] == '\n'))
		b.len--;
	return b;
}

/* Take the next line off the front, without its end. */
static bool next_line(struct bytes *in, struct bytes *line)
{
	const uint8_t *lf = in->len ? memchr(in->p, '\n', in->len) : NULL;
	size_t len;

	if (!lf)
		return false;
	len = (size_t)(lf - in->p);
	*line = bytes_of(in->p, len);
	if (len && line->p[len - 1] == '\r')
		line->len--;
	*in = bytes_of(lf + 1, in->len - len - 1);
	return true;
}

/* There are devices that say "HTTP/1.0.8". */
static bool is_version(struct bytes b)
{
	return b.len >= VERSION_LEN && b.len <= VERSION_MAX &&
	       memcmp(b.p, "HTTP/", 5) == 0 && b.p[5] >= '0' && b.p[5] <= '9' &&
	       b.p[6] == '.' && b.p[7] >= '0' && b.p[7] <= '9';
}

/* The bytes up to the next blank; *in moves behind it. */
static struct bytes word(struct bytes *in)
{
	const uint8_t *blank = in->len ? memchr(in->p, ' ', in->len) : NULL;
	size_t len = blank ? (size_t)(blank - in->p) : in->len;
	struct bytes out = bytes_of(in->p, len);

	*in = blank ? bytes_of(blank + 1, in->len - len - 1)
		    : bytes_of(in->p + len, 0);
	return out;
}

static int status_line(struct bytes line, struct http_head *h)
{
	struct bytes code;

	h->version = word(&line);
	code = word(&line);
	if (!is_version(h->version) || code.len != 3)
		return ERR_MALFORMED;
	for (size_t i = 0; i < 3; i++) {
		if (code.p[i] < '0' || code.p[i] > '9')
			return ERR_MALFORMED;
		h->status = h->status * 10 + (code.p[i] - '0');
	}
	h->reason = line;
	return 0;
}

static int request_line(struct bytes line, struct http_head *h)
{
	const uint8_t *blank;

	h->method = word(&line);
	if (!h->method.len || h->method.len > METHOD_MAX)
		return ERR_MALFORMED;
	for (size_t i = 0; i < h->method.len; i++)
		if (!is_token(h->method.p[i]))
			return ERR_MALFORMED;
	/* A target may hold blanks, although it must not. */
	blank = line.len ? memrchr(line.p, ' ', line.len) : NULL;
	if (!blank)
		return ERR_MALFORMED;
	h->target = trimmed(bytes_of(line.p, (size_t)(blank - line.p)));
	h->version =
		bytes_of(blank + 1, line.len - 1 - (size_t)(blank - line.p));
	if (!is_version(h->version))
		return ERR_MALFORMED;
	return h->target.len ? 0 : ERR_MALFORMED;
}

static int take_field(struct bytes line, struct http_field *f)
{
	const uint8_t *colon = line.len ? memchr(line.p, ':', line.len) : NULL;

	if (!colon || colon == line.p)
		return ERR_MALFORMED;
	f->name = trimmed(bytes_of(line.p, (size_t)(colon - line.p)));
	f->value = trimmed(
		bytes_of(colon + 1, line.len - (size_t)(colon - line.p) - 1));
	return f->name.len ? 0 : ERR_MALFORMED;
}

/* Fields up to the empty line, or to the end of what is there. */
static int take_fields(struct bytes in, struct http_field *fields, size_t cap,
		       size_t *n, size_t *seen)
{
	struct http_field f = { { NULL, 0 }, { NULL, 0 } };
	struct bytes line;

	*n = *seen = 0;
	while (next_line(&in, &line) && line.len) {
		if (is_blank(line.p[0])) { /* goes on from the line before */
			if (*n && *n == *seen) {
				struct bytes *v = &fields[*n - 1].value;
				const uint8_t *from = v->len ? v->p : line.p;

				*v = trimmed(bytes_of(
					from,
					(size_t)(line.p + line.len - from)));
			}
			continue;
		}
		if (take_field(line, &f) < 0)
			return ERR_MALFORMED;
		if (*n < cap)
			fields[(*n)++] = f;
		++*seen;
	}
	return 0;
}

static bool is_name(struct bytes b, const char *name)
{
	return b.len == strlen(name) &&
	       strncasecmp((const char *)b.p, name, b.len) == 0;
}

struct bytes http_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (is_name(h->fields[i].name, name))
			return h->fields[i].value;
	return bytes_of(NULL, 0);
}

struct bytes http_host(const struct http_head *h)
{
	return h->authority.len ? h->authority : http_field(h, "host");
}

/* Is the last of a list of codings "chunked"? */
static bool ends_chunked(struct bytes v)
{
	return v.len >= 7 &&
	       strncasecmp((const char *)v.p + v.len - 7, "chunked", 7) == 0;
}

int http_head_parse(struct bytes in, struct http_head *h)
{
	struct bytes line;
	int rc;

	*h = (struct http_head){ .status = 0 };
	if (!next_line(&in, &line))
		return ERR_MALFORMED;
	rc = line.len >= 5 && memcmp(line.p, "HTTP/", 5) == 0
		     ? status_line(line, h)
		     : request_line(line, h);
	if (rc == 0)
		rc = take_fields(in, h->fields, HTTP_FIELDS_MAX, &h->n_fields,
				 &h->fields_seen);
	if (rc < 0)
		return rc;
	h->chunked = ends_chunked(http_field(h, "transfer-encoding"));
	if (h->status == 101)
		h->upgrade = http_field(h, "upgrade");
	return 0;
}

bool http1_looks_like(struct bytes start)
{
	static const char *const firsts[] = {
		"GET ",	      "POST ",	      "PUT ",	       "HEAD ",
		"DELETE ",    "OPTIONS ",     "PATCH ",	       "CONNECT ",
		"TRACE ",     "HTTP/1.",      "PROPFIND ",     "SEARCH ",
		"NOTIFY ",    "M-SEARCH ",    "REPORT ",       "MKCOL ",
		"COPY ",      "MOVE ",	      "LOCK ",	       "UNLOCK ",
		"PROPPATCH ", "SUBSCRIBE ",   "UNSUBSCRIBE ",  "BIND ",
		"DESCRIBE ",  "RPC_IN_DATA ", "RPC_OUT_DATA ",
	};

	for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		size_t len = strlen(firsts[i]);

		if (start.len < len)
			len = start.len;
		if (len && memcmp(start.p, firsts[i], len) == 0)
			return true;
	}
	return false;
}

bool http1_begins(struct bytes start)
{
	struct http_head h = { .status = 0 };
	struct bytes line;
	size_t method = 0;

	if (start.len > FIRST_LINE_MAX)
		start.len = FIRST_LINE_MAX;
	while (method < start.len && method <= METHOD_MAX &&
	       is_token(start.p[method]))
		method++;
	if (method == start.len ||
	    (start.p[method] != ' ' && start.p[method] != '/') ||
	    !next_line(&start, &line))
		return false;
	if (line.len >= 5 && memcmp(line.p, "HTTP/", 5) == 0
		    ? status_line(line, &h) < 0
		    : request_line(line, &h) < 0)
		return false;
	return h.version.p[5] == '1'; /* HTTP/2's preface looks like one */
}

/* -- messages -------------------------------------------------------------- */

static void describe(struct message *m, const struct http_head *h)
{
	if (h->status)
		message_summary(m, "%u %.*s", h->status, (int)h->reason.len,
				(const char *)h->reason.p);
	else
		message_summary(
			m, "%.*s %.*s", (int)h->method.len,
			(const char *)h->method.p,
			(int)(h->target.len > 200 ? 200 : h->target.len),
			(const char *)h->target.p);
}

/* The message that began at w->start ends at `end`. */
static void report(struct http1_way *w, int way, uint64_t end,
		   enum message_status status, const struct message_sink *sink)
{
	struct http_head head;
	struct message m = {
		.protocol = MESSAGE_HTTP1,
		.status = status,
		.way = way,
		.ordinal = w->ordinal++,
		.all = { w->start, end },
		.head = { w->start, w->head_end },
		.body = { w->head_end, end },
		.body_bytes = w->body_bytes,
		.http = &head,
	};

	if (w->broken_by_gap && status == MESSAGE_COMPLETE)
		m.status = MESSAGE_PARTIAL;
	if (http_head_parse(bytes_of(w->bytes.p, w->head_len), &head) < 0)
		return; /* it parsed once: it does again */
	if (w->state == HTTP1_TRAILERS) {
		size_t seen;

		(void)take_fields(buf_from(&w->bytes, w->head_len),
				  head.trailers, 16, &head.n_trailers, &seen);
	}
	m.kind = head.status ? MESSAGE_RESPONSE : MESSAGE_REQUEST;
	describe(&m, &head);
	sink->message(sink->self, &m);
}

static void forget_bytes(struct http1_way *w)
{
	w->head_len = 0;
	if (w->bytes.cap > KEEP_MAX)
		buf_release(&w->bytes);
	buf_clear(&w->bytes);
}

/* From `from` on it is wrong; a message whose head was good ends there. */
static void report_error(struct http1_way *w, int way, uint64_t from,
			 const char *error, const struct message_sink *sink)
{
	struct message m = {
		.protocol = MESSAGE_HTTP1,
		.kind = MESSAGE_ERROR,
		.status = MESSAGE_PARSE_ERROR,
		.way = way,
		.all = { from, w->next },
		.error = error,
	};

	if (w->in_message)
		report(w, way, from, MESSAGE_PARTIAL, sink);
	m.ordinal = w->ordinal++;
	message_summary(&m, "%s", error);
	sink->message(sink->self, &m);
	w->state = HTTP1_LOST;
	w->in_message = false;
	forget_bytes(w);
}

static void next_message(struct http1_way *w)
{
	w->state = HTTP1_HEAD;
	forget_bytes(w);
	w->body_bytes = 0;
	w->in_message = false;
	w->broken_by_gap = false;
}

static void finish(struct http1_stream *s, int way,
		   const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];

	report(w, way, w->next, MESSAGE_COMPLETE, sink);
	next_message(w);
	if (s->upgraded) {
		w->state = HTTP1_TUNNEL;
		w->tunnel_at = w->next;
	}
}

/* -- what follows a head --------------------------------------------------- */

static int content_length(const struct http_head *h, uint64_t *len)
{
	struct bytes v = http_field(h, "content-length");

	if (!v.len)
		return ERR_UNKNOWN;
	/* Two that differ: each end may believe another one. */
	for (size_t i = 0; i < h->n_fields; i++)
		if (is_name(h->fields[i].name, "content-length") &&
		    !bytes_equal(h->fields[i].value, v))
			return ERR_MALFORMED;
	*len = 0;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9' ||
		    __builtin_mul_overflow(*len, 10u, len) ||
		    __builtin_add_overflow(*len, (unsigned)(v.p[i] - '0'), len))
			return ERR_MALFORMED;
	}
	return *len < INT64_MAX ? 0 : ERR_MALFORMED;
}

static void remember_request(struct http1_stream *s, const struct http_head *h)
{
	char what = is_name(h->method, "HEAD")	    ? 'H'
		    : is_name(h->method, "CONNECT") ? 'C'
						    : '.';

	if (s->n_pending == HTTP_PENDING_MAX) /* the oldest is forgotten */
		memmove(s->pending, s->pending + 1, --s->n_pending);
	s->pending[s->n_pending++] = what;
}

/* Which kind of request does this final response answer? */
static char answered(struct http1_stream *s, uint32_t status)
{
	char what = s->n_pending ? s->pending[0] : '.';

	if (status >= 200 || status == 101) {
		if (s->n_pending)
			memmove(s->pending, s->pending + 1, --s->n_pending);
	}
	return what;
}

static void begin_tunnel(struct http1_stream *s)
{
	s->upgraded = true;
	for (int i = 0; i < 2; i++) {
		struct http1_way *w = &s->way[i];

		/* What came too early to be understood is over. */
		if (w->state == HTTP1_HEAD || w->state == HTTP1_LOST) {
			forget_bytes(w);
			w->state = HTTP1_TUNNEL;
			w->tunnel_at = w->next;
		}
	}
}

/* How the body goes on; 0, or ERR_MALFORMED with *why. */
static int plan_body(struct http1_stream *s, struct http1_way *w,
		     const struct http_head *h, const char **why)
{
	bool response = h->status != 0;
	char to = response ? answered(s, h->status) : '.';
	bool empty = response && (h->status < 200 || h->status == 204 ||
				  h->status == 304 || to == 'H');
	int rc;

	w->left = 0;
	if (!response)
		remember_request(s, h);
	if (empty || (to == 'C' && h->status < 300)) {
		w->state = HTTP1_BODY;
		return 0;
	}
	if (h->chunked) {
		w->state = HTTP1_CHUNK_SIZE;
		return 0;
	}
	rc = content_length(h, &w->left);
	if (rc == ERR_MALFORMED) {
		*why = "a Content-Length that is no single number";
		return rc;
	}
	w->state =
		rc == ERR_UNKNOWN && response ? HTTP1_UNTIL_CLOSE : HTTP1_BODY;
	return 0;
}

static bool opens_tunnel(const struct http1_stream *before,
			 const struct http_head *h)
{
	return h->status == 101 ||
	       (h->status >= 200 && h->status < 300 && before->n_pending &&
		before->pending[0] == 'C');
}

static void end_head(struct http1_stream *s, int way,
		     const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	const char *why = NOT_HTTP;
	struct http_head h;
	bool tunnel;

	if (http_head_parse(buf_bytes(&w->bytes), &h) < 0) {
		report_error(w, way, w->start, why, sink);
		return;
	}
	tunnel = opens_tunnel(s, &h);
	w->head_len = w->bytes.len;
	w->head_end = w->next;
	w->in_message = true;
	if (plan_body(s, w, &h, &why) < 0) {
		report_error(w, way, w->head_end, why, sink);
		return;
	}
	if (w->state == HTTP1_BODY && !w->left)
		finish(s, way, sink);
	if (tunnel)
		begin_tunnel(s);
}

/* -- bytes ----------------------------------------------------------------- */

/* Gather up to and with the next LF; true when it came. */
static bool gather_line(struct http1_way *w, struct bytes *in)
{
	const uint8_t *lf = memchr(in->p, '\n', in->len);
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->len;

	put_bytes(&w->bytes, bytes_of(in->p, n));
	w->next += n;
	*in = bytes_of(in->p + n, in->len - n);
	return lf != NULL;
}

/* Is the line that ends the gathered bytes empty? */
static bool empty_line(const struct http1_way *w, size_t from)
{
	struct bytes b = buf_from(&w->bytes, from);

	return b.len == 1 || (b.len == 2 && b.p[0] == '\r') ||
	       (b.len > 2 && b.p[b.len - 2] == '\n') ||
	       (b.len > 2 && b.p[b.len - 2] == '\r' && b.p[b.len - 3] == '\n');
}

static uint32_t header_max(const struct http1_stream *s)
{
	return s->header_max ? s->header_max : HEADER_MAX;
}

static void feed_head(struct http1_stream *s, int way, struct bytes *in,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	bool whole;

	if (!w->bytes.len) {
		/* Empty lines between messages are nothing (RFC 9112 2.2). */
		while (in->len && (in->p[0] == '\r' || in->p[0] == '\n')) {
			*in = bytes_of(in->p + 1, in->len - 1);
			w->next++;
		}
		if (!in->len)
			return;
		w->start = w->next;
		if (!is_token(in->p[0])) {
			report_error(w, way, w->start, NOT_HTTP, sink);
			return;
		}
	}
	whole = gather_line(w, in);
	if (w->bytes.len > header_max(s))
		report_error(w, way, w->start, "a head longer than the limit",
			     sink);
	else if (whole && empty_line(w, 0))
		end_head(s, way, sink);
}

/* Hex digits, maybe an extension behind a semicolon. */
static int chunk_size(struct bytes line, uint64_t *size)
{
	size_t i = 0;

	*size = 0;
	for (; i < line.len; i++) {
		uint8_t c = line.p[i] | 0x20;
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (line.p[i] < '0' || digit < 0)
			break;
		if (i == 15)
			return ERR_MALFORMED;
		*size = *size << 4 | (unsigned)digit;
	}
	if (i == 0)
		return ERR_MALFORMED;
	return i == line.len || is_blank(line.p[i]) || line.p[i] == ';' ||
			       line.p[i] == '\r' || line.p[i] == '\n'
		       ? 0
		       : ERR_MALFORMED;
}

static void feed_chunk_size(struct http1_stream *s, int way, struct bytes *in,
			    const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	bool whole = gather_line(w, in);
	struct bytes line = buf_from(&w->bytes, w->head_len);

	if (line.len > CHUNK_LINE_MAX ||
	    (whole && chunk_size(line, &w->left) < 0)) {
		report_error(w, way, w->next - line.len,
			     "a chunk size that is no number", sink);
		return;
	}
	if (!whole)
		return;
	w->bytes.len = w->head_len;
	w->state = w->left ? HTTP1_CHUNK_DATA : HTTP1_TRAILERS;
}

static void feed_trailers(struct http1_stream *s, int way, struct bytes *in,
			  const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	bool whole = gather_line(w, in);
	size_t len = w->bytes.len - w->head_len;

	if (len > header_max(s))
		report_error(w, way, w->next - len,
			     "trailers longer than the limit", sink);
	else if (whole && empty_line(w, w->head_len))
		finish(s, way, sink);
}

static void feed_body(struct http1_stream *s, int way, struct bytes *in,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	size_t n = in->len;

	if (w->state != HTTP1_UNTIL_CLOSE && n > w->left)
		n = (size_t)w->left;
	*in = bytes_of(in->p + n, in->len - n);
	w->next += n;
	w->body_bytes += n;
	if (w->state == HTTP1_UNTIL_CLOSE)
		return;
	w->left -= n;
	if (w->left)
		return;
	if (w->state == HTTP1_CHUNK_DATA)
		w->state = HTTP1_CHUNK_END;
	else
		finish(s, way, sink);
}

static void feed_chunk_end(struct http1_stream *s, int way, struct bytes *in,
			   const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	uint8_t c = in->p[0];

	(void)s;
	*in = bytes_of(in->p + 1, in->len - 1);
	w->next++;
	if (c == '\n')
		w->state = HTTP1_CHUNK_SIZE;
	else if (c != '\r')
		report_error(w, way, w->next - 1,
			     "a chunk longer than its size", sink);
}

static void feed_some(struct http1_stream *s, int way, struct bytes *in,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];

	switch (w->state) {
	case HTTP1_HEAD:
		feed_head(s, way, in, sink);
		break;
	case HTTP1_BODY:
	case HTTP1_CHUNK_DATA:
	case HTTP1_UNTIL_CLOSE:
		feed_body(s, way, in, sink);
		break;
	case HTTP1_CHUNK_SIZE:
		feed_chunk_size(s, way, in, sink);
		break;
	case HTTP1_CHUNK_END:
		feed_chunk_end(s, way, in, sink);
		break;
	case HTTP1_TRAILERS:
		feed_trailers(s, way, in, sink);
		break;
	case HTTP1_TUNNEL:
	case HTTP1_LOST:
		break;
	}
}

size_t http1_stream_feed(struct http1_stream *s, int way, uint64_t offset,
			 struct bytes data, const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	struct bytes in = data;

	if (offset != w->next)
		http1_stream_gap(s, way, offset, sink);
	/* Each slice is a chance to find the thread again. */
	if (w->state == HTTP1_LOST && data.len > 8 && http1_looks_like(data))
		next_message(w);
	while (in.len && w->state != HTTP1_TUNNEL && w->state != HTTP1_LOST) {
		feed_some(s, way, &in, sink);
		/* So is what stands right behind what was wrong. */
		if (w->state == HTTP1_LOST && http1_begins(in))
			next_message(w);
	}
	if (w->state == HTTP1_TUNNEL)
		return data.len - in.len;
	w->next = offset + data.len;
	return data.len;
}

/* What is under way will not be whole. */
static void break_off(struct http1_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];

	if (w->in_message)
		report(w, way, w->next, MESSAGE_PARTIAL, sink);
	w->state = HTTP1_LOST;
	w->in_message = false;
	forget_bytes(w);
	/* Which answer belongs to which request, nobody knows now. */
	s->n_pending = 0;
}

void http1_stream_gap(struct http1_stream *s, int way, uint64_t to,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];
	uint64_t skipped = to - w->next;

	if (w->state == HTTP1_UNTIL_CLOSE ||
	    ((w->state == HTTP1_BODY || w->state == HTTP1_CHUNK_DATA) &&
	     skipped < w->left)) {
		w->broken_by_gap = true;
		w->left -= w->state == HTTP1_UNTIL_CLOSE ? 0 : skipped;
	} else if (w->state != HTTP1_TUNNEL) {
		break_off(s, way, sink);
	}
	w->next = to;
}

void http1_stream_end(struct http1_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http1_way *w = &s->way[way];

	if (w->in_message)
		report(w, way, w->next,
		       w->state == HTTP1_UNTIL_CLOSE ? MESSAGE_COMPLETE
						     : MESSAGE_PARTIAL,
		       sink);
	else if (w->state == HTTP1_HEAD && w->bytes.len)
		report_error(w, way, w->start, "the stream ended inside a head",
			     sink);
	next_message(w);
}

void http1_stream_release(struct http1_stream *s)
{
	buf_release(&s->way[0].bytes);
	buf_release(&s->way[1].bytes);
}
