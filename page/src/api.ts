// SPDX-License-Identifier: Apache-2.0
// What the server says (doc/api.md), and how it is asked.

export type Direction = 'a_to_b' | 'b_to_a';

export interface Endpoint { addr: string; port: number }

export interface Row {
  stream_id_hex: string;
  first_seen_us: number;
  last_seen_us: number;
  protocol: string;
  endpoint_a: Endpoint;
  endpoint_b: Endpoint;
  opener: 'a' | 'b';
  service: string;
  status: 'open' | 'closing' | 'closed';
  ended: string;
  content_kind: string;
  packets: number;
  gap_bytes: number;
  client_bytes: number;
  server_bytes: number;
  match_count: number;
  pattern_ids: string[];
  favorite: boolean;
  hidden: boolean;
}

export interface Match {
  pattern_id: string;
  pattern_name: string;
  direction: Direction;
  logical_start: number;
  logical_end: number;
}

export interface Found {
  term: string;
  direction: Direction;
  logical_start: number;
  logical_end: number;
}

export interface Piece {
  logical_start: number;
  logical_end: number;
  base64?: string;
  hole?: string;
}

export interface Part {
  index: number;
  direction: Direction;
  first_us: number;
  last_us: number;
  packet: number;
  logical_start: number;
  logical_end: number;
  given_end: number;
  pieces: Piece[];
}

export interface Conversation {
  row: Row;
  parts: Part[];
  next_cursor: number | null;
}

export interface Delta {
  cursor: number;
  kind: 'streams' | 'matches' | 'status' | 'stats' | 'note';
  streams?: Row[];
  run_status?: string;
  stats?: Record<string, number>;
}

export interface Deltas {
  deltas: Delta[];
  next_cursor: number;
  missed: boolean;
  run_status: string;
}

export interface Progress {
  state: string;
  hits: number;
  searched_streams: number;
  searched_bytes: number;
  total_known: boolean;
  total_streams: number;
  total_bytes: number;
  missing_bytes: number;
  error?: string;
}

export interface Key { name: string; also: string; values: string; about: string }

// A sentence of the server, with its place in the query where it has one.
export class Refused extends Error {
  constructor(text: string, readonly at?: number, readonly len?: number) {
    super(text);
  }
}

async function refused(r: Response): Promise<Refused> {
  const o = await r.json().catch(() => ({ error: r.statusText }));
  return new Refused(o.error, o.at, o.len);
}

export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const r = await fetch(path, init);
  if (!r.ok) throw await refused(r);
  return await r.json() as T;
}

export function change<T>(method: string, path: string, body: unknown) {
  return ask<T>(path, { method, body: JSON.stringify(body) });
}

export const bytesOf = (base64: string) =>
  Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// Lines of JSON, each as it comes.
export async function* lines<T>(path: string, signal: AbortSignal) {
  const r = await fetch(path, { signal });
  if (!r.ok || !r.body) throw await refused(r);
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line) yield JSON.parse(line) as T;
  }
}
