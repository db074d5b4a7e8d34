//! How alike two movements are once the one is laid over the other.

use super::compact::{POINTS, Points};
use super::path::{Path, SMOOTHED};

/// At most so much is left between a movement and its replay. Among 46 million pairs of sessions of people, evident
/// copies aside, the closest had 0.040; see ARCHITECTURE.md.
pub const SAME: f64 = 0.035;
/// At most so much is left where nothing but a replay is believed.
pub const SURELY_SAME: f64 = 0.01;

/// Paces between which one movement is taken for the other, played faster or slower.
const PACES: (f64, f64) = (0.7, 1.43);
/// Fewer points in common say nothing.
const LEAST_POINTS: usize = 12;
/// A part of a movement in common that is less than this share of both says nothing about the whole.
const LEAST_COMMON: f64 = 0.5;
/// At the first look, before times are fitted, so much may be left over.
const FIRST_LOOK: f64 = 0.6;
/// Steps to either side at which slopes are taken.
const REACH: f64 = 2.0;
/// Rounds of fitting.
const ROUNDS: usize = 4;

/// A movement laid over a kept one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// What is left between the two when the best shift, turn, scale and pace is taken out, as a share of the
    /// movement's own extent: 0 is the same movement.
    pub left: f64,
    /// Points that both have.
    pub points: usize,
    /// The share of the kept one's time, and of this one's, that they have in common; the larger.
    pub common: f64,
    /// How many times larger this one is.
    pub scale: f64,
    /// How many times slower this one is.
    pub pace: f64,
    /// Whether the telemetry is the same to the bit, times taken from the first.
    pub identical: bool,
}

/// Lays `path` over the `kept` points, starting from a window that both have: `ours` and `theirs`, in steps.
pub(super) fn compare(path: &Path, kept: &Points, ours: (f64, f64), theirs: (f64, f64)) -> Option<Likeness> {
    let mut pace = (ours.1 - ours.0) / (theirs.1 - theirs.0);
    if !(PACES.0..=PACES.1).contains(&pace) {
        return None;
    }
    let mut begin = ours.0 - pace * theirs.0;
    let mut best: Option<Likeness> = None;
    for round in 0..=ROUNDS {
        let fit = Fit::new(path, kept, begin, pace)?;
        if round == 0 && fit.left > FIRST_LOOK {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "steps")]
        let steps = path.len().saturating_sub(1) as f64;
        let (from, to) = (begin.max(0.0), (begin + pace * kept.steps).min(steps));
        let common = ((to - from) / steps).max((to - from) / (pace * kept.steps));
        let likeness = Likeness {
            left: fit.left,
            points: fit.points,
            common,
            scale: fit.scale / kept.unit,
            pace,
            identical: false,
        };
        if best.is_none_or(|best| likeness.left < best.left) {
            best = Some(likeness);
        }
        let Some((later, slower)) = fit.better else { break };
        begin += later.clamp(-20.0, 20.0);
        pace += slower.clamp(-0.1, 0.1);
        if !(PACES.0..=PACES.1).contains(&pace) {
            break;
        }
    }
    best.filter(|best| best.common >= LEAST_COMMON)
}

/// The best shift, turn and scale at one pace, and how to change the pace.
struct Fit {
    left: f64,
    points: usize,
    scale: f64,
    better: Option<(f64, f64)>,
}

