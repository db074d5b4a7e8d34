// What a node decided of the plays of each tool, counted, as a table in Markdown.

/** The Wilson interval of 95 % of a share. */
export function wilson(part, n) {
  if (!n) return [0, 1];
  const z = 1.959964;
  const [p, zz] = [part / n, z * z];
  const middle = (p + zz / (2 * n)) / (1 + zz / n);
  const half = (z / (1 + zz / n)) * Math.sqrt(p * (1 - p) / n + zz / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

const DECISIONS = ['pass', 'review', 'fail'];
const percent = (share) => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0);

/** How often each decision was, of `of(row)`. */
export const counts = (rows, of) => DECISIONS.map((decision) => rows.filter((row) => of(row) === decision).length);
export const final = (row) => row.result.decision;
export const first = (row) => row.first?.decision;

/** One line a tool: first and final decisions, the share that passes in the end with its interval, the commonest reasons. */
export function table(byTool) {
  const lines = [...byTool].map(([name, rows]) => {
    const [passed] = counts(rows, final);
    const [low, high] = wilson(passed, rows.length);
    const told = new Map();
    for (const { result } of rows) for (const { code } of result.reasons) told.set(code, (told.get(code) ?? 0) + 1);
    const reasons = [...told].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([code, times]) => `${code} ${times}`).join(', ');
    return `| ${[name, rows.length, counts(rows, first).join(' / '), counts(rows, final).join(' / '), `${percent(passed / rows.length)} % (${percent(low)}–${percent(high)})`, reasons || '–'].join(' | ')} |`;
  });
  return ['| tool | n | first: pass / review / fail | final: pass / review / fail | final pass, 95 % | commonest reasons |', '| --- | --- | --- | --- | --- | --- |', ...lines].join('\n');
}
