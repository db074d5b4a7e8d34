//! Models of the hand: what someone writes who has read how people move.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

use super::legs::Sample;
use super::noise::gaussian;

/// The places at `times` of a reach in overlapping minimum-jerk submovements with noise that grows with speed: a first one
/// that misses by a share of the distance, then corrections (Flash and Hogan, J. Neurosci. 5, 1985; Meyer et al., Psychol.
/// Rev. 95, 1988; Harris and Wolpert, Nature 394, 1998).
pub(super) fn minimum_jerk(
    from: Sample,
    to: Sample,
    times: &[f64],
    shape: &[f64; 8],
    rng: &mut impl Rng,
) -> Vec<(f64, f64)> {
    let span = to.t - from.t;
    let distance = (to.x - from.x).hypot(to.y - from.y);
    let corrections = rng.random_range(0..4);
    let miss = rng.random_range(0.02..0.2) * distance;
    let mut parts: Vec<(f64, f64, f64, f64)> = Vec::new();
    let (mut x, mut y, mut begin) = (from.x, from.y, 0.0f64);
    let first = rng.random_range(0.45..1.0);
    for k in 0..=corrections {
        let last = k == corrections;
        let share = if k == 0 { first } else { (1.0 - begin) * rng.random_range(0.4..0.9) };
        let end = if last { 1.0 } else { (begin + share).min(1.0) };
        let size = miss / f64::from(1 << (2 * k));
        let (tx, ty) = if last { (to.x, to.y) } else { (to.x + size * gaussian(rng), to.y + size * gaussian(rng)) };
        parts.push((begin, end, tx - x, ty - y));
        (x, y) = (tx, ty);
        begin += (end - begin) * rng.random_range(0.5..0.9);
    }
    let bow = 0.15 * shape[0];
    let noise = rng.random_range(0.0..0.12);
    let keep = rng.random_range(0.3..0.9f64);
    let (mut nx, mut ny, mut before) = (0.0, 0.0, (from.x, from.y));
    times
        .iter()
        .map(|t| {
            let u = ((t - from.t) / span).clamp(0.0, 1.0);
            let (mut px, mut py) = (from.x, from.y);
            for (begin, end, dx, dy) in &parts {
                let v = ((u - begin) / (end - begin).max(1e-6)).clamp(0.0, 1.0);
                let s = v * v * v * (10.0 - 15.0 * v + 6.0 * v * v);
                let side = bow * 4.0 * s * (1.0 - s);
                px += s * dx - side * dy;
                py += s * dy + side * dx;
            }
            let step = (px - before.0).hypot(py - before.1);
            before = (px, py);
            let fresh = noise * step * (1.0 - keep * keep).sqrt();
            (nx, ny) = (keep * nx + fresh * gaussian(rng), keep * ny + fresh * gaussian(rng));
            if u >= 1.0 { (to.x, to.y) } else { (px + nx, py + ny) }
        })
        .collect()
}

/// The places at `times` of strokes with log-normal speed that add up to the reach, with tremor and a correction of the end
/// point (Plamondon, Biological Cybernetics 72, 1995).
pub(super) fn lognormal(
    from: Sample,
    to: Sample,
    times: &[f64],
    shape: &[f64; 8],
    rng: &mut impl Rng,
) -> Vec<(f64, f64)> {
    let span = to.t - from.t;
    let strokes = rng.random_range(1..5u32);
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let parts: Vec<[f64; 6]> = (0..strokes)
        .map(|k| {
            let start = f64::from(k) / f64::from(strokes) * rng.random_range(0.5..0.9);
            let weight = if k == 0 { 1.0 } else { rng.random_range(0.1..0.8) };
            let sigma = rng.random_range(0.15..0.5);
            let mu = (rng.random_range(0.15..0.45f64)).ln();
            [start, weight, sigma, mu, 0.3 * gaussian(rng), rng.random_range(-0.5..0.5)]
        })
        .collect();
    let total: f64 = parts.iter().map(|p| p[1]).sum();
    let at = |u: f64| {
        let (mut x, mut y) = (0.0, 0.0);
        for [start, weight, sigma, mu, tilt, turn] in &parts {
            let s = if u > *start { normal_cdf(((u - start).ln() - mu) / sigma) } else { 0.0 };
            // The stroke turns while it is made.
            let angle = tilt + turn * (s - 0.5);
            let (sin, cos) = angle.sin_cos();
            x += weight / total * s * (dx * cos - dy * sin);
            y += weight / total * s * (dy * cos + dx * sin);
        }
        (x, y)
    };
    let end = at(1.0);
    let (size, hertz) = (0.6 * shape[1].abs(), 9.0 + 3.0 * shape[2]);
    times
        .iter()
        .map(|t| {
            let u = ((t - from.t) / span).clamp(0.0, 1.0);
            let (x, y) = at(u);
            // What is missing at the end is made up for in the last part of the way.
            let late = ((u - 0.4) / 0.6).clamp(0.0, 1.0);
            let s = late * late * (3.0 - 2.0 * late);
            let phase = TAU * hertz * t / 1000.0;
            let shake = if u < 1.0 { size } else { 0.0 };
            (
                from.x + x + s * (dx - end.0) + shake * phase.sin(),
                from.y + y + s * (dy - end.1) + shake * (1.07 * phase).cos(),
            )
        })
        .collect()
}

/// The standard normal distribution function to 1e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.17).
fn normal_cdf(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = poly * (-0.5 * z * z).exp() / TAU.sqrt();
    if z > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_known_values() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.959_963_985, 0.025), (8.0, 1.0)] {
            assert!((normal_cdf(z) - p).abs() < 1e-6, "{z}");
        }
    }
}
