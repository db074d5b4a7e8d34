// Equity: whether people of some device or recorder pass less often than the others, by labels.

import { card, count, h, table } from '../dom.js';
import { differs, ends, inWords, rate } from '../intervals.js';

/** Labels below which a share says little. */
const FEW = 20;

/** The people of all other rows together. */
const rest = (rows, one) => {
  const others = rows.filter((row) => row !== one);
  const sum = (name) => others.reduce((all, row) => all + row.peoplePassed[name], 0);
  return rate(sum('part'), sum('whole'));
};

const counted = ({ part, whole }) => rate(part, whole);

/** What a row means, in words and with its colour. */
function finding(rows, row) {
  const [own, others] = [counted(row.peoplePassed), rest(rows, row)];
  if (own.whole < FEW) return ['few', `too few labelled people, ${FEW} are needed`];
  if (others.whole < FEW) return ['few', 'too few others to compare with'];
  if (!differs(own, others)) return ['same', 'no difference from the rest'];
  return own.share < others.share
    ? ['fail', `people pass less often than the rest: ${inWords(others)}`]
    : ['pass', `people pass more often than the rest: ${inWords(others)}`];
}

/** All findings in a sentence, and what to do. */
function summary(all, shown) {
  const worse = shown.filter(([, , [kind]]) => kind === 'fail').map(([, row]) => row.name);
  if (worse.length) return `People pass less often than the rest: ${worse.join(', ')}. Label more of them and train, or give them other thresholds by deployment.`;
  if (all.peoplePassed.whole === 0) return 'Nobody is labelled human yet.';
  if (shown.every(([, , [kind]]) => kind === 'few')) return 'There are too few labelled people to compare classes.';
  return 'No class of people passes less often than the rest by more than chance.';
}

/** A share with its interval below. */
const told = (one) => [inWords(one), one.whole ? h('span', { class: 'hint small from' }, `${ends(one)} of ${count(one.whole)}`) : ''];

/** Labelled people and bots that passed, by device and by whose people a score was calibrated on. */
export function equity({ all, devices, classes }) {
  const shown = [
    ...devices.map((row) => ['Device', row, finding(devices, row)]),
    ...classes.map((row) => ['Calibrated on', row, finding(classes, row)]),
  ];
  const list = table('Labelled people and bots that passed, by device and calibration', [
    { head: 'By', cell: ([of]) => of },
    { head: 'Class', kind: 'words', cell: ([, row]) => row.name || 'not told' },
    { head: 'People that passed', kind: 'n', cell: ([, row]) => told(counted(row.peoplePassed)) },
    { head: 'Bots that passed', kind: 'n', cell: ([, row]) => told(counted(row.botsPassed)) },
    { head: 'People beside the rest', kind: 'words', span: true, cell: ([, , [kind, words]]) => h('span', { class: ['few', 'same'].includes(kind) ? 'hint' : `tag wrap ${kind}` }, words) },
  ]);
  list.add(shown);
  return card('People by device and recorder', { id: 'equity', hint: 'what was decided before the label', body: false },
    shown.length === 0 ? h('div', { class: 'body' }, h('p', { class: 'hint' }, 'Nothing is labelled yet.')) : [
      h('div', { class: 'body' }, h('p', {}, summary(all, shown))),
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Labelled people and bots that passed' }, list.element)]);
}
