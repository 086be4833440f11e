#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long from a packet on the wire to its stream's row in a store?

    latency.py serve ADDRESS PORT
    latency.py measure ADDRESS PORT STORE COUNT

measure opens COUNT connections one after the other, says one line on each and
leaves it open; meanwhile it asks the store, as any reader may, which of them
it shows with that payload.  Prints: seen=N p50=MS p99=MS max=MS open=N
"""

import socket
import sqlite3
import sys
import threading
import time

GAP, LIMIT = 0.02, 10.0


def serve(address, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(500)
    print('ready', flush=True)
    kept = []
    while True:
        kept.append(s.accept())


def measure(address, port, store, count):
    sent, seen, kept = {}, {}, []

    def send():
        for _ in range(count):
            s = socket.create_connection((address, port))
            me = s.getsockname()[1]
            sent[me] = time.monotonic()
            s.sendall(b'who am I? %d\n' % me)
            kept.append(s)
            time.sleep(GAP)

    thread = threading.Thread(target=send)
    thread.start()
    db, still_open = None, 0
    end = time.monotonic() + count * GAP + LIMIT
    while len(seen) < count and time.monotonic() < end:
        try:
            db = db or sqlite3.connect('file:%s/store.db?mode=ro' % store,
                                       uri=True, timeout=0.1)
            rows = db.execute(
                'SELECT port_a, port_b, state FROM streams WHERE '
                'end_a + end_b > 0 AND (port_a = ?1 OR port_b = ?1)',
                (port,)).fetchall()
        except sqlite3.Error:
            rows = []
        now = time.monotonic()
        for a, b, state in rows:
            me = a if b == port else b
            if me in sent and me not in seen:
                seen[me] = (now - sent[me]) * 1000
                still_open += state == 1
        time.sleep(0.005)
    thread.join()
    ms = sorted(seen.values()) or [0]
    print('seen=%d p50=%d p99=%d max=%d open=%d' % (
        len(seen), ms[len(ms) // 2], ms[len(ms) * 99 // 100], ms[-1],
        still_open))


def main():
    if sys.argv[1] == 'serve':
        serve(sys.argv[2], int(sys.argv[3]))
    measure(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))


main()
