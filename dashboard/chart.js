// Charts by uPlot, in the colours of the theme.

/** A colour of the theme. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const FONT = '12px system-ui, sans-serif';
const axis = (more) => ({
  stroke: () => colour('--soft'), font: FONT, gap: 4,
  grid: { stroke: () => colour('--line'), width: 1 }, ticks: { stroke: () => colour('--line'), width: 1, size: 4 }, ...more,
});

/** Draws `data` into `place`; follows its width and the theme. Returns `{set(data), end()}`. */
export function chart(place, { height, series, x, y, scales, cursor, bands, time = false }, data) {
  const drawn = new uPlot({
    width: Math.max(place.clientWidth, 120), height, padding: [8, 18, 0, 0], legend: { show: false },
    cursor: cursor ?? { show: false }, scales: { x: { time }, ...scales },
    axes: [axis(x), axis(y)], series: [{}, ...series], bands,
  }, data, place);
  const fit = new ResizeObserver(() => {
    if (place.clientWidth > 0 && place.clientWidth !== drawn.width) drawn.setSize({ width: place.clientWidth, height });
  });
  fit.observe(place);
  const redraw = () => drawn.redraw(false, true);
  addEventListener('themechange', redraw);
  return {
    set: (next) => drawn.setData(next),
    end: () => { fit.disconnect(); removeEventListener('themechange', redraw); drawn.destroy(); },
  };
}

export const line = (name, more) => ({ stroke: () => colour(name), width: 1.75, points: { show: false }, ...more });
export const area = (name) => line(name, { fill: () => `color-mix(in srgb, ${colour(name)} 16%, transparent)` });
export const bars = (name, more) => ({
  stroke: () => colour(name), fill: () => colour(name), width: 0, points: { show: false },
  paths: uPlot.paths.bars({ size: [0.82, 64], align: 1 }), ...more,
});
