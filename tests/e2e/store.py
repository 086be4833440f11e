#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a store holds, read by its documented format alone.

    store.py dump DIR            every row, and the hash of every payload
    store.py position DIR        resume and given of each source
    store.py count DIR WHERE     streams that fulfil an SQL condition
    store.py size DIR            bytes of all its files

Two stores that hold the same print the same, wherever their bytes lie.
"""

import hashlib
import os
import sqlite3
import struct
import sys


def rows(db, sql):
    cursor = db.execute(sql)
    names = [d[0] for d in cursor.description]
    return [dict(zip(names, r)) for r in cursor]


def payload(directory, runs):
    total, sha = 0, hashlib.sha256()
    for at in range(0, len(runs), 32):
        segment, offset, pos, cap, used, crc, _ = struct.unpack_from(
            '<IIQIIII', runs, at)
        assert pos == total and used <= cap, (pos, total)
        with open('%s/payload/%08x.seg' % (directory, segment), 'rb') as f:
            f.seek(offset)
            data = f.read(used)
        assert len(data) == used, (segment, offset, used)
        sha.update(data)
        total += used
    return total, sha.hexdigest()[:16]


def dump(directory, db):
    for r in rows(db, 'SELECT * FROM streams ORDER BY id'):
        for way in 'ab':
            kept, sha = payload(directory, r.pop('runs_' + way))
            if not r['evicted']:
                assert kept == r['kept_' + way], (r, kept)
            r['payload_sha_' + way] = sha
        turns, _ = payload(directory, r.pop('runs_turns'))
        r['turns'] = turns // 32
        r['origin'] = r['origin'].hex()
        del r['seq']
        # What the last run counted; the rows of matches are what counts.
        del r['matches']
        print('stream', ' '.join('%s=%s' % x for x in sorted(r.items())))
    for table in ('gaps', 'messages', 'matches', 'tags', 'marks'):
        for line in sorted(repr(r) for r in db.execute(
                'SELECT * FROM ' + table)):
            print(table, line)


def main():
    what, directory = sys.argv[1:3]
    db = sqlite3.connect('file:%s/store.db?mode=ro' % directory, uri=True,
                         timeout=10)
    if what == 'dump':
        dump(directory, db)
    elif what == 'position':
        for r in db.execute('SELECT resume, given FROM positions'):
            print(*r)
    elif what == 'count':
        print(db.execute('SELECT count(*) FROM streams WHERE '
                         + sys.argv[3]).fetchone()[0])
    elif what == 'size':
        print(sum(os.path.getsize(os.path.join(d, f))
                  for d, _, files in os.walk(directory) for f in files))


main()
