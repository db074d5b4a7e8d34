// A session: what was decided and why in words, its path, its features beside those of people, its history.

import { Refused, get, path, post, remove } from '../api.js';
import { brief, card, count, decision, fill, fixed, h, notice, plural, put, say, span, table, toCampaign, toSession, toUser, when } from '../dom.js';
import { inWords as reasonsInWords } from '../reasons.js';
import { Replay, measure } from '../replay.js';
import { sentence } from '../verdict.js';

const OVERLAYS = ['--series-2', '--pass', '--fail', '--series-1'];

export async function show(place, { id, query, user, onleave }) {
  document.title = `${id} · PlayProof Batch`;
  const deploymentId = query.get('deploymentId') ?? user.deploymentId ?? '';
  const of = (route) => path(route, { deploymentId });
  const route = `/api/v1/sessions/${encodeURIComponent(id)}`;
  const or = (promise) => promise.catch((error) => {
    if (error instanceof Refused && error.status === 404) return { gone: error.message };
    throw error;
  });
  const answer = await get(of(`/api/v1/batch/result/${encodeURIComponent(id)}`));
  const [telemetry, explanation, past] = await Promise.all([
    or(get(of(`${route}/telemetry`))),
    or(get(path(`${route}/explanation`, { deploymentId, limit: 8 }))),
    or(get(of(`${route}/history`))),
  ]);

  const final = answer.result;
  fill(place,
    h('div', { class: 'head' },
      h('a', { class: 'button', href: '#/sessions' }, '‹ Sessions'),
      h('h1', {}, id), final ? decision(final.decision) : h('span', { class: 'tag plain' }, answer.status),
      deploymentId ? h('span', { class: 'hint' }, `deployment ${deploymentId}`) : null),
    h('div', { class: 'grid wide session' },
      h('div', { class: 'stack' }, await drawing(telemetry, answer, deploymentId, onleave, explanation.gone ? [] : explanation.stretches), features(explanation), detection(explanation)),
      h('div', { class: 'stack' }, why(answer, past.gone ? null : past, explanation.gone ? null : explanation.decision), answer.status === 'failed' && user.role === 'admin' ? again(id, deploymentId) : null, final ? labels(of(`${route}/label`), final, past) : null, history(answer, past.gone ? [] : past.revisions, past.scoredAs), facts(answer, telemetry, user, deploymentId, past))));
}

const RULES = ['path_too_straight', 'no_jitter', 'impossible_speed', 'perfect_accuracy', 'robotic_timing'];

export function why(answer, past, alone) {
  const result = answer.result;
  const reasons = (result ?? answer.first).reasons;
  const list = reasons.length === 0 ? h('p', { class: 'hint' }, 'No rule was broken, and no trait stands out.') :
    h('ul', { class: 'why' }, reasons.map((reason) =>
      h('li', { class: RULES.includes(reason.code) ? 'rule' : null }, reason.message, h('span', { class: 'code' }, reason.code))));
  return card('Why', { id: 'why', kind: 'second' }, h('div', { class: 'verdict' },
    h('p', { class: 'sentence' }, sentence(answer, past, alone)),
    result?.decision === 'pass' && reasons.length > 0 ? h('p', { class: 'hint' }, 'Noted all the same, and outweighed:') : null,
    answer.lastError ? h('p', { class: 'words' }, `Last error: ${answer.lastError}`) : null,
    list));
}

/** Sends it to the queue once more. */
function again(id, deploymentId) {
  const button = h('button', { type: 'button', class: 'main', onclick: async () => {
    button.disabled = true;
    try {
      await post('/api/v1/batch/dead/requeue', { sessionIds: [id], ...(deploymentId ? { deploymentId } : {}) });
      dispatchEvent(new HashChangeEvent('hashchange'));
      notice('It waits for a batch again.');
    } catch (error) {
      notice(error.message);
      button.disabled = false;
    }
  } }, 'Send it back to the queue');
  return card('Try again', {}, h('p', { class: 'hint' }, 'Once the cause is mended. What failed for its own content fails again.'), button);
}

