/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/service_rules.h"

#include <strings.h>

#include "base/cursor.h"
#include "codec/decode.h"
#include "codec/dns.h"

enum { TCP = 1, UDP = 2 };

enum { LINE_MAX_BYTES = 1024 };

/* What is asked of each test. */
struct asked {
	struct bytes in;
	struct bytes line; /* the first, if it is text, without its CR LF */
	const char *by_port;
	bool udp;
};

/* -- words ----------------------------------------------------------------- */

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

static bool holds(struct bytes in, const char *text)
{
	return in.len && memmem(in.p, in.len, text, strlen(text)) != NULL;
}

static bool on(const struct asked *a, const char *name)
{
	return strcmp(a->by_port, name) == 0;
}

/* Empty when it is not whole. */
static struct bytes first_line(struct bytes in)
{
	size_t len = in.len < LINE_MAX_BYTES ? in.len : LINE_MAX_BYTES;
	const uint8_t *end;

	if (!len || in.p[0] < ' ' || in.p[0] > '~')
		return bytes_of(in.p, 0);
	end = memchr(in.p, '\r', len);
	if (!end || end + 1 == in.p + in.len || end[1] != '\n')
		return bytes_of(in.p, 0);
	return bytes_of(in.p, (size_t)(end - in.p));
}

static bool is_number(struct bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.p[i] < '0' || in.p[i] > '9')
			return false;
	return in.len > 0;
}

static enum service_who client_if(bool fits)
{
	return fits ? SERVICE_RECEIVER : SERVICE_NOBODY;
}

static enum service_who server_if(bool fits)
{
	return fits ? SERVICE_SENDER : SERVICE_NOBODY;
}

/* -- the web --------------------------------------------------------------- */

