// A user: what was decided of all their sessions, what rules hold for them, and what can be done.

import { get, path, post, remove } from '../api.js';
import { card, confirmed, count, decision, fill, fixed, h, notice, plural, share, table, toCampaign, toSession, when } from '../dom.js';
import { inWords } from '../reasons.js';

const PAGE = 50;
const total = (tally) => tally.pass + tally.review + tally.fail;
/** How many sessions are known, where there may be more than were looked at. */
const many = (known) => (known.isMore ? `at least ${count(known.sessions)} sessions` : plural(known.sessions, 'session'));
/** In which deployments something is done. */
const within = (deploymentId, known) => (deploymentId ? `in ${deploymentId}` : `in every deployment (${known.deployments.map((one) => one.name || 'none').join(', ') || 'none'})`);
const again = () => dispatchEvent(new HashChangeEvent('hashchange'));

export async function show(place, { id, query, user, onleave }) {
  document.title = `User ${id} · PlayProof Batch`;
  const stopped = new AbortController();
  onleave(() => stopped.abort());
  const deploymentId = query.get('deploymentId') ?? user.deploymentId ?? '';
  const route = `/api/v1/users/${encodeURIComponent(id)}`;
  const known = await get(path(route, { deploymentId }), { signal: stopped.signal });
  const { element, load } = timeline(id, deploymentId, stopped.signal);
  fill(place,
    h('div', { class: 'head' }, h('a', { class: 'button', href: '#/sessions' }, '‹ Sessions'), h('h1', {}, id),
      deploymentId ? h('span', { class: 'hint' }, `deployment ${deploymentId}`) : null,
      h('div', { class: 'push' }, h('a', { class: 'button', href: path('#/sessions', { userId: id, deploymentId }) }, 'Open as a list'))),
    h('div', { class: 'grid wide' }, element,
      h('div', { class: 'stack' }, summary(known), label(id, deploymentId, known), override(id, known, user, deploymentId), erase(route, known, user, deploymentId))));
  await load();
}

function summary(known) {
  const fact = (name, value) => [h('dt', {}, name), h('dd', {}, value)];
  const parts = (list) => list.map((one, i) => [i ? ', ' : '', `${one.name || 'none'} (${count(total(one.decisions))})`]);
  const all = total(known.decisions);
  return card('Known', {}, h('dl', { class: 'facts' },
    fact('Sessions', `${count(known.sessions)}${known.isMore ? ', the newest of more' : ''}`),
    fact('Decisions', all === 0 ? 'none' : ['pass', 'review', 'fail'].filter((name) => known.decisions[name] > 0).map((name) => [decision(name), ` ${count(known.decisions[name])} (${share(known.decisions[name] / all, 0)}) `])),
    known.devices.length ? fact('Devices', parts(known.devices)) : null,
    known.deployments.length > 1 ? fact('Deployments', parts(known.deployments)) : null,
    fact('Labels', known.labels.human + known.labels.bot === 0 ? 'not labelled' : `${count(known.labels.human)} human, ${count(known.labels.bot)} bot`),
    known.firstSeen ? [fact('First decided', when(known.firstSeen)), fact('Last decided', when(known.lastSeen))] : null));
}

