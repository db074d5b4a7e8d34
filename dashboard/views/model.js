// Model: how the scores of late lie beside what calibration promises, drift, and the versions.

import { get, path } from '../api.js';
import { bars, chart, line } from '../chart.js';
import { brief, card, count, fill, h, plural, table } from '../dom.js';

const LOOKED_AT = 1000;
const STEP = 0.25;
const TOP = 6;

export async function show(place, { user, onleave }) {
  const [models, results, stats] = await Promise.all([
    get('/api/v1/models'),
    get(path('/api/v1/batch/results', { limit: LOOKED_AT })),
    // The drift concerns every deployment.
    user.deploymentId ? null : get('/api/v1/batch/stats'),
  ]);
  const scores = results.results.filter((row) => row.scoreKind === 'calibrated').map((row) => row.anomalyScore);
  const versions = table('Versions of the model', [
    { head: 'Model', cell: (row) => row.modelId }, { head: 'Version', cell: (row) => h('span', { class: 'code' }, row.modelVersion) },
    { head: 'Source', cell: (row) => row.source },
    { head: 'State', kind: 'bare', cell: (row) => h('span', { class: `tag ${row.active ? 'pass' : 'plain'}` }, row.active ? 'scores now' : 'kept') },
  ]);
  versions.add(models.models);

  const steps = Math.round(TOP / STEP);
  const lows = Array.from({ length: steps }, (_, i) => i * STEP);
  const live = lows.map((low, i) => scores.filter((score) => score >= low && (score < low + STEP || i === steps - 1)).length);
  // Scores of people like those of the calibration are -log10 of numbers spread evenly over 0 to 1.
  const people = lows.map((low, i) => scores.length * (10 ** -low - (i === steps - 1 ? 0 : 10 ** -(low + STEP))));
  const histogram = h('div', { class: 'chart', role: 'img', 'aria-label': 'Histogram of the scores; the numbers are in the table below' });
  const at = Array.from({ length: 31 }, (_, i) => i / 10);
  const exceed = at.map((score) => scores.filter((one) => one >= score).length / Math.max(scores.length, 1));
  const curve = h('div', { class: 'chart', role: 'img', 'aria-label': 'Share of sessions above each score, beside the promise; the numbers are in the table below' });

  const numbers = table('Scores in numbers', [
    { head: 'Score from', kind: 'n', cell: ([low]) => low.toFixed(2) }, { head: 'Sessions', kind: 'n', cell: ([, n]) => count(n) },
    { head: 'People would be', kind: 'n', cell: ([, , n]) => brief(n) }, { head: 'At or above', kind: 'n', cell: ([, , , share]) => `${(share * 100).toFixed(1)} %` },
    { head: 'Promised at most', kind: 'n', cell: ([low]) => `${brief(100 * 10 ** -low)} %` },
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
          h('ul', { class: 'legend' }, h('li', {}, h('i', { class: 'c-1' }), 'sessions'), h('li', {}, h('i', { class: 'c-2' }), 'people, promised: 10 to the minus score')), curve]))),
      h('div', { class: 'grid two' }, drift(stats), card('Versions', { body: false }, h('div', { class: 'scroll' }, versions.element))),
      scores.length ? h('details', { class: 'card' }, h('summary', { class: 'foot' }, 'Scores in numbers'), h('div', { class: 'scroll' }, numbers.element)) : null));

  if (scores.length === 0) return;
  const score = { size: 28, space: 40, values: (_, ticks) => ticks.map((n) => brief(n)) };
  onleave(chart(histogram, {
    height: 220, series: [bars('--series-1'), line('--series-2', { paths: uPlot.paths.stepped({ align: 1 }) })], x: score,
    y: { size: 44, space: 34, values: (_, ticks) => ticks.map(count) },
    scales: { x: { time: false, range: [0, TOP] }, y: { range: (_, min, max) => [0, Math.max(4, max * 1.08)] } },
  }, [lows, live, people]).end);
  const log = (share) => (share > 0 ? share : null);
  onleave(chart(curve, {
    height: 220, series: [line('--series-1'), line('--series-2', { dash: [5, 4] })], x: score,
    y: { size: 52, splits: () => [0.001, 0.01, 0.1, 1], values: (_, ticks) => ticks.map((n) => `${brief(n * 100)} %`) },
    scales: { x: { time: false, range: [0, 3] }, y: { distr: 3, log: 10, range: [0.001, 1] } },
  }, [at, exceed.map(log), at.map((one) => 10 ** -one)]).end);
}

function drift(stats) {
  if (stats === null) return null;
  const { drift: told } = stats;
  if (told === null) return card('Drift', {}, h('p', { class: 'hint' }, 'Measured once this node has scored 200 sessions since its start.'));
  const say = (distance) => h('span', { class: `tag ${distance > told.limit ? 'review' : 'pass'}` }, distance > told.limit ? 'moved' : 'as expected');
  const list = table('Drift', [
    { head: 'What', cell: (row) => row.feature, kind: 'id', span: true }, { head: 'Distance', kind: 'n', cell: (row) => row.distance.toFixed(3) },
    { head: 'By chance at most', kind: 'n', cell: () => told.limit.toFixed(3) }, { head: '', cell: (row) => say(row.distance) },
  ]);
  list.add([{ feature: 'share of odd scores', distance: told.pValues }, ...told.features]);
  return card('Drift', { hint: `last ${plural(told.sessions, 'session')}, bots among them`, body: false }, h('div', { class: 'scroll' }, list.element));
}
