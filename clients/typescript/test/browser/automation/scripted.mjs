// Scripts inside the page: events that no browser made, and clicks without any pointer.
import { easedCurve } from './curves.mjs';
import { inTab } from './game.mjs';
import { sleep } from './hand.mjs';
import { centre, placeIn } from './random.mjs';

/** Dispatches pointer and mouse events by a script, at the points' times, and clicks at the last; all untrusted. */
const dispatch = (page, points, n) => page.evaluate(async ([path, which]) => {
  const under = (x, y) => {
    let found = document.elementFromPoint(x, y);
    while (found?.shadowRoot) {
      const inner = found.shadowRoot.elementFromPoint(x, y);
      if (!inner || inner === found) break;
      found = inner;
    }
    return found ?? document.body;
  };
  const make = (target, kind, type, x, y, more) => target.dispatchEvent(new kind(type, { clientX: x, clientY: y, bubbles: true, composed: true, cancelable: true, view: window, pointerId: 1, pointerType: 'mouse', isPrimary: true, ...more }));
  const begun = performance.now();
  for (const { x, y, t } of path) {
    const early = t - (performance.now() - begun);
    if (early > 1) await new Promise((resolve) => { setTimeout(resolve, early); });
    const target = under(x, y);
    make(target, PointerEvent, 'pointermove', x, y);
    make(target, MouseEvent, 'mousemove', x, y);
  }
  const { x, y } = path.at(-1);
  const target = control(which);
  for (const [kind, type] of [[PointerEvent, 'pointerdown'], [MouseEvent, 'mousedown'], [PointerEvent, 'pointerup'], [MouseEvent, 'mouseup'], [MouseEvent, 'click']]) make(target, kind, type, x, y, { button: 0, detail: 1 });
}, [points, n]);

const own = (page) => ({ page, at: { x: 0, y: 0 } });

const untrustedJump = inTab('dispatchEvent, no path', own, async (hand, box, random, n) => {
  await sleep(random.between(150, 500));
  await dispatch(hand.page, [{ ...centre(box), t: 0 }], n);
});

const untrustedCurve = inTab('dispatchEvent, eased Bezier', own, async (hand, box, random, n) => {
  await sleep(random.between(100, 350));
  const to = placeIn(box, random);
  await dispatch(hand.page, easedCurve(hand.at, to, random, { ms: random.between(350, 800), stepMs: 16 }), n);
  hand.at = to;
});

const elementClick = inTab('element.click(), no movement', own, async (hand, _box, random, n) => {
  await sleep(random.between(100, 700));
  await hand.page.evaluate((which) => control(which).click(), n);
});

export default [untrustedJump, { ...untrustedCurve, draws: true }, elementClick];