/** What people say of the session, and saying it. */
function labels(route, result, past) {
  const said = past.gone ? null : past.label;
  const act = (run) => async () => {
    try { await run(); dispatchEvent(new HashChangeEvent('hashchange')); } catch (error) { notice(error.message); }
  };
  const note = h('input', { type: 'text', id: 'note', maxlength: 500, autocomplete: 'off' });
  const say = (label) => act(() => post(route, { label, note: note.value }));
  return card('Label', {},
    said ? h('p', {}, `${said.actorName ?? 'Somebody'} said: ${said.label}${said.note ? `, “${said.note}”` : ''}, `, when(said.at), '.') : h('p', { class: 'hint' }, 'Not labelled.'),
    said ? h('button', { type: 'button', onclick: act(() => remove(route)) }, 'Revert the label')
      : [h('label', { for: 'note' }, 'Note'), note, h('div', { class: 'row after' }, h('button', { type: 'button', onclick: say('human') }, 'It is a human'), h('button', { type: 'button', onclick: say('bot') }, 'It is a bot'))]);
}

/** What changed a decision, in words. */
function cause(revision) {
  const { pass, review } = revision.detail ?? {};
  if (revision.cause === 'thresholds') return `Other thresholds were applied: ${fixed(pass)} and ${fixed(review)}.`;
  return { model: 'Another model judged it.', label: 'Somebody said what it is.', override: 'Its user is allowed or denied.', replay: 'It was compared with others after its verdict and is like one of them.' }[revision.cause] ?? revision.cause;
}

function history(answer, revisions, scoredAs) {
  const { first, result } = answer;
  const score = (anomaly) => (anomaly === null || anomaly === undefined ? '' : `, score ${fixed(anomaly)}`);
  const codes = (reasons) => (reasons.length ? reasonsInWords(reasons) : 'no reason given');
  const step = (name, at, verdict, source, anomaly, reasons, more) => h('li', {},
    h('div', { class: 'top' }, h('b', {}, name), ' ', decision(verdict)),
    h('p', { class: 'hint small' }, when(at), ` · ${source}${score(anomaly)}`, more),
    h('p', { class: 'hint small words' }, codes(reasons)));
  const steps = h('ol', { class: 'steps' },
    step('First verdict', first.scoredAt, first.decision, first.source, first.anomaly.anomalyScore, first.reasons, ` · ${fixed(first.latencyMs, 1)} ms`));
  if (result && result.batchId !== null) {
    put(steps, step('Batch verdict', result.scoredAt, scoredAs ?? result.decision, result.source, result.anomalyScore, result.reasons,
      result.fallback ? ' · fallback, the detector was away' : ''));
  } else if (!result) {
    put(steps, h('li', {}, h('b', {}, answer.status === 'failed' ? 'Failed' : 'Waits'), h('p', { class: 'hint small' }, plural(answer.attempts ?? 0, 'attempt'))));
  }
  for (const revision of revisions) {
    put(steps, h('li', {}, h('div', { class: 'top' }, h('b', {}, 'Changed'), ' ', decision(revision.to)),
      h('p', { class: 'hint small' }, when(revision.at)), h('p', { class: 'hint small words' }, cause(revision))));
  }
  return card('History', {}, steps);
}

function facts(answer, telemetry, user, deploymentId, past) {
  const { result } = answer;
  const rows = [];
  const fact = (name, value) => { if (value !== null && value !== undefined && value !== '') rows.push(h('dt', {}, name), h('dd', {}, value)); };
  if (result?.batchId !== null && result) fact('Batch', user.deploymentId || user.role !== 'admin' ? result.batchId : h('a', { href: `#/batch/${result.batchId}` }, `Batch ${result.batchId}`));
  if (past.userId) fact('User', h('a', { href: toUser(past.userId, deploymentId) }, past.userId));
  fact('Device', telemetry.deviceType);
  fact('Game', telemetry.gameType);
  fact('Duration', telemetry.durationMs === undefined ? null : span(telemetry.durationMs / 1000));
  fact('Targets', telemetry.hits === undefined ? null : `${count(telemetry.hits)} hit, ${count(telemetry.misses)} missed`);
  if (result) {
    fact('Model', `${result.modelId} ${result.modelVersion}`);
    fact('Raw score', result.rawScore === undefined ? null : fixed(result.rawScore, 3));
    fact('Confidence', fixed(result.confidence));
    fact('Attempts', count(result.attempts));
    fact('Calibrated on', result.calibrationClass);
    fact('Campaign', result.campaignId === undefined ? null : h('a', { href: toCampaign(result.campaignId, deploymentId) }, `Campaign ${result.campaignId}`));
  }
  const evidence = result && !telemetry.gone
    ? h('a', { class: 'button after', href: `.${path(`/api/v1/sessions/${encodeURIComponent(answer.sessionId)}/evidence`, { deploymentId })}`, download: 'evidence.json' }, 'Download evidence') : null;
  return rows.length ? card('Facts', {}, h('dl', { class: 'facts' }, rows), evidence) : null;
}

