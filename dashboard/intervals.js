// Shares with their 95 % intervals, as the service computes them (Wilson's score interval).

/** The 97.5 % point of the normal distribution. */
const Z = 1.959963984540054;

/** The 95 % interval of `part` of `whole`, as `[low, high]`; null of nothing. */
export function wilson(part, whole) {
  if (whole <= 0) return null;
  const share = part / whole;
  const z2 = Z * Z;
  const centre = share + z2 / (2 * whole);
  const half = Z * Math.sqrt((share * (1 - share)) / whole + z2 / (4 * whole * whole));
  const scale = 1 + z2 / whole;
  return [Math.max(0, (centre - half) / scale), Math.min(1, (centre + half) / scale)];
}

/** A share of something counted: `{part, whole, share, interval}`, the last two null of nothing. */
export const rate = (part, whole) => ({ part, whole, share: whole > 0 ? part / whole : null, interval: wilson(part, whole) });

/** Whole percents, but near none and all a digit more. */
const percent = (n) => (100 * n).toFixed((n >= 0.0005 && n < 0.0995) || (n > 0.9005 && n < 0.9995) ? 1 : 0);

/** 87 % */
export const inWords = ({ share }) => (share === null ? 'not known' : `${percent(share)} %`);
/** 79 to 92 % */
export const ends = ({ interval }) => (interval === null ? '' : `${percent(interval[0])} to ${percent(interval[1])} %`);

/** Whether two counted shares differ by more than chance: a z-test of two proportions at 1 %, not of small counts. */
export function differs(a, b) {
  const smallest = (one) => Math.min(one.part, one.whole - one.part);
  if (a.whole < 20 || b.whole < 20 || smallest(a) + smallest(b) < 5) return false;
  const pooled = (a.part + b.part) / (a.whole + b.whole);
  const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / a.whole + 1 / b.whole));
  return deviation > 0 && Math.abs(a.share - b.share) / deviation > 2.576;
}
