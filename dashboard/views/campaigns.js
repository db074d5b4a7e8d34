// Campaigns: sessions alike as one; and one of them with its paths laid over each other, labelled all at once.

import { get, path, post, remove } from '../api.js';
import { card, confirmed, count, decision, fill, h, notice, plural, table, toCampaign, toSession, toUser, when } from '../dom.js';
import { Replay, measure } from '../replay.js';

/** Paths laid over each other at most. */
const LAID_OVER = 12;
const COLOURS = ['--series-2', '--pass', '--fail', '--series-1'];

const deploymentOf = (query, user) => query.get('deploymentId') ?? user.deploymentId ?? undefined;

/** The decisions of a campaign's sessions, those that there are. */
const mix = ({ decisions }) => ['fail', 'review', 'pass'].filter((name) => decisions[name] > 0)
  .map((name) => [decision(name), ` ${count(decisions[name])} `]);

const said = ({ labels, members }) => {
  const parts = [['bot', labels.bot], ['human', labels.human]].filter(([, n]) => n > 0).map(([name, n]) => `${count(n)} ${name}`);
  const rest = members - labels.bot - labels.human;
  if (parts.length === 0) return 'Not labelled';
  return rest > 0 ? `${parts.join(', ')}, ${count(rest)} unlabelled` : parts.join(', ');
};

const COLUMNS = [
  { head: 'Campaign', cell: (row) => h('a', { href: toCampaign(row.campaignId, row.deploymentId) }, `Campaign ${row.campaignId}`) },
  { head: 'Sessions', kind: 'n', cell: (row) => count(row.members) },
  { head: 'Last hour', kind: 'n', cell: (row) => `+${count(row.growth.lastHour)}` },
  { head: 'Users', kind: 'n', cell: (row) => count(row.users) },
  { head: 'First seen', kind: 'when', cell: (row) => when(row.firstSeen) },
  { head: 'Last seen', kind: 'when', cell: (row) => when(row.lastSeen) },
  { head: 'Decisions', kind: 'bare', span: true, cell: mix },
  { head: 'Labels', cell: said },
  { head: 'Deployment', cell: (row) => row.deploymentId },
];

export async function list(place, { query, user, onleave }) {
  const stopped = new AbortController();
  onleave(() => stopped.abort());
  const all = table('Campaigns, those that grew last first', COLUMNS);
  const more = h('button', { type: 'button', hidden: true }, 'Show more');
  const told = h('span', { role: 'status' });
  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Campaigns'), h('div', { class: 'push' }, h('button', { type: 'button', onclick: () => dispatchEvent(new Event('hashchange')) }, 'Refresh'))),
    h('section', { class: 'card', 'aria-label': 'Campaigns' }, h('div', { class: 'scroll' }, all.element), h('div', { class: 'foot' }, told, more)),
    h('p', { class: 'hint small after' }, 'A campaign is three or more sessions of one deployment whose movement is alike, each with at least one other.'));
  let cursor = null;
  let rows = 0;
  const load = async () => {
    more.disabled = true;
    try {
      const page = await get(path('/api/v1/campaigns', { limit: 20, cursor, deploymentId: deploymentOf(query, user) }), { signal: stopped.signal });
      all.add(page.campaigns);
      rows += page.campaigns.length;
      cursor = page.nextCursor;
      more.hidden = cursor === null;
      told.textContent = rows === 0 ? 'No sessions are alike so far.' : cursor === null ? `${plural(rows, 'campaign')}, that is all.` : `${plural(rows, 'campaign')} shown.`;
    } finally {
      more.disabled = false;
    }
  };
  more.addEventListener('click', () => load().catch((error) => { told.textContent = error.message; }));
  await load();
}

