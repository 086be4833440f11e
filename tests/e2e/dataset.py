#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dataset.py KIND FILE [...] - captures and events for the tests on sets."""
import ipaddress
import json
import os
import struct
import sys

BASE = 1700000000


def checksum(data):
    if len(data) % 2:
        data += b'\0'
    s = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ip(src, dst, protocol, payload, ttl=64, ident=0):
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 6:
        return struct.pack('>IHBB', 6 << 28, len(payload), protocol, ttl) + \
            a.packed + b.packed + payload
    head = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(payload), ident, 0, ttl,
                       protocol, 0) + a.packed + b.packed
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + payload


def udp(sport, dport, payload=b''):
    return struct.pack('>HHHH', sport, dport, 8 + len(payload), 0) + payload


def tcp(sport, dport, payload=b'', seq=1, flags=0x18):
    return struct.pack('>HHIIBBHHH', sport, dport, seq, 1, 0x50, flags, 1000,
                       0, 0) + payload


def ether(payload, kind=0x0800, src='020000000001', dst='020000000002'):
    return bytes.fromhex(dst) + bytes.fromhex(src) + \
        struct.pack('>H', kind) + payload


class Pcap:
    def __init__(self, path, linktype=1, nano=False):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.f = open(path, 'wb')
        self.unit = 1 if nano else 1000
        self.f.write(struct.pack('<IHHiIII',
                                 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0,
                                 0, 65535, linktype))

    def put(self, ns, data, wire=None):
        self.f.write(struct.pack('<IIII', ns // 10**9,
                                 ns % 10**9 // self.unit, len(data),
                                 wire or len(data)) + data)


def flows(path, seed=1):
    """Some of everything, a packet a millisecond."""
    out = Pcap(path)
    n = 0

    def put(frame):
        nonlocal n
        out.put(BASE * 10**9 + n * 10**6, frame)
        n += 1

    for i in range(int(seed), int(seed) + 40):
        a, b = '10.1.0.%d' % (i % 7 + 1), '10.2.0.%d' % (i % 5 + 1)
        port = (80, 443, 8080)[i % 3]
        put(ether(ip(a, b, 6, tcp(40000 + i % 9, port, b'x' * i))))
        put(ether(ip(b, a, 6, tcp(port, 40000 + i % 9, b'y' * i))))
        put(ether(ip(a, '192.0.2.9', 17, udp(5000 + i, 53, b'q'),
                     ttl=60 + i % 6)))
        put(ether(ip('2001:db8::%x' % i, '2001:db9::1', 6,
                     tcp(1000 + i, 80)), 0x86dd))
        put(ether(ip('10.3.0.1', '10.3.0.2', 1, b'\x08\0\0\0' + bytes(20)),
                  src='0200000000ab'))
        put(ether(bytes(28), 0x0806))
    put(ether(ip('10.1.0.1', '10.2.0.1', 6, tcp(40001, 80, b'first'))))
    put(ether(ip('10.2.0.1', '10.1.0.1', 6, tcp(80, 40001, b'second'))))
    put(ether(ip('10.1.0.2', '10.2.0.5', 17, udp(53, 53, b'equal'))))
    put(ether(ip('10.1.0.2', '10.2.0.5', 17, udp(53, 1053, b'not'))))


def tunnelled(kind, i):
    inner = ip('192.168.7.1', '192.168.7.2', 17, udp(14000, 14001, b'%d' % i))
    frame = ether(inner)
    gre = struct.pack('>HH', 0, 0x0800) + inner
    if kind == 'gre':
        return ether(ip('10.9.0.1', '10.9.0.2', 47, gre))
    if kind == 'erspan':
        head = struct.pack('>HHI', 0x1000, 0x88be, i) + \
            struct.pack('>HHI', 0x1001, 1, 0)
        return ether(ip('10.9.0.1', '10.9.0.2', 47, head + frame))
    if kind == 'vxlan':
        return ether(ip('10.9.0.1', '10.9.0.2', 17,
                        udp(50000, 4789, struct.pack('>II', 0x08000000, 0x700)
                            + frame)))
    # A tunnel in a tunnel.
    outer = ip('10.8.0.1', '10.8.0.2', 47, gre)
    return ether(ip('10.9.0.1', '10.9.0.2', 47,
                    struct.pack('>HH', 0, 0x0800) + outer))


def tunnels(path, kind):
    out = Pcap(path)
    for i in range(5):
        out.put((BASE + i) * 10**9, tunnelled(kind, i))


def doubles(path):
    out = Pcap(path)

    def put(s, src='10.0.0.1', ttl=64):
        out.put((BASE + s) * 10**9,
                ether(ip(src, '10.0.0.9', 17, udp(1, 2, b'same'), ttl)))

    put(0)
    put(1)
    put(1, ttl=63)
    put(2, src='11.0.0.1')
    put(10)


def snapped(path):
    out = Pcap(path)
    frame = ether(ip('10.0.0.1', '10.0.0.2', 17, udp(1, 2, bytes(1458))))
    out.put(BASE * 10**9, frame[:82], len(frame))


