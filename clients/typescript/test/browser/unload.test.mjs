// Pages that go away in the middle of a session: none is lost that was begun more than a second before. UNLOADS=1000 for the
// full count; see README.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SITEKEY, startNode } from './node.mjs';
import { launch, startSite } from './site.mjs';

const UNLOADS = Number(process.env.UNLOADS ?? 24);
const TABS = 12;
let [node, site, browser] = [];

before(async () => {
  node = await startNode();
  site = await startSite(node.url);
  for (const mode of ['game', 'invisible']) {
    site.pages[`/${mode}`] = `<main><a href="/away">away</a><playproof-check sitekey="${SITEKEY}" mode="${mode}"></playproof-check></main><script src="/page.js" defer></script>`;
  }
  site.pages['/away'] = '<p>away';
  // As a visitor's pointer would, without one protocol message a movement; some sessions are long.
  site.pages['/page.js'] = `
    const check = document.querySelector('playproof-check');
    check.shadowRoot.querySelector('.start')?.click();
    window.move = (count) => {
      const area = check.shadowRoot.querySelector('.area') ?? document.body;
      const begun = performance.now();
      for (let i = 0; i < count; i += 1) {
        const event = new PointerEvent('pointermove', { clientX: 100 + i % 173, clientY: 60.5 + i % 97, bubbles: true, composed: true, pointerType: 'mouse', isPrimary: true });
        // A node refuses movements so close together that their times must be in seconds.
        Object.defineProperty(event, 'timeStamp', { value: begun + 2 * i });
        area.dispatchEvent(event);
      }
    };`;
  browser = await launch();
});
after(async () => { await browser.close(); await site.close(); await node.close(); });

const ways = {
  link: (page) => Promise.all([page.waitForURL('**/away'), page.evaluate(() => document.querySelector('a').click())]),
  goto: (page) => page.goto(`${site.url}/away`),
  reload: (page) => page.reload(),
  close: (page) => page.close({ runBeforeUnload: true }),
  script: (page) => Promise.all([page.waitForURL('**/away'), page.evaluate(() => { location.href = '/away'; })]),
  blank: (page) => page.goto('about:blank'),
};

/** Leaves a page in `way` more than a second after its session began; the session's id. */
async function leave(context, n) {
  const page = await context.newPage();
  const mode = n % 2 ? 'game' : 'invisible';
  const arrived = page.waitForResponse((response) => response.url().endsWith('/challenges') && response.request().method() === 'POST');
  await page.goto(`${site.url}/${mode}`);
  const { sessionId } = await (await arrived).json();
  const moved = n % 37 === 7 ? 5000 : 20 + n % 300;
  await page.evaluate((count) => move(count), moved);
  await page.waitForTimeout(1000);
  const names = Object.keys(ways);
  const way = names[n % names.length];
  await ways[way](page);
  await page.close().catch(() => undefined);
  return { sessionId, way, mode, moved };
}

test(`${UNLOADS} pages that are left lose no session`, { timeout: 1_200_000 }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const left = [];
  let next = 0;
  await Promise.all(Array.from({ length: TABS }, async () => {
    while (next < UNLOADS) left.push(await leave(context, next++));
  }));
  // What is under way when the last page is gone.
  const limit = Date.now() + 10_000;
  const lost = () => left.filter(({ sessionId }) => !node.sessions.has(sessionId));
  while (lost().length && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(left.length, UNLOADS);
  assert.deepEqual(lost(), []);
  const kept = ({ sessionId }) => node.sessions.get(sessionId);
  for (const one of left) {
    const { session, bytes } = kept(one);
    assert.ok(bytes < 64 << 10);
    assert.equal(session.movements.length, one.moved, `${one.way}: all of its movements`);
  }
  const long = left.filter(({ moved }) => moved === 5000).map(kept);
  assert.ok(long.every(({ gzip }) => gzip));
  console.log(`# ${left.length} left, ${lost().length} lost, ${long.length} of them long: ${long.map(({ bytes }) => bytes)} bytes of gzip`);
});