export async function one(place, { id, query, user, onleave }) {
  document.title = `Campaign ${id} · PlayProof Batch`;
  const deploymentId = deploymentOf(query, user);
  const route = `/api/v1/campaigns/${encodeURIComponent(id)}`;
  const campaign = await get(path(route, { deploymentId, limit: 100 }));
  const rows = table('Sessions of the campaign, the latest first', [
    { head: 'Session', kind: 'id', span: true, cell: (row) => h('a', { href: toSession(row.sessionId, campaign.deploymentId) }, row.sessionId) },
    { head: 'User', kind: 'short', cell: (row) => (row.userId ? h('a', { href: toUser(row.userId, campaign.deploymentId) }, row.userId) : '') },
    { head: 'Accepted', kind: 'when', cell: (row) => when(row.acceptedAt) },
    { head: 'Decision', kind: 'bare', cell: (row) => (row.decision ? decision(row.decision) : 'on the way') },
    { head: 'Label', cell: (row) => row.label ?? '' },
  ]);
  rows.add(campaign.sessions);
  const more = h('button', { type: 'button' }, 'Show more');
  const foot = h('div', { class: 'foot', hidden: campaign.nextCursor === null }, more);
  let cursor = campaign.nextCursor;
  more.addEventListener('click', async () => {
    more.disabled = true;
    try {
      const page = await get(path(route, { deploymentId, limit: 100, cursor }));
      rows.add(page.sessions);
      cursor = page.nextCursor;
      foot.hidden = cursor === null;
    } catch (error) {
      notice(error.message);
    } finally {
      more.disabled = false;
    }
  });
  fill(place,
    h('div', { class: 'head' }, h('a', { class: 'button', href: '#/campaigns' }, '‹ Campaigns'), h('h1', {}, `Campaign ${campaign.campaignId}`),
      campaign.deploymentId ? h('span', { class: 'hint' }, `deployment ${campaign.deploymentId}`) : null),
    h('div', { class: 'grid wide session' },
      h('div', { class: 'stack' },
        paths(campaign, onleave),
        card(plural(campaign.members, 'session'), { body: false }, h('div', { class: 'scroll' }, rows.element), foot)),
      h('div', { class: 'stack' }, facts(campaign), labels(path(`${route}/label`, { deploymentId }), campaign), denyAll(route, deploymentId, campaign, user))));
}

/** The latest sessions' paths, one over the other, where their telemetry is still kept. */
function paths(campaign, onleave) {
  const canvas = h('canvas', { role: 'img', 'aria-label': 'The paths of sessions of the campaign, laid over each other', 'aria-describedby': 'laid-over' });
  const words = h('figcaption', { id: 'laid-over', class: 'hint small', 'aria-live': 'polite' }, 'Paths are loaded …');
  const load = async () => {
    const ids = campaign.sessions.slice(0, LAID_OVER).map((session) => session.sessionId);
    const read = (id) => get(path(`/api/v1/sessions/${encodeURIComponent(id)}/telemetry`, { deploymentId: campaign.deploymentId || undefined })).then(measure, () => null);
    const there = (await Promise.all(ids.map(read))).filter(Boolean);
    if (there.length === 0) {
      canvas.hidden = true;
      words.textContent = 'The telemetry of its latest sessions is no longer kept.';
      return;
    }
    const replay = new Replay(canvas, there[0], () => {});
    onleave(() => replay.end());
    replay.overlay(there.slice(1).map((one, i) => ({ path: one, colour: COLOURS[i % COLOURS.length] })));
    canvas.dataset.paths = there.length;
    words.textContent = `The latest ${plural(there.length, 'path')} of ${plural(campaign.members, 'session')}, as recorded: a copy may be moved, turned, mirrored or stretched.`;
  };
  // A canvas has a size once it is in the page.
  const begin = new ResizeObserver(() => {
    if (!canvas.clientWidth) return;
    begin.disconnect();
    load().catch((error) => { words.textContent = error.message; });
  });
  begin.observe(canvas);
  onleave(() => begin.disconnect());
  return card('Paths', { kind: 'first' }, h('figure', { class: 'stage' }, canvas, words));
}

