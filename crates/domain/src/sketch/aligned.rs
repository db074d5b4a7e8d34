//! Parts of one movement laid over those of another that they are copies of: by which shift, turn, stretch and mirroring.

use super::movement::{Movement, Part};
use super::path::{Path, STEP_MS};
use super::reaches;

/// Points by which two parts are laid over each other.
const POINTS: usize = 48;
/// Most points of a part that is drawn.
const MAX_DRAWN: u16 = 400;

/// A part of a movement with the part of another laid over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned {
    /// Which parts, in ms of each recording's own clock, and whether the one mirrors the other.
    pub part: Part,
    /// `[a, b, c, d, e, f]`: a point `(x, y)` of the other lies at `(ax + by + e, cx + dy + f)` here.
    pub map: [f64; 6],
    /// How long this part takes beside the other: above 1 it is slower.
    pub pace: f64,
    /// Root mean square distance of the two, px of this recording.
    pub apart: f64,
    /// The other's part laid over this one, px of this recording.
    pub laid: Vec<(f64, f64)>,
}

impl Movement {
    /// The parts of it that are parts of `other`, each with the other's laid over it by the affine map of least squares.
    #[must_use]
    pub fn aligned(&self, other: &Self) -> Vec<Aligned> {
        self.parts(&other.sketch()).into_iter().filter_map(|part| self.lay(other, part)).collect()
    }

    fn lay(&self, other: &Self, part: Part) -> Option<Aligned> {
        // By time where the pace is even, by time and length where it is not: whichever leaves less.
        let ways = [
            (by_time(&self.path, part.here), by_time(&other.path, part.there)),
            (by_time_and_length(&self.path, part.here), by_time_and_length(&other.path, part.there)),
        ];
        let fitted = ways.into_iter().filter_map(|(here, there)| {
            let map = affine(&there, &here)?;
            Some((map, apart(&map, &there, &here)))
        });
        let (map, apart) = fitted.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let pace = (part.here.1 - part.here.0) / (part.there.1 - part.there.0).max(STEP_MS);
        let drawn = drawn(&other.path, part.there).into_iter().map(|point| laid(&map, point)).collect();
        let recorded =
            |path: &Path, (begin, end): (f64, f64)| (path.time_of(begin / STEP_MS), path.time_of(end / STEP_MS));
        let part = Part { here: recorded(&self.path, part.here), there: recorded(&other.path, part.there), ..part };
        Some(Aligned { part, map, pace, apart, laid: drawn })
    }
}

/// Points of a part at equal times.
fn by_time(path: &Path, (begin, end): (f64, f64)) -> [(f64, f64); POINTS] {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    std::array::from_fn(|i| path.at((begin + (end - begin) * i as f64 / (POINTS - 1) as f64) / STEP_MS))
}

/// Root mean square distance of points laid by `map` from where they belong, px.
fn apart(map: &[f64; 6], from: &[(f64, f64); POINTS], onto: &[(f64, f64); POINTS]) -> f64 {
    let square = |(from, onto): (&(f64, f64), &(f64, f64))| {
        let (x, y) = laid(map, *from);
        (x - onto.0).powi(2) + (y - onto.1).powi(2)
    };
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let mean = from.iter().zip(onto).map(square).sum::<f64>() / POINTS as f64;
    mean.sqrt()
}

/// Points of a part, spread as those of reaches are.
fn by_time_and_length(path: &Path, (begin, end): (f64, f64)) -> [(f64, f64); POINTS] {
    let mut points = [(0.0, 0.0); POINTS];
    reaches::along(path, begin / STEP_MS, end / STEP_MS, &mut points);
    points
}

/// The points of a part that are drawn: every step, or as many as may be.
fn drawn(path: &Path, (begin, end): (f64, f64)) -> Vec<(f64, f64)> {
    let (begin, end) = (begin / STEP_MS, end / STEP_MS);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 2 and MAX_DRAWN")]
    let count = (end - begin).clamp(2.0, f64::from(MAX_DRAWN)) as u16;
    (0..=count).map(|i| path.at(begin + (end - begin) * f64::from(i) / f64::from(count))).collect()
}

fn laid([a, b, c, d, e, f]: &[f64; 6], (x, y): (f64, f64)) -> (f64, f64) {
    (a * x + b * y + e, c * x + d * y + f)
}

