// Sessions: results newest first, or those without one, by filters that are part of the address, page by page as one
// scrolls; and what can be done with some of them at once.

import { get, path, post, raw } from '../api.js';
import { confirmed, count, decision, fill, fixed, h, notice, plural, table, toCampaign, toSession, toUser, when } from '../dom.js';
import { REASONS, inWords } from '../reasons.js';

const PAGE = 100;
/** More rows than that nobody reads; filters and the export serve better. */
const MOST = 5000;
const MOST_EXPORTED = 200000;
/** Pages without a row that are turned by themselves. */
const PATIENCE = 5;

const FIELDS = ['state', 'sessionId', 'idPrefix', 'userId', 'decision', 'label', 'source', 'reason', 'deviceType', 'campaign', 'deploymentId', 'since', 'until', 'sort'];
/** What filters sessions without a result. */
const QUEUED = ['state', 'deploymentId'];
const STATES = [['', 'Decided'], ['ready', 'In line'], ['delayed', 'Waits for a retry'], ['failed', 'Failed']];

export async function show(place, { query, user, onleave }) {
  const stopped = new AbortController();
  onleave(() => stopped.abort());

  const value = (name) => query.get(name) ?? '';
  const state = STATES.some(([name]) => name === value('state')) ? value('state') : '';
  const box = filters(query, value, state, user);
  const chosen = selection(user, state);
  const list = state ? queued(chosen) : decided(chosen);
  const more = h('button', { type: 'button', hidden: true }, 'Show more');
  const told = h('span', { role: 'status' });
  const foot = h('div', { class: 'foot' }, told, more);
  const fresh = h('button', { type: 'button', onclick: () => dispatchEvent(new Event('hashchange')) }, 'Refresh');
  const reset = h('a', { class: 'button', href: '#/sessions', hidden: query.size === 0 }, 'Clear filters');
  const save = h('button', { type: 'button', hidden: state !== '' }, 'Export CSV');
  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Sessions'), h('div', { class: 'push' }, reset, fresh, save)),
    saved(query),
    h('section', { class: 'card', 'aria-label': 'Results' }, box, chosen.bar, h('div', { class: 'scroll' }, list.element), foot));

  const asked = Object.fromEntries((state ? QUEUED : FIELDS.filter((name) => name !== 'state')).map((name) => [name, value(name)]));
  const route = state ? '/api/v1/sessions' : '/api/v1/batch/results';
  let cursor = null;
  let rows = 0;
  let loading = false;
  let end = false;

  async function load() {
    if (loading || end) return;
    loading = true;
    more.disabled = true;
    try {
      for (let turn = 0; turn < PATIENCE; turn += 1) {
        const page = await get(path(route, { ...(state ? { state } : {}), ...asked, limit: PAGE, cursor }), { signal: stopped.signal });
        const found = page.results ?? page.sessions;
        list.add(found);
        rows += found.length;
        cursor = page.nextCursor;
        end = cursor === null || rows >= MOST;
        if (end || found.length > 0) break;
      }
      told.textContent = cursor === null ? (rows === 0 ? `No ${state ? 'session' : 'result'} fits.` : asked.sort === 'score' ? `The ${plural(rows, 'highest score')} of the newest 10,000 that fit.` : `${plural(rows, state ? 'session' : 'result')}, that is all.`)
        : rows >= MOST ? `The newest ${count(rows)}. Narrow the filters, or export the rest.`
          : `${plural(rows, 'result')} shown; there may be more.`;
      more.hidden = end;
      more.textContent = rows === 0 ? 'Look further back' : 'Show more';
    } finally {
      loading = false;
      more.disabled = false;
    }
  }
  /** Whether it went well. */
  const tryLoad = () => load().then(() => true, (error) => {
    if (error.name !== 'AbortError') {
      told.textContent = error.message;
      more.hidden = false;
    }
    return false;
  });
  more.addEventListener('click', tryLoad);
  await load();
  // Looked at anew after each page: whoever is at the end again by then would not be noticed otherwise.
  const near = new IntersectionObserver(async (entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || rows === 0 || end) return;
    near.unobserve(foot);
    if (await tryLoad()) near.observe(foot);
  }, { rootMargin: '600px' });
  near.observe(foot);
  onleave(() => near.disconnect());

  save.addEventListener('click', async () => {
    save.disabled = true;
    try {
      const parts = [];
      let next = null;
      let lines = 0;
      do {
        const answer = await raw(path('/api/v1/batch/results', { ...asked, sort: '', limit: 1000, cursor: next }), { accept: 'text/csv', signal: stopped.signal });
        next = answer.headers.get('x-next-cursor');
        const text = await answer.text();
        const body = text.slice(text.indexOf('\n') + 1);
        parts.push(parts.length === 0 ? text : body);
        lines += body.split('\n').length - 1;
        save.textContent = `${count(lines)} rows`;
      } while (next && lines < MOST_EXPORTED);
      const url = URL.createObjectURL(new Blob(parts, { type: 'text/csv' }));
      h('a', { href: url, download: `sessions-${new Date().toISOString().slice(0, 10)}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      notice(`Exported ${plural(lines, 'row')}${next ? '; there are more: narrow the time to get them' : ''}.`);
    } catch (error) {
      if (error.name !== 'AbortError') notice(error.message);
    } finally {
      save.disabled = false;
      save.textContent = 'Export CSV';
    }
  });
}

/** The form of filters; what is chosen becomes the address. */
function filters(query, value, state, user) {
  const field = (name, text, input, wide) => h('div', wide ? { class: 'wide' } : {}, h('label', { for: `f-${name}` }, text), input);
  const input = (name, more = {}) => h('input', { id: `f-${name}`, name, value: value(name), autocomplete: 'off', ...more });
  const select = (name, options, all = 'All') => h('select', { id: `f-${name}`, name }, all === null ? null : h('option', { value: '' }, all),
    options.map(([option, words]) => h('option', { value: option, selected: option === value(name) }, words)));
  const same = (names) => names.map((name) => [name, name]);
  const local = (name) => {
    const at = new Date(value(name));
    return Number.isNaN(at.getTime()) ? '' : new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  };
  const time = (name) => h('input', { id: `f-${name}`, name, type: 'datetime-local', value: local(name) });
  const deployment = user.deploymentId ? input('deploymentId', { value: user.deploymentId, disabled: true }) : input('deploymentId', { placeholder: 'All' });
  const ofResults = state ? [] : [
    field('sessionId', 'Session id', input('sessionId', { placeholder: 'Exactly', spellcheck: 'false' }), true),
    field('idPrefix', 'Id begins with', input('idPrefix', { spellcheck: 'false' })),
    field('userId', 'User', input('userId', { placeholder: 'Exactly', spellcheck: 'false' })),
    field('decision', 'Decision', select('decision', same(['pass', 'review', 'fail']))),
    field('label', 'Label', select('label', same(['human', 'bot']))),
    field('reason', 'Reason', select('reason', Object.entries(REASONS))),
    field('deviceType', 'Device', input('deviceType', { placeholder: 'All', list: 'devices' })),
    field('source', 'Source', select('source', same(['embedded', 'woodwide', 'heuristic']))),
    field('campaign', 'Campaign', input('campaign', { type: 'number', min: 1, placeholder: 'All' })),
    field('since', 'From', time('since')), field('until', 'Before', time('until')),
    field('sort', 'Order', select('sort', [['score', 'Highest score first']], 'Newest first')),
    h('datalist', { id: 'devices' }, ['mouse', 'trackpad', 'touch', 'stylus', 'unknown'].map((name) => h('option', { value: name })))];
  const form = h('form', { class: 'filters', 'aria-label': 'Filters' },
    field('state', 'State', select('state', STATES, null)), ofResults, field('deploymentId', 'Deployment', deployment));
  const apply = () => {
    const chosen = {};
    for (const name of form.elements.state.value ? QUEUED : FIELDS) {
      const element = form.elements[name];
      if (!element || element.disabled || !element.value) continue;
      chosen[name] = ['since', 'until'].includes(name) ? new Date(element.value).toISOString() : element.value.trim();
    }
    location.hash = path('#/sessions', chosen);
  };
  form.addEventListener('change', apply);
  form.addEventListener('submit', (event) => { event.preventDefault(); apply(); });
  // On a phone they would fill the window.
  return h('details', { class: 'filterbox', open: query.size > 0 || innerWidth > 720 }, h('summary', {}, 'Filters'), form);
}

const SAVED = 'playproof.views';
const readSaved = () => { try { return JSON.parse(localStorage.getItem(SAVED)) ?? []; } catch { return []; } };
const writeSaved = (views) => { try { localStorage.setItem(SAVED, JSON.stringify(views)); } catch { notice('This browser keeps nothing; the address of this page is the view.'); } };

/** Filters under a name, kept in this browser; the address alone is enough to share one. */
function saved(query) {
  const row = h('div', { class: 'row views' });
  const draw = () => {
    const views = readSaved();
    const here = String(query);
    const links = views.map((view) => h('span', { class: 'row' },
      h('a', { class: 'button', href: `#/sessions?${view.query}`, 'aria-current': view.query === here ? 'true' : null }, view.name),
      h('button', { type: 'button', class: 'quiet', 'aria-label': `Forget the view ${view.name}`, onclick: () => { writeSaved(views.filter((one) => one !== view)); draw(); } }, '×')));
    const name = h('input', { type: 'text', maxlength: 40, 'aria-label': 'Name of the view', placeholder: 'Name' });
    const form = h('form', { class: 'row' }, name, h('button', { type: 'submit' }, 'Save view'));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!name.value.trim()) { name.focus(); return; }
      writeSaved([...views.filter((view) => view.name !== name.value.trim()), { name: name.value.trim(), query: here }]);
      draw();
    });
    fill(row, links, query.size > 0 && !views.some((view) => view.query === here) ? form : null);
    row.hidden = row.childElementCount === 0;
  };
  draw();
  return row;
}

