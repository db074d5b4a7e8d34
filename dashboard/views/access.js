// Access: keys, overrides, webhooks with what they were told, and the audit log.

import { get, path, post, remove } from '../api.js';
import { card, confirmed, count, fill, h, notice, plural, table, when } from '../dom.js';

const field = (id, title, props = {}) => {
  const input = h('input', { type: 'text', id, name: id, autocomplete: 'off', ...props });
  return { input, element: h('div', {}, h('label', { for: id }, title), input) };
};
const choice = (id, title, options) => {
  const input = h('select', { id, name: id }, options.map(([value, text]) => h('option', { value }, text)));
  return { input, element: h('div', {}, h('label', { for: id }, title), input) };
};
/** A form of one line; says what is wrong below itself. */
function form(name, parts, button, run) {
  const error = h('p', { class: 'error', role: 'alert' });
  const submit = h('button', { type: 'submit', class: 'main' }, button);
  const element = h('form', { class: 'line-form', 'aria-label': name }, parts.map((part) => part.element), submit, error);
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    error.textContent = '';
    submit.disabled = true;
    try { await run(); } catch (refused) { error.textContent = refused.message; } finally { submit.disabled = false; }
  });
  return element;
}
/** Shown once, to be copied. */
const once = (place, title, text) => {
  fill(place, h('p', {}, title), h('p', {}, h('code', { class: 'secret', tabindex: '0' }, text)),
    h('button', { type: 'button', onclick: async () => { try { await navigator.clipboard.writeText(text); notice('Copied.'); } catch { notice('Copying is not allowed here; select it.'); } } }, 'Copy'));
};
const all = (text) => text || h('span', { class: 'hint' }, 'all');
const list = (title, columns) => {
  const place = h('div', { class: 'scroll' });
  const shown = (rows, none) => {
    if (!rows.length) { fill(place, h('p', { class: 'hint pad' }, none)); return; }
    const made = table(title, columns);
    made.add(rows);
    fill(place, made.element);
  };
  return { place, shown };
};
const drop = (title, text, button, run) => h('button', { type: 'button', class: 'quiet', onclick: async () => {
  if (!await confirmed(title, text, button)) return;
  try { await run(); } catch (error) { notice(error.message); }
} }, button);
const base = (kind, id) => `/api/v1/${kind}/${encodeURIComponent(id)}`;

async function keys(log) {
  const role = choice('key-role', 'Role', [['submit', 'submit: a web page'], ['ingest', 'ingest: a server'], ['analyst', 'analyst: reviews'], ['admin', 'admin: everything'], ['metrics', 'metrics: Prometheus']]);
  const deployment = field('key-deployment', 'Deployment', { maxlength: 256, placeholder: 'all' });
  const name = field('key-name', 'Name', { maxlength: 100 });
  const test = choice('key-test', 'Test key', [['', 'no'], ['pass', 'always passes'], ['review', 'is always reviewed'], ['fail', 'always fails']]);
  const made = h('div', { class: 'made', 'aria-live': 'polite' });
  const hint = h('p', { class: 'hint small' });
  const load = async () => {
    const told = await get('/api/v1/keys');
    held.shown(told.keys, 'No keys were made here. Those of the settings are not listed.');
    hint.textContent = told.keysRequired ? 'Those of the settings hold as well and are not listed.' : 'The settings hold no key, so everybody on this machine may do everything, with or without one.';
  };
  const held = list('Keys', [
    { head: 'Name', kind: 'words', cell: (row) => row.name || row.id },
    { head: 'Role', cell: (row) => row.role },
    { head: 'Deployment', cell: (row) => all(row.deploymentId) },
    { head: 'Test key', cell: (row) => row.testVerdict ?? 'no' },
    { head: 'Made', kind: 'when', cell: (row) => when(row.createdAt) },
    { head: 'Actions', cell: (row) => drop(`Revoke ${row.name || row.id}?`, 'Whoever uses it is refused at once on this node, and within two seconds on the others.', 'Revoke', async () => { await remove(base('keys', row.id)); await Promise.all([load(), log()]); }) },
  ]);
  const element = card('Keys', { body: false },
    h('div', { class: 'body' }, form('Make a key', [role, deployment, name, test], 'Make key', async () => {
      const told = await post('/api/v1/keys', { role: role.input.value, name: name.input.value, ...(deployment.input.value ? { deploymentId: deployment.input.value } : {}), ...(test.input.value ? { testVerdict: test.input.value } : {}) });
      once(made, 'The key, shown now and never again:', told.key);
      await Promise.all([load(), log()]);
    }), made, hint), held.place);
  await load();
  return element;
}

