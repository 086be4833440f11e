#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""workers.py WEIR SAMPLE - one, two and eight workers tell the same, in TAP.

weir analyze over the sample and every SHARE-th of the shared captures whose
packets are in the order of their times: the events of each stream must be the
same, in the same order, whatever the number of workers.  (A clock that jumps
back and forth by more than the idle time may end a flow in one run that
another run keeps; doc/analyze.md.)
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import zlib

SHARE = 8
LARGEST = 1500000
# Some of its packets have no time at all.
NO_TIMES = 'pcapng-test/'


def events(weir, path, workers, folder):
    out = os.path.join(folder, 'w%d.jsonl' % workers)
    done = subprocess.run(
        [weir, 'analyze', path, '--workers', str(workers), '-o', out,
         '--log', 'error', '--health-interval-ms', '0', '--pattern', 'GET',
         '--regex', '[Ff][Ll][Aa][Gg].{0,40}'],
        stderr=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError('%s: status %d: %s' % (path, done.returncode,
                                                  done.stderr[-2000:]))
    streams = collections.defaultdict(list)
    with open(out, encoding='utf-8') as lines:
        for line in lines:
            event = json.loads(line)
            if 'stream_id' in event.get('fields', {}):
                event['fields'].pop('content_shard', None)
                streams[event['fields']['stream_id']].append(event)
    os.unlink(out)
    return dict(streams), done.returncode


def same(weir, path, folder):
    first = events(weir, path, 1, folder)
    return (all(events(weir, path, n, folder) == first for n in (2, 8)),
            len(first[0]))


def chosen(corpus):
    with open(os.path.join(corpus, 'truth.jsonl'), encoding='utf-8') as lines:
        for truth in map(json.loads, lines):
            name = truth['file']
            if (truth.get('in_order') and truth['bytes'] < LARGEST and
                    not name.startswith(NO_TIMES) and
                    zlib.crc32(name.encode()) % SHARE == 0):
                yield os.path.join(corpus, name)


def main():
    weir, sample = sys.argv[1:3]
    corpus = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    shared = os.path.exists(os.path.join(corpus, 'truth.jsonl'))
    groups = [('the sample', [sample])]
    groups.append(('the shared captures',
                   list(chosen(corpus)) if shared else []))
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for n, (name, paths) in enumerate(groups, 1):
            wrong, streams = [], 0
            for path in paths:
                equal, found = same(weir, path, folder)
                streams += found
                if not equal:
                    wrong.append(path)
            failed += bool(wrong)
            print('%sok %d - R25 one, two and eight workers tell the same of '
                  '%d streams of %s%s' %
                  ('not ' if wrong else '', n, streams, name,
                   '' if paths else ' # SKIP they are not here'))
            for path in wrong:
                print('# differs: ' + path)
    print('1..%d' % len(groups))
    return 1 if failed else 0


sys.exit(main())
