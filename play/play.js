// The page on which a visitor plays the widget's game, and a bot plays for the same targets. It asks this node alone.
import { against } from './bots.js';

const MOST_MS = 4000;
const find = (id) => document.getElementById(id);
const element = (name, text, className) => Object.assign(document.createElement(name), { textContent: text, className: className ?? '' });
const still = matchMedia('(prefers-reduced-motion: reduce)');

async function ask(path, body) {
  const sent = body ? { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {};
  const response = await fetch(path, sent);
  const told = await response.json();
  if (!response.ok) throw new Error(told.message ?? `the node answered ${response.status}`);
  return told;
}

/** Draws a game as far as `until` ms. */
function draw(canvas, { movements, clicks }, until) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  Object.assign(canvas, { width: width * scale, height: height * scale });
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  const points = [...movements, ...clicks];
  const range = (axis) => [Math.min(...points.map((point) => point[axis])), Math.max(...points.map((point) => point[axis]))];
  const [[left, right], [top, bottom]] = [range('x'), range('y')];
  const zoom = Math.min((width - 32) / Math.max(right - left, 1), (height - 32) / Math.max(bottom - top, 1));
  const place = ({ x, y }) => [(width - zoom * (right - left)) / 2 + zoom * (x - left), (height - zoom * (bottom - top)) / 2 + zoom * (y - top)];
  // A canvas reads no colour that follows the theme, an element does.
  const resolved = (name) => {
    canvas.style.color = `var(${name})`;
    return getComputedStyle(canvas).color;
  };
  pen.strokeStyle = resolved('--path');
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const point of movements) if (point.timestamp <= until) pen.lineTo(...place(point));
  pen.stroke();
  pen.strokeStyle = resolved('--click');
  for (const click of clicks) {
    if (click.timestamp > until) continue;
    pen.beginPath();
    pen.arc(...place(click), 6, 0, 2 * Math.PI);
    pen.stroke();
  }
}

/** Shows a game as it was played, faster when it was long. */
function show(figure, game) {
  figure.hidden = false;
  const canvas = figure.querySelector('canvas');
  const times = [...game.movements, ...game.clicks].map(({ timestamp }) => timestamp);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const seconds = ((last - first) / 1000).toFixed(1);
  const words = `${game.movements.length} movements and ${game.clicks.length} clicks in ${seconds} s`;
  figure.querySelector('figcaption').textContent = words;
  canvas.role = 'img';
  canvas.ariaLabel = words;
  const shown = (figure.shown = {});
  const redraw = (until) => figure.shown === shown && draw(canvas, game, until);
  figure.redraw = () => redraw(last);
  if (still.matches) return redraw(last);
  const speed = Math.max((last - first) / MOST_MS, 1);
  const began = performance.now();
  const frame = () => {
    if (figure.shown !== shown) return;
    const until = first + speed * (performance.now() - began);
    redraw(Math.min(until, last));
    if (until < last) requestAnimationFrame(frame);
  };
  frame();
}

function verdict(list, when, { decision, anomalyScore, anomaly, reasons }) {
  const score = anomalyScore ?? anomaly?.anomalyScore;
  const said = element('dd', '');
  said.append(element('span', decision, decision), typeof score === 'number' ? `, score ${score.toFixed(2)}` : '');
  if (reasons?.length) {
    const why = element('ul', '');
    why.append(...reasons.map(({ message }) => element('li', message)));
    said.append(why);
  }
  list.append(element('dt', when), said);
}

/** Follows a session to its final verdict. */
async function follow(place, sessionId) {
  const list = element('dl', '');
  place.replaceChildren(list);
  try {
    await tell(place, list, sessionId);
  } catch (error) {
    if (place.contains(list)) throw error;
  }
}

async function tell(place, list, sessionId) {
  const route = `api/v1/batch/result/${encodeURIComponent(sessionId)}`;
  let told = await ask(route);
  verdict(list, 'At once', told.first);
  const waiting = [element('dt', 'In its batch'), element('dd', 'waits for its batch')];
  list.append(...waiting);
  while (place.contains(list) && told.status === 'queued') told = await ask(`${route}?wait=20s`);
  // Another game was begun meanwhile.
  if (!place.contains(list)) return;
  waiting.forEach((one) => one.remove());
  if (told.result) verdict(list, 'In its batch', told.result);
  else list.append(element('dt', 'In its batch'), element('dd', told.lastError ?? told.message ?? 'failed'));
  const more = element('a', 'Look at it in the dashboard');
  more.href = `./#/session/${encodeURIComponent(sessionId)}`;
  place.append(more);
}

const fails = (place) => (error) => place.replaceChildren(element('p', error.message, 'fail'));

async function playBot(game) {
  find('waits').hidden = true;
  const bot = against(find('kind').value, game);
  show(find('bot-path'), bot);
  const sessionId = `bot-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  const { timestamp } = bot.movements.at(-1) ?? { timestamp: 0 };
  await ask('api/v1/score', { sessionId, gameType: 'bubble-pop', deviceType: 'mouse', durationMs: timestamp, ...bot, hits: bot.clicks.length, misses: 0, useBatch: true });
  await follow(find('bot-verdict'), sessionId);
}

let game;
const check = document.querySelector('playproof-check');

check.addEventListener('verified', async ({ detail: { sessionId } }) => {
  find('again').hidden = false;
  const yours = follow(find('your-verdict'), sessionId).catch(fails(find('your-verdict')));
  try {
    const told = await ask(`api/v1/sessions/${encodeURIComponent(sessionId)}/telemetry`);
    const { x, y, timestamp } = told.movements;
    game = { movements: x.map((_, i) => ({ x: x[i], y: y[i], timestamp: timestamp[i], isTrusted: true })), clicks: told.clicks };
    if (x.length) show(find('your-path'), game);
    await playBot(game);
  } catch (error) {
    fails(find('bot-verdict'))(error);
  }
  await yours;
});
check.addEventListener('error', ({ detail }) => fails(find('your-verdict'))(new Error(detail.message)));
find('again').addEventListener('click', () => {
  for (const id of ['your-verdict', 'bot-verdict']) find(id).replaceChildren();
  for (const id of ['your-path', 'bot-path', 'again']) find(id).hidden = true;
  find('waits').hidden = false;
  game = undefined;
  check.reset();
});
find('kind').addEventListener('change', () => { if (game) playBot(game).catch(fails(find('bot-verdict'))); });
addEventListener('resize', () => ['your-path', 'bot-path'].forEach((id) => find(id).redraw?.()));
