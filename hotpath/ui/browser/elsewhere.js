import assert from 'node:assert/strict';
import { it } from 'node:test';
import { api, button, elsewhere as origin, eventually, html, identified, item, key, likes, open, pinned, says, script, shows, stored } from './stage.js';

const strict =
  "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

export function elsewhere() {
  for (const [how, head] of [
    ['a classic script', '<script src="/v1/like-button.js"></script>'],
    ['a module', '<script type="module" src="/v1/like-button.js"></script>'],
    ['an import', '<script type="module">import "/v1/like-button.js"</script>'],
    ['the script of a hash', pinned],
    ['both, twice', `${script}${script}<script type="module" src="/v1/like-button.js"></script>`],
  ]) {
    it(`works as ${how}`, async (t) => {
      const page = await open(t, html(`<like-button item="${item()}"></like-button>`, { head }));
      await shows(page, false, 0);
      await button(page).click();
      await shows(page, true, 1);
    });
  }

  it('needs no leave of a strict Content-Security-Policy with Trusted Types', async (t) => {
    const post = item();
    const complaints = [];
    const page = await open(t, html(`<like-button item="${post}" label="Like"></like-button>`), {
      headers: { 'Content-Security-Policy': strict },
      watch: (page) => page.on('console', (line) => complaints.push(line.text())),
    });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    await shows(page, true, 1);
    const display = await page.evaluate(() => getComputedStyle(document.querySelector('like-button').shadowRoot.querySelector('button')).display);
    assert.equal(display, 'flex', 'its style is not there');
    assert.deepEqual(complaints, []);
  });

  for (const type of ['text/javascript', 'module']) {
    it(`works on a page of another site, as ${type}, for who shows a token`, async (t) => {
      const post = item();
      const head = `<script type="${type}" src="${api}/v1/like-button.js" crossorigin="anonymous"></script>`;
      const page = await open(t, html(`<like-button item="${post}"></like-button>`, { head }), { origin, watch: identified('carol') });
      await shows(page, false, 0);
      await button(page).click();
      await eventually('it is stored', async () => (await stored(post)) === 1);
      await shows(page, true, 1);
      await page.reload();
      await shows(page, true, 1);
    });
  }

  it('asks the API that the page names', async (t) => {
    const asked = [];
    await open(t, html(`<like-button item="${item()}"></like-button>`), {
      watch: async (page) => {
        await page.addInitScript(() => (window.likeButton = { api: '/likes' }));
        await page.route('**/likes/**', async (route) => {
          asked.push(new URL(route.request().url()).pathname);
          await route.fulfill({ status: 404, json: {} });
        });
      },
    });
    await eventually('it has asked', () => asked.includes('/likes/v1/items'));
  });

  it('asks for another token when one has expired', async (t) => {
    const post = item();
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), {
      watch: (page) =>
        page.addInitScript((key) => {
          let now = 'old';
          window.likeButton = {
            headers: () => ({ 'X-User-ID': 'dora' }),
            token: async (expired) => (expired ? (now = key) : now),
          };
        }, key),
    });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    await shows(page, true, 1);
  });

  it('asks people to sign in when it is not told who they are', async (t) => {
    let seen;
    const page = await open(t, html(`<like-button item="${item()}"></like-button>`), {
      watch: async (page) => {
        await page.addInitScript(() => (window.likeButton = { token: () => 'nobody' }));
        seen = await likes(page);
      },
    });
    await button(page).click();
    await says(page, /^To like this, please sign in or allow cookies\.$/);
    await shows(page, false);
    assert.deepEqual(seen, ['PUT', 'PUT'], 'once more with another token, and no more');
  });

  it('reads everything again when somebody has signed in', async (t) => {
    const post = item();
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), { watch: identified('emil') });
    await shows(page, false, 0);
    await button(page).click();
    await eventually('it is stored', async () => (await stored(post)) === 1);
    const set = (user) =>
      page.evaluate((user) => {
        window.likeButton.headers = () => ({ 'X-User-ID': user });
        customElements.get('like-button').refresh();
      }, user);
    await set('frieda');
    await shows(page, false, 1);
    await set('emil');
    await shows(page, true, 1);
  });
}
