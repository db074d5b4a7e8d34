//! The path as it would look on one common clock: what a recorder's own rate, tick and event order leave behind.
//!
//! Samples are put in time order (stably), those that share a timestamp become the last of them, and each run of
//! movement without a gap is interpolated linearly on a 20 ms grid. No event means no motion, so after a gap the
//! pointer is taken to have stayed until one step before the next event: a jump stays a jump.

use super::super::super::session::Movements;

/// The common clock's step: a little slower than the 60 Hz of most recorders.
pub(super) const STEP_MS: f64 = 20.0;
/// A longer silence ends a run.
pub(super) const GAP_MS: f64 = 120.0;

/// Steps on the common clock, all runs behind one another.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Horizontal part, px.
    pub(super) dx: Vec<f64>,
    /// Vertical part, px.
    pub(super) dy: Vec<f64>,
    /// Length, px.
    pub(super) length: Vec<f64>,
    /// Which run a step belongs to, ascending from 0.
    pub(super) run: Vec<u32>,
    /// Number of runs.
    pub(super) runs: u32,
    /// From the first to the last sample, ms.
    pub(super) span_ms: f64,
    /// The part of it in gaps, ms.
    pub(super) rest_ms: f64,
    order: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Sample {
    t: f64,
    x: f64,
    y: f64,
}

impl Steps {
    /// Number of steps.
    pub(super) fn len(&self) -> usize {
        self.length.len()
    }

    /// Whether the steps `i` and `j` lie in one run.
    pub(super) fn together(&self, i: usize, j: usize) -> bool {
        self.run[i] == self.run[j]
    }

    /// Computes the steps of `moves` over whatever was here before.
    ///
    /// A run spans at most [`GAP_MS`] a sample, so the grid has at most seven points a sample.
    pub(super) fn resample(&mut self, moves: &Movements) {
        self.dx.clear();
        self.dy.clear();
        self.length.clear();
        self.run.clear();
        (self.runs, self.span_ms, self.rest_ms) = (0, 0.0, 0.0);
        self.order.clear();
        self.order.extend(0..moves.len());
        if !moves.t.is_sorted() {
            self.order.sort_by(|a, b| moves.t[*a].total_cmp(&moves.t[*b]));
        }
        let order = std::mem::take(&mut self.order);
        let mut samples = order.iter().map(|i| Sample { t: moves.t[*i], x: moves.x[*i], y: moves.y[*i] });
        if let Some(first) = samples.next() {
            self.walk(first, samples);
        }
        self.order = order;
    }

    fn walk(&mut self, first: Sample, samples: impl Iterator<Item = Sample>) {
        // `grid` is the last point put on the grid, `last` the last sample.
        let (mut grid, mut last) = (first, first);
        for sample in samples {
            let dt = sample.t - last.t;
            if dt <= 0.0 {
                // Positions at one instant: only the last counts.
                (last.x, last.y) = (sample.x, sample.y);
                continue;
            }
            self.span_ms += dt;
            if dt > GAP_MS {
                self.rest_ms += dt;
                self.runs += 1;
                grid = Sample { t: sample.t - STEP_MS, ..last };
                self.step(&mut grid, sample);
            } else {
                while grid.t + STEP_MS <= sample.t {
                    let at = ((grid.t + STEP_MS - last.t) / dt).clamp(0.0, 1.0);
                    let next = Sample {
                        t: grid.t + STEP_MS,
                        x: last.x + at * (sample.x - last.x),
                        y: last.y + at * (sample.y - last.y),
                    };
                    // Far from zero the clock's own resolution may exceed a step.
                    if next.t <= grid.t {
                        break;
                    }
                    self.step(&mut grid, next);
                }
            }
            last = sample;
        }
        self.runs += 1;
    }

    fn step(&mut self, from: &mut Sample, to: Sample) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        self.dx.push(dx);
        self.dy.push(dy);
        self.length.push((dx * dx + dy * dy).sqrt());
        self.run.push(self.runs);
        *from = to;
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
        assert_eq!((slow.len(), fast.len()), (50, 50));
        assert!(slow.length.iter().chain(&fast.length).all(|d| (d - 20.0).abs() < 1e-9));
    }

    #[test]
    fn a_jump_after_a_rest_stays_a_jump() {
        let jump = steps(&[(0.0, 0.0, 0.0), (5.0, 0.0, 20.0), (305.0, 0.0, 1020.0)]);
        assert_eq!(jump.length, [5.0, 300.0]);
        assert!(!jump.together(0, 1));
        assert_eq!((jump.runs, jump.rest_ms, jump.span_ms), (2, 1000.0, 1020.0));
    }

    #[test]
    fn order_of_arrival_and_shared_timestamps_change_nothing() {
        let tidy = steps(&[(0.0, 0.0, 0.0), (10.0, 0.0, 40.0), (20.0, 0.0, 80.0)]);
        let untidy = steps(&[(0.0, 0.0, 0.0), (20.0, 0.0, 80.0), (7.0, 0.0, 40.0), (10.0, 0.0, 40.0)]);
        assert_eq!(tidy.dx, untidy.dx);
    }
}
