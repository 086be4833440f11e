#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""others.py STREAMSUM - against what other projects expect of their captures.

The shared corpus has, beside captures of PcapPlusPlus, Zeek, Arkime and
Suricata, what those projects' own tests expect to be found in them.  What
speaks of streams, HTTP, DNS, TLS and QUIC must be among what Weir finds.

As in streams.py: a capture where that is not so stands in EXPLAINED with the
reason, and one that stands there without need fails as well.
"""
import collections
import glob
import hashlib
import json
import os
import sys
import urllib.parse

from streams import LINK, TUNNEL, Tally, dns_name, run

try:
    import yaml
except ImportError:
    yaml = None

HTTP09 = 'HTTP/0.9, a request without a version: nothing says that it is one'
GOOGLE = "Google's QUIC from before the standard"
DTLS = 'DTLS is not read'
OPENVPN = 'a hello inside OpenVPN'
ANSWER = 'only an answer is there, without a query'
EXPLAINED = {
    'pcapplusplus': {},
    'zeek': {
        'zeek/Traces/http/http_09.pcap': HTTP09,
        'zeek/Traces/nflog-http.pcap': LINK,
        'zeek/Traces/ssh/ssh.client-side-half-duplex.pcap':
            'one direction alone: Zeek ends such a connection after seconds',
        'zeek/Traces/tunnels/gre-over-udp-4754.pcap': TUNNEL,
        'zeek/Traces/tunnels/gtp/gtp1_gn_normal_incl_fragmentation.pcap':
            TUNNEL,
        'zeek/Traces/tunnels/gtp/gtp2_different_udp_port.pcap': TUNNEL,
    },
    'arkime': {
        'arkime/pcap/80211http.pcap': LINK,
        'arkime/pcap/arkime_synthetic.pcap':
            'DTLS; ' + GOOGLE + '; an answer without a query',
        'arkime/pcap/cloudshark-dtls1.pcap': DTLS,
        'arkime/pcap/dns-punycode.pcap':
            'names as they stand in the packet, not made readable',
        'arkime/pcap/fbzero-android.pcap': "Facebook's Zero protocol",
        'arkime/pcap/ipv6-gtp6.pcap': TUNNEL,
        'arkime/pcap/openvpn_synthetic.pcap': OPENVPN,
        'arkime/pcap/quic34.pcap': GOOGLE,
        'arkime/pcap/quic43.pcap': GOOGLE,
        'arkime/pcap/v6-http.pcap': ANSWER,
    },
    'suricata': {
        'suricata-verify/bug-3844/input.pcap': HTTP09,
        'suricata-verify/dns-over-http2-post/dns_over_https_POST.pcap':
            'messages inside the bodies of HTTP/2 requests',
    },
}


class Seen:
    """What Weir finds in a capture, as counts of plain tuples."""

    def __init__(self, program, corpus, name):
        mine = run(program, corpus, {'file': name}) or {
            'tcp': [], 'hellos': [], 'quic': [], 'http_requests': [],
            'http2_requests': [], 'dns_names': []}
        self.tcp = mine['tcp']
        self.facts = collections.Counter()
        for s in mine['tcp']:
            ways = (s['from_a']['bytes'], s['from_b']['bytes'])
            self.add('bytes', s['a'], s['b'], *ways)
            self.add('bytes', s['b'], s['a'], *ways[::-1])
        for method, target, host in mine['http_requests']:
            self.request(method, host, target)
        for text in mine['http2_requests']:
            method, host, target = text.split(' ', 2)
            self.request(method, host, target)
        for name in mine['dns_names']:
            self.add('dns', dns_name(name).lower())
        for kind in ('hellos', 'quic'):
            for sni, ja3, ja4 in mine[kind]:
                self.add('sni', sni.lower())
                self.add('ja3', ja3)
                self.add('ja4', ja4)

    def add(self, *fact):
        self.facts[fact] += 1

    def request(self, method, host, target):
        self.add('http', method, urllib.parse.unquote(target))
        self.add('url', target)
        self.add('host', host.lower())
        self.add('host', host.rsplit(':', 1)[0].lower())

    def lacks(self, wanted):
        """Of (fact, how often), the facts that are not seen as often."""
        return [fact for fact, n in wanted if self.facts[fact] < n]


# -- PcapPlusPlus: whole texts -------------------------------------------------

EXAMPLES = 'pcapplusplus/Pcap++Test/PcapExamples/'
SANITY = 'pcapplusplus/ExamplesTest/'
# capture: the texts of its streams, both directions as they were delivered
TEXTS = {
    EXAMPLES + 'one_tcp_stream.pcap': ['one_tcp_stream_output.txt'],
    EXAMPLES + 'one_http_stream_fin.pcap': ['one_http_stream_fin_output.txt'],
    EXAMPLES + 'one_http_stream_fin2.pcap': [
        'one_http_stream_fin2_output.txt'],
    EXAMPLES + 'one_http_stream_rst.pcap': ['one_http_stream_rst_output.txt'],
    EXAMPLES + 'one_ipv6_http_stream.pcap': ['one_ipv6_http_stream.txt'],
    EXAMPLES + 'three_http_streams.pcap': [
        'three_http_streams_conn_1_output.txt',
        'three_http_streams_conn_2_output.txt',
        'three_http_streams_conn_3_output.txt'],
}
SIDES = (SANITY + 'pcap_examples/tcp-reassembly.pcap',
         SANITY + 'expected_output/tcpreassembly_sides/*.txt')


def sum_of(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def pcapplusplus(corpus, see, tally):
    for name, texts in TEXTS.items():
        if not os.path.exists(os.path.join(corpus, name)):
            continue
        sums = {s['both'] for s in see(name).tcp}
        wrong = [t for t in texts if sum_of(
            os.path.join(corpus, EXAMPLES, t)) not in sums]
        tally.add(name, len(texts), len(wrong), wrong)
    texts = glob.glob(os.path.join(corpus, SIDES[1]))
    if texts:
        sums = {s[way]['sha256'] for s in see(SIDES[0]).tcp
                for way in ('from_a', 'from_b')}
        wrong = [t for t in texts if sum_of(t) not in sums]
        tally.add(SIDES[0], len(texts), len(wrong), wrong)


# -- Zeek: tab separated logs --------------------------------------------------

def log_rows(path):
    fields = []
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            words = line.rstrip('\n').split('\t')
            if words[0] == '#fields':
                fields = words[1:]
            elif not line.startswith('#') and fields:
                yield dict(zip(fields, words))


def end_of(row, which):
    host, port = row['id.%s_h' % which], row['id.%s_p' % which]
    return '%s:%s' % ('[%s]' % host if ':' in host else host, port)


def zeek_facts(log, row):
    """What a row says that Weir should see; '-' is unknown in all of them."""
    if log == 'conn.log' and row.get('proto') == 'tcp' and \
            row.get('missed_bytes') == '0' and \
            row.get('orig_bytes', '-') != '-':
        yield ('bytes', end_of(row, 'orig'), end_of(row, 'resp'),
               int(row['orig_bytes']), int(row['resp_bytes']))
    elif log == 'http.log' and row.get('method', '-') != '-':
        yield ('http', row['method'], urllib.parse.unquote(row['uri']))
    elif log == 'dns.log' and row.get('query', '-') != '-':
        yield ('dns', row['query'].lower())
    elif log in ('ssl.log', 'quic.log') and \
            row.get('server_name', '-') != '-':
        yield ('sni', row['server_name'].lower())


def zeek(corpus, see, tally):
    table = os.path.join(corpus, 'zeek', 'baseline-map.tsv')
    if not os.path.exists(table):
        return
    wanted = collections.defaultdict(set)
    for row in open(table, encoding='utf-8').read().splitlines()[1:]:
        trace, folder, logs = row.split('\t')
        for log in logs.split(','):
            path = os.path.join(corpus, 'zeek', folder, log)
            if log.endswith('.log') and os.path.exists(path):
                for line in log_rows(path):
                    wanted[trace].update(zeek_facts(log, line))
    for trace, facts in wanted.items():
        if facts:
            name = 'zeek/' + trace
            lacks = see(name).lacks((fact, 1) for fact in facts)
            tally.add(name, len(facts), len(lacks), map(str, lacks))


# -- Arkime: sessions as JSON ----------------------------------------------------

def arkime_facts(body):
    http, tls = body.get('http', {}), body.get('tls', {})
    for uri in http.get('uri', []):
        # "//host/path" and "host/path"; a query is hosts alone, too.
        host, slash, path = uri.lstrip('/').partition('/')
        if slash:
            yield ('url', '/' + path)
    for kind in ('ja3', 'ja4'):
        for value in tls.get(kind, []):
            yield (kind, value)
    for host in body.get('quic', {}).get('host', []):
        yield ('sni', host.lower())
    for query in body.get('dns', []):
        if 'queryHost' in query and query.get('opcode') == 'QUERY':
            yield ('dns', query['queryHost'].lower())


def arkime(corpus, see, tally):
    for path in sorted(glob.glob(os.path.join(corpus, 'arkime/pcap/*.test'))):
        name = os.path.relpath(path, corpus)[:-5] + '.pcap'
        with open(path, encoding='utf-8') as f:
            said = json.load(f)
        sessions = next((said[k] for k in said if k.startswith('sessions')),
                        [])
        facts = {fact for s in sessions for fact in arkime_facts(s['body'])}
        if facts and os.path.exists(os.path.join(corpus, name)):
            lacks = see(name).lacks((fact, 1) for fact in facts)
            tally.add(name, len(facts), len(lacks), map(str, lacks))


# -- Suricata: filters over events -----------------------------------------------

def suricata_facts(match):
    for key, fact in (('http.url', 'url'), ('http.hostname', 'host'),
                      ('tls.sni', 'sni'), ('tls.ja3.hash', 'ja3'),
                      ('ja3.hash', 'ja3'), ('tls.ja4', 'ja4'),
                      ('quic.sni', 'sni'), ('quic.ja4', 'ja4'),
                      ('dns.rrname', 'dns'), ('dns.query[0].rrname', 'dns'),
                      ('dns.queries[0].rrname', 'dns')):
        if key in match and isinstance(match[key], str):
            text = match[key]
            yield (fact, text if fact == 'url' else text.lower())


def filters_of(path):
    with open(path, encoding='utf-8') as f:
        test = yaml.safe_load(f) or {}
    for check in test.get('checks', []):
        f = check.get('filter') if isinstance(check, dict) else None
        if f and f.get('count', 0) and 'match' in f:
            yield f['match']


def suricata(corpus, see, tally):
    pattern = os.path.join(corpus, 'suricata-verify/**/test.yaml')
    for path in sorted(glob.glob(pattern, recursive=True)):
        folder = os.path.dirname(path)
        pcaps = [p for p in os.listdir(folder)
                 if p.endswith(('.pcap', '.pcapng'))]
        facts = {fact for match in filters_of(path)
                 for fact in suricata_facts(match)}
        if facts and len(pcaps) == 1:
            name = os.path.relpath(os.path.join(folder, pcaps[0]), corpus)
            lacks = see(name).lacks((fact, 1) for fact in facts)
            tally.add(name, len(facts), len(lacks), map(str, lacks))


def main(program):
    corpus = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    if not os.path.isdir(corpus):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    parts = [('R09 texts of PcapPlusPlus', 'pcapplusplus', pcapplusplus),
             ('R29 logs of Zeek', 'zeek', zeek),
             ('R29 sessions of Arkime', 'arkime', arkime)]
    if yaml:
        parts.append(('R29 events of Suricata', 'suricata', suricata))
    print('1..%d' % len(parts))
    bad = False
    for n, (what, kind, compare) in enumerate(parts, 1):
        tally = Tally(what, EXPLAINED[kind])
        compare(corpus, lambda name: Seen(program, corpus, name), tally)
        bad |= tally.tell(n)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
