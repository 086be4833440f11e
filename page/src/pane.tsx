// SPDX-License-Identifier: Apache-2.0
// One stream: what was said, in its order.  Payload is only ever text nodes,
// one for each run of bytes of the same kind.
import { useSignalEffect } from '@preact/signals';
import { bytesOf, type Part, type Piece } from './api';
import {
  hide, mark, marks, mode, moreParts, open, paneState, parts, partsMore, say,
  selectedRow, toggleFavorite,
} from './state';
import { clock, hexRow, readable, runs, seconds, size } from './text';

const LINES_MAX = 4096; // rows of hex of one piece

function marksIn(part: Part) {
  return marks.value.map((m, index) => ({
    start: m.logical_start, end: m.logical_end, index,
    mine: m.direction === part.direction,
  })).filter((m) => m.mine);
}

function Text({ piece, part }: { piece: Piece; part: Part }) {
  const bytes = bytesOf(piece.base64 ?? '');
  return (
    <pre>{runs(piece.logical_start, bytes, marksIn(part)).map((run) =>
      run.mark < 0 ? readable(run.bytes)
        : <mark key={run.at} id={`mark-${run.mark}`}
          class={run.mark === mark.value ? 'now' : ''}
          title={marks.value[run.mark]?.pattern_name}>
          {readable(run.bytes)}</mark>)}</pre>
  );
}

function Hex({ piece }: { piece: Piece }) {
  const bytes = bytesOf(piece.base64 ?? '');
  const lines = [];
  for (let at = 0; at < bytes.length && lines.length < LINES_MAX; at += 16)
    lines.push(hexRow(piece.logical_start + at, bytes.subarray(at, at + 16)));
  return <pre class="hex">{lines.join('\n')}</pre>;
}

function Said({ part, before }: { part: Part; before: Part | undefined }) {
  const row = selectedRow.value;
  const client = row && (part.direction === 'a_to_b') === (row.opener === 'a');
  return (
    <article class={client ? 'client' : 'server'}>
      <header>
        <b>{client ? '>' : '<'}</b> <span>#{part.index}</span>
        <span>{clock(part.first_us)}</span>
        <span title="since the other side spoke">{before
          ? `+${seconds(part.first_us - before.last_us)}` : ''}</span>
        <span>{size(part.logical_end - part.logical_start)} bytes</span>
        <span title="number of the packet in its source">packet
          {' '}{part.packet}</span>
      </header>
      {part.pieces.map((p) => p.hole
        ? <div key={p.logical_start} class="hole">
          {p.logical_end - p.logical_start} bytes are missing: {p.hole}</div>
        : mode.value === 'hex' ? <Hex key={p.logical_start} piece={p} />
          : <Text key={p.logical_start} piece={p} part={part} />)}
      {part.given_end < part.logical_end
        ? <div class="hole">{part.logical_end - part.given_end} more bytes;
          the API gives them</div> : null}
    </article>
  );
}

export async function copy() {
  const text = parts.value.map((part) => part.pieces.map((p) => p.base64
    ? mode.value === 'hex'
      ? Array.from(bytesOf(p.base64),
        (b) => b.toString(16).padStart(2, '0')).join(' ')
      : new TextDecoder().decode(bytesOf(p.base64))
    : `[${p.logical_end - p.logical_start} bytes missing]`).join(''))
    .join('\n');
  try {
    await navigator.clipboard.writeText(text);
    say(`copied ${size(text.length)} characters as ${mode.value}`);
  } catch {
    say('the browser does not let this page copy');
  }
}

export function Pane() {
  useSignalEffect(() => {
    if (mark.value >= 0)
      document.getElementById(`mark-${mark.value}`)?.scrollIntoView(
        { block: 'center' });
  });
  const row = selectedRow.value;
  if (paneState.value === 'empty' || !row)
    return (
      <section class="pane"><p class="empty">Choose a stream with <kbd>j</kbd>
        {' '}and <kbd>k</kbd>, or click one. <kbd>?</kbd> shows every key.</p>
      </section>);
  const client = row.opener === 'a' ? row.endpoint_a : row.endpoint_b;
  const server = row.opener === 'a' ? row.endpoint_b : row.endpoint_a;
  return (
    <section class="pane" aria-label="stream">
      <header class="title">
        <span class="ends">{client.addr}:{client.port} {'\u2192'}{' '}
          {server.addr}:{server.port}</span>
        <span>{row.service}</span>
        <span>{row.status}{row.ended ? `, ${row.ended}` : ''}</span>
        <span>{marks.value.length ? `${mark.value + 1} of ` +
          `${marks.value.length} found` : 'nothing found'}</span>
        <code>{row.stream_id_hex}</code>
        <span class="buttons">
          <button type="button" title="favourite (f)" onClick={toggleFavorite}>
            {row.favorite ? '\u2665' : '\u2661'}</button>
          <button type="button" title="text or hex (h)" onClick={() => {
            mode.value = mode.value === 'hex' ? 'text' : 'hex';
          }}>{mode.value}</button>
          <button type="button" title="copy (c)"
            onClick={() => void copy()}>copy</button>
          <button type="button" title="hide (x)"
            onClick={() => void hide()}>hide</button>
        </span>
      </header>
      <div class="talk">
        {paneState.value === 'loading' ? <p class="empty">Loading…</p> : null}
        {paneState.value === 'failed'
          ? <p class="empty">This stream cannot be read.{' '}
            <button type="button"
              onClick={() => void open(row.stream_id_hex)}>Try again</button>
          </p> : null}
        {paneState.value === 'ready' && parts.value.length === 0
          ? <p class="empty">Nothing was said yet.</p> : null}
        {parts.value.map((part, i) => <Said key={part.index} part={part}
          before={parts.value[i - 1]} />)}
        {partsMore.value !== null
          ? <button type="button" class="more"
            onClick={() => void moreParts()}>show what follows</button> : null}
      </div>
    </section>
  );
}
