import assert from 'node:assert/strict';
import { it } from 'node:test';
import { button, findsNothing, html, item, like, open, shows } from './stage.js';

// counted lets the API tell a count that nobody can like up in a test.
const counted = (count) => (page) =>
  page.route(/\/v1\/items\?/, async (route) => {
    const answer = await route.fetch();
    const { items } = await answer.json();
    await route.fulfill({ response: answer, json: { items: items.map((one) => ({ ...one, count })) } });
  });

export function looks() {
  for (const colorScheme of ['light', 'dark']) {
    it(`gives axe nothing to find, on a ${colorScheme} page`, async (t) => {
      const style = '<style>:root { color-scheme: light dark; background: light-dark(#fff, #111); color: light-dark(#111, #eee) }</style>';
      const head = `${style}<script src="/v1/like-button.js" defer></script>`;
      const [liked, frozen] = [item(), item()];
      await like(liked);
      const page = await open(
        t,
        html(
          `<like-button item="${liked}" label="Like the first post"></like-button> <like-button item="${item()}">Like it</like-button>
           <like-button item="${frozen}"></like-button> <like-button></like-button>`,
          { head },
        ),
        { colorScheme, watch: (page) => page.route(`**/${frozen}/like`, (route) => route.fulfill({ status: 400, json: {} })) },
      );
      await shows(page, false, 1);
      await button(page, 0).click();
      await shows(page, true, 2);
      await button(page, 2).click();
      await shows(page, false, 0, 2);
      await findsNothing(page);
      const parts = await page.evaluate(() => {
        const root = document.querySelector('like-button').shadowRoot;
        return [...root.querySelectorAll('[part]')].map((e) => getComputedStyle(e).color);
      });
      assert.ok(parts.includes(colorScheme === 'dark' ? 'rgb(255, 114, 148)' : 'rgb(211, 25, 74)'), parts.join());
    });
  }

  it('has a text of the page for its name', async (t) => {
    const page = await open(t, html(`<like-button item="${item()}">Gefällt mir</like-button>`));
    await page.getByRole('button', { name: 'Gefällt mir', exact: true }).waitFor();
  });

  for (const [lang, dir, count, short, full] of [
    ['en', 'ltr', 12_345, '12.3K', 'Likes: 12,345'],
    ['de', 'ltr', 1_234_567, '1,2\u00a0Mio.', 'Likes: 1.234.567'],
    ['ar-EG', 'rtl', 12_345, '١٢٫٣\u00a0ألف', 'Likes: ١٢٬٣٤٥'],
    ['no_language', 'ltr', 999, '999', 'Likes: 999'],
  ]) {
    it(`spells counts as ${lang} does, ${dir}`, async (t) => {
      const page = await open(t, html(`<like-button item="${item()}" live="off"></like-button>`, { lang, attributes: `dir="${dir}"` }), {
        watch: counted(count),
      });
      await shows(page, false, short);
      const { heart, number, said } = await page.evaluate(() => {
        const root = document.querySelector('like-button').shadowRoot;
        const left = (part) => root.querySelector(`[part=${part}]`).getBoundingClientRect().left;
        return { heart: left('icon'), number: left('count'), said: root.querySelector('#likes').textContent };
      });
      assert.equal(said, full);
      assert.equal(heart < number, dir === 'ltr');
    });
  }

  for (const reducedMotion of ['reduce', 'no-preference']) {
    it(`moves its heart when motion is ${reducedMotion}: ${reducedMotion !== 'reduce'}`, async (t) => {
      const page = await open(t, html(`<like-button item="${item()}"></like-button>`), { reducedMotion });
      await shows(page, false, 0);
      const moving = await page.evaluate(() => {
        const { shadowRoot } = document.querySelector('like-button');
        shadowRoot.querySelector('button').click();
        return shadowRoot.getAnimations().length;
      });
      assert.equal(moving, reducedMotion === 'reduce' ? 0 : 1);
    });
  }

  it('takes styles for its parts, and variables', async (t) => {
    const style = `<style>like-button { --like-button-color: rgb(0, 0, 255); --like-button-radius: 3px; font-size: 32px }
      like-button::part(box) { color: rgb(1, 2, 3) } like-button::part(pressed) { color: rgb(4, 5, 6) }</style>`;
    const head = `${style}<script src="/v1/like-button.js" defer></script>`;
    const page = await open(t, html(`<like-button item="${item()}"></like-button>`, { head }));
    await shows(page, false, 0);
    const seen = () =>
      page.evaluate(() => {
        const root = document.querySelector('like-button').shadowRoot;
        const [button, icon] = ['button', 'svg'].map((name) => getComputedStyle(root.querySelector(name)));
        return [button.color, button.borderTopLeftRadius, button.fontSize, icon.color];
      });
    assert.deepEqual(await seen(), ['rgb(1, 2, 3)', '3px', '32px', 'rgb(1, 2, 3)']);
    await button(page).click();
    assert.deepEqual(await seen(), ['rgb(4, 5, 6)', '3px', '32px', 'rgb(0, 0, 255)']);
  });
}
