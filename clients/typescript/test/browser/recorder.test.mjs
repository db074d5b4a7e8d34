// The recorder in a real Chromium.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startNode } from './node.mjs';
import { launch, startSite } from './site.mjs';

let [node, site, browser] = [];

before(async () => {
  node = await startNode();
  site = await startSite(node.url);
  site.pages['/area'] = '<main id="area">area</main><script src="/area.js" defer></script>';
  site.pages['/area.js'] = `
    const area = document.querySelector('#area');
    Object.assign(document.body.style, { margin: '0', height: '3000px' });
    Object.assign(area.style, { position: 'absolute', left: '100px', top: '50px', width: '600px', height: '400px', touchAction: 'none' });
    window.begin = (options) => { window.recorder = PlayProof.recordPointer(area, options); };`;
  browser = await launch();
});
after(async () => { await browser.close(); await site.close(); await node.close(); });

async function visit(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 600 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${site.url}/area`);
  return page;
}
const begin = (page) => page.evaluate(() => begin());
const stop = (page) => page.evaluate(() => recorder.stop('recorded'));
/** A curve that no two places of are the same. */
async function curve(page, steps, from = 0) {
  for (let i = from; i < from + steps; i += 1) await page.mouse.move(150 + 2 * i, 200 + Math.round(90 * Math.sin(i / 9)));
}
const steps = (movements) => movements.slice(1).map((one, i) => Math.hypot(one.x - movements[i].x, one.y - movements[i].y));

test('a mouse is recorded once, in event time, from the corner of the element', async (t) => {
  const page = await visit(t);
  await begin(page);
  await curve(page, 60);
  await page.mouse.down();
  await page.mouse.up();
  const session = await stop(page);
  assert.equal(session.movements.length, 60, 'each movement once: raw ones are not told again, a press is none');
  assert.deepEqual([session.movements[0].x, session.movements[0].y, session.deviceType], [50, 150, 'mouse']);
  const times = session.movements.map((one) => one.timestamp);
  assert.ok(times.every((time, i) => time >= 0 && (i === 0 || time >= times[i - 1])), String(times));
  assert.ok(session.durationMs >= times.at(-1));
  for (const { x, y, timestamp, ...rest } of session.movements) {
    assert.deepEqual(rest, {}, 'what a browser made is not said of each movement');
    for (const [value, unit] of [[x, 100], [y, 100], [timestamp, 10]]) assert.equal(value, Math.round(value * unit) / unit);
  }
  assert.deepEqual([session.clicks.length, session.clicks[0].targetHit, session.hits, session.misses], [1, undefined, undefined, undefined]);
  await curve(page, 5);
  assert.equal((await stop(page)).movements.length, 60, 'nothing is recorded after the end');
});

test('of a mouse that is faster than the screen every place is kept once, at its own time', async (t) => {
  const page = await visit(t);
  await begin(page);
  await page.evaluate(() => {
    window.told = { pointermove: 0, pointerrawupdate: 0, coalesced: 0 };
    for (const type of ['pointermove', 'pointerrawupdate']) area.addEventListener(type, (event) => { told[type] += 1; told.coalesced = Math.max(told.coalesced, event.getCoalescedEvents().length); });
  });
  const input = await page.context().newCDPSession(page);
  await Promise.all(Array.from({ length: 200 }, (_, i) => input.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: 150 + 2 * i, y: 200 + i % 5, timestamp: Date.now() / 1000 + i / 1000 })));
  const told = await page.evaluate(() => window.told);
  assert.ok(told.pointermove < 150 && told.coalesced > 1, `the browser puts several into one: ${JSON.stringify(told)}`);
  const { movements } = await stop(page);
  assert.deepEqual(movements.map((one) => one.x), Array.from({ length: 200 }, (_, i) => 50 + 2 * i));
  assert.ok(new Set(movements.map((one) => one.timestamp)).size > 150, 'times of their own, not of the frame');
});

test('a press that a busy page hears late does not take the pointer back', async (t) => {
  const page = await visit(t);
  await begin(page);
  const input = await page.context().newCDPSession(page);
  for (let round = 0; round < 10; round += 1) {
    // Moves that do not say that the button is held overtake the press while the page is busy.
    const busy = page.evaluate(() => { const end = performance.now() + 60; while (performance.now() < end); });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const from = 20 * round;
    const begun = Date.now() / 1000;
    const send = (type, i, more) => input.send('Input.dispatchMouseEvent', { type, x: 150 + 2 * i, y: 200, timestamp: begun + (i - from) / 1000, ...more });
    const sent = [send('mouseMoved', from), send('mousePressed', from, { button: 'left', clickCount: 1 })];
    for (let i = 1; i < 20; i += 1) sent.push(send('mouseMoved', from + i));
    sent.push(send('mouseReleased', from + 19, { button: 'left', clickCount: 1 }));
    await Promise.all([busy, ...sent]);
  }
  const { movements, clicks } = await stop(page);
  assert.deepEqual(movements.map((one) => one.x), Array.from({ length: 200 }, (_, i) => 50 + 2 * i));
  assert.equal(clicks.length, 10);
});

test('hits are those that the page tells', async (t) => {
  const page = await visit(t);
  await page.evaluate(() => begin({ targetHit: (event) => event.clientX > 300 }));
  for (const x of [200, 350, 400]) await page.mouse.click(x, 150);
  const session = await stop(page);
  assert.deepEqual([session.clicks.map((one) => one.targetHit), session.hits, session.misses], [[false, true, true], 2, 1]);
});

test('a game that stops its events does not blind the recorder', async (t) => {
  const page = await visit(t);
  await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas.style, { position: 'absolute', inset: '0', width: '100%', height: '100%' });
    for (const type of ['pointermove', 'pointerrawupdate', 'pointerdown']) canvas.addEventListener(type, (event) => event.stopImmediatePropagation());
    area.append(canvas);
    begin();
  });
  await curve(page, 30);
  await page.mouse.down();
  const session = await stop(page);
  assert.deepEqual([session.movements.length, session.clicks.length], [30, 1]);
});

test('scrolling moves nothing', async (t) => {
  const page = await visit(t);
  await begin(page);
  await curve(page, 20);
  await page.mouse.wheel(0, 120);
  await page.waitForFunction(() => scrollY === 120);
  await curve(page, 20, 20);
  const session = await stop(page);
  assert.ok(Math.max(...steps(session.movements)) < 20, String(steps(session.movements)));
  assert.ok(session.context.scrolls >= 1);
});

test('what a script made says so, each movement for itself', async (t) => {
  const page = await visit(t);
  await begin(page);
  await curve(page, 10);
  await page.evaluate(() => {
    const event = (x, more) => new PointerEvent('pointermove', { clientX: x, clientY: 100, bubbles: true, pointerType: 'mouse', isPrimary: true, ...more });
    area.dispatchEvent(event(390, { coalescedEvents: [event(370), event(380)] }));
    document.querySelector('#area').click();
  });
  const session = await stop(page);
  assert.deepEqual(session.movements.map((one) => one.isTrusted), [...Array(10).fill(undefined), false, false]);
  assert.deepEqual([session.context.clicksWithoutPointer, session.context.untrustedClicks, session.clicks.length], [1, 1, 0]);
});

test('fingers are kept apart, and one after the other are one hand', async (t) => {
  const page = await visit(t, { hasTouch: true });
  await begin(page);
  const input = await page.context().newCDPSession(page);
  const touch = (type, ...points) => input.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([id, x, y]) => ({ id, x, y })) });
  await touch('touchStart', [1, 200, 100]);
  for (let i = 1; i <= 20; i += 1) await touch('touchMove', [1, 200 + 3 * i, 100 + i]);
  await touch('touchStart', [1, 260, 120], [2, 600, 300]);
  for (let i = 1; i <= 10; i += 1) await touch('touchMove', [1, 260 + 3 * i, 120 + i], [2, 600 - 2 * i, 300]);
  await touch('touchEnd');
  await touch('touchStart', [3, 300, 140]);
  for (let i = 1; i <= 20; i += 1) await touch('touchMove', [3, 300, 140 + 3 * i]);
  await touch('touchEnd');
  const session = await stop(page);
  assert.equal(session.deviceType, 'touch');
  assert.ok(session.movements.length >= 45, String(session.movements.length));
  assert.ok(session.movements.every((one) => one.x < 400), 'the second finger is not among them');
  assert.ok(session.context.otherMovements >= 10);
  assert.equal(session.clicks.length, 3);
});

test('a pen is a stylus', async (t) => {
  const page = await visit(t);
  await begin(page);
  const input = await page.context().newCDPSession(page);
  for (let i = 0; i < 20; i += 1) await input.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: 200 + i, y: 100, pointerType: 'pen', force: 0.5 });
  const session = await stop(page);
  assert.deepEqual([session.deviceType, session.movements.length], ['stylus', 20]);
});

test('a locked pointer is followed by its steps', async (t) => {
  const page = await visit(t);
  await page.mouse.move(300, 200);
  await page.evaluate(() => area.addEventListener('click', () => area.requestPointerLock()));
  await page.mouse.click(300, 200);
  await page.waitForFunction(() => document.pointerLockElement);
  await begin(page);
  for (let i = 1; i <= 30; i += 1) await page.mouse.move(300 + 4 * i, 200 + (i % 7));
  const { movements, context } = await stop(page);
  assert.ok(movements.length >= 25, String(movements.length));
  assert.equal(context.lockedMovements >= 25, true);
  assert.ok(movements.at(-1).x - movements[0].x > 80, JSON.stringify(movements));
});

test('time in which the page is hidden is told', async (t) => {
  const page = await visit(t);
  await begin(page);
  await page.evaluate(async () => {
    const turn = (hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); };
    turn(true);
    await new Promise((resolve) => setTimeout(resolve, 120));
    turn(false);
  });
  const { hiddenMs } = (await stop(page)).context;
  assert.ok(hiddenMs >= 100 && hiddenMs < 5000, String(hiddenMs));
});

test('a recording is thinned, not ended: half a minute at 1,000 Hz stays below its bound and spans it all', async (t) => {
  const page = await visit(t);
  await begin(page);
  const session = await page.evaluate(() => {
    for (let i = 0; i < 30_000; i += 1) {
      const event = new PointerEvent('pointermove', { clientX: 100 + i % 500, clientY: 60 + i % 300, pointerType: 'mouse', isPrimary: true });
      Object.defineProperty(event, 'timeStamp', { value: 5000 + i });
      area.dispatchEvent(event);
    }
    return recorder.stop('long');
  });
  const times = session.movements.map((one) => one.timestamp);
  assert.ok(times.length > 5000 && times.length <= 10_000, String(times.length));
  assert.equal(session.context.thinned, 4);
  assert.ok(times.at(-1) - times[0] > 29_990);
  assert.ok(times.every((time, i) => i === 0 || Math.abs(time - times[i - 1] - 4) < 0.01));
});

test('a visitor with a keyboard has a session: counts, and never which keys', async (t) => {
  const page = await visit(t);
  await page.evaluate(() => {
    for (let i = 0; i < 3; i += 1) { const field = document.createElement('input'); area.append(field); }
    begin();
  });
  await page.keyboard.press('Tab');
  await page.keyboard.type('secret', { delay: 60 });
  await page.keyboard.press('Tab');
  await page.keyboard.type('qxz');
  const session = await stop(page);
  assert.deepEqual([session.movements, session.clicks], [[], []]);
  assert.equal(session.context.keys, 10, 'the Tab that came from outside is not in the element');
  assert.equal(session.context.focusChanges, 2);
  assert.equal(session.context.keyIntervals.reduce((sum, count) => sum + count), 9);
  assert.doesNotMatch(JSON.stringify(session), /secret|qxz|"s"|Key|Tab/);
});

test('a recorder begun by an event starts at zero, and ids need no secure page', async (t) => {
  const page = await visit(t);
  await page.evaluate(() => {
    Object.defineProperty(crypto, 'randomUUID', { value: undefined });
    area.addEventListener('pointerdown', (event) => { if (!window.recorder) { const wait = performance.now() + 30; while (performance.now() < wait); begin(); } }, { once: true });
  });
  await page.mouse.move(200, 150);
  await page.mouse.down();
  await curve(page, 10);
  const session = await page.evaluate(() => recorder.stop());
  assert.ok(session.movements.every((one) => one.timestamp >= 0));
  assert.match(session.sessionId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
