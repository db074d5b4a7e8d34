// Paths that cursor libraries draw from one place to another: points without times, or with a time `t` in ms.

/** A point of the Bezier curve of any number of control points. */
export function bezier(controls, t) {
  let points = controls;
  while (points.length > 1) points = points.slice(1).map((to, i) => ({ x: points[i].x + t * (to.x - points[i].x), y: points[i].y + t * (to.y - points[i].y) }));
  return points[0];
}

export const distance = (a, b) => Math.hypot(b.x - a.x, b.y - a.y);

/** Control points on one side of the line, as far from it as a spread allows. */
function bow(from, to, spread, random) {
  const length = Math.max(distance(from, to), 1);
  const side = random() < 0.5 ? -1 : 1;
  const [nx, ny] = [side * (to.y - from.y) / length, -side * (to.x - from.x) / length];
  return [random(), random()].sort((a, b) => a - b).map((along) => {
    const off = spread * random();
    return { x: from.x + along * (to.x - from.x) + off * nx, y: from.y + along * (to.y - from.y) + off * ny };
  });
}

/** A cubic Bezier with as many points as Fitts's law has time for, at even parameters. */
export function fittsCurve(from, to, width, random, spread = Math.min(Math.max(distance(from, to), 2), 200)) {
  const difficulty = 2 * Math.log2(0.8 * distance(from, to) / width + 1);
  const count = Math.ceil(3 * (Math.log2(difficulty + 1) + 25 * random()));
  const controls = [from, ...bow(from, to, spread, random), to];
  return Array.from({ length: count + 1 }, (_, i) => bezier(controls, i / count));
}

export const EASES = {
  inOutCubic: (t) => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2),
  inOutSine: (t) => (1 - Math.cos(Math.PI * t)) / 2,
  outCubic: (t) => 1 - (1 - t) ** 3,
  outQuint: (t) => 1 - (1 - t) ** 5,
  outExpo: (t) => (t === 1 ? 1 : 1 - 2 ** (-10 * t)),
  minimumJerk: (t) => t ** 3 * (10 - 15 * t + 6 * t * t),
};

/** A cubic Bezier, eased, with a slow wobble, a jitter and now and then a pause; times as its duration and step say. */
export function easedCurve(from, to, random, { ms, stepMs, wobble = 1.5, jitter = 0.4, pause = 0.04, ease = random.one(Object.values(EASES)) }) {
  const controls = [from, ...bow(from, to, 0.25 * distance(from, to), random), to];
  const count = Math.max(Math.round(ms / stepMs), 4);
  const [waves, phase] = [random.between(1.5, 4), random.between(0, 6.28)];
  let late = 0;
  return Array.from({ length: count }, (_, i) => {
    const part = (i + 1) / count;
    const { x, y } = bezier(controls, ease(part));
    const fade = Math.sin(Math.PI * part);
    const wave = wobble * fade * Math.sin(2 * Math.PI * waves * part + phase);
    if (random() < pause) late += random.between(20, 90);
    return { x: x + wave + fade * random.normal(0, jitter), y: y - wave + fade * random.normal(0, jitter), t: part * ms + late + random.between(0, 0.4 * stepMs) };
  });
}

/** A Bezier of random knots around both ends, distorted in y, and tweened: many points for one action of a driver. */
export function distortedCurve(from, to, random, { around = 80, knots = random.one([1, 2, 2, 2, 3, 3, 4, 5]), points = Math.round(random.between(35, 80)) } = {}) {
  const inner = Array.from({ length: knots }, () => ({
    x: random.between(Math.min(from.x, to.x) - around, Math.max(from.x, to.x) + around),
    y: random.between(Math.min(from.y, to.y) - around, Math.max(from.y, to.y) + around),
  }));
  const controls = [from, ...inner, to];
  const ease = EASES.outQuint;
  return Array.from({ length: points }, (_, i) => {
    const { x, y } = bezier(controls, ease(i / (points - 1)));
    const bent = i > 0 && i < points - 1 && random() < 0.5;
    return { x, y: bent ? y + random.normal(1, 1) : y };
  });
}

/** The wind mouse: a particle with inertia, drawn to the target and blown about, slower near the target. */
export function windPath(from, to, random, { gravity = 9, wind = 3, most = 15, near = 12 } = {}) {
  let { x, y } = from;
  let [vx, vy, wx, wy, speed] = [0, 0, 0, 0, most];
  const points = [];
  for (let left = distance({ x, y }, to); left >= 1 && points.length < 2000; left = distance({ x, y }, to)) {
    const gust = Math.min(wind, left);
    if (left >= near) {
      wx = wx / Math.sqrt(3) + (2 * random() - 1) * gust / Math.sqrt(5);
      wy = wy / Math.sqrt(3) + (2 * random() - 1) * gust / Math.sqrt(5);
    } else {
      wx /= Math.sqrt(3);
      wy /= Math.sqrt(3);
      speed = speed < 3 ? random.between(3, 6) : speed / Math.sqrt(5);
    }
    vx += wx + gravity * (to.x - x) / left;
    vy += wy + gravity * (to.y - y) / left;
    const fast = Math.hypot(vx, vy);
    if (fast > speed) {
      const cut = (speed / 2 + random() * speed / 2) / fast;
      vx *= cut;
      vy *= cut;
    }
    x += vx;
    y += vy;
    points.push({ x: Math.round(x), y: Math.round(y) });
  }
  return [...points, to];
}

/** A random walk, smoothed by a Gaussian, and sheared so that it ends at the target. */
export function gaussianPath(from, to, random, { count, width = 6, roam = 2 }) {
  const walk = (start, end) => {
    let place = 0;
    const rough = Array.from({ length: count }, () => (place += random.normal(0, roam)));
    const smooth = rough.map((_, i) => {
      let [sum, weights] = [0, 0];
      for (let j = Math.max(0, i - 3 * width); j < Math.min(count, i + 3 * width + 1); j += 1) {
        const weight = Math.exp(-((i - j) ** 2) / (2 * width * width));
        sum += weight * rough[j];
        weights += weight;
      }
      return sum / weights;
    });
    return smooth.map((value, i) => {
      const part = i / (count - 1);
      const straight = start + EASES.minimumJerk(part) * (end - start);
      return straight + value - smooth[0] - part * (smooth[count - 1] - smooth[0]);
    });
  };
  const [xs, ys] = [walk(from.x, to.x), walk(from.y, to.y)];
  return xs.map((x, i) => ({ x, y: ys[i] }));
}
