import assert from 'node:assert/strict';
import { it } from 'node:test';
import { api, bare, button, findsNothing, shows } from './stage.js';

export function demo() {
  for (const options of [
    { colorScheme: 'light' },
    { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
  ]) {
    it(`shows a storm on the demo page, ${options.colorScheme}, and lets visitors like in it`, async (t) => {
      const complaints = [];
      const page = await bare(t, options);
      page.on('console', (line) => complaints.push(line.text()));
      await page.goto(`${api}/`);
      await shows(page, false);
      const storm = page.getByRole('switch', { name: 'Storm' });
      await storm.click();
      const number = (id) => page.locator(id).textContent().then((text) => +text.replace(/\D/g, ''));
      await page.waitForFunction(() => +document.querySelector('#ledger').textContent.replace(/\D/g, '') > 50);
      await button(page, 8).click();
      await shows(page, true, undefined, 8);
      if (await storm.isChecked()) await storm.click();
      await page.waitForFunction(() => document.querySelector('#lag').textContent === 'both say the same');
      assert.equal(await number('#redis'), await number('#ledger'));
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is wider than the window');
      await findsNothing(page);
      assert.deepEqual(complaints, []);
    });
  }
}
