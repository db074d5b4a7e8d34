//! The path as it would look on one common clock: what a recorder's own rate, tick and event order leave behind.
//!
//! Samples are put in time order (stably), those that share a timestamp become the last of them, and each run of
//! movement without a gap is interpolated linearly on a 25 ms grid. No event means no motion, so after a gap the
//! pointer is taken to have stayed until one step before the next event: a jump stays a jump.

use std::iter;
use std::ops::Range;

use super::super::super::session::Movements;

/// The common clock's step: a little slower than the 60 Hz of most recorders.
pub(in crate::features) const STEP_MS: f64 = 25.0;
/// A longer silence ends a run.
pub(in crate::features) const GAP_MS: f64 = 120.0;

/// More points than one interval without a gap can have.
const ROOM: usize = 16;

/// Steps on the common clock, all runs behind one another.
#[derive(Debug, Default)]
pub(in crate::features) struct Steps {
    /// Horizontal part: px, mean steps once [`Steps::normalise`] was called.
    pub(in crate::features) dx: Vec<f64>,
    /// Vertical part, likewise.
    pub(in crate::features) dy: Vec<f64>,
    /// Length, likewise.
    pub(in crate::features) length: Vec<f64>,
    /// Where each run ends; it starts where the one before ends, and may be empty.
    pub(in crate::features) ends: Vec<usize>,
    /// From the first to the last sample, ms.
    pub(in crate::features) span_ms: f64,
    /// The part of it in gaps, ms.
    pub(in crate::features) rest_ms: f64,
    /// Sums of `dx`, `dy`, `length` and `length^2` of all steps before, one more than there are steps.
    pub(in crate::features) before: Vec<[f64; 4]>,
    order: Vec<usize>,
    /// Points on the grid, the first of each run left out but for the very first.
    x: Vec<f64>,
    y: Vec<f64>,
    /// The first step of each run but the first.
    jumps: Vec<(f64, f64)>,
}

#[derive(Clone, Copy)]
struct Sample {
    t: f64,
    x: f64,
    y: f64,
}

impl Steps {
    /// Number of steps.
    pub(in crate::features) fn len(&self) -> usize {
        self.length.len()
    }

