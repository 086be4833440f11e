#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""truth.py CAPSUM - every shared capture read, against what others saw in it.

truth.jsonl in the shared corpus tells what tshark, capinfos and tcpdump made
of 1,652 captures.  CAPSUM reads them all; what it says must be the same in
every number, except where EXPLAINED says why not and what is said instead
(doc/capture-files.md, "Where others see something else").
"""
import json
import os
import subprocess
import sys

NUMBERS = ('packets', 'captured_bytes', 'wire_bytes', 'snapped_packets')
TIMES = ('first_ns', 'last_ns', 'min_ns', 'max_ns')
SIMPLE_PACKET = '0x00000003'
LAST_NS = (1 << 32) * 10**9 - 1

OVER_SECOND = 'a fraction over a second counts on; tshark prints it as it is'
NOT_READ = 'snoop is not read'
PSEUDO = 'tshark takes a pseudo header of 4 bytes off the packet'
ZEROS = 'sixteen zero bytes are a damaged tail, not a packet of 1970'

# file: (why, what is said instead)
EXPLAINED = {
    'gopacket/pcapgo/tests/be/test901.pcapng': (
        'its second section has version 2.0; all refuse it there',
        {'linktypes': [1], 'snaplen': [0], 'error': 'pcapng version'}),
    'libpcap/tests/shb-option-too-long.pcapng': (
        'the two lengths of its first block differ; all refuse it',
        {'linktypes': [], 'snaplen': [], 'error': 'two lengths'}),
    'ndpi/default/pcap/fuzz-2021-06-07-c6c72a0a56.pcap': (
        OVER_SECOND + ', and the length on the wire over 31 bits as signed',
        {'wire_bytes': 4093509168, 'first_ns': 1953635450562680000,
         'last_ns': 1953635450562680000, 'min_ns': 1953635450562680000,
         'max_ns': 1953635450562680000}),
    'pcapplusplus/ExamplesTest/pcap_examples/solaris.snoop': (
        NOT_READ, {'packets': 0, 'captured_bytes': 0, 'wire_bytes': 0,
                   'first_ns': 0, 'last_ns': 0, 'min_ns': 0, 'max_ns': 0,
                   'error': 'is not a capture'}),
    'wireshark-wiki/cmp-trace.pcap.gz': (
        NOT_READ, {'packets': 0, 'captured_bytes': 0, 'wire_bytes': 0,
                   'first_ns': 0, 'last_ns': 0, 'min_ns': 0, 'max_ns': 0,
                   'error': 'is not a capture'}),
    'pcapplusplus/Pcap++Test/PcapExamples/pcapng-example.pcapng': (
        'times in the year 586,524 become the last that a record can hold',
        {'last_ns': LAST_NS, 'max_ns': LAST_NS}),
    'suricata-verify/bug-6875-01/fuzz.pcap': (
        'its second record claims 4 GiB; tshark takes one byte of it',
        {'packets': 1, 'captured_bytes': 188, 'wire_bytes': 188,
         'snapped_packets': 0, 'last_ns': 1508525002992213000,
         'min_ns': 1508525002992213000, 'error': '16 MiB'}),
    'suricata-verify/bug-1450-04/tls_DER-incomplete-header.pcap': (
        'its last record claims 4 MiB, which others refuse; it is cut short',
        {'warning': 'inside a record'}),
    'suricata-verify/transform-base64-7296/input.pcap': (
        OVER_SECOND, {'max_ns': 1714546081653292000}),
    'tcpdump/tests/atm-oam-heapoverflow.pcap': (
        PSEUDO, {'captured_bytes': 4, 'wire_bytes': 262144}),
    'tcpdump/tests/atm-oam-loopback-print-overrun.pcap': (
        PSEUDO + '; ' + OVER_SECOND,
        {'captured_bytes': 64, 'wire_bytes': 65622,
         'first_ns': 1544489736821166000, 'last_ns': 1544489736821166000,
         'min_ns': 1544489736821166000, 'max_ns': 1544489736821166000}),
    'tcpdump/tests/bgp_vpn_rt-oobr.pcap': (
        ZEROS, {'packets': 1, 'wire_bytes': 262144, 'snapped_packets': 1,
                'last_ns': 168636954131862000, 'min_ns': 168636954131862000,
                'max_ns': 168636954131862000, 'warning': 'all zeros'}),
    'tcpdump/tests/vtp_asan.pcap': (
        ZEROS, {'packets': 2, 'warning': 'all zeros'}),
    'tcpdump/tests/timestamp_invalid_nano.pcap': (
        OVER_SECOND, {'last_ns': 1418145372147483648,
                      'min_ns': 1418145369999999999,
                      'max_ns': 1418145372147483648}),
}


def expected(row):
    """What should be said of a file, from the truth and its conventions."""
    header = row.get('header') or {}
    want = {k: row.get(k) for k in NUMBERS + TIMES}
    want['linktypes'] = header.get('linktypes') or []
    want['snaplen'] = header.get('snaplen') or []
    if row.get('unreadable'):
        # A link type that tshark lacks: tcpdump counts, the rest is unknown.
        want = {'packets': row['tcpdump'].get('packets', 0),
                'linktypes': want['linktypes'], 'snaplen': want['snaplen']}
    elif not want['packets']:
        want.update({k: 0 for k in TIMES})
    elif SIMPLE_PACKET in header.get('blocks', {}):
        # They have no time: tshark leaves them out, here it is 0.
        want['min_ns'] = 0
        for k in ('first_ns', 'last_ns', 'max_ns'):
            want[k] = (0, want[k] or 0)
    want['warning'] = 'damaged at byte' if row.get('truncated') else None
    want['error'] = None
    want.update(EXPLAINED.get(row['file'], (None, {}))[1])
    return want


def fits(got, want):
    if isinstance(want, str):
        return got is not None and want in got
    if isinstance(want, tuple):
        return got in want
    return got == want


def differences(row, got):
    return ['%s is %r, not %r' % (k, got.get(k), v)
            for k, v in expected(row).items() if not fits(got.get(k), v)]


def is_ours(row):
    return (row.get('header') or {}).get('format') != 'other'


def main(capsum):
    root = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    truth = os.path.join(root, 'truth.jsonl')
    if not os.path.exists(truth):
        print('1..0 # SKIP the shared captures are not here')
        return
    os.chdir(root)
    with open(truth) as f:
        rows = [r for r in map(json.loads, f) if is_ours(r)]
    out = subprocess.run([capsum,
                          '--json'] + [r['file'] for r in rows],
                         stdout=subprocess.PIPE, check=False).stdout
    got = {d['file']: d for d in map(json.loads, out.splitlines())}
    print('1..%d' % len(rows))
    failed = 0
    for n, row in enumerate(rows, 1):
        name = row['file']
        wrong = (differences(row, got[name]) if name in got
                 else ['nothing is said about it'])
        why = EXPLAINED.get(name, (None,))[0]
        print('%s %d - %s%s' % ('not ok' if wrong else 'ok', n, name,
                                ' (%s)' % why if why else ''))
        for line in wrong:
            print('#   ' + line)
        failed += bool(wrong)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main(os.path.abspath(sys.argv[1]))
