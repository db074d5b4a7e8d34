//! Feature set v1: the columns that existing models were trained on, in one fused pass over the movements.
//!
//! Arrival order throughout. With `d_i` the distance (px) and `dt_i` the time (ms) from movement `i-1` to `i`: speeds
//! are `1000 d_i / dt_i` (px/s) where `dt_i >= 0.001`; accelerations are the absolute change from one speed to the
//! next over the interval that ends at the later one (px/s^2); jerks likewise from accelerations (px/s^3). Pairs closer
//! in time, or running backwards, are left out of these and kept in the interval statistics.

use super::super::reason::Reason;
use super::super::session::{Movements, Session};

/// Sessions with fewer movements carry no kinematics.
pub const MIN_MOVEMENTS: u32 = 10;
const MIN_DT_MS: f64 = 0.001;
const PAUSE_MS: f64 = 200.0;
const JITTER_PX: f64 = 3.0;
const TINY: f64 = 1e-9;
/// Cosine of 30 degrees: a sharper turn is a direction change.
const COS_TURN: f64 = 0.866_025_403_784_438_6;
/// Cosine of 120 degrees: a sharper turn is an overshoot.
const COS_OVERSHOOT: f64 = -0.5;

macro_rules! features {
    ($($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        /// One row of feature set v1.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Features {
            $($(#[$doc])* pub $field: f64,)*
        }

        /// Column names in their published order.
        pub const COLUMNS: [&str; 28] = [$($name,)*];

        impl Features {
            /// The values in the order of [`COLUMNS`].
            #[must_use]
            pub fn values(&self) -> [f64; 28] {
                [$(self.$field,)*]
            }

            /// The features from values in the order of [`COLUMNS`].
            #[must_use]
            pub fn from_values(values: [f64; 28]) -> Self {
                let [$($field,)*] = values;
                Self { $($field,)* }
            }
        }
    };
}

features! {
    /// As the client measured it, ms.
    duration_ms = "durationMs",
    /// Number of movements.
    total_moves = "totalMoves",
    /// Number of clicks.
    total_clicks = "totalClicks",
    /// Mean speed, px/s.
    avg_speed = "avgSpeed",
    /// Largest speed, px/s.
    max_speed = "maxSpeed",
    /// Median speed, px/s.
    median_speed = "medianSpeed",
    /// Population standard deviation of the speeds, px/s.
    speed_std = "speedStd",
    /// Linearly interpolated 95th percentile of the speeds, px/s.
    speed_p95 = "speedP95",
    /// Mean acceleration, px/s^2.
    avg_accel = "avgAccel",
    /// Largest acceleration, px/s^2.
    max_accel = "maxAccel",
    /// Population standard deviation of the accelerations, px/s^2.
    accel_std = "accelStd",
    /// Population standard deviation of the jerks, px/s^3.
    jerk_std = "jerkStd",
    /// Mean jerk, px/s^3.
    avg_jerk = "avgJerk",
    /// Turns of more than 30 degrees.
    num_direction_changes = "numDirectionChanges",
    /// Those a second of `durationMs`.
    direction_change_rate = "directionChangeRate",
    /// Share of interior points with both steps below 3 px.
    small_jitter_ratio = "smallJitterRatio",
    /// Distance from first to last point over the length of the path, at most 1.
    path_efficiency = "pathEfficiency",
    /// Length of the path, px.
    total_distance = "totalDistance",
    /// Intervals of more than 200 ms.
    num_pauses = "numPausesOver200ms",
    /// Their share of the time from first to last movement.
    pause_time_ratio = "pauseTimeRatio",
    /// Their mean, ms.
    avg_pause_duration = "avgPauseDuration",
    /// Turns of more than 120 degrees.
    overshoot_events = "overshootEvents",
    /// Hits over hits and misses.
    click_accuracy = "clickAccuracy",
    /// Constant 0 in v1.
    avg_click_distance = "avgClickDistance",
    /// `1 - m / (10000 + m)` with `m` the mean jerk; 0.5 without jerk or duration.
    control_smoothness_score = "controlSmoothnessScore",
    /// Constant 0 in v1.
    curvature_variance = "curvatureVariance",
    /// Mean interval, ms.
    avg_inter_move_time = "avgInterMoveTime",
    /// Population standard deviation of the intervals, ms.
    inter_move_time_std = "interMoveTimeStd",
}

/// The trait of the movement that a column describes.
pub(super) fn describes(column: usize) -> Reason {
    match column {
        8..13 => Reason::Acceleration,
        13 | 14 | 21 => Reason::Turning,
        15 => Reason::Roughness,
        16 => Reason::Straightness,
        18..21 => Reason::Pauses,
        22 | 23 => Reason::ClickApproach,
        24 | 25 => Reason::Smoothness,
        26 | 27 => Reason::EventStream,
        _ => Reason::SpeedSpread,
    }
}

/// The values that the heuristic's rules look at, each as in [`Features`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "named and defined in `Features`")]
pub struct RuleInputs {
    pub total_moves: f64,
    pub total_clicks: f64,
    pub max_speed: f64,
    pub small_jitter_ratio: f64,
    pub path_efficiency: f64,
    pub click_accuracy: f64,
    pub inter_move_time_std: f64,
}

impl From<&Features> for RuleInputs {
    fn from(f: &Features) -> Self {
        Self {
            total_moves: f.total_moves,
            total_clicks: f.total_clicks,
            max_speed: f.max_speed,
            small_jitter_ratio: f.small_jitter_ratio,
            path_efficiency: f.path_efficiency,
            click_accuracy: f.click_accuracy,
            inter_move_time_std: f.inter_move_time_std,
        }
    }
}

/// Buffers that are reused from session to session.
#[derive(Debug, Default)]
pub struct Workspace {
    speeds: Vec<f64>,
    accels: Vec<f64>,
    jerks: Vec<f64>,
    intervals: Vec<f64>,
    order: Vec<u64>,
}

/// What one pass over the movements counts besides the series.
#[derive(Default)]
struct Pass {
    distance: f64,
    turns: u32,
    overshoots: u32,
    small: u32,
    pauses: u32,
    paused_ms: f64,
}

impl Workspace {
    /// The features of `session`; every value is finite because the session's values are bounded.
    pub fn extract(&mut self, session: &Session) -> Features {
        let moves = &session.movements;
        let n = moves.len();
        #[expect(clippy::cast_precision_loss, reason = "counts are bounded far below 2^53")]
        let counted = Features {
            duration_ms: session.duration_ms,
            total_moves: n as f64,
            total_clicks: session.clicks.len() as f64,
            path_efficiency: 1.0,
            control_smoothness_score: 0.5,
            ..Features::default()
        };
        if n < MIN_MOVEMENTS as usize {
            return counted;
        }

        let pass = self.pass(moves);
        let (median_speed, speed_p95) = self.speed_quantiles();
        let speed = Moments::of(&self.speeds);
        let accel = Moments::of(&self.accels);
        let jerk = Moments::of(&self.jerks);
        let interval = Moments::of(&self.intervals);

        let span = moves.t[n - 1] - moves.t[0];
        let (pause_time_ratio, avg_pause_duration) = if span < TINY || pass.pauses == 0 {
            (0.0, 0.0)
        } else {
            (pass.paused_ms / span, pass.paused_ms / f64::from(pass.pauses))
        };
        let turns = f64::from(pass.turns);
        let rough = self.jerks.is_empty() || session.duration_ms < TINY;
        Features {
            avg_speed: speed.mean,
            max_speed: speed.max,
            median_speed,
            speed_std: speed.std,
            speed_p95,
            avg_accel: accel.mean,
            max_accel: accel.max,
            accel_std: accel.std,
            jerk_std: jerk.std,
            avg_jerk: jerk.mean,
            num_direction_changes: turns,
            direction_change_rate: if session.duration_ms > TINY {
                turns / (session.duration_ms / 1000.0)
            } else {
                0.0
            },
            small_jitter_ratio: f64::from(pass.small) / (counted.total_moves - 2.0),
            path_efficiency: path_efficiency(moves, pass.distance),
            total_distance: pass.distance,
            num_pauses: f64::from(pass.pauses),
            pause_time_ratio,
            avg_pause_duration,
            overshoot_events: f64::from(pass.overshoots),
            click_accuracy: click_accuracy(session),
            control_smoothness_score: if rough { 0.5 } else { 1.0 - jerk.mean / (10_000.0 + jerk.mean) },
            avg_inter_move_time: interval.mean,
            inter_move_time_std: interval.std,
            ..counted
        }
    }

    /// What [`Workspace::extract`] gives for the rules, bit for bit, at a third of the price.
    pub fn rule_inputs(&mut self, session: &Session) -> RuleInputs {
        let moves = &session.movements;
        let n = moves.len();
        #[expect(clippy::cast_precision_loss, reason = "counts are bounded far below 2^53")]
        let counted = RuleInputs {
            total_moves: n as f64,
            total_clicks: session.clicks.len() as f64,
            max_speed: 0.0,
            small_jitter_ratio: 0.0,
            path_efficiency: 1.0,
            click_accuracy: 0.0,
            inter_move_time_std: 0.0,
        };
        if n < MIN_MOVEMENTS as usize {
            return counted;
        }
        let (distances, intervals) = (&mut self.speeds, &mut self.intervals);
        distances.clear();
        let steps = moves.x.iter().zip(&moves.x[1..]).zip(moves.y.iter().zip(&moves.y[1..]));
        distances.extend(steps.map(|((x0, x1), (y0, y1))| {
            let (dx, dy) = (x1 - x0, y1 - y0);
            (dx * dx + dy * dy).sqrt()
        }));
        intervals.clear();
        intervals.extend(moves.t.iter().zip(&moves.t[1..]).map(|(t0, t1)| t1 - t0));
        let max_speed = distances.iter().zip(intervals.iter()).fold(0.0f64, |most, (d, dt)| {
            let speed = if *dt >= MIN_DT_MS { d * (1000.0 / dt) } else { 0.0 };
            if speed > most { speed } else { most }
        });
        #[expect(clippy::needless_bitwise_bool, reason = "without a branch, so that it runs on several values at once")]
        let small = distances.iter().zip(&distances[1..]).map(|(a, b)| u32::from((*a < JITTER_PX) & (*b < JITTER_PX)));
        RuleInputs {
            max_speed,
            small_jitter_ratio: f64::from(small.sum::<u32>()) / (counted.total_moves - 2.0),
            path_efficiency: path_efficiency(moves, distances.iter().fold(0.0, |sum, d| sum + d)),
            click_accuracy: click_accuracy(session),
            inter_move_time_std: Moments::of(intervals).std,
            ..counted
        }
    }

    /// Fills the series and counts turns, pauses and small steps.
    fn pass(&mut self, moves: &Movements) -> Pass {
        let n = moves.len();
        for series in [&mut self.speeds, &mut self.accels, &mut self.jerks, &mut self.intervals] {
            series.clear();
            series.reserve(n);
        }
        let mut pass = Pass::default();
        let (mut last_dx, mut last_dy, mut last_d) = (0.0f64, 0.0f64, f64::INFINITY);
        let (mut last_speed, mut last_accel): (Option<f64>, Option<f64>) = (None, None);
        let points = moves.x.iter().zip(&moves.y).zip(&moves.t);
        let next = moves.x[1..].iter().zip(&moves.y[1..]).zip(&moves.t[1..]);
        for (((x0, y0), t0), ((x1, y1), t1)) in points.zip(next) {
            let (dx, dy, dt) = (x1 - x0, y1 - y0, t1 - t0);
            let d = (dx * dx + dy * dy).sqrt();
            pass.distance += d;
            self.intervals.push(dt);
            if dt > PAUSE_MS {
                pass.pauses += 1;
                pass.paused_ms += dt;
            }
            // The first step has no predecessor: its infinite length makes it neither a small step nor a turn.
            pass.small += u32::from(d < JITTER_PX && last_d < JITTER_PX);
            if d >= TINY && last_d >= TINY && last_d.is_finite() {
                let dot = dx * last_dx + dy * last_dy;
                let lengths = d * last_d;
                pass.turns += u32::from(dot < COS_TURN * lengths);
                pass.overshoots += u32::from(dot < COS_OVERSHOOT * lengths);
            }
            (last_dx, last_dy, last_d) = (dx, dy, d);

            if dt >= MIN_DT_MS {
                let rate = 1000.0 / dt;
                let speed = d * rate;
                self.speeds.push(speed);
                if let Some(before) = last_speed {
                    let accel = (speed - before).abs() * rate;
                    self.accels.push(accel);
                    if let Some(before) = last_accel {
                        self.jerks.push((accel - before).abs() * rate);
                    }
                    last_accel = Some(accel);
                }
                last_speed = Some(speed);
            }
        }
        pass
    }

    /// Median and linearly interpolated 95th percentile of the speeds, by selection instead of sorting.
    fn speed_quantiles(&mut self) -> (f64, f64) {
        // Non-negative floats order like their bits, and integers compare faster.
        self.order.clear();
        self.order.extend(self.speeds.iter().map(|v| v.to_bits()));
        let n = self.order.len();
        if n == 0 {
            return (0.0, 0.0);
        }
        // index 0.95 (n - 1) = low + fraction, in exact integer arithmetic up to the last division
        let position = 95 * (n - 1);
        let low = position / 100;
        #[expect(clippy::cast_precision_loss, reason = "a remainder below 100")]
        let fraction = (position % 100) as f64 / 100.0;
        let (below, at_low, above) = self.order.select_nth_unstable(low);
        let at_low = f64::from_bits(*at_low);
        let at_high = above.iter().min().map_or(at_low, |bits| f64::from_bits(*bits));
        let p95 = at_low + fraction * (at_high - at_low);

        let middle = n / 2;
        let upper = if middle < low {
            f64::from_bits(*below.select_nth_unstable(middle).1)
        } else {
            f64::from_bits(*self.order.select_nth_unstable(middle).1)
        };
        if n % 2 == 1 {
            return (upper, p95);
        }
        let lower = self.order[..middle].iter().max().map_or(upper, |bits| f64::from_bits(*bits));
        (f64::midpoint(lower, upper), p95)
    }
}

/// Distance from first to last point over the length of the path, at most 1.
fn path_efficiency(moves: &Movements, distance: f64) -> f64 {
    if distance < TINY {
        return 1.0;
    }
    let last = moves.len() - 1;
    let (dx, dy) = (moves.x[last] - moves.x[0], moves.y[last] - moves.y[0]);
    ((dx * dx + dy * dy).sqrt() / distance).min(1.0)
}

/// Hits over hits and misses; 0 without any.
fn click_accuracy(session: &Session) -> f64 {
    let attempts = f64::from(session.hits) + f64::from(session.misses);
    if attempts > 0.0 { f64::from(session.hits) / attempts } else { 0.0 }
}

/// Mean, population standard deviation and maximum of a series; zeros when it is empty.
#[derive(Default)]
struct Moments {
    mean: f64,
    std: f64,
    max: f64,
}

impl Moments {
    fn of(series: &[f64]) -> Self {
        if series.is_empty() {
            return Self::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "a session has at most some thousand movements")]
        let n = series.len() as f64;
        let mean = sum(series, |v| v) / n;
        // Two passes: the one-pass formula loses every digit when the spread is small beside the mean.
        let std = if series.len() < 2 { 0.0 } else { (sum(series, |v| (v - mean) * (v - mean)) / n).sqrt() };
        let max = series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { mean, std, max }
    }
}

/// The sum of `f` over the series, in four lanes so that the compiler can use vector instructions; the order of
/// additions is fixed, hence the same bits on every run.
#[inline]
fn sum(series: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; 4];
    let chunks = series.chunks_exact(4);
    let rest: f64 = chunks.remainder().iter().map(|v| f(*v)).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

#[cfg(test)]
#[path = "v1_tests.rs"]
mod tests;
