// SPDX-License-Identifier: Apache-2.0
// What the page knows, as signals; everything that changes it.
import { batch, computed, signal } from '@preact/signals';
import {
  ask, change, lines, Refused, type Conversation, type Deltas, type Found,
  type Match, type Part, type Progress, type Row,
} from './api';

const PAGE = 200; // rows asked for at once
const LIVE_MAX = 5000; // rows kept while nobody scrolls

export const rows = signal<Row[]>([]);
export const waiting = signal<Row[]>([]); // new ones that would move the list
export const atTop = signal(true);
export const listState = signal<'loading' | 'ready' | 'failed'>('loading');
export const selected = signal<string | null>(null);
export const onlyFavorites = signal(false);

export const query = signal('');
export const searching = signal(false);
export const progress = signal<Progress | null>(null);
export const trouble = signal<Refused | null>(null);

export const online = signal(true);
export const runStatus = signal('');
export const stats = signal<Record<string, number>>({});
export const rate = signal(0);

export const mode = signal<'text' | 'hex'>('text');
export const help = signal(false);
export const toast = signal('');

let nextCursor: string | null = null;
let fetching = false;
let found = new Map<string, Found[]>(); // of the present search, by stream
let search: AbortController | null = null;

export const selectedRow = computed(
  () => rows.value.find((r) => r.stream_id_hex === selected.value) ?? null);

export function say(text: string) {
  toast.value = text;
  setTimeout(() => { if (toast.value === text) toast.value = ''; }, 2500);
}

/* -- the list -------------------------------------------------------------- */

function listPath(cursor: string) {
  return `/api/streams?limit=${PAGE}&cursor=${cursor}` +
    (onlyFavorites.value ? '&only_favorites=true&include_hidden=true' : '');
}

interface List { rows: Row[]; next_cursor: string | null }

export async function reload() {
  search?.abort();
  listState.value = 'loading';
  try {
    const o = await ask<List>(listPath('0'));
    batch(() => {
      rows.value = o.rows;
      waiting.value = [];
      progress.value = null;
      listState.value = 'ready';
    });
    nextCursor = o.next_cursor;
    found = new Map();
  } catch (e) {
    listState.value = 'failed';
    trouble.value = e as Refused;
  }
}

export async function more() {
  if (fetching || nextCursor === null || progress.value) return;
  fetching = true;
  try {
    const o = await ask<List>(listPath(nextCursor));
    const known = new Set(rows.value.map((r) => r.stream_id_hex));
    rows.value = [...rows.value,
      ...o.rows.filter((r) => !known.has(r.stream_id_hex))];
    nextCursor = o.next_cursor;
  } catch { /* scrolling on asks again */ } finally { fetching = false; }
}

export function showWaiting() {
  rows.value = [...waiting.value, ...rows.value];
  waiting.value = [];
}

function isNewer(a: Row, b: Row) {
  return a.first_seen_us > b.first_seen_us;
}

// Rows as they are now: known ones change in place, new ones come on top when
// the reader is there, and wait when not.
function take(news: Row[]) {
  const at = new Map(rows.value.map((r, i) => [r.stream_id_hex, i]));
  const list = rows.value.slice();
  const fresh: Row[] = [];
  const pending = waiting.value.slice();
  for (const row of news) {
    const i = at.get(row.stream_id_hex);
    const k = pending.findIndex((r) => r.stream_id_hex === row.stream_id_hex);
    if (i !== undefined) list[i] = row;
    else if (k >= 0) pending[k] = row;
    else if (!row.hidden && !progress.value && !onlyFavorites.value &&
             (!list[0] || !isNewer(list[0], row))) fresh.push(row);
  }
  fresh.sort((a, b) => b.first_seen_us - a.first_seen_us);
  batch(() => {
    if (atTop.value) {
      rows.value = [...fresh, ...list].slice(0, Math.max(LIVE_MAX, list.length));
    } else {
      rows.value = list;
      waiting.value = [...fresh, ...pending].slice(0, LIVE_MAX);
    }
  });
}

/* -- what changes ----------------------------------------------------------- */

let packets = 0;
let packetsAt = 0;

function takeStats(s: Record<string, number>) {
  const now = performance.now();
  const n = s.packets ?? 0;
  if (packetsAt) rate.value = (n - packets) * 1000 / (now - packetsAt);
  packets = n;
  packetsAt = now;
  stats.value = s;
}

function onEvent(o: Deltas) {
  const news: Row[] = [];
  runStatus.value = o.run_status;
  for (const d of o.deltas) {
    if (d.streams) news.push(...d.streams);
    if (d.stats) takeStats(d.stats);
    if (d.kind === 'note' && !progress.value) void reload();
  }
  if (o.missed && !progress.value) void reload();
  else if (news.length) take(news);
  if (news.some((r) => r.stream_id_hex === selected.value)) void refresh();
}

