//! How alike two movements are once the one is laid over the other.

use std::ops::Range;

use super::compact::{POINTS, Points};
use super::path::{Path, SMOOTHED};

/// Largest residual between a movement and its replay. Among 88 million pairs of sessions of people, no pair with any
/// evidence comes below it but recordings of one movement; see docs/design/sketches.md.
pub const SAME: f64 = 0.035;
/// The same where no reach is evidence. Of those pairs one has a residual of 0.032: two plain strokes.
const SAME_WITHOUT_REACHES: f64 = 0.02;
/// Largest residual of a certain replay.
pub const SURELY_SAME: f64 = 0.01;

/// Smallest evidence between a movement and its replay; `bench sketches` measures how often by chance.
pub const EVIDENT: f32 = 7.5;
/// Smallest evidence of a certain replay.
pub const SURELY_EVIDENT: f32 = 11.0;

/// Fewest stretches of movement that the evidence of a certain replay lies on.
const MIN_STRETCHES: u16 = 2;

/// Paces between which one movement is taken for the other, played faster or slower.
const PACES: (f64, f64) = (0.7, 1.43);
/// Minimum overlap in points.
const MIN_POINTS: usize = 10;
/// A part of a movement in common that is less than this share of both says nothing about the whole,
const MIN_COMMON: f64 = 0.5;
/// but one of at least this share tells a copy where reaches say so too,
const MIN_PART: f64 = 0.33;
/// by at least so much. Among 22 million pairs of sessions of people, no pair with such evidence has a part in common whose
/// residual is below 0.08.
pub(super) const PARTLY_EVIDENT: f32 = 3.0;
/// Stored points of a part: a little more than a third of the stored movement's time.
const PART_POINTS: usize = 12;
/// Largest residual of a part before times are fitted.
const FIRST_LOOK_AT_PART: f64 = 0.4;
/// Minimum overlap in the coarse pass, which takes every other point.
const MIN_LOOKED: f64 = 5.0;
/// Largest residual of the coarse pass, before times are fitted.
const FIRST_LOOK: f64 = 0.3;
/// Largest residual after the second round of fitting that a third may still mend.
const SECOND_LOOK: f64 = 0.2;
/// Steps to either side at which slopes are taken.
const REACH: f64 = 2.0;
/// Rounds of fitting.
const ROUNDS: usize = 4;

/// A movement laid over a kept one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// What is left between the two when the best shift, turn, scale and pace is taken out, as a share of the
    /// movement's own extent: 0 is the same movement.
    pub residual: f64,
    /// Points that both have.
    pub points: usize,
    /// The share of the kept one's time, and of this one's, that they have in common; the larger.
    pub common: f64,
    /// How many times larger this one is.
    pub scale: f64,
    /// How many times slower this one is.
    pub pace: f64,
    /// Whether the one is the other's mirror image.
    pub mirrored: bool,
    /// What its reaches exceed chance by together, decimal logarithm; see [`super::rarity`].
    pub evidence: f32,
    /// Its reaches that have a copy in the kept one.
    pub reaches: u16,
    /// Stretches of both movements that these reaches lie on, each counted once.
    pub stretches: u16,
    /// Whether the telemetry is the same to the bit, times taken from the first.
    pub identical: bool,
}

/// How sure it is that two movements are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// As alike as one in a thousand people's sessions is to any of a million others at most.
    Same,
    /// As nothing but a copy is.
    SurelySame,
}

impl Likeness {
    /// What the reaches of a movement that cannot be laid over the kept one as a whole say.
    pub(super) const APART: Self = Self {
        residual: f64::INFINITY,
        points: 0,
        common: 0.0,
        scale: 1.0,
        pace: 1.0,
        mirrored: false,
        evidence: 0.0,
        reaches: 0,
        stretches: 0,
        identical: false,
    };

    /// The more alike first: what leaves least as a whole where either may be one, else what its reaches say.
    #[must_use]
    pub fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        let whole = |like: &Self| if like.residual <= SAME { like.residual } else { f64::INFINITY };
        b.strength().cmp(&a.strength()).then(whole(a).total_cmp(&whole(b))).then(b.evidence.total_cmp(&a.evidence))
    }

    /// How sure it is that the two are one; `None` where they are not alike enough.
    #[must_use]
    pub fn strength(&self) -> Option<Strength> {
        let is_enough = self.common >= MIN_COMMON || self.evidence >= PARTLY_EVIDENT;
        let residual = if is_enough { self.residual } else { f64::INFINITY };
        let is_surely_evident = self.evidence >= SURELY_EVIDENT && self.stretches >= MIN_STRETCHES;
        if residual <= SURELY_SAME || is_surely_evident {
            Some(Strength::SurelySame)
        } else if residual <= SAME_WITHOUT_REACHES
            || residual <= SAME && self.evidence > 0.0
            || self.evidence >= EVIDENT
        {
            Some(Strength::Same)
        } else {
            None
        }
    }
}

