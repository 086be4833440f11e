/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/service.h"

#include <strings.h>

#include "base/cursor.h"
#include "codec/decode.h"

enum { TCP = 1, UDP = 2 };

static const struct {
	uint16_t port;
	uint8_t over;
	uint8_t confidence;
	const char *name;
} ports[] = {
	{ 20, TCP, 90, "ftp" },
	{ 21, TCP, 90, "ftp" },
	{ 22, TCP, 95, "ssh" },
	{ 25, TCP, 85, "smtp" },
	{ 53, TCP | UDP, 95, "dns" },
	{ 67, UDP, 85, "dhcp" },
	{ 68, UDP, 85, "dhcp" },
	{ 80, TCP, 90, "http" },
	{ 110, TCP, 85, "pop3" },
	{ 123, UDP, 85, "ntp" },
	{ 137, UDP, 85, "netbios" },
	{ 143, TCP, 85, "imap" },
	{ 443, TCP, 92, "https" },
	{ 443, UDP, 80, "quic" },
	{ 465, TCP, 85, "smtp" },
	{ 587, TCP, 85, "smtp" },
	{ 993, TCP, 85, "imap" },
	{ 995, TCP, 85, "pop3" },
	{ 1900, UDP, 85, "ssdp" },
	{ 3306, TCP, 90, "mysql" },
	{ 3389, TCP, 90, "rdp" },
	{ 5353, UDP, 85, "mdns" },
	{ 5355, UDP, 85, "llmnr" },
	{ 5432, TCP, 90, "postgres" },
	{ 6379, TCP, 90, "redis" },
	{ 8000, TCP, 90, "http" },
	{ 8008, TCP, 90, "http" },
	{ 8080, TCP, 90, "http" },
	{ 8081, TCP, 90, "http" },
	{ 8443, TCP, 92, "https" },
	{ 8443, UDP, 80, "quic" },
	{ 8888, TCP, 90, "http" },
	{ 11211, TCP | UDP, 85, "memcached" },
	{ 27017, TCP, 85, "mongodb" },
};

static const struct service unknown = { "unknown", "none", SERVICE_SIDE_UNKNOWN,
					0, SERVICE_UNKNOWN };

static bool by_port(struct service *s, uint8_t over, uint16_t port,
		    enum service_side side)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		if (ports[i].port != port || !(ports[i].over & over))
			continue;
		*s = (struct service){ ports[i].name, "well_known_port",
				       (uint8_t)side, ports[i].confidence,
				       SERVICE_PORT };
		return true;
	}
	return false;
}

struct service service_of_ports(uint8_t protocol, uint16_t a, uint16_t b)
{
	uint8_t over = protocol == IP_TCP ? TCP : protocol == IP_UDP ? UDP : 0;
	struct service s = unknown;

	if (!by_port(&s, over, a, SERVICE_SIDE_A))
		by_port(&s, over, b, SERVICE_SIDE_B);
	return s;
}

/* -- payload ----------------------------------------------------------------
 */

/* Who serves, seen from the one who sent these bytes. */
enum who { SENDER, RECEIVER };

struct rule {
	const char *name, *evidence;
	enum who who;
	uint8_t confidence;
	bool port_knows_side;
};

static bool starts(struct bytes in, const char *with)
{
	size_t n = strlen(with);

	return in.len >= n && memcmp(in.p, with, n) == 0;
}

static bool starts_any_case(struct bytes in, const char *with)
{
	size_t n = strlen(with);

	return in.len >= n && strncasecmp((const char *)in.p, with, n) == 0;
}

static bool starts_with_one(struct bytes in, const char *const *all)
{
	for (; *all; all++)
		if (starts_any_case(in, *all))
			return true;
	return false;
}

/* The first line without its CR LF; empty when it is not whole. */
static struct bytes first_line(struct bytes in)
{
	const uint8_t *end = in.len ? memmem(in.p, in.len, "\r\n", 2) : NULL;

	return bytes_of(in.p, end ? (size_t)(end - in.p) : 0);
}

