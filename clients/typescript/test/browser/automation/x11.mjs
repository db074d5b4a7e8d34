// xdotool, which moves the pointer of a whole screen: a Chromium with a window, on a screen that Xvfb keeps in memory.
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { executable } from '../site.mjs';
import { EASES, distance } from './curves.mjs';
import { TARGETS, openGame } from './game.mjs';
import { sleep } from './hand.mjs';
import { centre, placeIn } from './random.mjs';

const run = promisify(execFile);

/** A screen with a browser on it; null where Xvfb or xdotool is not installed. */
export async function startScreen() {
  const server = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1000x900x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const number = await new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.once('exit', () => resolve(null));
    createInterface(server.stdio[3]).once('line', resolve);
  });
  if (number === null) return null;
  const env = { ...process.env, DISPLAY: `:${number.trim()}` };
  try {
    await run('xdotool', ['version'], { env });
  } catch {
    server.kill();
    return null;
  }
  const browser = await chromium.launch({ executablePath: executable(), headless: false, env, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--window-position=0,0', '--window-size=1000,900'] });
  return {
    browser,
    tool: (...words) => run('xdotool', words.map(String), { env }),
    async close() {
      await browser.close();
      server.kill();
    },
  };
}

/** Where the page's corner is on the screen: the difference between a place of the screen and what the page hears of it. */
async function corner(page, screen) {
  await page.evaluate(() => { window.heard = null; addEventListener('mousemove', (event) => { heard = [event.clientX, event.clientY]; }); });
  for (let tried = 0; tried < 50; tried += 1) {
    const [x, y] = [500 + tried % 7, 600 + tried % 5];
    await screen.tool('mousemove', x, y);
    await sleep(100);
    const heard = await page.evaluate(() => heard);
    if (heard) return { x: x - heard[0], y: y - heard[1], at: { x, y } };
  }
  throw new Error('the page hears nothing of the pointer of its screen');
}

const onScreen = (name, reach) => ({
  name,
  needs: 'screen',
  async play({ screen, site }, random) {
    const context = await screen.browser.newContext({ viewport: null });
    try {
      const game = await openGame(context, site);
      await game.page.bringToFront();
      const origin = await corner(game.page, screen);
      const hand = { tool: screen.tool, at: origin.at };
      for (let n = 0; n <= TARGETS; n += 1) {
        const box = await game.place(n);
        await reach(hand, { ...box, x: box.x + origin.x, y: box.y + origin.y }, random);
      }
      return await game.finish();
    } finally {
      await context.close();
    }
  },
});

const round = ({ x, y }) => ({ x: Math.round(x), y: Math.round(y) });

/** `xdotool mousemove X Y click 1`. */
const jump = onScreen('xdotool mousemove, click', async (hand, box, random) => {
  const { x, y } = round(centre(box));
  await sleep(random.between(100, 500));
  await hand.tool('mousemove', x, y, 'click', 1);
});

/** A chain of `mousemove` and `sleep` along a line, as scripts write it. */
const line = onScreen('xdotool straight steps', async (hand, box, random) => {
  const to = round(placeIn(box, random));
  const steps = Math.round(random.between(15, 40));
  const words = Array.from({ length: steps }, (_, i) => {
    const part = (i + 1) / steps;
    return ['mousemove', Math.round(hand.at.x + part * (to.x - hand.at.x)), Math.round(hand.at.y + part * (to.y - hand.at.y)), 'sleep', 0.01];
  }).flat();
  await hand.tool(...words, 'sleep', random.between(0.05, 0.2).toFixed(3), 'click', 1);
  hand.at = to;
});

/** PyAutoGUI's `moveTo` with a duration and a tween: one place each 50 ms, its least wait. */
const tween = onScreen('PyAutoGUI\'s tween through X11', async (hand, box, random) => {
  const to = round(placeIn(box, random));
  const ease = random.one([EASES.inOutSine, EASES.outCubic, EASES.inOutCubic]);
  const seconds = 0.25 + distance(hand.at, to) / 600 * random.between(0.7, 1.3);
  const steps = Math.max(Math.floor(seconds / 0.05), 1);
  const words = Array.from({ length: steps }, (_, i) => {
    const part = ease((i + 1) / steps);
    return ['mousemove', Math.round(hand.at.x + part * (to.x - hand.at.x)), Math.round(hand.at.y + part * (to.y - hand.at.y)), 'sleep', 0.05];
  }).flat();
  await hand.tool(...words, 'sleep', '0.1', 'click', 1);
  hand.at = to;
});

export default [jump, line, { ...tween, draws: true }];