/// Estimates pace ratio and start offset, in steps of 10 ms, from one shared reach.
pub(super) fn start(ours: (f64, f64), theirs: (f64, f64)) -> Option<(f64, f64)> {
    let pace = (ours.1 - ours.0) / (theirs.1 - theirs.0);
    (PACES.0..=PACES.1).contains(&pace).then_some((ours.0 - pace * theirs.0, pace))
}

/// The coarse pass: the residual of every other point, without fitting the times. `None` where it exceeds the bound.
pub(super) fn first_look(path: &Path, kept: &Points, (begin, pace): (f64, f64)) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "steps")]
    let last = path.len().saturating_sub(1) as f64;
    let (mut n, mut mine, mut theirs) = (0.0, (0.0, 0.0), (0.0, 0.0));
    let (mut cross, mut extent, mut kept_extent) = ((0.0, 0.0), 0.0, 0.0);
    for i in (0..POINTS).step_by(2) {
        let step = begin + pace * kept.step(i);
        if !(0.0..=last).contains(&step) {
            continue;
        }
        let ((x, y), (u, v)) = (path.at(step), kept.at[i]);
        n += 1.0;
        mine = (mine.0 + x, mine.1 + y);
        theirs = (theirs.0 + u, theirs.1 + v);
        cross = (cross.0 + u * x + v * y, cross.1 + u * y - v * x);
        extent += x * x + y * y;
        kept_extent += u * u + v * v;
    }
    if n < MIN_LOOKED {
        return None;
    }
    let re = cross.0 - (theirs.0 * mine.0 + theirs.1 * mine.1) / n;
    let im = cross.1 - (theirs.0 * mine.1 - theirs.1 * mine.0) / n;
    let extent = extent - (mine.0 * mine.0 + mine.1 * mine.1) / n;
    let kept_extent = kept_extent - (theirs.0 * theirs.0 + theirs.1 * theirs.1) / n;
    let left = 1.0 - (re * re + im * im) / (extent * kept_extent);
    (left <= FIRST_LOOK * FIRST_LOOK).then(|| left.max(0.0))
}

/// Lays `path` over the `kept` points, from a begin and a pace to start with.
pub(super) fn compare(path: &Path, kept: &Points, start: (f64, f64)) -> Option<Likeness> {
    fit(path, kept, start, 0..POINTS).filter(|best| best.common >= MIN_PART)
}

/// Lays `path` over each run of [`PART_POINTS`] of the `kept` points that touches `around`, steps of theirs: what is left
/// of the best. For a copy of a part between other movement, where no run of all points can fit.
pub(super) fn compare_parts(path: &Path, kept: &Points, start: (f64, f64), around: (f64, f64)) -> Option<Likeness> {
    let touches = |from: &usize| kept.step(*from) <= around.1 && kept.step(*from + PART_POINTS - 1) >= around.0;
    let parts = (0..=POINTS - PART_POINTS).filter(touches).filter_map(|from| {
        let part = from..from + PART_POINTS;
        let first = Fit::new(path, kept, start, part.clone())?;
        (first.points == PART_POINTS && first.residual <= FIRST_LOOK_AT_PART).then(|| fit(path, kept, start, part))?
    });
    parts.filter(|part| part.points == PART_POINTS).min_by(|a, b| a.residual.total_cmp(&b.residual))
}

/// The best that rounds of fitting make of a begin and a pace, by some of the `kept` points.
fn fit(path: &Path, kept: &Points, (mut begin, mut pace): (f64, f64), of: Range<usize>) -> Option<Likeness> {
    let mut best: Option<Likeness> = None;
    let (first, last) = (kept.step(of.start), kept.step(of.end - 1));
    for round in 0..=ROUNDS {
        let fit = Fit::new(path, kept, (begin, pace), of.clone())?;
        if round == 2 && fit.residual > SECOND_LOOK {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "steps")]
        let steps = path.len().saturating_sub(1) as f64;
        let (from, to) = ((begin + pace * first).max(0.0), (begin + pace * last).min(steps));
        let common = ((to - from) / steps).max((to - from) / (pace * kept.steps));
        let likeness = Likeness {
            residual: fit.residual,
            points: fit.points,
            common,
            scale: fit.scale / kept.unit,
            pace,
            mirrored: false,
            evidence: 0.0,
            reaches: 0,
            stretches: 0,
            identical: false,
        };
        if best.is_none_or(|best| likeness.residual < best.residual) {
            best = Some(likeness);
        }
        let Some((later, slower)) = fit.better else { break };
        begin += later.clamp(-20.0, 20.0);
        pace += slower.clamp(-0.1, 0.1);
        if !(PACES.0..=PACES.1).contains(&pace) {
            break;
        }
    }
    best
}

