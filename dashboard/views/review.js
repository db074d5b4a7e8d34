// Review: the session of which a label would say most, its path, and two keys to say what it is.

import { get, path, post, remove } from '../api.js';
import { card, count, decision, fill, fixed, h, notice, plural, say, toSession, when } from '../dom.js';
import { labels, progress } from './labels.js';
import { drawing, why } from './session.js';

const AHEAD = 20;
const share = (n) => `${Math.round(100 * n)} %`;

export async function show(place, { user, onleave }) {
  const whose = user.deploymentId ?? '';
  let queue = await get(path('/api/v1/review', { limit: AHEAD }));
  let at = 0;
  // What keys speak of: nothing while the next session loads, so that none judges what nobody saw.
  let current = null;
  let onScreen = null;
  let busy = false;
  let chosen = null;
  let last = null;
  let done = 0;
  const bars = progress();
  let ends = [];
  let turn = 0;
  const leave = () => ends.splice(0).forEach((end) => end());
  onleave(leave);

  const told = h('p', { class: 'hint', 'aria-live': 'polite' });
  const stage = h('div', { class: 'stack' });
  const side = h('div', { class: 'stack' });
  const human = h('button', { type: 'button', 'aria-pressed': 'false', 'aria-keyshortcuts': 'h' }, 'Human (H)');
  const bot = h('button', { type: 'button', 'aria-pressed': 'false', 'aria-keyshortcuts': 'b' }, 'Bot (B)');
  const save = h('button', { type: 'button', class: 'main', disabled: true, 'aria-keyshortcuts': 'Enter' }, 'Save (Enter)');
  const skip = h('button', { type: 'button', class: 'quiet', 'aria-keyshortcuts': 's' }, 'Skip (S)');
  const undo = h('button', { type: 'button', class: 'quiet', disabled: true, 'aria-keyshortcuts': 'u' }, 'Undo (U)');
  const note = h('input', { type: 'text', id: 'note', maxlength: 500, autocomplete: 'off' });

  function choose(label) {
    chosen = current ? label : null;
    human.setAttribute('aria-pressed', String(chosen === 'human'));
    bot.setAttribute('aria-pressed', String(chosen === 'bot'));
    save.disabled = chosen === null;
  }

  function hold() {
    current = null;
    busy = true;
    choose(null);
    for (const button of [human, bot, skip]) button.disabled = true;
  }

  function release(session) {
    current = onScreen = session;
    busy = false;
    for (const button of [human, bot]) button.disabled = !session;
    skip.disabled = !queue.sessions[at];
  }

  const labelRoute = (session) => path(`/api/v1/sessions/${encodeURIComponent(session.sessionId)}/label`, { deploymentId: session.deploymentId });

  async function keep() {
    const session = current;
    if (!session || chosen === null) return;
    const label = chosen;
    hold();
    try {
      await post(labelRoute(session), { label, note: note.value });
      last = { session, label };
      undo.disabled = false;
      done += 1;
      bars.add(label === 'human' ? 1 : 0);
      note.value = '';
      await next();
      notice(`${session.sessionId} is a ${label}.`);
    } catch (error) {
      notice(error.message);
      release(onScreen);
    }
  }

  /** After every label the order is new. */
  async function next() {
    const mine = ++turn;
    const fresh = await get(path('/api/v1/review', { limit: AHEAD }));
    if (mine !== turn) return;
    queue = fresh;
    at = 0;
    await shown();
  }

  async function back() {
    if (!last) return;
    hold();
    const { session, label } = last;
    last = null;
    undo.disabled = true;
    try {
      await remove(labelRoute(session));
      done = Math.max(0, done - 1);
      bars.add(label === 'human' ? -1 : 0);
      await next();
      notice(`${session.sessionId} is not labelled any more.`);
    } catch (error) {
      notice(error.message);
      release(onScreen);
    }
  }

  async function pass() {
    if (busy) return;
    if (at + 1 < queue.sessions.length) { at += 1; await shown(); } else notice('That was the last of the queue for now.');
  }

  async function shown() {
    const mine = ++turn;
    leave();
    hold();
    const session = queue.sessions[at];
    say(told, session ? `${plural(done, 'session')} labelled now, ${plural(queue.labels, 'label')} known; ${count(queue.considered)} without one.` : 'Nothing is left to review.');
    if (!session) { fill(stage); fill(side); release(null); return; }
    const of = (route) => path(route, { deploymentId: session.deploymentId });
    const id = encodeURIComponent(session.sessionId);
    const gone = (error) => ({ gone: error.message });
    let answer;
    let drawn;
    try {
      const [result, telemetry] = await Promise.all([get(of(`/api/v1/batch/result/${id}`)), get(of(`/api/v1/sessions/${id}/telemetry`)).catch(gone)]);
      if (mine !== turn) return;
      answer = result;
      drawn = await drawing(telemetry, answer, session.deploymentId, (end) => ends.push(end));
    } catch (error) {
      if (mine !== turn) return;
      fill(stage, h('p', { class: 'error', role: 'alert' }, `${session.sessionId} cannot be shown: ${error.message} Skip it.`));
      fill(side);
      release(null);
      return;
    }
    if (mine !== turn) return;
    fill(stage, drawn);
    fill(side,
      why(answer),
      card('Why it is shown', {}, h('dl', { class: 'facts' },
        h('dt', {}, 'Guess that it is a bot'), h('dd', {}, share(session.likelihood)),
        h('dt', {}, 'Uncertain'), h('dd', {}, share(session.uncertainty)),
        h('dt', {}, 'Unlike what was labelled'), h('dd', {}, share(session.novelty)),
        h('dt', {}, 'Score'), h('dd', {}, fixed(session.anomalyScore)),
        h('dt', {}, 'Session'), h('dd', {}, h('a', { href: toSession(session.sessionId, session.deploymentId) }, session.sessionId)),
        session.deploymentId ? [h('dt', {}, 'Deployment'), h('dd', {}, session.deploymentId)] : null,
        h('dt', {}, 'Scored'), h('dd', {}, when(session.scoredAt)), h('dt', {}, 'Decision'), h('dd', {}, decision(session.decision)))));
    release(session);
  }

  human.addEventListener('click', () => choose('human'));
  bot.addEventListener('click', () => choose('bot'));
  save.addEventListener('click', keep);
  skip.addEventListener('click', pass);
  undo.addEventListener('click', back);
  const keys = { h: () => choose('human'), b: () => choose('bot'), s: pass, u: back };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const typing = event.target.closest?.('input, select, textarea');
    if (event.key === 'Enter' && (!event.target.closest?.('a, button, select') || event.target === document.body)) { event.preventDefault(); keep(); return; }
    const run = typing ? null : keys[event.key.toLowerCase()];
    if (run) { event.preventDefault(); run(); }
  };
  addEventListener('keydown', pressed);
  onleave(() => removeEventListener('keydown', pressed));

  fill(place,
    h('div', { class: 'head' }, h('h1', {}, 'Review'), whose ? h('span', { class: 'hint' }, `deployment ${whose}`) : null, told),
    h('div', { class: 'grid wide session' }, stage,
      h('div', { class: 'stack' },
        card('What is it?', { id: 'verdict' },
          h('div', { class: 'row reach' }, human, bot, save), h('label', { for: 'note', class: 'after' }, 'Note'), note,
          h('div', { class: 'row after' }, skip, undo),
          h('p', { class: 'hint small after' }, 'A label decides at once, whatever thresholds say, and the order of the queue learns from it.')),
        side,
        labels(bars, next))));
  await Promise.all([shown(), bars.load()]);
}
