// Now: what waits, what comes and goes, what went wrong; and the scheduler's switch. Told by the service once a second.

import { listen, post } from '../api.js';
import { area, chart, line } from '../chart.js';
import { card, confirmed, count, decision, fill, fixed, h, notice, plural, say, span, table, toSession, when } from '../dom.js';
import { inWords } from '../reasons.js';

const STATES = [
  ['ready', 'Ready'], ['leased', 'In a batch'], ['delayed', 'Retry later'], ['failed', 'Failed'], ['processed', 'Decided'],
];

export function show(place, { onleave }) {
  const figures = {};
  const figure = (key, name) => {
    figures[key] = { value: h('span', {}, '–'), note: h('span', { class: 'note' }) };
    return h('div', {}, h('dt', {}, name), h('dd', {}, figures[key].value, figures[key].note));
  };
  const tell = (key, value, note = '', bad = false) => {
    say(figures[key].value, value);
    say(figures[key].note, note);
    figures[key].value.className = bad ? 'bad' : '';
  };

  const act = (name, run) => {
    const button = h('button', { type: 'button' }, name);
    button.addEventListener('click', async () => {
      button.disabled = true;
      try { await run(); } catch (error) { notice(error.message); } finally { button.disabled = false; }
    });
    return button;
  };
  const start = act('Start scheduler', async () => notice((await post('/api/v1/batch/scheduler/start')).message + '.'));
  const stop = act('Stop scheduler', async () => {
    const text = 'Batches in flight finish; no more start by themselves, on any node and after restarts too, until somebody starts it again. Sessions are still accepted and wait.';
    if (await confirmed('Stop the scheduler?', text, 'Stop scheduler')) notice((await post('/api/v1/batch/scheduler/stop')).message + '.');
  });
  const run = act('Run batches now', async () => notice((await post('/api/v1/batch/process')).message + '.'));
  const requeue = act('Send failed sessions back', async () => {
    const text = 'Each is tried again, with all its attempts. Mend the cause first: what failed for its own content fails again.';
    if (!await confirmed('Send the failed sessions back to the queue?', text, 'Send them back')) return;
    notice(`${plural((await post('/api/v1/batch/dead/requeue')).requeued, 'session')} sent back.`);
  });
  requeue.hidden = true;
  start.hidden = true;
  const state = h('span', { class: 'tag plain' }, '…');
  const trouble = h('p', { class: 'alert', role: 'alert', hidden: true });

  const segments = STATES.slice(0, 4).map(([key]) => h('i', { class: `s-${key}` }));
  const meter = h('div', { class: 'states', 'aria-hidden': 'true' }, segments);
  const amounts = Object.fromEntries(STATES.map(([key]) => [key, h('dd', {}, '–')]));
  const key = h('dl', { class: 'key' }, STATES.map(([name, text]) =>
    h('div', {}, h('dt', {}, h('i', { class: `s-${name}` }), text), amounts[name])));

  const flow = h('div', { class: 'chart', role: 'img', 'aria-label': 'Arrivals and verdicts of the last half hour' });
  const legend = { arrivals: h('b', {}, '–'), verdicts: h('b', {}, '–') };
  const errors = h('div');
  const nodes = h('div', { class: 'scroll' });
  const verdicts = h('div', { class: 'scroll' });

  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Now'), state, h('div', { class: 'push' }, run, start, stop)),
    trouble,
    h('dl', { class: 'card figures' },
      figure('waiting', 'Waiting'), figure('age', 'Oldest waits'), figure('arrivals', 'Arrivals a minute'),
      figure('verdicts', 'Verdicts a minute'), figure('flight', 'Batches in flight'), figure('circuit', 'Detector')),
    h('div', { class: 'grid wide now' },
      h('div', { class: 'stack' },
        card('Arrivals and verdicts', { hint: 'a minute, last half hour' },
          h('ul', { class: 'legend' },
            h('li', {}, h('i', { class: 'c-1' }), 'Arrivals', legend.arrivals), h('li', {}, h('i', { class: 'c-2' }), 'Verdicts', legend.verdicts)),
          flow),
        card('Newest verdicts', { body: false, kind: 'last' }, verdicts)),
      h('div', { class: 'stack' },
        card('Sessions by state', {}, meter, key, requeue),
        card('Last errors', {}, errors),
        card('Nodes', { body: false }, nodes))));

  const drawn = chart(flow, {
    height: 190, time: true, series: [area('--series-1'), line('--series-2', { dash: [6, 4] })],
    x: { size: 28, space: 70, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })) },
    y: { size: 44, space: 34, values: (_, ticks) => ticks.map((n) => (Number.isInteger(n) ? count(n) : '')) },
    scales: { y: { range: (_, min, max) => [0, Math.max(6, max * 1.1)] } },
  }, [[], [], []]);
  onleave(drawn.end);

  const seen = { errors: '', verdicts: '', nodes: '' };
  /** Rebuilds a part only where it changed. */
  const changed = (part, value) => {
    const text = JSON.stringify(value);
    if (seen[part] === text) return false;
    seen[part] = text;
    return true;
  };

  let heard = null;
  let known = false;
  const link = document.getElementById('live');
  /** What is shown is of the past from now on: grey, with its time. */
  function old(why) {
    place.classList.add('stale');
    link.classList.add('lost');
    say(link, heard ? `${why}, as of ${new Date(heard).toLocaleTimeString('en-GB')}` : why);
  }

  function moment(now) {
    trouble.hidden = true;
    heard = now.at;
    place.classList.remove('stale');
    link.classList.remove('lost');
    say(link, 'Live');
    if (known !== now.circuitOpen) dispatchEvent(new Event('outage'));
    known = now.circuitOpen;
    const { queue, scheduler, history } = now;
    tell('waiting', count(queue.unprocessed), queue.delayed ? `${count(queue.delayed)} for a retry` : '');
    tell('age', now.oldestReadySeconds === null ? '–' : span(now.oldestReadySeconds), now.oldestReadySeconds === null ? 'nobody waits' : '');
    // What a young node saw is told as it is: a few seconds say nothing about a minute.
    const rate = (steps) => {
      const last = steps.slice(-Math.round(60 / history.stepSeconds));
      return last.length ? last.reduce((sum, n) => sum + n, 0) : null;
    };
    const seconds = Math.min(60, history.arrivals.length * history.stepSeconds);
    const over = seconds < 60 ? `in the last ${seconds} s` : 'over the last minute';
    for (const name of ['arrivals', 'verdicts']) {
      const value = rate(history[name]);
      tell(name, value === null ? '–' : count(value), value === null ? 'counted from now on' : over);
      say(legend[name], value === null ? '–' : count(value));
    }
    tell('flight', count(now.batchesInFlight), scheduler.lastProcessed ? 'on this node' : 'none ran yet');
    tell('circuit', now.circuitOpen ? 'Away' : 'Answers', now.circuitOpen ? 'sessions wait; it is probed' : 'circuit closed', now.circuitOpen);
    say(state, scheduler.running ? 'Scheduler runs' : 'Scheduler is stopped');
    state.className = `tag ${scheduler.running ? 'pass' : 'review'}`;
    start.hidden = scheduler.running;
    stop.hidden = !scheduler.running;

    const live = queue.ready + queue.leased + queue.delayed + queue.failed;
    segments.forEach((segment, i) => { segment.style.width = `${live ? (100 * queue[STATES[i][0]]) / live : 0}%`; });
    for (const [name] of STATES) say(amounts[name], count(queue[name]));
    requeue.hidden = queue.failed === 0;

    const end = Date.parse(history.until) / 1000;
    const steps = history.arrivals.length;
    const whole = 1800 / history.stepSeconds;
    const minute = 60 / history.stepSeconds;
    const times = Array.from({ length: whole }, (_, i) => end - (whole - 1 - i) * history.stepSeconds);
    const values = (list) => [...Array(whole - steps).fill(null), ...list.map((n) => n * minute)];
    drawn.set([times, values(history.arrivals), values(history.verdicts)]);
    flow.setAttribute('aria-label', `Last half hour, a minute: ${legend.arrivals.textContent} arrivals and ${legend.verdicts.textContent} verdicts in the last minute.`);

    if (changed('errors', now.errors)) {
      fill(errors, now.errors.length === 0 ? h('p', { class: 'hint' }, 'None in the last 20 batches, and no session failed.') :
        h('ul', { class: 'list' }, now.errors.map((error) => h('li', {},
          h('div', { class: 'top' },
            error.batchId !== null ? h('a', { href: `#/batch/${error.batchId}` }, `Batch ${error.batchId}`) : h('a', { href: toSession(error.sessionId, error.deploymentId) }, error.sessionId),
            h('span', {}, error.outcome), h('span', { class: 'hint' }, when(error.at))),
          h('p', { class: 'words small' }, error.message)))));
    }
    if (changed('nodes', now.nodes.map(({ id, alive, draining }) => [id, alive, draining]))) {
      const list = table('Nodes on this store', [
        { head: 'Node', kind: 'id', cell: (node) => node.id }, { head: 'Address', kind: 'bare', cell: (node) => node.address },
        { head: 'State', kind: 'bare', cell: (node) => h('span', { class: `tag ${node.alive ? 'pass' : 'fail'}` }, node.draining ? 'draining' : node.alive ? 'alive' : 'silent') },
      ]);
      list.add(now.nodes);
      fill(nodes, list.element);
    }
    if (changed('verdicts', now.verdicts)) {
      const list = table('Newest verdicts', [
        { head: 'Time', kind: 'when', cell: (row) => when(row.scoredAt) },
        { head: 'Session', kind: 'id', cell: (row) => h('a', { href: toSession(row.sessionId, row.deploymentId) }, row.sessionId) },
        { head: 'Decision', kind: 'bare', cell: (row) => decision(row.decision) },
        { head: 'Score', kind: 'n', cell: (row) => fixed(row.anomalyScore) },
        { head: 'Reasons', kind: 'line', span: true, cell: (row) => inWords(row.reasons) },
      ]);
      list.add(now.verdicts);
      fill(verdicts, now.verdicts.length ? list.element : h('p', { class: 'empty' }, 'No verdicts yet. POST a session to /api/v1/score to see one.'));
    }
  }

  link.hidden = false;
  link.classList.remove('lost');
  say(link, 'Connecting');
  onleave(listen({
    moment,
    trouble: (text) => { trouble.hidden = false; say(trouble, text); old('Not up to date'); },
    state: (connected) => { if (!connected) old('Connection lost'); },
  }));
}

