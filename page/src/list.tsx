// SPDX-License-Identifier: Apache-2.0
// The list of streams: only the rows in view are in the document, and rows
// that come in never move it under the reader.
import { signal, useSignalEffect } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Row } from './api';
import {
  atTop, listState, more, open, progress, query, reload, rows, selected,
  showWaiting, waiting,
} from './state';
import { clock, seconds, size } from './text';

const HEIGHT = 24;
const SPARE = 10; // rows beyond the view

const top = signal(0);
const height = signal(600);

const glyphs: Record<string, [string, string]> = {
  open: ['\u25cf', 'open: it still grows'],
  closing: ['\u25d0', 'one side has said goodbye'],
  closed: ['\u25cb', 'closed'],
};

function state(row: Row): [string, string] {
  if (row.gap_bytes) return ['\u25cd', `${row.gap_bytes} bytes are missing`];
  if (row.ended === 'rst') return ['\u2715', 'reset'];
  if (row.protocol === 'tcp' && !row.server_bytes && !row.client_bytes)
    return ['\u25cc', 'nothing was said'];
  return glyphs[row.status] ?? ['?', row.status];
}

function Bar({ n, kind }: { n: number; kind: string }) {
  const width = n ? Math.min(32, 3 + Math.log2(n) * 1.4) : 0;
  return <span class={`bar ${kind}`} style={{ width: `${width}px` }} />;
}

function Line({ row, at }: { row: Row; at: number }) {
  const [glyph, why] = state(row);
  const client = row.opener === 'a' ? row.endpoint_a : row.endpoint_b;
  const server = row.opener === 'a' ? row.endpoint_b : row.endpoint_a;
  const on = selected.value === row.stream_id_hex;
  return (
    <div class={`row${on ? ' on' : ''}${row.match_count ? ' hit' : ''}`}
      role="option" aria-selected={on} id={`row-${row.stream_id_hex}`}
      style={{ top: `${at * HEIGHT}px` }}
      onClick={() => void open(row.stream_id_hex)}>
      <span class={`state ${row.status}`} title={why}>{glyph}</span>
      <span class="time">{clock(row.first_seen_us)}</span>
      <span class="service">{row.service === 'unknown' ? row.protocol
        : row.service}</span>
      <span class="ends" title={`${client.addr}:${client.port} to ` +
        `${server.addr}:${server.port}`}>
        {client.addr} {'\u2192'} {server.addr}:{server.port}</span>
      <span class="bytes" title="bytes of client and server">
        <Bar n={row.client_bytes} kind="client" />
        <Bar n={row.server_bytes} kind="server" /></span>
      <span class="size">{size(row.client_bytes + row.server_bytes)}</span>
      <span class="took">{seconds(row.last_seen_us - row.first_seen_us)}</span>
      <span class="tags">{row.favorite ? <b title="favourite">{'\u2665'}</b>
        : null}{row.pattern_ids.slice(0, 4).map((id) =>
        <i key={id} title="a pattern was found">{id}</i>)}
        {row.pattern_ids.length > 4 ? <i>+{row.pattern_ids.length - 4}</i>
          : null}</span>
    </div>
  );
}

function Empty() {
  if (listState.value === 'loading') return <p class="empty">Loading streams…</p>;
  if (listState.value === 'failed')
    return (
      <p class="empty">The server does not answer.{' '}
        <button type="button" onClick={() => void reload()}>Try again</button>
      </p>
    );
  if (progress.value)
    return <p class="empty">{progress.value.state === 'running'
      ? 'Searching…' : `Nothing is like "${query.value}".`}</p>;
  return (
    <p class="empty">No streams yet. They appear with their first packet.</p>
  );
}

export function List() {
  const box = useRef<HTMLDivElement>(null);
  // Keep the chosen row in view when keys move it.
  useSignalEffect(() => {
    const id = selected.value;
    const at = rows.peek().findIndex((r) => r.stream_id_hex === id);
    const el = box.current;
    if (!el || at < 0) return;
    if (at * HEIGHT < el.scrollTop) el.scrollTop = at * HEIGHT;
    else if ((at + 1) * HEIGHT > el.scrollTop + el.clientHeight)
      el.scrollTop = (at + 1) * HEIGHT - el.clientHeight;
  });
  const onScroll = () => {
    const el = box.current;
    if (!el) return;
    top.value = el.scrollTop;
    height.value = el.clientHeight;
    atTop.value = el.scrollTop < HEIGHT;
    if (el.scrollTop + 2 * el.clientHeight > el.scrollHeight) void more();
  };
  const list = rows.value;
  const from = Math.max(0, Math.floor(top.value / HEIGHT) - SPARE);
  const to = Math.min(list.length,
    Math.ceil((top.value + height.value) / HEIGHT) + SPARE);
  return (
    <section class="list" aria-label="streams">
      {waiting.value.length > 0 && (
        <button type="button" class="pill" onClick={() => {
          showWaiting();
          if (box.current) box.current.scrollTop = 0;
        }}>{waiting.value.length} new</button>)}
      <div class="rows" ref={box} onScroll={onScroll} role="listbox"
        aria-label="streams, newest first" tabIndex={0}
        aria-activedescendant={selected.value
          ? `row-${selected.value}` : undefined}>
        {list.length === 0 ? <Empty /> : null}
        <div style={{ height: `${list.length * HEIGHT}px` }}>
          {list.slice(from, to).map((row, i) =>
            <Line key={row.stream_id_hex} row={row} at={from + i} />)}
        </div>
      </div>
    </section>
  );
}
