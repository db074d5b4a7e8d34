// The versions of the model and, for admins, their way into service: in their own deployment, or in all.

import { get, post, remove } from '../api.js';
import { card, confirmed, count, decision, fill, fixed, h, notice, plural, table, toSession, when } from '../dom.js';

const STAGES = { active: 'pass', shadow: 'review' };
const DECISIONS = ['pass', 'review', 'fail'];
const of = (row, what) => `/api/v1/models/${encodeURIComponent(row.modelVersion)}/${what}`;
const button = (text, run) => h('button', { type: 'button', class: 'quiet', onclick: run }, text);

const stage = (row) => h('span', { class: `tag ${STAGES[row.stage] ?? 'plain'}` },
  row.stage === 'active' ? 'scores now' : row.ownOf.length ? `scores in ${row.ownOf.join(', ')}` : row.stage);
const origin = ({ learned }) => (learned
  ? [`${learned.base}, ${plural(learned.people, 'labelled person', 'labelled people')} and ${plural(learned.bots, 'labelled bot')}${learned.deploymentId ? ` of ${learned.deploymentId}` : ''}, `, when(learned.createdAt)]
  : 'the settings');
const beside = ({ shadow }) => (shadow ? `${plural(shadow.sessions, 'session')}: ${count(shadow.stricter)} stricter, ${count(shadow.milder)} milder` : '');

/** People and bots of a test's labels, by decision. */
const peopleOf = (told) => ({ pass: told.people - told.peopleFailed - told.peopleReviewed, review: told.peopleReviewed, fail: told.peopleFailed });
const botsOf = (told) => ({ pass: told.botsPassed, review: told.botsReviewed, fail: told.bots - told.botsPassed - told.botsReviewed });

/** A test: decisions before and after, and who would be decided in another way. */
function testShown(answer) {
  const total = (tally) => DECISIONS.reduce((all, name) => all + tally[name], 0);
  const sides = table('Decisions before and after', [
    { head: 'Sessions', kind: 'words', span: true, cell: ([name]) => name },
    { head: 'How many', kind: 'n', cell: ([, before]) => count(total(before)) },
    ...DECISIONS.map((name) => ({ head: `${name}, before → after`, kind: 'n', cell: ([, before, after]) => `${count(before[name])} → ${count(after[name])}` })),
  ]);
  const { active, tested, stored, lastDay } = answer;
  sides.add([
    ['Labelled people it has not learned from', peopleOf(active), peopleOf(tested)],
    ['Labelled bots it has not learned from', botsOf(active), botsOf(tested)],
    ['Stored sessions of the last day', lastDay.before, lastDay.after],
    ['All stored sessions that were tested', stored.before, stored.after],
  ]);
  const moves = table('Sessions that would be decided in another way', [
    { head: 'From', kind: 'bare', cell: (row) => decision(row.from) }, { head: 'To', kind: 'bare', cell: (row) => decision(row.to) },
    { head: 'Sessions', kind: 'n', cell: (row) => count(row.count) },
    { head: 'The latest of them, score before → after', kind: 'words', span: true, cell: (row) => row.examples.map((one, i) => [i ? ', ' : '',
      h('a', { href: toSession(one.sessionId, one.deploymentId) }, one.sessionId), ` (${fixed(one.scoreBefore)} → ${fixed(one.scoreAfter)})`]) },
  ]);
  moves.add(answer.moves);
  return [
    h('div', { class: 'body' }, h('h3', {}, `Version ${answer.modelVersion} in place of the active one`),
      h('p', {}, `${plural(answer.flips, 'session')} of ${count(answer.sessions)} stored would be decided in another way. Nothing was changed.`),
      active.people + active.bots === 0 ? h('p', { class: 'hint small' }, 'There are no labelled sessions that it has not learned from.') : null),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Decisions before and after' }, sides.element),
    answer.moves.length ? h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Who would be decided in another way' }, moves.element) : null];
}

export function versions(told, user, onleave) {
  const operates = user.role === 'admin';
  const ofAll = operates && !user.deploymentId;
  const place = h('div', { class: 'scroll', id: 'versions', tabindex: '0', role: 'region', 'aria-label': 'Versions of the model' });
  const status = h('p', { class: 'hint', 'aria-live': 'polite' });
  const tested = h('div', { id: 'tested', 'aria-live': 'polite' });
  let timer = null;
  onleave(() => clearTimeout(timer));
  const act = (run, words) => async () => {
    try {
      const answer = await run();
      if (words) notice(words);
      await load();
      return answer;
    } catch (error) { notice(error.message); return null; }
  };

  const test = (row) => act(async () => { fill(tested, testShown(await post(of(row, 'backtest')))); });
  const promote = (row) => async () => {
    if (await confirmed(`Let ${row.modelVersion} score?`, 'New sessions are scored by it on every node. It is refused where it is worse than the active one on labelled sessions that it has not learned from.', 'Promote')) await act(() => post(of(row, 'promote')), 'It scores now.')();
  };
  const shadow = (row) => (row.stage === 'shadow'
    ? button('End shadow', act(() => remove(of(row, 'shadow')), 'It no longer scores beside.'))
    : button('Shadow', act(() => post(of(row, 'shadow')), 'It scores beside the active one.')));
  const actions = (row) => (row.active ? [] : [button('Test', test(row)), ofAll ? shadow(row) : null, button('Promote', promote(row))]);
  const train = h('button', { type: 'button', onclick: act(() => post('/api/v1/models/train'), null) }, 'Train on labels');
  const back = h('button', { type: 'button', onclick: async () => {
    if (await confirmed('Roll back?', 'The model that was active before scores again, on every node.', 'Roll back')) await act(() => post('/api/v1/models/rollback'), 'The model before scores again.')();
  } }, 'Roll back');

  function shown(answer) {
    const made = table('Versions of the model', [
      { head: 'Version', kind: 'words', cell: (row) => h('span', { class: 'code' }, row.modelVersion) },
      { head: 'Stage', kind: 'bare', cell: stage },
      { head: 'Made of', kind: 'words', cell: origin },
      { head: 'As shadow', cell: beside },
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
