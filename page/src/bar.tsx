// SPDX-License-Identifier: Apache-2.0
// The strip on top and the query bar below it.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, type Key } from './api';
import {
  help, online, onlyFavorites, progress, query, rate, reload, rows, runSearch,
  runStatus, searching, stats, stopSearch, trouble,
} from './state';
import { size } from './text';

const HISTORY = 50;

export function toggleTheme() {
  const root = document.documentElement;
  const dark = getComputedStyle(root).colorScheme.startsWith('dark');
  root.style.colorScheme = dark ? 'light' : 'dark';
  localStorage.setItem('theme', dark ? 'light' : 'dark');
}

export function Strip() {
  const s = stats.value;
  const lost = (s.source_dropped_packets ?? 0) + (s.source_lost_packets ?? 0);
  return (
    <header class="strip">
      <b>weir</b>
      <span class={online.value ? 'good' : 'bad'}>{!online.value
        ? 'the server does not answer' : runStatus.value || 'connecting'}</span>
      <span>{size(Math.round(rate.value))} packets/s</span>
      <span>{size(s.packets ?? 0)} packets</span>
      <span>{size(s.inventory_created_streams ?? 0)} streams</span>
      <span>{size(s.pattern_matches ?? 0)} found</span>
      <span class={lost ? 'bad' : ''}>{size(lost)} lost</span>
      <span class={s.tcp_gaps ? 'warn' : ''}>{size(s.tcp_gaps ?? 0)} gaps</span>
      <span class="buttons">
        <button type="button" aria-pressed={onlyFavorites.value}
          title="only favourites (F)" onClick={() => {
            onlyFavorites.value = !onlyFavorites.value;
            void reload();
          }}>{'\u2665'}</button>
        <button type="button" title="dark or light (T)"
          onClick={toggleTheme}>{'\u25d1'}</button>
        <button type="button" title="every key (?)"
          onClick={() => { help.value = true; }}>?</button>
      </span>
    </header>
  );
}

// What may complete the word before the cursor.
function completions(keys: Key[], text: string): Key[] {
  const word = /(^|[\s(-])([a-z._]+)$/.exec(text)?.[2];
  if (!word) return [];
  return keys.filter((k) => k.name.startsWith(word) && k.name !== word)
    .slice(0, 8);
}

function remember(text: string) {
  const old = JSON.parse(localStorage.getItem('queries') ?? '[]') as string[];
  localStorage.setItem('queries', JSON.stringify(
    [text, ...old.filter((q) => q !== text)].slice(0, HISTORY)));
}

function Result() {
  const p = progress.value;
  if (!p) return <span class="result">{size(rows.value.length)} shown</span>;
  const of = p.total_known
    ? `${size(p.searched_bytes)} of ${size(p.total_bytes)} bytes`
    : `${size(p.searched_streams)} streams`;
  return (
    <span class="result">{p.hits} hits, searched {of}
      {p.missing_bytes ? `, ${size(p.missing_bytes)} missing` : ''}
      {searching.value
        ? <button type="button" onClick={stopSearch}>stop</button> : null}
    </span>
  );
}

function Trouble() {
  const t = trouble.value;
  if (!t) return null;
  const at = t.at ?? 0;
  return (
    <div class="trouble" role="alert">
      {t.at === undefined ? null
        : <pre>{' '.repeat(at)}{'^'.repeat(Math.max(1, t.len ?? 1))}</pre>}
      {t.message}
    </div>
  );
}

export function QueryBar() {
  const [keys, setKeys] = useState<Key[]>([]);
  const [back, setBack] = useState(-1);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    ask<{ keys: Key[] }>('/api/query/keys').then((o) => setKeys(o.keys),
      () => undefined);
  }, []);
  const offered = completions(keys, query.value);
  const complete = (k: Key) => {
    query.value = query.value.replace(/[a-z._]+$/, `${k.name}:`);
    box.current?.focus();
  };
  const recall = (by: number) => {
    const old = JSON.parse(localStorage.getItem('queries') ?? '[]') as string[];
    const to = Math.max(-1, Math.min(old.length - 1, back + by));
    setBack(to);
    query.value = old[to] ?? '';
  };
  const onKey = (e: KeyboardEvent) => {
    if (e.key === 'Enter') {
      if (query.value.trim()) remember(query.value.trim());
      setBack(-1);
      void runSearch();
    } else if (e.key === 'Tab' && offered[0]) {
      complete(offered[0]);
    } else if (e.key === 'ArrowUp') {
      recall(1);
    } else if (e.key === 'ArrowDown') {
      recall(-1);
    } else if (e.key === 'Escape') {
      if (searching.value) stopSearch();
      else box.current?.blur();
    } else {
      return;
    }
    e.preventDefault();
  };
  return (
    <div class="query">
      <input id="query" ref={box} value={query.value} spellcheck={false}
        autocomplete="off" aria-label="query"
        placeholder={'service:http out~/flag\\{/   ( / to type, Enter to search )'}
        onInput={(e) => { query.value = e.currentTarget.value; }}
        onKeyDown={onKey} />
      <Result />
      {offered.length > 0 && (
        <ul class="offers">{offered.map((k) =>
          <li key={k.name} onMouseDown={(e) => {
            e.preventDefault();
            complete(k);
          }}><b>{k.name}</b> {k.about} <i>{k.values}</i></li>)}</ul>)}
      <Trouble />
    </div>
  );
}
