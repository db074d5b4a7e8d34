//! Programs at their own pace: browser drivers and timers that step from place to place, and reaches far too slow or fast.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

use super::drawn::{self, Curve, Style};
use super::legs::Sample;
use super::motion::{Motion, later, pace};
use super::noise::{Easing, log_uniform};
use super::random_process::smooth_walk;
use super::setting::{MAX_EVENTS, Person, Setting, count, exponential, number};
use super::{Clock, Family, reach};
use playproof_domain::session::Session;

/// The clock of a driver has not moved on when it sends many events at once, ms.
const MIN_STEP_MS: f64 = 0.01;
/// Most bursts of a session.
const MAX_BURSTS: usize = 200;
/// Browsers make nested timers at least this late, ms (HTML Standard, section 8.7, Timers).
const TIMER_CLAMP_MS: f64 = 4.0;
/// Reaches that are plain enough to be a bot's at any pace.
const PLAIN: [Family; 8] = [
    Family::Straight,
    Family::Bezier,
    Family::Polyline,
    Family::Spline,
    Family::Wind,
    Family::Jumps,
    Family::MinimumJerk,
    Family::Lognormal,
];

/// The movement of a driver of `family`.
pub(super) fn motion(family: Family, person: &Person, setting: &Setting, rng: &mut impl Rng) -> Option<Motion> {
    let points = match family {
        Family::DriverPaced => driver_paced(person, setting, rng),
        Family::FastTeleport => fast_teleport(setting, rng),
        Family::TwoPointers => two_pointers(person, setting, rng)?,
        _ => driver_steps(person, setting, rng),
    };
    Some(Motion::free(points))
}

/// A reach of any plain family with all its times multiplied.
pub(super) fn paced_bot(human: &Session, clock: Clock, rng: &mut impl Rng) -> Option<Session> {
    let family = PLAIN[rng.random_range(0..PLAIN.len())];
    let mut bot = reach::play(human, family, clock, rng)?;
    let (pace, origin) = (pace(rng), bot.movements.t.first().copied()?);
    for t in bot.movements.t.iter_mut().chain(bot.clicks.iter_mut().map(|c| &mut c.t)) {
        *t = later((pace * (*t - origin)).round());
    }
    bot.duration_ms = later((pace * bot.duration_ms).round());
    Some(bot)
}

/// Where a program goes: to the person's stops in their order, or anywhere in the box.
struct Targets {
    stops: Vec<(f64, f64)>,
    next: usize,
}

impl Targets {
    fn draw(person: &Person, rng: &mut impl Rng) -> Self {
        let legs = if rng.random_bool(0.5) { person.legs() } else { Vec::new() };
        let stops = legs.iter().map(|leg| (leg[leg.len() - 1].x, leg[leg.len() - 1].y)).collect();
        Self { stops, next: 0 }
    }

    fn next(&mut self, setting: &Setting, rng: &mut impl Rng) -> (f64, f64) {
        self.next += 1;
        match self.stops.len() {
            0 => setting.place(rng),
            n => self.stops[(self.next - 1) % n],
        }
    }
}

/// How long a program waits between two movements.
#[derive(Clone, Copy, Debug)]
enum Pause {
    None,
    Constant(f64),
    Uniform(f64, f64),
}

impl Pause {
    fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0 => Self::None,
            1..4 => Self::Constant(log_uniform(50.0, 2000.0, rng)),
            4..8 => Self::Uniform(100.0, 1100.0),
            _ => {
                let least = log_uniform(20.0, 500.0, rng);
                Self::Uniform(least, least * rng.random_range(1.5..6.0))
            }
        }
    }

    fn time(self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Constant(time) => time,
            Self::Uniform(least, greatest) => rng.random_range(least..greatest),
        }
    }
}

