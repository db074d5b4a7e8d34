// WebDriver through chromedriver, which is Debian's package chromium-driver: its own Chromium, asked over HTTP as Selenium does.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { executable } from '../site.mjs';
import { distortedCurve } from './curves.mjs';
import { PATH, TARGETS } from './game.mjs';
import { sleep } from './hand.mjs';
import { centre, placeIn } from './random.mjs';

const ARGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--window-size=900,760'];

/** A session of chromedriver with `ask(method, path, body)` and `run(script, ...args)`; null where it is not installed. */
export async function startWebDriver() {
  const program = spawn(process.env.CHROMEDRIVER ?? 'chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise((resolve) => {
    program.once('error', () => resolve(null));
    program.once('exit', () => resolve(null));
    createInterface(program.stdout).on('line', (line) => { const found = /started successfully on port (\d+)/.exec(line); if (found) resolve(found[1]); });
  });
  if (!port) return null;
  const request = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  const { sessionId } = await request('POST', '/session', { capabilities: { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': { binary: executable(), args: ARGS } } } });
  const ask = (method, path, body) => request(method, `/session/${sessionId}${path}`, body);
  return {
    ask,
    run: (script, ...args) => ask('POST', '/execute/sync', { script, args }),
    async close() {
      await request('DELETE', `/session/${sessionId}`).catch(() => undefined);
      program.kill();
    },
  };
}

async function until(find) {
  const limit = Date.now() + 20_000;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > limit) throw new Error('the page did not get so far');
    await sleep(20);
  }
}

/** One perform of a mouse: `pointer` are the actions of the standard, in their order. */
const perform = (driver, ...pointer) => driver.ask('POST', '/actions', { actions: [{ type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions: pointer }] });

/** A tool that goes to one bubble after the other through chromedriver. */
const byDriver = (name, reach) => ({
  name,
  needs: 'webdriver',
  async play({ webdriver, site }, random) {
    // The pointer begins at the corner again.
    await webdriver.ask('DELETE', '/actions');
    await webdriver.ask('POST', '/url', { url: site.url + PATH });
    const hand = { driver: webdriver, at: { x: 0, y: 0 } };
    for (let n = 0; n <= TARGETS; n += 1) {
      const box = await until(() => webdriver.run('return place(arguments[0])', n));
      await reach(hand, box, random, n);
    }
    return until(() => webdriver.run('return verified'));
  },
});

/** Selenium's `element.click()`: the driver jumps to the middle. */
const click = byDriver('chromedriver element click', async ({ driver }, _box, _random, n) => {
  const element = await driver.run('return control(arguments[0])', n);
  await driver.ask('POST', `/element/${Object.values(element)[0]}/click`, {});
});

const down = { type: 'pointerDown', button: 0 };
const up = { type: 'pointerUp', button: 0 };

/** Selenium's ActionChains: a move of 250 ms, which the driver divides evenly, and a click in the same perform. */
const actions = byDriver('chromedriver pointer actions (250 ms)', async (hand, box) => {
  const { x, y } = centre(box);
  await perform(hand.driver, { type: 'pointerMove', duration: 250, x: Math.floor(x), y: Math.floor(y), origin: 'viewport' }, down, up);
});

/** The same with durations and waits of a script that wants to look like somebody. */
const slowActions = byDriver('chromedriver pointer actions (varied)', async (hand, box, random) => {
  const { x, y } = placeIn(box, random);
  await perform(
    hand.driver,
    { type: 'pause', duration: Math.round(random.between(80, 350)) },
    { type: 'pointerMove', duration: Math.round(random.between(250, 900)), x: Math.floor(x), y: Math.floor(y), origin: 'viewport' },
    { type: 'pause', duration: Math.round(random.between(40, 160)) },
    down,
    { type: 'pause', duration: Math.round(random.between(40, 120)) },
    up,
  );
});

/** HumanCursor: a distorted, tweened Bezier as one perform of many relative moves of no duration. */
const humanCursor = byDriver('HumanCursor over chromedriver', async (hand, box, random) => {
  const to = placeIn(box, random);
  const moves = distortedCurve(hand.at, to, random).map(({ x, y }) => {
    // Near the edge a driver refuses a place outside of the viewport.
    const [nx, ny] = [Math.min(Math.max(Math.round(x), 0), 880), Math.min(Math.max(Math.round(y), 0), 560)];
    const move = { type: 'pointerMove', duration: 0, x: nx - hand.at.x, y: ny - hand.at.y, origin: 'pointer' };
    hand.at = { x: nx, y: ny };
    return move;
  });
  await perform(hand.driver, ...moves, down, up);
  await sleep(random.between(170, 280));
});

export default [click, actions, slowActions, { ...humanCursor, draws: true }];
