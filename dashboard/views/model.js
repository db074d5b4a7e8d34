// Model: how scores lie beside what calibration promises, whether people of every device pass alike, drift, and the versions.

import { Refused, get, path } from '../api.js';
import { bars, chart, colour, line } from '../chart.js';
import { brief, card, count, decision, fill, fixed, h, plural, table, toSession } from '../dom.js';
import { ends, inWords, rate } from '../intervals.js';
import { equity } from './equity.js';
import { versions } from './versions.js';

const LOOKED_AT = 1000;
const STEP = 0.25;
const TOP = 6;
/** Sessions whose two measures are shown. */
const APART = 24;

export async function show(place, { user, onleave }) {
  const [models, results, evaluation] = await Promise.all([
    get('/api/v1/models'),
    get(path('/api/v1/batch/results', { limit: LOOKED_AT })),
    get('/api/v1/evaluation'),
  ]);
  const calibrated = results.results.filter((row) => row.scoreKind === 'calibrated');
  const scores = calibrated.map((row) => row.anomalyScore);
  const apart = await detection(calibrated.filter((row) => row.decision !== 'pass').slice(0, APART));

  const steps = Math.round(TOP / STEP);
  const lows = Array.from({ length: steps }, (_, i) => i * STEP);
  const live = lows.map((low, i) => scores.filter((score) => score >= low && (score < low + STEP || i === steps - 1)).length);
  // Scores of people like those of the calibration are -log10 of numbers spread evenly over 0 to 1.
  const people = lows.map((low, i) => scores.length * (10 ** -low - (i === steps - 1 ? 0 : 10 ** -(low + STEP))));
  const histogram = h('div', { class: 'chart', role: 'img', 'aria-label': 'Histogram of the scores; the numbers are in the table below' });
  const at = Array.from({ length: 31 }, (_, i) => i / 10);
  const exceed = at.map((score) => scores.filter((one) => one >= score).length / Math.max(scores.length, 1));
  const labelled = peopleAbove(evaluation.histogram);
  const curve = h('div', { class: 'chart', role: 'img', 'aria-label': 'Share of sessions above each score, beside the promise; the numbers are in the table below' });

  const numbers = table('Scores in numbers', [
    { head: 'Score from', kind: 'n', cell: ([low]) => low.toFixed(2) }, { head: 'Sessions', kind: 'n', cell: ([, n]) => count(n) },
    { head: 'People would be', kind: 'n', cell: ([, , n]) => brief(n) }, { head: 'At or above', kind: 'n', cell: ([, , , share]) => `${(share * 100).toFixed(1)} %` },
    { head: 'Promised at most', kind: 'n', cell: ([low]) => `${brief(100 * 10 ** -low)} %` },
    { head: 'Labelled people at or above', kind: 'n', cell: ([low]) => { const one = labelled(low); return one.whole ? `${inWords(one)}, ${ends(one)}` : ''; } },
  ]);
  numbers.add(lows.slice(0, 16).map((low, i) => [low, live[i], people[i], scores.filter((one) => one >= low).length / Math.max(scores.length, 1)]));

  const none = (body) => (scores.length ? body : h('p', { class: 'hint' }, 'No calibrated verdicts yet.'));
  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Model')),
    h('div', { class: 'stack' },
      h('div', { class: 'grid two' },
        card('Scores', { hint: `last ${plural(scores.length, 'calibrated verdict')}` }, none([
          h('ul', { class: 'legend' }, h('li', {}, h('i', { class: 'c-1 block' }), 'sessions'), h('li', {}, h('i', { class: 'c-2' }), 'if all were people of the calibration')), histogram])),
        card('Calibration', { hint: 'share of sessions at or above a score' }, none([
          h('ul', { class: 'legend' }, h('li', {}, h('i', { class: 'c-1' }), 'sessions'), h('li', {}, h('i', { class: 'c-2' }), 'people, promised: 10 to the minus score'),
            labelled(0).whole ? h('li', {}, h('i', { class: 'c-pass dotted' }), 'labelled people, with 95 % interval') : null), curve, promiseHeld(labelled)]))),
      versions(models, user, onleave),
      equity(evaluation),
      user.deploymentId ? null : drift(evaluation.drift),
      apart,
      scores.length ? h('details', { class: 'card' }, h('summary', { class: 'foot' }, 'Scores in numbers'), h('div', { class: 'scroll' }, numbers.element)) : null));

  if (scores.length === 0) return;
  const score = { size: 28, space: 40, values: (_, ticks) => ticks.map((n) => brief(n)) };
  onleave(chart(histogram, {
    height: 220, series: [bars('--series-1'), line('--series-2', { paths: uPlot.paths.stepped({ align: 1 }) })], x: score,
    y: { size: 44, space: 34, values: (_, ticks) => ticks.map(count) },
    scales: { x: { time: false, range: [0, TOP] }, y: { range: (_, min, max) => [0, Math.max(4, max * 1.08)] } },
  }, [lows, live, people]).end);
  const log = (share) => (share > 0 ? share : null);
  const own = labelled(0).whole ? at.map(labelled) : at.map(() => null);
  const invisible = { stroke: null, width: 0, points: { show: false } };
  onleave(chart(curve, {
    height: 220, x: score,
    series: [line('--series-1'), line('--series-2', { dash: [5, 4] }), invisible, invisible,
      line('--pass', { dash: [2, 2], points: { show: true, size: 5, fill: () => colour('--pass') } })],
    bands: [{ series: [3, 4], fill: () => `color-mix(in srgb, ${colour('--pass')} 16%, transparent)` }],
    y: { size: 52, splits: () => [0.001, 0.01, 0.1, 1], values: (_, ticks) => ticks.map((n) => `${brief(n * 100)} %`) },
    scales: { x: { time: false, range: [0, 3] }, y: { distr: 3, log: 10, range: [0.001, 1] } },
  }, [at, exceed.map(log), at.map((one) => 10 ** -one), own.map((one) => one && one.interval[1]), own.map((one) => one && Math.max(one.interval[0], 0.001)), own.map((one) => one && log(one.share))]).end);
}

