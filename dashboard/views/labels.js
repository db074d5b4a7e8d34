// Labels: how many a training still needs, how many were made each day, and importing a table of them.

import { get, postText } from '../api.js';
import { card, confirmed, count, fill, h, plural, put, say, table } from '../dom.js';

/** Problems that are told one by one. */
const TOLD = 10;
/** What became of a label that changed nothing. */
const PROBLEMS = { unknown: 'no such session or user here', undecided: 'the session has no result yet', erased: 'the session was erased' };
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });

/** How far labels reach: `{element, load(), add(n)}`; `add` counts people labelled here meanwhile. */
export function progress() {
  const words = h('label', { for: 'labelled-people' });
  const bar = h('progress', { id: 'labelled-people', max: 1, value: 0 });
  const days = h('div', { class: 'scroll bleed' });
  let known = null;

  function shown() {
    const { people, needed } = known;
    bar.max = needed;
    bar.value = Math.min(people, needed);
    say(words, `${count(people)} of ${count(needed)} labelled people that a training needs`);
  }
  async function load() {
    const told = await get('/api/v1/evaluation');
    known = { people: told.all.peoplePassed.whole, needed: told.peopleForTraining };
    shown();
    fill(days, told.labels.length ? perDay(told.labels) : h('p', { class: 'hint small pad' }, 'None in the last thirty days.'));
  }
  const element = h('div', { class: 'measure' }, h('div', {}, words, bar), h('details', {}, h('summary', {}, 'Labels per day'), days));
  return { element, load, add: (n) => { if (known) { known.people = Math.max(0, known.people + n); shown(); } } };
}

function perDay(labels) {
  const list = table('Labels per day, of the last thirty days', [
    { head: 'Day', kind: 'when', cell: (row) => h('time', { datetime: row.at }, DAY.format(new Date(row.at))) },
    { head: 'Human', kind: 'n', cell: (row) => count(row.human) }, { head: 'Bot', kind: 'n', cell: (row) => count(row.bot) },
  ]);
  list.add([...labels].reverse());
  return list.element;
}

/** Rows of a table, but for its heading and empty lines. */
const rowsOf = (text) => Math.max(0, text.split(/\r?\n/).filter((line) => line.trim()).length - 1);

/** What became of an import. */
function answered(told) {
  const [first, rest] = [told.problems.slice(0, TOLD), told.unknown + told.undecided + told.erased - TOLD];
  const parts = [[told.unknown, 'unknown'], [told.undecided, 'undecided'], [told.erased, 'erased']].filter(([n]) => n > 0).map(([n, word]) => `${count(n)} ${word}`);
  return [
    h('p', {}, `${plural(told.labelled, 'session')} labelled${parts.length ? `; ${parts.join(', ')}` : ''}.`),
    first.length ? h('ul', {}, first.map((one) => h('li', {}, `Row ${count(one.line)}: ${PROBLEMS[one.outcome] ?? one.outcome}`))) : null,
    rest > 0 ? h('p', { class: 'hint small' }, `and ${count(rest)} more`) : null];
}

/** A button that takes a table of labels from a file. `done` runs after something was labelled. */
function importer(done) {
  const told = h('div', { class: 'made', 'aria-live': 'polite', id: 'imported' });
  const file = h('input', { type: 'file', accept: '.csv,text/csv', hidden: true, id: 'import-file', 'aria-label': 'Table of labels' });
  const button = h('button', { type: 'button', onclick: () => file.click() }, 'Import labels');
  file.addEventListener('change', async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    button.disabled = true;
    try {
      const text = await chosen.text();
      const ask = `${plural(rowsOf(text), 'row')} of ${chosen.name} decide at once, whatever thresholds say.`;
      if (!await confirmed('Import these labels?', ask, 'Import')) return;
      fill(told, answered(await postText('/api/v1/labels', text, 'text/csv')));
      await done();
    } catch (error) {
      fill(told, h('p', { class: 'error' }, `Nothing was imported: ${error.message}`));
    } finally {
      file.value = '';
      button.disabled = false;
    }
  });
  return { element: h('div', {}, h('div', { class: 'row' }, button, file), told) };
}

/** The card of it all; `done` runs after an import. */
export function labels(bars, done) {
  const element = card('Labels', { id: 'labels' }, bars.element);
  put(element.querySelector('.body'), h('div', { class: 'after' }, importer(async () => { await Promise.all([bars.load(), done()]); }).element,
    h('p', { class: 'hint small after' }, 'CSV, such as chargebacks: columns sessionId or userId, label (human, bot or none), and where wanted at and note.')));
  return element;
}
