// `npm run automation`: every tool plays the widget's game, people's recordings are replayed, and the table is printed.
// PLAYS=20 of each tool, PEOPLE=100 recordings, PLAYPROOF_DATA=FOLDER with devtest, TOOLS=PATTERN for some tools alone,
// AUTOMATION_OUT=FILE for every decision with its session as NDJSON. Ends with 1 when a tool passes more often than MOST_PASS,
// or people's share of passes through the browser is more than MOST_APART from that of the same recordings as they are.
import { writeFileSync } from 'node:fs';
import { people } from './people.mjs';
import { playPeople, playTools, startPlaces } from './play.mjs';
import { counts, final, first, table } from './table.mjs';

const MOST_PASS = 0.1;
const MOST_APART = 0.03;
const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const tabs = number('TABS', 3);
const pattern = new RegExp(process.env.TOOLS ?? '', 'i');
const out = [];

/** What `work` makes of places of its own: no recording is compared with what a tool did. */
async function at(work) {
  const places = await startPlaces();
  try {
    return await work(places);
  } finally {
    await places.close();
  }
}

const { rows, leftOut } = await at((places) => playTools(places, { plays: number('PLAYS', 20), tabs, seed: number('SEED', 1), only: ({ name }) => pattern.test(name) }));
for (const [tool, played] of rows) for (const row of played) out.push({ tool, ...row });
const pairs = await at(async (places) => playPeople(places, await people(places.browser, places.site, number('PEOPLE', 100)), tabs));
const faults = [...rows].filter(([, played]) => counts(played, final)[0] > MOST_PASS * played.length).map(([name]) => `${name} passes above ${100 * MOST_PASS} %`);
for (const source of new Set(pairs.map((pair) => pair.source))) {
  const of = pairs.filter((pair) => pair.source === source);
  rows.set(`people (${source}), replayed`, of.map((pair) => pair.through));
  rows.set(`people (${source}), as recorded`, of.map((pair) => pair.direct));
}
for (const { source, session, through, direct } of pairs) out.push({ tool: 'people', source, recording: session.sessionId, through, direct });

console.log(table(rows));
for (const name of leftOut) console.log(`left out, its program is not installed: ${name}`);
if (pairs.length) {
  const share = (of) => counts(pairs, of)[0] / pairs.length;
  const shares = [(pair) => final(pair.through), (pair) => final(pair.direct), (pair) => first(pair.through), (pair) => first(pair.direct)].map(share);
  const [through, direct, ...atFirst] = shares.map((part) => `${(100 * part).toFixed(1)} %`);
  const other = pairs.filter((pair) => final(pair.through) !== final(pair.direct)).length;
  console.log(`people: ${through} pass through the browser and ${direct} as recorded (at first ${atFirst.join(' and ')}); ${other} of ${pairs.length} get another decision`);
  if (Math.abs(shares[0] - shares[1]) > MOST_APART) faults.push(`people through the browser are more than ${100 * MOST_APART} points apart`);
}
for (const fault of faults) console.log(fault);
if (process.env.AUTOMATION_OUT) writeFileSync(process.env.AUTOMATION_OUT, out.map((row) => `${JSON.stringify(row)}\n`).join(''));
process.exitCode = faults.length ? 1 : 0;