const link = (row) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId);
const userOf = (row) => (row.userId === null ? '' : h('a', { href: toUser(row.userId, row.deploymentId) }, row.userId));

function decided(chosen) {
  return table('Results, newest first', [
    chosen.column,
    { head: 'Time', kind: 'when', cell: (row) => when(row.scoredAt) },
    { head: 'Session', kind: 'id', cell: link },
    { head: 'Decision', kind: 'bare', cell: (row) => decision(row.decision) },
    { head: 'Score', kind: 'n', cell: (row) => fixed(row.anomalyScore) },
    { head: 'Label', kind: 'bare', cell: (row) => row.label ?? '' },
    { head: 'User', kind: 'short', cell: userOf },
    { head: 'Source', kind: 'bare', cell: (row) => row.source + (row.fallback ? ' (fallback)' : '') },
    { head: 'Device', kind: 'bare', cell: (row) => row.deviceType },
    { head: 'Deployment', kind: 'short', cell: (row) => row.deploymentId },
    { head: 'Campaign', cell: (row) => (row.campaignId === undefined ? '' : h('a', { href: toCampaign(row.campaignId, row.deploymentId) }, row.campaignId)) },
    { head: 'Reasons', kind: 'line', span: true, cell: (row) => inWords(row.reasons) },
  ]);
}

