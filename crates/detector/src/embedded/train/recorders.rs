//! Other recorders: the same session as another browser, screen, clock or connection would have recorded it.
//!
//! What a session looks like depends on its recorder as much as on its person. A model fitted on a few recorders would
//! take theirs for human nature; fitted on many imagined ones as well it has less to hold on to. A person's session and
//! its counterexample go through one recorder, so that no trace of it tells them apart.

use rand::{Rng, RngExt};

use playproof_bots::adversary::{Clock, gaussian};
use playproof_domain::session::{Movements, Session};

/// Events further apart are not one movement, in ms.
const NEAR_MS: f64 = 50.0;

/// How a recorder distorts what it sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorder {
    least_gap: f64,
    lost: f64,
    tick: f64,
    late: f64,
    pace: f64,
    zoom: f64,
    whole: bool,
    /// Longest time without an event, in ms: a task that asks for movement all the time shows no rests.
    rest: f64,
    /// Whether places are finer than the session's own pixels: each is averaged with its neighbours.
    fine: bool,
}

impl Recorder {
    /// Any recorder.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let least_gap = match rng.random_range(0..8) {
            0..3 => 0.0,
            3 => 15.0,
            4 => 25.0,
            5 => 33.0,
            6 => 50.0,
            _ => rng.random_range(5.0..90.0),
        };
        Self {
            least_gap,
            lost: if rng.random_bool(0.4) { rng.random_range(0.0..0.4) } else { 0.0 },
            tick: if rng.random_bool(0.35) { [15.625, 10.0, 16.67][rng.random_range(0..3)] } else { 1.0 },
            late: if rng.random_bool(0.4) { rng.random_range(0.5..6.0) } else { 0.0 },
            // Slower and faster people, too.
            pace: rng.random_range(0.8..1.25f64),
            zoom: rng.random_range(-0.8..0.8f64).exp(),
            whole: rng.random_bool(0.8),
            rest: if rng.random_bool(0.25) { rng.random_range(20.0..150.0) } else { f64::INFINITY },
            fine: rng.random_bool(0.25),
        }
    }

    /// The session as this recorder would have recorded it. Times, places and clicks keep belonging together.
    #[must_use]
    pub fn record(&self, session: &Session, rng: &mut impl Rng) -> Session {
        let zoom = if self.fine { self.zoom.max(1.0) } else { self.zoom };
        let place = |v: f64| if self.whole { (v * zoom).round() } else { v * zoom };
        let moves = &session.movements;
        let mut order: Vec<usize> = (0..moves.len()).collect();
        order.sort_by(|a, b| moves.t[*a].total_cmp(&moves.t[*b]));
        let at: Vec<f64> = order.iter().map(|i| moves.t[*i]).collect();
        let cut = self.cut(&at);
        let [x, y] = [&moves.x, &moves.y].map(|v| self.averaged(&at, order.iter().map(|i| v[*i]).collect()));
        let mut out = Movements::default();
        let mut last_kept = f64::NEG_INFINITY;
        let mut last_time = f64::NEG_INFINITY;
        for i in 0..order.len() {
            let (t, x, y) = (self.pace * (at[i] - cut[i]), place(x[i]), place(y[i]));
            let still = out.x.last() == Some(&x) && out.y.last() == Some(&y);
            if t - last_kept < self.least_gap || still || rng.random_bool(self.lost) {
                continue;
            }
            last_kept = t;
            let delayed = t + if self.late > 0.0 { -self.late * (1.0 - rng.random::<f64>()).ln() } else { 0.0 };
            last_time = ((delayed / self.tick).floor() * self.tick).max(last_time);
            out.x.push(x);
            out.y.push(y);
            out.t.push(last_time);
        }
        if out.len() < 30 {
            return session.clone();
        }
        let left_out = |t: f64| at.partition_point(|v| *v <= t).checked_sub(1).map_or(0.0, |k| cut[k]);
        let duration_ms = self.pace * (session.duration_ms - cut.last().copied().unwrap_or(0.0)).max(0.0);
        let mut changed = Session { movements: out, duration_ms, ..session.clone() };
        for click in &mut changed.clicks {
            let t = click.t - left_out(click.t);
            (click.x, click.y, click.t) = (place(click.x), place(click.y), self.pace * t);
        }
        changed
    }

    /// How much time is left out before each event, in ms, where events are at `at`.
    fn cut(&self, at: &[f64]) -> Vec<f64> {
        let mut sum = 0.0;
        let gaps = std::iter::once(0.0).chain(at.windows(2).map(|pair| pair[1] - pair[0]));
        let cuts = gaps.map(|gap| {
            sum += (gap - self.rest).max(0.0);
            sum
        });
        cuts.collect()
    }

    /// One coordinate on finer pixels: the mean of each value and its neighbours no further away than [`NEAR_MS`].
    fn averaged(&self, at: &[f64], values: Vec<f64>) -> Vec<f64> {
        if !self.fine {
            return values;
        }
        let near = |a: usize, b: usize| (at[a] - at[b]).abs() <= NEAR_MS;
        let n = values.len();
        let mean = |i: usize| {
            let before = if i > 0 && near(i, i - 1) { values[i - 1] } else { values[i] };
            let after = if i + 1 < n && near(i, i + 1) { values[i + 1] } else { values[i] };
            0.25 * before + 0.5 * values[i] + 0.25 * after
        };
        (0..n).map(mean).collect()
    }
}

