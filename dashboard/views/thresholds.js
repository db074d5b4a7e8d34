// Thresholds: which hold, what others would change among the stored sessions, and applying them.

import { get, path, post, remove } from '../api.js';
import { card, confirmed, count, decision, fill, fixed, h, notice, plural, table, toSession, when } from '../dom.js';

const PAUSE = 250;
const rate = (score) => `${new Intl.NumberFormat('en', { maximumSignificantDigits: 2 }).format(100 * 10 ** -score)} % of people like those of the calibration score higher`;

/** A slider and a field that say the same. */
function cut(name, title, value, changed) {
  const slider = h('input', { type: 'range', min: 0, max: 6, step: 0.05, value, 'aria-label': `${title}, slider` });
  const field = h('input', { type: 'number', id: name, name, min: 0, max: 6, step: 0.01, value });
  const meaning = h('p', { class: 'hint small' }, rate(value));
  const take = (from, to) => from.addEventListener('input', () => {
    to.value = from.value;
    meaning.textContent = rate(Number(from.value));
    changed();
  });
  take(slider, field);
  take(field, slider);
  return {
    element: h('div', { class: 'cut' }, h('label', { for: name }, title), h('div', { class: 'row' }, slider, field), meaning),
    read: () => Number(field.value),
    set: (to) => { slider.value = to; field.value = to; meaning.textContent = rate(to); },
  };
}

export async function show(place, { user, onleave }) {
  // Analysts try; who applies is an admin.
  const applies = user.role === 'admin';
  let held = await get('/api/v1/thresholds');
  const whose = h('input', { type: 'text', id: 'whose', name: 'deployment', maxlength: 256, autocomplete: 'off', value: user.deploymentId ?? '', disabled: Boolean(user.deploymentId), placeholder: 'all without their own' });
  const told = h('div', { 'aria-live': 'polite' });
  const holds = h('p', { class: 'hint' });
  let turn = 0;
  let timer = null;
  onleave(() => clearTimeout(timer));

  const later = () => { clearTimeout(timer); timer = setTimeout(simulate, PAUSE); };
  const of = (name) => held.deployments.find((one) => one.deploymentId === name) ?? held;
  const pass = cut('pass', 'Passes up to', of(whose.value).pass, later);
  const review = cut('review', 'Is reviewed up to, fails above', of(whose.value).review, later);
  const asked = () => ({ pass: pass.read(), review: review.read(), ...(whose.value ? { deploymentId: whose.value } : {}) });
  const apply = h('button', { type: 'button', class: 'main' }, 'Apply');
  const back = h('button', { type: 'button' }, 'Take back');

  function state() {
    const now = of(whose.value);
    const own = held.deployments.some((one) => one.deploymentId === whose.value);
    fill(holds, `Now ${fixed(now.pass)} and ${fixed(now.review)}, `, now.origin === 'setting' ? 'as the settings say.' : ['applied ', when(now.appliedAt), '.']);
    back.disabled = whose.value ? !own : held.origin === 'setting';
  }

  function shown(answer, verb) {
    const before = (name) => `${count(answer.before[name])} → ${count(answer.after[name])}`;
    const moves = table('Sessions whose decision changes', [
      { head: 'From', kind: 'bare', cell: (row) => decision(row.from) }, { head: 'To', kind: 'bare', cell: (row) => decision(row.to) },
      { head: 'Sessions', kind: 'n', cell: (row) => count(row.count) },
      { head: 'The latest of them', kind: 'words', span: true, cell: (row) => row.examples.slice(0, 5).map((one, i) => [i ? ', ' : '', h('a', { href: toSession(one.sessionId, one.deploymentId) }, one.sessionId), one.anomalyScore === null ? '' : ` (${fixed(one.anomalyScore)})`]) },
    ]);
    moves.add(answer.moves);
    const share = answer.sessions ? (100 * answer.flips) / answer.sessions : 0;
    fill(told,
      h('p', { class: 'plain' }, answer.sessions === 0 ? 'There are no results yet.' : `${plural(answer.flips, 'session')} of ${count(answer.sessions)} (${share.toFixed(1)} %) ${verb}.`),
      h('dl', { class: 'facts' }, h('dt', {}, 'Pass'), h('dd', {}, before('pass')), h('dt', {}, 'Review'), h('dd', {}, before('review')), h('dt', {}, 'Fail'), h('dd', {}, before('fail'))),
      answer.labelled ? h('p', { class: 'hint small' }, `${plural(answer.labelled, 'session')} with a label keep theirs.`) : null,
      answer.undecidable ? h('p', { class: 'hint small' }, `${plural(answer.undecidable, 'result')} of an earlier version cannot be decided anew.`) : null,
      answer.moves.length ? h('div', { class: 'scroll' }, moves.element) : null);
  }

  async function simulate() {
    const mine = ++turn;
    const body = asked();
    if (!(body.pass < body.review)) {
      fill(told, h('p', { class: 'error' }, 'The second cut must be larger than the first.'));
      apply.disabled = true;
      return;
    }
    try {
      const answer = await post('/api/v1/thresholds/simulate', body);
      if (mine !== turn) return;
      shown(answer, answer.flips === 1 ? 'would change its decision' : 'would change their decision');
      apply.disabled = false;
    } catch (error) {
      if (mine !== turn) return;
      fill(told, h('p', { class: 'error' }, error.message));
      apply.disabled = true;
    }
  }

  async function change(run, verb) {
    clearTimeout(timer);
    turn += 1;
    try {
      const answer = await run();
      held = await get('/api/v1/thresholds');
      pass.set(answer.pass);
      review.set(answer.review);
      state();
      shown(answer, answer.flips === 1 ? 'changed its decision' : 'changed their decision');
      notice(verb);
    } catch (error) {
      fill(told, h('p', { class: 'error' }, error.message));
    }
  }

  apply.addEventListener('click', async () => {
    const text = 'New sessions are decided by them at once, on every node, and those stored are decided anew. Each change is kept in the session’s history.';
    if (await confirmed('Apply these thresholds?', text, 'Apply thresholds')) await change(() => post('/api/v1/thresholds', asked()), 'The thresholds hold.');
  });
  back.addEventListener('click', async () => {
    const text = 'Those that held before hold again, and the stored sessions are decided anew.';
    if (await confirmed('Take these thresholds back?', text, 'Take thresholds back')) await change(() => remove(path('/api/v1/thresholds', { deploymentId: whose.value })), 'The thresholds are taken back.');
  });
  whose.addEventListener('change', () => {
    pass.set(of(whose.value).pass);
    review.set(of(whose.value).review);
    state();
    simulate();
  });

  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Thresholds')),
    h('div', { class: 'grid two' },
      card('Try', { hint: 'nothing changes until it is applied' },
        h('div', { class: 'stack' }, h('div', { class: 'cut' }, h('label', { for: 'whose' }, 'Deployment'), whose), pass.element, review.element, holds,
          applies ? h('div', { class: 'row' }, apply, back) : h('p', { class: 'hint small' }, 'Applying them needs an admin key.'))),
      card('Among the stored sessions', {}, told)));
  state();
  await simulate();
}
