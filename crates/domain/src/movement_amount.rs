//! How much movement a session holds between its pauses, whatever the number of its points.
//!
//! Taps and jumps are points far apart in time, or a few close together: there is nothing between them that could be a
//! hand's. So only time in which the pointer goes from place to place without a pause counts, and only in bursts of
//! several steps.

use super::session::{Movements, Session};
use super::timeline;

/// A longer silence is a pause, ms. A recorder that is throttled to one event in 100 ms, and late now and then, is below.
const MAX_GAP_MS: f64 = 160.0;
/// A burst of fewer steps is a jump, whatever its length.
const MIN_BURST_STEPS: usize = 4;
/// Least time in movement, ms, in which a session can be judged: the sixteen steps of 25 ms that feature set v2 needs.
pub const MIN_MOVING_MS: f64 = 400.0;
/// Least number of different places that a path has.
pub const MIN_PLACES: usize = 8;

/// How much movement there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MovementAmount {
    /// Time in bursts of movement, ms.
    pub moving_ms: f64,
    /// Places in these bursts, each counted once; no more than [`MIN_PLACES`] are counted.
    pub places: usize,
}

#[derive(Clone, Copy)]
struct Sample {
    t: f64,
    x: f64,
    y: f64,
}

impl MovementAmount {
    /// The amount in `session`, with steps of its clock undone.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let session = timeline::without_steps(session);
        let moves = &session.movements;
        let t = &moves.t;
        if t.is_sorted() {
            return Self::measure(moves, 0..t.len());
        }
        let mut order: Vec<usize> = (0..t.len()).collect();
        order.sort_by(|a, b| t[*a].total_cmp(&t[*b]));
        Self::measure(moves, order.into_iter())
    }

    /// Whether it is too little to judge.
    #[must_use]
    pub fn is_too_little(self) -> bool {
        self.moving_ms < MIN_MOVING_MS || self.places < MIN_PLACES
    }

    /// The amount in the movements at `places`, which are in the order of time.
    fn measure(moves: &Movements, places: impl Iterator<Item = usize>) -> Self {
        let mut meter = Meter::default();
        let mut pending: Option<Sample> = None;
        for at in places {
            let sample = Sample { t: moves.t[at], x: moves.x[at], y: moves.y[at] };
            // Positions at one instant: only the last counts.
            if let Some(before) = pending.filter(|before| before.t < sample.t) {
                meter.take(before);
            }
            pending = Some(sample);
        }
        if let Some(sample) = pending {
            meter.take(sample);
        }
        meter.end();
        Self { moving_ms: meter.moving_ms, places: meter.count }
    }
}

/// Adds up bursts.
#[derive(Default)]
struct Meter {
    moving_ms: f64,
    seen: [(f64, f64); MIN_PLACES],
    count: usize,
    /// The last sample at another place than the one before.
    last: Option<Sample>,
    /// Steps and time of the burst that goes on.
    steps: usize,
    burst_ms: f64,
    /// The first places of the burst; once it counts, places are counted as they come.
    first: [(f64, f64); MIN_BURST_STEPS],
}

impl Meter {
    fn take(&mut self, sample: Sample) {
        let place = (sample.x, sample.y);
        let Some(last) = self.last else {
            self.last = Some(sample);
            self.first[0] = place;
            return;
        };
        if place == (last.x, last.y) {
            return;
        }
        self.last = Some(sample);
        let dt = sample.t - last.t;
        if dt > MAX_GAP_MS {
            self.end();
            self.first[0] = place;
            return;
        }
        self.steps += 1;
        self.burst_ms += dt;
        if let Some(first) = self.first.get_mut(self.steps) {
            *first = place;
            return;
        }
        if self.steps == MIN_BURST_STEPS {
            self.first.into_iter().for_each(|place| self.see(place));
        }
        self.see(place);
    }

    fn see(&mut self, place: (f64, f64)) {
        if self.count < MIN_PLACES && !self.seen[..self.count].contains(&place) {
            self.seen[self.count] = place;
            self.count += 1;
        }
    }

    /// Ends the burst that goes on.
    fn end(&mut self) {
        if self.steps >= MIN_BURST_STEPS {
            self.moving_ms += self.burst_ms;
        }
        (self.steps, self.burst_ms) = (0, 0.0);
    }
}

#[cfg(test)]
#[path = "movement_amount_tests.rs"]
mod tests;
