import assert from 'node:assert/strict';
import { it } from 'node:test';
import { api, bare, button, findsNothing, shows } from './stage.js';

// show opens the demo page and returns it with what its console complains of.
async function show(t, options) {
  const complaints = [];
  const page = await bare(t, options);
  // A machine that is too busy for a storm may be told so.
  page.on('console', (line) => /status of 503/.test(line.text()) || complaints.push(line.text()));
  await page.goto(`${api}/`);
  await shows(page, false);
  return { page, complaints };
}

export function demo() {
  it('shows a storm on the demo page, in which visitors like, too', async (t) => {
    const { page, complaints } = await show(t, { colorScheme: 'light' });
    const storm = page.getByRole('switch', { name: 'Storm' });
    await storm.click();
    await page.waitForFunction(() => +document.querySelector('#ledger').textContent.replace(/\D/g, '') > 50);
    await button(page, 8).click();
    await shows(page, true, undefined, 8);
    if (await storm.isChecked()) await storm.click();
    await page.waitForFunction(() => {
      const [redis, ledger, lag] = ['#redis', '#ledger', '#lag'].map((id) => document.querySelector(id).textContent);
      return redis === ledger && lag === 'both say the same';
    });
    await findsNothing(page);
    assert.deepEqual(complaints, []);
  });

  it('has room for the demo page on a small and dark screen', async (t) => {
    const { page, complaints } = await show(t, { colorScheme: 'dark', viewport: { width: 360, height: 740 } });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it is wider than the window');
    await findsNothing(page);
    assert.deepEqual(complaints, []);
  });
}