static bool is_request(struct bytes in)
{
	static const char *const methods[] = {
		"GET ",	 "POST ",    "PUT ",   "DELETE ", "PATCH ",
		"HEAD ", "OPTIONS ", "TRACE ", "CONNECT "
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (starts(in, methods[i]))
			return true;
	return false;
}

/* "upgrade: …websocket…" among the header lines that are there. */
static bool asks_for_websocket(struct bytes in)
{
	const uint8_t *end = memmem(in.p, in.len, "\r\n\r\n", 4);

	if (end)
		in.len = (size_t)(end - in.p) + 2;
	for (struct bytes line = first_line(in); line.len;
	     line = first_line(in)) {
		if (starts_any_case(line, "upgrade:"))
			for (size_t i = 8; i < line.len; i++)
				if (starts_any_case(
					    bytes_of(line.p + i, line.len - i),
					    "websocket"))
					return true;
		in.p += line.len + 2;
		in.len -= line.len + 2;
	}
	return false;
}

static bool is_tls(struct bytes in)
{
	return in.len >= 5 && in.p[0] >= 0x14 && in.p[0] <= 0x17 &&
	       in.p[1] == 3 && in.p[2] <= 4 && (in.p[3] || in.p[4]) &&
	       in.p[3] <= 0x41;
}

static bool is_number(struct bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.p[i] < '0' || in.p[i] > '9')
			return false;
	return in.len > 0;
}

/* RESP; "+OK" and "-ERR" alone could be anybody's. */
static bool is_redis(struct bytes in, bool by_its_port)
{
	struct bytes line = first_line(in);

	if (line.len < 2)
		return false;
	if (by_its_port && strchr("+-", line.p[0]))
		return true;
	return strchr("*$:", line.p[0]) &&
	       is_number(bytes_of(line.p + 1, line.len - 1));
}

/* A packet of its server: length, number 0, version 10 and a name. */
static bool is_mysql(struct bytes in)
{
	struct cursor c = cursor_on(in);
	uint64_t len = get_le(&c, 3);
	uint8_t number = get_u8(&c), version = get_u8(&c);

	return !c.short_ && len + 4 <= in.len && len >= 20 && number == 0 &&
	       version == 10 && memchr(c.p, 0, c.len) && c.p[0] >= '0' &&
	       c.p[0] <= '9';
}

static bool is_postgres(struct bytes in)
{
	struct cursor c = cursor_on(in);
	uint32_t len = get_be32(&c), version = get_be32(&c);

	return !c.short_ && len >= 8 && len <= in.len &&
	       (version == 196608 || version == 80877103);
}

static bool is_mongodb(struct bytes in)
{
	struct cursor c = cursor_on(in);
	uint32_t len = get_le32(&c), code;

	skip_bytes(&c, 8);
	code = get_le32(&c);
	return !c.short_ && len >= 16 && len <= in.len + 16384 &&
	       (code == 1 || code == 2001 || code == 2013);
}

static bool is_memcached(struct bytes in)
{
	static const char *const asks[] = { "get ",  "gets ", "delete ",
					    "incr ", "decr ", NULL };
	static const char *const puts_[] = { "set ",	"add ",	    "replace ",
					     "append ", "prepend ", NULL };
	struct bytes line = first_line(in);
	int blanks = 0;

	for (size_t i = 0; i < line.len; i++)
		blanks += line.p[i] == ' ';
	return starts_with_one(line, asks) ||
	       (starts_with_one(line, puts_) && blanks >= 4);
}

/* A header with sane counts, and a first question that is one. */
static bool is_dns_message(struct bytes in)
{
	struct cursor c = cursor_on(in);
	uint16_t flags, questions, answers;
	size_t name = 0;
	uint8_t label;

	get_be16(&c);
	flags = get_be16(&c);
	questions = get_be16(&c);
	answers = get_be16(&c);
	skip_bytes(&c, 4);
	if (c.short_ || (flags >> 11 & 15) > 5 || flags & 0x40 ||
	    questions == 0 || questions > 64 || answers > 512)
		return false;
	while ((label = get_u8(&c)) != 0 && label < 64 && name < 255) {
		skip_bytes(&c, label);
		name += label + 1u;
	}
	skip_bytes(&c, 4);
	return !c.short_ && label == 0;
}

