// Thresholds: which hold, what others would do to labelled sessions and change among the stored ones, and applying them.

import { get, path, post, remove } from '../api.js';
import { cuts } from '../cuts.js';
import { brief, card, confirmed, count, decision, fill, fixed, h, notice, plural, table, toSession, when } from '../dom.js';
import { ends, inWords } from '../intervals.js';
import { isExact, outcomes, promised } from '../outcomes.js';

const PAUSE = 250;
/** Sessions that a try looks at, those that were accepted last; applying decides all anew. */
const LATEST = 20000;
const TITLES = { pass: 'Passes up to', review: 'Is reviewed up to, fails above' };
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

  const later = () => { drawn(); clearTimeout(timer); timer = setTimeout(simulate, PAUSE); };
  const of = (name) => held.deployments.find((one) => one.deploymentId === name) ?? held;
  const pass = cut('pass', TITLES.pass, of(whose.value).pass, later);
  const review = cut('review', TITLES.review, of(whose.value).review, later);
  const done = h('div', { class: 'stack', id: 'outcomes' });
  const numbers = h('div', { class: 'scroll bleed', tabindex: '0', role: 'region', 'aria-label': 'Scores in numbers' });
  const picture = cuts({ titles: TITLES, moved: (name, to) => { (name === 'pass' ? pass : review).set(to); later(); } });
  onleave(picture.end);
  let known = null;
  let asking = 0;

  /** The picture and the numbers below it, for the cuts as they are now. */
  function drawn() {
    const [first, second] = [pass.read(), review.read()];
    picture.set(first, second);
    if (known) fill(done, consequences(known, first, second));
  }

  /** Labels and scores of the deployment that is looked at. */
  async function evaluate() {
    const mine = ++asking;
    const told = await get(path('/api/v1/evaluation', { deploymentId: whose.value }));
    if (mine !== asking) return;
    known = told.histogram;
    picture.show(known);
    fill(numbers, inNumbers(known));
    drawn();
  }
  const asked = () => ({ pass: pass.read(), review: review.read(), ...(whose.value ? { deploymentId: whose.value } : {}) });
  const apply = h('button', { type: 'button', class: 'main' }, 'Apply');
  const back = h('button', { type: 'button' }, 'Revert');

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
      const answer = await post(`/api/v1/thresholds/simulate?latest=${LATEST}`, body);
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
      drawn();
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
    if (await confirmed('Revert these thresholds?', text, 'Revert thresholds')) await change(() => remove(path('/api/v1/thresholds', { deploymentId: whose.value })), 'The thresholds are reverted.');
  });
  whose.addEventListener('change', () => {
    pass.set(of(whose.value).pass);
    review.set(of(whose.value).review);
    state();
    drawn();
    simulate();
    evaluate().catch((error) => notice(error.message));
  });

  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Thresholds')),
    h('div', { class: 'stack' },
      card('Scores and cuts', { hint: 'drag a cut, or move it by arrow keys' },
        picture.element,
        h('details', {}, h('summary', {}, 'Scores in numbers'), numbers)),
      h('div', { class: 'grid two' },
        card('Try', { hint: 'nothing changes until it is applied' },
          h('div', { class: 'stack' }, h('div', { class: 'cut' }, h('label', { for: 'whose' }, 'Deployment'), whose), pass.element, review.element, holds,
            applies ? h('div', { class: 'row' }, apply, back) : h('p', { class: 'hint small' }, 'Applying them needs an admin key.'))),
        card('Among labelled sessions', { id: 'by-labels', hint: 'by score alone' }, done)),
      card('Among the stored sessions', { hint: `a try looks at the last ${count(LATEST)} accepted` }, told)));
  state();
  await Promise.all([simulate(), evaluate()]);
}

