import assert from 'node:assert/strict';
import { it } from 'node:test';
import { button, eventually, html, item, like, likes as requests, open, shows, stored } from './stage.js';

export function likes() {
  it('likes and takes it back, by pointer', async (t) => {
    const post = item();
    await like(post, 2);
    const page = await open(t, html(`<like-button item="${post}"></like-button>`));
    await shows(page, false, 2);
    await button(page).click();
    await shows(page, true, 3);
    await eventually('the like is stored', async () => (await stored(post)) === 3);
    await button(page).click();
    await shows(page, false, 2);
    await eventually('the unlike is stored', async () => (await stored(post)) === 2);
  });

  it('is worked by keyboard, and keeps its name', async (t) => {
    const page = await open(t, html(`<like-button item="${item()}" label="Like the post"></like-button>`));
    await shows(page, false, 0);
    await page.keyboard.press('Tab');
    for (const [press, pressed] of [['Space', true], ['Enter', false]]) {
      await page.keyboard.press(press);
      await page.getByRole('button', { name: 'Like the post', exact: true, pressed }).waitFor();
    }
    assert.equal(await page.evaluate(() => document.activeElement.localName), 'like-button');
  });

  it('shows the same on all buttons of an item', async (t) => {
    const tag = `<like-button item="${item()}"></like-button>`;
    const page = await open(t, html(tag + tag));
    await shows(page, false, 0, 1);
    await button(page, 0).click();
    await shows(page, true, 1, 1);
    await button(page, 1).click();
    await shows(page, false, 0, 0);
  });

  it('reads all items of a page at once, a hundred in a request', async (t) => {
    const items = Array.from({ length: 120 }, () => item());
    await like(items[119]);
    const reads = [];
    const page = await open(t, html(items.map((id) => `<like-button item="${id}"></like-button>`).join('')), {
      watch: (page) => page.on('request', (r) => r.url().includes('/v1/items') && reads.push(r.url().match(/id=/g).length)),
    });
    await shows(page, false, 1, 119);
    assert.deepEqual(reads, [100, 20]);
  });

  it('keeps to the last of many fast clicks, one request at a time', async (t) => {
    const post = item();
    let release;
    const held = new Promise((done) => (release = done));
    let seen;
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) => (seen = await requests(page, async (route) => held.then(() => route.continue()))),
    });
    await shows(page, false, 0);
    const changes = await page.evaluateHandle(() => {
      const all = [];
      document.addEventListener('like-button-change', ({ detail }) => all.push(detail));
      return all;
    });
    await button(page).click({ clickCount: 8 });
    await button(page).click({ clickCount: 6 });
    await button(page).click();
    await shows(page, true, 1);
    await eventually('there is a request', () => seen.length > 0);
    assert.deepEqual(seen, ['PUT']);
    release();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    await page.waitForFunction((all) => all.length === 1, changes);
    assert.deepEqual(seen, ['PUT']);
    const [{ item: id, liked, count, receipt }] = await changes.jsonValue();
    assert.deepEqual([id, liked, count], [post, true, 1]);
    assert.match(receipt, /^\d+-\d+-\d+$/);
  });

  it('sends what is wanted after what was sent', async (t) => {
    const post = item();
    let release;
    const held = new Promise((done) => (release = done));
    let seen;
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: async (page) => (seen = await requests(page, async (route, at) => {
          if (!at) await held;
          return route.continue();
        })),
    });
    await shows(page, false, 0);
    await button(page).dblclick();
    await shows(page, false, 0);
    release();
    await eventually('there are two requests', () => seen.length === 2);
    assert.deepEqual(seen, ['PUT', 'DELETE']);
    await eventually('it is taken back', async () => (await stored(post)) === 0);
    await shows(page, false, 0);
  });

  it('does not believe a reading that is older than the like', async (t) => {
    const post = item();
    await like(post);
    let release;
    const held = new Promise((done) => (release = done));
    let reads = 0;
    const page = await open(t, html(`<like-button item="${post}" live="off"></like-button>`), {
      watch: (page) =>
        page.route(/\/v1\/items\?/, async (route) => {
          const response = await route.fetch();
          if (!reads++) await held;
          return route.fulfill({ response });
        }),
    });
    await button(page).click();
    await shows(page, true, 2);
    const again = page.waitForResponse(() => reads === 2);
    release();
    await again;
    await page.waitForFunction(() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true)))));
    await shows(page, true, 2);
    assert.equal(reads, 2);
  });

  it('likes although the visitor came just now', async (t) => {
    const post = item();
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), { isNew: true });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    await shows(page, true, 1);
  });

  it('sends a like of who leaves the page at once', async (t) => {
    const post = item();
    const page = await open(t, html(`<like-button item="${post}"></like-button>`));
    await shows(page, false, 0);
    await page.unrouteAll(); // what is played goes with its page
    await page.evaluate(() => {
      setTimeout(() => { // the page is gone before it could answer
        document.querySelector('like-button').shadowRoot.querySelector('button').click();
        location.href = 'about:blank';
      });
    });
    await page.waitForURL('about:blank'); // Chromium does not close a page on its way
    await eventually('it is stored', async () => (await stored(post)) === 1);
  });

  it('knows a like again', async (t) => {
    const post = item();
    const tag = html(`<like-button item="${post}"></like-button>`);
    const page = await open(t, tag);
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    await page.reload();
    await shows(page, true, 1);
  });

  it('changes its item, and moves within the page', async (t) => {
    const [first, second] = [item(), item()];
    await like(second);
    const page = await open(t, html(`<like-button item="${first}"></like-button><p></p>`));
    await shows(page, false, 0);
    await page.evaluate((id) => {
      const element = document.querySelector('like-button');
      element.item = id;
      document.querySelector('p').append(element);
    }, second);
    await shows(page, false, 1);
    await button(page).click();
    await eventually('the second is liked', async () => (await stored(second)) === 2);
    assert.equal(await stored(first), 0);
  });

  it('is no button without an item', async (t) => {
    const errors = [];
    const page = await open(t, html('<like-button item="no id"></like-button><like-button></like-button>'), {
      watch: (page) => page.on('console', (line) => line.type() === 'error' && errors.push(line.text())),
    });
    await page.waitForFunction(() => customElements.get('like-button'));
    for (const n of [0, 1]) assert.ok(await button(page, n).isDisabled());
    assert.deepEqual(errors, ['<like-button>: "no id" is no id of an item']);
  });
}