async function overrides(log) {
  const who = field('override-user', 'User', { maxlength: 256, required: true });
  const action = choice('override-action', 'Sessions', [['deny', 'always fail'], ['allow', 'always pass']]);
  const deployment = field('override-deployment', 'Deployment', { maxlength: 256, placeholder: 'all' });
  const note = field('override-note', 'Note', { maxlength: 500 });
  const load = async () => held.shown((await get('/api/v1/overrides')).overrides, 'There are none.');
  const held = list('Overrides', [
    { head: 'User, as a keyed hash', kind: 'id', cell: (row) => row.user },
    { head: 'Sessions', cell: (row) => (row.action === 'allow' ? 'always pass' : 'always fail') },
    { head: 'Deployment', cell: (row) => all(row.deploymentId) },
    { head: 'Note', kind: 'words', cell: (row) => row.note },
    { head: 'Made', kind: 'when', cell: (row) => when(row.createdAt) },
    { head: 'Actions', cell: (row) => drop('Remove this override?', 'The user’s next sessions are decided by their movement again.', 'Remove', async () => { await remove(base('overrides', row.id)); await Promise.all([load(), log()]); }) },
  ]);
  const element = card('Overrides', { body: false, hint: 'users who pass, or fail, whatever their movement' },
    h('div', { class: 'body' }, form('Make an override', [who, action, deployment, note], 'Make override', async () => {
      await post('/api/v1/overrides', { userId: who.input.value, action: action.input.value, note: note.input.value, ...(deployment.input.value ? { deploymentId: deployment.input.value } : {}) });
      who.input.value = '';
      await Promise.all([load(), log()]);
    })), held.place);
  await load();
  return element;
}

const span = (hours) => (hours === null ? h('span', { class: 'hint' }, 'as the settings say') : plural(hours, 'hour'));

async function retention(log) {
  const deployment = field('retention-deployment', 'Deployment', { maxlength: 256, required: true });
  const telemetry = field('retention-telemetry', 'Paths, hours', { type: 'number', min: 1, max: 87600, placeholder: 'as set' });
  const results = field('retention-results', 'Everything, hours', { type: 'number', min: 1, max: 87600, placeholder: 'as set' });
  const load = async () => held.shown((await get('/api/v1/retention')).deployments, 'Every deployment’s sessions are kept as long as the settings say.');
  const held = list('Retention', [
    { head: 'Deployment', kind: 'words', cell: (row) => row.deploymentId },
    { head: 'Paths', cell: (row) => span(row.telemetryHours) },
    { head: 'Everything', cell: (row) => span(row.resultsHours) },
    { head: 'Actions', cell: (row) => drop(`Keep the sessions of ${row.deploymentId} as long as the settings say?`, 'What is gone stays gone.', 'Reset', async () => { await remove(path('/api/v1/retention', { deploymentId: row.deploymentId })); await Promise.all([load(), log()]); }) },
  ]);
  const element = card('Retention', { body: false, hint: 'deployments whose sessions are kept for less time than the settings say' },
    h('div', { class: 'body' }, form('Keep for less time', [deployment, telemetry, results], 'Keep for less time', async () => {
      const hours = (name, input) => (input.value ? { [name]: Number(input.value) } : {});
      const rule = { ...hours('telemetryHours', telemetry.input), ...hours('resultsHours', results.input) };
      const until = [rule.telemetryHours && `paths after ${plural(rule.telemetryHours, 'hour')}`, rule.resultsHours && `everything after ${plural(rule.resultsHours, 'hour')}`].filter(Boolean).join(', ');
      if (until && !await confirmed(`Remove finished sessions of ${deployment.input.value}?`, `What is older goes within a minute and cannot be had back: ${until}.`, 'Remove them')) return;
      await post('/api/v1/retention', { deploymentId: deployment.input.value, ...rule });
      await Promise.all([load(), log()]);
    })), held.place);
  await load();
  return element;
}

