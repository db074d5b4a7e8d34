// Bots that play for given targets. Each gives movements and clicks as a session has them, in px and ms.

const STEP_MS = 16;

const between = (least, most) => least + (most - least) * Math.random();
const distance = (a, b) => Math.hypot(b.x - a.x, b.y - a.y);

/** Moves from target to target as `reach` does: a list of points with times from 0 on. */
function play(start, targets, reach) {
  const [movements, clicks] = [[], []];
  let [at, now] = [start, 0];
  for (const target of targets) {
    const points = reach(at, target);
    for (const { x, y, t } of points) movements.push({ x, y, timestamp: now + t, isTrusted: true });
    now += points.at(-1).t + 40;
    clicks.push({ ...target, timestamp: now, targetHit: true });
    [at, now] = [target, now + 60];
  }
  return { movements, clicks };
}

function straight(from, to) {
  const count = Math.max(Math.round(distance(from, to) / 12), 8);
  return Array.from({ length: count }, (_, i) => {
    const part = (i + 1) / count;
    return { x: from.x + part * (to.x - from.x), y: from.y + part * (to.y - from.y), t: STEP_MS * (i + 1) };
  });
}

/** A cubic Bezier to one side of the line, eased at both ends, with a jitter on the way. */
function curved(from, to) {
  const length = Math.max(distance(from, to), 1);
  const side = Math.random() < 0.5 ? -1 : 1;
  const [nx, ny] = [(side * (to.y - from.y)) / length, (-side * (to.x - from.x)) / length];
  const [first, second] = [between(0.05, 0.25) * length, between(0.05, 0.25) * length];
  const control = (part, off) => ({ x: from.x + part * (to.x - from.x) + off * nx, y: from.y + part * (to.y - from.y) + off * ny });
  const [a, b, c, d] = [from, control(0.3, first), control(0.7, second), to];
  const count = Math.max(Math.round((260 + 0.8 * length) / STEP_MS), 8);
  return Array.from({ length: count }, (_, i) => {
    const part = (i + 1) / count;
    const p = part * part * (3 - 2 * part);
    const q = 1 - p;
    const of = (axis) => q ** 3 * a[axis] + 3 * q * q * p * b[axis] + 3 * q * p * p * c[axis] + p ** 3 * d[axis];
    const jitter = () => (i + 1 < count ? between(-0.8, 0.8) : 0);
    return { x: of('x') + jitter(), y: of('y') + jitter(), t: STEP_MS * (i + 1) + between(-2, 2) };
  });
}

/** A person's game, mirrored left to right. */
function mirrored({ movements, clicks }) {
  const right = Math.max(...movements.map(({ x }) => x)) + Math.min(...movements.map(({ x }) => x));
  const mirror = (point) => ({ ...point, x: right - point.x });
  return { movements: movements.map(mirror), clicks: clicks.map(mirror) };
}

/** What a bot of this kind makes of a person's game. */
export function against(kind, game) {
  if (kind === 'mirrored' && game.movements.length) return mirrored(game);
  const targets = game.clicks.length ? game.clicks.map(({ x, y }) => ({ x, y })) : Array.from({ length: 7 }, () => ({ x: between(40, 500), y: between(40, 260) }));
  const start = game.movements[0] ?? { x: 20, y: 20 };
  return play({ x: start.x, y: start.y }, targets, kind === 'curved' ? curved : straight);
}
