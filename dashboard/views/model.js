// Model: how the scores of late lie beside what calibration promises, drift, and the versions.

import { Refused, get, path, post, remove } from '../api.js';
import { bars, chart, line } from '../chart.js';
import { brief, card, confirmed, count, decision, fill, fixed, h, notice, plural, table, toSession, when } from '../dom.js';

const LOOKED_AT = 1000;
const STEP = 0.25;
const TOP = 6;
/** Sessions whose two measures are shown. */
const APART = 24;

export async function show(place, { user, onleave }) {
  const [models, results, stats] = await Promise.all([
    get('/api/v1/models'),
    get(path('/api/v1/batch/results', { limit: LOOKED_AT })),
    // The drift concerns every deployment.
    user.deploymentId ? null : get('/api/v1/batch/stats'),
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
      h('div', { class: 'grid two' }, drift(stats), versions(models, user, onleave)),
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
  onleave(chart(curve, {
    height: 220, series: [line('--series-1'), line('--series-2', { dash: [5, 4] })], x: score,
    y: { size: 52, splits: () => [0.001, 0.01, 0.1, 1], values: (_, ticks) => ticks.map((n) => `${brief(n * 100)} %`) },
    scales: { x: { time: false, range: [0, 3] }, y: { distr: 3, log: 10, range: [0.001, 1] } },
  }, [at, exceed.map(log), at.map((one) => 10 ** -one)]).end);
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
    { head: 'Session', kind: 'id', span: true, cell: ({ row }) => toSession(row.sessionId, row.deploymentId) },
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

/** The versions, and for admins their way into service: in their own deployment, or in all. */
function versions(told, user, onleave) {
  const operates = user.role === 'admin';
  const ofAll = operates && !user.deploymentId;
  const place = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Versions of the model' });
  const status = h('p', { class: 'hint', 'aria-live': 'polite' });
  const tested = h('div', { 'aria-live': 'polite' });
  let timer = null;
  onleave(() => clearTimeout(timer));
  const of = (row, what) => `/api/v1/models/${encodeURIComponent(row.modelVersion)}/${what}`;
  const act = (run, words) => async () => {
    try {
      const answer = await run();
      if (words) notice(words);
      await load();
      return answer;
    } catch (error) { notice(error.message); return null; }
  };
  const button = (text, run) => h('button', { type: 'button', class: 'quiet', onclick: run }, text);
  const wrong = (errors) => `fails ${count(errors.peopleFailed)} of ${count(errors.people)} people, passes ${count(errors.botsPassed)} of ${count(errors.bots)} bots`;

  const test = (row) => act(async () => {
    const answer = await post(of(row, 'backtest'));
    const moves = answer.moves.map((move) => `${count(move.count)} from ${move.from} to ${move.to}`).join(', ');
    fill(tested, h('div', { class: 'body' }, h('h2', {}, `Version ${answer.modelVersion} on what is stored`),
      h('p', { class: 'plain' }, `${plural(answer.flips, 'session')} of ${count(answer.sessions)} would be decided in another way${moves ? `: ${moves}` : ''}.`),
      answer.tested.people + answer.tested.bots === 0 ? h('p', { class: 'hint' }, 'There are no labelled sessions that it has not learned from.')
        : h('dl', { class: 'facts' }, h('dt', {}, 'On labels, this one'), h('dd', {}, wrong(answer.tested)), h('dt', {}, 'The active one'), h('dd', {}, wrong(answer.active)))));
  });
  const promote = (row) => async () => {
    if (await confirmed(`Let ${row.modelVersion} score?`, 'New sessions are scored by it on every node. It is refused where it is worse than the active one on labelled sessions that it has not learned from.', 'Promote')) await act(() => post(of(row, 'promote')), 'It scores now.')();
  };
  const actions = (row) => [
    row.active ? null : button('Test', test(row)),
    row.active || !ofAll ? null : row.stage === 'shadow' ? button('End shadow', act(() => remove(of(row, 'shadow')), 'It no longer scores beside.')) : button('Shadow', act(() => post(of(row, 'shadow')), 'It scores beside the active one.')),
    row.active ? null : button('Promote', promote(row))];
  const train = h('button', { type: 'button', onclick: act(() => post('/api/v1/models/train'), null) }, 'Train on labels');
  const back = h('button', { type: 'button', onclick: async () => {
    if (await confirmed('Roll back?', 'The model that was active before scores again, on every node.', 'Roll back')) await act(() => post('/api/v1/models/rollback'), 'The model before scores again.')();
  } }, 'Roll back');

  function shown(answer) {
    const made = table('Versions of the model', [
      { head: 'Version', cell: (row) => h('span', { class: 'code' }, row.modelVersion) },
      { head: 'Stage', kind: 'bare', cell: (row) => h('span', { class: `tag ${{ active: 'pass', shadow: 'review' }[row.stage] ?? 'plain'}` }, row.stage === 'active' ? 'scores now' : row.ownOf.length ? `scores in ${row.ownOf.join(', ')}` : row.stage) },
      { head: 'Made of', kind: 'words', cell: (row) => (row.learned ? [`${row.learned.base}, ${plural(row.learned.people, 'labelled person', 'labelled people')} and ${plural(row.learned.bots, 'labelled bot')}${row.learned.deploymentId ? ` of ${row.learned.deploymentId}` : ''}, `, when(row.learned.createdAt)] : 'the settings') },
      { head: 'As shadow', kind: 'words', cell: (row) => (row.shadow ? `${plural(row.shadow.sessions, 'session')}: ${count(row.shadow.stricter)} stricter, ${count(row.shadow.milder)} milder` : '') },
      ...(operates ? [{ head: 'Actions', span: true, cell: actions }] : []),
    ]);
    made.add(answer.models);
    fill(place, made.element);
    const { state, message, modelVersion } = answer.training;
    status.textContent = { running: 'A model is being trained.', done: `The training made version ${modelVersion}.`, failed: `The training made no model: ${message}` }[state] ?? '';
    train.disabled = state === 'running';
    back.disabled = !answer.canRollBack;
    clearTimeout(timer);
    if (state === 'running') timer = setTimeout(() => load().catch((error) => notice(error.message)), 1000);
  }
  const load = async () => shown(await get('/api/v1/models'));
  shown(told);
  return card('Versions', { body: false }, operates ? h('div', { class: 'body' }, h('div', { class: 'row' }, train, back), status) : null, place, tested);
}
