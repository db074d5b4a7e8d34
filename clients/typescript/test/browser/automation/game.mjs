// The widget's page, and a game of it: the start button, then seven bubbles, then the session's id when the node took it.
import { SITEKEY } from '../node.mjs';

export const TARGETS = 7;
export const PATH = '/game';

/** The page, of another origin than the node, under the strict policy of `site.mjs`. */
export function addGame(site) {
  site.pages[PATH] = `<main><h1>Sign up</h1><form method="post" action="/posted"><playproof-check sitekey="${SITEKEY}" action="sign-up"></playproof-check></form></main><script src="/game.js"></script>`;
  site.pages['/game.js'] = `
    window.verified = null;
    document.addEventListener('verified', (event) => { verified = event.detail.sessionId; });
    window.control = (n) => document.querySelector('playproof-check')?.shadowRoot?.querySelector(n ? '.bubble' : '.start');
    window.place = (n) => {
      const found = control(n);
      if (!found || n && found.textContent !== String(n)) return null;
      const { x, y, width, height } = found.getBoundingClientRect();
      return { x, y, width, height };
    };`;
}

/** A visit of the page: `place(n)` is the box of bubble n, or of the start button for 0; `finish()` gives the session's id. */
export async function openGame(context, site) {
  const page = await context.newPage();
  await page.goto(site.url + PATH);
  return {
    page,
    place: (n) => page.waitForFunction((wanted) => window.place(wanted), n, { polling: 20, timeout: 20_000 }).then((handle) => handle.jsonValue()),
    finish: () => page.waitForFunction(() => window.verified, undefined, { polling: 50, timeout: 20_000 }).then((handle) => handle.jsonValue()),
  };
}

/** A tool that goes to one bubble after the other in a tab of the common Chromium: `reach(game, box, random, n)`. */
export const inTab = (name, begin, reach) => ({
  name,
  async play({ browser, site }, random) {
    const context = await browser.newContext({ viewport: { width: 900, height: 700 } });
    try {
      const game = await openGame(context, site);
      const hand = await begin(game.page, random);
      for (let n = 0; n <= TARGETS; n += 1) await reach(hand, await game.place(n), random, n);
      return await game.finish();
    } finally {
      await context.close();
    }
  },
});
