import assert from 'node:assert/strict';
import { it } from 'node:test';
import { button, eventually, html, identified, item, like, likes, message, open, says, send, shows, stored } from './stage.js';

// errors keeps the events that tell of likes that were taken back.
const errors = (page, prevent = false) =>
  page.evaluateHandle((prevent) => {
    const all = [];
    document.addEventListener('like-button-error', (event) => {
      all.push(event.detail);
      if (prevent) event.preventDefault();
    });
    return all;
  }, prevent);

export function trouble() {
  it('takes a like over the quota back, says when to try again, and tells the page', async (t) => {
    const greedy = item('user');
    const [last, beyond] = [item(), item()];
    await send(Array.from({ length: 89 }, () => ({ item: item(), user: greedy, liked: true })));
    const tags = [last, beyond].map((id) => `<like-button item="${id}"></like-button>`).join('');
    const page = await open(t, html(tags), { watch: identified(greedy) });
    await shows(page, false, 0, 1);
    const told = await errors(page);
    await button(page, 0).click();
    await eventually('it is stored', async () => (await stored(last)) === 1);
    await button(page, 1).click();
    await says(page, /^That was too much at once\. Please try again in \d+ (seconds?|minutes?)\.$/, 1);
    await shows(page, false, 0, 1);
    const [{ item: id, status, code, retryAfter }] = await told.jsonValue();
    assert.deepEqual([id, status, code], [beyond, 429, 'quota_exceeded']);
    assert.ok(retryAfter > 0);
    await page.keyboard.press('Escape');
    assert.equal(await message(page, 1).textContent(), '');
    assert.equal(await stored(beyond), 0);
  });

  it('waits for a limit that is over soon', async (t) => {
    const post = item();
    const limited = { status: 429, headers: { 'Retry-After': '1' }, json: { code: 'rate_limited' } };
    let seen;
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) => (seen = await likes(page, (route, at) => (at ? undefined : route.fulfill(limited)))),
    });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    assert.deepEqual(seen, ['PUT', 'PUT']);
    assert.equal(await message(page).textContent(), '');
  });

  it('lets the page say itself what went wrong', async (t) => {
    const page = await open(t, html(`<like-button item="${item()}"></like-button>`), {
      watch: (page) => likes(page, (route) => route.fulfill({ status: 409, json: { code: 'item_frozen' } })),
    });
    await shows(page, false, 0);
    const told = await errors(page, true);
    await button(page).click();
    await page.waitForFunction((all) => all.length === 1, told);
    await shows(page, false, 0);
    assert.equal(await message(page).textContent(), '');
  });

  it('says it in the words of the page', async (t) => {
    const page = await open(t, html(`<like-button item="${item()}"></like-button>`), {
      watch: async (page) => {
        await page.addInitScript(() => (window.likeButton = { text: { frozen: 'Hier ist Schluss.', like: 'Gefällt mir' } }));
        await likes(page, (route) => route.fulfill({ status: 409, json: { code: 'item_frozen' } }));
      },
    });
    await shows(page, false, 0);
    await page.getByRole('button', { name: 'Gefällt mir' }).click();
    await says(page, /^Hier ist Schluss\.$/);
  });

  it('repeats a like whose answer was lost, which counts once', async (t) => {
    const post = item();
    let seen;
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) =>
        (seen = await likes(page, async (route, at) => {
          if (at) return route.continue();
          await route.fetch();
          return route.abort('connectionreset');
        })),
    });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is repeated', () => seen.length === 2);
    await shows(page, true, 1);
    assert.equal(await stored(post), 1);
  });

  it('sends the unlike also when it does not know what became of the like', async (t) => {
    const post = item();
    const unknown = { status: 503, headers: { 'Retry-After': '1' }, json: { code: 'outcome_unknown' } };
    let release;
    const unliked = new Promise((done) => (release = done));
    let seen;
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) =>
        (seen = await likes(page, async (route, at) => {
          if (at) return route.continue();
          await route.fetch();
          await unliked;
          return route.fulfill(unknown);
        })),
    });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('the like is applied', async () => (await stored(post)) === 1);
    await button(page).click();
    release();
    await eventually('the unlike is, too', async () => (await stored(post)) === 0);
    assert.deepEqual(seen, ['PUT', 'DELETE']);
    await shows(page, false, 0);
  });

  it('gives up after some tries, and asks how things are', async (t) => {
    const post = item();
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) => {
        await page.addInitScript(() => (globalThis.setTimeout = ((real) => (f, ms) => real(f, Math.min(ms, 50)))(setTimeout)));
        await likes(page, async (route) => {
          await route.fetch(); // it is applied, but nobody says so
          return route.fulfill({ status: 500, json: { code: 'internal' } });
        });
      },
    });
    await shows(page, false, 0);
    await button(page).click();
    await says(page, /^This did not work\. Please try again\.$/);
    await shows(page, true, 1);
  });

  it('waits offline, and sends what is wanted when it is back', async (t) => {
    const [kept, dropped] = [item(), item()];
    let seen;
    const page = await open(t, html(`<like-button item="${kept}"></like-button><like-button item="${dropped}"></like-button>`), {
      own: true,
      watch: async (page) => (seen = await likes(page)),
    });
    await shows(page, false, 0, 1);
    await page.context().setOffline(true);
    await button(page, 0).click();
    await says(page, /^You are offline\./, 0);
    await shows(page, true, 1, 0);
    await button(page, 1).dblclick();
    await shows(page, false, 0, 1);
    assert.equal(await message(page, 1).textContent(), '');
    await page.context().setOffline(false);
    await eventually('it is stored', async () => (await stored(kept)) === 1);
    await says(page, /^$/, 0);
    await shows(page, true, 1, 0);
    assert.deepEqual(seen, ['PUT']);
  });

  it('reads counts later when they are not to be had now', async (t) => {
    const post = item();
    await like(post);
    let reads = 0;
    const page = await open(t, html(`<like-button item="${post}" live="off"></like-button>`), {
      watch: (page) =>
        page.route(/\/v1\/items\?/, (route) => (reads++ ? route.continue() : route.fulfill({ status: 503, json: { code: 'busy' } }))),
    });
    await shows(page, false, 1);
    assert.equal(reads, 2);
  });
}
