//! Drawn paths: what automation packages put between two points.

use rand::{Rng, RngExt};

use super::legs::Sample;
use super::noise::Easing;

/// Which curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Curve {
    Straight,
    Quadratic,
    Cubic,
    /// Straight pieces or a smooth curve through a few points off the line.
    Knots {
        smooth: bool,
    },
    /// A pull to the target and a wandering push, step by step.
    Wind,
    /// In one to three jumps.
    Jumps,
}

/// A curve and how a program moves along it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) curve: Curve,
    pub(super) easing: Easing,
    /// How far paths leave the line, as a share of its length.
    pub(super) bow: f64,
}

/// The places at `times`, all after `from.t` and up to `to.t`.
pub(super) fn places(
    from: Sample,
    to: Sample,
    times: &[f64],
    style: &Style,
    shape: &[f64; 8],
    rng: &mut impl Rng,
) -> Vec<(f64, f64)> {
    let span = to.t - from.t;
    let wind = if style.curve == Curve::Wind { blow(from, to, shape, rng) } else { Vec::new() };
    let jumps = 1.0 + (shape[0].abs() * 3.0).floor();
    let line = |s: f64| (from.x + s * (to.x - from.x), from.y + s * (to.y - from.y));
    times
        .iter()
        .map(|t| {
            let u = ((t - from.t) / span).clamp(0.0, 1.0);
            let s = style.easing.at(u);
            match style.curve {
                Curve::Straight => line(s),
                Curve::Quadratic | Curve::Cubic | Curve::Knots { .. } => curve(from, to, s, style, shape),
                Curve::Wind => along(&wind, if shape[1] > 0.0 { u } else { s }),
                Curve::Jumps => line(if u >= 1.0 { 1.0 } else { (u * jumps).floor() / jumps }),
            }
        })
        .collect()
}

fn curve(from: Sample, to: Sample, s: f64, style: &Style, shape: &[f64; 8]) -> (f64, f64) {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    // `along` as a share of the line, `off` across it.
    let place = |along: f64, off: f64| (from.x + along * dx - off * dy, from.y + along * dy + off * dx);
    let bow = style.bow;
    match style.curve {
        Curve::Quadratic => {
            let r = 1.0 - s;
            let (along, off) = (0.5 + 0.3 * shape[0], 2.0 * bow * shape[1]);
            place(2.0 * r * s * along + s * s, 2.0 * r * s * off)
        }
        Curve::Cubic => {
            let r = 1.0 - s;
            let (a, b) = (3.0 * r * r * s, 3.0 * r * s * s);
            let along = a * (0.3 + 0.3 * shape[0]) + b * (0.7 + 0.3 * shape[1]) + s * s * s;
            place(along, 2.0 * bow * (a * shape[2] + b * shape[3]))
        }
        _ => {
            let off = [0.0, shape[4], shape[5], shape[6], 0.0];
            let at = 4.0 * s;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 4")]
            let k = (at.floor() as usize).min(3);
            let u = at - f64::from(u8::try_from(k).unwrap_or(3));
            let before = off[k.saturating_sub(1)];
            let after = off[(k + 2).min(4)];
            let across = if style.curve == (Curve::Knots { smooth: true }) {
                spline(before, off[k], off[k + 1], after, u)
            } else {
                off[k] + u * (off[k + 1] - off[k])
            };
            place(s, bow * across)
        }
    }
}

/// Catmull and Rom's cubic through `b` and `c`.
pub(super) fn spline(a: f64, b: f64, c: f64, d: f64, u: f64) -> f64 {
    b + 0.5 * u * (c - a + u * (2.0 * a - 5.0 * b + 4.0 * c - d + u * (3.0 * (b - c) + d - a)))
}

/// The path of a body that gravity pulls to the target while a random wind pushes it.
fn blow(from: Sample, to: Sample, shape: &[f64; 8], rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let (gravity, push) = (9.0 + 4.0 * shape[2], 3.0 + 2.0 * shape[3]);
    let (near, fastest) = (12.0 + 4.0 * shape[4], 15.0 + 8.0 * shape[5]);
    let (mut x, mut y, mut vx, mut vy, mut wx, mut wy) = (from.x, from.y, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
    let mut limit: f64 = fastest;
    let mut path = vec![(x, y)];
    for _ in 0..2000 {
        let distance = (to.x - x).hypot(to.y - y);
        if distance < 1.0 {
            break;
        }
        let blown = push.min(distance);
        wx /= 3f64.sqrt();
        wy /= 3f64.sqrt();
        if distance >= near {
            wx += rng.random_range(-1.0..1.0) * blown / 5f64.sqrt();
            wy += rng.random_range(-1.0..1.0) * blown / 5f64.sqrt();
        } else if limit < 3.0 {
            limit = rng.random_range(3.0..6.0);
        } else {
            limit /= 5f64.sqrt();
        }
        vx += wx + gravity * (to.x - x) / distance;
        vy += wy + gravity * (to.y - y) / distance;
        let speed = vx.hypot(vy);
        if speed > limit {
            let clip = limit / 2.0 + rng.random::<f64>() * limit / 2.0;
            (vx, vy) = (vx / speed * clip, vy / speed * clip);
        }
        (x, y) = (x + vx, y + vy);
        path.push((x, y));
    }
    path.push((to.x, to.y));
    path
}

/// The place at share `u` of the points of a path.
fn along(path: &[(f64, f64)], u: f64) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most some thousand points")]
    let at = u * (path.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a length")]
    let k = (at.floor() as usize).min(path.len() - 1);
    let (a, b) = (path[k], path[(k + 1).min(path.len() - 1)]);
    (a.0 + at.fract() * (b.0 - a.0), a.1 + at.fract() * (b.1 - a.1))
}