async function webhooks(log) {
  const url = field('webhook-url', 'Address', { type: 'url', maxlength: 2048, required: true, placeholder: 'https://example.com/hook' });
  const deployment = field('webhook-deployment', 'Deployment', { maxlength: 256, placeholder: 'all' });
  const events = choice('webhook-events', 'Told of', [['', 'results and changes'], ['verdict.final', 'results'], ['verdict.changed', 'changes']]);
  const made = h('div', { class: 'made', 'aria-live': 'polite' });
  const told = h('div');
  const load = async () => held.shown((await get('/api/v1/webhooks')).webhooks, 'There are none.');
  const deliveries = async (row) => {
    const answer = await get(path(`${base('webhooks', row.id)}/deliveries`, { limit: 50 }));
    const lines = table(`What ${row.url} was told`, [
      { head: 'Event', cell: (one) => one.event },
      { head: 'State', cell: (one) => h('span', { class: `tag ${{ delivered: 'pass', waiting: 'review', given_up: 'fail' }[one.state] ?? 'plain'}` }, one.state.replace('_', ' ')) },
      { head: 'Attempts', kind: 'n', cell: (one) => count(one.attempts) },
      { head: 'Happened', kind: 'when', cell: (one) => when(one.createdAt) },
      { head: 'Answer', kind: 'words', span: true, cell: (one) => one.error ?? (one.status ? `answered ${one.status}` : '') },
      { head: 'Actions', cell: (one) => (one.state === 'delivered' || one.state === 'given_up') && h('button', { type: 'button', class: 'quiet', onclick: () => act(row, 'redeliver', { deliveryId: one.id }, 'It is sent again.') }, 'Send again') },
    ]);
    lines.add(answer.deliveries);
    fill(told, h('div', { class: 'body' }, h('div', { class: 'head' }, h('h2', {}, `What ${row.url} was told`), h('span', { class: 'push' },
      h('button', { type: 'button', onclick: async ({ target }) => { target.disabled = true; try { await deliveries(row); } catch (error) { notice(error.message); target.disabled = false; } } }, 'Refresh'),
      h('button', { type: 'button', onclick: () => act(row, 'redeliver', {}, 'What was given up is sent again.') }, 'Send what was given up')))),
    answer.deliveries.length ? h('div', { class: 'scroll' }, lines.element) : h('p', { class: 'hint pad' }, 'Nothing yet.'));
  };
  const act = async (row, what, body, words) => {
    try {
      await post(`${base('webhooks', row.id)}/${what}`, body);
      notice(words);
      await Promise.all([deliveries(row), log()]);
    } catch (error) { notice(error.message); }
  };
  const held = list('Webhooks', [
    { head: 'Address', kind: 'words', span: true, cell: (row) => row.url },
    { head: 'Deployment', cell: (row) => all(row.deploymentId) },
    { head: 'Told of', cell: (row) => row.endedAt ? 'nothing: it answered 410 Gone; a test that it takes resumes it' : row.events.join(', ') },
    { head: 'Made', kind: 'when', cell: (row) => when(row.createdAt) },
    { head: 'Actions', span: true, cell: (row) => [
      h('button', { type: 'button', class: 'quiet', onclick: () => deliveries(row).catch((error) => notice(error.message)) }, 'Deliveries'),
      h('button', { type: 'button', class: 'quiet', onclick: () => act(row, 'test', {}, 'A test is on its way.') }, 'Send a test'),
      drop(`Remove ${row.url}?`, 'What it was not told yet is forgotten.', 'Remove', async () => { await remove(base('webhooks', row.id)); fill(told); await Promise.all([load(), log()]); })] },
  ]);
  const element = card('Webhooks', { body: false },
    h('div', { class: 'body' }, form('Make a webhook', [url, deployment, events], 'Make webhook', async () => {
      const answer = await post('/api/v1/webhooks', { url: url.input.value, ...(deployment.input.value ? { deploymentId: deployment.input.value } : {}), ...(events.input.value ? { events: [events.input.value] } : {}) });
      once(made, 'What signs its deliveries, shown now and never again:', answer.secret);
      await Promise.all([load(), log()]);
    }), made), held.place, told);
  await load();
  return element;
}

function audit() {
  const held = list('Audit log', [
    { head: 'When', kind: 'when', cell: (row) => when(row.at) },
    { head: 'Action', cell: (row) => row.action },
    { head: 'By', kind: 'id', cell: (row) => row.actorName ?? row.actor },
    { head: 'To', kind: 'id', cell: (row) => row.target },
    { head: 'Detail', kind: 'words', span: true, cell: (row) => Object.entries(row.detail ?? {}).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`).join(', ') },
  ]);
  const told = h('span');
  const more = h('button', { type: 'button' }, 'Show more');
  let rows = [];
  let cursor = null;
  const load = async (next) => {
    const answer = await get(path('/api/v1/audit', { limit: 20, cursor: next }));
    rows = next ? [...rows, ...answer.entries] : answer.entries;
    cursor = answer.nextCursor;
    held.shown(rows, 'Nothing is in it yet.');
    told.textContent = plural(rows.length, 'entry', 'entries');
    more.hidden = cursor === null;
  };
  more.addEventListener('click', () => load(cursor).catch((error) => notice(error.message)));
  const element = card('Audit log', { body: false, hint: 'playproof-batch audit verify checks it' }, held.place, h('div', { class: 'foot' }, told, more));
  return { element, load: () => load(null) };
}

export async function show(place) {
  const log = audit();
  const cards = await Promise.all([keys(log.load), webhooks(log.load), overrides(log.load), retention(log.load)]);
  await log.load();
  fill(place, h('div', { class: 'head' }, h('h1', {}, 'Access and connections')), h('div', { class: 'stack' }, cards, log.element));
}
