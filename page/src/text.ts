// SPDX-License-Identifier: Apache-2.0
// Numbers and bytes for people.

export function size(n: number): string {
  if (n < 1000) return `${n}`;
  if (n < 1e6) return `${(n / 1e3).toPrecision(3)} k`;
  if (n < 1e9) return `${(n / 1e6).toPrecision(3)} M`;
  return `${(n / 1e9).toPrecision(3)} G`;
}

export function clock(us: number): string {
  return new Date(us / 1000).toISOString().slice(11, 23);
}

export function seconds(us: number): string {
  if (us < 1000) return `${us} us`;
  if (us < 1e6) return `${(us / 1e3).toPrecision(3)} ms`;
  return `${(us / 1e6).toFixed(2)} s`;
}

// A run of bytes, and which mark it belongs to (-1: none).
export interface Run { at: number; bytes: Uint8Array; mark: number }

// Cut bytes that begin at offset `at` where marks begin and end; the first
// mark wins where they lie over each other.
export function runs(
  at: number, bytes: Uint8Array,
  marks: { start: number; end: number; index: number }[],
): Run[] {
  const out: Run[] = [];
  const end = at + bytes.length;
  let from = at;
  const add = (to: number, mark: number) => {
    if (to > from)
      out.push({ at: from, bytes: bytes.subarray(from - at, to - at), mark });
    from = Math.max(from, to);
  };
  const mine = marks.filter((m) => m.end > at && m.start < end)
    .sort((a, b) => a.start - b.start);
  for (const m of mine) {
    add(Math.max(from, Math.min(m.start, end)), -1);
    add(Math.min(m.end, end), m.index);
  }
  add(end, -1);
  return out;
}

const decoder = new TextDecoder('utf-8');

// Control characters are shown as pictures, so that nothing hides.
export function readable(bytes: Uint8Array): string {
  return decoder.decode(bytes).replace(
    /[\u0000-\u0008\u000b-\u001f\u007f]/g,
    (c) => c === '\r' ? '' : c === '\u007f' ? '\u2421'
      : String.fromCharCode(0x2400 + c.charCodeAt(0)));
}

export function hexRow(at: number, bytes: Uint8Array): string {
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0'));
  const text = Array.from(bytes, (b) =>
    b >= 32 && b < 127 ? String.fromCharCode(b) : '.').join('');
  return `${at.toString(16).padStart(8, '0')}  ` +
    `${hex.slice(0, 8).join(' ').padEnd(23)}  ` +
    `${hex.slice(8).join(' ').padEnd(23)}  ${text}`;
}