function queued(chosen) {
  return table('Sessions without a result', [
    chosen.column,
    { head: 'Accepted', kind: 'when', cell: (row) => when(row.acceptedAt) },
    { head: 'Session', kind: 'id', cell: link },
    { head: 'Attempts', kind: 'n', cell: (row) => count(row.attempts) },
    { head: 'Retry at', kind: 'when', cell: (row) => (row.retryAt === null ? '' : when(row.retryAt)) },
    { head: 'User', kind: 'short', cell: userOf },
    { head: 'Device', kind: 'bare', cell: (row) => row.deviceType },
    { head: 'Deployment', kind: 'short', cell: (row) => row.deploymentId },
    { head: 'Last error', kind: 'words', span: true, cell: (row) => row.lastError ?? '' },
  ]);
}

/** Sessions that are chosen for something that is done to all of them at once. */
function selection(user, state) {
  const rows = new Map();
  const told = h('span', { role: 'status' });
  const chosen = () => [...rows.values()].map(({ row }) => ({ sessionId: row.sessionId, ...(row.deploymentId ? { deploymentId: row.deploymentId } : {}) }));
  const draw = () => {
    bar.hidden = rows.size === 0;
    told.textContent = `${plural(rows.size, 'session')} chosen`;
  };
  const act = (name, title, text, button, run) => h('button', { type: 'button', onclick: async () => {
    if (!await confirmed(title(rows.size), text, button)) return;
    try {
      notice(await run(chosen()));
      dispatchEvent(new HashChangeEvent('hashchange'));
    } catch (error) { notice(error.message); }
  } }, name);
  const label = (name, words) => act(words, (n) => `Label ${plural(n, 'session')} ${name}?`,
    `Each ${name === 'bot' ? 'fails' : 'passes'} from then on, whatever thresholds say. It is one entry of the audit log, and can be taken back.`, `Label ${name}`,
    async (all) => `${plural((await post('/api/v1/labels', { labels: all.map((one) => ({ ...one, label: name })) })).labelled, 'session')} labelled.`);
  const clear = h('button', { type: 'button', class: 'quiet', onclick: () => { for (const { box } of rows.values()) box.checked = false; rows.clear(); draw(); } }, 'Choose none');
  const requeue = act('Send back to the queue', (n) => `Send ${plural(n, 'session')} back to the queue?`, 'Each is tried again, with all its attempts. Mend the cause first: what failed for its own content fails again.', 'Send back', async (all) => {
    let sent = 0;
    for (const deploymentId of new Set(all.map((one) => one.deploymentId))) {
      const sessionIds = all.filter((one) => one.deploymentId === deploymentId).map((one) => one.sessionId);
      sent += (await post('/api/v1/batch/dead/requeue', { sessionIds, ...(deploymentId ? { deploymentId } : {}) })).requeued;
    }
    return `${plural(sent, 'session')} sent back.`;
  });
  const erase = act('Erase', (n) => `Erase ${plural(n, 'session')}?`, 'Telemetry, features, results and labels go and cannot be had back; the ids stay used up. It is one entry of the audit log, with keyed hashes.', 'Erase', async (all) => `${plural((await post('/api/v1/sessions/erase', { sessions: all })).erased, 'session')} erased.`);
  const bar = h('div', { class: 'row chosen', role: 'group', 'aria-label': 'With the chosen sessions', hidden: true }, told,
    state === '' ? [label('human', 'Human'), label('bot', 'Bot')] : null, state === 'failed' && user.role === 'admin' ? requeue : null,
    user.role === 'admin' ? erase : null, clear);
  const cell = (row) => {
    const box = h('input', { type: 'checkbox', 'aria-label': `Choose ${row.sessionId}` });
    box.addEventListener('change', () => {
      const key = JSON.stringify([row.deploymentId, row.sessionId]);
      if (box.checked) rows.set(key, { row, box });
      else rows.delete(key);
      draw();
    });
    return box;
  };
  return { bar, column: { head: h('span', { class: 'away' }, 'Chosen'), name: 'Chosen', kind: 'choose', cell } };
}
