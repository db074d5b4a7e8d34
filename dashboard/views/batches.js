// Batches: what ran, why, how long it took and how far two detectors agreed; and one of them with its sessions.

import { get, path } from '../api.js';
import { card, count, decision, fill, fixed, h, plural, table, toSession, when } from '../dom.js';

const TRIGGERS = { full: 'full', min_batch: 'enough waited', max_wait: 'waited long enough', retry: 'retry', manual: 'by hand' };
const KIND = { scored: 'pass', partial: 'review', retried: 'review', failed: 'fail', abandoned: 'fail' };

const outcome = (batch) => h('span', { class: `tag ${KIND[batch.outcome] ?? 'plain'}` }, batch.outcome ?? 'running');
const ms = (n) => (n === null ? '–' : `${n < 100 ? n.toFixed(1) : count(n)} ms`);
const agreement = (batch) => (batch.agreement === null ? '–' : batch.agreement.rankCorrelation === null ? 'only flags' : fixed(batch.agreement.rankCorrelation));

const COLUMNS = [
  { head: 'Batch', cell: (row) => h('a', { href: `#/batch/${row.batchId}` }, row.batchId) },
  { head: 'Claimed', kind: 'when', cell: (row) => when(row.claimedAt) },
  { head: 'Outcome', kind: 'bare', cell: outcome },
  { head: 'Trigger', cell: (row) => TRIGGERS[row.trigger] ?? row.trigger },
  { head: 'Size', kind: 'n', cell: (row) => count(row.size) },
  { head: 'Calls', kind: 'n', cell: (row) => count(row.attempts) },
  { head: 'Took', kind: 'n', cell: (row) => ms(row.durationMs) },
  { head: 'Detector', kind: 'n', cell: (row) => ms(row.detectorMs) },
  { head: 'Source', cell: (row) => row.source },
  { head: 'Agreement', kind: 'n', cell: agreement },
  { head: 'Flips', kind: 'n', cell: (row) => (row.agreement === null ? '–' : count(row.agreement.flips)) },
  { head: 'Error', kind: 'words', span: true, cell: (row) => row.error ?? '' },
];

export async function list(place, { onleave }) {
  const stopped = new AbortController();
  onleave(() => stopped.abort());
  const all = table('Batches, newest first', COLUMNS);
  const more = h('button', { type: 'button', hidden: true }, 'Show more');
  const told = h('span', { role: 'status' });
  const fresh = h('button', { type: 'button', onclick: () => dispatchEvent(new Event('hashchange')) }, 'Refresh');
  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Batches'), h('div', { class: 'push' }, fresh)),
    h('section', { class: 'card', 'aria-label': 'Batches' }, h('div', { class: 'scroll' }, all.element), h('div', { class: 'foot' }, told, more)),
    h('p', { class: 'hint small after' }, 'Agreement is the rank correlation with the shadow detector, from −1 to 1; flips are sessions that it would have decided differently. Neither is there without a second detector.'));
  let cursor = null;
  let rows = 0;
  const load = async () => {
    more.disabled = true;
    try {
      const page = await get(path('/api/v1/batch/batches', { limit: 50, cursor }), { signal: stopped.signal });
      all.add(page.batches);
      rows += page.batches.length;
      cursor = page.nextCursor;
      more.hidden = cursor === null;
      told.textContent = rows === 0 ? 'No batch ran yet.' : cursor === null ? `${plural(rows, 'batch', 'batches')}, that is all.` : `${plural(rows, 'batch', 'batches')} shown.`;
    } finally {
      more.disabled = false;
    }
  };
  more.addEventListener('click', () => load().catch((error) => { told.textContent = error.message; }));
  await load();
}

export async function one(place, { id }) {
  document.title = `Batch ${id} · PlayProof Batch`;
  const batch = await get(`/api/v1/batch/batches/${encodeURIComponent(id)}`);
  const fact = (name, value) => (value === null || value === '' ? null : [h('dt', {}, name), h('dd', {}, value)]);
  const members = table('Sessions of the batch', [
    { head: 'Session', kind: 'id', span: true, cell: (row) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId) },
    { head: 'Decision', kind: 'bare', cell: (row) => (row.decision === null ? h('span', { class: 'hint' }, 'none yet') : decision(row.decision)) },
    { head: 'Score', kind: 'n', cell: (row) => (row.anomalyScore === null ? '–' : fixed(row.anomalyScore)) },
    { head: 'Deployment', cell: (row) => row.deploymentId },
  ]);
  members.add(batch.sessions);
  fill(place,
    h('div', { class: 'head' }, h('a', { class: 'button', href: '#/batches' }, '‹ Batches'), h('h1', {}, `Batch ${batch.batchId}`), outcome(batch)),
    h('div', { class: 'grid wide' },
      card(plural(batch.sessions.length, 'session'), { body: false, hint: batch.sessions.length < batch.size ? `of ${batch.size}; the others were erased or pruned` : null },
        h('div', { class: 'scroll' }, members.element)),
      h('div', { class: 'stack' }, card('Facts', {}, h('dl', { class: 'facts' },
        fact('Trigger', TRIGGERS[batch.trigger] ?? batch.trigger), fact('Size', plural(batch.size, 'session')),
        fact('Claimed', when(batch.claimedAt)), fact('Finished', batch.finishedAt === null ? 'not yet' : when(batch.finishedAt)),
        fact('Took', ms(batch.durationMs)), fact('In the detector', ms(batch.detectorMs)),
        fact('Calls', count(batch.attempts)), fact('Source', batch.source), fact('Node', h('span', { class: 'code' }, batch.owner)),
        fact('Agreement', batch.agreement === null ? 'no second detector scored' : `${agreement(batch)} over ${plural(batch.agreement.sessions, 'session')}, ${plural(batch.agreement.flips, 'flip')}`),
        fact('False discovery', batch.falseDiscovery === null ? 'none failed by a calibrated score' : `largest adjusted p ${fixed(batch.falseDiscovery.adjustedP, 4)} among its failed sessions, of ${plural(batch.falseDiscovery.sessions, 'session')} together`),
        fact('Error', batch.error))))));
}
