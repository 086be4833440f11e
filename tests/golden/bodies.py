#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bodies.py WEIR - decoded HTTP bodies against what tshark exports, in TAP.

bodies.tsv beside this file holds, for each shared capture with HTTP, the
SHA-256 of every object that `tshark --export-objects http` writes, chunks and
packing undone.  Each of them must be the decoded body of some message that
`weir show --decoded` prints of the streams of that capture.

Captures where that cannot be are listed with the reason; one that is listed
and has become equal fails as well, so that the table stays true.

`bodies.py --make` prints the table anew, which takes minutes.
"""
import base64
import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# capture: why a body that tshark exports is none of ours
LINK = 'link type that Weir does not decode'
TUNNEL = 'tunnel that Weir does not open'
MIDDLE = 'tshark exports pieces of messages whose beginning is not there'
LINES = 'tshark exports what is no message, because of the port'
EXPLAINED = {
    'arkime/pcap/80211http.pcap': LINK,
    'arkime/pcap/gre-erspan-vxlan.pcap': TUNNEL,
    'arkime/pcap/tcp_handshake_synthetic.pcap': LINES,
    'libpcap/tests/filter/AH-IPcomp-IPv4.pcap':
        'IPComp: tshark inflates it',
    'libpcap/tests/filter/AH-IPcomp-IPv6.pcap':
        'IPComp: tshark inflates it',
    'markofu-pcaps/PracticalPacketAnalysis/ppa-capture-files/dns.cap':
        MIDDLE,
    'ndpi/default/pcap/fuzz-2006-09-29-28586.pcap':
        'heads with damaged bytes',
    'ndpi/default/pcap/quickplay.pcap': MIDDLE,
    'ndpi/default/pcap/soap.pcap': MIDDLE,
    'pcapplusplus/ExamplesTest/pcap_examples/many-protocols.pcap': MIDDLE,
    'pcapplusplus/Pcap++Test/PcapExamples/650HttpResponses.pcap':
        'a body of which one packet came: Weir shows all of it',
    'suricata-verify/detect-pcre/detect-pcre-02/input.pcap': LINES,
    'suricata-verify/drop-protocol-change/input.pcap':
        'a TCP header whose length field is wrong; no host takes it',
    'suricata-verify/http-evader/http-evader-202/input.pcap':
        'flags in a gzip head that are reserved: zlib refuses them',
    'suricata-verify/http-evader/http-evader-287/input.pcap':
        'a field that ends in CR alone: Weir undoes the chunks as well',
    'suricata-verify/http-evader/http-evader-420/input.pcap':
        'chunks that end in LF: Weir undoes them, tshark does not',
    'suricata-verify/http-gap-beyond-body/input.pcap': LINES,
    'suricata-verify/http-range-file/input.pcap': MIDDLE,
    'suricata-verify/http-request-invalid/input.pcap': LINES,
    'suricata-verify/tcp-urgp-01-oob/tcp-urgent1.pcap':
        'urgent bytes, which tshark leaves in the stream',
    'suricata-verify/tcp-urgp-04-2byte-XY/tcp-urgent-2byte-XY.pcap':
        'urgent bytes, which tshark leaves in the stream',
    'suricata-verify/transform-base64-7296/input.pcap': LINES,
    'tcpflow/tests/test1-part2.pcap': MIDDLE,
    'wireshark-wiki/NTLM-wenchao.pcap': MIDDLE,
    'wireshark-wiki/dns-remoteshell.pcap': LINES,
    'wireshark-wiki/http-ipv6.pcap':
        'packets cut by the capture: tshark exports the pieces',
    'wireshark-wiki/http_with_jpegs.cap.gz': MIDDLE,
    'wireshark-wiki/shark.pcap': MIDDLE,
    'wireshark/captures/challenge01_ooo_stream.pcapng.gz':
        'TLS: tshark decrypts it with the keys in the file',
    'wireshark/captures/http-ooo.pcap':
        'tshark does not put packets in their order without being told',
    'zeek/Traces/http/261/variant-09-te_obs_fold.pcap':
        'a folded Transfer-Encoding: read in another way',
    'zeek/Traces/http/http-lower-case.pcap': LINES,
    'zeek/Traces/nflog-http.pcap': LINK,
    'zeek/Traces/tunnels/gre-over-udp-4754.pcap': TUNNEL,
    'zeek/Traces/tunnels/gtp/gtp2_different_udp_port.pcap': TUNNEL,
}


def captures(corpus):
    with open(os.path.join(corpus, 'truth.jsonl'), encoding='utf-8') as f:
        for truth in map(json.loads, f):
            if truth.get('http', {}).get('requests') or \
               truth.get('http', {}).get('responses'):
                yield truth['file']


def sha(data):
    return hashlib.sha256(data).hexdigest()


def make(corpus):
    for name in captures(corpus):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run(
                ['tshark', '-Q', '-r', os.path.join(corpus, name),
                 '--export-objects', 'http,' + out],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                check=False)
            sums = collections.Counter()
            for entry in os.scandir(out):
                with open(entry.path, 'rb') as f:
                    data = f.read()
                if data:
                    sums[sha(data)] += 1
        for key in sorted(sums):
            print('%s\t%s\t%d' % (name, key, sums[key]))


def lines(command):
    return subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL,
                          check=False).stdout.splitlines()


def bodies(weir, path):
    """How often each decoded body stands in a capture."""
    sums = collections.Counter()
    with tempfile.TemporaryDirectory() as out:
        store = os.path.join(out, 'store')
        subprocess.run([weir, 'analyze', path, '--store', store,
                        '-o', '/dev/null'], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        for line in lines([weir, 'streams', '--store', store, '--json',
                           '--limit', '0']):
            row = json.loads(line)
            if not row['a']['kept'] and not row['b']['kept']:
                continue
            for item in map(json.loads, lines(
                    [weir, 'show', row['stream_id'], '--store', store,
                     '--decoded', '--json'])):
                if item.get('protocol', '').startswith('http'):
                    sums[sha(base64.b64decode(item['data']))] += 1
    return sums


def wanted(table):
    objects = collections.defaultdict(collections.Counter)
    with open(table, encoding='utf-8') as f:
        for line in f:
            name, key, count = line.rstrip('\n').split('\t')
            objects[name][key] = int(count)
    return objects


def main():
    corpus = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    if not os.path.exists(os.path.join(corpus, 'truth.jsonl')):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    if sys.argv[1] == '--make':
        make(corpus)
        return 0
    total = equal = failed = 0
    explained = set()
    for name, objects in wanted(os.path.join(HERE, 'bodies.tsv')).items():
        missing = objects - bodies(sys.argv[1], os.path.join(corpus, name))
        total += sum(objects.values())
        equal += sum(objects.values()) - sum(missing.values())
        if not missing:
            continue
        if name in EXPLAINED:
            explained.add(name)
            total -= sum(missing.values())
            continue
        failed += 1
        print('# %s: %d of %d bodies are none of ours' %
              (name, sum(missing.values()), sum(objects.values())))
    stale = sorted(set(EXPLAINED) - explained)
    for name in stale:
        print('# %s is explained, but nothing differs' % name)
    print('1..1')
    bad = failed or stale or not total
    print('%sok 1 - R38 decoded bodies as tshark has them: %d of %d, the '
          'rest explained' % ('not ' if bad else '', equal, total))
    return 1 if bad else 0


sys.exit(main())
