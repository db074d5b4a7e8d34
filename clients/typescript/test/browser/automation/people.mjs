// Recordings of people: read, replayed through the debugging protocol at their own times into the recorder of a page, and
// submitted as they are to another node, so that neither is taken for a copy of the other.
import { readFileSync } from 'node:fs';
import { SECRET } from '../node.mjs';
import { sleep } from './hand.mjs';

export const RECORDER = '/recorder';
const HELD_MS = 70;
const BUNDLED = new URL('../../../../../data/demo/humans.ndjson.zst', import.meta.url).pathname;

export function addRecorder(site) {
  site.pages[RECORDER] = '<main id="area">area</main><script src="/recorder.js" defer></script>';
  site.pages['/recorder.js'] = `
    Object.assign(area.style, { position: "absolute", inset: "0" });
    window.begin = (hits) => { let n = 0; window.recorder = PlayProof.recordPointer(area, { targetHit: () => hits[n++] ?? false }); };
    window.send = (gameType, to) => PlayProof.sendSession({ ...recorder.stop(to.sessionId), gameType }, to);`;
}

/** The lines of a zstd file for which `keep` is true, read by Chromium, as Node 20 knows no zstd. */
async function lines(browser, site, path, ids) {
  const name = `/recordings-${Math.random().toString(36).slice(2)}`;
  site.files[name] = readFileSync(path);
  site.pages['/reader'] = '<p>reader';
  const page = await browser.newPage();
  try {
    await page.goto(`${site.url}/reader`);
    return (await page.evaluate(async ([from, wanted]) => {
      const text = await (await fetch(from)).text();
      return text.split('\n').filter((line) => line && (!wanted || wanted.includes(/"sessionId":\s*"([^"]+)"/.exec(line)?.[1])));
    }, [name, ids])).map((line) => JSON.parse(line));
  } finally {
    await page.close();
    delete site.files[name];
  }
}

/** The values of `list` by their key. */
function grouped(list, key) {
  const groups = new Map();
  for (const one of list) groups.set(key(one), [...groups.get(key(one)) ?? [], one]);
  return [...groups.values()];
}

/** One of each list after the other, until all are told. */
const inTurn = (lists) => Array.from({ length: Math.max(0, ...lists.map((list) => list.length)) }, (_, turn) => lists.filter((list) => turn < list.length).map((list) => list[turn])).flat();

/** `count` recordings at most: of devtest in PLAYPROOF_DATA, sources and their users in turn, or the bundled ones of one person. */
export async function people(browser, site, count) {
  const folder = process.env.PLAYPROOF_DATA;
  if (!folder) return (await lines(browser, site, BUNDLED, null)).slice(0, count).map((session) => ({ source: 'bundled', session }));
  const [head, ...rows] = readFileSync(`${folder}/devtest_labels.csv`, 'utf8').trim().split('\n').map((line) => line.split(','));
  const labelled = rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i]]))).filter(({ label }) => label === 'human');
  const bySource = grouped(labelled, ({ source }) => source).map((ofSource) => inTurn(grouped(ofSource, ({ user }) => user)));
  const chosen = new Map(inTurn(bySource).slice(0, count).map(({ sessionId, source }) => [sessionId, source]));
  const sessions = await lines(browser, site, `${folder}/devtest.ndjson.zst`, [...chosen.keys()]);
  return sessions.map((session) => ({ source: chosen.get(session.sessionId), session }));
}

const challenge = async (node) => (await fetch(`${node.url}/api/v1/challenges`, { method: 'POST', headers: { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' }, body: '{}' })).json();

/** Sends a recording as it is, with a challenge's token; the session's id. */
export async function submit(node, session) {
  const { token, sessionId } = await challenge(node);
  const response = await fetch(`${node.url}/api/v1/score`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token, ...session, sessionId, useBatch: true }) });
  if (!response.ok) throw new Error(`the node answered ${response.status}: ${await response.text()}`);
  return sessionId;
}

/** Replays a recording into the recorder of a page, which sends it; the session's id. */
export async function replay({ browser, site, node }, session) {
  const context = await browser.newContext({ viewport: { width: 2000, height: 1300 } });
  try {
    const page = await context.newPage();
    await page.goto(site.url + RECORDER);
    const clicks = session.clicks ?? [];
    await page.evaluate((hits) => begin(hits), clicks.map((click) => click.targetHit ?? false));
    const pointer = await context.newCDPSession(page);
    const button = { button: 'left', clickCount: 1 };
    // No place of the page is negative; where a recording is on its screen is not judged.
    const left = Math.min(0, ...session.movements.map(({ x }) => x));
    const top = Math.min(0, ...session.movements.map(({ y }) => y));
    const events = [
      ...session.movements.map(({ x, y, timestamp }) => [timestamp, { type: 'mouseMoved', x: x - left, y: y - top }]),
      ...clicks.flatMap(({ x, y, timestamp }) => [[timestamp, { type: 'mousePressed', x: x - left, y: y - top, ...button }], [timestamp + HELD_MS, { type: 'mouseReleased', x: x - left, y: y - top, ...button }]]),
    ].sort(([a], [b]) => a - b);
    const begun = performance.now() - events[0][0];
    const sent = [];
    let buttons = 0;
    for (const [time, event] of events) {
      const early = time - (performance.now() - begun);
      if (early > 1) await sleep(early);
      if (event.type !== 'mouseMoved') buttons = event.type === 'mousePressed' ? 1 : 0;
      // As a mouse does, a move says that the button is held.
      sent.push(pointer.send('Input.dispatchMouseEvent', { ...event, buttons }));
    }
    await Promise.all(sent);
    const { token, sessionId } = await challenge(node);
    await page.evaluate(([type, to]) => send(type, to), [session.gameType, { baseUrl: node.url, token, sessionId }]);
    return sessionId;
  } finally {
    await context.close();
  }
}
