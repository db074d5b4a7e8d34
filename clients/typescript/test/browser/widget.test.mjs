// The widget in a real Chromium, in a page of another origin under a strict content security policy.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { SECRET, SITEKEY, startNode } from './node.mjs';
import { launch, openPage, playWithMouse, startSite } from './site.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let [node, site, browser] = [];

before(async () => {
  node = await startNode();
  site = await startSite(node.url);
  const form = (check) => `<main><h1>Sign up</h1><form method="post" action="/posted"><label>Name <input name="who" value="Ada"></label>${check}<button>Send</button></form></main><script src="/page.js"></script>`;
  site.pages['/form'] = form(`<playproof-check sitekey="${SITEKEY}" action="sign-up"></playproof-check>`);
  site.pages['/invisible'] = form(`<playproof-check sitekey="${SITEKEY}" action="sign-up" mode="invisible"></playproof-check>`);
  site.pages['/own'] = form('<playproof-check challenge="/challenge" action="sign-up" targets="6"></playproof-check>');
  site.pages['/bare'] = form('<playproof-check></playproof-check>');
  site.pages['/page.js'] = `
    window.seen = [];
    for (const type of ['verified', 'expired', 'error']) document.addEventListener(type, (event) => { if (event.target.localName === 'playproof-check') seen.push([type, event.detail]); });
    document.addEventListener('securitypolicyviolation', (event) => seen.push(['violation', event.violatedDirective]));`;
  browser = await launch();
});
after(async () => { await browser.close(); await site.close(); await node.close(); });

const visit = (t, path, options) => openPage(t, browser, site.url + path, { viewport: { width: 900, height: 700 }, ...options });
const events = (page) => page.evaluate(() => seen);
const until = (page, type) => page.waitForFunction((wanted) => window.seen.find(([one]) => one === wanted)?.[1] ?? false, type).then((handle) => handle.jsonValue());

