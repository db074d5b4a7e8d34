// The outage of the detector, above every view: why, since when, when it is asked next, what the fallback does, what to do.

import { get } from './api.js';
import { count, fill, h, say, span, when } from './dom.js';

/** Between two questions, milliseconds. */
const EVERY = 10_000;

const place = document.getElementById('outage');
let asking = null;
let ticking = null;
/** When the service was asked last, milliseconds. */
let asked = 0;
let told = null;
let parts = null;

/** Begins to ask; asks at once whenever `outage` is dispatched. */
export function watch() {
  ignore();
  asking = setInterval(ask, EVERY);
  ask();
}

/** Asks no more and shows nothing. */
export function ignore() {
  clearInterval(asking);
  asking = null;
  show(null);
}

const again = () => { if (asking) ask(); };
addEventListener('outage', again);
document.addEventListener('visibilitychange', again);

async function ask() {
  if (document.hidden) return;
  const by = asking;
  asked = Date.now();
  try {
    const { outage } = await get('/api/v1/outage');
    if (by === asking) show(outage);
  } catch {
    // What was told last stays, and is no longer taken for the present.
    place.classList.add('stale');
  }
}

function show(outage) {
  const begins = outage && !told;
  told = outage;
  place.classList.remove('stale');
  place.hidden = !outage;
  if (!outage) {
    clearInterval(ticking);
    fill(place);
    return;
  }
  if (begins) {
    build();
    ticking = setInterval(tick, 1000);
  }
  say(parts.title, `The detector ${outage.detector} is away: ${outage.cause}`);
  say(parts.help, outage.help);
  if (parts.begun !== outage.since) fill(parts.since, when(outage.since));
  parts.begun = outage.since;
  tick();
}

function build() {
  const fact = (name) => {
    const value = h('dd');
    return [value, h('div', {}, h('dt', {}, name), value)];
  };
  const title = h('p', { class: 'title', role: 'alert' });
  const [since, sinceLine] = fact('Since');
  const [probe, probeLine] = fact('Next probe');
  const [fallback, fallbackLine] = fact('Fallback');
  const [waiting, waitingLine] = fact('Waiting');
  const [scored, scoredLine] = fact('Scored by fallback');
  const help = h('p', { class: 'small' });
  parts = { title, since, probe, fallback, waiting, waitingLine, scored, scoredLine, help, begun: null };
  fill(place, title, h('dl', {}, sinceLine, probeLine, fallbackLine, waitingLine, scoredLine), help);
}

/** Tells what changes with the time. */
function tick() {
  const left = (iso) => (Date.parse(iso) - Date.now()) / 1000;
  const { nextProbeAt, fallbackAfterSeconds, fallbackAt, waiting, scoredByFallback } = told;
  // What a probe brought is asked for once it is over.
  if (nextProbeAt !== null && left(nextProbeAt) < -1 && Date.now() - asked > 2000) again();
  say(parts.probe, nextProbeAt === null ? 'none while the scheduler is stopped' : left(nextProbeAt) < 1 ? 'now' : `in ${span(Math.floor(left(nextProbeAt)))}`);
  const fallback = fallbackAfterSeconds === null ? 'none: sessions wait for the detector'
    : fallbackAt === null ? `for sessions that have waited ${span(fallbackAfterSeconds)}`
      : left(fallbackAt) < 1 ? 'scores the oldest sessions now' : `scores the oldest session in ${span(Math.floor(left(fallbackAt)))}`;
  say(parts.fallback, fallback);
  parts.waitingLine.hidden = waiting === null;
  parts.scoredLine.hidden = scoredByFallback === null;
  if (waiting !== null) say(parts.waiting, count(waiting));
  if (scoredByFallback !== null) say(parts.scored, count(scoredByFallback));
}
