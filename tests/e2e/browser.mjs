// SPDX-License-Identifier: Apache-2.0
// browser.mjs ADDRESS DIR: the page in a real browser, one check a line:
// "ok" or "not", the name and why, with tabs between them.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.WEIR_SOURCE}/page/`);
const { chromium } = require('playwright-core');
const [address, dir] = process.argv.slice(2);

function check(name, good, why = '') {
  console.log([good ? 'ok' : 'not', name,
    String(why).replace(/[\t\n]/g, ' ').slice(0, 300)].join('\t'));
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-sync'],
});
const context = await browser.newContext({
  viewport: { width: 1400, height: 800 },
  permissions: ['clipboard-read', 'clipboard-write'],
});
const page = await context.newPage();
const complaints = [];
const asked = new Set();
page.on('console', (m) => {
  if (m.type() === 'error') complaints.push(m.text());
});
page.on('pageerror', (e) => complaints.push(e.message));
page.on('request', (r) => asked.add(new URL(r.url()).host));
const text = (selector) => page.locator(selector).first().innerText();
const press = (key) => page.keyboard.press(key);

await page.goto(`http://${address}/`);
await page.waitForSelector('.row');
check('R44 rows appear', await page.locator('.row').count() > 10);

await press('j');
await page.waitForSelector('article pre');
const first = await text('.title code');
await press('j');
await page.waitForFunction((id) =>
  document.querySelector('.title code').textContent !== id, first);
await press('k');
await page.waitForFunction((id) =>
  document.querySelector('.title code').textContent === id, first);
check('R44 j and k choose a stream', true);

await press('/');
await page.keyboard.type('out~/flag\\{[a-z0-9]+/');
await press('Enter');
await page.waitForFunction(() => {
  const t = document.querySelector('.result').textContent;
  return / hits, searched/.test(t) && !/stop/.test(t);
});
const hits = parseInt(await text('.result'), 10);
check('R44 a query gives hits, and says what was searched', hits > 50,
  await text('.result'));
await press('Escape');
await press('j');
await page.waitForSelector('mark');
check('R44 what was found is marked',
  /^flag\{/.test(await text('mark')), await text('mark'));
await press('n');
const at = await page.evaluate(() => document.querySelector('mark.now')?.id);
await press('p');
const before = await page.evaluate(
  () => document.querySelector('mark.now')?.id);
check('R44 n and p go through it', at && before && at !== before,
  `${at} ${before}`);

await press('c');
await page.waitForSelector('.toast');
const copied = await page.evaluate(() => navigator.clipboard.readText());
check('R44 c copies what was said', /flag\{/.test(copied), copied);
await press('h');
await page.waitForSelector('pre.hex');
check('R44 h shows hex', /^00000000 {2}([0-9a-f]{2} )+/.test(
  await text('pre.hex')));
await press('h');
await press('f');
await page.waitForSelector('.row.on .tags b');
check('R44 f makes a favourite', true);

await press('/');
await page.fill('#query', 'servce:http');
await press('Enter');
await page.waitForSelector('.trouble');
check('a wrong query is told with its place', /did you mean service/.test(
  await text('.trouble')) && /\^{6}/.test(await text('.trouble pre')),
await text('.trouble'));
await press('Escape');
await press('0');
await page.waitForFunction(() => document.querySelectorAll('.row').length > 10);
await page.evaluate(() => document.querySelector('.rows').scrollTo(0, 1e9));
await page.waitForFunction(() =>
  document.querySelector('.rows').scrollHeight > 24 * 300);
check('only rows in view are in the document',
  await page.locator('.row').count() < 80, await page.locator('.row').count());
await press('?');
check('? shows every key', await page.locator('.help tr').count() >= 12);
await press('Escape');
for (const theme of ['dark', 'light']) {
  await page.emulateMedia({ colorScheme: theme });
  await page.screenshot({ path: `${dir}/${theme}.png` });
}
check('nothing is fetched from elsewhere', [...asked].join() === address,
  [...asked]);
check('the browser complains of nothing',
  complaints.filter((c) => !/400 \(Bad Request\)/.test(c)).length === 0,
  complaints);
await browser.close();