    /// The runs that have steps, in order.
    pub(in crate::features) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let begins = iter::once(0).chain(self.ends.iter().copied());
        begins.zip(self.ends.iter().copied()).filter(|(begin, end)| begin < end).map(|(begin, end)| begin..end)
    }

    /// Computes the steps of `moves` over whatever was here before.
    ///
    /// A run spans at most [`GAP_MS`] a sample, so the grid has at most seven points a sample.
    pub(in crate::features) fn resample(&mut self, moves: &Movements) {
        self.dx.clear();
        self.dy.clear();
        self.length.clear();
        self.ends.clear();
        self.jumps.clear();
        (self.span_ms, self.rest_ms) = (0.0, 0.0);
        let (x, y, t) = (&moves.x[..], &moves.y[..], &moves.t[..]);
        if t.is_sorted_by(|a, b| a < b) {
            let mut samples = t.iter().zip(x).zip(y).map(|((t, x), y)| Sample { t: *t, x: *x, y: *y });
            if let Some(first) = samples.next() {
                self.walk(first, samples);
            }
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..t.len());
        if !t.is_sorted() {
            order.sort_by(|a, b| t[*a].total_cmp(&t[*b]));
        }
        // Positions at one instant: only the last counts.
        let mut kept = 0;
        for place in 0..order.len() {
            if order.get(place + 1).is_none_or(|next| t[*next] > t[order[place]]) {
                order[kept] = order[place];
                kept += 1;
            }
        }
        let mut samples = order[..kept].iter().map(|i| Sample { t: t[*i], x: x[*i], y: y[*i] });
        if let Some(first) = samples.next() {
            self.walk(first, samples);
        }
        self.order = order;
    }

    fn walk(&mut self, first: Sample, samples: impl ExactSizeIterator<Item = Sample>) {
        // `grid` is when the last point was put on the grid, `last` the last sample. Points are written before it is
        // known that they count, because a branch that goes either way costs more than a point.
        let room = 2 * samples.len() + ROOM;
        self.x.resize(room, 0.0);
        self.y.resize(room, 0.0);
        (self.x[0], self.y[0]) = (first.x, first.y);
        let (mut points, mut grid, mut last) = (1, first.t, first);
        for sample in samples {
            if points + ROOM > self.x.len() {
                let room = 2 * self.x.len();
                self.x.resize(room, 0.0);
                self.y.resize(room, 0.0);
            }
            let dt = sample.t - last.t;
            self.span_ms += dt;
            if dt > GAP_MS {
                self.rest_ms += dt;
                self.ends.push(points - 1);
                self.jumps.push((sample.x - last.x, sample.y - last.y));
                (self.x[points], self.y[points]) = (sample.x, sample.y);
                points += 1;
                grid = sample.t;
            } else {
                let (x, y) = (&mut self.x[points..points + ROOM], &mut self.y[points..points + ROOM]);
                let mut new = 0;
                // A gap's length over a step's bounds the number of points, whatever rounding does.
                loop {
                    let next = grid + STEP_MS;
                    let at = ((next - last.t) / dt).clamp(0.0, 1.0);
                    x[new] = last.x + at * (sample.x - last.x);
                    y[new] = last.y + at * (sample.y - last.y);
                    let counts = next <= sample.t;
                    new += usize::from(counts);
                    let chosen = 0u64.wrapping_sub(u64::from(counts));
                    grid = f64::from_bits((next.to_bits() & chosen) | (grid.to_bits() & !chosen));
                    if grid + STEP_MS > sample.t || new + 1 >= ROOM {
                        break;
                    }
                }
                points += new;
            }
            last = sample;
        }
        self.ends.push(points - 1);
        let (x, y) = (&self.x[..points], &self.y[..points]);
        self.dx.extend(x[1..].iter().zip(x).map(|(to, from)| to - from));
        self.dy.extend(y[1..].iter().zip(y).map(|(to, from)| to - from));
        // A run's first step leads from where the pointer stood, not from the grid's last point.
        for (at, (dx, dy)) in self.ends.iter().zip(&self.jumps) {
            (self.dx[*at], self.dy[*at]) = (*dx, *dy);
        }
        self.length.extend(self.dx.iter().zip(&self.dy).map(|(dx, dy)| (dx * dx + dy * dy).sqrt()));
    }

    /// Measures the steps in multiples of `mean` from here on, and sums them up.
    pub(in crate::features) fn normalise(&mut self, mean: f64) {
        let unit = 1.0 / mean;
        for series in [&mut self.dx, &mut self.dy, &mut self.length] {
            for value in series {
                *value *= unit;
            }
        }
        self.before.clear();
        let mut sums = [0.0; 4];
        self.before.push(sums);
        self.before.extend(self.dx.iter().zip(&self.dy).zip(&self.length).map(|((dx, dy), length)| {
            for (sum, value) in sums.iter_mut().zip([*dx, *dy, *length, length * length]) {
                *sum += value;
            }
            sums
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(points: &[(f64, f64, f64)]) -> Steps {
        let moves = Movements {
            x: points.iter().map(|p| p.0).collect(),
            y: points.iter().map(|p| p.1).collect(),
            t: points.iter().map(|p| p.2).collect(),
            trusted: vec![],
        };
        let mut steps = Steps::default();
        steps.resample(&moves);
        steps
    }

    #[test]
    fn one_motion_recorded_at_two_rates_gives_the_same_steps() {
        let line = |dt: f64, n: u32| (0..n).map(|i| (f64::from(i) * dt, 0.0, f64::from(i) * dt)).collect::<Vec<_>>();
        let (slow, fast) = (steps(&line(25.0, 41)), steps(&line(8.0, 126)));
        assert_eq!((slow.len(), fast.len()), (40, 40));
        assert!(slow.length.iter().chain(&fast.length).all(|d| (d - 25.0).abs() < 1e-9));
    }

    #[test]
    fn a_jump_after_a_rest_stays_a_jump() {
        let jump = steps(&[(0.0, 0.0, 0.0), (5.0, 0.0, 25.0), (305.0, 0.0, 1025.0)]);
        assert_eq!(jump.length, [5.0, 300.0]);
        assert_eq!(jump.runs().collect::<Vec<_>>(), [0..1, 1..2]);
        assert_eq!((jump.ends.len(), jump.rest_ms, jump.span_ms), (2, 1000.0, 1025.0));
    }

    #[test]
    fn order_of_arrival_and_shared_timestamps_change_nothing() {
        let tidy = steps(&[(0.0, 0.0, 0.0), (10.0, 0.0, 40.0), (20.0, 0.0, 80.0)]);
        let untidy = steps(&[(0.0, 0.0, 0.0), (20.0, 0.0, 80.0), (7.0, 0.0, 40.0), (10.0, 0.0, 40.0)]);
        assert_eq!(tidy.dx, untidy.dx);
    }
}
