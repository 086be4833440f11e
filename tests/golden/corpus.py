#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""corpus.py PROGRAM [ARG...] - run PROGRAM with every shared capture as well.

Says in TAP that it was skipped where the captures are not.
"""
import json
import os
import sys


def main(program, args):
    root = os.path.join(os.environ.get('WEIR_SHARED', ''), 'corpus')
    truth = os.path.join(root, 'truth.jsonl')
    if not os.path.exists(truth):
        print('1..0 # SKIP the shared captures are not here')
        return
    os.chdir(root)
    with open(truth) as f:
        files = [json.loads(line)['file'] for line in f]
    os.execv(program, [program] + args + files)


main(os.path.abspath(sys.argv[1]), sys.argv[2:])