/// The affine map of least squares from one list of points onto another; of points on a line, that which stretches across
/// it as along it. `None` where all points are one.
fn affine(from: &[(f64, f64)], onto: &[(f64, f64)]) -> Option<[f64; 6]> {
    #[expect(clippy::cast_precision_loss, reason = "as many as POINTS")]
    let n = from.len() as f64;
    let mean = |points: &[(f64, f64)]| {
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (x / n, y / n)
    };
    let (centre, to) = (mean(from), mean(onto));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    let (mut ux, mut uy, mut vx, mut vy) = (0.0, 0.0, 0.0, 0.0);
    for (p, q) in from.iter().zip(onto) {
        let ((x, y), (u, v)) = ((p.0 - centre.0, p.1 - centre.1), (q.0 - to.0, q.1 - to.1));
        (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        (ux, uy, vx, vy) = (ux + u * x, uy + u * y, vx + v * x, vy + v * y);
    }
    let total = xx + yy;
    if total <= f64::EPSILON {
        return None;
    }
    let det = xx * yy - xy * xy;
    let [a, b, c, d] = if det > 1e-6 * total * total {
        [(ux * yy - uy * xy) / det, (uy * xx - ux * xy) / det, (vx * yy - vy * xy) / det, (vy * xx - vx * xy) / det]
    } else {
        // A similarity, as complex numbers: the sum of onto times the conjugate of from, over that of squares.
        let (re, im) = ((ux + vy) / total, (vx - uy) / total);
        [re, -im, im, re]
    };
    Some([a, b, c, d, to.0 - a * centre.0 - b * centre.1, to.1 - c * centre.0 - d * centre.1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::testing::wandering;

    fn changed(session: &Session, change: impl Fn(f64, f64) -> (f64, f64), pace: f64) -> Session {
        let mut changed = session.clone();
        let moves = &mut changed.movements;
        for (x, y) in moves.x.iter_mut().zip(&mut moves.y) {
            (*x, *y) = change(*x, *y);
        }
        moves.t.iter_mut().for_each(|t| *t *= pace);
        changed
    }

    #[test]
    fn a_copy_is_laid_over_its_source() {
        let source = wandering(3, 14);
        // Mirrored, stretched, turned, shifted and slower.
        let copy = changed(&source, |x, y| (-0.8 * x + 0.3 * y + 900.0, 0.2 * x + 1.1 * y - 40.0), 1.15);
        let (ours, theirs) = (Movement::of(&copy).unwrap(), Movement::of(&source).unwrap());
        let parts = ours.aligned(&theirs);
        assert!(!parts.is_empty());
        let covered: f64 = parts.iter().map(|one| one.part.here.1 - one.part.here.0).sum();
        assert!(covered > 0.5 * copy.movements.t.last().unwrap(), "{covered}");
        for one in &parts {
            assert!(one.apart < 10.0 && (one.pace - 1.15).abs() < 0.1 && one.part.mirrored, "{one:?}");
            for (value, wanted) in one.map.iter().zip([-0.8, 0.3, 0.2, 1.1]) {
                assert!((value - wanted).abs() < 0.15, "{:?}", one.map);
            }
            assert!(one.laid.len() > 2 && one.laid.len() <= usize::from(MAX_DRAWN) + 1);
        }
    }

    #[test]
    fn movements_of_their_own_have_no_part_in_common() {
        let (ours, theirs) = (Movement::of(&wandering(3, 14)).unwrap(), Movement::of(&wandering(4, 14)).unwrap());
        assert!(ours.aligned(&theirs).len() < 2);
    }

    #[test]
    fn points_on_a_line_are_laid_by_a_similarity_and_one_point_by_nothing() {
        let line: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), 0.0)).collect();
        let turned: Vec<(f64, f64)> = line.iter().map(|(x, _)| (5.0, 2.0 * x)).collect();
        let map = affine(&line, &turned).unwrap();
        for (from, onto) in line.iter().zip(&turned) {
            let (x, y) = laid(&map, *from);
            assert!((x - onto.0).abs() < 1e-9 && (y - onto.1).abs() < 1e-9);
        }
        assert_eq!(affine(&[(1.0, 1.0); 4], &[(2.0, 3.0); 4]), None);
    }
}
