// A site of another origin than the node, under a strict content security policy, and a Chromium to visit it.
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Where Chromium is: `CHROMIUM`, or on the PATH. */
export function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const found = (process.env.PATH ?? '').split(':').flatMap((folder) => NAMES.map((name) => `${folder}/${name}`)).find((path) => existsSync(path));
  if (!found) throw new Error('Chromium is not installed: install Debian\'s package chromium, or set CHROMIUM');
  return found;
}

export const launch = () => chromium.launch({
  executablePath: executable(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});

/** Plays the widget's game with the mouse, along a path of several steps to each bubble. */
export async function playWithMouse(page, targets = 7) {
  await page.getByRole('button', { name: 'Start the check' }).click();
  for (let n = 1; n <= targets; n += 1) {
    const box = await page.getByRole('button', { name: `Bubble ${n} of ${targets}` }).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 12 });
    await page.mouse.down();
    await page.mouse.up();
  }
}

/** A page at `url` in a context of its own, which ends with the test; `problems` has what went wrong in it. */
export async function openPage(t, browser, url, options) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error') page.problems.push(message.text()); });
  await page.goto(url);
  return page;
}

/** Serves `pages` (path to the page's body, or to a script when it ends in `.js`); forms that are posted are kept in `posts`,
 * and `files` are zstd. */
export async function startSite(nodeUrl) {
  const site = { pages: {}, files: {}, posts: [], onPost: null };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    if (request.method === 'POST') {
      let text = '';
      for await (const piece of request) text += piece;
      site.posts.push({ pathname, text });
      const answer = await site.onPost?.(pathname, text);
      return response.writeHead(200, { 'content-type': answer ? 'application/json' : 'text/html' }).end(answer ?? '<!doctype html><title>Posted</title>posted');
    }
    const file = site.files[pathname];
    if (file) return response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-encoding': 'zstd' }).end(file);
    const page = site.pages[pathname];
    if (page === undefined) return response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
    if (pathname.endsWith('.js')) return response.writeHead(200, { 'content-type': 'text/javascript' }).end(page);
    return response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; script-src 'self' ${nodeUrl}; connect-src 'self' ${nodeUrl}; form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'`,
    }).end(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A page</title><script src="${nodeUrl}/client.js" crossorigin defer></script>${page}</html>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Another host name, so that node and site are of different sites, not of different ports only.
  site.url = `http://localhost:${server.address().port}`;
  site.close = () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); });
  return site;
}