static bool is_dns(uint8_t protocol, struct bytes in, struct bytes *message)
{
	*message = in;
	if (protocol == IP_TCP) {
		if (in.len < 14 || (size_t)in.p[0] << 8 > in.len - 2 ||
		    ((size_t)in.p[0] << 8 | in.p[1]) + 2 > in.len)
			return false;
		*message = bytes_of(in.p + 2, in.len - 2);
	} else if (protocol != IP_UDP) {
		return false;
	}
	return is_dns_message(*message);
}

/* A long header with a version that exists (RFC 9000, 9369, drafts). */
static bool is_quic(struct bytes in)
{
	struct cursor c = cursor_on(in);
	uint8_t first = get_u8(&c);
	uint32_t version = get_be32(&c);

	skip_bytes(&c, 1);
	return !c.short_ && (first & 0xc0) == 0xc0 &&
	       (version == 1 || version == 0x6b3343cf ||
		version >> 8 == 0xff0000 || version >> 24 == 'Q' ||
		(version & 0x0f0f0f0f) == 0x0a0a0a0a);
}

static bool is_ntp(struct bytes in)
{
	uint8_t mode, version;

	if (in.len != 48 && in.len != 68)
		return false;
	mode = in.p[0] & 7;
	version = in.p[0] >> 3 & 7;
	return (mode == 3 || mode == 4) && (version == 3 || version == 4);
}

static bool is_smtp(struct bytes in)
{
	static const char *const words[] = { "220 ",	     "EHLO ",
					     "HELO ",	     "MAIL FROM:",
					     "RCPT TO:",     "DATA\r\n",
					     "STARTTLS\r\n", NULL };

	return starts_with_one(in, words);
}

static bool is_ftp(struct bytes in)
{
	static const char *const words[] = { "220 ",	 "USER ",    "PASS ",
					     "SYST\r\n", "FEAT\r\n", "PWD\r\n",
					     "TYPE ",	 "PASV\r\n", NULL };

	return starts_with_one(in, words);
}