function timeline(userId, deploymentId, signal) {
  const list = table('Sessions of the user, newest first', [
    { head: 'Time', kind: 'when', cell: (row) => when(row.scoredAt) },
    { head: 'Session', kind: 'id', cell: (row) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId) },
    { head: 'Decision', kind: 'bare', cell: (row) => decision(row.decision) },
    { head: 'Score', kind: 'n', cell: (row) => fixed(row.anomalyScore) },
    { head: 'Device', kind: 'bare', cell: (row) => row.deviceType },
    { head: 'Label', kind: 'bare', cell: (row) => row.label ?? '' },
    { head: 'Alike', kind: 'bare', cell: (row) => (row.campaignId === undefined ? '' : h('a', { href: toCampaign(row.campaignId, row.deploymentId) }, `Campaign ${row.campaignId}`)) },
    { head: 'Reasons', kind: 'line', span: true, cell: (row) => inWords(row.reasons) },
  ]);
  const told = h('span', { role: 'status' });
  const more = h('button', { type: 'button', hidden: true }, 'Show more');
  let cursor = null;
  let rows = 0;
  const load = async () => {
    more.disabled = true;
    try {
      const page = await get(path('/api/v1/batch/results', { userId, deploymentId, limit: PAGE, cursor }), { signal });
      list.add(page.results);
      rows += page.results.length;
      cursor = page.nextCursor;
      more.hidden = cursor === null;
      told.textContent = rows === 0 ? 'No session has a result.' : cursor === null ? `${plural(rows, 'session')}, that is all.` : `${plural(rows, 'session')} shown.`;
    } finally {
      more.disabled = false;
    }
  };
  more.addEventListener('click', () => load().catch((error) => notice(error.message)));
  return { element: card('Timeline', { body: false }, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Timeline' }, list.element), h('div', { class: 'foot' }, told, more)), load };
}

const act = (run) => async () => { try { await run(); again(); } catch (error) { notice(error.message); } };

/** Labels all of the user's sessions. */
function label(userId, deploymentId, known) {
  const say = (name, outcome) => act(async () => {
    if (!await confirmed(`Label ${known.isMore ? `the newest ${count(known.sessions)}` : 'all'} sessions of the user ${name}?`, `${plural(known.sessions, 'session')} ${within(deploymentId, known)}: each ${outcome} from then on, whatever thresholds say, and a label that is there is replaced. It is one entry of the audit log.`, `Label all ${name}`)) return;
    const done = await post('/api/v1/labels', { labels: [{ userId, label: name, ...(deploymentId ? { deploymentId } : {}) }] });
    notice(`${plural(done.labelled, 'session')} labelled.`);
  });
  return card('Label all', {}, h('div', { class: 'row' },
    h('button', { type: 'button', disabled: known.sessions === 0, onclick: say('human', 'passes') }, 'All are human'),
    h('button', { type: 'button', disabled: known.sessions === 0, onclick: say('bot', 'fails') }, 'All are bots')));
}

/** What holds for the user's next sessions. */
function override(userId, known, user, deploymentId) {
  const rules = known.overrides.map((rule) => h('li', { class: 'top' },
    h('span', {}, `${rule.action === 'allow' ? 'Always passes' : 'Always fails'}${rule.deploymentId ? ` in ${rule.deploymentId}` : ''}${rule.note ? `: ${rule.note}` : ''}`),
    operates(user) ? h('button', { type: 'button', class: 'quiet', onclick: act(() => remove(`/api/v1/overrides/${encodeURIComponent(rule.id)}`)) }, 'Remove') : null));
  const make = (action, words) => act(async () => {
    if (!await confirmed(words, `It holds for sessions from now on, ${deploymentId ? `in ${deploymentId}` : 'in every deployment'}. Those decided before stay as they are.`, action === 'allow' ? 'Always pass' : 'Always fail')) return;
    await post('/api/v1/overrides', { userId, action, ...(deploymentId ? { deploymentId } : {}) });
  });
  return card('Next sessions', {},
    rules.length ? h('ul', { class: 'list' }, rules) : h('p', { class: 'hint' }, 'They are decided by their movement.'),
    operates(user) ? h('div', { class: 'row after' },
      h('button', { type: 'button', onclick: make('allow', 'Let this user always pass?') }, 'Always pass'),
      h('button', { type: 'button', onclick: make('deny', 'Let this user always fail?') }, 'Always fail')) : h('p', { class: 'hint small after' }, 'An admin can make them always pass or fail.'));
}

const operates = (user) => user.role === 'admin' && !user.deploymentId;

function erase(route, known, user, deploymentId) {
  if (user.role !== 'admin') return null;
  const run = act(async () => {
    if (!await confirmed('Erase this user?', `${many(known)} ${within(deploymentId, known)} with their telemetry, features, results and labels go, with those that still wait, and cannot be had back. Their ids stay used up. The audit log keeps a keyed hash of the user, and rules for the user's next sessions stay.`, 'Erase')) return;
    const done = await remove(path(route, { deploymentId }));
    notice(`${plural(done.erased, 'session')} erased.`);
    location.hash = '#/sessions';
  });
  return card('Erase', {}, h('p', { class: 'hint' }, `All sessions of the user: ${many(known)} with a result, and those that wait, ${within(deploymentId, known)}.`),
    h('button', { type: 'button', class: 'after', onclick: run }, 'Erase the user'));
}
