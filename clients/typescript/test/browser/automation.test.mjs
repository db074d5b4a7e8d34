// The tools of automation/ in short: few plays of each, in a real Chromium, against a real node. `npm run automation` measures
// them and holds the bound of each tool; so few plays cannot tell 5 from 15 % of one tool. What is held here:
//
// - Of all plays together, 40 where every program is installed, at most six pass. At the measured rates 1.4 are expected, and one
//   run in about a thousand has more.
// - A tool without a path of movements, or with events that no browser made, never passes.
// - People's recordings pass through the browser as they do without it: of four at most one gets another decision.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { people } from './automation/people.mjs';
import { TOOLS, playPeople, playTools, startPlaces } from './automation/play.mjs';
import { final, first, table } from './automation/table.mjs';

const PLAYS = 2;
const MOST = 6;
const PATHLESS = ['CDP click (puppeteer)', 'CDP click with delays', 'playwright locator.click()', 'dispatchEvent, no path', 'element.click(), no movement', 'chromedriver element click', 'xdotool mousemove, click'];
let places;

before(async () => { places = await startPlaces(); });
after(async () => { await places.close(); });

test('public tools do not pass', { timeout: 180_000 }, async () => {
  const { rows, leftOut } = await playTools(places, { plays: PLAYS, tabs: 5, seed: 7 });
  console.log(table(rows).replace(/^/gm, '# '));
  for (const name of leftOut) console.log(`# left out, its program is not installed: ${name}`);
  assert.ok(PATHLESS.every((name) => TOOLS.some((tool) => tool.name === name)));
  const all = [...rows].flatMap(([name, played]) => played.map((row) => ({ name, decision: final(row), atFirst: first(row) })));
  assert.equal(all.length, PLAYS * (TOOLS.length - leftOut.length));
  const passed = all.filter(({ decision }) => decision === 'pass').map(({ name }) => name);
  assert.ok(passed.length <= MOST, `${passed.length} of ${all.length} pass: ${passed}`);
  assert.deepEqual(all.filter(({ name, decision, atFirst }) => PATHLESS.includes(name) && [decision, atFirst].includes('pass')), []);
});

test('people pass through the browser as without it', { timeout: 120_000 }, async () => {
  const pairs = await playPeople(places, await people(places.browser, places.site, 4), 4);
  const other = pairs.filter(({ through, direct }) => final(through) !== final(direct));
  assert.equal(pairs.length, 4);
  assert.ok(other.length <= 1, other.map(({ session, through, direct }) => `${session.sessionId}: ${final(through)} through the browser, ${final(direct)} as recorded`).join());
  assert.ok(pairs.filter(({ direct }) => final(direct) === 'pass').length >= 3);
});
