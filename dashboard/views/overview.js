// Overview: how decisions go, what changed against the period before, and what waits for a person.

import { get, path } from '../api.js';
import { bars, chart } from '../chart.js';
import { card, count, fill, h, plural, share, span, table, when } from '../dom.js';

const RANGES = [['1h', '1 hour'], ['6h', '6 hours'], ['24h', '24 hours'], ['7d', '7 days'], ['30d', '30 days'], ['90d', '90 days']];
const total = (tally) => tally.pass + tally.review + tally.fail;
const percent = (part, whole) => (whole === 0 ? '–' : share(part / whole));
/** The filter of the list of sessions that shows a part. */
const FILTERS = { decision: 'decision', deployment: 'deploymentId', device: 'deviceType', reason: 'reason' };

export async function show(place, { query, user, onleave }) {
  const stopped = new AbortController();
  onleave(() => stopped.abort());
  const range = RANGES.some(([name]) => name === query.get('range')) ? query.get('range') : '24h';
  const deploymentId = user.deploymentId ?? query.get('deploymentId') ?? '';
  const told = await get(path('/api/v1/overview', { range, deploymentId }), { signal: stopped.signal });
  const toSessions = (more) => path('#/sessions', { deploymentId, since: told.since, ...more });

  const ranges = h('div', { class: 'row', role: 'group', 'aria-label': 'Range' }, RANGES.map(([name, words]) =>
    h('a', { class: 'button', href: path('#/overview', { range: name, deploymentId: query.get('deploymentId') }), 'aria-current': name === range ? 'true' : null, 'aria-label': `${name}: ${words}` }, name)));
  const whose = h('select', { 'aria-label': 'Deployment' }, h('option', { value: '' }, 'All deployments'),
    [...new Set([...told.deployments.map((one) => one.name), deploymentId])].filter(Boolean).sort().map((name) => h('option', { value: name, selected: name === deploymentId }, name)));
  whose.addEventListener('change', () => { location.hash = path('#/overview', { range, deploymentId: whose.value }); });

  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Overview'), h('div', { class: 'push' }, ranges, user.deploymentId ? null : whose)),
    figures(told, toSessions, user),
    h('div', { class: 'grid wide' },
      h('div', { class: 'stack' }, decisions(told, onleave), parts('Top reasons', 'Reason', told.reasons.slice(0, 12), told, (row) => toSessions({ reason: row.name }))),
      h('div', { class: 'stack' }, changes(told, toSessions),
        parts('By device', 'Device', told.devices, told, (row) => (row.name === 'other' ? null : toSessions({ deviceType: row.name }))),
        user.deploymentId || deploymentId ? null : parts('By deployment', 'Deployment', told.deployments.slice(0, 20), told, (row) => (row.name ? toSessions({ deploymentId: row.name }) : null)),
        parts('By model', 'Model', told.models.slice(0, 10), told, () => null))));
}

function figures(told, toSessions, user) {
  const { decisions: now, before, review, campaigns, people } = told;
  const was = (decision) => (total(before) ? `${percent(before[decision], total(before))} before` : 'nothing before');
  const figure = (name, value, note, href) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, href ? h('a', { href }, value) : value, h('span', { class: 'note' }, note)));
  const ends = people.interval?.map((end) => share(end, 0));
  return h('dl', { class: 'card figures seven' },
    figure('Decided', count(total(now)), `${count(total(before))} before`, toSessions({})),
    ...['pass', 'review', 'fail'].map((name) => figure({ pass: 'Passed', review: 'To review', fail: 'Failed' }[name],
      percent(now[name], total(now)), was(name), toSessions({ decision: name }))),
    figure('Review backlog', `${count(review.waiting)}${review.isMore ? '+' : ''}`,
      review.oldest ? `oldest ${span((Date.now() - Date.parse(review.oldest)) / 1000)}` : 'nothing waits', '#/review'),
    figure('Open campaigns', count(campaigns.open), campaigns.open ? plural(campaigns.sessions, 'session') : 'none grew in a day', '#/campaigns'),
    figure('People that pass', percent(people.passed, people.labelled),
      people.labelled ? `${ends[0]} to ${ends[1]} of ${plural(people.labelled, 'labelled person', 'labelled people')}` : 'nobody was labelled', user ? '#/review' : null));
}

