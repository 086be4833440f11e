#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pcap.py - captures made, read and compared, for the end-to-end tests.

  make N [--size B] [--rate PPS] [--link L] [--ns] [--snaplen S] [--first I]
       a pcap of N packets on standard output; --rate keeps the pace and
       says how late it was at worst
  read HOST:PORT [--count N] [--pace BYTES] [--from ADDR] [--out FILE]
       be a reader, strictly: whole records, lengths within the header's
       bound; prints "packets=… gap_ms=… link=… snaplen=… unit=… whole=…"
  hold HOST:PORT N [--seconds S]
       N connections that never read
  list FILE
       one line a packet: time lengths sha256; equal files print the same

Packet I of `make` is an Ethernet frame that says so in its bytes 14 to 21.
"""
import argparse
import hashlib
import socket
import struct
import sys
import time

MAGICS = {0xa1b2c3d4: 'us', 0xa1b23c4d: 'ns'}


def make(o):
    out = sys.stdout.buffer
    magic = 0xa1b23c4d if o.ns else 0xa1b2c3d4
    out.write(struct.pack('<IHHIIII', magic, 2, 4, 0, 0, o.snaplen, o.link))
    out.flush()
    begun = time.monotonic()
    late = 0
    for i in range(o.first, o.first + o.n):
        ns = 1700000000 * 10**9 + i * 1000003
        data = (b'\x02' * 12 + b'\x88\xb5' + struct.pack('<Q', i)
                ).ljust(o.size, bytes([i % 251]))
        frac = ns % 10**9 if o.ns else ns % 10**9 // 1000
        out.write(struct.pack('<IIII', ns // 10**9, frac, len(data),
                              len(data)) + data)
        if o.rate and i % 10 == 0:
            out.flush()
            wait = begun + (i - o.first) / o.rate - time.monotonic()
            late = max(late, -wait)
            if wait > 0:
                time.sleep(wait)
    out.flush()
    if o.rate:
        print('late_ms=%d' % (late * 1000), file=sys.stderr)


def address(text):
    host, port = text.rsplit(':', 1)
    return host.strip('[]'), int(port)


def read(o):
    source = (o.source, 0) if o.source else None
    s = socket.create_connection(address(o.address), source_address=source)
    if o.pace:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    out = open(o.out, 'wb') if o.out else None
    buf = b''
    head = None
    packets = 0
    gap = 0
    last = None
    done = False
    while not done:
        data = s.recv(o.pace if o.pace else 1 << 16)
        if o.pace:
            time.sleep(1)
        now = time.monotonic()
        if not data:
            break
        if last is not None:
            gap = max(gap, now - last)
        last = now
        buf += data
        if out:
            out.write(data)
        at = 0
        if head is None:
            if len(buf) < 24:
                continue
            f = struct.unpack_from('<IHHIIII', buf)
            if f[0] not in MAGICS:
                sys.exit('no pcap header: %r' % buf[:24])
            head = dict(unit=MAGICS[f[0]], snaplen=f[5], link=f[6])
            at = 24
        while len(buf) - at >= 16:
            sec, frac, cap, wire = struct.unpack_from('<IIII', buf, at)
            if cap > head['snaplen'] or cap > wire:
                sys.exit('packet %d: %d bytes of %d with snaplen %d' %
                         (packets, cap, wire, head['snaplen']))
            if frac >= (10**6 if head['unit'] == 'us' else 10**9):
                sys.exit('packet %d: fraction %d' % (packets, frac))
            if len(buf) - at < 16 + cap:
                break
            at += 16 + cap
            packets += 1
            if packets == o.count:
                done = True
                break
        buf = buf[at:]
    head = head or dict(unit='-', snaplen='-', link='-')
    print('packets=%d gap_ms=%d link=%s snaplen=%s unit=%s whole=%d' %
          (packets, gap * 1000, head['link'], head['snaplen'], head['unit'],
           done or not buf))


def hold(o):
    begun = time.monotonic()
    held = [socket.create_connection(address(o.address)) for _ in range(o.n)]
    print('holding %d after %d ms' % (
        len(held), (time.monotonic() - begun) * 1000), flush=True)
    time.sleep(o.seconds)


def show(o):
    data = open(o.file, 'rb').read()
    magic = struct.unpack_from('<I', data)[0]
    at = 24
    while at + 16 <= len(data):
        sec, frac, cap, wire = struct.unpack_from('<IIII', data, at)
        body = data[at + 16:at + 16 + cap]
        us = frac if MAGICS[magic] == 'us' else frac // 1000
        print('%d.%06d %d %d %s' % (sec, us, cap, wire,
                                    hashlib.sha256(body).hexdigest()[:16]))
        at += 16 + cap


def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(required=True)
    a = sub.add_parser('make')
    a.set_defaults(run=make)
    a.add_argument('n', type=int)
    a.add_argument('--size', type=int, default=100)
    a.add_argument('--rate', type=float)
    a.add_argument('--link', type=int, default=1)
    a.add_argument('--ns', action='store_true')
    a.add_argument('--snaplen', type=int, default=262144)
    a.add_argument('--first', type=int, default=0)
    a = sub.add_parser('read')
    a.set_defaults(run=read)
    a.add_argument('address')
    a.add_argument('--count', type=int, default=-1)
    a.add_argument('--pace', type=int)
    a.add_argument('--from', dest='source')
    a.add_argument('--out')
    a = sub.add_parser('hold')
    a.set_defaults(run=hold)
    a.add_argument('address')
    a.add_argument('n', type=int)
    a.add_argument('--seconds', type=float, default=300)
    a = sub.add_parser('list')
    a.set_defaults(run=show)
    a.add_argument('file')
    o = p.parse_args()
    try:
        o.run(o)
    except KeyboardInterrupt:
        pass


main()