/// Bursts of steps a few ms apart, as a driver's move command makes them, and pauses.
fn driver_steps(person: &Person, setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    let steps = match rng.random_range(0..10) {
        0 => (1, 4),
        1..5 => {
            let n = rng.random_range(5..61);
            (n, n + 1)
        }
        _ => (5, 61),
    };
    let step = match rng.random_range(0..10) {
        0..6 => log_uniform(0.4, 5.0, rng),
        6 => log_uniform(0.02, 0.4, rng),
        _ => rng.random_range(8.0..20.0),
    };
    let late = if rng.random_bool(0.5) { 0.0 } else { step * rng.random_range(0.05..1.0) };
    let (pause, mut targets) = (Pause::draw(rng), Targets::draw(person, rng));
    let style = style(rng);
    let (x, y) = targets.next(setting, rng);
    let mut points = vec![Sample { x, y, t: 0.0 }];
    let mut at = points[0];
    for burst in 0..MAX_BURSTS {
        if points.len() >= MAX_EVENTS || at.t > setting.length && burst >= 4 {
            break;
        }
        at.t += pause.time(rng);
        let (x, y) = targets.next(setting, rng);
        let n = rng.random_range(steps.0..steps.1);
        let to = Sample { x, y, t: at.t + step * f64::from(n) };
        // The places are those of an even clock; the events are late each for itself.
        let even: Vec<f64> = (1..=n).map(|k| at.t + step * f64::from(k)).collect();
        let shape: [f64; 8] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
        let mut now = at.t;
        for (x, y) in drawn::places(at, to, &even, &style, &shape, rng) {
            now += (step + if late > 0.0 { exponential(late, rng) } else { 0.0 }).max(MIN_STEP_MS);
            points.push(Sample { x, y, t: now });
        }
        at = Sample { t: now, ..to };
    }
    points
}

/// Mostly straight and even.
fn style(rng: &mut impl Rng) -> Style {
    let curve = match rng.random_range(0..10) {
        0..8 => Curve::Straight,
        8 => Curve::Quadratic,
        _ => Curve::Cubic,
    };
    let easing = if rng.random_bool(0.7) { Easing::Linear } else { Easing::draw(rng) };
    Style { curve, easing, bow: rng.random_range(0.02..0.4) }
}

/// Steps of one length at the rate of a timer, straight to the target.
fn driver_paced(person: &Person, setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    let stride = log_uniform(1.5, 80.0, rng);
    let timer = [1.0, 4.0, 5.0, 8.0, 10.0, 16.0, 1000.0 / 60.0, 20.0, 50.0][rng.random_range(0..9)];
    let tick = f64::max(timer, if rng.random_bool(0.7) { TIMER_CLAMP_MS } else { MIN_STEP_MS });
    let late = if rng.random_bool(0.4) { 0.0 } else { log_uniform(0.1, 4.0, rng) };
    let (pause, mut targets) = (Pause::draw(rng), Targets::draw(person, rng));
    let wobble = if rng.random_bool(0.7) { 0.0 } else { log_uniform(0.2, 3.0, rng) };
    let mut at = targets.next(setting, rng);
    let (mut points, mut now) = (vec![Sample { x: at.0, y: at.1, t: 0.0 }], 0.0);
    for trip in 0..MAX_BURSTS {
        if points.len() >= MAX_EVENTS || now > setting.length && trip >= 4 {
            break;
        }
        let to = targets.next(setting, rng);
        let (dx, dy) = (to.0 - at.0, to.1 - at.1);
        let distance = dx.hypot(dy);
        let n = count((distance / stride).ceil()).clamp(1, MAX_EVENTS);
        for k in 1..=n {
            now += tick + if late > 0.0 { exponential(late, rng) } else { 0.0 };
            let u = (stride * number(k) / distance.max(stride)).min(1.0);
            let (wx, wy) = (wobble * rng.random_range(-1.0..1.0), wobble * rng.random_range(-1.0..1.0));
            points.push(Sample { x: at.0 + u * dx + wx, y: at.1 + u * dy + wy, t: now });
        }
        at = to;
        now += pause.time(rng);
    }
    points
}

