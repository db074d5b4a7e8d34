//! How the path scales with time, and how long it keeps its direction, in milliseconds and pixels.
//!
//! The distance covered in a window grows in proportion to the window where motion is smooth, with its square root in a
//! random walk, and not at all between random positions (structure functions: Kolmogorov, Dokl. Akad. Nauk SSSR 30,
//! 1941). Where the exponent falls is a time constant, which a hand has between 0.1 and 1 s whatever it points with.

use super::super::v2::resample::{STEP_MS, Steps};
use super::super::v2::statistics::{count, ln, sorted};

/// Names of the values that [`measure`] appends.
pub(super) const COLUMNS: [&str; 20] = [
    "headingAuto1",
    "headingAuto2",
    "headingAuto4",
    "headingAuto8",
    "headingAuto16",
    "scaling50",
    "scaling100",
    "scaling200",
    "scaling400",
    "scaling800",
    "windowSpread400",
    "windowSpread1000",
    "windowKurtosis100",
    "reversalRate",
    "extentRate",
    "extentShape",
    "directionEntropy",
    "directionStrength",
    "movementShare",
    "peakSpeed",
];

/// Lags of the heading's persistence, steps.
const LAGS: [usize; 5] = [1, 2, 4, 8, 16];
/// Windows of the scaling exponents, steps: each against the one of half the length.
const WINDOWS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Sectors of the direction histogram.
const SECTORS: usize = 16;
/// Speeds over 25 ms up to this many px/s do not show in `peakSpeed`: screens differ, and people flick.
const ORDINARY_PX_S: f64 = 4000.0;

/// Appends the values named in [`COLUMNS`]; `steps` are normalised and `unit` is their mean in px.
pub(super) fn measure(steps: &Steps, unit: f64, windows: &mut Vec<f64>, row: &mut Vec<f64>) {
    let n = steps.len();
    let before = &steps.before;
    let (dx, dy) = (&steps.dx[..n], &steps.dy[..n]);
    for lag in LAGS {
        let (mut product, mut squares) = (0.0, 0.0);
        for run in steps.runs().filter(|run| run.len() > lag) {
            let (first, last) = (run.start, run.end);
            let earlier = dx[first..last - lag].iter().zip(&dy[first..last - lag]);
            let later = dx[first + lag..last].iter().zip(&dy[first + lag..last]);
            for ((ax, ay), (bx, by)) in earlier.zip(later) {
                product += ax * bx + ay * by;
                squares += 0.5 * (ax * ax + ay * ay + bx * bx + by * by);
            }
        }
        row.push(if squares > 0.0 { product / squares } else { 0.0 });
    }

    // Mean squared displacement over each window, within runs; a window that no run holds goes on as the one before.
    let mut squares = [0.0; WINDOWS.len()];
    let mut exponent = 1.0;
    for (at, window) in WINDOWS.into_iter().enumerate() {
        let (mut sum, mut found) = (0.0, 0usize);
        for run in steps.runs().filter(|run| run.len() >= window) {
            let places = &before[run.start..=run.end];
            for (begin, end) in places.iter().zip(&places[window..]) {
                let (x, y) = (end[0] - begin[0], end[1] - begin[1]);
                sum += x * x + y * y;
            }
            found += run.len() + 1 - window;
        }
        squares[at] = if found > 0 { sum / count(found) } else { 0.0 };
        if at > 0 {
            let (short, long) = (squares[at - 1], squares[at]);
            if found > 0 && short > 0.0 {
                // ln 2 in the denominator: the window doubles, and the square of the distance is measured.
                exponent = (0.5 * (ln((long + 1e-6) / (short + 1e-6))) / std::f64::consts::LN_2).clamp(-2.0, 2.0);
            } else {
                squares[at] = 4.0 * short;
            }
            row.push(exponent);
        }
    }

    row.push(spread(steps, 16, windows));
    row.push(spread(steps, 40, windows));
    row.push(kurtosis(steps, 4));

    let mut reversals = 0u32;
    for run in steps.runs() {
        let (x, y) = (&dx[run.clone()], &dy[run]);
        for (a, b) in x.windows(2).zip(y.windows(2)) {
            reversals += u32::from(a[0] * a[1] + b[0] * b[1] < 0.0);
        }
    }
    let seconds = count(n) * STEP_MS / 1000.0;
    row.push(ln(f64::from(reversals) / seconds + 0.2));

    let (mut x, mut y) = (Range::default(), Range::default());
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    let (mut mean_x, mut mean_y) = (0.0, 0.0);
    for place in before {
        x.add(place[0]);
        y.add(place[1]);
        mean_x += place[0];
        mean_y += place[1];
    }
    (mean_x, mean_y) = (mean_x / count(before.len()), mean_y / count(before.len()));
    for place in before {
        let (a, b) = (place[0] - mean_x, place[1] - mean_y);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    let diagonal = x.width().hypot(y.width());
    let length = before[n][2];
    row.push(ln(length / (diagonal + 1.0) / seconds + 0.05));
    // The spread across the main axis over that along it.
    let half = 0.5 * (xx + yy);
    let apart = (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt();
    row.push(ln(((half - apart).max(0.0).sqrt() + 0.01 * half.sqrt()) / ((half + apart).sqrt() + 1e-9)));

    let (entropy, strength) = directions(steps);
    row.extend([entropy, strength]);
    let span = steps.span_ms.max(STEP_MS);
    row.push((count(n) * STEP_MS / span).min(1.5));
    let px_s = unit * 1000.0 / STEP_MS;
    let peak = steps.length.iter().copied().fold(0.0, f64::max) * px_s;
    row.push(ln((peak / ORDINARY_PX_S).max(1.0)));
}

#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY }
    }
}

