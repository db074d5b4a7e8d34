// Sessions: results newest first, by filters that are part of the address, page by page as one scrolls.

import { get, path, raw } from '../api.js';
import { count, decision, fill, fixed, h, notice, plural, table, toSession, when } from '../dom.js';

const PAGE = 100;
/** More rows than that nobody reads; filters and the export serve better. */
const MOST = 5000;
const MOST_EXPORTED = 200000;
/** Pages without a row that are turned by themselves. */
const PATIENCE = 5;

const REASONS = ['path_too_straight', 'no_jitter', 'impossible_speed', 'perfect_accuracy', 'robotic_timing', 'unlike_humans',
  'calibration_too_small', 'too_few_movements', 'flagged', 'speed_spread', 'speed_rhythm', 'acceleration', 'turning', 'power_law',
  'roughness', 'straightness', 'pauses', 'stroke_shape', 'stroke_variety', 'smoothness', 'click_approach', 'event_stream',
  'unfamiliar_recorder', 'too_little_movement', 'outside_people', 'machine_motion', 'no_pointer', 'untrusted_events'];

const FIELDS = ['sessionId', 'decision', 'source', 'reason', 'deviceType', 'deploymentId', 'since', 'until'];

export async function show(place, { query, user, onleave }) {
  const stopped = new AbortController();
  onleave(() => stopped.abort());

  const value = (name) => query.get(name) ?? '';
  const field = (name, text, input, wide) => h('div', wide ? { class: 'wide' } : {}, h('label', { for: `f-${name}` }, text), input);
  const input = (name, more = {}) => h('input', { id: `f-${name}`, name, value: value(name), autocomplete: 'off', ...more });
  const select = (name, options) => h('select', { id: `f-${name}`, name }, h('option', { value: '' }, 'All'),
    options.map((option) => h('option', { value: option, selected: option === value(name) }, option)));
  const local = (name) => {
    const at = new Date(value(name));
    return Number.isNaN(at.getTime()) ? '' : new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  };
  const time = (name) => h('input', { id: `f-${name}`, name, type: 'datetime-local', value: local(name) });
  const deployment = user.deploymentId ? input('deploymentId', { value: user.deploymentId, disabled: true }) : input('deploymentId', { placeholder: 'All' });
  const form = h('form', { class: 'filters', 'aria-label': 'Filters' },
    field('sessionId', 'Session id', input('sessionId', { placeholder: 'Exactly', spellcheck: 'false' }), true),
    field('decision', 'Decision', select('decision', ['pass', 'review', 'fail'])),
    field('source', 'Source', select('source', ['embedded', 'woodwide', 'heuristic'])),
    field('reason', 'Reason', select('reason', REASONS)),
    field('deviceType', 'Device', input('deviceType', { placeholder: 'All', list: 'devices' })),
    field('deploymentId', 'Deployment', deployment),
    field('since', 'From', time('since')), field('until', 'Before', time('until')),
    h('datalist', { id: 'devices' }, ['mouse', 'trackpad', 'touch', 'stylus', 'unknown'].map((name) => h('option', { value: name }))));
  const apply = () => {
    const chosen = {};
    for (const name of FIELDS) {
      const element = form.elements[name];
      if (element.disabled || !element.value) continue;
      chosen[name] = ['since', 'until'].includes(name) ? new Date(element.value).toISOString() : element.value.trim();
    }
    location.hash = path('#/sessions', chosen);
  };
  form.addEventListener('change', apply);
  form.addEventListener('submit', (event) => { event.preventDefault(); apply(); });

  // On a phone they would fill the window.
  const box = h('details', { class: 'filterbox', open: query.size > 0 || innerWidth > 720 }, h('summary', {}, 'Filters'), form);

  const list = table('Results, newest first', [
    { head: 'Time', kind: 'when', cell: (row) => when(row.scoredAt) },
    { head: 'Session', kind: 'id', cell: (row) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId) },
    { head: 'Decision', kind: 'bare', cell: (row) => decision(row.decision) },
    { head: 'Score', kind: 'n', cell: (row) => fixed(row.anomalyScore) },
    { head: 'Source', kind: 'bare', cell: (row) => row.source + (row.fallback ? ' (fallback)' : '') },
    { head: 'Device', kind: 'bare', cell: (row) => row.deviceType },
    { head: 'Deployment', cell: (row) => row.deploymentId },
    { head: 'Reasons', kind: 'line', span: true, cell: (row) => row.reasons.map((reason) => reason.code).join(', ') },
  ]);
  const more = h('button', { type: 'button', hidden: true }, 'Show more');
  const told = h('span', { role: 'status' });
  const foot = h('div', { class: 'foot' }, told, more);
  const fresh = h('button', { type: 'button', onclick: () => dispatchEvent(new Event('hashchange')) }, 'Refresh');
  const reset = h('a', { class: 'button', href: '#/sessions', hidden: query.size === 0 }, 'Clear filters');
  const save = h('button', { type: 'button' }, 'Export CSV');
  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Sessions'), h('div', { class: 'push' }, reset, fresh, save)),
    h('section', { class: 'card', 'aria-label': 'Results' }, box, h('div', { class: 'scroll' }, list.element), foot));

  const filters = Object.fromEntries(FIELDS.map((name) => [name, value(name)]));
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
        const page = await get(path('/api/v1/batch/results', { ...filters, limit: PAGE, cursor }), { signal: stopped.signal });
        list.add(page.results);
        rows += page.results.length;
        cursor = page.nextCursor;
        end = cursor === null || rows >= MOST;
        if (end || page.results.length > 0) break;
      }
      told.textContent = cursor === null ? (rows === 0 ? 'No result fits.' : `${plural(rows, 'result')}, that is all.`)
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
        const answer = await raw(path('/api/v1/batch/results', { ...filters, limit: 1000, cursor: next }), { accept: 'text/csv', signal: stopped.signal });
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
