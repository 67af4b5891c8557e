// The stage of the tests: a browser, and pages on the origin of a running plusone,
// which the environment names. Nothing of the API is played: what a test changes on
// the way of a request, it says.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const api = process.env.PLUSONE_API; // http://127.0.0.1:…, --auth cookie, --quota 90/1h
export const elsewhere = process.env.PLUSONE_ELSEWHERE; // an origin in its --cors-origin
export const pinned = process.env.PLUSONE_TAG; // of `plusone version --assets`
export const key = process.env.PLUSONE_KEY; // of a server

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--process-per-site',
    // A page of another site is played, so it comes from nowhere that may ask this machine.
    '--disable-features=LocalNetworkAccessChecks',
  ],
});
export const end = () => browser.close();

/** An id of an item that nobody else has. */
export const item = (name = 'item') => `${name}-${randomUUID()}`;

/** The script's tag: it is a classic script that does not hold up the page. */
export const script = '<script src="/v1/like-button.js" defer></script>';

export const html = (body, { head = script, lang = 'en', attributes = '' } = {}) =>
  `<!doctype html><html lang="${lang}" ${attributes}><head><meta charset="utf-8"><title>A page</title>${head}</head>` +
  `<body><main><h1>A page</h1>${body}</main></body></html>`;

// Visitors may like when their cookie is a second old, so they come early.
async function visitor() {
  for (let tries = 0; tries < 50; tries++) {
    const cookie = (await fetch(`${api}/v1/items/visitors`)).headers.get('set-cookie');
    if (!cookie) continue; // no answer in time: the machine is busy
    const [name, value] = cookie.split(';')[0].split('=');
    return { name, value, url: api };
  }
  throw new Error('the API gives visitors no cookie');
}
const visitors = await Promise.all(Array.from({ length: 20 }, visitor));

// What most tests share: one visitor, and one process for all pages of a site. A
// process for each page would take most of the time.
const everybody = await browser.newContext({ viewport: { width: 600, height: 400 } });
await everybody.addCookies([visitors.pop()]);

/**
 * Opens an empty page. With options it is for a visitor of his own, who has a cookie
 * unless he is new.
 */
export async function bare(t, { isNew = false, own = false, ...options } = {}) {
  let context = everybody;
  if (isNew || own || Object.keys(options).length) {
    context = await browser.newContext({ viewport: { width: 600, height: 400 }, ...options });
    if (!isNew) await context.addCookies([visitors.pop()]);
  }
  const page = await context.newPage();
  t.after(async () => {
    await page.unrouteAll({ behavior: 'ignoreErrors' }); // requests may be on their way, now for nobody
    await (context === everybody ? page.close() : context.close());
  });
  page.setDefaultTimeout(60_000);
  return page;
}

/** Opens a page with this content, on the API's origin. watch(page) runs before anything is loaded. */
export async function open(t, content, { headers = {}, origin = api, watch, ...options } = {}) {
  const page = await bare(t, options);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.route(`${origin}/page`, (route) => route.fulfill({ contentType: 'text/html', body: content, headers }));
  await watch?.(page);
  await page.goto(`${origin}/page`);
  t.after(() => assert.deepEqual(problems, []));
  return page;
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Lets axe look for what keeps people from using a page. */
export async function findsNothing(page) {
  await page.evaluate(axe);
  const { violations, incomplete } = await page.evaluate(() => globalThis.axe.run());
  const found = [...violations, ...incomplete].map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`);
  assert.deepEqual(found, []);
}

/** For open's watch: a server's key and a user stand for who looks at the page. */
export const identified = (user) => (page) =>
  page.addInitScript(
    ([user, key]) => (window.likeButton = { headers: () => ({ 'X-User-ID': user }), token: async () => key }),
    [user, key],
  );

/** The button inside the nth like-button of a page. */
export const button = (page, n = 0) => page.locator('like-button').nth(n).locator('button');

/** Waits until the nth like-button shows a state and a count. */
export async function shows(page, liked, count, n = 0) {
  await page.waitForFunction(
    ([n, liked, count]) => {
      const parts = document.querySelectorAll('like-button')[n]?.shadowRoot;
      const shown = parts?.querySelector('[part=count]').textContent;
      return parts?.querySelector('button').ariaPressed === String(liked) && (count === undefined || shown === String(count));
    },
    [n, liked, count],
  );
}

/** What the nth like-button says. */
export const message = (page, n = 0) => page.locator('like-button').nth(n).getByRole('status');

export async function says(page, pattern, n = 0) {
  await page.waitForFunction(
    ([n, source]) =>
      new RegExp(source).test(document.querySelectorAll('like-button')[n].shadowRoot.querySelector('[role=status]').textContent),
    [n, pattern.source],
  );
}

/** Keeps the requests that pages make for likes, as `PUT 200`, and lets change alter their way. */
export async function likes(page, change) {
  const seen = [];
  await page.route(/\/v1\/items\/[^/]+\/like$/, async (route) => {
    const at = seen.push(route.request().method()) - 1;
    await (change?.(route, at) ?? route.continue());
  });
  return seen;
}

// ask asks the API, and once more when it is too busy: what is repeated counts once.
async function ask(path, options) {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${api}/v1/${path}`, options);
    if (answer.status !== 503 || tries === 20) {
      assert.equal(answer.status, 200);
      return answer.json();
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** What the API says of an item. */
export const stored = async (item) => (await ask(`items/${encodeURIComponent(item)}`)).count;

/** Likes an item in the name of others. */
export const like = (item, others = 1) => send(Array.from({ length: others }, () => ({ item, user: randomUUID(), liked: true })));

/** Sends ops as a server does that acts for users. */
export const send = (ops) =>
  ask('likes', {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ops }),
  });

/** Waits for something that is not on a page. */
export async function eventually(what, ok) {
  for (const until = Date.now() + 60_000; !(await ok()); ) {
    if (Date.now() > until) assert.fail(`not in time: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
