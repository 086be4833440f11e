#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""streams.py STREAMSUM - reassembly against what tshark saw, in TAP.

Every TCP stream of every shared capture that the truth calls clean must be
byte-identical in both directions.  Captures where it cannot be are listed in
EXPLAINED with the reason; one that is listed and has become equal fails as
well, so that the table stays true.
"""
import collections
import hashlib
import json
import os
import subprocess
import sys

# capture: why tshark sees streams there that Weir does not
LINK = 'link type that Weir does not decode'
TUNNEL = 'tunnel that Weir does not open'
BROKEN = 'a TCP header whose length field is wrong; no host takes it'
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


def compare(program, corpus, truth):
    """(clean streams, those that differ) of one capture; None: unreadable."""
    run = subprocess.run([program, os.path.join(corpus, truth['file'])],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         check=False)
    if run.returncode:
        return 0, [s for s in truth.get('tcp', []) if s.get('clean')]
    return different_streams(truth, json.loads(run.stdout))


def main():
    shared = os.environ.get('WEIR_SHARED', '')
    corpus = os.path.join(shared, 'corpus')
    table = os.path.join(corpus, 'truth.jsonl')
    if not os.path.exists(table):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    n_clean = n_equal = failed = 0
    explained = set()
    for line in open(table, encoding='utf-8'):
        truth = json.loads(line)
        if 'packets' not in truth:
            continue
        clean, wrong = compare(sys.argv[1], corpus, truth)
        n_clean += clean
        n_equal += clean - len(wrong)
        if not wrong:
            continue
        if truth['file'] in EXPLAINED:
            explained.add(truth['file'])
            n_clean -= len(wrong)
            continue
        failed += 1
        for s in wrong[:3]:
            print('# %s: stream %d %s %s' % (truth['file'], s['stream'],
                                             s['node0'], s['node1']))
    stale = sorted(set(EXPLAINED) - explained)
    for name in stale:
        print('# %s is explained, but nothing differs' % name)
    print('1..2')
    print('%sok 1 - R09 %d of %d clean streams are byte-identical' %
          ('not ' if failed or not n_clean else '', n_equal, n_clean))
    print('%sok 2 - every explanation is still needed' %
          ('not ' if stale else ''))
    return 1 if failed or stale else 0


sys.exit(main())
