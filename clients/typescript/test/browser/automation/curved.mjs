// Cursor libraries on top of the debugging protocol: Bezier curves, eased ones with wobble and pauses, wind and Gaussian mice.
import { distance, easedCurve, fittsCurve, gaussianPath, windPath } from './curves.mjs';
import { inTab } from './game.mjs';
import { sleep, takeHand } from './hand.mjs';
import { placeIn } from './random.mjs';

/** From this distance on a reach goes past its target and returns; libraries made for whole pages begin at 500 px. */
const OVERSHOOT_PX = 120;

function beyond(from, to, random) {
  const length = Math.max(distance(from, to), 1);
  const more = random.between(6, 22);
  return { x: to.x + more * (to.x - from.x) / length + random.normal(0, 4), y: to.y + more * (to.y - from.y) / length + random.normal(0, 4) };
}

/** The parts of a reach: past the target and back where it is far, else straight to it. */
const parts = (hand, to, random) => (distance(hand.at, to) > OVERSHOOT_PX ? [beyond(hand.at, to, random), to] : [to]);

/** ghost-cursor: each point sent as soon as the browser has answered the last. */
const ghost = inTab('ghost-cursor', takeHand, async (hand, box, random) => {
  const to = placeIn(box, random, 1 / 1.5);
  for (const [i, end] of parts(hand, to, random).entries()) await hand.trace(fittsCurve(hand.at, end, i ? box.width : 100, random, i ? 10 : undefined));
  await hand.click();
  await sleep(random.between(0, 600));
});

/** ghost-cursor with a delay after each point and a held button. */
const ghostDelayed = inTab('ghost-cursor with delays', takeHand, async (hand, box, random) => {
  const to = placeIn(box, random, 1 / 1.5);
  for (const [i, end] of parts(hand, to, random).entries()) await hand.trace(fittsCurve(hand.at, end, i ? box.width : 100, random, i ? 10 : undefined), () => random.between(4, 16));
  await sleep(random.between(60, 200));
  await hand.click(random.between(50, 130));
  await sleep(random.between(0, 600));
});

async function eased(hand, box, random, step, send) {
  const to = placeIn(box, random);
  await sleep(random.between(120, 450));
  for (const [i, end] of parts(hand, to, random).entries()) {
    if (i) await sleep(random.between(40, 140));
    const ms = 180 + 1.6 * distance(hand.at, end) * random.between(0.7, 1.3);
    await send(easedCurve(hand.at, end, random, { ms: i ? random.between(90, 200) : ms, stepMs: step }));
  }
  await sleep(random.between(50, 180));
  await hand.click(random.between(50, 130));
}

/** Human-like cursors that keep a clock of their own and wait for no answer. */
const easedTimed = inTab('eased Bezier, wobble, pauses (8 ms)', takeHand, (hand, box, random) => eased(hand, box, random, 8, (points) => hand.follow(points)));

/** The same as loops write it: a move, then a sleep; several points come together after each sleep. */
const easedBursts = inTab('eased Bezier, wobble, in bursts', takeHand, (hand, box, random) => eased(hand, box, random, 5, async (points) => {
  for (let i = 0; i < points.length;) {
    const burst = points.slice(i, i += 1 + Math.floor(4 * random()));
    await Promise.all(burst.map(({ x, y }) => hand.move(x, y)));
    await sleep(4 * burst.length);
  }
}));

/** The wind mouse with its usual wait of some ms after each step. */
const wind = inTab('wind mouse', takeHand, async (hand, box, random) => {
  await sleep(random.between(80, 300));
  await hand.trace(windPath(hand.at, placeIn(box, random), random), () => random.between(4, 10));
  await hand.click(random.between(40, 120));
});

/** A Gaussian mouse: a smoothed random walk at 60 Hz. */
const gaussian = inTab('Gaussian mouse', takeHand, async (hand, box, random) => {
  await sleep(random.between(80, 300));
  const ms = random.between(400, 1000);
  const count = Math.round(ms * 60 / 1000);
  await hand.follow(gaussianPath(hand.at, placeIn(box, random), random, { count }).map((point, i) => ({ ...point, t: i * ms / count })));
  await hand.click(random.between(40, 120));
});

export default [ghost, ghostDelayed, easedTimed, easedBursts, wind, gaussian];