static enum service_who http2(const struct asked *a)
{
	return client_if(starts(a->in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
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
	const uint8_t *end = in.p ? memmem(in.p, in.len, "\r\n\r\n", 4) : NULL;

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

static enum service_who websocket(const struct asked *a)
{
	return client_if(is_request(a->in) && asks_for_websocket(a->in));
}

static enum service_who http_request(const struct asked *a)
{
	return client_if(is_request(a->in));
}

static enum service_who http_response(const struct asked *a)
{
	return server_if(starts(a->in, "HTTP/1."));
}

static enum service_who ssdp(const struct asked *a)
{
	static const char *const words[] = { "M-SEARCH * HTTP/1.",
					     "NOTIFY * HTTP/1.", NULL };

	if (starts_with_one(a->in, words))
		return SERVICE_RECEIVER;
	return server_if(on(a, "ssdp") && starts(a->in, "HTTP/1."));
}

/* SIP and RTSP borrowed HTTP's form. */
static enum service_who text_like_http(const struct asked *a,
				       const char *version, const char *scheme)
{
	if (starts(a->in, version))
		return SERVICE_SENDER;
	return client_if(holds(a->line, version) && holds(a->line, scheme));
}

static enum service_who sip(const struct asked *a)
{
	enum service_who who = text_like_http(a, "SIP/2.0", " sip:");

	return who ? who : text_like_http(a, "SIP/2.0", " sips:");
}

static enum service_who rtsp(const struct asked *a)
{
	return text_like_http(a, "RTSP/1.0", " rtsp:");
}

static bool is_tls(struct bytes in)
{
	return in.len >= 5 && in.p[0] >= 0x14 && in.p[0] <= 0x17 &&
	       in.p[1] == 3 && in.p[2] <= 4 && (in.p[3] || in.p[4]) &&
	       in.p[3] <= 0x41;
}

static enum service_who https(const struct asked *a)
{
	return client_if(on(a, "https") && is_tls(a->in));
}

static enum service_who tls(const struct asked *a)
{
	return client_if(is_tls(a->in));
}

static enum service_who dtls(const struct asked *a)
{
	return client_if(a->in.len >= 13 && a->in.p[0] >= 0x14 &&
			 a->in.p[0] <= 0x17 && a->in.p[1] == 0xfe &&
			 (a->in.p[2] == 0xff || a->in.p[2] == 0xfd));
}

/* A long header with a version that exists (RFC 9000, 9369, drafts). */
static enum service_who quic(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint8_t first = get_u8(&c);
	uint32_t version = get_be32(&c);

	skip_bytes(&c, 1);
	return client_if(!c.short_ && (first & 0xc0) == 0xc0 &&
			 (version == 1 || version == 0x6b3343cf ||
			  version >> 8 == 0xff0000 || version >> 24 == 'Q' ||
			  version >> 8 == 0x543035 ||
			  version >> 8 == 0xfaceb0 ||
			  (version & 0x0f0f0f0f) == 0x0a0a0a0a));
}

/* -- shells and databases -------------------------------------------------- */

static enum service_who ssh(const struct asked *a)
{
	return server_if(starts(a->in, "SSH-"));
}

/* RESP; "+OK" and "-ERR" alone could be anybody's. */
static enum service_who redis(const struct asked *a)
{
	struct bytes line = a->line;

	if (line.len < 2)
		return SERVICE_NOBODY;
	if (on(a, "redis") && strchr("+-", line.p[0]))
		return SERVICE_RECEIVER;
	return client_if(line.p[0] && strchr("*$:", line.p[0]) &&
			 is_number(bytes_of(line.p + 1, line.len - 1)));
}

/* A packet of its server: length, number 0, version 10 and a name. */
static enum service_who mysql(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint64_t len = get_le(&c, 3);
	uint8_t number = get_u8(&c), version = get_u8(&c);

	return server_if(!c.short_ && len + 4 <= a->in.len && len >= 20 &&
			 number == 0 && version == 10 &&
			 memchr(c.p, 0, c.len) && c.p[0] >= '0' &&
			 c.p[0] <= '9');
}

static enum service_who postgres(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint32_t len = get_be32(&c), version = get_be32(&c);

	return client_if(!c.short_ && len >= 8 && len <= a->in.len &&
			 (version == 196608 || version == 80877103));
}

static enum service_who mongodb(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint32_t len = get_le32(&c), code;

	skip_bytes(&c, 8);
	code = get_le32(&c);
	return client_if(!c.short_ && len >= 16 && len <= a->in.len + 16384 &&
			 (code == 1 || code == 2001 || code == 2013));
}

static enum service_who memcached(const struct asked *a)
{
	static const char *const asks[] = { "get ",  "gets ", "delete ",
					    "incr ", "decr ", NULL };
	static const char *const puts_[] = { "set ",	"add ",	    "replace ",
					     "append ", "prepend ", NULL };
	struct bytes line = a->line;
	int blanks = 0;

	for (size_t i = 0; i < line.len; i++)
		blanks += line.p[i] == ' ';
	return client_if(starts_with_one(line, asks) ||
			 (starts_with_one(line, puts_) && blanks >= 4));
}

/* A prelogin: type 18, the last packet, its length, and where options lie. */
static enum service_who mssql(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint16_t type = get_be16(&c), len = get_be16(&c);

	skip_bytes(&c, 4);
	return client_if(type == 0x1201 && len == a->in.len &&
			 get_u8(&c) == 0 && get_u8(&c) == 0 && !c.short_);
}

static enum service_who vnc(const struct asked *a)
{
	return server_if(starts(a->in, "RFB 00") && a->in.len >= 12 &&
			 a->in.p[11] == '\n');
}

static enum service_who telnet(const struct asked *a)
{
	return server_if(a->in.len >= 3 && a->in.p[0] == 0xff &&
			 a->in.p[1] >= 0xfb && a->in.p[1] <= 0xfe &&
			 a->in.p[2] < 64);
}

/* A request for a connection inside TPKT and COTP, on the port or with its
 * own words: others use that frame, too. */
static enum service_who rdp(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint16_t version = get_be16(&c), len = get_be16(&c);
	uint8_t header = get_u8(&c), kind = get_u8(&c);
	bool frame = version == 0x0300 && len == a->in.len &&
		     header + 5u == len && !c.short_;

	if (frame && kind == 0xe0 &&
	    (on(a, "rdp") || holds(a->in, "Cookie: mstshash=")))
		return SERVICE_RECEIVER;
	return server_if(frame && kind == 0xd0 && on(a, "rdp"));
}

/* -- files, names and accounts --------------------------------------------- */

/* A session message of NetBIOS around SMB's own mark. */
static enum service_who smb(const struct asked *a)
{
	return client_if(a->in.len >= 8 && a->in.p[0] == 0 &&
			 (a->in.p[4] == 0xff || a->in.p[4] == 0xfe) &&
			 memcmp(a->in.p + 5, "SMB", 3) == 0);
}

/* A session request with two names of 32 letters each. */
static enum service_who netbios(const struct asked *a)
{
	return client_if(a->in.len >= 72 && a->in.p[0] == 0x81 &&
			 a->in.p[1] == 0 && a->in.p[2] == 0 &&
			 a->in.p[3] == 68 && a->in.p[4] == 32);
}

/* Version 5.0 or 5.1, a kind, how numbers are written, the length. */
static enum service_who dcerpc(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint16_t version = get_be16(&c);
	uint8_t kind = get_u8(&c), form;
	uint32_t rest;
	uint16_t len;

	skip_bytes(&c, 1);
	form = get_u8(&c);
	rest = (uint32_t)get_be(&c, 3);
	len = form & 0x10 ? get_le16(&c) : get_be16(&c);
	if (c.short_ || (version & 0xfffe) != 0x0500 || kind > 19 ||
	    form & ~0x10 || rest > 0x030000 || rest & 0xffff || len < 16)
		return SERVICE_NOBODY;
	return kind == 2 || kind == 12 ? SERVICE_SENDER : SERVICE_RECEIVER;
}

/* A call of ONC RPC behind its transaction id; NFS has a program of its own. */
static enum service_who rpc_program(const struct asked *a, bool nfs)
{
	struct cursor c = cursor_on(a->in);
	uint32_t kind, version, program;

	if (!a->udp && !(get_be32(&c) & 0x80000000))
		return SERVICE_NOBODY;
	skip_bytes(&c, 4);
	kind = get_be32(&c);
	version = get_be32(&c);
	program = get_be32(&c);
	return client_if(get_be32(&c) <= 8 && !c.short_ && kind == 0 &&
			 version == 2 && program >= 100000 &&
			 program < 400000 && (program == 100003) == nfs);
}

static enum service_who nfs(const struct asked *a)
{
	return rpc_program(a, true);
}

static enum service_who rpc(const struct asked *a)
{
	return rpc_program(a, false);
}

/* The length behind a DER tag; the rest of the cursor follows it. */
static uint64_t der_length(struct cursor *c)
{
	uint8_t first = get_u8(c);

	return first & 0x80 ? get_be(c, (first & 0x7f) <= 4 ? first & 0x7f : 9)
			    : first;
}

/* One of its messages, as long as it says: tag, length, SEQUENCE. */
static enum service_who kerberos(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint32_t whole = a->udp ? (uint32_t)a->in.len : get_be32(&c);
	uint8_t tag = get_u8(&c);
	uint64_t len = der_length(&c);
	size_t head = (size_t)(c.p - a->in.p) - (a->udp ? 0 : 4);

	if (get_u8(&c) != 0x30 || c.short_ || len + head != whole)
		return SERVICE_NOBODY;
	if (tag == 0x6a || tag == 0x6c) /* AS-REQ, TGS-REQ */
		return SERVICE_RECEIVER;
	return server_if(tag == 0x6b || tag == 0x6d || tag == 0x7e);
}

/* SEQUENCE, a message number, and an operation: bind or search. */
static enum service_who ldap(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint8_t tag = get_u8(&c), op;

	der_length(&c);
	if (tag != 0x30 || get_u8(&c) != 2)
		return SERVICE_NOBODY;
	skip_bytes(&c, get_u8(&c));
	op = get_u8(&c);
	if (c.short_)
		return SERVICE_NOBODY;
	if (op == 0x61 || op == 0x64 || op == 0x65)
		return SERVICE_SENDER;
	return client_if(op == 0x60 || op == 0x63);
}

/* SEQUENCE of a version and, of the first two, a community. */
static enum service_who snmp(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint8_t tag = get_u8(&c), next;
	uint64_t len = der_length(&c);
	bool whole = len == c.len;
	uint16_t type = get_be16(&c);
	uint8_t version = get_u8(&c);

	next = get_u8(&c);
	return client_if(!c.short_ && tag == 0x30 && whole && type == 0x0201 &&
			 ((version <= 1 && next == 4) ||
			  (version == 3 && next == 0x30)));
}

/* A code that is used, its length, and attributes up to just there. */
static enum service_who radius(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint8_t code = get_u8(&c);

	skip_bytes(&c, 1);
	if (get_be16(&c) != a->in.len || (code > 5 && code != 11))
		return SERVICE_NOBODY;
	skip_bytes(&c, 16);
	while (c.len && !c.short_) {
		uint8_t type = get_u8(&c), len = get_u8(&c);

		if (!type || len < 2)
			return SERVICE_NOBODY;
		skip_bytes(&c, len - 2u);
	}
	if (c.short_ || !code)
		return SERVICE_NOBODY;
	return code == 1 || code == 4 ? SERVICE_RECEIVER : SERVICE_SENDER;
}

static enum service_who tftp(const struct asked *a)
{
	static const char *const modes[] = { "octet", "netascii", "mail",
					     NULL };
	struct cursor c = cursor_on(a->in);
	uint16_t op = get_be16(&c);
	const uint8_t *nul = c.len ? memchr(c.p, 0, c.len) : NULL;

	if ((op != 1 && op != 2) || !nul || nul == c.p)
		return SERVICE_NOBODY;
	skip_bytes(&c, (size_t)(nul - c.p) + 1);
	return client_if(starts_with_one(bytes_of(c.p, c.len), modes));
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

/* On a port that is not its own only a message that fits its datagram. */
static enum service_who dns(const struct asked *a)
{
	struct bytes in = a->in;

	if (!a->udp) {
		if (in.len < 14 || (size_t)in.p[0] << 8 > in.len - 2 ||
		    ((size_t)in.p[0] << 8 | in.p[1]) + 2 > in.len)
			return SERVICE_NOBODY;
		in = bytes_of(in.p + 2, in.len - 2);
	} else if (!on(a, "dns") && !dns_looks_like(in)) {
		return SERVICE_NOBODY;
	}
	if (!is_dns_message(in))
		return SERVICE_NOBODY;
	return in.p[2] & 0x80 ? SERVICE_SENDER : SERVICE_RECEIVER;
}

static enum service_who ntp(const struct asked *a)
{
	uint8_t mode, version;

	if (a->in.len != 48 && a->in.len != 68)
		return SERVICE_NOBODY;
	mode = a->in.p[0] & 7;
	version = a->in.p[0] >> 3 & 7;
	if (version < 3 || version > 4)
		return SERVICE_NOBODY;
	return mode == 4 ? SERVICE_SENDER : client_if(mode == 3);
}

/* -- mail, news of machines, calls ----------------------------------------- */

/* "220 " is said by both: FTP on its port. */
static enum service_who smtp(const struct asked *a)
{
	static const char *const words[] = { "EHLO ",	   "HELO ",
					     "MAIL FROM:", "RCPT TO:",
					     "DATA\r\n",   "STARTTLS\r\n",
					     NULL };

	if (on(a, "ftp"))
		return SERVICE_NOBODY;
	return starts(a->in, "220 ") ? SERVICE_SENDER
				     : client_if(starts_with_one(a->in, words));
}

static enum service_who ftp(const struct asked *a)
{
	static const char *const words[] = { "USER ",	 "PASS ",   "SYST\r\n",
					     "FEAT\r\n", "PWD\r\n", "TYPE ",
					     "PASV\r\n", NULL };

	return starts(a->in, "220 ") ? SERVICE_SENDER
				     : client_if(starts_with_one(a->in, words));
}

static enum service_who pop3(const struct asked *a)
{
	return server_if(starts(a->in, "+OK") && on(a, "pop3"));
}

static enum service_who imap(const struct asked *a)
{
	return server_if(starts(a->in, "* OK ") &&
			 (on(a, "imap") || holds(a->line, "IMAP")));
}

static enum service_who xmpp(const struct asked *a)
{
	return client_if(
		starts(a->in, "<stream:stream ") ||
		(starts(a->in, "<?xml ") && holds(a->in, "<stream:stream ")));
}

static enum service_who mqtt(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	bool connect = get_u8(&c) == 0x10;

	while (get_u8(&c) & 0x80)
		;
	return client_if(connect && !c.short_ &&
			 ((c.len >= 6 && memcmp(c.p, "\0\4MQTT", 6) == 0) ||
			  (c.len >= 8 && memcmp(c.p, "\0\6MQIsdp", 8) == 0)));
}

static enum service_who amqp(const struct asked *a)
{
	return client_if(a->in.len >= 8 && starts(a->in, "AMQP") &&
			 a->in.p[4] <= 3);
}

static enum service_who bgp(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	bool marked = get_be64(&c) == UINT64_MAX && get_be64(&c) == UINT64_MAX;
	uint16_t len = get_be16(&c);
	uint8_t type = get_u8(&c);

	return client_if(!c.short_ && marked && len >= 19 && len <= 4096 &&
			 type >= 1 && type <= 5);
}

static enum service_who bittorrent(const struct asked *a)
{
	if (a->udp)
		return client_if(starts(a->in, "d1:ad2:id20:") ||
				 starts(a->in, "d1:rd2:id20:"));
	return client_if(starts(a->in, "\x13"
				       "BitTorrent protocol"));
}

/* The cookie of RFC 5389, and a length that fits. */
static enum service_who stun(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint16_t type = get_be16(&c), len = get_be16(&c);

	if (get_be32(&c) != 0x2112a442 || c.short_ || type >> 14 || len % 4 ||
	    len + 20u != a->in.len)
		return SERVICE_NOBODY;
	return type & 0x0100 ? SERVICE_SENDER : SERVICE_RECEIVER;
}

static enum service_who wireguard(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint32_t type = get_le32(&c);

	if (type == 1 && a->in.len == 148)
		return SERVICE_RECEIVER;
	return server_if(type == 2 && a->in.len == 92);
}

/* -- machines that move things --------------------------------------------- */

static enum service_who modbus(const struct asked *a)
{
	struct cursor c = cursor_on(a->in);
	uint16_t protocol, len;

	skip_bytes(&c, 2);
	protocol = get_be16(&c);
	len = get_be16(&c);
	return client_if(on(a, "modbus") && protocol == 0 && !c.short_ &&
			 len == c.len && len >= 2);
}

static enum service_who s7(const struct asked *a)
{
	return client_if(a->in.len >= 8 && a->in.p[0] == 3 && a->in.p[1] == 0 &&
			 memcmp(a->in.p + 4, "\x02\xf0\x80\x32", 4) == 0);
}

static enum service_who dnp3(const struct asked *a)
{
	return client_if(a->in.len >= 10 && a->in.p[0] == 0x05 &&
			 a->in.p[1] == 0x64 && a->in.p[2] >= 5);
}

static enum service_who iec104(const struct asked *a)
{
	return client_if(on(a, "iec104") && a->in.len >= 6 &&
			 a->in.p[0] == 0x68 && a->in.p[1] >= 4 &&
			 a->in.p[1] <= 253);
}

/* -- the table ------------------------------------------------------------- */

#define KNOWS true /* the port's side is better than a guess */

static const struct {
	enum service_who (*test)(const struct asked *a);
	uint8_t over, confidence;
	bool port_knows_side;
	const char *name, *evidence;
} rules[] = {
	{ http2, TCP | UDP, 99, false, "http2", "http2_preface" },
	{ sip, TCP | UDP, 95, KNOWS, "sip", "sip_text" },
	{ rtsp, TCP, 95, false, "rtsp", "rtsp_text" },
	{ ssdp, UDP, 95, KNOWS, "ssdp", "ssdp_text" },
	{ websocket, TCP | UDP, 99, false, "websocket",
	  "http_websocket_upgrade" },
	{ http_request, TCP | UDP, 98, false, "http", "http_request" },
	{ http_response, TCP | UDP, 98, false, "http", "http_response" },
	{ https, TCP, 98, KNOWS, "https", "https_tls_record" },
	{ tls, TCP, 98, KNOWS, "tls", "tls_record" },
	{ ssh, TCP | UDP, 98, KNOWS, "ssh", "ssh_banner" },
	{ redis, TCP, 96, KNOWS, "redis", "redis_resp" },
	{ mysql, TCP, 94, false, "mysql", "mysql_handshake" },
	{ postgres, TCP, 92, false, "postgres", "postgres_startup" },
	{ mongodb, TCP, 90, KNOWS, "mongodb", "mongodb_wire" },
	{ memcached, TCP | UDP, 90, KNOWS, "memcached", "memcached_ascii" },
	{ smb, TCP, 95, KNOWS, "smb", "smb_header" },
	{ netbios, TCP, 92, KNOWS, "netbios", "netbios_session" },
	{ rdp, TCP, 92, KNOWS, "rdp", "rdp_connection" },
	{ s7, TCP, 92, KNOWS, "s7", "s7_header" },
	{ bgp, TCP, 95, KNOWS, "bgp", "bgp_marker" },
	{ mqtt, TCP, 95, false, "mqtt", "mqtt_connect" },
	{ amqp, TCP, 95, false, "amqp", "amqp_header" },
	{ vnc, TCP, 95, false, "vnc", "vnc_banner" },
	{ mssql, TCP, 92, false, "mssql", "mssql_prelogin" },
	{ bittorrent, TCP | UDP, 92, KNOWS, "bittorrent", "bittorrent" },
	{ xmpp, TCP, 92, KNOWS, "xmpp", "xmpp_stream" },
	{ kerberos, TCP | UDP, 92, false, "kerberos", "kerberos_message" },
	{ dcerpc, TCP, 90, KNOWS, "dcerpc", "dcerpc_header" },
	{ nfs, TCP | UDP, 92, false, "nfs", "rpc_call" },
	{ rpc, TCP | UDP, 90, false, "rpc", "rpc_call" },
	{ dnp3, TCP | UDP, 90, KNOWS, "dnp3", "dnp3_header" },
	{ stun, TCP | UDP, 95, KNOWS, "stun", "stun_cookie" },
	{ dtls, UDP, 92, KNOWS, "dtls", "dtls_record" },
	{ snmp, UDP, 92, KNOWS, "snmp", "snmp_message" },
	{ ldap, TCP | UDP, 90, false, "ldap", "ldap_message" },
	{ radius, UDP, 90, false, "radius", "radius_packet" },
	{ tftp, UDP, 92, false, "tftp", "tftp_request" },
	{ wireguard, UDP, 90, false, "wireguard", "wireguard_handshake" },
	{ dns, TCP | UDP, 91, false, "dns", "dns_header" },
	{ quic, UDP, 91, KNOWS, "quic", "quic_long_header" },
	{ ntp, UDP, 90, KNOWS, "ntp", "ntp_header" },
	{ modbus, TCP, 90, KNOWS, "modbus", "modbus_header" },
	{ iec104, TCP, 90, KNOWS, "iec104", "iec104_header" },
	{ pop3, TCP, 90, KNOWS, "pop3", "pop3_banner" },
	{ imap, TCP, 90, KNOWS, "imap", "imap_banner" },
	{ telnet, TCP, 88, KNOWS, "telnet", "telnet_options" },
	{ smtp, TCP, 88, KNOWS, "smtp", "smtp_text" },
	{ ftp, TCP, 88, KNOWS, "ftp", "ftp_text" },
};

bool service_rule_of(const char *by_port, uint8_t protocol, struct bytes in,
		     struct service_rule *r)
{
	const struct asked a = { in, first_line(in), by_port,
				 protocol == IP_UDP };
	uint8_t over = protocol == IP_TCP ? TCP : protocol == IP_UDP ? UDP : 0;

	if (!in.len)
		return false;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		enum service_who who;

		if (!(rules[i].over & over))
			continue;
		who = rules[i].test(&a);
		if (who == SERVICE_NOBODY)
			continue;
		*r = (struct service_rule){ rules[i].name, rules[i].evidence,
					    who, rules[i].confidence,
					    rules[i].port_knows_side };
		return true;
	}
	return false;
}
