// A pointer by the browser's debugging protocol, with the three events that drivers send: moved, pressed, released.

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** The hand of a page's tool; `at` is where its last event was. */
export async function takeHand(page) {
  const session = await page.context().newCDPSession(page);
  const send = (type, more) => session.send('Input.dispatchMouseEvent', { type, x: hand.at.x, y: hand.at.y, button: 'none', ...more });
  const hand = {
    at: { x: 0, y: 0 },
    /** Moves and gives what is done when the browser has answered; drivers wait for it. */
    move(x, y) {
      hand.at = { x, y };
      return send('mouseMoved');
    },
    /** Waits for each answer, and for `pause()` ms after it, as libraries do that loop over a driver's move. */
    async trace(points, pause = () => 0) {
      for (const { x, y } of points) {
        await hand.move(x, y);
        const ms = pause();
        if (ms > 0) await sleep(ms);
      }
    },
    /** Keeps to the times `t` of the points, in ms from now, and waits for no answer until the last. */
    async follow(points) {
      const begun = performance.now();
      const sent = [];
      for (const { x, y, t } of points) {
        const early = t - (performance.now() - begun);
        if (early > 1) await sleep(early);
        sent.push(hand.move(x, y));
      }
      await Promise.all(sent);
    },
    async click(heldMs = 0) {
      await send('mousePressed', { button: 'left', clickCount: 1 });
      if (heldMs > 0) await sleep(heldMs);
      await send('mouseReleased', { button: 'left', clickCount: 1 });
    },
  };
  return hand;
}
