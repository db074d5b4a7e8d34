// Plays each tool against a node, and reads back what the node decided first and in the end.
import { ANALYST, startNode } from '../node.mjs';
import { launch, startSite } from '../site.mjs';
import curved from './curved.mjs';
import { addGame } from './game.mjs';
import { addRecorder, replay, submit } from './people.mjs';
import { seeded } from './random.mjs';
import scripted from './scripted.mjs';
import straight from './straight.mjs';
import webdriver, { startWebDriver } from './webdriver.mjs';
import x11, { startScreen } from './x11.mjs';

export const TOOLS = [...straight, ...curved, ...scripted, ...webdriver, ...x11];
/** Names of the tools that draw a path which is neither straight nor even; the others jump or go straight. */
export const DRAWN = new Set([...curved, ...[...scripted, ...webdriver, ...x11].filter((tool) => tool.draws)].map(({ name }) => name));
/** A batch runs as soon as something waits, and holds what came until then. */
const SETTINGS = { PLAYPROOF_SCHEDULER_INTERVAL: '1s', PLAYPROOF_SCHEDULER_MAX_WAIT: '1s' };

/** A node, a site that shows its widget, and a Chromium to visit it. */
export async function startPlaces() {
  const node = await startNode(SETTINGS);
  const site = await startSite(node.url);
  addGame(site);
  addRecorder(site);
  const browser = await launch();
  return { node, site, browser, async close() { await browser.close(); await site.close(); await node.close(); } };
}

/** What the node says of a session when its batch is through. */
export async function decided(node, sessionId) {
  const limit = Date.now() + 60_000;
  for (;;) {
    const response = await fetch(`${node.url}/api/v1/batch/result/${sessionId}?wait=30s`, { headers: { authorization: `Bearer ${ANALYST}` } });
    const answer = await response.json();
    if (answer.status === 'processed') return { sessionId, first: answer.first, result: answer.result, session: node.sessions.get(sessionId)?.session };
    if (answer.status === 'failed' || Date.now() > limit) throw new Error(`no verdict on ${sessionId}: ${JSON.stringify(answer)}`);
  }
}

/** Runs the jobs, at most `width` at a time. */
export async function inLanes(jobs, width) {
  const results = [];
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < jobs.length) {
      const place = next;
      next += 1;
      results[place] = await jobs[place]();
    }
  }));
  return results;
}

/** Each tool `plays` times; the rows by tool, and the names of tools that are left out because a program is missing. */
export async function playTools(places, { plays, tabs, seed, only = () => true }) {
  const tools = TOOLS.filter(only);
  const needs = (what) => tools.some((tool) => tool.needs === what);
  const [driver, screen] = await Promise.all([needs('webdriver') ? startWebDriver() : null, needs('screen') ? startScreen() : null]);
  const has = { webdriver: driver, screen };
  const here = tools.filter((tool) => !tool.needs || has[tool.needs]);
  const all = { ...places, webdriver: driver, screen };
  const rows = new Map(here.map((tool) => [tool.name, []]));
  // One play of each tool after the other, so that a busy minute of the machine falls on all of them.
  const jobs = (which) => Array.from({ length: plays }, (_, n) => here.filter((tool) => tool.needs === which).map((tool) => async () => {
    const sessionId = await tool.play(all, seeded(seed + 1000 * n + TOOLS.indexOf(tool))).catch((error) => { throw new Error(`${tool.name}: ${error.message}`, { cause: error }); });
    rows.get(tool.name).push({ sessionId });
  })).flat();
  try {
    // A driver has one browser and a screen has one pointer.
    await Promise.all([inLanes(jobs(undefined), tabs), inLanes(jobs('webdriver'), 1), inLanes(jobs('screen'), 1)]);
  } finally {
    await Promise.all([driver?.close(), screen?.close()]);
  }
  for (const [name, played] of rows) rows.set(name, await Promise.all(played.map(({ sessionId }) => decided(places.node, sessionId))));
  return { rows, leftOut: tools.filter((tool) => !here.includes(tool)).map((tool) => tool.name) };
}

/** The same recordings through a browser and to a node of their own, as they are; pairs of what was decided. */
export async function playPeople(places, recordings, tabs) {
  const plain = await startNode(SETTINGS);
  try {
    const ids = await inLanes(recordings.map(({ session }) => () => replay(places, session)), tabs);
    const direct = [];
    for (const { session } of recordings) direct.push(await submit(plain, session));
    return await Promise.all(recordings.map(async ({ source, session }, i) => ({
      source, session, through: await decided(places.node, ids[i]), direct: await decided(plain, direct[i]),
    })));
  } finally {
    await plain.close();
  }
}
