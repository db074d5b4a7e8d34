//! Bots that start from a recording: keyframes, replays, other legs morphed into place, walks with a person's statistics.

use rand::{Rng, RngExt};

use super::drawn::spline;
use super::legs::Sample;

/// The place at `t` on a curve through the samples nearest to every `every` ms (0: through all).
pub(super) fn keyframe(leg: &[Sample], t: f64, every: f64, smooth: bool) -> (f64, f64) {
    let at = |time: f64| {
        let k = leg.partition_point(|s| s.t <= time).clamp(1, leg.len() - 1);
        let (a, b) = (leg[k - 1], leg[k]);
        let u = ((time - a.t) / (b.t - a.t).max(1e-9)).clamp(0.0, 1.0);
        (a.x + u * (b.x - a.x), a.y + u * (b.y - a.y))
    };
    if every <= 0.0 {
        return at(t);
    }
    let (first, last) = (leg[0].t, leg[leg.len() - 1].t);
    let frames = ((last - first) / every).ceil().max(1.0);
    let width = (last - first) / frames;
    let k = ((t - first) / width).floor().min(frames - 1.0);
    let u = (t - first) / width - k;
    let frame = |k: f64| at(first + k.clamp(0.0, frames) * width);
    let (b, c) = (frame(k), frame(k + 1.0));
    if !smooth {
        return (b.0 + u * (c.0 - b.0), b.1 + u * (c.1 - b.1));
    }
    let (a, d) = (frame(k - 1.0), frame(k + 2.0));
    (spline(a.0, b.0, c.0, d.0, u), spline(a.1, b.1, c.1, d.1, u))
}

/// The places at `times` of a replay whose clock runs unevenly: fast and slow by up to `warp` within the leg.
pub(super) fn warped(leg: &[Sample], times: &[f64], warp: f64, phase: f64) -> Vec<(f64, f64)> {
    let (first, span) = (leg[0].t, (leg[leg.len() - 1].t - leg[0].t).max(1e-9));
    times
        .iter()
        .map(|t| {
            let u = (t - first) / span;
            let wave = |u: f64| (std::f64::consts::TAU * (u + phase)).sin();
            // Monotone for a warp below 1, and exact at both ends.
            let moved = u + warp / std::f64::consts::TAU * (wave(u) - wave(0.0));
            keyframe(leg, first + span * moved.clamp(0.0, 1.0), 0.0, false)
        })
        .collect()
}

/// The places at `times` on `donor`, turned, stretched and timed to lead from `from` to `to`.
pub(super) fn morphed(from: Sample, to: Sample, donor: &[Sample], times: &[f64]) -> Vec<(f64, f64)> {
    let (a, b) = (donor[0], donor[donor.len() - 1]);
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let square = dx * dx + dy * dy;
    let (wx, wy) = (to.x - from.x, to.y - from.y);
    // The complex quotient of the two chords turns and stretches; a donor that returns to its start is only shifted.
    let (re, im) = if square > 1.0 { ((wx * dx + wy * dy) / square, (wy * dx - wx * dy) / square) } else { (1.0, 0.0) };
    let span = (to.t - from.t).max(1e-9);
    times
        .iter()
        .map(|t| {
            let u = ((t - from.t) / span).clamp(0.0, 1.0);
            let (x, y) = keyframe(donor, a.t + u * (b.t - a.t), 0.0, false);
            let (x, y) = (x - a.x, y - a.y);
            let (px, py) = (from.x + re * x - im * y, from.y + im * x + re * y);
            if square > 1.0 { (px, py) } else { (px + u * (wx - dx), py + u * (wy - dy)) }
        })
        .collect()
}

/// The places at `times` of a walk made of the leg's own short pieces of velocity in another order, led to the target.
pub(super) fn walked(leg: &[Sample], times: &[f64], rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let (from, to) = (leg[0], leg[leg.len() - 1]);
    let piece = rng.random_range(1..5);
    let (mut x, mut y, mut t) = (0.0, 0.0, from.t);
    let (mut k, mut left) = (0, 0);
    let mut places: Vec<(f64, f64)> = times
        .iter()
        .map(|next| {
            if left == 0 {
                (k, left) = (rng.random_range(1..leg.len()), piece);
            }
            let (a, b) = (leg[k - 1], leg[k]);
            let scale = (next - t) / (b.t - a.t).max(4.0);
            x += scale * (b.x - a.x);
            y += scale * (b.y - a.y);
            t = *next;
            k = 1 + k % (leg.len() - 1);
            left -= 1;
            (x, y)
        })
        .collect();
    let (ex, ey) = (from.x + x - to.x, from.y + y - to.y);
    let span = (to.t - from.t).max(1e-9);
    for (place, t) in places.iter_mut().zip(times) {
        let u = (t - from.t) / span;
        *place = (from.x + place.0 - u * ex, from.y + place.1 - u * ey);
    }
    places
}