/// Jumps of hundreds of pixels at every event, in one run or in bursts.
fn fast_teleport(setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    let length = if rng.random_bool(0.3) { 800.0 } else { log_uniform(150.0, 1800.0, rng) };
    let step = if rng.random_bool(0.4) { 8.0 } else { log_uniform(1.0, 33.0, rng) };
    let late = if rng.random_bool(0.6) { 0.0 } else { step * rng.random_range(0.05..0.6) };
    let burst = if rng.random_bool(0.6) { MAX_EVENTS } else { rng.random_range(3..60) };
    let pause = Pause::draw(rng);
    let straight = rng.random_bool(0.3);
    let board = (rng.random_range(1000.0..2600.0), rng.random_range(700.0..1500.0));
    let mut at = (board.0 * rng.random::<f64>(), board.1 * rng.random::<f64>());
    let (mut points, mut now) = (Vec::new(), 0.0);
    let mut angle = TAU * rng.random::<f64>();
    for k in 1..=MAX_EVENTS {
        if now > setting.length && k > 100 {
            break;
        }
        points.push(Sample { x: at.0, y: at.1, t: now });
        now += step + if late > 0.0 { exponential(late, rng) } else { 0.0 };
        if k.is_multiple_of(burst) {
            now += pause.time(rng);
        }
        // A direction that stays on the board, if one is found soon.
        for attempt in 0..8 {
            if !straight || attempt > 0 {
                angle = TAU * rng.random::<f64>();
            }
            let to = (at.0 + length * angle.cos(), at.1 + length * angle.sin());
            if attempt == 7 || (0.0..board.0).contains(&to.0) && (0.0..board.1).contains(&to.1) {
                at = (to.0.rem_euclid(board.0), to.1.rem_euclid(board.1));
                break;
            }
        }
    }
    points
}

/// Two movements at a time, as of two fingers or two programs: their events alternate or come when each is due.
fn two_pointers(person: &Person, setting: &Setting, rng: &mut impl Rng) -> Option<Vec<Sample>> {
    let (a, b) = (pointer(person, setting, 0, rng), pointer(person, setting, 1, rng));
    let n = a.len().min(b.len());
    if n < 10 {
        return None;
    }
    if rng.random_bool(0.4) {
        let mut both: Vec<Sample> = a.into_iter().chain(b).collect();
        both.sort_by(|p, q| p.t.total_cmp(&q.t));
        return Some(both);
    }
    let half = if rng.random_bool(0.5) { 0.5 } else { 0.0 };
    let mut both = Vec::with_capacity(2 * n);
    for k in 0..n {
        let t = a[k].t;
        let next = a.get(k + 1).map_or(t, |s| s.t);
        both.push(a[k]);
        both.push(Sample { t: t + half * (next - t), ..b[k] });
    }
    Some(both)
}

/// One of two pointers: a part of the person's movement, a smooth walk, straight trips, or noise about a place.
fn pointer(person: &Person, setting: &Setting, which: usize, rng: &mut impl Rng) -> Vec<Sample> {
    let n = person.samples.len();
    match rng.random_range(0..4) {
        0 | 1 if n >= 40 => {
            let part = &person.samples[which * (n / 2)..][..n / 2];
            part.iter().map(|s| Sample { t: s.t - part[0].t, ..*s }).collect()
        }
        2 => driver_paced(person, setting, rng),
        3 => {
            let (home, size) = (setting.place(rng), log_uniform(0.5, 40.0, rng));
            let near = (0..setting.times.len())
                .map(|_| (home.0 + size * rng.random_range(-1.0..1.0), home.1 + size * rng.random_range(-1.0..1.0)));
            setting.timed(near.collect::<Vec<_>>())
        }
        _ => setting.timed(smooth_walk(setting, rng)),
    }
}
