//! Random processes: movement that knows neither a person nor a target.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

use super::Family;
use super::legs::Sample;
use super::noise::{gaussian, log_uniform};
use super::setting::{Setting, count, number};

/// Octaves of correlation time in coloured noise.
const OCTAVES: i32 = 9;

/// The events of a process of `family`.
pub(super) fn points(family: Family, setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    let places = match family {
        Family::ColoredNoise => colored_noise(setting, rng),
        Family::BoundedWalk => bounded_walk(setting, rng),
        Family::SmoothWalk => smooth_walk(setting, rng),
        Family::LevyFlight => levy_flight(setting, rng),
        Family::LingerAndJump => linger_and_jump(setting, rng),
        Family::PerTick => per_tick(setting, rng),
        _ => white_noise(setting, rng),
    };
    setting.timed(places)
}

/// Which axes an event moves along.
#[derive(Clone, Copy, Debug)]
enum Axes {
    Both,
    OnlyX,
    OnlyY,
    /// One after the other.
    Alternate,
    /// Either, at random.
    Either,
}

impl Axes {
    fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0..6 => Self::Both,
            6 => Self::OnlyX,
            7 => Self::OnlyY,
            8 => Self::Alternate,
            _ => Self::Either,
        }
    }

    fn move_to(self, at: &mut (f64, f64), to: (f64, f64), k: usize, rng: &mut impl Rng) {
        let (x, y) = match self {
            Self::Both => (true, true),
            Self::OnlyX => (true, false),
            Self::OnlyY => (false, true),
            Self::Alternate => (k.is_multiple_of(2), !k.is_multiple_of(2)),
            Self::Either => {
                let x = rng.random_bool(0.5);
                (x, !x)
            }
        };
        *at = (if x { to.0 } else { at.0 }, if y { to.1 } else { at.1 });
    }
}

/// Positions that do not depend on each other, uniform or Gaussian, along both axes or one at a time.
fn white_noise(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let axes = Axes::draw(rng);
    let bell = rng.random_bool(0.4);
    let ((cx, cy), (hx, hy)) = (setting.centre, setting.half);
    let mut at = setting.place(rng);
    (0..setting.times.len())
        .map(|k| {
            let to =
                if bell { (cx + 0.5 * hx * gaussian(rng), cy + 0.5 * hy * gaussian(rng)) } else { setting.place(rng) };
            axes.move_to(&mut at, to, k, rng);
            at
        })
        .collect()
}

/// A first-order autoregression of any correlation, also negative, or noise whose power falls with a power of frequency.
///
/// The latter is a sum of autoregressions whose times double from each to the next (van der Ziel, Physica 16, 1950).
fn colored_noise(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let parts: Vec<(f64, f64)> = if rng.random_bool(0.5) {
        let keep = 1.0 - log_uniform(0.002, 1.0, rng);
        vec![(if rng.random_bool(0.15) { -keep } else { keep }, 1.0)]
    } else {
        let exponent = rng.random_range(0.3..2.2);
        (0..OCTAVES).map(|j| ((-(0.5f64.powi(j))).exp(), 2f64.powf(0.5 * f64::from(j) * (exponent - 1.0)))).collect()
    };
    let total = parts.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
    let mut states: Vec<(f64, f64)> = parts.iter().map(|_| (gaussian(rng), gaussian(rng))).collect();
    let ((cx, cy), (hx, hy)) = (setting.centre, setting.half);
    (0..setting.times.len())
        .map(|_| {
            let (mut x, mut y) = (0.0, 0.0);
            for (state, (keep, weight)) in states.iter_mut().zip(&parts) {
                let fresh = (1.0 - keep * keep).sqrt();
                *state = (keep * state.0 + fresh * gaussian(rng), keep * state.1 + fresh * gaussian(rng));
                (x, y) = (x + weight / total * state.0, y + weight / total * state.1);
            }
            (cx + 0.5 * hx * x, cy + 0.5 * hy * y)
        })
        .collect()
}

/// Independent steps of Gaussian, uniform or fixed length in four, eight or any directions.
fn bounded_walk(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let size = log_uniform(1.0, 120.0, rng);
    let law = rng.random_range(0..4);
    let directions = [4.0, 8.0, 0.0, 0.0][rng.random_range(0..4)];
    let mut at = setting.place(rng);
    (0..setting.times.len())
        .map(|_| {
            let turn: f64 = rng.random();
            let angle = TAU * if directions > 0.0 { (turn * directions).floor() / directions } else { turn };
            let (dx, dy) = match law {
                0 => (size * angle.cos(), size * angle.sin()),
                1 => (size * gaussian(rng), size * gaussian(rng)),
                2 => (size * rng.random_range(-1.0..1.0), size * rng.random_range(-1.0..1.0)),
                _ => {
                    let length = size * rng.random::<f64>();
                    (length * angle.cos(), length * angle.sin())
                }
            };
            at = setting.folded((at.0 + dx, at.1 + dy));
            at
        })
        .collect()
}

