#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A slow second opinion on the query language.

    search_reference.py WEIR STORE SEED [COUNT]

Makes COUNT random queries over what the store holds, decides each stream by
itself (rows by SQLite's plain SELECT, payload read by doc/store-format.md,
Python's own regexes, every pair of matches tried for `then`) and compares with
what `weir search` says: the same streams, newest first, all of them looked at.
Nothing of Weir's is used but the program under test.
"""

import ipaddress
import json
import random
import re
import sqlite3
import struct
import subprocess
import sys

CLIENT, SERVER, BOTH = 1, 2, 3


# -- the store, by its documented format alone --------------------------------


class Stream:
    def __init__(self, directory, files, row, gaps, tables):
        self.row = row
        self.caller = row['caller']
        self.tables = tables
        self.runs = [[], []]
        for way, name in enumerate('ab'):
            self.runs[way] = self.split(
                read(directory, files, row['runs_' + name]),
                gaps.get(way, []))
        self.turns = []
        raw = read(directory, files, row['runs_turns'])
        for at in range(0, len(raw), 32):
            offset, _, _, length, way = struct.unpack_from('<QQQIB', raw, at)
            self.turns.append((way, offset, offset + length))
        self.seen = {}

    @staticmethod
    def split(data, gaps):
        """[(offset, bytes)], cut at the holes."""
        out, offset, at = [], 0, 0
        for start, length in sorted(gaps):
            take = start - offset
            if take > 0 and at < len(data):
                out.append((offset, data[at:at + take]))
                at += take
            offset = start + length
        if at < len(data):
            out.append((offset, data[at:]))
        return out

    def turn_of(self, way, offset):
        for i, (w, start, end) in enumerate(self.turns):
            if w == way and start <= offset < end:
                return i
        raise AssertionError('no turn has %d of %d' % (offset, way))

    def matches(self, term):
        """[(way, start, end)]"""
        if term not in self.seen:
            self.seen[term] = list(self.find(term))
        return self.seen[term]

    def find(self, term):
        side, kind, what, _ = term
        for way in (0, 1):
            if not side & (CLIENT if way == self.caller else SERVER):
                continue
            for offset, data in self.runs[way]:
                if kind == 'regex':
                    for m in re.compile(*what).finditer(data):
                        yield way, offset + m.start(), offset + m.end()
                else:
                    at = data.find(what)
                    while at >= 0:
                        yield way, offset + at, offset + at + len(what)
                        at = data.find(what, at + 1)


def read(directory, files, runs):
    out = b''
    for at in range(0, len(runs), 32):
        segment, offset, _, _, used, _, _ = struct.unpack_from('<IIQIIII',
                                                               runs, at)
        if segment not in files:
            files[segment] = open('%s/payload/%08x.seg' % (directory, segment),
                                  'rb')
        files[segment].seek(offset)
        out += files[segment].read(used)
    return out


def load(directory):
    db = sqlite3.connect('file:%s/store.db?mode=ro' % directory, uri=True,
                         timeout=10)
    db.row_factory = sqlite3.Row
    gaps, tables = {}, {}
    for r in db.execute('SELECT stream, way, at, len FROM gaps'):
        gaps.setdefault(r['stream'], {}).setdefault(r['way'], []).append(
            (r['at'], r['len']))
    for name in ('tags', 'matches', 'messages', 'marks'):
        for r in db.execute('SELECT * FROM ' + name):
            tables.setdefault(r['stream'], {}).setdefault(name, []).append(r)
    files = {}
    streams = [Stream(directory, files, r, gaps.get(r['id'], {}),
                      tables.get(r['id'], {}))
               for r in db.execute('SELECT * FROM streams')]
    streams.sort(key=lambda s: (s.row['first_ns'], s.row['id']), reverse=True)
    return streams


# -- random conditions: a text, and whether it is true of a stream --------------


def two(row, name):
    return row[name + '_a'] + row[name + '_b']


def side(s, name, server):
    return s.row[name + '_' + 'ab'[s.caller ^ server]]


NUMBERS = {
    'port': lambda s: (s.row['port_a'], s.row['port_b']),
    'cport': lambda s: (side(s, 'port', 0),),
    'sport': lambda s: (side(s, 'port', 1),),
    'bytes': lambda s: (two(s.row, 'delivered'),),
    'cbytes': lambda s: (side(s, 'delivered', 0),),
    'out.bytes': lambda s: (side(s, 'delivered', 1),),
    'packets': lambda s: (two(s.row, 'packets'),),
    'spackets': lambda s: (side(s, 'packets', 1),),
    'gaps': lambda s: (two(s.row, 'gaps'),),
    'lost': lambda s: (two(s.row, 'gap_bytes'),),
    'matches': lambda s: (len(s.tables.get('matches', [])),),
    'vlan': lambda s: (s.row['vlan'],),
}
STATES = {
    'open': lambda r: r['ended'] == 0 and r['state'] < 3,
    'closed': lambda r: r['ended'] != 0 or r['state'] == 3,
    'half': lambda r: r['state'] == 0 and r['protocol'] == 6,
    'fin': lambda r: r['ended'] == 1,
    'reset': lambda r: r['ended'] == 2 or r['rst_a'] or r['rst_b'],
    'idle': lambda r: r['ended'] == 3,
    'reused': lambda r: r['ended'] == 4,
    'cut': lambda r: r['ended'] == 6,
    'gap': lambda r: two(r, 'gaps') > 0,
    'conflict': lambda r: two(r, 'conflicts') > 0,
    'evicted': lambda r: r['evicted'] != 0,
}
PROTOCOLS = {'tcp': (6,), 'udp': (17,), 'icmp': (1, 58), 'sctp': (132,)}
# key: (table, columns, protocols)
TEXTS = {
    'tag': ('tags', ('tag',), None),
    'pattern': ('matches', ('name', 'pattern'), None),
    'message': ('messages', ('summary',), None),
    'http.method': ('messages', ('method',), (0, 1)),
    'http.target': ('messages', ('target',), (0, 1)),
    'http.host': ('messages', ('host',), (0, 1)),
    'sni': ('messages', ('host',), (4, 5)),
    'dns': ('messages', ('name',), (3,)),
}


class Maker:
    def __init__(self, rng, streams):
        self.rng, self.streams = rng, streams
        self.full = [s for s in streams if s.runs[0] or s.runs[1]]

    def some(self):
        return self.rng.choice(self.streams)

    # Each returns (text, function of a stream).

    def number(self):
        key = self.rng.choice(sorted(NUMBERS))
        of = NUMBERS[key]
        a, b = sorted(self.rng.choice(of(self.some())) for _ in range(2))
        how = self.rng.randrange(6)
        if how == 0:
            return '%s:%d' % (key, a), lambda s: a in of(s)
        if how == 1:
            return '%s>%d' % (key, a), lambda s: any(v > a for v in of(s))
        if how == 2:
            return '%s<=%d' % (key, b), lambda s: any(v <= b for v in of(s))
        if how == 3:
            return '%s:%d,%d' % (key, a, b), lambda s: bool({a, b} & set(of(s)))
        if how == 4:
            return '%s:%d..' % (key, a), lambda s: any(v >= a for v in of(s))
        return ('%s:%d..%d' % (key, a, b),
                lambda s: any(a <= v <= b for v in of(s)))

    def time(self):
        column = self.rng.choice(['first', 'last'])
        a, b = sorted(self.some().row[column + '_ns'] for _ in range(2))

        def stamp(ns):
            return '@%d.%09d' % (ns // 10**9, ns % 10**9)
        if self.rng.randrange(2):
            return ('%s:%s..%s' % (column, stamp(a), stamp(b)),
                    lambda s: a <= s.row[column + '_ns'] <= b)
        a -= a % 10**9
        return ('%s:@%d' % (column, a // 10**9),
                lambda s: a <= s.row[column + '_ns'] < a + 10**9)

    def duration(self):
        ms = (self.some().row['last_ns'] - self.some().row['first_ns'])
        ms = abs(ms) // 10**6
        return ('duration>=%dms' % ms,
                lambda s: s.row['last_ns'] - s.row['first_ns'] >= ms * 10**6)

    def host(self):
        key, which = self.rng.choice(
            [('host', 'ab'), ('chost', 'c'), ('shost', 's')])
        of = {'ab': lambda s: (s.row['address_a'], s.row['address_b']),
              'c': lambda s: (side(s, 'address', 0),),
              's': lambda s: (side(s, 'address', 1),)}[which]
        address = ipaddress.ip_address(self.rng.choice(of(self.some())))
        bits = self.rng.choice([address.max_prefixlen,
                                self.rng.randint(1, address.max_prefixlen)])
        net = ipaddress.ip_network('%s/%d' % (address, bits), strict=False)
        text = str(address) if self.rng.randrange(2) and \
            bits == address.max_prefixlen else '%s/%d' % (address, bits)
        return ('%s:%s' % (key, text),
                lambda s: any(ipaddress.ip_address(a) in net for a in of(s)))

    def state(self):
        a, b = self.rng.choice(sorted(STATES)), self.rng.choice(sorted(STATES))
        if self.rng.randrange(2):
            return 'state:' + a, lambda s: STATES[a](s.row)
        return ('state:%s,%s' % (a, b),
                lambda s: STATES[a](s.row) or STATES[b](s.row))

    def service(self):
        def of(s):
            return s.row['service'] or 'unknown'
        name = of(self.some())
        how = self.rng.randrange(3)
        if how == 0:
            return ('service:%s*' % name[:2].upper(),
                    lambda s: of(s).startswith(name[:2]))
        if how == 1:
            return 'service~%s' % name[1:], lambda s: name[1:] in of(s)
        return 'service:' + name, lambda s: of(s) == name

    def protocol(self):
        name = self.rng.choice(sorted(PROTOCOLS))
        return ('protocol:' + name,
                lambda s: s.row['protocol'] in PROTOCOLS[name])

    def identity(self):
        row = self.some().row
        return ('id:%x' % (row['id'] % 2**64),
                lambda s: s.row['id'] == row['id'])

    def text(self):
        key = self.rng.choice(sorted(TEXTS))
        table, columns, protocols = TEXTS[key]

        def of(s):
            for r in s.tables.get(table, []):
                if protocols is None or r['protocol'] in protocols:
                    for c in columns:
                        yield r[c] if isinstance(r[c], str) else ''
        values = {v for s in self.rng.sample(self.full, min(50, len(self.full)))
                  for v in of(s) if v.isascii() and v.isprintable()}
        value = self.rng.choice(sorted(values) or ['nothing'])
        quoted = '"%s"' % value.replace('\\', '\\\\').replace('"', '\\"')
        how = self.rng.randrange(3)
        if how == 0:
            part = value[:1 + len(value) // 2]
            return ('%s~"%s"' % (key, part.replace('\\', '\\\\').replace(
                '"', '\\"')),
                    lambda s: any(part.lower() in v.lower() for v in of(s)))
        if how == 1 and value:
            pattern = re.escape(value[:8]).replace('/', '\\/')
            return ('%s~/^%s/' % (key, pattern),
                    lambda s: any(v.startswith(value[:8]) for v in of(s)))
        return ('%s:%s' % (key, quoted),
                lambda s: any(v.lower() == value.lower() for v in of(s)))

    # -- payload

    def piece(self):
        """Some bytes that were said, or nearly."""
        s = self.rng.choice(self.full)
        _, data = self.rng.choice([r for runs in s.runs for r in runs])
        at = self.rng.randrange(len(data))
        piece = data[at:at + self.rng.randint(1, 9)]
        if self.rng.randrange(8) == 0:
            piece += bytes([self.rng.randrange(256)])
        return piece

    def regex(self):
        piece, out = self.piece(), ''
        for c in piece:
            c = bytes([c])
            how = self.rng.randrange(8)
            if how == 0 and c.isdigit():
                out += '\\d+'
            elif how == 1 and c.isalpha():
                out += '\\w{1,3}'
            elif how == 2 and c != b'\n':
                out += '.'
            elif how == 3:
                out += '[\\x%02x\\x%02x]' % (c[0], self.rng.randrange(256))
            elif how == 4:
                out += '(?:\\x%02x|\\x00)' % c[0]
            elif c.isalnum():
                out += c.decode()
            else:
                out += '\\x%02x' % c[0]
        if self.rng.randrange(6) == 0:
            out = '^' + out
        if self.rng.randrange(4) == 0:
            out += '|' + ''.join('\\x%02x' % c for c in self.piece())
        flags, letters = 0, ''
        if self.rng.randrange(4) == 0:
            flags, letters = re.I, 'i'
        if self.rng.randrange(4) == 0:
            flags, letters = flags | re.S, letters + 's'
        return '/%s/%s' % (out, letters), (out.encode(), flags)

    def term(self):
        """(side, kind, what, text)"""
        which = self.rng.choice([CLIENT, SERVER, BOTH, BOTH])
        key = {CLIENT: ['cdata:', 'in~'], SERVER: ['sdata:', 'out~'],
               BOTH: ['data:', 'any~', '']}[which]
        key = self.rng.choice(key)
        how = self.rng.randrange(4)
        if how == 0:
            text, what = self.regex()
            return which, 'regex', what, key + text
        piece = self.piece()
        if how == 1:
            return (which, 'literal', piece,
                    key + 'x"' + piece.hex(self.rng.choice(' :')) + '"')
        if how == 2 and key and piece.isalnum():
            return which, 'literal', piece, key + piece.decode()
        return (which, 'literal', piece, key + '"' + ''.join(
            chr(c) if 32 <= c < 127 and c not in b'"\\' else '\\x%02x' % c
            for c in piece) + '"')

    def payload(self):
        t = self.term()
        return t[3], lambda s: bool(s.matches(t))

    def then(self):
        steps, words = [], []
        for _ in range(self.rng.choice([2, 2, 2, 3])):
            terms = [self.term()]
            if self.rng.randrange(5) == 0:
                terms.append(self.term())
            steps.append(terms)
            words.append(terms[0][3] if len(terms) == 1 else
                         '(%s or %s)' % (terms[0][3], terms[1][3]))

        def behind(s, a, b):
            if a[0] == b[0]:
                return b[1] >= a[2]
            return s.turn_of(b[0], b[1]) > s.turn_of(a[0], a[2] - 1)

        def holds(s):
            here = None
            for terms in steps:
                all_of = [m for t in terms for m in s.matches(t)]
                if here is not None:
                    all_of = [m for m in all_of
                              if any(behind(s, a, m) for a in here)]
                if not all_of:
                    return False
                here = all_of
            return True
        return ' then '.join(words), holds

    def leaf(self):
        return self.rng.choice(
            [self.number, self.time, self.duration, self.host, self.state,
             self.service, self.protocol, self.identity, self.text,
             self.payload, self.payload, self.payload, self.payload,
             self.then, self.then])()

    def tree(self, depth):
        how = self.rng.randrange(6) if depth else 5
        if how >= 4:
            return self.leaf()
        if how == 3:
            text, f = self.tree(depth - 1)
            sign = self.rng.choice(['-', 'not '])
            return '%s(%s)' % (sign, text), lambda s: not f(s)
        parts = [self.tree(depth - 1) for _ in range(self.rng.randint(2, 3))]
        fs = [f for _, f in parts]
        if how == 2:
            return ('(' + ' or '.join(t for t, _ in parts) + ')',
                    lambda s: any(f(s) for f in fs))
        between = self.rng.choice([' ', ' and '])
        return ('(' + between.join(t for t, _ in parts) + ')',
                lambda s: all(f(s) for f in fs))


# -- comparing ------------------------------------------------------------------


def ask(weir, directory, text):
    out = subprocess.run(
        [weir, 'search', '--store', directory, '--json', '--matches', '0',
         '--', text], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    if out.returncode not in (0, 1) or not lines:
        raise AssertionError('%s: status %d, %s' % (
            text, out.returncode, out.stderr.decode()))
    end = lines.pop()['searched']
    ids = [int(line['stream_id'], 16) for line in lines]
    assert end['end'] == 'done' and end['found'] == len(ids), (text, end)
    assert end['bytes'] == end['bytes_total'], (text, end)
    assert out.returncode == (0 if ids else 1), (text, out.returncode)
    return ids


def main():
    weir, directory, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    streams = load(directory)
    maker = Maker(random.Random(seed), streams)
    wrong, some, payload = 0, 0, 0
    for _ in range(count):
        text, f = maker.tree(2)
        want = [s.row['id'] % 2**64 for s in streams if f(s)]
        got = ask(weir, directory, text)
        some += 0 < len(want) < len(streams)
        payload += 'x"' in text or '/' in text or '~' in text
        if got != want:
            wrong += 1
            print('# %s: %d found, %d wanted, missing %s, too many %s' % (
                text, len(got), len(want),
                ['%x' % i for i in want if i not in got][:3],
                ['%x' % i for i in got if i not in want][:3]))
    print('%d queries over %d streams, %d differ, %d with some of them' % (
        count, len(streams), wrong, some))
    sys.exit(1 if wrong or some < count / 4 else 0)


main()
