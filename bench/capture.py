#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""capture.py [--json] [--seconds N] WEIR BLAST - capture beside others.

Packets of 60 and 1500 bytes go over a veth pair at rising rates.  In turn
`weir agent capture` (which makes them durable), `tcpdump -w` and `dumpcap -w`
(which do not) capture them on the other end.  Each cell is the median of five
rounds: packets lost of those sent, processor time a packet.  For Weir also how
long a packet takes from the wire until it is durable: the packets that the
kernel has handed to the interface are compared with the spool's durable head
a thousand times a second.
"""
import argparse
import ctypes
import json
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
RATES = [50000, 100000, 200000, 0]  # packets a second; 0: all that go
SIZES = [60, 1500]


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


class Wire:
    """Two namespaces with a cable between them."""

    def __init__(self):
        self.ends = ['weirbench%d-%s' % (os.getpid(), end) for end in 'ab']
        for ns in self.ends:
            run('ip', 'netns', 'add', ns)
        a, b = self.ends
        run('ip', '-n', a, 'link', 'add', 'veth0', 'type', 'veth', 'peer',
            'name', 'veth1', 'netns', b)
        run('ip', '-n', a, 'link', 'set', 'veth0', 'up')
        run('ip', '-n', b, 'link', 'set', 'veth1', 'up')
        # Nothing answers, and nothing else is on the wire.
        for ns in self.ends:
            run('ip', 'netns', 'exec', ns, 'sysctl', '-qw',
                'net.ipv6.conf.all.disable_ipv6=1')

    def words(self, end, *command):
        return ['ip', 'netns', 'exec', self.ends[end], *command]

    def counter(self):
        """A descriptor of the receiving interface's packet count."""
        keep = os.open('/proc/self/ns/net', os.O_RDONLY)
        there = os.open('/run/netns/' + self.ends[1], os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.setns(there, 0)
        libc.unshare(0x00020000)  # CLONE_NEWNS: a /sys of our own
        libc.mount(b'none', b'/', None, 0x44000, None)  # private, all of it
        libc.mount(b'sysfs', b'/sys', b'sysfs', 0, None)
        counter = os.open('/sys/class/net/veth1/statistics/rx_packets',
                          os.O_RDONLY)
        libc.umount2(b'/sys', 2)
        libc.setns(keep, 0)
        os.close(there)
        os.close(keep)
        return counter

    def remove(self):
        for ns in self.ends:
            subprocess.run(['ip', 'netns', 'del', ns], check=False)


def cpu_seconds(pid):
    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def count_packets(paths):
    """Records of classic pcap or pcapng files, by their lengths alone."""
    n = 0
    for path in paths:
        with open(path, 'rb') as f:
            data = f.read()
        if data[:4] == b'\x0a\x0d\x0d\x0a':
            at = 0
            while at + 12 <= len(data):
                kind, size = struct.unpack_from('<II', data, at)
                n += kind == 6
                if size < 12:
                    break
                at += size
        else:
            at = 24
            while at + 16 <= len(data):
                at += 16 + struct.unpack_from('<I', data, at + 8)[0]
                n += at <= len(data)
    return n


class Weir:
    name = 'weir'

    def __init__(self, program, folder):
        self.folder = folder
        self.words = [program, 'agent', 'capture', '--iface', 'veth1',
                      '--spool-dir', folder, '--log', 'error']

    def ready(self):
        return os.path.exists(self.folder + '/src1/live')

    def files(self):
        folder = self.folder + '/src1'
        return [os.path.join(folder, f) for f in os.listdir(folder)
                if re.fullmatch(r'\d{20}\.pcap', f)]

    def head(self, live):
        """The durable head, from the 64 bytes of `live`."""
        return struct.unpack_from('<Q', os.pread(live, 64, 0), 32)[0]


class Other:
    def __init__(self, name, folder):
        self.name = name
        self.path = os.path.join(folder, 'out.pcap')
        self.words = [name, '-i', 'veth1', '-w', self.path] + \
            (['-q'] if name == 'dumpcap' else ['-s', '0'])

    def ready(self):
        return os.path.exists(self.path)

    def files(self):
        return [self.path]


def sample_lag(tool, counter, blast):
    """While packets flow: seconds from the wire to durable, many times.

    A packet that the interface has counted at one moment is durable when the
    head has passed that count; the time between is its lag.
    """
    live = os.open(tool.folder + '/src1/live', os.O_RDONLY)
    base = int(os.pread(counter, 32, 0)) - tool.head(live)
    waiting, lags = [], []
    while blast.poll() is None or (waiting and len(lags) < 100000):
        now = time.monotonic()
        waiting.append((now, int(os.pread(counter, 32, 0)) - base))
        head = tool.head(live)
        now = time.monotonic()
        while waiting and waiting[0][1] <= head:
            lags.append(now - waiting.pop(0)[0])
        if blast.poll() is not None and waiting and \
           now - waiting[-1][0] > 1:
            break
        time.sleep(0.0005)
    os.close(live)
    return lags


def one(tool, wire, blaster, size, rate, seconds):
    """(sent, got, cpu seconds, offered rate, lags) of one round."""
    child = subprocess.Popen(wire.words(1, *tool.words),
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not tool.ready() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.5)
    count = int((rate or 400000) * seconds)
    words = [blaster, '--iface', 'veth0', '--count', str(count), '--size',
             str(size)] + (['--rate', str(rate)] if rate else [])
    before = cpu_seconds(child.pid)
    began = time.monotonic()
    blast = subprocess.Popen(wire.words(0, *words),
                             stdout=subprocess.DEVNULL)
    lags = []
    if tool.name == 'weir':
        counter = wire.counter()
        lags = sample_lag(tool, counter, blast)
        os.close(counter)
    if blast.wait() != 0:
        raise RuntimeError('blast failed')
    took = time.monotonic() - began
    time.sleep(0.5)
    spent = cpu_seconds(child.pid) - before
    child.send_signal(signal.SIGINT)
    child.wait(timeout=60)
    return count, count_packets(tool.files()), spent, count / took, lags


def lag_columns(results):
    lags = sorted(lag for r in results for lag in r[4])
    if not lags:
        return {}
    return {'durable_p50_ms': round(1000 * lags[len(lags) // 2], 2),
            'durable_p99_ms': round(1000 * lags[len(lags) * 99 // 100], 2)}


def measure(args):
    rows = []
    wire = Wire()
    try:
        for size in SIZES:
            for rate in RATES:
                rounds = {}
                for _ in range(ROUNDS):
                    for name in 'weir', 'tcpdump', 'dumpcap':
                        with tempfile.TemporaryDirectory(
                                prefix='weir-bench-', dir=args.dir) as folder:
                            tool = Weir(args.weir, folder) \
                                if name == 'weir' else Other(name, folder)
                            rounds.setdefault(name, []).append(
                                one(tool, wire, args.blast, size, rate,
                                    args.seconds))
                for name, results in rounds.items():
                    rows.append({
                        'tool': name, 'size': size, 'rate': rate,
                        'offered_pps': round(statistics.median(
                            r[3] for r in results)),
                        'lost_percent': round(statistics.median(
                            100 * (r[0] - r[1]) / r[0] for r in results), 3),
                        **lag_columns(results),
                        'cpu_ns': round(statistics.median(
                            1e9 * r[2] / r[0] for r in results)),
                    })
    finally:
        wire.remove()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--seconds', type=float, default=1)
    parser.add_argument('--dir', default=None,
                        help='where captures are written; a real disk')
    parser.add_argument('weir')
    parser.add_argument('blast')
    args = parser.parse_args()
    rows = measure(args)
    if args.json:
        print(json.dumps(rows))
        return
    print('%-8s %5s %9s %9s %8s %8s %11s %11s' % (
        'tool', 'bytes', 'asked/s', 'offered/s', 'lost %', 'cpu ns',
        'durable p50', 'p99 ms'))
    for r in rows:
        print('%-8s %5d %9s %9d %8.3f %8d %11s %11s' % (
            r['tool'], r['size'], r['rate'] or 'all', r['offered_pps'],
            r['lost_percent'], r['cpu_ns'], r.get('durable_p50_ms', ''),
            r.get('durable_p99_ms', '')))


sys.exit(main())