/// A velocity that forgets itself with a time constant, with a pull to the centre or without one (Uhlenbeck and Ornstein,
/// Physical Review 36, 1930).
pub(super) fn smooth_walk(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let memory = log_uniform(20.0, 2000.0, rng);
    let speed = log_uniform(0.03, 3.0, rng);
    let rate = if rng.random_bool(0.4) { 1.0 / log_uniform(300.0, 5000.0, rng) } else { 0.0 };
    let mut at = setting.place(rng);
    let (mut vx, mut vy) = (speed * gaussian(rng), speed * gaussian(rng));
    setting
        .steps()
        .map(|dt| {
            let dt = dt.min(200.0);
            let keep = (-dt / memory).exp();
            let fresh = speed * (1.0 - keep * keep).sqrt();
            let pull = rate * rate * dt;
            vx = keep * vx + fresh * gaussian(rng) - pull * (at.0 - setting.centre.0);
            vy = keep * vy + fresh * gaussian(rng) - pull * (at.1 - setting.centre.1);
            let free = (at.0 + vx * dt, at.1 + vy * dt);
            at = setting.folded(free);
            if (at.0 - free.0).abs() > 1e-9 {
                vx = -vx;
            }
            if (at.1 - free.1).abs() > 1e-9 {
                vy = -vy;
            }
            at
        })
        .collect()
}

/// Steps whose lengths have a Pareto tail, taken at once or at constant speed (Viswanathan et al., Nature 381, 1996).
fn levy_flight(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let exponent = rng.random_range(0.7..2.5f64);
    let least = log_uniform(1.0, 30.0, rng);
    let stride = if rng.random_bool(0.5) { f64::INFINITY } else { log_uniform(2.0, 100.0, rng) };
    let longest = 2.0 * setting.half.0.hypot(setting.half.1);
    let (mut at, mut step, mut left) = (setting.place(rng), (0.0, 0.0), 0);
    (0..setting.times.len())
        .map(|_| {
            if left == 0 {
                let length = (least * (1.0 - rng.random::<f64>()).powf(-1.0 / exponent)).min(longest);
                let angle = TAU * rng.random::<f64>();
                left = count((length / stride).ceil()).max(1);
                let share = length / number(left);
                step = (share * angle.cos(), share * angle.sin());
            }
            left -= 1;
            at = setting.folded((at.0 + step.0, at.1 + step.1));
            at
        })
        .collect()
}

/// Rests with a tremble, then a jump to another place, at once or in a few equal steps.
fn linger_and_jump(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let rest = log_uniform(80.0, 2500.0, rng);
    let tremble = log_uniform(0.5, 8.0, rng);
    let bell = rng.random_bool(0.5);
    let steps = if rng.random_bool(0.5) { 1 } else { rng.random_range(2..9) };
    let regular = rng.random_bool(0.4);
    let (mut from, mut to, mut left, mut due) = (setting.place(rng), setting.place(rng), 0usize, 0.0);
    setting
        .times
        .iter()
        .map(|t| {
            if *t >= due {
                (from, to, left) = (to, setting.place(rng), steps);
                due = t + rest * if regular { 1.0 } else { 0.2 - 0.8 * (1.0 - rng.random::<f64>()).ln() };
            }
            left = left.saturating_sub(1);
            let u = 1.0 - number(left) / number(steps);
            let (x, y) = (from.0 + u * (to.0 - from.0), from.1 + u * (to.1 - from.1));
            if left > 0 {
                (x, y)
            } else if bell {
                (x + tremble * gaussian(rng), y + tremble * gaussian(rng))
            } else {
                (x + tremble * rng.random_range(-1.0..1.0), y + tremble * rng.random_range(-1.0..1.0))
            }
        })
        .collect()
}

/// One axis a tick: a staircase to target after target, or a walk.
fn per_tick(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let size = log_uniform(1.0, 60.0, rng);
    let (order, walk, uneven) = (rng.random_range(0..3), rng.random_bool(0.3), rng.random_bool(0.4));
    let (mut at, mut to) = (setting.place(rng), setting.place(rng));
    (0..setting.times.len())
        .map(|k| {
            let length = size * if uneven { rng.random_range(0.2..1.8) } else { 1.0 };
            let (dx, dy) = (to.0 - at.0, to.1 - at.1);
            if walk || dx.abs().max(dy.abs()) < 0.5 {
                to = setting.place(rng);
            }
            let along_x = match order {
                0 => k.is_multiple_of(2),
                1 => rng.random_bool(0.5),
                _ => dx.abs() >= 0.5,
            };
            let step = |d: f64| if walk { length * d.signum() } else { d.clamp(-length, length) };
            let free = if along_x { (at.0 + step(dx), at.1) } else { (at.0, at.1 + step(dy)) };
            at = setting.folded(free);
            at
        })
        .collect()
}