export function listen() {
  const events = new EventSource('/api/live/events');
  events.onmessage = (e) => onEvent(JSON.parse(e.data) as Deltas);
  events.onopen = () => { online.value = true; };
  events.onerror = () => { online.value = false; };
}

/* -- search ---------------------------------------------------------------------- */

interface Line {
  row?: Row; found?: Found[]; progress?: Progress; end?: Progress;
}

export function stopSearch() {
  search?.abort();
  searching.value = false;
}

export async function runSearch() {
  const text = query.value.trim();
  trouble.value = null;
  if (!text) {
    stopSearch();
    return reload();
  }
  search?.abort();
  const mine = search = new AbortController();
  batch(() => {
    searching.value = true;
    rows.value = [];
    waiting.value = [];
    progress.value = {
      state: 'running', hits: 0, searched_streams: 0, searched_bytes: 0,
      total_known: false, total_streams: 0, total_bytes: 0,
      missing_bytes: 0,
    };
  });
  found = new Map();
  try {
    const path = `/api/search?q=${encodeURIComponent(text)}`;
    for await (const line of lines<Line>(path, mine.signal)) {
      if (line.row) {
        rows.value = [...rows.value, line.row];
        if (line.found) found.set(line.row.stream_id_hex, line.found);
      }
      const p = line.progress ?? line.end;
      if (p) progress.value = p;
    }
  } catch (e) {
    if (!mine.signal.aborted) trouble.value = e as Refused;
  }
  if (search === mine) searching.value = false;
}

/* -- one stream ------------------------------------------------------------------- */

export const parts = signal<Part[]>([]);
export const marks = signal<Match[]>([]);
export const mark = signal(-1); // which one is looked at
export const partsMore = signal<number | null>(null);
export const paneState = signal<'empty' | 'loading' | 'ready' | 'failed'>('empty');

function marksOf(id: string, matches: Match[]): Match[] {
  const hits = (found.get(id) ?? []).map((f) => ({
    pattern_id: 'query', pattern_name: f.term, direction: f.direction,
    logical_start: f.logical_start, logical_end: f.logical_end,
  }));
  return [...hits, ...matches];
}

export async function open(id: string) {
  batch(() => {
    if (selected.value !== id) {
      parts.value = [];
      marks.value = [];
      mark.value = -1;
      paneState.value = 'loading';
    }
    selected.value = id;
  });
  await refresh();
}

export async function refresh() {
  const id = selected.value;
  if (!id) return;
  try {
    const [talk, m] = await Promise.all([
      ask<Conversation>(`/api/streams/${id}/conversation?mode=raw`),
      ask<{ matches: Match[] }>(`/api/streams/${id}/matches`),
    ]);
    if (selected.value !== id) return;
    batch(() => {
      parts.value = talk.parts;
      partsMore.value = talk.next_cursor;
      marks.value = marksOf(id, m.matches);
      paneState.value = 'ready';
    });
  } catch {
    if (selected.value === id) paneState.value = 'failed';
  }
}

export async function moreParts() {
  const id = selected.value;
  const cursor = partsMore.value;
  if (!id || cursor === null) return;
  const o = await ask<Conversation>(
    `/api/streams/${id}/conversation?mode=raw&cursor=${cursor}`);
  if (selected.value !== id) return;
  batch(() => {
    parts.value = [...parts.value, ...o.parts];
    partsMore.value = o.next_cursor;
  });
}

export function step(by: number) {
  const list = rows.value;
  const at = list.findIndex((r) => r.stream_id_hex === selected.value);
  const next = list[Math.min(list.length - 1, Math.max(0, at + by))];
  if (next) void open(next.stream_id_hex);
}

export function stepMark(by: number) {
  const n = marks.value.length;
  if (n) mark.value = (mark.value + by + n) % n;
  else say('nothing was found in this stream');
}

async function setState(body: object) {
  const row = selectedRow.value;
  if (!row) return;
  const o = await change<{ row: Row }>(
    'PATCH', `/api/streams/${row.stream_id_hex}/state`, body);
  rows.value = rows.value.map(
    (r) => r.stream_id_hex === o.row.stream_id_hex ? o.row : r);
}

export function toggleFavorite() {
  const row = selectedRow.value;
  if (row) void setState({ favorite: !row.favorite });
}

export async function hide() {
  const row = selectedRow.value;
  if (!row) return;
  await setState({ hidden: true });
  step(1);
  rows.value = rows.value.filter(
    (r) => r.stream_id_hex !== row.stream_id_hex);
  say('hidden; its hide rules and favourites stay on the server');
}
