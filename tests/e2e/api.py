#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api.py WEIR SAMPLE DIR - the API asked as a client would, one check a line.

Prints "ok" or "not", the name and why, with tabs between them.
"""
import atexit
import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

WEIR, SAMPLE, DIR = sys.argv[1:4]
FLAG = r'flag\{[a-z0-9]+\}'


def check(name, good, why=''):
    print('ok' if good else 'not', name,
          str(why)[:300].replace('\t', ' ').replace('\n', ' '),
          sep='\t', flush=True)


class Analysis:
    """weir analyze with its API, and how to ask it."""

    def __init__(self, *words, stdin=None):
        os.makedirs(DIR + '/tmp', exist_ok=True)
        env = dict(os.environ, TMPDIR=DIR + '/tmp')
        self.err = open(DIR + '/analyze.err', 'a+b')
        self.err.seek(0, 2)
        start = self.err.tell()
        self.process = subprocess.Popen(
            [WEIR, 'analyze', '--no-events', '--api-listen', '127.0.0.1:0',
             '--regex', FLAG, '--pattern', 'Host: ', *words],
            stdin=stdin, stdout=subprocess.DEVNULL, stderr=self.err, env=env)
        atexit.register(self.process.kill)
        deadline = time.monotonic() + 20
        while True:
            with open(DIR + '/analyze.err', 'rb') as f:
                f.seek(start)
                text = f.read().decode()
            if 'the page is at http://127.0.0.1:' in text:
                break
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError('the page does not come up: ' + text)
            time.sleep(.02)
        self.port = int(text.split('http://127.0.0.1:')[1].split('/')[0])

    def ask(self, path, method='GET', body=None, headers=None, raw=False):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=40)
        c.request(method, path, json.dumps(body) if body is not None else None,
                  headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        self.headers = r.headers
        return r.status, data if raw else json.loads(data)

    def get(self, path):
        status, o = self.ask(path)
        assert status == 200, (path, status, o)
        return o

    def wait_status(self, wanted):
        deadline = time.monotonic() + 60
        while self.get('/api/health')['run_status'] != wanted:
            assert time.monotonic() < deadline, wanted
            time.sleep(.05)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def fails(a, path, status, method='GET', body=None, headers=None):
    got, o = a.ask(path, method, body, headers)
    return got == status and list(o) == ['error'] and o['error']


def every_row(a, query=''):
    rows, cursor, pages = [], '0', 0
    while cursor is not None:
        o = a.get('/api/streams?limit=97&cursor=%s%s' % (cursor, query))
        rows += o['rows']
        cursor = o['next_cursor']
        pages += 1
    return rows, pages


ROW = '''stream_id stream_id_hex content_shard first_seen_us last_seen_us
protocol endpoint_a endpoint_b service status content_kind packets bytes
payload_bytes stream_bytes stream_chunks match_count stored_match_count
pattern_ids favorite hidden hidden_reason'''.split()


def lists(a):
    rows, pages = every_row(a)
    ids = [r['stream_id_hex'] for r in rows]
    health = a.get('/api/health')
    check('R33 every stream comes once, over %d pages' % pages,
          pages > 3 and len(set(ids)) == len(ids) ==
          health['stats']['inventory_created_streams'],
          (len(ids), len(set(ids))))
    times = [r['first_seen_us'] for r in rows]
    check('R33 newest first', times == sorted(times, reverse=True))
    check('R34 a row has the fields of rustmate',
          all(k in rows[0] for k in ROW), [k for k in ROW if k not in rows[0]])
    for query, good in [
            ('&service=http', lambda r: r['service'] == 'http'),
            ('&protocol=udp', lambda r: r['protocol'] == 'udp'),
            ('&port=8080', lambda r: 8080 in (r['endpoint_a']['port'],
                                              r['endpoint_b']['port'])),
            ('&content_kind=binary',
             lambda r: r['content_kind'] == 'binary'),
            ('&status=closed', lambda r: r['status'] == 'closed'),
            ('&only_matched=true', lambda r: r['match_count'] > 0),
            ('&pattern_id=regex:0', lambda r: 'regex:0' in r['pattern_ids'])]:
        some, _ = every_row(a, query)
        want = [r['stream_id_hex'] for r in rows if good(r)]
        check('R33 the filter %s' % query[1:],
              want and [r['stream_id_hex'] for r in some] == want,
              (len(some), len(want)))
    check('R34 an unknown filter value is a 400',
          fails(a, '/api/streams?limit=0', 400) and
          fails(a, '/api/streams?limit=513', 400) and
          fails(a, '/api/streams?cursor=x', 400) and
          fails(a, '/api/streams?include_hidden=maybe', 400))
    return rows


def details(a, rows):
    row = next(r for r in rows if 'regex:0' in r['pattern_ids'])
    o = a.get('/api/streams/' + row['stream_id_hex'])
    check('R34 a stream with directions and matches',
          o['row']['stream_id'] == row['stream_id'] and
          o['directions']['a_to_b']['stream_bytes'] +
          o['directions']['b_to_a']['stream_bytes'] == row['stream_bytes'] and
          len(o['matches']) == row['stored_match_count'])
    check('R34 unknown ids are 404, words 400',
          fails(a, '/api/streams/00000000000000aa', 404) and
          fails(a, '/api/streams/nonsense', 400) and
          fails(a, '/api/streams/00000000000000aa/content', 404))
    check('R35 hexadecimal and decimal are the same stream',
          a.get('/api/streams/%d' % row['stream_id'])['row'] == o['row'] and
          a.get('/api/streams/0x' + row['stream_id_hex'])['row'] == o['row'])
    return row


def content(a, row):
    path = '/api/streams/%s/' % row['stream_id_hex']
    m = next(m for m in a.get(path + 'matches')['matches']
             if m['pattern_id'] == 'regex:0')
    at = 'content?direction=%s&start=%d&len=%d' % (
        m['direction'], m['logical_start'] + 3, 6)
    o = a.get(path + at)
    seg, hi = o['segments'][0], o['highlights']
    flag = base64.b64decode(m['match_base64'])
    check('R36 a window that cuts a match gives its part',
          base64.b64decode(seg['base64']) == flag[3:9] and
          any(h['segment_start'] == 0 and h['segment_end'] == 6 and
              h['logical_start'] == m['logical_start'] for h in hi), o)
    check('R36 len 0 is a 400', fails(a, path + 'content?len=0', 400))
    o = a.get(path + at + '&mode=hex')
    view = o['segments'][0]['view']
    check('R37 hex rows', view['rows'][0]['hex'] == flag[3:9].hex(' ') and
          view['rows'][0]['offset'] == m['logical_start'] + 3, view)
    o = a.get(path + at + '&mode=raw')
    check('R37 raw has base64 only',
          o['segments'][0]['view'] == {'mode': 'raw'})
    check('R37 text says whether it is exact',
          a.get(path + at)['segments'][0]['view']['lossy'] is False)
    check('R37 another mode is a 400', fails(a, path + 'content?mode=x', 400))


def whole_content(a, rows):
    """The longest stream, in windows, in one piece, and as a conversation."""
    row = max(rows, key=lambda r: r['stream_bytes'])
    path = '/api/streams/%s/' % row['stream_id_hex']
    way = 'a_to_b' if a.get(path[:-1])['directions']['a_to_b'][
        'stream_bytes'] > row['stream_bytes'] / 2 else 'b_to_a'
    big = a.get(path + 'content?direction=%s&len=10000000' % way)
    check('R36 the cap is said', big['truncated_by_limit'] ==
          (big['logical_end'] > 65536) and big['returned_bytes'] <= 65536)
    got, at = b'', 0
    while at < big['logical_end']:
        o = a.get(path + 'content?direction=%s&start=%d&len=5000' % (way, at))
        got += b''.join(base64.b64decode(s['base64']) for s in o['segments'])
        at += 5000
    said, cursor = b'', 0
    while cursor is not None:
        o = a.get(path + 'conversation?mode=raw&limit=40&cursor=%d' % cursor)
        for part in o['parts']:
            for piece in part['pieces']:
                if part['direction'] == way and 'base64' in piece:
                    said += base64.b64decode(piece['base64'])
        cursor = o['next_cursor']
    check('R51 both directions in their order have all bytes', got == said,
          (len(got), len(said)))


def people(a, rows):
    row = rows[0]
    path = '/api/streams/%s/state' % row['stream_id_hex']
    status, o = a.ask(path, 'PATCH', {'favorite': True, 'by': 'eve'})
    check('R32 a favourite', status == 200 and o['row']['favorite'])
    some, _ = every_row(a, '&only_favorites=true')
    check('R32 only favourites',
          [r['stream_id'] for r in some] == [row['stream_id']])
    a.ask(path, 'PATCH', {'hidden': True})
    check('R32 a hidden stream is not listed, and keeps its heart',
          a.get('/api/streams?limit=1')['rows'][0]['stream_id'] !=
          row['stream_id'] and
          a.get(path[:-6])['row']['favorite'])
    a.ask(path, 'PATCH', {'hidden': False})
    check('R32 wrong bodies are 400',
          fails(a, path, 400, 'PATCH', ['x']) and
          fails(a, path, 400, 'PATCH', {'favorite': 1}))
    matched = next(r for r in rows if r['pattern_ids'])
    for kind, value in [('stream', row['stream_id_hex']), ('service', 'http'),
                        ('protocol', 'udp'), ('port', 8080),
                        ('content_kind', 'binary'), ('status', 'closed'),
                        ('pattern', matched['pattern_ids'][0])]:
        status, o = a.ask('/api/view/hide-rules', 'POST',
                          {'kind': kind, 'value': value})
        reason = '%s:%s' % (kind, value)
        all_rows, _ = every_row(a, '&include_hidden=true')
        seen, _ = every_row(a)
        hidden = [r for r in all_rows if r['hidden']]
        check('R32 the rule %s hides, and says so' % kind,
              status == 200 and hidden and
              all(r['hidden_reason'] == reason for r in hidden) and
              len(seen) + len(hidden) == len(all_rows) == len(rows),
              (o, len(hidden), len(seen)))
        rule = o['rules'][-1]['id']
        status, o = a.ask('/api/view/hide-rules/%d' % rule, 'DELETE')
        if o.get('rules'):
            check('R32 a rule goes', False, o)
    check('R32 an odd kind is a 400, a rule that is not there a 404',
          fails(a, '/api/view/hide-rules', 400, 'POST', {'kind': 'x'}) and
          fails(a, '/api/view/hide-rules/999', 404, 'DELETE'))


def searches(a, rows):
    def ask(q):
        status, body = a.ask('/api/search?q=' + urllib.parse.quote(q),
                             raw=True)
        return status, [json.loads(x) for x in body.splitlines()]
    status, out = ask('service:http')
    want = [r['stream_id_hex'] for r in rows if r['service'] == 'http']
    check('X08 a query by its conditions',
          [x['row']['stream_id_hex'] for x in out if 'row' in x] == want and
          out[-1]['end']['hits'] == len(want), out[-1])
    status, out = ask(r'any~/flag\{[a-z0-9]+\}/')
    end = out[-1]['end']
    want = {r['stream_id_hex'] for r in rows if 'regex:0' in r['pattern_ids']}
    check('X08 payload, with places, and how much was searched',
          {x['row']['stream_id_hex'] for x in out if 'row' in x} == want and
          all(x['found'] for x in out if 'row' in x) and
          end['state'] == 'done' and end['searched_bytes'] ==
          end['total_bytes'] > 0, end)
    status, out = ask('servce:http')
    check('X08 a wrong query is a 400 with its place',
          status == 400 and out[0]['at'] == 0 and out[0]['len'] == 6 and
          'service' in out[0]['error'], out)
    keys = a.get('/api/query/keys')['keys']
    check('the keys are listed for completion',
          any(k['name'] == 'service' and k['about'] for k in keys))
    held = []
    for _ in range(8):
        s = socket.create_connection(('127.0.0.1', a.port))
        s.sendall(b'GET /api/search?q=any~%22a%22 HTTP/1.1\r\n'
                  b'Host: localhost\r\n\r\n')
        held.append(s)
    for s in held:
        s.close()
    deadline = time.monotonic() + 10
    while ask('port:1')[0] != 200 and time.monotonic() < deadline:
        time.sleep(.05)
    check('X09 searches end when their clients go',
          ask('port:1')[1][-1]['end']['state'] == 'done')


def guards(a):
    port = a.port
    check('R45 another Host is refused',
          fails(a, '/api/health', 403, headers={'Host': 'evil.example'}))
    check('R45 another Origin is refused',
          fails(a, '/api/view/hide-rules', 403, 'POST',
                {'kind': 'port', 'value': 1},
                {'Origin': 'http://evil.example'}) and
          fails(a, '/api/health', 403,
                headers={'Origin': 'http://127.0.0.1:%d.evil.example' % port}))
    check('R45 a form of another site is refused',
          fails(a, '/api/view/hide-rules', 403, 'POST',
                {'kind': 'port', 'value': 1},
                {'Sec-Fetch-Site': 'cross-site'}))
    check('R45 nothing is changed by GET, and what is not there is a 404',
          fails(a, '/api/streams', 405, 'POST', {}) and
          fails(a, '/api/nothing', 404))
    a.ask('/api/health')
    check('R45 no page may frame, guess or fetch',
          "default-src 'none'" in a.headers['Content-Security-Policy'] and
          a.headers['X-Content-Type-Options'] == 'nosniff' and
          a.headers['Cross-Origin-Resource-Policy'] == 'same-origin')
    s = socket.create_connection(('127.0.0.1', port))
    s.sendall(b'POST /api/view/hide-rules HTTP/1.1\r\nHost: localhost\r\n'
              b'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x')
    check('R45 two lengths of one body are refused',
          b' 400 ' in s.recv(100))
    s.close()
    s = socket.create_connection(('127.0.0.1', port))
    try:
        s.sendall(b'GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: ' +
                  b'x' * 100000)
        got = s.recv(100)
    except OSError:
        got = b''
    check('R45 a head without end is cut off', b'200' not in got, got)
    s.close()
    crowd = []
    for _ in range(300):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(('127.0.0.1', port))
        crowd.append(c)
    time.sleep(.5)
    for c in crowd:
        c.close()
    begun = time.monotonic()
    why = 'it never answers again'
    while time.monotonic() - begun < 30:
        try:
            a.get('/api/health')
            why = None
            break
        except OSError:
            time.sleep(.1)
    check('R45 300 silent connections keep others out for %.1f s' %
          (time.monotonic() - begun), why is None, why)


def live():
    """Packets one by one through a pipe, and who waits for them."""
    with open(SAMPLE, 'rb') as f:
        data = f.read()
    packets, at = [], 24
    while at < len(data):
        n = struct.unpack_from('<I', data, at + 8)[0]
        packets.append(data[at:at + 16 + n])
        at += 16 + n
    a = Analysis('-', stdin=subprocess.PIPE)
    pipe = a.process.stdin
    o = a.get('/api/live/deltas?cursor=0')
    check('R41 the API is up before any packet',
          o['run_status'] == 'running' and
          a.get('/api/streams')['rows'] == [])
    pipe.write(data[:24])
    pipe.flush()
    took = []
    sent = 0
    for _ in range(20):
        cursor = a.get('/api/live/deltas?cursor=0&limit=8192')['latest_cursor']
        begun = {}

        def write():
            nonlocal sent
            time.sleep(.15)
            begun['at'] = time.monotonic()
            for p in packets[sent:sent + 40]:
                pipe.write(p)
            sent += 40
            pipe.flush()
        t = threading.Thread(target=write)
        t.start()
        while True:
            o = a.get('/api/live/deltas?cursor=%d&wait_ms=5000' % cursor)
            cursor = o['next_cursor']
            if any(d['kind'] == 'streams' for d in o['deltas']):
                break
        took.append(time.monotonic() - begun['at'] if 'at' in begun else 0)
        t.join()
        time.sleep(.3)
    took.sort()
    check('R39 a change comes while one waits: median %.0f ms, last %.0f ms' %
          (took[10] * 1e3, took[-1] * 1e3), took[10] < .25, took)
    check('R39 bounds of limit and wait_ms',
          fails(a, '/api/live/deltas?limit=0', 400) and
          fails(a, '/api/live/deltas?limit=8193', 400) and
          fails(a, '/api/live/deltas?wait_ms=30001', 400))
    s = socket.create_connection(('127.0.0.1', a.port))
    s.settimeout(10)
    s.sendall(b'GET /api/live/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    got = b''
    for p in packets[sent:]:
        pipe.write(p)
    pipe.close()
    while b'"kind":"streams"' not in got:
        got += s.recv(65536)
    check('R39 events push it', b'text/event-stream' in got and
          b'\nid: ' in got and b'\ndata: {"deltas":[' in got)
    a.wait_status('completed')
    while b'completed' not in got[-3000:]:
        got = got[-3000:] + s.recv(65536)
    check('R41 the end is told, and everything can still be asked',
          a.get('/api/streams?limit=1')['rows'] != [])
    s.close()
    time.sleep(1)  # what was told last is told once more
    latest = a.get('/api/live/deltas?cursor=0')['latest_cursor']
    begun, polls = time.monotonic(), 0
    cursor = latest
    while time.monotonic() - begun < 2.5:
        cursor = a.get('/api/live/deltas?cursor=%d&wait_ms=1000' % cursor)[
            'next_cursor']
        polls += 1
    check('R39 no spin after the end: %d polls in 2.5 s' % polls, polls < 12)
    check('Ctrl-C ends it, status 0', a.end() == 0)


def missed():
    a = Analysis('--api-delta-capacity', '64', SAMPLE)
    a.wait_status('completed')
    o = a.get('/api/live/deltas?cursor=1')
    check('R40 who was away too long is told', o['missed'] and
          o['dropped_before'] > 1 and
          o['deltas'][0]['cursor'] > o['dropped_before'] and
          o['next_cursor'] == o['latest_cursor'], {
              k: v for k, v in o.items() if k != 'deltas'})
    o = a.get('/api/live/deltas?cursor=%d' % o['latest_cursor'])
    check('R40 and then not any more', not o['missed'])
    a.end()


def kept():
    """Notes and rows live in the store's folder, and outlive the run."""
    store = DIR + '/store'
    a = Analysis('--store', store, SAMPLE)
    a.wait_status('completed')
    row = a.get('/api/streams?limit=1')['rows'][0]
    a.ask('/api/streams/%s/state' % row['stream_id_hex'], 'PATCH',
          {'favorite': True})
    a.ask('/api/view/hide-rules', 'POST', {'kind': 'protocol', 'value': 'udp'})
    os.kill(a.process.pid, signal.SIGKILL)
    a.process.wait()
    a = Analysis('--store', store, SAMPLE)
    a.wait_status('completed')
    o = a.get('/api/streams/' + row['stream_id_hex'])['row']
    check('R32 kill -9: the favourite and the rule are there again',
          o['favorite'] and len(a.get('/api/view/hide-rules')['rules']) == 1)
    a.end()