/// The best shift, turn and scale at one pace, and how to change the pace.
struct Fit {
    residual: f64,
    points: usize,
    scale: f64,
    better: Option<(f64, f64)>,
}

impl Fit {
    fn new(path: &Path, kept: &Points, (begin, pace): (f64, f64), of: Range<usize>) -> Option<Self> {
        // One row of unknowns per point: shift (2), scale and turn (2), later, slower.
        let mut rows: [Row; POINTS] = [([0.0; 4], (0.0, 0.0), 0.0); POINTS];
        let mut points = 0;
        // Both were smoothed over the same time; at another pace that is another part of the movement.
        let sharper = 0.5 * SMOOTHED * (pace * pace - 1.0) / (REACH * REACH);
        #[expect(clippy::cast_precision_loss, reason = "steps")]
        let last = path.len().saturating_sub(1) as f64;
        let (mut mine, mut theirs) = ((0.0, 0.0), (0.0, 0.0));
        for i in of {
            let step = begin + pace * kept.step(i);
            if !(0.0..=last).contains(&step) {
                continue;
            }
            let (at, ahead, behind) = (path.at(step), path.at(step + REACH), path.at(step - REACH));
            let velocity = ((ahead.0 - behind.0) / (2.0 * REACH), (ahead.1 - behind.1) / (2.0 * REACH));
            let bend = |at: f64, ahead: f64, behind: f64| at + sharper * (ahead - 2.0 * at + behind);
            let here = (bend(at.0, ahead.0, behind.0), bend(at.1, ahead.1, behind.1));
            rows[points] = ([here.0, here.1, kept.at[i].0, kept.at[i].1], velocity, kept.step(i));
            mine = (mine.0 + here.0, mine.1 + here.1);
            theirs = (theirs.0 + kept.at[i].0, theirs.1 + kept.at[i].1);
            points += 1;
        }
        if points < MIN_POINTS {
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
        let mut leftover = [(0.0, 0.0); POINTS];
        let (mut later, mut slower) = ([(0.0, 0.0); POINTS], [(0.0, 0.0); POINTS]);
        let mut left = 0.0;
        for (i, (row, velocity, t)) in rows.iter().enumerate() {
            let (rx, ry) = (row[0] - (re * row[2] - im * row[3]), row[1] - (re * row[3] + im * row[2]));
            left += rx * rx + ry * ry;
            leftover[i] = (rx, ry);
            later[i] = *velocity;
            slower[i] = (t * velocity.0, t * velocity.1);
        }
        let (leftover, later, slower) = (&leftover[..points], &mut later[..points], &mut slower[..points]);
        project(later, rows, kept_extent);
        project(slower, rows, kept_extent);
        let dot = |a: &[(f64, f64)], b: &[(f64, f64)]| a.iter().zip(b).map(|(a, b)| a.0 * b.0 + a.1 * b.1).sum::<f64>();
        let (ll, ls, ss) = (dot(later, later), dot(later, slower), dot(slower, slower));
        let (lr, sr) = (dot(later, leftover), dot(slower, leftover));
        let det = ll * ss - ls * ls;
        let better = (det > 1e-9 * ll * ss).then(|| (-(lr * ss - sr * ls) / det, -(sr * ll - lr * ls) / det));
        let scale = (re * re + im * im).sqrt();
        Some(Self { residual: (left / extent).sqrt(), points, scale, better })
    }
}

/// Our point and theirs, taken from their means; our speed there; their time.
type Row = ([f64; 4], (f64, f64), f64);

/// Takes shift, scale and turn out of a column.
fn project(column: &mut [(f64, f64)], rows: &[Row], kept_extent: f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most POINTS")]
    let n = rows.len() as f64;
    let (mut x, mut y) = (0.0, 0.0);
    for pair in column.iter() {
        x += pair.0 / n;
        y += pair.1 / n;
    }
    let (mut re, mut im) = (0.0, 0.0);
    for (pair, (row, _, _)) in column.iter_mut().zip(rows) {
        pair.0 -= x;
        pair.1 -= y;
        re += row[2] * pair.0 + row[3] * pair.1;
        im += row[2] * pair.1 - row[3] * pair.0;
    }
    let (re, im) = (re / kept_extent, im / kept_extent);
    for (pair, (row, _, _)) in column.iter_mut().zip(rows) {
        pair.0 -= re * row[2] - im * row[3];
        pair.1 -= re * row[3] + im * row[2];
    }
}