/** The share of labelled people at or above a score, by score. */
function peopleAbove({ people, step }) {
  const all = people.reduce((sum, n) => sum + n, 0);
  return (low) => rate(people.slice(Math.round(low / step)).reduce((sum, n) => sum + n, 0), all);
}

/** Whether labelled people score as high as promised, and no higher, in words. */
function promiseHeld(labelled) {
  if (labelled(0).whole === 0) return h('p', { class: 'hint small' }, 'Nobody is labelled human yet, so nobody knows whether people here score as promised.');
  const say = (score) => {
    const one = labelled(score);
    const promise = 10 ** -score;
    const words = promise < one.interval[0] ? 'more than' : promise > one.interval[1] ? 'fewer than' : 'as far as labels tell, the';
    return `${inWords(one)} (${ends(one)}) at ${score.toFixed(1)} or above: ${words} ${brief(100 * promise)} % promised`;
  };
  return h('p', { class: 'hint small', id: 'promise' }, `Of ${plural(labelled(0).whole, 'labelled person', 'labelled people')}, ${say(1)}; ${say(2)}.`);
}

/** Both measures of the latest sessions that did not pass: how much like bots, how far from people. */
async function detection(rows) {
  const explained = (row) => get(path(`/api/v1/sessions/${encodeURIComponent(row.sessionId)}/explanation`, { deploymentId: row.deploymentId, limit: 1 }))
    .then((answer) => answer.detection && { row, parts: answer.detection })
    // Its telemetry is no longer kept.
    .catch((error) => { if (error instanceof Refused && error.status === 404) return null; throw error; });
  const found = (await Promise.all(rows.map(explained))).filter(Boolean);
  if (found.length === 0) return card('Detection', { id: 'detection' }, h('p', { class: 'hint' }, 'No session of late was reviewed or failed.'));
  const list = table('Detection', [
    { head: 'Session', kind: 'id', span: true, cell: ({ row }) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId) },
    { head: 'Decision', cell: ({ row }) => decision(row.decision) },
    { head: 'Like bots', kind: 'n', cell: ({ parts }) => fixed(parts.classifierScore) },
    { head: 'Unlike people', kind: 'n', cell: ({ parts }) => fixed(parts.supportScore) },
    { head: 'Stricter', cell: ({ parts }) => (parts.classifierScore >= parts.supportScore ? 'classifier' : 'support') },
    { head: 'Recorder known', kind: 'n', cell: ({ parts }) => `${(100 * parts.knownRecorder).toFixed(0)} %` },
  ]);
  list.add(found);
  return card('Detection', { id: 'detection', hint: `both measures of the last ${plural(found.length, 'session')} that did not pass; the stricter one is the score`, body: false },
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Both measures of sessions' }, list.element));
}

/** What to do about the drift, in a sentence. */
function advice({ pValues, features, limit }) {
  const moved = features.filter((row) => row.distance > limit).map((row) => row.feature);
  if (pValues > limit) return ['More sessions look odd than people would. ', h('a', { href: '#/overview' }, 'The overview'), ' tells what changed: where bots came, nothing is to be done; where people look odd, ', h('a', { href: '#/review' }, 'label some of them'), ' and train, or ', h('a', { href: '#/thresholds' }, 'move the cuts'), '.'];
  if (moved.length) return [`Scores are as expected, but movement changed in ${moved.join(', ')}. Nothing is to be done at once; `, h('a', { href: '#/review' }, 'label some people of late'), ', so that the next training knows them.'];
  return ['Nothing is to be done: sessions are like those that the model was made from.'];
}

/** Whether sessions of late are like those that the model was made from. */
function drift(told) {
  if (told === null) return card('Drift', { id: 'drift' }, h('p', { class: 'hint' }, 'Measured once this node has scored 200 sessions since its start.'));
  const say = (distance) => h('span', { class: `tag ${distance > told.limit ? 'review' : 'pass'}` }, distance > told.limit ? 'moved' : 'as expected');
  const list = table('Drift', [
    { head: 'What', cell: (row) => row.feature, kind: 'id', span: true }, { head: 'Distance', kind: 'n', cell: (row) => row.distance.toFixed(3) },
    { head: 'By chance at most', kind: 'n', cell: () => told.limit.toFixed(3) }, { head: 'Finding', cell: (row) => say(row.distance) },
  ]);
  list.add([{ feature: 'share of odd scores', distance: told.pValues }, ...told.features]);
  return card('Drift', { id: 'drift', hint: `last ${plural(told.sessions, 'session')}, bots among them`, body: false },
    h('div', { class: 'body' }, h('p', {}, advice(told))), h('div', { class: 'scroll' }, list.element));
}