function decisions(told, onleave) {
  const begin = Date.parse(told.since) / 1000;
  const steps = Math.round((Date.parse(told.until) / 1000 - begin) / told.stepSeconds);
  const sums = Array.from({ length: steps }, () => ({ pass: 0, review: 0, fail: 0 }));
  for (const step of told.steps) {
    const sum = sums[Math.round((Date.parse(step.at) / 1000 - begin) / told.stepSeconds)];
    if (!sum) continue;
    for (const name of ['pass', 'review', 'fail']) sum[name] += step[name];
  }
  const at = sums.map((_, i) => begin + i * told.stepSeconds);
  const long = told.stepSeconds >= 21600;
  const words = (t) => new Date(t * 1000).toLocaleString('en-GB', long ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' });
  const drawing = h('div', { class: 'chart', role: 'img', 'aria-label': `Decisions by ${span(told.stepSeconds)}; the numbers are in the table below` });
  const list = table('Decisions over time', [
    { head: 'From', kind: 'when', cell: (row) => when(new Date(row.at * 1000).toISOString()) },
    ...['pass', 'review', 'fail'].map((name) => ({ head: name, kind: 'n', cell: (row) => count(row[name]) })),
    { head: 'passed', kind: 'n', cell: (row) => percent(row.pass, total(row)) },
  ]);
  list.add(sums.map((sum, i) => ({ at: at[i], ...sum })).filter((row) => total(row) > 0));
  const result = card('Decisions over time', { hint: `by ${span(told.stepSeconds)}` },
    total(told.decisions) === 0 ? h('p', { class: 'hint' }, 'Nothing was decided in this time.') : [
      h('ul', { class: 'legend' }, ['pass', 'review', 'fail'].map((name) => h('li', {}, h('i', { class: `block c-${name}` }), name))), drawing,
      h('details', {}, h('summary', {}, 'In numbers'), h('div', { class: 'scroll' }, list.element))]);
  if (total(told.decisions) === 0) return result;
  // A chart has a size once it is in the page.
  const begun = new ResizeObserver(() => {
    if (!drawing.clientWidth) return;
    begun.disconnect();
    // Each bar is drawn over the one behind it, which is taller by the next decision.
    onleave(chart(drawing, {
      height: 220, time: true, series: [bars('--fail'), bars('--review'), bars('--pass')],
      x: { size: 28, space: 74, values: (_, ticks) => ticks.map(words) },
      y: { size: 52, space: 34, values: (_, ticks) => ticks.map((n) => (Number.isInteger(n) ? count(n) : '')) },
      scales: { x: { time: true, range: [begin, begin + steps * told.stepSeconds] }, y: { range: (_, min, max) => [0, Math.max(4, max * 1.08)] } },
    }, [at, sums.map(total), sums.map((sum) => sum.pass + sum.review), sums.map((sum) => sum.pass)]).end);
  });
  begun.observe(drawing);
  onleave(() => begun.disconnect());
  return result;
}

function changes(told, toSessions) {
  const link = (change) => {
    const filter = FILTERS[change.of];
    return filter && change.name && change.name !== 'other' ? toSessions({ [filter]: change.name }) : null;
  };
  const more = (change) => Math.abs(change.share - change.before);
  return card('What changed', { id: 'changed', hint: `against the ${told.range} before` },
    total(told.before) === 0 ? h('p', { class: 'hint' }, 'Nothing was decided in the time before, so nothing can be compared.')
      : told.changes.length === 0 ? h('p', { class: 'hint' }, 'No share moved by more than chance.')
        : h('ul', { class: 'list' }, told.changes.map((change) => h('li', {},
          h('p', { class: 'words' }, link(change) ? h('a', { href: link(change) }, change.words) : change.words),
          h('p', { class: 'hint small' }, `${(100 * more(change)).toFixed(1)} points`)))));
}

/** A table of parts with their share of sessions and of what passes, now and before. */
function parts(title, head, rows, told, link) {
  if (rows.length === 0) return null;
  // The share before stands in grey, where there was anything before.
  const beside = (now, before) => [now, before === '–' ? null : h('span', { class: 'hint small' }, ` ${before}`)];
  const name = (row) => row.message ?? (row.name || 'none');
  const ofAll = (row) => beside(percent(total(row.now), total(told.decisions)), percent(total(row.before), total(told.before)));
  const list = table(title, [
    { head, kind: rows[0].message ? 'words' : 'named', span: true, cell: (row) => { const to = link(row); return to ? h('a', { href: to }, name(row)) : name(row); } },
    { head: 'Sessions', kind: 'n', cell: (row) => count(total(row.now)) },
    { head: 'Share', kind: 'n', cell: ofAll },
    ...(rows[0].message ? [] : [{ head: 'Passes', kind: 'n', cell: (row) => beside(percent(row.now.pass, total(row.now)), percent(row.before.pass, total(row.before))) }]),
  ]);
  list.add(rows);
  return card(title, { body: false, hint: total(told.before) ? 'in grey: before' : null }, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title }, list.element));
}