def eve(path):
    def event(kind, flow, src, sport, dst, dport, proto):
        return json.dumps({
            'timestamp': '2023-11-14T22:13:20.000000+0000', 'flow_id': flow,
            'event_type': kind, 'src_ip': src, 'src_port': sport,
            'dest_ip': dst, 'dest_port': dport, 'proto': proto,
            'alert': {'signature_id': 1, 'signature': 'x'}})
    a = ('10.1.0.1', 40001, '10.2.0.1', 80, 'TCP')
    with open(path, 'w', encoding='ascii') as f:
        f.write(event('flow', 1, *a) + '\n')
        f.write(event('alert', 1001, *a) + '\n')
        f.write('{"not json\n')
        f.write('{"pad":"' + 'x' * 200000 + '",' +
                event('alert', 1001, *a)[1:] + '\n')
        f.write(event('alert', 1002, '10.1.0.2', 53, '10.2.0.5', 53, 'UDP') +
                '\n')


def suricata(folder):
    """Three files with a flow, one long after it, others of another thread."""
    expected = 0
    for thread in (1, 2):
        for start in (-100, 0, 100, 200, 2000, 3000):
            out = Pcap('%s/pcap.%d.%d' % (folder, thread, BASE + start))
            for i in range(50):
                ns = (BASE + start + i) * 10**9
                out.put(ns, ether(ip('10.7.0.1', '10.7.0.2', 17,
                                     udp(i, 9, b'other'))))
                out.put(ns + 1000, ether(ip(
                    *(('10.1.0.1', '10.2.0.1') if i % 2 else
                      ('10.2.0.1', '10.1.0.1')), 6,
                    tcp(*((40001, 80) if i % 2 else (80, 40001)), b'z'))))
                expected += thread == 1 and 0 <= start <= 200
    with open(folder + '/expected', 'w', encoding='ascii') as f:
        f.write(str(expected))
    with open(folder + '/event.json', 'w', encoding='ascii') as f:
        json.dump({'timestamp': '2023-11-14T22:13:25.000000+0000',
                   'capture_file': 'pcap.1.%d' % BASE, 'src_ip': '10.1.0.1',
                   'src_port': 40001, 'dest_ip': '10.2.0.1', 'dest_port': 80,
                   'proto': 'TCP', 'app_proto': 'http'}, f)


def tunnel_event(path, kind):
    with open(path, 'w', encoding='ascii') as f:
        json.dump({'capture_file': 'pcap.9.1', 'src_ip': '192.168.7.1',
                   'dest_ip': '192.168.7.2', 'src_port': 14000,
                   'dest_port': 14001, 'proto': 'UDP',
                   'tunnel': {'src_ip': '10.9.0.1', 'dest_ip': '10.9.0.2',
                              'src_port': 0, 'dest_port': 0,
                              'proto': kind.upper(), 'depth': 1}}, f)


def mmdb(path):
    """10.1.0.0/16 is AS 64500, in MaxMind's format 2.0 with IPv4 only."""
    bits = [int(b) for b in format(0x0a01, '016b')]
    nodes = len(bits)
    tree = b''
    for i, bit in enumerate(bits):
        nxt = i + 1 if i + 1 < nodes else nodes + 16
        pair = (nodes, nxt) if bit else (nxt, nodes)
        tree += b''.join(struct.pack('>I', v)[1:] for v in pair)

    def text(s):
        return bytes([0x40 | len(s)]) + s if len(s) < 29 else \
            bytes([0x5d, len(s) - 29]) + s

    def number(v, size=4):
        kind = {2: 0xa0, 4: 0xc0}.get(size)
        if size == 8:
            return bytes([8, 2]) + struct.pack('>Q', v)
        return bytes([kind | size]) + v.to_bytes(size, 'big')

    data = b'\xe1' + text(b'autonomous_system_number') + number(64500)
    meta = b'\xe9' + \
        text(b'binary_format_major_version') + number(2, 2) + \
        text(b'binary_format_minor_version') + number(0, 2) + \
        text(b'build_epoch') + number(1, 8) + \
        text(b'database_type') + text(b'Test-ASN') + \
        text(b'description') + b'\xe0' + \
        text(b'ip_version') + number(4, 2) + \
        text(b'languages') + bytes([0, 4]) + \
        text(b'node_count') + number(nodes) + \
        text(b'record_size') + number(24, 2)
    with open(path, 'wb') as f:
        f.write(tree + bytes(16) + data + b'\xab\xcd\xefMaxMind.com' + meta)


def numbered(path, count, gap_us, first_us=0, length=60, tag=0, nano='0'):
    """Frames of 0x88b5 that carry a tag and a number."""
    out = Pcap(path, nano=nano == '1')
    for i in range(int(count)):
        body = struct.pack('>IQ', int(tag), i)
        body += bytes(max(0, int(length) - 14 - len(body)))
        out.put(BASE * 10**9 + int(float(first_us) * 1000) +
                int(i * float(gap_us) * 1000), ether(body, 0x88b5))


if __name__ == '__main__':
    globals()[sys.argv[1].replace('-', '_')](*sys.argv[2:])
