#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streams.py STREAMSUM - streams and messages against what tshark saw, in TAP.

Every TCP stream of every shared capture that the truth calls clean must be
byte-identical in both directions, and whatever tshark saw of HTTP requests,
names in DNS queries, server names (over TLS and QUIC), JA3 and WebSocket, Weir
must have seen; the other way round not, because tshark knows protocols by their
ports first.  The JA4 that FoxIO's own tool computed must be among Weir's.

Captures where that cannot be are listed with the reason; one that is listed
and has become equal fails as well, so that the tables stay true.
"""
import collections
import hashlib
import json
import os
import re
import subprocess
import sys

# capture: why tshark sees streams there that Weir does not
LINK = 'link type that Weir does not decode'
TUNNEL = 'tunnel that Weir does not open'
BROKEN = 'a TCP header whose length field is wrong; no host takes it'
KEYS = 'inside TLS: tshark decrypts it with the keys in the file'
WIREGUARD = 'WireGuard: tshark decrypts it with the keys in the file'
QUOTED = 'a datagram quoted in an ICMP error'
BLANKS = 'a target with blanks in it or before it, which tshark cuts there'
EXPLAINED = {
    'arkime/pcap/80211http.pcap': LINK,
    'arkime/pcap/gre-erspan-vxlan.pcap': TUNNEL,
    'libpcap/tests/filter/AH-IPcomp-IPv4.pcap':
        'IPComp: tshark inflates it',
    'libpcap/tests/filter/AH-IPcomp-IPv6.pcap':
        'IPComp: tshark inflates it',
    'ndpi/default/pcap/ip_fragmented_garbage.pcap':
        'fragments that overlap: a Linux host drops these datagrams',
    'ndpi/default/pcap/kerberos_fuzz.pcapng': BROKEN,
    'ndpi/default/pcap/tls_invalid_reads.pcap': BROKEN,
    'pcapplusplus/ExamplesTest/pcap_examples/solaris.snoop':
        'snoop is no capture format of ours',
    'pcapplusplus/Packet++Test/PacketExamples/gtp.pcap': TUNNEL,
    'snort3-demo/tests/codecs/teredo/teredo.pcap': TUNNEL,
    'suricata-verify/drop-protocol-change/input.pcap': BROKEN,
    'tcpdump/tests/beep-oobr.pcap': BROKEN,
    'tcpdump/tests/tcp-auth-heapoverflow.pcap': BROKEN,
    'wireshark-wiki/cmp-trace.pcap.gz': LINK,
    'wireshark-wiki/dns-remoteshell.pcap': LINK,
    'wireshark/captures/wireguard-ping-tcp-dsb.pcapng':
        'WireGuard: tshark decrypts it with the keys in the file',
    'zeek/Traces/nflog-http.pcap': LINK,
    'zeek/Traces/tunnels/gre-aruba.pcap': TUNNEL,
    'zeek/Traces/tunnels/gre-over-udp-4754.pcap': TUNNEL,
    'zeek/Traces/tunnels/gtp/gtp2_different_udp_port.pcap': TUNNEL,
    'zeek/Traces/tunnels/gtp/gtp_ext_header.pcap': TUNNEL,
}
# The same for streams with holes in them.
GAPS_EXPLAINED = {
    'suricata-verify/transform-base64-7296/input.pcap':
        'a packet with SYN, FIN and RST, made by a fuzzer, begins a stream',
    'zeek/Traces/tunnels/gtp/gtp1_gn_normal_incl_fragmentation.pcap': TUNNEL,
}
GAPS_LISTED = 50  # the truth has no more of a direction
# The same for messages, a table a kind of them.
MESSAGES_EXPLAINED = {
    'sni': {
        'ndpi/default/pcap/tls_invalid_reads.pcap': BROKEN,
        'wireshark/captures/wireguard-ping-tcp-dsb.pcapng':
            'WireGuard: tshark decrypts it with the keys in the file',
    },
    'ja3': {
        'ndpi/default/pcap/ja3_lots_of_cipher_suites.pcap':
            'more ciphers than Weir keeps of a hello',
        'ndpi/default/pcap/openvpn.pcap': 'a hello inside OpenVPN',
        'ndpi/default/pcap/openvpn_nohmac_tcp.pcapng':
            'a hello inside OpenVPN',
        'ndpi/default/pcap/tls_cipher_lens.pcap':
            'cipher lists of odd lengths: read in another way',
        'ndpi/default/pcap/tls_invalid_reads.pcap': BROKEN,
        'wireshark-wiki/OpenVPN_UDP_tls-auth.pcapng':
            'a hello inside OpenVPN',
        'wireshark/captures/tls-fragmented-handshakes.pcap.gz':
            'several hellos in one record: Weir tells one a record',
        'wireshark/captures/wireguard-ping-tcp-dsb.pcapng':
            'WireGuard: tshark decrypts it with the keys in the file',
        'wireshark/captures/wpa3-suiteb-192.pcapng.gz':
            'a hello inside EAP, not in a stream',
        'zeek/Traces/rdp/rdpeudp2-handshake-success.pcap':
            'a hello over UDP, inside RDP',
    },
    # tshark counts frames, Weir messages: one came in two frames.
    'websocket': {
        'arkime/pcap/arkime_synthetic.pcap': 'a message in two frames',
        'zeek/Traces/websocket/two-binary-fragments.pcap':
            'a message in two frames',
    },
    'ja4': {},
    'http': {
        'arkime/pcap/80211http.pcap': LINK,
        'arkime/pcap/gre-erspan-vxlan.pcap': TUNNEL,
        'libpcap/tests/filter/AH-IPcomp-IPv4.pcap':
            'IPComp: tshark inflates it',
        'libpcap/tests/filter/AH-IPcomp-IPv6.pcap':
            'IPComp: tshark inflates it',
        'ndpi/default/pcap/http-manipulated.pcap':
            'a request in three segments, of which tshark reads no target',
        'suricata-verify/bug-5437-01/input.pcap': BLANKS,
        'suricata-verify/bug-5437-02/input.pcap': BLANKS,
        'suricata-verify/detect-pcre/detect-pcre-04/input.pcap': BLANKS,
        'suricata-verify/detect-pcre/detect-pcre-05/input.pcap': BLANKS,
        'wireshark-wiki/dns-remoteshell.pcap': LINK,
        'wireshark/captures/communityid.pcap.gz':
            'packets cut inside the head: not the whole request is there',
        'zeek/Traces/nflog-http.pcap': LINK,
        'zeek/Traces/tunnels/gre-aruba.pcap': TUNNEL,
        'zeek/Traces/tunnels/gre-over-udp-4754.pcap': TUNNEL,
        'zeek/Traces/tunnels/gtp/gtp1_gn_normal_incl_fragmentation.pcap':
            TUNNEL,
        'zeek/Traces/tunnels/gtp/gtp2_different_udp_port.pcap': TUNNEL,
    },
    'http2': {
        'ja4/pcap/http2-with-cookies.pcapng': KEYS,
        'wireshark/captures/http2-brotli.pcapng': KEYS,
        'wireshark/captures/http2_follow_multistream.pcapng': KEYS,
    },
    'dns': {
        'arkime/pcap/gre-sample.pcap': QUOTED,
        'libpcap/tests/filter/arcnet-rfc1201-arp-icmp-http.pcap': LINK,
        'libpcap/tests/filter/http_PPI.pcap': LINK,
        'pcapplusplus/Packet++Test/PacketExamples/nflogPacket.pcap': LINK,
        'suricata-verify/dns-over-http2-post/dns_over_https_POST.pcap':
            'messages inside the bodies of HTTP/2 requests',
        'tcpdump/tests/LINKTYPE_IPV4_invalid.pcap':
            'IPv6 where the link type says IPv4',
        'wireshark-wiki/myfisrtsll.cap': QUOTED,
        'wireshark/captures/wireguard-ping-tcp-dsb.pcapng': WIREGUARD,
        'zeek/Traces/dns/dns-invalid-names.pcap':
            'a name whose pointer leads to itself: the message is refused',
        'zeek/Traces/tunnels/geneve-vxlan-dns-truncated.pcap': TUNNEL,
        'zeek/Traces/tunnels/gre-over-udp-4754.pcap': TUNNEL,
        'zeek/Traces/tunnels/gtp/gtp7_ipv6.pcap': TUNNEL,
    },
    'quic': {},
}
EMPTY = {'sha256': hashlib.sha256(b'').hexdigest()}


def sha(stream, way):
    """The content of a direction; one without payload has no member."""
    d = stream.get(way, EMPTY)
    return (d if 'sha256' in d else d['tshark']).get('sha256',
                                                     EMPTY['sha256'])


def take_equal(stream, candidates):
    """Find the stream with the same bytes among those between its ends."""
    for s in candidates:
        ways = [s['from_a'], s['from_b']]
        if s['a'] != stream['node0']:
            ways.reverse()
        if ways[0]['sha256'] == sha(stream, 'from_node0') and \
           ways[1]['sha256'] == sha(stream, 'from_node1'):
            candidates.remove(s)
            return True
    return False


def different_streams(truth, mine):
    by_ends = collections.defaultdict(list)
    for s in mine['tcp']:
        by_ends[frozenset((s['a'], s['b']))].append(s)
    clean = [s for s in truth.get('tcp', []) if s.get('clean')]
    wrong = [s for s in clean if not take_equal(
        s, by_ends[frozenset((s['node0'], s['node1']))])]
    return len(clean), wrong


def gaps_of(direction):
    """[offset, length] of holes, without one behind all that came.

    The truth knows of no bytes behind the last ones; Weir knows by what the
    other side acknowledged, by a FIN, or by the length on the wire.
    """
    skipped, gaps = 0, []
    for at, length in direction['gaps']:
        if at < direction['bytes']:
            gaps.append([at + skipped, length])
        skipped += length
    return gaps[:GAPS_LISTED]


def holes_wanted(stream):
    """Bytes and holes of both directions; None: none, or in dispute."""
    ways = [stream.get('from_node0', {}), stream.get('from_node1', {})]
    seqs = [w.get('seq', w) for w in ways]
    if stream.get('clean') or stream.get('rst_payload') or \
            not any(s.get('gaps') for s in seqs) or \
            any(s.get('conflicting_bytes') or s.get('bytes_before_start')
                for s in seqs):
        return None
    return [(s.get('bytes', 0), s.get('gaps', [])) for s in seqs]


def different_holes(truth, mine):
    by_ends = collections.defaultdict(list)
    for s in mine['tcp']:
        for ends, ways in (((s['a'], s['b']), ('from_a', 'from_b')),
                           ((s['b'], s['a']), ('from_b', 'from_a'))):
            by_ends[ends].append([(s[w]['bytes'], gaps_of(s[w]))
                                  for w in ways])
    holed = [(s, holes_wanted(s)) for s in truth.get('tcp', [])]
    holed = [(s, want) for s, want in holed if want]
    return len(holed), [s for s, want in holed
                        if want not in by_ends[(s['node0'], s['node1'])]]


def wanted_ja4(corpus, truth):
    """What FoxIO's program says of TLS over TCP, if it was asked."""
    folder, name = os.path.split(truth['file'])
    path = os.path.join(corpus, os.path.dirname(folder), 'expected',
                        name + '.json')
    if not truth['file'].startswith('ja4/') or not os.path.exists(path):
        return collections.Counter()
    with open(path, encoding='utf-8') as f:
        said = json.load(f)
    return collections.Counter(
        value for stream in said for key, value in stream.items()
        if re.fullmatch(r'JA4(\.\d+)?', key) and value.startswith('t'))


