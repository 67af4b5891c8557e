import assert from 'node:assert/strict';
import { it } from 'node:test';
import { api, bare, findsNothing } from './stage.js';

export function docs() {
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark', viewport: { width: 360, height: 740 } }]) {
    it(`describes the API on a ${options.colorScheme} page that loads nothing else`, async (t) => {
      const [loaded, complaints] = [[], []];
      const page = await bare(t, options);
      page.on('request', (request) => loaded.push(request.url()));
      page.on('console', (line) => complaints.push(line.text()));
      await page.goto(`${api}/docs#readItem`);
      await page.getByText('Problems:').nth(0).click();
      await page.getByText('bad_credentials').nth(0).waitFor();
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is wider than the window');
      const font = await page.evaluate(() => getComputedStyle(document.body).fontFamily);
      assert.match(font, /system-ui/, 'its own policy refuses its style');
      await findsNothing(page);
      assert.deepEqual([loaded, complaints], [[`${api}/docs`], []]);
    });
  }
}