async function post(page) {
  const posted = site.posts.length;
  await page.getByRole('button', { name: 'Send' }).click();
  await page.waitForURL('**/posted');
  return new URLSearchParams(site.posts[posted].text);
}
const verify = async (response, type = 'form') => (await fetch(`${node.url}/api/v1/siteverify`, {
  method: 'POST',
  ...(type === 'form' ? { body: new URLSearchParams({ secret: SECRET, response }) } : { headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` }, body: JSON.stringify({ token: response }) }),
})).json();

test('a game, a form post, and the server asks once', async (t) => {
  const page = await visit(t, '/form');
  await playWithMouse(page);
  const { token, sessionId } = await until(page, 'verified');
  const { session, type } = node.sessions.get(sessionId);
  assert.deepEqual([session.gameType, session.hits, session.misses, session.useBatch, type], ['bubble-pop', 7, 0, true, 'text/plain']);
  assert.ok(session.movements.length > 70, String(session.movements.length));
  const sent = node.requests.filter(({ pathname }) => pathname.endsWith('/score'));
  assert.deepEqual([sent.map(({ method }) => method), sent[0].headers.cookie, sent[0].headers.authorization], [['POST'], undefined, undefined], 'no preflight, no credentials');
  const fields = await post(page);
  assert.deepEqual([fields.get('who'), fields.get('playproof-response')], ['Ada', token]);
  const first = await verify(token);
  assert.deepEqual([first.success, first.action, first.sessionId], [true, 'sign-up', sessionId]);
  assert.deepEqual((await verify(token, 'json'))['error-codes'], ['timeout-or-duplicate']);
  assert.deepEqual(page.problems, [], 'nothing that the policy forbids, no error');
});

test('by keyboard alone', async (t) => {
  const page = await visit(t, '/form');
  await page.getByLabel('Name').focus();
  await page.keyboard.press('Tab');
  for (let n = 0; n <= 7; n += 1) await page.keyboard.press(n % 2 ? 'Space' : 'Enter', { delay: 30 });
  const { token, sessionId } = await until(page, 'verified');
  const { session } = node.sessions.get(sessionId);
  assert.deepEqual([session.movements, session.clicks], [[], []]);
  assert.deepEqual([session.context.keys, session.context.clicksWithoutPointer], [7, 7]);
  await page.getByText('Done. Thank you.').waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Send', 'the focus is not lost');
  const posted = site.posts.length;
  await page.keyboard.press('Enter');
  await page.waitForURL('**/posted');
  assert.equal(new URLSearchParams(site.posts[posted].text).get('playproof-response'), token);
});

test('invisible: what a visitor does anyway is sent before the form', async (t) => {
  const page = await visit(t, '/invisible');
  assert.equal(await page.locator('playproof-check').isVisible(), false);
  await page.mouse.move(50, 50);
  await page.mouse.move(500, 300, { steps: 40 });
  const response = (await post(page)).get('playproof-response');
  const { sessionId } = node.challenges.get(response);
  const { session } = node.sessions.get(sessionId);
  assert.deepEqual([session.gameType, session.hits], ['invisible', undefined]);
  assert.ok(session.movements.length >= 40);
  assert.equal((await verify(response)).success, true);
});

test('a form is sent although the service is away; the server sees no token', async (t) => {
  const page = await visit(t, '/invisible');
  node.faults.push({ path: '/score', status: 503, times: 99 });
  t.after(() => { node.faults.length = 0; });
  await page.mouse.move(50, 50);
  const fields = await post(page);
  assert.deepEqual([fields.get('who'), fields.get('playproof-response')], ['Ada', '']);
  assert.deepEqual((await verify(''))['error-codes'], ['missing-input-response']);
});

test('a challenge of the site\'s own server', async (t) => {
  site.onPost = async (path, text) => path === '/challenge' && JSON.stringify(await (await fetch(`${node.url}/api/v1/challenges`, { method: 'POST', headers: { authorization: `Bearer ${SECRET}` }, body: text })).json());
  const page = await visit(t, '/own');
  await playWithMouse(page, 6);
  const { token } = await until(page, 'verified');
  assert.equal(node.challenges.get(token).action, 'sign-up');
});

test('what is put off or breaks is sent again', async (t) => {
  const page = await visit(t, '/form');
  node.faults.push({ path: '/score', status: 503, times: 1 }, { path: '/score', destroy: true, times: 1 });
  await playWithMouse(page);
  const { sessionId } = await until(page, 'verified');
  assert.ok(node.sessions.has(sessionId));
});

test('a refusal is an event and a way back', async (t) => {
  const page = await visit(t, '/form');
  node.faults.push({ path: '/challenges', status: 401, code: 'unauthorized', times: 1 });
  await page.getByRole('button', { name: 'Start the check' }).click();
  assert.equal((await until(page, 'error')).code, 'unauthorized');
  await page.getByText('That did not work. Try again.').waitFor();
  await playWithMouse(page);
  await until(page, 'verified');
  const bare = await visit(t, '/bare');
  await bare.getByRole('button', { name: 'Start the check' }).click();
  assert.equal((await until(bare, 'error')).code, 'no_sitekey');
});

test('a token that expires leaves the form', async (t) => {
  const page = await visit(t, '/form');
  await page.clock.install();
  await playWithMouse(page);
  const { token } = await until(page, 'verified');
  const field = () => page.locator('[name=playproof-response]').inputValue();
  assert.equal(await field(), token);
  await page.clock.fastForward(301_000);
  assert.deepEqual((await events(page)).map(([type]) => type), ['verified', 'expired']);
  assert.equal(await field(), '');
  await page.getByText('The check has expired. Start again.').waitFor();
  await page.evaluate(() => { seen.length = 0; });
  await playWithMouse(page);
  assert.notEqual((await until(page, 'verified')).token, token);
});

test('nobody is hurried: a challenge that ends within the game is followed by another', async (t) => {
  const page = await visit(t, '/form');
  await page.clock.install();
  await page.getByRole('button', { name: 'Start the check' }).click();
  for (let n = 1; n <= 6; n += 1) await page.getByRole('button', { name: `Bubble ${n} of 7` }).click();
  const challenges = node.challenges.size;
  const arrived = page.waitForResponse((response) => response.url().endsWith('/challenges') && response.request().method() === 'POST');
  await page.clock.fastForward(301_000);
  await arrived;
  await page.getByRole('button', { name: 'Bubble 7 of 7' }).click();
  const { token } = await until(page, 'verified');
  assert.equal(node.challenges.size, challenges + 1);
  assert.equal([...node.challenges.keys()].at(-1), token);
  assert.equal(node.sessions.get(node.challenges.get(token).sessionId).session.clicks.length, 7);
  assert.deepEqual((await events(page)).map(([type]) => type), ['verified']);
});

test('a challenge made with the page is used once', async (t) => {
  const made = await (await fetch(`${node.url}/api/v1/challenges`, { method: 'POST', headers: { authorization: `Bearer ${SECRET}` }, body: '{}' })).json();
  site.pages['/made'] = `<main><playproof-check token="${made.token}" session-id="${made.sessionId}"></playproof-check></main><script src="/page.js"></script>`;
  const page = await visit(t, '/made');
  await playWithMouse(page);
  assert.deepEqual(await until(page, 'verified'), { token: made.token, sessionId: made.sessionId });
  await page.evaluate(() => document.querySelector('playproof-check').reset());
  await page.getByRole('button', { name: 'Start the check' }).click();
  assert.equal((await until(page, 'error')).code, 'no_sitekey');
});

test('on a device held in the hand a hidden page is sent, and the game begins anew when it returns', async (t) => {
  const page = await visit(t, '/form', { hasTouch: true, isMobile: true });
  const arrived = page.waitForResponse((response) => response.url().endsWith('/challenges') && response.request().method() === 'POST');
  await page.getByRole('button', { name: 'Start the check' }).tap();
  const { sessionId } = await (await arrived).json();
  await page.getByRole('button', { name: 'Bubble 1 of 7' }).tap();
  const sent = page.waitForResponse((response) => response.url().endsWith('/score'));
  const turn = (hidden) => page.evaluate((value) => { Object.defineProperty(document, 'hidden', { value, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); }, hidden);
  await turn(true);
  await sent;
  assert.equal(node.sessions.get(sessionId).session.clicks.length, 1);
  await turn(false);
  await page.getByRole('button', { name: 'Start the check' }).tap();
  for (let n = 1; n <= 7; n += 1) await page.getByRole('button', { name: `Bubble ${n} of 7` }).tap();
  assert.notEqual((await until(page, 'verified')).sessionId, sessionId);
});

for (const [name, options] of [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['320 px', { viewport: { width: 320, height: 640 } }], ['reduced motion', { reducedMotion: 'reduce' }], ['forced colours', { forcedColors: 'active' }]]) {
  test(`accessible: ${name}`, async (t) => {
    // Axe is put in by the browser's protocol, past the page's policy.
    const page = await visit(t, '/form', { ...options, bypassCSP: true });
    await page.evaluate(axe);
    const check = async (state) => {
      const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      assert.deepEqual(violations.map((one) => [one.id, one.nodes.map((node) => node.html)]), [], state);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${state}: nothing stands out`);
      if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name.replace(' ', '-')}-${state}.png` });
    };
    await check('offered');
    await page.getByRole('button', { name: 'Start the check' }).click();
    const bubble = page.getByRole('button', { name: 'Bubble 1 of 7' });
    await bubble.waitFor();
    const animation = await bubble.evaluate((element) => getComputedStyle(element).animationName);
    assert.equal(animation, name === 'reduced motion' ? 'none' : 'in');
    await page.waitForFunction(() => document.querySelector('playproof-check').shadowRoot.getAnimations().length === 0);
    assert.ok((await bubble.boundingBox()).width >= 44);
    await check('playing');
    for (let n = 1; n <= 7; n += 1) await page.getByRole('button', { name: `Bubble ${n} of 7` }).click();
    await until(page, 'verified');
    await page.getByText('Done. Thank you.').waitFor();
    await check('done');
  });
}

test('twelve languages fit into 320 px', async (t) => {
  const page = await visit(t, '/form', { viewport: { width: 320, height: 640 } });
  const languages = ['en', 'de', 'fr', 'es', 'it', 'pt-BR', 'nl', 'pl', 'tr', 'ja', 'zh-Hans', 'ar'];
  const texts = new Set();
  for (const language of languages) {
    const [text, fits] = await page.evaluate((lang) => {
      document.documentElement.lang = lang;
      const check = document.querySelector('playproof-check');
      check.reset();
      const start = check.shadowRoot.querySelector('.start');
      const text = start.textContent;
      start.click();
      const box = check.shadowRoot.querySelector('.box');
      const fits = box.scrollWidth <= box.clientWidth + 1 && document.documentElement.scrollWidth <= innerWidth;
      return [`${text} ${box.querySelector('p').textContent} ${box.dir}`, fits];
    }, language);
    assert.ok(fits, language);
    assert.match(text, language === 'ar' ? /rtl$/ : /ltr$/);
    texts.add(text);
  }
  assert.equal(texts.size, 12);
});
