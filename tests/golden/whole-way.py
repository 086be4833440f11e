#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""whole-way.py WEIR CAPSUM CAPJOIN SAMPLE - file to feed, nothing lost.

All packets of the shared captures (of the sample, where those are not) go the
whole way with the real program: agent capture into a spool for each link type,
agent listen over the encrypted link to one collector, its mirrors, and out of
the feeds.  What a reader of each feed gets must have the same SHA-256 over
times, lengths and bytes as what went in.  In TAP.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

LIMIT = 120  # seconds for anything that is waited for


def captures():
    corpus = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    truth = os.path.join(corpus, 'truth.jsonl')
    if not os.path.exists(truth):
        return None
    with open(truth, encoding='utf-8') as f:
        return [os.path.join(corpus, json.loads(line)['file']) for line in f]


def sums(capsum, *files):
    """{link type: (packets, sha256)} of captures taken as one."""
    out = subprocess.run([capsum, *files], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=False).stdout
    return {int(t): (int(n), h) for t, n, h in re.findall(
        r'linktype (\d+) packets (\d+) sha256 ([0-9a-f]+)', out.decode())}


def free_ports(n):
    """The first of n neighbouring ports that nobody uses."""
    for base in range(21000 + os.getpid() % 5000, 60000, n):
        try:
            for port in range(base, base + n):
                with socket.socket() as s:
                    s.bind(('127.0.0.1', port))
            return base
        except OSError:
            continue
    raise RuntimeError('no free ports')


def wait_for(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError('waited %d s for %s' % (LIMIT, what))
        time.sleep(0.05)


def public_key(weir, path):
    out = subprocess.run([weir, 'keygen', '--public', path], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    return out.split()[-1]


class Way:
    """The two living ends, and what belongs to them."""

    def __init__(self, weir, folder, ids):
        self.weir, self.folder, self.ids = weir, folder, ids
        self.children = []
        self.port = free_ports(len(ids) + 2)
        for end in 'agent', 'collector':
            subprocess.run([weir, 'keygen', '--out', self.path(end + '.key')],
                           check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, name, *args):
        log = open(self.path(name + '.log'), 'wb')
        self.children.append(subprocess.Popen(
            [self.weir, *args], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log))

    def open(self):
        sources = [word for i in self.ids for word in ('--src-id', str(i))]
        link = '127.0.0.1:%d' % (self.port)
        self.feed = self.port + 2
        self.start('listen', 'agent', 'listen', '--spool-dir',
                   self.path('spool'), '--key', self.path('agent.key'),
                   '--peer', public_key(self.weir,
                                        self.path('collector.key')),
                   '--listen', link, *sources)
        self.start('collector', 'collector', '--agent', link, '--agent-key',
                   public_key(self.weir, self.path('agent.key')),
                   '--key', self.path('collector.key'), '--mirror-dir',
                   self.path('mirror'), '--metrics-addr',
                   '127.0.0.1:%d' % (self.port + 1), '--listen',
                   '127.0.0.1:%d,from=oldest,unit=ns,max-caplen=16777216' %
                   self.feed, *sources)

    def committed(self):
        """Packets in the mirrors, as the collector counts them."""
        try:
            page = urllib.request.urlopen(
                'http://127.0.0.1:%d/metrics' % (self.port + 1),
                timeout=5).read().decode()
        except OSError:
            return -1
        return sum(int(float(n)) for n in re.findall(
            r'^ipcap_collector_committed_gpidx\{.*\} (\S+)$', page, re.M))

    def read_feed(self, n, size):
        """Bytes that a client of the n-th feed gets, up to that many."""
        got = bytearray()
        with socket.create_connection(('127.0.0.1', self.feed + n)) as s:
            s.settimeout(LIMIT)
            while len(got) < size:
                piece = s.recv(1 << 20)
                if not piece:
                    break
                got += piece
        return bytes(got)

    def close(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        return [child.wait(timeout=30) for child in self.children]


def run(weir, capsum, capjoin, files, folder):
    joined = os.path.join(folder, 'in')
    os.mkdir(joined)
    subprocess.run([capjoin, joined, *files], check=True)
    types = sorted(int(name.split('.')[0]) for name in os.listdir(joined))
    paths = {t: os.path.join(joined, '%d.pcap' % t) for t in types}
    want = sums(capsum, *files)
    want = {t: v for t, v in want.items() if v[0]}
    ids = {t: i + 1 for i, t in enumerate(types)}

    for t in types:
        subprocess.run([weir, 'agent', 'capture', '--pcap-file', paths[t],
                        '--spool-dir', os.path.join(folder, 'spool'),
                        '--src-id', str(ids[t]), '--rotate-bytes', '1MiB'],
                       check=True, stderr=subprocess.DEVNULL)
    way = Way(weir, folder, list(ids.values()))
    got = {}
    try:
        way.open()
        total = sum(n for n, _ in want.values())
        wait_for('%d packets in the mirrors' % total,
                 lambda: way.committed() >= total)
        for t in types:
            out = os.path.join(folder, 'out.pcap')
            with open(out, 'wb') as f:
                f.write(way.read_feed(ids[t] - 1, os.path.getsize(paths[t])))
            got.update(sums(capsum, out))
    finally:
        ended = way.close()
    return want, got, ended


def main():
    weir, capsum, capjoin, sample = sys.argv[1:5]
    files = captures()
    # A disk of memory: thousands of commits would only measure the disk.
    folder = tempfile.mkdtemp(
        prefix='weir-whole-way-',
        dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
    try:
        want, got, ended = run(weir, capsum, capjoin, files or [sample],
                               folder)
    finally:
        shutil.rmtree(folder)
    wrong = [t for t in want if got.get(t) != want[t]]
    for t in wrong:
        print('# link type %d: want %s, got %s' % (t, want[t], got.get(t)))
    print('1..2')
    print('%sok 1 - I54 %d packets of %d captures and %d link types come out '
          'as they went in' % ('not ' if wrong or not want else '',
                               sum(n for n, _ in want.values()),
                               len(files or [sample]), len(want)))
    print('%sok 2 - both ends stop cleanly' %
          ('not ' if any(ended) else ''))
    return 1 if wrong or not want or any(ended) else 0


sys.exit(main())
