// The console in a browser: node console.test.js

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';

const inside = process.env.PLUSONE_INSIDE; // http://127.0.0.1:…, of plusone dev with
const token = process.env.PLUSONE_TOKEN; // this --internal-token
const api = process.env.PLUSONE_API;
const key = process.env.PLUSONE_KEY; // of a server

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const places = ['', 'hot', 'item?id=page', 'item?id=nobody', 'frozen', 'repairs', 'letters', 'sagas', 'revocations', 'notifications', 'notification?id=1', 'settings', 'findings', 'nothing'];

let browser, page, problems;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Likes an item in the name of others; an API that is too busy is asked once more. */
async function like(item, others) {
  const ops = Array.from({ length: others }, (_, i) => ({ item, user: `u${i}-${Date.now()}`, liked: true }));
  for (let status = 503; status !== 200; await pause(100)) {
    assert.equal(status, 503);
    ({ status } = await fetch(`${api}/v1/likes`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ ops }),
    }));
  }
}

/** What axe has against the page, and whether it is wider than the window. */
async function faults() {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run();
    const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`);
    const beyond = document.documentElement.scrollWidth - innerWidth;
    return beyond > 0 ? [...found, `${beyond} pixels are beyond the window`] : found;
  });
}

/** Does the first act on a page that bears a name, for a reason. */
async function act(name, reason) {
  const form = page.locator('form.act', { has: page.getByRole('button', { name }) }).first();
  await form.getByLabel('Why').fill(reason);
  await form.getByRole('button', { name }).click();
}

describe('the console', { timeout: 480_000 }, () => {
  before(async () => {
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(60_000);
    problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (m) => m.type() === 'error' && !/status of 4\d\d/.test(m.text()) && problems.push(m.text())); // a broken CSP is told there
  });
  after(async () => {
    await browser.close();
  });

  test('who shows the token is let in, where he wanted to go', async () => {
    await page.goto(`${inside}/`);
    assert.equal(new URL(page.url()).pathname, '/console/login');
    await page.goto(`${inside}/console/hot`);
    await page.getByLabel(/^Token/).fill('not the token');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('That is not the token').waitFor();
    assert.deepEqual(await faults(), []);
    await page.getByLabel(/^Token/).fill(token);
    await page.getByLabel(/^Your name/).fill('ada');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Hot items' }).waitFor();
  });

  test('the overview draws what happens, and says when it can not', async () => {
    await page.goto(`${inside}/console/`);
    await page.locator('#plot-likes canvas').waitFor();
    const figure = page.locator('[data-line="likes.accepted"] dd');
    let enough = false;
    const likes = (async () => {
      for (; !enough; await pause(100)) await like('page', 20);
    })();
    try {
      await page.waitForFunction(() => Number(document.querySelector('[data-line="likes.accepted"] dd').textContent) > 10);
    } finally {
      enough = true;
      await likes;
    }
    const drawn = await page.evaluate(() => {
      const canvas = document.querySelector('#plot-likes canvas');
      return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0);
    });
    assert.ok(drawn, `nothing is drawn, and the figure says ${await figure.textContent()}`);
    await page.route('**/console/live*', (route) => route.abort());
    await page.locator('#away').waitFor();
    await page.unroute('**/console/live*');
    await page.locator('#away').waitFor({ state: 'hidden' });
    problems = problems.filter((p) => !/ERR_FAILED/.test(p)); // those were ours
  });

  test('an item is frozen by hand, and says so', async () => {
    await page.getByLabel('Item').fill('page');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/console/item?id=page');
    while (!(await page.getByText('Both sides count the same').isVisible())) await page.reload(); // Postgres may be behind yet
    await act('Freeze', 'a campaign');
    await page.getByRole('status').getByText('It takes no new likes.').waitFor();
    const refused = await fetch(`${api}/v1/items/page/like`, { method: 'PUT', headers: { 'X-User-ID': 'late' } });
    assert.equal(refused.status, 409);
    await page.getByRole('cell', { name: 'a campaign' }).waitFor();
    await act('Reconcile now', 'to be sure');
    await page.getByRole('status').getByText('Compared.').waitFor();
  });

  test('what can not be taken back is asked twice', async () => {
    await like('bought', 3);
    await page.goto(`${inside}/console/revocations`);
    await page.getByLabel(/^Users/).fill('nobody\nu0');
    await page.getByRole('button', { name: 'Look what' }).click();
    await page.getByText('That takes back').waitFor();
    await page.getByLabel(/^Why/).fill('bots');
    await page.getByRole('button', { name: 'Take them back' }).click();
    await page.getByRole('heading', { name: /^Revocation/ }).waitFor();
    await act('Undo', 'they were people');
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.ok(await page.getByLabel(/I mean it/).evaluate((box) => box.validity.valueMissing), 'it goes on without the tick');
    await page.getByLabel(/I mean it/).check();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('status').getByText('Noted').waitFor();
  });

  test('the doctor is asked when the page is there', async () => {
    await page.goto(`${inside}/console/doctor`);
    await page.getByText(/\d+ checks: \d+ wrong/).waitFor();
  });

  test('every page is right by day and night, on a desk and in a hand', async () => {
    for (const [colorScheme, width] of [['light', 1280], ['dark', 360]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      for (const place of places) {
        await page.goto(`${inside}/console/${place}`);
        assert.deepEqual(await faults(), [], `${place}, ${colorScheme}, ${width}`);
      }
    }
  });

  test('the keyboard leads past the menu', async () => {
    await page.goto(`${inside}/console/repairs`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)));
  });

  test('the queues look alike, and lead back', async () => {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${inside}/tasks/`);
    await page.getByRole('link', { name: 'plusone' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  });

  test('who logs out is out', async () => {
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL('**/console/login'); // or the next page would come first
    await page.goto(`${inside}/console/`);
    assert.equal(new URL(page.url()).pathname, '/console/login');
    assert.deepEqual(problems, []);
  });
});