def one_mark(name):
    """How many marks a run of bytes gets that are no UTF-8 is taste."""
    return re.sub('\ufffd+', '\ufffd', name)


def dns_name(name):
    """As tshark prints it: no escapes, what is no UTF-8 replaced."""
    if name == '.':
        return '<Root>'
    name = re.sub(r'\\(\d{3})', lambda m: chr(int(m[1])), name)
    return one_mark(name.encode('latin-1').decode('utf-8', 'replace'))


def query_names(truth):
    dns = truth.get('dns', {})
    names = collections.Counter()
    for which in ('query_names', 'mdns_llmnr_query_names'):
        for name, count in dns.get(which, {}).items():
            names[one_mark(name)] += count
    return names


def missing_messages(corpus, truth, mine):
    """For each kind, what tshark saw and Weir did not."""
    tls = truth.get('tls', {})
    # A hello over UDP (QUIC, DTLS) counts in tshark's JA3.
    over_udp = any(p in truth.get('protocols', {}) for p in ('quic', 'dtls'))
    got = {
        'sni': collections.Counter(h[0] for h in mine['hellos']),
        'ja3': collections.Counter(h[1] for h in mine['hellos']),
        'ja4': collections.Counter(h[2] for h in mine['hellos']),
        'websocket': collections.Counter(frames=mine['websocket']),
        'http': collections.Counter(map(tuple, mine['http_requests'])),
        'http2': collections.Counter(mine['http2_requests']),
        'dns': collections.Counter(map(dns_name, mine['dns_names'])),
        'quic': collections.Counter({h[0]: 1 for h in mine['quic']}),
    }
    wanted = {
        'sni': collections.Counter(tls.get('sni', {})),
        'ja3': collections.Counter({} if over_udp else tls.get('ja3', {})),
        'ja4': wanted_ja4(corpus, truth),
        'websocket': collections.Counter(
            frames=truth.get('websocket', {}).get('frames', 0)),
        # The first 400 of a capture: its list has no more.
        'http': collections.Counter(
            (r[2], r[4], r[3] or '')
            for r in truth.get('http', {}).get('list', [])),
        'http2': collections.Counter(
            truth.get('http2', {}).get('requests', {})),
        'dns': query_names(truth),
        # tshark counts packets, and repeated ones twice: which, not how many.
        'quic': collections.Counter(dict.fromkeys(
            tls.get('quic_sni', {}), 1)),
    }
    return {kind: (sum(wanted[kind].values()), wanted[kind] - got[kind])
            for kind in wanted}