static bool http_rule(struct bytes in, struct rule *r)
{
	static const struct rule preface = { "http2", "http2_preface", RECEIVER,
					     99, false };
	static const struct rule websocket = { "websocket",
					       "http_websocket_upgrade",
					       RECEIVER, 99, false };
	static const struct rule request = { "http", "http_request", RECEIVER,
					     98, false };
	static const struct rule response = { "http", "http_response", SENDER,
					      98, false };

	if (starts(in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		*r = preface;
	else if (is_request(in))
		*r = asks_for_websocket(in) ? websocket : request;
	else if (starts(in, "HTTP/1."))
		*r = response;
	else
		return false;
	return true;
}

static bool find_rule(const struct service *now, uint8_t protocol,
		      struct bytes in, struct rule *r)
{
	bool udp = protocol == IP_UDP;
	bool redis_port = strcmp(now->name, "redis") == 0;
	bool https_port = strcmp(now->name, "https") == 0;
	bool ftp_port = strcmp(now->name, "ftp") == 0;
	struct bytes dns;

	if (http_rule(in, r))
		return true;
	if (is_tls(in) && !udp)
		*r = https_port ? (struct rule){ "https", "https_tls_record",
						 RECEIVER, 98, true }
				: (struct rule){ "tls", "tls_record", RECEIVER,
						 98, true };
	else if (starts(in, "SSH-"))
		*r = (struct rule){ "ssh", "ssh_banner", SENDER, 98, true };
	else if (is_redis(in, redis_port) && !udp)
		*r = (struct rule){ "redis", "redis_resp", RECEIVER, 96, true };
	else if (is_mysql(in) && !udp)
		*r = (struct rule){ "mysql", "mysql_handshake", SENDER, 94,
				    false };
	else if (is_postgres(in) && !udp)
		*r = (struct rule){ "postgres", "postgres_startup", RECEIVER,
				    92, false };
	else if (is_mongodb(in) && !udp)
		*r = (struct rule){ "mongodb", "mongodb_wire", RECEIVER, 90,
				    true };
	else if (is_memcached(in))
		*r = (struct rule){ "memcached", "memcached_ascii", RECEIVER,
				    90, true };
	else if (is_dns(protocol, in, &dns))
		*r = (struct rule){ "dns", "dns_header",
				    dns.p[2] & 0x80 ? SENDER : RECEIVER, 91,
				    false };
	else if (udp && is_quic(in))
		*r = (struct rule){ "quic", "quic_long_header", RECEIVER, 91,
				    true };
	else if (udp && is_ntp(in))
		*r = (struct rule){ "ntp", "ntp_header",
				    (in.p[0] & 7) == 4 ? SENDER : RECEIVER, 90,
				    true };
	else if (!udp && !ftp_port && is_smtp(in))
		*r = (struct rule){ "smtp", "smtp_text",
				    starts(in, "220 ") ? SENDER : RECEIVER, 88,
				    true };
	else if (!udp && is_ftp(in))
		*r = (struct rule){ "ftp", "ftp_text",
				    starts(in, "220 ") ? SENDER : RECEIVER, 88,
				    true };
	else
		return false;
	return true;
}

/* mDNS, LLMNR and NetBIOS look like DNS: there the port knows more. */
static bool is_kind_of_dns(const char *name)
{
	return strcmp(name, "mdns") == 0 || strcmp(name, "llmnr") == 0 ||
	       strcmp(name, "netbios") == 0;
}

static bool same_or_finer(const struct service *s, const char *name)
{
	return strcmp(s->name, name) == 0 ||
	       (strcmp(s->name, "https") == 0 && strcmp(name, "tls") == 0);
}

/* Does what the payload says replace the guess that is there? */
static bool is_better(const struct service *s, const struct rule *r)
{
	if (s->source == SERVICE_UNKNOWN)
		return true;
	if (strcmp(r->name, "dns") == 0 && is_kind_of_dns(s->name))
		return false;
	if (s->source == SERVICE_PORT)
		return r->confidence >= 90;
	/* A response that came first says http before the request does. */
	return strcmp(s->name, "http") == 0 &&
	       strcmp(r->name, "websocket") == 0;
}

static uint8_t side_of(const struct service *s, const struct rule *r, int way)
{
	if (r->port_knows_side && s->side != SERVICE_SIDE_UNKNOWN)
		return s->side;
	return (uint8_t)((way == 0) == (r->who == SENDER) ? SERVICE_SIDE_A
							  : SERVICE_SIDE_B);
}

bool service_see(struct service *s, uint8_t protocol, int way,
		 struct bytes head)
{
	struct service was = *s;
	struct rule r;

	if (!head.len || !find_rule(s, protocol, head, &r))
		return false;
	if (same_or_finer(s, r.name)) {
		if (s->source == SERVICE_PORT)
			*s = (struct service){
				s->name, r.evidence, side_of(s, &r, way),
				(uint8_t)(r.confidence + 2 > 100
						  ? 100
						  : r.confidence + 2),
				SERVICE_PORT_AND_PAYLOAD
			};
	} else if (is_better(s, &r)) {
		*s = (struct service){ r.name, r.evidence, side_of(s, &r, way),
				       r.confidence, SERVICE_PAYLOAD };
	}
	return was.name != s->name || was.source != s->source;
}

const char *service_side_name(enum service_side side)
{
	static const char *const names[] = { "a", "b", "unknown" };

	return names[side];
}

const char *service_source_name(enum service_source source)
{
	static const char *const names[] = { "unknown", "port", "payload",
					     "port_and_payload" };

	return names[source];
}
