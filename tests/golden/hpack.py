#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hpack.py HPACKSUM - the header blocks of other HTTP/2 programs, decoded.

The shared corpus has stories of http2jp/hpack-test-case: what an encoder wrote
for a run of header lists, and the lists.  One TAP line a story.
"""
import glob
import json
import os
import subprocess
import sys


def story(path):
    """The blocks of a story and what they mean; none in the raw lists."""
    with open(path, encoding='utf-8') as f:
        cases = json.load(f)['cases']
    return [(c['wire'], [list(h.items())[0] for h in c['headers']])
            for c in cases if 'wire' in c]


def main(hpacksum):
    root = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus', 'hpack')
    stories = {p: story(p) for p in sorted(
        glob.glob(os.path.join(root, '*', '*.json')))}
    stories = {p: cases for p, cases in stories.items() if cases}
    if not stories:
        print('1..0 # SKIP the shared stories are not here')
        return 0
    blocks = '\n\n'.join('\n'.join(wire for wire, _ in cases)
                         for cases in stories.values())
    out = subprocess.run([hpacksum], input=blocks + '\n', text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    got = map(json.loads, out.splitlines())
    failed = 0
    print('1..%d' % len(stories))
    for n, (path, cases) in enumerate(stories.items(), 1):
        wrong = [(i, have, want) for i, ((_, want), have)
                 in enumerate(zip(cases, got))
                 if have != [list(h) for h in want]]
        failed += bool(wrong)
        print('%sok %d - R29 %s: %d blocks' % (
            'not ' if wrong else '', n, os.path.relpath(path, root),
            len(cases)))
        for i, have, want in wrong[:3]:
            print('#   block %d is %s, not %s' % (i, have, want))
    return failed > 0


sys.exit(main(os.path.abspath(sys.argv[1])))
