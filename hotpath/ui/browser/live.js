import assert from 'node:assert/strict';
import { it } from 'node:test';
import { button, eventually, html, item, like, open, shows } from './stage.js';

// streams keeps the streams that a page opens, each as the number of its items.
const streams = (to) => (page) =>
  page.on('request', (r) => r.url().includes('/v1/stream') && to.push(r.url().match(/id=/g).length));

export function live() {
  it('follows what happens on another page, by one stream for all items', async (t) => {
    const [first, second] = [item(), item()];
    const content = html(`<like-button item="${first}"></like-button><like-button item="${second}"></like-button>`);
    const opened = [];
    const watching = await open(t, content, { watch: streams(opened) });
    await shows(watching, false, 0, 1); // later it could read what happens, without a stream
    await eventually('there is a stream', () => opened.length === 1);
    const acting = await open(t, content);
    await shows(acting, false, 0, 1);
    await button(acting, 1).click();
    await shows(watching, false, 1, 1);
    await like(first, 2);
    await shows(watching, false, 2, 0);
    await shows(acting, false, 2, 0);
    assert.deepEqual(opened, [2]);
  });

  it('takes what is in view when there are too many items for one stream', async (t) => {
    const items = Array.from({ length: 150 }, () => item());
    const tags = items.map((id) => `<p><like-button item="${id}"></like-button></p>`).join('');
    const opened = [];
    const page = await open(t, html(tags), { watch: streams(opened) });
    await shows(page, false, 0, 149);
    await eventually('there is a stream', () => opened.length === 1);
    await page.locator('like-button').nth(149).scrollIntoViewIfNeeded();
    await eventually('there is another stream', () => opened.length > 1);
    await like(items[149]);
    await shows(page, false, 1, 149);
    assert.ok(opened.every((n) => n === 100), opened.join());
  });

  it('opens no stream for buttons that are not to be live', async (t) => {
    const opened = [];
    const [still, moving] = [item(), item()];
    const page = await open(t, html(`<like-button item="${still}" live="off"></like-button><like-button item="${moving}"></like-button>`), {
      watch: streams(opened),
    });
    await like(still);
    await like(moving);
    await shows(page, false, 1, 1);
    await eventually('there is a stream', () => opened.length === 1);
    assert.deepEqual(opened, [1]);
  });

  it('closes its stream while nobody looks, and reads everything again after that', async (t) => {
    const post = item();
    const opened = [];
    const page = await open(t, html(`<like-button item="${post}"></like-button>`), { watch: streams(opened) });
    await shows(page, false, 0);
    await eventually('there is a stream', () => opened.length === 1);
    const look = (hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    const ended = page.waitForEvent('requestfailed', (r) => r.url().includes('/v1/stream'));
    await look(true);
    await ended;
    await like(post);
    await look(false);
    await shows(page, false, 1);
    await eventually('there is another stream', () => opened.length === 2);
  });
}
