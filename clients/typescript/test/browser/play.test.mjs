// The page to play on, in a real Chromium: a visitor plays, a bot plays for the same targets, and both verdicts arrive.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { startNode } from './node.mjs';
import { launch, openPage, playWithMouse } from './site.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WITHOUT_KEYS = { PLAYPROOF_INGEST_KEYS: undefined, PLAYPROOF_SUBMIT_KEYS: undefined, PLAYPROOF_ANALYST_KEYS: undefined, API_CORS_ORIGINS: undefined };
let [node, browser] = [];

before(async () => {
  node = await startNode({ ...WITHOUT_KEYS, PLAYPROOF_PLAY: 'true', PLAYPROOF_SCHEDULER_INTERVAL: '200ms', PLAYPROOF_SCHEDULER_MAX_WAIT: '200ms' });
  browser = await launch();
});
after(async () => { await browser.close(); await node.close(); });

const visit = (t, options) => openPage(t, browser, `${node.url}/play`, { viewport: { width: 1000, height: 800 }, ...options });
const start = (page) => page.getByRole('button', { name: 'Start the check' });

/** The two decisions of a side, once both are there. */
async function decisions(page, side) {
  const all = page.locator(`#${side} dd > span`);
  await all.nth(1).waitFor();
  return all.allTextContents();
}

test('both play, and both are judged at once and in their batch', async (t) => {
  const page = await visit(t);
  await playWithMouse(page);
  for (const side of ['your-verdict', 'bot-verdict']) {
    const told = await decisions(page, side);
    assert.ok(told.length === 2 && told.every((one) => ['pass', 'review', 'fail'].includes(one)), `${side}: ${told}`);
  }
  for (const side of ['your-path', 'bot-path']) {
    assert.match(await page.locator(`#${side} figcaption`).textContent(), /^\d+ movements and 7 clicks in \d/);
    const drawn = await page.locator(`#${side} canvas`).evaluate((canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0));
    assert.ok(drawn, `${side} is empty`);
  }
  // Straight, even steps are what nobody does.
  assert.notEqual((await decisions(page, 'bot-verdict'))[1], 'pass');
  const link = page.getByRole('link', { name: 'Look at it in the dashboard' }).first();
  await link.click();
  await page.getByRole('heading', { level: 1 }).waitFor();
  assert.match(page.url(), /#\/session\//);
  assert.deepEqual(page.problems, []);
});

test('another bot plays for the same targets, and the game begins anew', async (t) => {
  const page = await visit(t, { reducedMotion: 'reduce' });
  await playWithMouse(page);
  await decisions(page, 'bot-verdict');
  const before = await page.locator('#bot-path figcaption').textContent();
  await page.getByLabel('How it moves').selectOption('mirrored');
  await page.waitForFunction((words) => document.querySelector('#bot-path figcaption').textContent !== words, before);
  await decisions(page, 'bot-verdict');
  assert.equal(await page.locator('#bot-path figcaption').textContent(), await page.locator('#your-path figcaption').textContent());
  await page.getByRole('button', { name: 'Play again' }).click();
  await start(page).waitFor();
  assert.equal(await page.locator('#your-verdict').textContent(), '');
  await page.getByText('It waits for your targets.').waitFor();
  assert.deepEqual(page.problems, []);
});

test('by keyboard alone a visitor is judged too', async (t) => {
  const page = await visit(t);
  await start(page).focus();
  await page.keyboard.press('Enter');
  for (let n = 1; n <= 7; n += 1) {
    await page.getByRole('button', { name: `Bubble ${n} of 7` }).waitFor();
    await page.keyboard.press('Enter');
  }
  assert.deepEqual(await decisions(page, 'your-verdict'), ['review', 'review']);
  assert.equal((await decisions(page, 'bot-verdict')).length, 2);
  assert.deepEqual(page.problems, []);
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [320, 1000]) {
    test(`nothing is wrong with it for axe-core in ${colorScheme} at ${width} px`, async (t) => {
      const page = await visit(t, { colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce', bypassCSP: true });
      await playWithMouse(page);
      await decisions(page, 'your-verdict');
      await decisions(page, 'bot-verdict');
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ target }) => target)]), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways');
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/play-${colorScheme}-${width}.png`, fullPage: true });
    });
  }
}
