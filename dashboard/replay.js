// A path drawn on a canvas, with speed as colour, and replayed at its own speed.
//
// What does not change (the whole path, faint) and what only grows (the coloured part) are kept on canvases of their own:
// a frame copies both and adds the pointer, so its cost does not depend on the length of the path.

import { colour } from './chart.js';

/** A gap of at least this long between two movements is a pause. */
const PAUSE_MS = 250;
const RAMP = [[59, 91, 219], [16, 152, 173], [232, 163, 23], [214, 51, 108]];
const SHADES = 48;

const shade = (share) => {
  const at = Math.min(share, 0.9999) * (RAMP.length - 1);
  const [from, to] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
  const mix = (i) => Math.round(from[i] + (to[i] - from[i]) * (at % 1));
  return `rgb(${mix(0)} ${mix(1)} ${mix(2)})`;
};
const PALETTE = Array.from({ length: SHADES }, (_, i) => shade(i / (SHADES - 1)));

/** What there is to say about a path: times from its start that never run back, speeds, pauses, clicks. */
export function measure({ movements, clicks }) {
  const { x, y, timestamp } = movements;
  const start = timestamp[0];
  const t = [];
  let latest = 0;
  for (const at of timestamp) {
    latest = Math.max(latest, at - start);
    t.push(latest);
  }
  const speed = new Float64Array(x.length);
  const pauses = [];
  let length = 0;
  let fastest = 0;
  for (let i = 1; i < x.length; i += 1) {
    const gap = t[i] - t[i - 1];
    const way = Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]);
    length += way;
    speed[i] = gap > 0 ? (way / gap) * 1000 : speed[i - 1];
    if (speed[i] > speed[fastest]) fastest = i;
    if (gap >= PAUSE_MS) pauses.push({ at: t[i - 1], lasts: gap, x: x[i - 1], y: y[i - 1], i });
  }
  const sorted = [...speed].sort((a, b) => a - b);
  const usual = sorted[Math.floor((sorted.length - 1) * 0.95)] || 1;
  const presses = clicks.map((click) => ({ ...click, at: click.timestamp - start }));
  const end = presses.reduce((last, click) => Math.max(last, click.at), latest);
  return { x, y, t, speed, pauses, length, fastest, usual, clicks: presses, end: Math.max(end, 1) };
}

/**
 * Draws `path` (as `measure` gives it) on `canvas`; `others` are paths drawn beneath it, each `{path, colour}`.
 * `moved(ms, playing)` is called when the place in time changes.
 */
export class Replay {
  constructor(canvas, path, moved) {
    this.canvas = canvas;
    this.path = path;
    this.moved = moved;
    this.others = [];
    this.marked = [];
    this.at = path.end;
    this.rate = 1;
    this.playing = false;
    this.frames = 0;
    this.fit = new ResizeObserver(() => this.resize());
    this.fit.observe(canvas);
    this.retheme = () => this.resize();
    addEventListener('themechange', this.retheme);
    this.resize();
  }

  end() {
    this.pause();
    this.fit.disconnect();
    removeEventListener('themechange', this.retheme);
  }

  /** Marks stretches `{from, to}` of the path. */
  mark(stretches) {
    this.marked = stretches;
    this.resize();
  }

  overlay(others) {
    this.others = others;
    this.resize();
  }