impl Range {
    fn add(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    fn width(self) -> f64 {
        (self.high - self.low).max(0.0)
    }
}

/// Spread of ln mean speed among windows of `window` steps, without overlap: how much the pace changes in the session.
fn spread(steps: &Steps, window: usize, values: &mut Vec<f64>) -> f64 {
    values.clear();
    let ends = steps.before.iter().step_by(window);
    let mut last: Option<f64> = None;
    for place in ends {
        if let Some(last) = last {
            values.push(ln((place[2] - last) / count(window) + 0.05));
        }
        last = Some(place[2]);
    }
    if values.len() < 2 {
        return 0.5;
    }
    let [low, high] = sorted(values, [0.15, 0.85], 0.0);
    high - low
}

/// ln(1 + kurtosis) of the components of the displacement over `window` steps.
fn kurtosis(steps: &Steps, window: usize) -> f64 {
    let (mut second, mut fourth, mut n) = (0.0, 0.0, 0.0);
    for run in steps.runs().filter(|run| run.len() >= window) {
        let places = &steps.before[run.start..=run.end];
        for (begin, end) in places.iter().zip(&places[window..]) {
            for d in [end[0] - begin[0], end[1] - begin[1]] {
                second += d * d;
                fourth += d * d * d * d;
            }
            n += 2.0;
        }
    }
    if second > 0.0 { ln(1.0 + n * fourth / (second * second)) } else { ln(4.0) }
}

/// Entropy of the directions of all steps, by length, over that of an even spread; and the largest share of one sector
/// and its opposite.
fn directions(steps: &Steps) -> (f64, f64) {
    let mut shares = [0.0f64; SECTORS];
    for ((dx, dy), length) in steps.dx.iter().zip(&steps.dy).zip(&steps.length) {
        shares[sector(*dx, *dy)] += length;
    }
    let total: f64 = shares.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let entropy: f64 = shares.iter().filter(|s| **s > 0.0).map(|s| -(s / total) * ln(s / total)).sum();
    let pairs = shares[..SECTORS / 2].iter().zip(&shares[SECTORS / 2..]).map(|(a, b)| (a + b) / total);
    (entropy / ln(count(SECTORS)), pairs.fold(0.0, f64::max))
}

/// The sector of a direction, without an arc tangent: by octant, then by half of it.
fn sector(dx: f64, dy: f64) -> usize {
    /// Tangent of an eighth of a half-turn.
    const HALF_OCTANT: f64 = 0.414_213_562_373_095_03;
    let (x, y) = (dx.abs(), dy.abs());
    let (low, high, swapped) = if x >= y { (y, x, false) } else { (x, y, true) };
    let within = usize::from(low > HALF_OCTANT * high);
    // 0..4 within the first quadrant.
    let quarter = if swapped { 3 - within } else { within };
    match (dx >= 0.0, dy >= 0.0) {
        (true, true) => quarter,
        (false, true) => 7 - quarter,
        (false, false) => 8 + quarter,
        (true, false) => 15 - quarter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_go_round_once() {
        let sectors: Vec<usize> = (0..32)
            .map(|i| {
                let (sin, cos) = ((f64::from(i) + 0.5) / 32.0 * std::f64::consts::TAU).sin_cos();
                sector(cos, sin)
            })
            .collect();
        assert_eq!(sectors, (0..32).map(|i| i / 2).collect::<Vec<_>>());
    }
}
