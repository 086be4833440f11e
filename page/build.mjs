// SPDX-License-Identifier: Apache-2.0
// build.mjs [--check] DIR: the page as three files of text.  --check builds
// beside them and fails where they differ.
import { build } from 'esbuild';
import { readFile, writeFile, mkdir } from 'node:fs/promises';

const check = process.argv[2] === '--check';
const dir = process.argv[check ? 3 : 2];

const result = await build({
  entryPoints: { app: 'src/main.tsx', styles: 'src/styles.css' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'ascii',
  legalComments: 'none',
  lineLimit: 160,
  jsx: 'automatic',
  jsxImportSource: 'preact',
  outdir: dir,
  write: false,
});
const files = new Map(result.outputFiles.map(
  (f) => [f.path.split('/').pop(), f.text]));
files.set('index.html', await readFile('src/index.html', 'utf8'));

let differs = 0;
await mkdir(dir, { recursive: true });
for (const [name, text] of files) {
  const path = `${dir}/${name}`;
  if (!check) {
    await writeFile(path, text);
    console.log(`${path}: ${text.length} bytes`);
  } else if (await readFile(path, 'utf8').catch(() => '') !== text) {
    console.error(`${path} is not what the sources give: npm run build`);
    differs++;
  }
}
process.exit(differs ? 1 : 0);