function facts(campaign) {
  const fact = (name, value) => [h('dt', {}, name), h('dd', {}, value)];
  return card('Facts', {}, h('dl', { class: 'facts' },
    fact('Sessions', count(campaign.members)), fact('Users', count(campaign.users)),
    fact('First seen', when(campaign.firstSeen)), fact('Last seen', when(campaign.lastSeen)),
    fact('Growth', `+${count(campaign.growth.lastHour)} in the last hour, +${count(campaign.growth.lastDay)} in the last day`),
    fact('Best source', campaign.bestSource ? h('a', { href: toSession(campaign.bestSource, campaign.deploymentId) }, campaign.bestSource) : 'no longer there'),
    fact('Decisions', mix(campaign)), fact('Labels', said(campaign))));
}

/** Has the next sessions of all its users fail; for admins of all deployments, who may make overrides. */
function denyAll(route, deploymentId, campaign, user) {
  if (user.role !== 'admin' || user.deploymentId || campaign.users === 0) return null;
  const told = h('p', { class: 'hint small', role: 'status' });
  const button = h('button', { type: 'button', onclick: async () => {
    const where = campaign.deploymentId ? `in ${campaign.deploymentId}` : 'in every deployment';
    if (!(await confirmed(`Let ${plural(campaign.users, 'user')} always fail?`, `Each of the campaign's users fails from now on, ${where}, whatever their movement. Sessions decided before stay as they are. Each is an override, which Access lists and removes.`, 'Always fail'))) return;
    button.disabled = true;
    try {
      const users = new Set();
      let cursor = null;
      do {
        const page = await get(path(route, { deploymentId, limit: 100, cursor }));
        for (const session of page.sessions) if (session.userId) users.add(session.userId);
        cursor = page.nextCursor;
      } while (cursor !== null);
      let done = 0;
      for (const userId of users) {
        await post('/api/v1/overrides', { userId, action: 'deny', note: `campaign ${campaign.campaignId}`, ...(campaign.deploymentId ? { deploymentId: campaign.deploymentId } : {}) });
        done += 1;
        told.textContent = `${plural(done, 'user')} of ${count(users.size)} always fail.`;
      }
    } catch (error) {
      notice(error.message);
      button.disabled = false;
    }
  } }, 'Always fail its users');
  return card('Next sessions', {}, h('p', { class: 'hint' }, `Of its ${plural(campaign.users, 'user')}.`), h('div', { class: 'row after' }, button), told);
}

/** What people say of all its sessions, and saying it. */
function labels(route, campaign) {
  const act = (title, text, button, run) => async () => {
    if (!(await confirmed(title, text, button))) return;
    try {
      const done = await run();
      dispatchEvent(new HashChangeEvent('hashchange'));
      notice(`${plural(done.labelled, 'session')} changed${done.kept ? `; ${count(done.kept)} labelled one by one stay as they are` : ''}.`);
    } catch (error) {
      notice(error.message);
    }
  };
  const note = h('input', { type: 'text', id: 'note', maxlength: 500, autocomplete: 'off' });
  const all = plural(campaign.members, 'session');
  const say = (label, outcome) => act(`Label the campaign ${label}?`, `All ${all} of it ${outcome} from then on, but for those that somebody labelled one by one. It can be reverted.`, `Label all ${label}`, () => post(route, { label, note: note.value }));
  return card('Label all', {},
    h('label', { for: 'note' }, 'Note'), note,
    h('div', { class: 'row after' },
      h('button', { type: 'button', onclick: say('human', 'pass') }, 'All are human'),
      h('button', { type: 'button', onclick: say('bot', 'fail') }, 'All are bots')),
    campaign.labels.bot + campaign.labels.human > 0
      ? h('div', { class: 'row after' }, h('button', { type: 'button', onclick: act('Revert the campaign’s label?', 'Its sessions are decided by their scores again.', 'Revert label', () => remove(route)) }, 'Revert'))
      : null);
}
