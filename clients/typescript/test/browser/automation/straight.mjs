// What drivers do by themselves: a click that jumps, and moves with steps on a straight line.
import { inTab } from './game.mjs';
import { sleep, takeHand } from './hand.mjs';
import { centre, placeIn } from './random.mjs';

/** Puppeteer's `page.click()`: one move to the centre, pressed, released, nothing in between. */
const jump = inTab('CDP click (puppeteer)', takeHand, async (hand, box) => {
  const { x, y } = centre(box);
  await hand.move(x, y);
  await hand.click();
});

/** The same with what scripts add who fear to be too fast: a wait before and a held button. */
const slowJump = inTab('CDP click with delays', takeHand, async (hand, box, random) => {
  const { x, y } = placeIn(box, random);
  await sleep(random.between(200, 900));
  await hand.move(x, y);
  await sleep(random.between(30, 120));
  await hand.click(random.between(40, 120));
});

/** Playwright itself: `locator.click()`, with its checks that the element is stable. */
const locator = inTab('playwright locator.click()', (page) => page, async (page, _box, _random, n) => {
  await page.locator(n ? '.bubble' : '.start').last().click();
});

/** Playwright itself: `mouse.move()` with a number of steps, then down and up. */
const steps = inTab('playwright mouse.move({steps})', (page) => page.mouse, async (mouse, box, random) => {
  const { x, y } = placeIn(box, random);
  await mouse.move(x, y, { steps: Math.round(random.between(10, 40)) });
  await mouse.down();
  await sleep(random.between(20, 90));
  await mouse.up();
});

export default [jump, slowJump, locator, steps];