/** Precision, recall and the people that are reviewed, at two cuts. */
function consequences(histogram, first, second) {
  if (!(first < second)) return h('p', { class: 'hint' }, 'The second cut must be larger than the first.');
  const told = outcomes(histogram, first, second);
  const list = table('What the cuts do to labelled sessions', [
    { head: 'Measure', kind: 'words', span: true, cell: ([name]) => name },
    { head: 'Share', kind: 'n', cell: ([, rate]) => inWords(rate) },
    { head: '95 % interval', kind: 'n', cell: ([, rate]) => ends(rate) },
    { head: 'Counted', kind: 'n', cell: ([, { part, whole }]) => (whole ? `${count(part)} of ${count(whole)}` : 'no labels') },
  ]);
  list.add([
    ['Precision of fail: bots among what fails', told.precisionOfFail],
    ['Precision of not passing: bots among what fails or is reviewed', told.precisionOfNotPassed],
    ['Recall: bots that do not pass', told.recall],
    ['People that pass', told.peoplePassed], ['People that are reviewed', told.peopleReviewed], ['People that fail', told.peopleFailed],
  ]);
  const rounded = [first, second].some((cut) => !isExact(cut, histogram.step));
  return [
    h('div', { class: 'scroll bleed' }, list.element),
    aDay(told),
    h('p', { class: 'hint small' }, 'Whoever labels chooses what is labelled, so precision is that of labelled sessions, not of all traffic. Overrides, replays and other evidence decide beside the score and are not in these numbers.',
      rounded ? ` Scores are counted in steps of ${histogram.step}: a cut between two steps counts as the nearer one.` : '')];
}

/** How many people a day are reviewed, with what that is computed from. */
function aDay({ liveADay, peopleReviewed, promisedReviewed, live }) {
  const fact = (name, value, from) => [h('dt', {}, name), h('dd', {}, value, h('span', { class: 'hint small from' }, from))];
  const facts = (...all) => h('dl', { class: 'facts long', id: 'a-day' }, all);
  if (liveADay === null) return facts(fact('People reviewed a day', 'not known', 'nothing was decided in the day before the last, so nobody knows how many come a day'));
  const about = (share) => brief(Math.round(liveADay * share));
  const sessions = plural(Math.round(liveADay), 'session');
  const labelled = peopleReviewed.whole === 0 ? ['not known', 'nobody is labelled human yet']
    : [`about ${about(peopleReviewed.share)} (${about(peopleReviewed.interval[0])} to ${about(peopleReviewed.interval[1])})`,
      `at most, were all ${sessions} a day people: ${inWords(peopleReviewed)} of ${plural(peopleReviewed.whole, 'labelled person', 'labelled people')} are reviewed`];
  const calibrated = [`about ${about(promisedReviewed)}`, `at most, were all ${sessions} a day people: ${brief(100 * promisedReviewed)} % of those of the calibration score between the cuts`];
  const all = live[1].whole === 0 ? ['not known', 'no result of late has a calibrated score']
    : [`about ${about(live[1].share)}`, `${inWords(live[1])} of the newest ${plural(live[1].whole, 'result')}, bots among them`];
  return facts(
    fact('People reviewed a day, by labels', ...labelled),
    fact('People reviewed a day, by the calibration', ...calibrated),
    fact('All reviewed a day', ...all));
}

/** The picture in numbers, by halves of a score. */
function inNumbers(histogram) {
  const expected = promised(histogram.live.length, histogram.step);
  const wide = Math.round(0.5 / histogram.step);
  const starts = Array.from({ length: Math.ceil((histogram.live.length - 1) / wide) }, (_, i) => i * wide);
  // The largest score has a bin of its own, which belongs to the last row.
  const sum = (bins, at) => bins.slice(at, at + wide >= bins.length - 1 ? bins.length : at + wide).reduce((all, n) => all + n, 0);
  const list = table('Scores in numbers', [
    { head: 'Score from', kind: 'n', cell: (at) => (at * histogram.step).toFixed(1) },
    { head: 'Of late', kind: 'n', cell: (at) => count(sum(histogram.live, at)) },
    { head: 'Expected of people', kind: 'n', cell: (at) => `${brief(100 * sum(expected, at))} %` },
    { head: 'Labelled people', kind: 'n', cell: (at) => count(sum(histogram.people, at)) },
    { head: 'Labelled bots', kind: 'n', cell: (at) => count(sum(histogram.bots, at)) },
  ]);
  list.add(starts);
  return list.element;
}