/** The path in words, for whoever does not see it. */
function inWords(told) {
  const hits = told.clicks.filter((click) => click.targetHit).length;
  const longest = told.pauses.reduce((best, pause) => (pause.lasts > (best?.lasts ?? 0) ? pause : best), null);
  const moving = told.t[told.t.length - 1];
  return [
    `${plural(told.x.length, 'movement')} in ${seconds(told.end)} s, ${count(told.length)} px long`,
    moving > 0 ? `mean speed ${count((told.length / moving) * 1000)} px/s, fastest ${count(told.speed[told.fastest])} px/s at ${seconds(told.t[told.fastest])} s` : 'no time passed',
    told.clicks.length ? `${plural(told.clicks.length, 'click')}, ${hits} on a target` : 'no clicks',
    told.pauses.length ? `${plural(told.pauses.length, 'pause')} of 0.25 s or more, the longest ${seconds(longest.lasts)} s at ${seconds(longest.at)} s` : 'no pause of 0.25 s or more',
  ].join('; ') + '.';
}

export async function drawing(telemetry, answer, deploymentId, onleave, stretches = []) {
  if (telemetry.gone) return card('Path', { kind: 'first' }, h('p', { class: 'hint' }, `${telemetry.gone[0].toUpperCase()}${telemetry.gone.slice(1)}.`));
  const told = measure(telemetry);
  const canvas = h('canvas', { role: 'img', tabindex: '0', 'aria-label': 'The path of the pointer. Space plays and pauses, the arrow keys move in time.', 'aria-describedby': 'in-words' });
  const play = h('button', { type: 'button', class: 'main play' }, 'Play');
  const scrub = h('input', { type: 'range', min: 0, max: Math.round(told.end), step: 1, value: Math.round(told.end), 'aria-label': 'Place in time' });
  const clock = h('span', { class: 'clock' });
  const rate = h('select', { 'aria-label': 'Speed of the replay' }, [['0.25', '¼ speed'], ['0.5', '½ speed'], ['1', 'Own speed'], ['2', '2 × speed'], ['4', '4 × speed']]
    .map(([value, text]) => h('option', { value, selected: value === '1' }, text)));
  const result = card('Path', { kind: 'first' },
    h('ul', { class: 'legend' },
      h('li', {}, 'slow', h('span', { class: 'ramp' }), `fast (${count(told.usual)} px/s)`),
      h('li', {}, h('i', { class: 'dot' }), 'click on a target'), h('li', {}, h('b', { class: 'miss', 'aria-hidden': 'true' }, '×'), 'missed click'),
      h('li', {}, h('i', { class: 'dot rest' }), 'pause'),
      stretches.length ? h('li', {}, h('i', { class: 'guilty' }), 'speaks for a bot') : null),
    h('figure', { class: 'stage' }, canvas,
      h('div', { class: 'player' }, play, scrub, clock, rate),
      h('figcaption', { id: 'in-words', class: 'hint small' }, inWords(told), guiltyInWords(stretches, told))));
  // A canvas has a size once it is in the page.
  const begin = new ResizeObserver(() => {
    if (!canvas.clientWidth) return;
    begin.disconnect();
    const replay = new Replay(canvas, told, (at, playing) => {
      play.textContent = playing ? 'Pause' : 'Play';
      scrub.value = Math.round(at);
      scrub.setAttribute('aria-valuetext', `${seconds(at)} of ${seconds(told.end)} seconds`);
      clock.textContent = `${seconds(at)} / ${seconds(told.end)} s`;
      canvas.dataset.frames = replay?.frames ?? 0;
    });
    replay.seek(told.end);
    const toggle = () => (replay.playing ? replay.pause() : replay.play());
    play.addEventListener('click', toggle);
    scrub.addEventListener('input', () => { replay.pause(); replay.seek(Number(scrub.value)); });
    rate.addEventListener('change', () => { replay.rate = Number(rate.value); });
    canvas.addEventListener('keydown', (event) => {
      if (event.key === ' ') toggle();
      else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') replay.seek(replay.at + (event.key === 'ArrowLeft' ? -200 : 200));
      else return;
      event.preventDefault();
    });
    onleave(() => replay.end());
    if (stretches.length) replay.mark(stretches);
    overlays(result, replay, answer, deploymentId);
  });
  begin.observe(canvas);
  onleave(() => begin.disconnect());
  return result;
}

