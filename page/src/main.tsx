// SPDX-License-Identifier: Apache-2.0
// The page: one screen, every key.
import { render } from 'preact';
import { QueryBar, Strip, toggleTheme } from './bar';
import { List } from './list';
import { copy, Pane } from './pane';
import {
  help, hide, listen, mode, onlyFavorites, query, reload, showWaiting, step,
  stepMark, stopSearch, toast, toggleFavorite,
} from './state';

const keys: [string, string, () => void][] = [
  ['j', 'next stream', () => step(1)],
  ['k', 'stream before', () => step(-1)],
  ['n', 'next thing found in the stream', () => stepMark(1)],
  ['p', 'thing found before', () => stepMark(-1)],
  ['f', 'favourite', toggleFavorite],
  ['F', 'only favourites', () => {
    onlyFavorites.value = !onlyFavorites.value;
    void reload();
  }],
  ['h', 'text or hex', () => {
    mode.value = mode.value === 'hex' ? 'text' : 'hex';
  }],
  ['c', 'copy what was said', () => void copy()],
  ['x', 'hide the stream', () => void hide()],
  ['/', 'type a query', () => document.getElementById('query')?.focus()],
  ['0', 'back to the live list', () => {
    query.value = '';
    void reload();
  }],
  ['G', 'show the new ones', () => {
    showWaiting();
    document.querySelector('.rows')?.scrollTo(0, 0);
  }],
  ['T', 'dark or light', toggleTheme],
  ['?', 'this help', () => { help.value = !help.value; }],
  ['Escape', 'stop the search, close the help', () => {
    if (help.value) help.value = false;
    else stopSearch();
  }],
];
const also: Record<string, string> = { ArrowDown: 'j', ArrowUp: 'k', N: 'p' };

function onKey(e: KeyboardEvent) {
  const typing = e.target instanceof HTMLInputElement;
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const name = also[e.key] ?? e.key;
  const key = keys.find(([k]) => k === name);
  if (!key) return;
  e.preventDefault();
  key[2]();
}

function Help() {
  if (!help.value) return null;
  return (
    <div class="help" role="dialog" aria-label="every key"
      onClick={() => { help.value = false; }}>
      <table><tbody>{keys.map(([k, what]) =>
        <tr key={k}><td><kbd>{k}</kbd></td><td>{what}</td></tr>)}</tbody></table>
      <p>In the query bar: Tab completes, arrows recall, Enter searches.</p>
    </div>
  );
}

function Page() {
  return (
    <>
      <Strip />
      <QueryBar />
      <main><List /><Pane /></main>
      <Help />
      {toast.value ? <div class="toast" role="status">{toast.value}</div>
        : null}
    </>
  );
}

const theme = localStorage.getItem('theme');
if (theme) document.documentElement.style.colorScheme = theme;
document.addEventListener('keydown', onKey);
render(<Page />, document.body);
void reload();
listen();
