#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Conversations for the tests of the store, the same ones at each call.

    traffic.py FILE [SEED [CONNECTIONS [SECONDS]]]

writes a capture in which many TCP connections overlap: short ones and some
that last from the beginning to the end, HTTP with keep-alive, lost and early
segments, repeats, ports that are used again, resets, connections that never
get an answer, fragments, and UDP beside it.
"""

import random
import struct
import sys

ACK, PSH, SYN, FIN, RST = 16, 8, 2, 1, 4


def checksum(data):
    if len(data) % 2:
        data += b'\0'
    s = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ip(src, dst, protocol, payload, ident=0, frag=0):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), ident,
                       frag, 64, protocol, 0, src, dst)
    head = head[:10] + struct.pack('!H', checksum(head)) + head[12:]
    return b'\2\0\0\0\0\1\2\0\0\0\0\2\x08\0' + head + payload


def tcp(src, dst, sport, dport, seq, ack, flags, data=b''):
    return ip(src, dst, 6, struct.pack(
        '!HHIIBBHHH', sport, dport, seq & 0xffffffff, ack & 0xffffffff, 0x50,
        flags, 65535, 0, 0) + data)


class Connection:
    """One connection as a list of (seconds after its start, frame)."""

    def __init__(self, rng, n, seconds):
        self.rng = rng
        self.c = bytes([10, 60, n >> 8 & 255, n & 255])
        self.s = bytes([10, 60, 200, 1 + n % 3])
        # Few ports: they are used again.
        self.cport, self.sport = 30000 + n % 40, rng.choice([80, 9000])
        if n % 7 == 0:
            self.c = bytes([10, 60, 250, 1])
        self.cseq, self.sseq = rng.getrandbits(32), rng.getrandbits(32)
        self.t, self.out, self.n = 0.0, [], n
        self.pace = seconds

    def put(self, frame):
        self.out.append((self.t, frame))
        self.t += self.pace * self.rng.uniform(0.2, 1.8)

    def segment(self, mine, flags, data=b''):
        a, b = (self.c, self.s) if mine else (self.s, self.c)
        ports = (self.cport, self.sport)
        seq, ack = (self.cseq, self.sseq) if mine else (self.sseq, self.cseq)
        return tcp(a, b, *(ports if mine else ports[::-1]), seq, ack, flags,
                   data)

    def say(self, mine, data):
        at, rng = 0, self.rng
        parts = []
        while at < len(data):
            part = data[at:at + rng.choice([100, 700, 1400])]
            parts.append(self.segment(mine, ACK | PSH, part))
            if mine:
                self.cseq += len(part)
            else:
                self.sseq += len(part)
            at += len(part)
        if len(parts) > 2 and rng.random() < .2:
            i = rng.randrange(len(parts) - 1)
            parts[i], parts[i + 1] = parts[i + 1], parts[i]
        if len(parts) > 2 and rng.random() < .1:
            del parts[rng.randrange(len(parts))]
        if rng.random() < .1:
            parts.append(parts[0])
        for part in parts:
            self.put(part)
        self.put(self.segment(not mine, ACK))

    def run(self, exchanges):
        rng = self.rng
        self.put(self.segment(True, SYN))
        if rng.random() < .05:
            return self.out
        self.cseq += 1
        self.put(self.segment(False, SYN | ACK))
        self.sseq += 1
        self.put(self.segment(True, ACK))
        for i in range(exchanges):
            self.say(True, b'GET /thing/%d/%d HTTP/1.1\r\nHost: shop-%d.test'
                     b'\r\n\r\n' % (self.n, i, self.n % 5))
            body = bytes(rng.getrandbits(8) for _ in range(
                rng.choice([10, 900, 6000])))
            if rng.random() < .3:
                body += b'FLAG{%08x}' % rng.getrandbits(32)
            self.say(False, b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n'
                     % len(body) + body)
        end = rng.random()
        if end < .6:
            self.put(self.segment(True, FIN | ACK))
            self.cseq += 1
            self.put(self.segment(False, FIN | ACK))
            self.sseq += 1
            self.put(self.segment(True, ACK))
        elif end < .8:
            self.put(self.segment(False, RST | ACK))
        return self.out


def datagrams(rng, n):
    """A question and its answer, the answer sometimes in fragments."""
    c, s = bytes([10, 61, n >> 8 & 255, n & 255]), bytes([10, 61, 250, 1])
    ask = struct.pack('!HHHH', 2000 + n % 50, 5555, 8 + 20, 0) + b'q' * 20
    big = struct.pack('!HHHH', 5555, 2000 + n % 50, 8 + 1600, 0) + bytes(
        rng.getrandbits(8) for _ in range(1600))
    yield 0.0, ip(c, s, 17, ask)
    yield 0.001, ip(s, c, 17, big[:800], n + 1, 0x2000)
    yield 0.02, ip(s, c, 17, big[800:], n + 1, 100)


def main():
    path = sys.argv[1]
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    connections = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 60.0
    frames = []
    for n in range(connections):
        last = n % 50 == 0
        at = 0 if last else rng.uniform(0, seconds * .9)
        exchanges = 40 if last else rng.choice([1, 1, 2, 4])
        pace = seconds / 900 if last else rng.choice([.002, .01, .05])
        frames += [(at + t, f)
                   for t, f in Connection(rng, n, pace).run(exchanges)]
        at = rng.uniform(0, seconds)
        frames += [(at + t, f) for t, f in datagrams(rng, n)]
    frames.sort(key=lambda x: x[0])
    with open(path, 'wb') as f:
        f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for t, frame in frames:
            us = int((1_700_000_000 + t) * 1_000_000)
            f.write(struct.pack('<IIII', us // 1_000_000, us % 1_000_000,
                                len(frame), len(frame)) + frame)


main()
