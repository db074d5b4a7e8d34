// Plays recordings of people into a page in Chromium, each at its own times, and writes what the recorder makes of them, in the
// same order: `node test/browser/replay.mjs SESSIONS.ndjson OUT.ndjson`. `playproof-batch score` of both tells what the way
// through the browser changes.
import { readFileSync, writeFileSync } from 'node:fs';
import { startNode } from './node.mjs';
import { launch, startSite } from './site.mjs';

/** Pages at a time; with more, events come late. */
const TABS = 3;
const HELD_MS = 70;
const [, , input, output] = process.argv;
if (!output) throw new Error('name the recordings and the output: replay.mjs SESSIONS.ndjson OUT.ndjson');

const sessions = readFileSync(input, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const node = await startNode();
const site = await startSite(node.url);
site.pages['/area'] = '<main id="area">area</main><script src="/area.js" defer></script>';
site.pages['/area.js'] = 'Object.assign(area.style, { position: "absolute", inset: "0" });';
const browser = await launch();

async function replay(session) {
  const context = await browser.newContext({ viewport: { width: 1800, height: 1000 } });
  const page = await context.newPage();
  await page.goto(`${site.url}/area`);
  const clicks = session.clicks ?? [];
  await page.evaluate((hits) => {
    let n = 0;
    window.recorder = PlayProof.recordPointer(area, { targetHit: () => hits[n++] ?? false });
  }, clicks.map((click) => click.targetHit ?? false));
  const pointer = await context.newCDPSession(page);
  const button = { button: 'left', clickCount: 1 };
  const events = [
    ...session.movements.map(({ x, y, timestamp }) => [timestamp, { type: 'mouseMoved', x, y }]),
    ...clicks.flatMap(({ x, y, timestamp }) => [[timestamp, { type: 'mousePressed', x, y, ...button }], [timestamp + HELD_MS, { type: 'mouseReleased', x, y, ...button }]]),
  ].sort(([a], [b]) => a - b);
  const begun = performance.now() - events[0][0];
  const sent = [];
  for (const [time, event] of events) {
    const early = time - (performance.now() - begun);
    if (early > 1) await new Promise((resolve) => setTimeout(resolve, early));
    sent.push(pointer.send('Input.dispatchMouseEvent', event));
  }
  await Promise.all(sent);
  const recorded = await page.evaluate((id) => recorder.stop(id), session.sessionId);
  await context.close();
  return { ...recorded, gameType: session.gameType };
}

const recorded = [];
let next = 0;
await Promise.all(Array.from({ length: TABS }, async () => {
  while (next < sessions.length) {
    const place = next;
    next += 1;
    recorded[place] = await replay(sessions[place]);
  }
}));
writeFileSync(output, recorded.map((one) => `${JSON.stringify(one)}\n`).join(''));
await browser.close();
await site.close();
await node.close();