/// The session with events at other times: on the straight lines between its own, none in its rests.
#[must_use]
pub fn retime(session: &Session, clock: Clock, rng: &mut impl Rng) -> Session {
    let mut next = match clock {
        Clock::Own => return session.clone(),
        Clock::Constant(step) | Clock::Jitter(step, _) => step,
    };
    let moves = &session.movements;
    if moves.len() < 2 || !moves.t.is_sorted() {
        return session.clone();
    }
    let mut out = Movements::default();
    let mut push = |x: f64, y: f64, t: f64| {
        if out.x.last() != Some(&x) || out.y.last() != Some(&y) {
            out.x.push(x);
            out.y.push(y);
            out.t.push(t);
        }
    };
    push(moves.x[0], moves.y[0], moves.t[0]);
    let whole = moves.x.iter().chain(&moves.y).all(|v| v.fract() == 0.0);
    let place = |v: f64| if whole { v.round() } else { v };
    let mut at = moves.t[0] + next;
    for k in 1..moves.len() {
        let (from, to) = (moves.t[k - 1], moves.t[k]);
        if to - from > 120.0 {
            push(moves.x[k], moves.y[k], to);
            at = to;
        }
        while at <= to {
            let u = if to > from { ((at - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
            let mix = |a: f64, b: f64| place(a + u * (b - a));
            push(mix(moves.x[k - 1], moves.x[k]), mix(moves.y[k - 1], moves.y[k]), at);
            if let Clock::Jitter(step, spread) = clock {
                next = (step + spread * gaussian(rng)).max(1.0);
            }
            at += next;
        }
    }
    if out.len() < 30 {
        return session.clone();
    }
    Session { movements: out, ..session.clone() }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_re_recorded_session_keeps_its_order_and_rough_path() {
        let n = 400;
        let t: Vec<f64> = (0..n).map(|i| f64::from(i) * 16.0).collect();
        let movements = Movements { x: t.iter().map(|t| t / 4.0).collect(), y: vec![5.0; t.len()], t, trusted: vec![] };
        let session = Session { movements, ..Session::default() };
        for seed in 0..50 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let retimed = retime(&session, Clock::draw(rng), rng);
            let again = Recorder::draw(rng).record(&retimed, rng).movements;
            assert!(again.t.is_sorted() && again.x.is_sorted() && again.len() >= 30);
        }
    }
}