  play() {
    if (this.playing) return;
    if (this.at >= this.path.end) this.seek(0);
    this.playing = true;
    let last = null;
    const frame = (now) => {
      if (!this.playing) return;
      if (last !== null) this.at = Math.min(this.at + (now - last) * this.rate, this.path.end);
      last = now;
      this.frames += 1;
      if (this.at >= this.path.end) this.playing = false;
      this.draw();
      this.moved(this.at, this.playing);
      if (this.playing) this.next = requestAnimationFrame(frame);
    };
    this.next = requestAnimationFrame(frame);
    this.moved(this.at, true);
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.next);
    this.moved(this.at, false);
  }

  seek(ms) {
    this.at = Math.max(0, Math.min(ms, this.path.end));
    this.draw();
    this.moved(this.at, this.playing);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0) return;
    const dense = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, this.under = document.createElement('canvas'), this.grown = document.createElement('canvas')]) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      canvas.getContext('2d').setTransform(dense, 0, 0, dense, 0, 0);
    }
    this.size = { width, height };
    const all = [this.path, ...this.others.map((other) => other.path)];
    const reach = (pick, name) => all.reduce((best, path) => {
      for (const value of path[name]) best = pick(best, value);
      for (const click of path.clicks) best = pick(best, click[name]);
      return best;
    }, all[0][name][0]);
    const [left, right, top, bottom] = [reach(Math.min, 'x'), reach(Math.max, 'x'), reach(Math.min, 'y'), reach(Math.max, 'y')];
    const margin = 26;
    const scale = Math.min((width - 2 * margin) / Math.max(right - left, 1), (height - 2 * margin) / Math.max(bottom - top, 1));
    const [dx, dy] = [(width - (right - left) * scale) / 2 - left * scale, (height - (bottom - top) * scale) / 2 - top * scale];
    this.place = (x, y) => [x * scale + dx, y * scale + dy];
    this.drawUnder();
    this.drawn = 0;
    this.draw();
  }

  drawUnder() {
    const pen = this.under.getContext('2d');
    pen.lineJoin = 'round';
    pen.lineCap = 'round';
    const trace = (path, style, width, alpha) => {
      pen.strokeStyle = style;
      pen.globalAlpha = alpha;
      pen.lineWidth = width;
      pen.beginPath();
      path.x.forEach((x, i) => pen.lineTo(...this.place(x, path.y[i])));
      pen.stroke();
      pen.globalAlpha = 1;
    };
    for (const other of this.others) trace(other.path, colour(other.colour), 5, 0.35);
    for (const { from, to } of this.marked) {
      const [x, y] = ['x', 'y'].map((name) => this.path[name].slice(from, to + 1));
      trace({ x, y }, colour('--fail'), 11, 0.22);
    }
    trace(this.path, colour('--path'), 1, 0.45);
  }

  /** Adds what came since the last frame to the coloured part; begins anew where time ran back. */
  grow() {
    const { x, y, t, speed, usual, pauses } = this.path;
    const pen = this.grown.getContext('2d');
    if (this.drawn > 0 && t[this.drawn - 1] > this.at) this.drawn = 0;
    if (this.drawn === 0) {
      pen.clearRect(0, 0, this.size.width, this.size.height);
      this.drawn = 1;
    }
    pen.lineWidth = 2.25;
    pen.lineCap = 'round';
    while (this.drawn < t.length && t[this.drawn] <= this.at) {
      const i = this.drawn;
      pen.strokeStyle = PALETTE[Math.min(SHADES - 1, Math.floor((speed[i] / usual) * (SHADES - 1)))];
      pen.beginPath();
      pen.moveTo(...this.place(x[i - 1], y[i - 1]));
      pen.lineTo(...this.place(x[i], y[i]));
      pen.stroke();
      this.drawn += 1;
    }
    return pauses;
  }

  draw() {
    const { x, y, t, clicks } = this.path;
    const pauses = this.grow();
    const pen = this.canvas.getContext('2d');
    const { width, height } = this.size;
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.under, 0, 0, width, height);
    pen.drawImage(this.grown, 0, 0, width, height);
    pen.fillStyle = colour('--path');
    pen.globalAlpha = 0.35;
    for (const pause of pauses) {
      if (pause.at > this.at) break;
      const lasted = Math.min(pause.lasts, this.at - pause.at);
      pen.beginPath();
      pen.arc(...this.place(pause.x, pause.y), 3 + Math.min(Math.sqrt(lasted) / 4, 13), 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    for (const click of clicks) {
      if (click.at > this.at) continue;
      const [cx, cy] = this.place(click.x, click.y);
      pen.strokeStyle = colour(click.targetHit ? '--pass' : '--fail');
      pen.beginPath();
      if (click.targetHit) pen.arc(cx, cy, 6, 0, 7);
      else {
        pen.moveTo(cx - 5, cy - 5); pen.lineTo(cx + 5, cy + 5);
        pen.moveTo(cx + 5, cy - 5); pen.lineTo(cx - 5, cy + 5);
      }
      pen.stroke();
    }
    const i = this.drawn - 1;
    let [px, py] = [x[i], y[i]];
    if (i + 1 < t.length && t[i + 1] > t[i] && t[i + 1] - t[i] < PAUSE_MS) {
      const share = (this.at - t[i]) / (t[i + 1] - t[i]);
      px += (x[i + 1] - px) * share;
      py += (y[i + 1] - py) * share;
    }
    pen.fillStyle = colour('--text');
    pen.strokeStyle = colour('--card');
    pen.beginPath();
    pen.arc(...this.place(px, py), 4.5, 0, 7);
    pen.fill();
    pen.stroke();
  }
}
