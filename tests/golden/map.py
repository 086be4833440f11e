#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""map.py WEIR - the map of every shared capture, against what others saw.

What capinfos and tshark made of 1,652 captures stands in truth.jsonl; the map
says the same in every number, in any number of threads, and byte for byte the
same when nothing is read again.  Where truth.py explains a difference, that
difference is expected here too.
"""
import datetime
import json
import os
import subprocess
import sys
import tempfile

import truth


def ns_of(text):
    """RFC 3339 with up to nine digits, in UTC."""
    day, _, part = text.rstrip('Z').partition('.')
    at = datetime.datetime.strptime(day, '%Y-%m-%dT%H:%M:%S')
    seconds = at - datetime.datetime(1970, 1, 1)
    return (seconds.days * 86400 + seconds.seconds) * 10**9 + \
        int((part + '000000000')[:9])


def said(entry):
    """What an entry of the map says, in the words of truth.py."""
    some = entry['packets'] > 0
    return {
        'packets': entry['packets'],
        'captured_bytes': entry['size'],
        'wire_bytes': entry['wire_size'],
        'first_ns': ns_of(entry['first']) if some else 0,
        'last_ns': ns_of(entry['last']) if some else 0,
        'min_ns': ns_of(entry['beginning']) if some else 0,
        'max_ns': ns_of(entry['end']) if some else 0,
    }


def differences(row, entry):
    want = truth.expected(row)
    got = said(entry)
    wrong = ['%s is %r, not %r' % (k, got[k], want[k]) for k in got
             if k in want and not truth.fits(got[k], want[k])]
    damage = want.get('warning') or want.get('error')
    if bool(damage) != bool(entry.get('damage')):
        wrong.append('damage is %r, expected %r' %
                     (entry.get('damage'), damage))
    if want['linktypes'] and entry.get('link_type') != want['linktypes'][0]:
        wrong.append('link type %r' % entry.get('link_type'))
    order = (row.get('capinfos') or {}).get('strict_time_order')
    explained = row['file'] in truth.EXPLAINED
    blocks = (row.get('header') or {}).get('blocks', {})
    if order in ('True', 'False') and not explained and truth.SIMPLE_PACKET not in blocks and \
            (order == 'True') != (entry['out_of_order'] == 0):
        wrong.append('out_of_order is %d, capinfos says %s' %
                     (entry['out_of_order'], order))
    return wrong


def run(weir, files, path, *options):
    subprocess.run([weir, 'map', '--log', 'error', '--dump-json', path,
                    *options, '--', *files], stderr=subprocess.DEVNULL,
                   check=False)
    with open(path, encoding='utf-8') as f:
        return f.read()


class Tap:
    n = failed = 0

    def check(self, name, wrong):
        self.n += 1
        self.failed += bool(wrong)
        print('%s %d - %s' % ('not ok' if wrong else 'ok', self.n, name))
        for line in wrong:
            print('#   ' + line)


def main(weir):
    root = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    path = os.path.join(root, 'truth.jsonl')
    if not os.path.exists(path):
        print('1..0 # SKIP the shared captures are not here')
        return 0
    os.chdir(root)
    with open(path, encoding='utf-8') as f:
        rows = [r for r in map(json.loads, f) if truth.is_ours(r)]
    files = [r['file'] for r in rows]
    tap = Tap()
    with tempfile.TemporaryDirectory() as tmp:
        texts = [run(weir, files, os.path.join(tmp, '%d.json' % n),
                     '--file-workers', str(n)) for n in (1, 4, 0)]
        again = run(weir, files, os.path.join(tmp, '1.json'))
    tap.check('G07 the map is the same for 1, 4 and all workers',
              [] if texts[0] == texts[1] == texts[2] else ['they differ'])
    tap.check('the map is the same when no file is read again',
              [] if again == texts[0] else ['it differs'])
    whole = json.loads(texts[0])
    entries = {e['path']: e for e in whole['files']}
    failed = {e['path'] for e in whole.get('failed', [])}
    tap.check('the files are in the order of their paths',
              [] if list(entries) == sorted(entries, key=os.fsencode)
              else ['they are not'])
    for row in rows:
        name = row['file']
        want = truth.expected(row)
        if name in failed:
            wrong = [] if 'not a capture' in (want['error'] or '') else [
                'it failed']
        else:
            wrong = differences(row, entries[name])
        tap.check('G02 G03 G04 ' + name, wrong)
    print('1..%d' % tap.n)
    return tap.failed > 0


sys.exit(main(os.path.abspath(sys.argv[1])))
