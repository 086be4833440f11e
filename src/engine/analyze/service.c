/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/service.h"

#include "codec/decode.h"
#include "engine/analyze/service_rules.h"

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
	{ 23, TCP, 85, "telnet" },
	{ 25, TCP, 85, "smtp" },
	{ 53, TCP | UDP, 95, "dns" },
	{ 67, UDP, 85, "dhcp" },
	{ 68, UDP, 85, "dhcp" },
	{ 69, UDP, 85, "tftp" },
	{ 80, TCP, 90, "http" },
	{ 88, TCP | UDP, 85, "kerberos" },
	{ 102, TCP, 80, "s7" },
	{ 110, TCP, 85, "pop3" },
	{ 111, TCP | UDP, 85, "rpc" },
	{ 123, UDP, 85, "ntp" },
	{ 135, TCP, 85, "dcerpc" },
	{ 137, UDP, 85, "netbios" },
	{ 138, UDP, 85, "netbios" },
	{ 139, TCP, 85, "netbios" },
	{ 143, TCP, 85, "imap" },
	{ 161, UDP, 85, "snmp" },
	{ 162, UDP, 85, "snmp" },
	{ 179, TCP, 85, "bgp" },
	{ 389, TCP | UDP, 85, "ldap" },
	{ 443, TCP, 92, "https" },
	{ 443, UDP, 80, "quic" },
	{ 445, TCP, 90, "smb" },
	{ 465, TCP, 85, "smtp" },
	{ 502, TCP, 85, "modbus" },
	{ 514, UDP, 85, "syslog" },
	{ 546, UDP, 85, "dhcpv6" },
	{ 547, UDP, 85, "dhcpv6" },
	{ 554, TCP, 85, "rtsp" },
	{ 587, TCP, 85, "smtp" },
	{ 636, TCP, 85, "ldap" },
	{ 993, TCP, 85, "imap" },
	{ 995, TCP, 85, "pop3" },
	{ 1080, TCP, 80, "socks" },
	{ 1194, TCP | UDP, 80, "openvpn" },
	{ 1433, TCP, 85, "mssql" },
	{ 1812, UDP, 85, "radius" },
	{ 1813, UDP, 85, "radius" },
	{ 1883, TCP, 85, "mqtt" },
	{ 1900, UDP, 85, "ssdp" },
	{ 2049, TCP | UDP, 85, "nfs" },
	{ 2055, UDP, 80, "netflow" },
	{ 2123, UDP, 85, "gtp" },
	{ 2152, UDP, 85, "gtp" },
	{ 2404, TCP, 85, "iec104" },
	{ 3306, TCP, 90, "mysql" },
	{ 3389, TCP, 90, "rdp" },
	{ 3478, TCP | UDP, 80, "stun" },
	{ 5060, TCP | UDP, 85, "sip" },
	{ 5222, TCP, 85, "xmpp" },
	{ 5353, UDP, 85, "mdns" },
	{ 5355, UDP, 85, "llmnr" },
	{ 5432, TCP, 90, "postgres" },
	{ 5672, TCP, 85, "amqp" },
	{ 5900, TCP, 85, "vnc" },
	{ 6343, UDP, 85, "sflow" },
	{ 6379, TCP, 90, "redis" },
	{ 6667, TCP, 80, "irc" },
	{ 8000, TCP, 90, "http" },
	{ 8008, TCP, 90, "http" },
	{ 8080, TCP, 90, "http" },
	{ 8081, TCP, 90, "http" },
	{ 8443, TCP, 92, "https" },
	{ 8443, UDP, 80, "quic" },
	{ 8888, TCP, 90, "http" },
	{ 11211, TCP | UDP, 85, "memcached" },
	{ 20000, TCP | UDP, 80, "dnp3" },
	{ 27017, TCP, 85, "mongodb" },
	{ 51820, UDP, 85, "wireguard" },
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
static bool is_better(const struct service *s, const struct service_rule *r)
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

static uint8_t side_of(const struct service *s, const struct service_rule *r,
		       int way)
{
	if (r->port_knows_side && s->side != SERVICE_SIDE_UNKNOWN)
		return s->side;
	return (uint8_t)((way == 0) == (r->who == SERVICE_SENDER)
				 ? SERVICE_SIDE_A
				 : SERVICE_SIDE_B);
}

bool service_see(struct service *s, uint8_t protocol, int way,
		 struct bytes head)
{
	struct service was = *s;
	struct service_rule r;

	if (!service_rule_of(s->name, protocol, head, &r))
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