def run(program, corpus, truth):
    """What Weir sees in a capture, or None: unreadable."""
    out = subprocess.run([program, os.path.join(corpus, truth['file'])],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=False)
    return None if out.returncode else json.loads(out.stdout)


def run_all(program, corpus, truths):
    """The same of many captures, in their order."""
    paths = [os.path.join(corpus, truth['file']) for truth in truths]
    out = subprocess.run([program, *paths], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True)
    for said in out.stdout.split(b'\f')[:-1]:
        yield None if said.endswith(b'FAILED') else json.loads(said)


class Tally:
    """Counts of one question over all captures, and its table."""

    def __init__(self, what, table):
        self.what, self.table = what, table
        self.wanted = self.equal = self.failed = 0
        self.explained = set()

    def add(self, name, wanted, n_wrong, notes):
        self.wanted += wanted
        self.equal += wanted - n_wrong
        if not n_wrong:
            return
        if name in self.table:
            self.explained.add(name)
            self.wanted -= n_wrong
            return
        self.failed += 1
        for note in list(notes)[:3]:
            print('# %s: %s' % (name, note))

    def tell(self, number):
        stale = sorted(set(self.table) - self.explained)
        for name in stale:
            print('# %s is explained, but nothing differs' % name)
        bad = self.failed or stale or not self.wanted
        print('%sok %d - %s: %d of %d, the rest explained' %
              ('not ' if bad else '', number, self.what, self.equal,
               self.wanted))
        return bool(bad)


