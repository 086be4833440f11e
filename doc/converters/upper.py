#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The least a converter does: everything that was said, in upper case."""
import base64
import json
import sys

for line in sys.stdin:
    ask = json.loads(line)
    if ask['do'] == 'data':
        text = base64.b64decode(ask['data']).upper()
        print(json.dumps({
            'id': ask['id'], 'from': ask['from'],
            'offset': ask['offset'], 'length': len(text),
            'data': base64.b64encode(text).decode()}))
    elif ask['do'] == 'end':
        print(json.dumps({'id': ask['id'], 'done': True}), flush=True)
