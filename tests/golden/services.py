#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""services.py STREAMSUM - guesses of services against those of nDPI 4.2.

For each shared capture the truth tells how many flows ndpiReader gave each
label.  Where a label has a name of ours, as many flows as both see count as
agreed.  The two cut flows differently and nDPI guesses by port what it did not
recognise, so this is a measure with a floor, not an equality;
doc/decisions/7-own-service-rules.md has a comparison flow by flow.
"""
import collections
import json
import os
import sys

from streams import run_all

FLOOR = 97  # percent

# nDPI's label: ours; of "A.B" the first that is here
NAMES = {
    'DNS': 'dns', 'DNScrypt': 'dns', 'AVASTSecureDNS': 'dns', 'HTTP': 'http',
    'HTTP_Proxy': 'http', 'HTTP_Connect': 'http', 'TLS': 'tls',
    'LLMNR': 'llmnr', 'MDNS': 'mdns', 'NetBIOS': 'netbios', 'SMBv1': 'smb',
    'SMBv23': 'smb', 'QUIC': 'quic', 'SSH': 'ssh', 'RDP': 'rdp',
    'NTP': 'ntp', 'DHCP': 'dhcp', 'DHCPV6': 'dhcpv6', 'SSDP': 'ssdp',
    'SMTP': 'smtp', 'MongoDB': 'mongodb', 'FTP_CONTROL': 'ftp',
    'PostgreSQL': 'postgres', 'MySQL': 'mysql', 'Redis': 'redis',
    'POP3': 'pop3', 'IMAP': 'imap', 'Memcached': 'memcached',
    'DCE_RPC': 'dcerpc', 'NFS': 'nfs', 'Radius': 'radius', 'STUN': 'stun',
    'Kerberos': 'kerberos', 'SNMP': 'snmp', 'SIP': 'sip', 'DNP3': 'dnp3',
    'MQTT': 'mqtt', 'Modbus': 'modbus', 's7comm': 's7', 'BGP': 'bgp',
    'TFTP': 'tftp', 'BitTorrent': 'bittorrent', 'DTLS': 'dtls', 'VNC': 'vnc',
    'LDAP': 'ldap', 'Telnet': 'telnet', 'IEC60870': 'iec104',
    'Syslog': 'syslog', 'RTSP': 'rtsp', 'Jabber': 'xmpp', 'AMQP': 'amqp',
    'MsSQL-TDS': 'mssql', 'WireGuard': 'wireguard', 'OpenVPN': 'openvpn',
    'SOCKS': 'socks', 'NetFlow': 'netflow', 'sFlow': 'sflow', 'GTP': 'gtp',
    'IRC': 'irc',
}
# Ours, finer than nDPI's.
COARSE = {'https': 'tls', 'websocket': 'http', 'http2': 'http', 'rpc': 'nfs'}


def named(label):
    """("tcp", "smb") of "tcp:NetBIOS.SMBv23"; None when we have no name."""
    over, _, name = label.partition(':')
    parts = name.split('.')
    for part in parts[::-1] if parts[0] == 'NetBIOS' else parts:
        if part in NAMES:
            return over, NAMES[part]
    return None


def main(program):
    corpus = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    table = os.path.join(corpus, 'truth.jsonl')
    if not os.path.exists(table):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    known = agreed = flows = 0
    missed = collections.Counter()
    with open(table, encoding='utf-8') as lines:
        truths = [t for t in map(json.loads, lines) if t.get('ndpi42_flows')]
    for truth, mine in zip(truths, run_all(program, corpus, truths)):
        if mine is None:
            continue
        ours = collections.Counter()
        for service in mine['services']:
            over, _, name = service.partition(':')
            ours[over, COARSE.get(name, name)] += 1
        theirs = collections.Counter()
        for label, n in truth['ndpi42_flows'].items():
            flows += n
            if named(label):
                theirs[named(label)] += n
        known += sum(theirs.values())
        agreed += sum((ours & theirs).values())
        missed.update(theirs - ours)
    percent = 100 * agreed / known if known else 0
    print('1..1')
    print('%sok 1 - R16 services: %d of %d flows as nDPI says (%.1f %%), '
          'which labels %d' % ('' if percent >= FLOOR else 'not ', agreed,
                               known, percent, flows))
    for (over, name), n in missed.most_common(12):
        print('# %s over %s: %d of nDPI, not of Weir' % (name, over, n))
    return percent < FLOOR


sys.exit(main(sys.argv[1]))