def tokens():
    path, token = DIR + '/token', 'q7Jx2-Vb9_Kd4.Wm1Zt8'
    with open(path, 'w') as f:
        f.write(token + '\n')
    a = Analysis('--api-token-file', path, SAMPLE)
    check('X23 without the token nothing is answered',
          all(fails(a, p, 401) for p in ['/', '/app.js', '/api/health',
                                         '/?token=wrong']) and
          fails(a, '/api/health', 401,
                headers={'Authorization': 'Bearer ' + token[:-1]}) and
          fails(a, '/api/health', 401, headers={'Cookie': 'weir='}))
    check('X23 a program sends it',
          a.ask('/api/health', headers={
              'Authorization': 'Bearer ' + token})[0] == 200)
    status, _ = a.ask('/?token=' + token, raw=True)
    cookie = a.headers['Set-Cookie']
    check('X23 a browser gets it as a cookie that no other site can send',
          status == 303 and a.headers['Location'] == '/' and
          'HttpOnly' in cookie and 'SameSite=Strict' in cookie and
          a.ask('/api/health', headers={
              'Cookie': 'a=b; ' + cookie.split(';')[0]})[0] == 200, cookie)
    a.end()
    for words, said in [
            (['0.0.0.0:0'], 'could be reached from other machines'),
            (['127.0.0.1:0', '--api-token-file', SAMPLE], '16 to 128')]:
        p = subprocess.run([WEIR, 'analyze', '--no-events', SAMPLE,
                            '--api-listen', *words], stderr=subprocess.PIPE,
                           timeout=60)
        check('X23 refused at the start: %s' % said,
              p.returncode == 2 and said in p.stderr.decode(), p.stderr)


def main():
    a = Analysis('--workers', '2', SAMPLE)
    a.wait_status('completed')
    rows = lists(a)
    row = details(a, rows)
    content(a, row)
    whole_content(a, rows)
    searches(a, rows)
    people(a, rows)
    guards(a)
    check('Ctrl-C ends a page that stays, status 0', a.end() == 0)
    live()
    missed()
    kept()
    tokens()


main()
