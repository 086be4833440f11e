#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""talks.py - a capture of conversations whose bodies are coded in many ways.

On standard output: a pcap of TCP streams to port 8080 from ports 40000 on:
40000 HTTP messages, 40001 a decompression bomb, 40002 a WebSocket, 40003 lines
of base64 without a protocol, 40004 a chunked answer with a hole in it.
"""
import base64
import gzip
import struct
import sys
import zlib

CLIENT, SERVER = b'\x0a\0\0\x01', b'\x0a\0\0\x02'


class Capture:
    def __init__(self, out):
        self.out, self.ns = out, 1700000000 * 10**9
        out.write(struct.pack('<IHHIIII', 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))

    def packet(self, ports, seqs, flags, data=b''):
        self.ns += 1000000
        ends = (CLIENT, SERVER) if ports[1] == 8080 else (SERVER, CLIENT)
        tcp = struct.pack('>HHIIBBHHH', *ports, *seqs, 5 << 4, flags, 65535,
                          0, 0) + data
        ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 0, 0, 64,
                         6, 0, *ends) + tcp
        frame = b'\x02' * 12 + b'\x08\0' + ip
        self.out.write(struct.pack('<IIII', self.ns // 10**9,
                                   self.ns % 10**9, len(frame), len(frame)) +
                       frame)

    def talk(self, port, turns, lose=()):
        """(way, bytes)...; packets whose number is in `lose` never came."""
        seq, n = [1, 1], 0
        self.packet((port, 8080), (0, 0), 2)
        self.packet((8080, port), (0, 1), 0x12)
        for way, data in turns:
            ports = (8080, port) if way else (port, 8080)
            for at in range(0, len(data), 1400):
                piece = data[at:at + 1400]
                if n not in lose:
                    self.packet(ports, (seq[way], seq[1 - way]), 0x18, piece)
                seq[way] += len(piece)
                n += 1
        self.packet((port, 8080), tuple(seq), 0x11)
        self.packet((8080, port), (seq[1], seq[0] + 1), 0x11)


def chunks(data, size):
    return b''.join(b'%x\r\n%s\r\n' % (len(data[i:i + size]),
                                       data[i:i + size])
                    for i in range(0, len(data), size)) + b'0\r\n\r\n'


def answer(fields, body, length=True):
    head = b'HTTP/1.1 200 OK\r\n' + fields
    if length:
        head += b'Content-Length: %d\r\n' % len(body)
    return head + b'\r\n' + body


def get(path):
    return b'GET /%s HTTP/1.1\r\nHost: talks\r\n\r\n' % path


def frame(data, first, mask=b''):
    if mask:
        data = bytes(c ^ mask[i % 4] for i, c in enumerate(data))
    head = bytes([first, len(data) | (0x80 if mask else 0)])
    return head + mask + data


def main():
    capture = Capture(sys.stdout.buffer)
    page = b'<html>' + b'words and words ' * 300 + b'flag{gzip}</html>'
    form = b'user=%66lag%7bform%7d&x=a+b'
    inner = base64.b64encode(b'flag{base64 inside}')
    whole = gzip.compress(page)
    capture.talk(40000, [
        (0, get(b'gzip')),
        (1, answer(b'Transfer-Encoding: chunked\r\n'
                   b'Content-Encoding: gzip\r\n', chunks(whole, 100), False)),
        (0, b'POST /form HTTP/1.1\r\nHost: talks\r\n'
            b'Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%s' %
            (len(zlib.compress(form)), zlib.compress(form))),
        (1, answer(b'Content-Encoding: br\r\n', bytes.fromhex('0b00806103'))),
        (0, get(b'json')),
        (1, answer(b'Content-Type: application/json\r\n',
                   b'{"note":"%s","by":"ada"}' % inner)),
        (0, get(b'zstd')),
        (1, answer(b'Content-Encoding: zstd\r\n',
                   bytes.fromhex('28b52ffd200109000061'))),
        (0, get(b'plain')),
        (1, answer(b'Content-Encoding: gzip\r\n', b'not packed at all')),
        (0, get(b'torn')),
        (1, answer(b'Content-Encoding: gzip\r\n', whole[:80])),
        (0, get(b'other')),
        (1, answer(b'Content-Encoding: compress\r\n', b'\x1f\x9d\x90')),
    ])
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b''.join(z.compress(bytes(1 << 20)) for _ in range(100)) + z.flush()
    capture.talk(40001, [
        (0, get(b'bomb')),
        (1, answer(b'Content-Encoding: gzip\r\n', bomb)),
    ])
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = [(z.compress(b'flag{websocket} flag{websocket}') +
               z.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)]
    capture.talk(40002, [
        (0, b'GET /chat HTTP/1.1\r\nHost: talks\r\nUpgrade: websocket\r\n'
            b'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
            b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'),
        (1, b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
            b'Connection: Upgrade\r\n'
            b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n'
            b'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n'),
        (0, frame(packed[0], 0xc1, b'mask')),
        (0, frame(packed[1], 0xc1, b'MASK')),
        (1, frame(b'plain text', 0x81)),
    ])
    capture.talk(40003, [
        (0, base64.b64encode(b'flag{alone}') + b'\n'),
        (1, base64.b64encode(b'thank you') + b'\n'),
    ])
    # The second packet of the answer never came: a hole inside of a chunk.
    capture.talk(40004, [
        (0, get(b'hole')),
        (1, answer(b'Transfer-Encoding: chunked\r\n',
                   chunks(b'0123456789' * 1000, 5000), False)),
    ], lose=(2,))


main()