impl Fit {
    fn new(path: &Path, kept: &Points, begin: f64, pace: f64) -> Option<Self> {
        // One row of unknowns per point: shift (2), scale and turn (2), later, slower.
        let mut rows = [([0.0; 4], 0.0, 0.0); POINTS];
        let mut points = 0;
        // Both were smoothed over the same time; at another pace that is another part of the movement.
        let sharper = 0.5 * SMOOTHED * (pace * pace - 1.0) / (REACH * REACH);
        #[expect(clippy::cast_precision_loss, reason = "steps")]
        let last = path.len().saturating_sub(1) as f64;
        let (mut mine, mut theirs) = ((0.0, 0.0), (0.0, 0.0));
        for i in 0..POINTS {
            let step = begin + pace * kept.step(i);
            if !(0.0..=last).contains(&step) {
                continue;
            }
            let (at, ahead, behind) = (path.at(step), path.at(step + REACH), path.at(step - REACH));
            let velocity = ((ahead.0 - behind.0) / (2.0 * REACH), (ahead.1 - behind.1) / (2.0 * REACH));
            let bend = |at: f64, ahead: f64, behind: f64| at + sharper * (ahead - 2.0 * at + behind);
            let here = (bend(at.0, ahead.0, behind.0), bend(at.1, ahead.1, behind.1));
            rows[points] = ([here.0, here.1, kept.at[i].0, kept.at[i].1], velocity.0, velocity.1);
            mine = (mine.0 + here.0, mine.1 + here.1);
            theirs = (theirs.0 + kept.at[i].0, theirs.1 + kept.at[i].1);
            points += 1;
        }
        if points < LEAST_POINTS {
            return None;
        }
        let rows = &mut rows[..points];
        #[expect(clippy::cast_precision_loss, reason = "at most POINTS")]
        let n = points as f64;
        let (mut cross, mut extent, mut kept_extent) = ((0.0, 0.0), 0.0, 0.0);
        for (row, _, _) in rows.iter_mut() {
            row[0] -= mine.0 / n;
            row[1] -= mine.1 / n;
            row[2] -= theirs.0 / n;
            row[3] -= theirs.1 / n;
            cross.0 += row[2] * row[0] + row[3] * row[1];
            cross.1 += row[2] * row[1] - row[3] * row[0];
            extent += row[0] * row[0] + row[1] * row[1];
            kept_extent += row[2] * row[2] + row[3] * row[3];
        }
        if extent <= 0.0 || kept_extent <= 0.0 {
            return None;
        }
        let (re, im) = (cross.0 / kept_extent, cross.1 / kept_extent);
        // What is left, and its slope with the times, all other unknowns taken out of both.
        let times: Vec<f64> =
            (0..POINTS).map(|i| kept.step(i)).filter(|t| (0.0..=last).contains(&(begin + pace * t))).collect();
        let mut leftover = Vec::with_capacity(2 * points);
        let (mut later, mut slower) = (Vec::with_capacity(2 * points), Vec::with_capacity(2 * points));
        let mut left = 0.0;
        for ((row, vx, vy), t) in rows.iter().zip(&times) {
            let (rx, ry) = (row[0] - (re * row[2] - im * row[3]), row[1] - (re * row[3] + im * row[2]));
            left += rx * rx + ry * ry;
            leftover.extend([rx, ry]);
            later.extend([*vx, *vy]);
            slower.extend([t * vx, t * vy]);
        }
        for column in [&mut later, &mut slower] {
            project(column, rows, kept_extent);
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (ll, ls, ss) = (dot(&later, &later), dot(&later, &slower), dot(&slower, &slower));
        let (lr, sr) = (dot(&later, &leftover), dot(&slower, &leftover));
        let det = ll * ss - ls * ls;
        let better = (det > 1e-9 * ll * ss).then(|| (-(lr * ss - sr * ls) / det, -(sr * ll - lr * ls) / det));
        let scale = (re * re + im * im).sqrt();
        Some(Self { left: (left / extent).sqrt(), points, scale, better })
    }
}

/// Takes shift, scale and turn out of a column of (x, y) pairs.
fn project(column: &mut [f64], rows: &[([f64; 4], f64, f64)], kept_extent: f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most POINTS")]
    let n = rows.len() as f64;
    let (mut x, mut y) = (0.0, 0.0);
    for pair in column.chunks_exact(2) {
        x += pair[0] / n;
        y += pair[1] / n;
    }
    let (mut re, mut im) = (0.0, 0.0);
    for (pair, (row, _, _)) in column.chunks_exact_mut(2).zip(rows) {
        pair[0] -= x;
        pair[1] -= y;
        re += (row[2] * pair[0] + row[3] * pair[1]) / kept_extent;
        im += (row[2] * pair[1] - row[3] * pair[0]) / kept_extent;
    }
    for (pair, (row, _, _)) in column.chunks_exact_mut(2).zip(rows) {
        pair[0] -= re * row[2] - im * row[3];
        pair[1] -= re * row[3] + im * row[2];
    }
}