/** When the marked stretches are, in the order of time; neighbours as one. */
function guiltyInWords(stretches, told) {
  if (!stretches.length) return '';
  const spans = [];
  for (const { from, to } of stretches.toSorted((a, b) => a.from - b.from)) {
    if (spans.at(-1)?.to === from) spans.at(-1).to = to;
    else spans.push({ from, to });
  }
  const at = (place) => seconds(told.t[Math.min(place, told.t.length - 1)]);
  return ` Without ${listed(spans.map(({ from, to }) => `${at(from)} to ${at(to)} s`))} the score would be lower.`;
}

const seconds = (ms) => (ms / 1000).toFixed(1);

const listed = (parts) => (parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`);

/** Sessions that moved alike, where the result names them: each can be laid under the path. */
function overlays(place, replay, answer, deploymentId) {
  const matches = (answer.result?.matches ?? answer.matches ?? []).map((match) => (typeof match === 'string' ? { sessionId: match } : match));
  if (matches.length === 0) return;
  const shown = new Map();
  // Which part is which, laid over the path by the service; where it cannot be told the path lies under as it was recorded.
  let told = null;
  const parts = async (id) => {
    told ??= get(path(`/api/v1/sessions/${encodeURIComponent(answer.sessionId)}/matches`, { deploymentId })).catch(() => ({ matches: [] }));
    return (await told).matches.find((match) => match.sessionId === id)?.parts ?? [];
  };
  const list = matches.slice(0, OVERLAYS.length).map((match, i) => {
    const button = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Lay under');
    const words = h('p', { class: 'hint small', role: 'status' });
    button.addEventListener('click', async () => {
      if (shown.delete(match.sessionId)) {
        button.setAttribute('aria-pressed', 'false');
        say(words, '');
      } else {
        try {
          const common = await parts(match.sessionId);
          if (common.length) {
            shown.set(match.sessionId, common.map((part) => ({ path: { x: part.x, y: part.y, clicks: [] }, colour: OVERLAYS[i] })));
            say(words, inCommon(common));
          } else {
            const telemetry = await get(path(`/api/v1/sessions/${encodeURIComponent(match.sessionId)}/telemetry`, { deploymentId: match.deploymentId ?? deploymentId }));
            shown.set(match.sessionId, [{ path: measure(telemetry), colour: OVERLAYS[i] }]);
            say(words, 'as it was recorded');
          }
          button.setAttribute('aria-pressed', 'true');
        } catch (error) {
          button.replaceWith(h('span', { class: 'hint' }, error.message));
        }
      }
      replay.overlay([...shown.values()].flat());
    });
    return h('li', {}, h('div', { class: 'top' }, h('a', { href: toSession(match.sessionId, match.deploymentId ?? deploymentId) }, match.sessionId), button), words);
  });
  place.querySelector('.body').append(h('h2', {}, 'Sessions that moved alike'), h('ul', { class: 'list' }, list));
}

/** Which parts of the path are which of the other's, in words. */
function inCommon(parts) {
  const one = (part) => {
    const [width, height] = [Math.hypot(part.map[0], part.map[2]), Math.hypot(part.map[1], part.map[3])];
    const how = [
      part.mirrored ? 'mirrored' : null,
      Math.abs(width - 1) > 0.03 || Math.abs(height - 1) > 0.03 ? `${fixed(width)} × ${fixed(height)} as large` : null,
      Math.abs(part.pace - 1) > 0.03 ? `${fixed(part.pace)} × as long` : null,
    ].filter(Boolean);
    return `${seconds(part.from)} to ${seconds(part.to)} s is its ${seconds(part.otherFrom)} to ${seconds(part.otherTo)} s${how.length ? ` (${how.join(', ')})` : ''}`;
  };
  const most = 6;
  return `${parts.slice(0, most).map(one).join('; ')}${parts.length > most ? `; and ${count(parts.length - most)} more parts` : ''}.`;
}

/** A value beside the range in which nine people in ten are. */
function range({ value, humanLow, humanHigh }) {
  const low = Math.min(value, humanLow);
  const width = Math.max(value, humanHigh) - low || 1;
  const at = (n) => 6 + (88 * (n - low)) / width;
  const people = h('i');
  people.style.left = `${at(humanLow)}%`;
  people.style.width = `${Math.max(at(humanHigh) - at(humanLow), 1.5)}%`;
  const mark = h('b');
  mark.style.left = `${at(value)}%`;
  return h('div', { class: `range${value < humanLow || value > humanHigh ? ' out' : ''}`, 'aria-hidden': 'true' }, people, mark);
}

/** What a feature is about: its reason says how it is unlike people's, which here is seen. */
const TRAITS = {
  speed_spread: 'Spread of the speed', speed_rhythm: 'Rhythm of the speed', acceleration: 'Speeding up and slowing down',
  turning: 'Turning', power_law: 'Slowing down in bends', roughness: 'Fine roughness', straightness: 'Straightness of short pieces',
  pauses: 'Pauses and jumps', stroke_shape: 'Shape of single reaches', stroke_variety: 'Variety of reaches',
  smoothness: 'Closeness to a drawn curve', click_approach: 'Last moments before clicks', event_stream: 'Recorded steps',
};

/** Both parts of the score: how much like bots, how far from people. */
function detection({ gone, detection: parts }) {
  if (gone || !parts) return null;
  const list = table('What puts it away from people', [
    { head: 'Trait', kind: 'words', span: true, cell: (row) => [TRAITS[row.code] ?? row.code, h('br'), h('span', { class: 'code hint' }, row.feature)] },
    { head: 'Value', kind: 'n', cell: (row) => brief(row.value) },
    { head: 'Adds', kind: 'n', cell: (row) => `${(100 * row.added / Math.max(parts.distance, 1e-9)).toFixed(0)} %` },
  ]);
  list.add(parts.features.slice(0, 4));
  return card('The two measures', { id: 'detection', hint: 'the stricter one is the score', body: false },
    h('dl', { class: 'facts' },
      h('dt', {}, 'Like bots'), h('dd', {}, fixed(parts.classifierScore)),
      h('dt', {}, 'Unlike people'), h('dd', {}, fixed(parts.supportScore), parts.outside ? ', further than anybody known' : ''),
      h('dt', {}, 'Recorder known'), h('dd', {}, `${(100 * parts.knownRecorder).toFixed(0)} %`)),
    h('div', { class: 'scroll' }, list.element));
}

function features(explanation) {
  if (explanation.gone) return null;
  if (explanation.features.length === 0) return card('Features beside those of people', {}, h('p', { class: 'hint' }, 'There is too little motion to judge.'));
  const list = table('What moved the score most', [
    { head: 'Trait', kind: 'words', span: true, cell: (row) => [TRAITS[row.code] ?? row.message, h('br'), h('span', { class: 'code hint' }, row.feature)] },
    { head: 'Value', kind: 'n', cell: (row) => brief(row.value) },
    { head: '9 people in 10', kind: 'n', cell: (row) => `${brief(row.humanLow)} to ${brief(row.humanHigh)}` },
    { head: 'Beside people', kind: 'drawn', span: true, cell: range },
    { head: 'Towards', kind: 'n', cell: (row) => h('span', { class: row.added > 0 ? 'up' : 'down' }, `${row.added > 0 ? 'bot +' : 'human −'}${Math.abs(row.added).toFixed(2)}`) },
  ]);
  list.add(explanation.features);
  return card('Features beside those of people', {
    body: false,
    hint: explanation.ofResult ? `model ${explanation.modelVersion}` : `as the active model ${explanation.modelVersion} sees it; the result is from another`,
  }, h('div', { class: 'scroll' }, list.element));
}
