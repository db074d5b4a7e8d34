// A picture of scores with two cuts that are moved by mouse, finger or keys: the calibration's people, what came of
// late, labelled people and labelled bots, each as shares of its own, in one drawing.

import { h, fixed } from './dom.js';
import { promised } from './outcomes.js';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 250;
const EDGE = { left: 46, right: 14, top: 26, bottom: 38 };
const TOP = 6;
/** A step of an arrow key, and of Page Up and Page Down. */
const [STEP, LEAP] = [0.1, 0.5];
/** Shares that may stand at the side. */
const SHARES = [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1];

/** An element of a drawing. */
function draw(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const shares = (bins) => {
  const all = bins.reduce((sum, n) => sum + n, 0);
  return all > 0 ? bins.map((n) => n / all) : null;
};

/** The lines of the drawing that there is something for, with what they are called. */
const linesOf = (histogram) => [
  { name: 'live', title: 'what came of late', of: shares(histogram.live) },
  { name: 'promised', title: 'people of the calibration, expected', of: promised(histogram.live.length, histogram.step) },
  { name: 'people', title: 'labelled people', of: shares(histogram.people) },
  { name: 'bots', title: 'labelled bots', of: shares(histogram.bots) },
].filter((line) => line.of);

const legendOf = (lines) => h('ul', { class: 'legend' }, lines.map(({ name, title }) => {
  const sample = draw('svg', { class: `sample l-${name}`, width: 22, height: 10, 'aria-hidden': 'true' });
  sample.append(name === 'live' ? draw('rect', { x: 0, y: 1, width: 22, height: 8 }) : draw('path', { d: 'M0 5H22' }));
  return h('li', {}, sample, title);
}));

/** A handle for one cut: a slider for keys and for who hears the page, and something to drag. */
function handle(name, title, moved) {
  const element = h('div', {
    class: `handle ${name}`, role: 'slider', tabindex: '0', 'aria-label': `${title}, on the picture`, 'aria-orientation': 'horizontal',
    'aria-valuemin': 0, 'aria-valuemax': TOP, 'data-cut': name,
  }, h('span', { class: 'grip', 'aria-hidden': 'true' }));
  element.addEventListener('keydown', (event) => {
    const now = Number(element.getAttribute('aria-valuenow'));
    const to = { ArrowLeft: now - STEP, ArrowDown: now - STEP, ArrowRight: now + STEP, ArrowUp: now + STEP, PageDown: now - LEAP, PageUp: now + LEAP, Home: 0, End: TOP }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    moved(to);
  });
  return element;
}

/**
 * The picture: `{element, show(histogram), set(pass, review), end()}`. `moved(name, to)` is told where a handle is wanted;
 * who hears it calls `set`.
 */
export function cuts({ titles, moved }) {
  const legend = h('div');
  const drawing = draw('svg', { class: 'cuts-drawing', 'aria-hidden': 'true', height: HEIGHT });
  const at = { pass: 0, review: 0 };
  /** To the step, within the scale, and never past the other cut. */
  const wish = (name, to) => {
    const rounded = Math.round(to / STEP) * STEP;
    const [low, high] = name === 'pass' ? [0, at.review - STEP] : [at.pass + STEP, TOP];
    moved(name, Number(Math.min(Math.max(rounded, low), Math.max(high, low)).toFixed(2)));
  };
  const handles = { pass: handle('pass', titles.pass, (to) => wish('pass', to)), review: handle('review', titles.review, (to) => wish('review', to)) };
  const frame = h('div', { class: 'cuts' }, drawing, handles.pass, handles.review);
  let histogram = null;

  const width = () => Math.max(frame.clientWidth, 200);
  const x = (score) => EDGE.left + (score / TOP) * (width() - EDGE.left - EDGE.right);
  const score = (px) => ((px - EDGE.left) / (width() - EDGE.left - EDGE.right)) * TOP;

  for (const [name, element] of Object.entries(handles)) {
    const follow = (event) => wish(name, score(event.clientX - frame.getBoundingClientRect().left));
    element.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      element.focus();
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener('pointermove', (event) => { if (element.hasPointerCapture(event.pointerId)) follow(event); });
  }

  /** The bands that the cuts make, named where there is room. */
  function bands() {
    const ends = [0, Math.min(at.pass, TOP), Math.min(Math.max(at.review, at.pass), TOP), TOP];
    return ['pass', 'review', 'fail'].map((name, i) => {
      const [from, to] = [x(ends[i]), x(ends[i + 1])];
      const band = draw('rect', { class: `band ${name}`, x: from, y: EDGE.top, width: Math.max(to - from, 0), height: HEIGHT - EDGE.top - EDGE.bottom });
      const word = draw('text', { class: `word ${name}`, x: (from + to) / 2, y: EDGE.top - 9, 'text-anchor': 'middle' }, name);
      return to - from > 7 * name.length ? [band, word] : [band];
    }).flat();
  }

  /** The scales: scores below, shares at the side by their square root, so that few are seen beside many. */
  function axes(most) {
    const y = scale(most);
    const sides = SHARES.filter((share) => share <= most).flatMap((share) => [
      draw('path', { class: 'grid', d: `M${EDGE.left} ${y(share)}H${width() - EDGE.right}` }),
      draw('text', { x: EDGE.left - 6, y: y(share) + 4, 'text-anchor': 'end' }, `${Math.round(100 * share)} %`)]);
    const below = Array.from({ length: TOP + 1 }, (_, i) => draw('text', { x: x(i), y: HEIGHT - EDGE.bottom + 16, 'text-anchor': 'middle' }, String(i)));
    const name = draw('text', { x: (x(0) + x(TOP)) / 2, y: HEIGHT - 5, 'text-anchor': 'middle' }, 'score');
    return [...sides, ...below, name];
  }

  const scale = (most) => (share) => HEIGHT - EDGE.bottom - Math.sqrt(share / most) * (HEIGHT - EDGE.top - EDGE.bottom);

  /** Steps over the bins that hold something; what is empty is left out, so that lines do not lie on the axis. */
  function steps(of, most) {
    const y = scale(most);
    return of.map((share, i) => {
      if (!(share > 0)) return '';
      const begin = of[i - 1] > 0 ? '' : `M${x(i * histogram.step)} ${y(0)}`;
      const end = of[i + 1] > 0 ? '' : `V${y(0)}`;
      return `${begin}V${y(share)}H${x(Math.min((i + 1) * histogram.step, TOP))}${end}`;
    }).join('');
  }

  function redraw() {
    if (histogram === null || !frame.clientWidth) return;
    const lines = linesOf(histogram);
    const most = Math.max(0.1, ...lines.flatMap((line) => line.of)) * 1.04;
    drawing.setAttribute('width', width());
    drawing.replaceChildren(...bands(), ...axes(most),
      ...lines.map(({ name, of }) => draw('path', { class: `l-${name}`, d: steps(of, most) })));
    place();
  }

  function place() {
    for (const [name, element] of Object.entries(handles)) {
      element.style.left = `${x(Math.min(Math.max(at[name], 0), TOP))}px`;
      element.setAttribute('aria-valuenow', at[name]);
      element.setAttribute('aria-valuetext', `${titles[name]} ${fixed(at[name])}`);
    }
  }

  const fit = new ResizeObserver(redraw);
  fit.observe(frame);
  place();
  return {
    element: h('div', { role: 'group', 'aria-label': 'Scores and cuts; the numbers are in the tables below' }, legend, frame),
    show(told) { histogram = told; legend.replaceChildren(legendOf(linesOf(told))); redraw(); },
    set(pass, review) { Object.assign(at, { pass, review }); if (histogram) redraw(); else place(); },
    end: () => fit.disconnect(),
  };
}