def main():
    shared = os.environ.get('WEIR_SHARED', '')
    corpus = os.path.join(shared, 'corpus')
    table = os.path.join(corpus, 'truth.jsonl')
    if not os.path.exists(table):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    streams = Tally('R09 clean streams byte-identical', EXPLAINED)
    holes = Tally('R09 holes in streams', GAPS_EXPLAINED)
    names = {'sni': 'R30 server names', 'ja3': 'R30 JA3',
             'websocket': 'R30 WebSocket frames', 'ja4': 'R30 JA4',
             'http': 'R29 HTTP requests', 'http2': 'R29 HTTP/2 requests',
             'dns': 'R30 names in DNS queries',
             'quic': 'R30 server names over QUIC'}
    kinds = {kind: Tally(name, MESSAGES_EXPLAINED[kind])
             for kind, name in names.items()}
    with open(table, encoding='utf-8') as lines:
        truths = [t for t in map(json.loads, lines) if 'packets' in t]
    for truth, mine in zip(truths, run_all(sys.argv[1], corpus, truths)):
        if mine is None:
            wrong = [s for s in truth.get('tcp', []) if s.get('clean')]
            streams.add(truth['file'], len(wrong), len(wrong),
                        ['cannot be read'])
            continue
        clean, wrong = different_streams(truth, mine)
        streams.add(truth['file'], clean, len(wrong), [
            'stream %d %s %s' % (s['stream'], s['node0'], s['node1'])
            for s in wrong])
        holed, wrong = different_holes(truth, mine)
        holes.add(truth['file'], holed, len(wrong), [
            'stream %d, holes' % s['stream'] for s in wrong])
        for kind, (n, missing) in missing_messages(corpus, truth,
                                                   mine).items():
            kinds[kind].add(truth['file'], n, sum(missing.values()),
                            ['%s %s' % (kind, m) for m in missing.items()])
    tallies = [streams, holes, *kinds.values()]
    print('1..%d' % len(tallies))
    bad = [t.tell(i + 1) for i, t in enumerate(tallies)]
    return 1 if any(bad) else 0


if __name__ == '__main__':
    sys.exit(main())
