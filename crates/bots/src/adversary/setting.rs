//! Where and when a bot moves that does not play the person's round: the box, the length, the times of its events.

use rand::{Rng, RngExt};

use super::Clock;
use super::legs::{GAP_MS, Sample, in_time_order, stops};
use super::noise::{gaussian, log_uniform};
use playproof_domain::session::Session;

/// Most events of a session.
pub(super) const MAX_EVENTS: usize = 5000;
/// Fewest events that a process is given time for.
const MIN_EVENTS: usize = 40;
/// Least and greatest ms between two events.
const INTERVALS_MS: (f64, f64) = (4.0, 120.0);
/// Intervals of timers that programs use, ms.
const TIMERS_MS: [f64; 12] = [4.0, 1000.0 / 144.0, 8.0, 10.0, 12.0, 1000.0 / 60.0, 16.0, 20.0, 25.0, 33.0, 50.0, 100.0];
/// Least and greatest extent of a process, px.
const EXTENTS_PX: (f64, f64) = (20.0, 1500.0);
/// Least and greatest length that is drawn for a session, ms.
const LENGTHS_MS: (f64, f64) = (2_000.0, 15_000.0);
/// The longest a process lasts because the person did, ms.
const MAX_OWN_LENGTH_MS: f64 = 60_000.0;

/// The session that a bot is made after, its times counted from its first movement.
pub(super) struct Person<'a> {
    pub(super) session: &'a Session,
    pub(super) samples: Vec<Sample>,
    /// The time of the first movement.
    pub(super) origin: f64,
}

impl<'a> Person<'a> {
    pub(super) fn of(session: &'a Session) -> Self {
        let mut samples = in_time_order(&session.movements);
        let origin = samples.first().map_or(0.0, |s| s.t);
        for sample in &mut samples {
            sample.t -= origin;
        }
        Self { session, samples, origin }
    }

    /// Ms from the first movement to the last.
    pub(super) fn length(&self) -> f64 {
        self.samples.last().map_or(0.0, |s| s.t)
    }

    /// The legs between stops that last and hold movement.
    pub(super) fn legs(&self) -> Vec<&[Sample]> {
        if self.samples.len() < 20 {
            return Vec::new();
        }
        // Clicks only mark stops where they share the movements' clock.
        let shifted = Session {
            clicks: self
                .session
                .clicks
                .iter()
                .map(|c| playproof_domain::session::Click { t: c.t - self.origin, ..*c })
                .collect(),
            ..Session::default()
        };
        let stops = stops(&self.samples, &shifted);
        let legs = stops.windows(2).map(|leg| &self.samples[leg[0]..=leg[1]]);
        legs.filter(|leg| {
            let span = leg[leg.len() - 1].t - leg[0].t;
            span > 0.0 && !(leg.len() == 2 && span > GAP_MS)
        })
        .collect()
    }
}

/// How the times of events follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rhythm {
    /// As the person's recorder had them, its rests left out or not.
    Own {
        rests: bool,
    },
    Constant(f64),
    /// With this standard deviation.
    Jitter(f64, f64),
    /// After a timer is due, late by an exponential time.
    Late(f64, f64),
    /// As events of a Poisson process come.
    Exponential(f64),
}

impl Rhythm {
    /// Often the rhythm of `clock`, so that no recorder is a bot's alone.
    fn draw(clock: Clock, rng: &mut impl Rng) -> Self {
        if rng.random_bool(0.4) {
            return match clock {
                Clock::Own => Self::Own { rests: rng.random_bool(0.4) },
                Clock::Constant(step) => Self::Constant(step),
                Clock::Jitter(step, spread) => Self::Jitter(step, spread),
            };
        }
        let step = interval(rng);
        match rng.random_range(0..10) {
            0..5 => Self::Constant(step),
            5 | 6 => Self::Jitter(step, step * rng.random_range(0.02..0.5)),
            7 => Self::Late(step, log_uniform(0.3, 8.0, rng)),
            8 => Self::Exponential(step),
            _ => Self::Own { rests: rng.random_bool(0.4) },
        }
    }

    /// The ms to the event with this number.
    pub(super) fn after(self, k: usize, own: &[f64], rng: &mut impl Rng) -> f64 {
        match self {
            Self::Own { .. } if own.is_empty() => 16.0,
            Self::Own { .. } => own[k % own.len()],
            Self::Constant(step) => step,
            Self::Jitter(step, spread) => (step + spread * gaussian(rng)).max(0.5),
            Self::Late(step, late) => step + exponential(late, rng),
            Self::Exponential(step) => exponential(step, rng),
        }
    }
}

/// An interval of a timer or any other, ms.
pub(super) fn interval(rng: &mut impl Rng) -> f64 {
    if rng.random_bool(0.5) {
        TIMERS_MS[rng.random_range(0..TIMERS_MS.len())]
    } else {
        log_uniform(INTERVALS_MS.0, INTERVALS_MS.1, rng)
    }
}

/// An exponential time with this mean.
pub(super) fn exponential(mean: f64, rng: &mut impl Rng) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// A box and the times of events in it.
pub(super) struct Setting {
    pub(super) centre: (f64, f64),
    /// Half the width and height.
    pub(super) half: (f64, f64),
    /// Ms to fill.
    pub(super) length: f64,
    /// Times of events from 0 to about the length.
    pub(super) times: Vec<f64>,
}

impl Setting {
    pub(super) fn draw(person: &Person, clock: Clock, rng: &mut impl Rng) -> Self {
        let own = (person.length() > 0.0 && rng.random_bool(0.4)).then(|| person.length().min(MAX_OWN_LENGTH_MS));
        let length = own.unwrap_or_else(|| log_uniform(LENGTHS_MS.0, LENGTHS_MS.1, rng)).max(1000.0);
        let (centre, half) = place(person, rng);
        let rhythm = Rhythm::draw(clock, rng);
        let rests = matches!(rhythm, Rhythm::Own { rests: true });
        let intervals: Vec<f64> =
            person.samples.windows(2).map(|w| w[1].t - w[0].t).filter(|dt| rests || *dt <= GAP_MS).collect();
        let mut times = vec![0.0];
        let mut t = 0.0;
        while times.len() < MAX_EVENTS {
            t += rhythm.after(times.len() - 1, &intervals, rng);
            if t > length && times.len() >= MIN_EVENTS {
                break;
            }
            times.push(t);
        }
        Self { centre, half, length, times }
    }

    /// Any place in the box.
    pub(super) fn place(&self, rng: &mut impl Rng) -> (f64, f64) {
        let x = self.centre.0 + self.half.0 * rng.random_range(-1.0..1.0);
        (x, self.centre.1 + self.half.1 * rng.random_range(-1.0..1.0))
    }

    /// The place folded back into the box, as often as it takes.
    pub(super) fn folded(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let fold = |v: f64, centre: f64, half: f64| {
            let u = (v - centre + half).rem_euclid(4.0 * half);
            centre - half + if u > 2.0 * half { 4.0 * half - u } else { u }
        };
        (fold(x, self.centre.0, self.half.0), fold(y, self.centre.1, self.half.1))
    }

    /// The times with their places.
    pub(super) fn timed(&self, places: impl IntoIterator<Item = (f64, f64)>) -> Vec<Sample> {
        self.times.iter().zip(places).map(|(t, (x, y))| Sample { x, y, t: *t }).collect()
    }

    /// Ms from the event before; those of the second for the first.
    pub(super) fn steps(&self) -> impl Iterator<Item = f64> {
        let first = self.times.get(1).copied().unwrap_or(16.0);
        std::iter::once(first).chain(self.times.windows(2).map(|w| w[1] - w[0]))
    }
}

/// The person's box or one of any size somewhere on a screen.
fn place(person: &Person, rng: &mut impl Rng) -> ((f64, f64), (f64, f64)) {
    let range = |of: fn(&Sample) -> f64| {
        person.samples.iter().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let extent = |rng: &mut _| 0.5 * log_uniform(EXTENTS_PX.0, EXTENTS_PX.1, rng);
    let width = extent(rng);
    let height = if rng.random_bool(0.5) { width } else { extent(rng) };
    if person.samples.is_empty() || rng.random_bool(0.4) {
        let centre = (width + rng.random_range(0.0..800.0), height + rng.random_range(0.0..500.0));
        return (centre, (width, height));
    }
    let ((left, right), (top, bottom)) = (range(|s| s.x), range(|s| s.y));
    let centre = (0.5 * (left + right), 0.5 * (top + bottom));
    if rng.random_bool(0.5) {
        return (centre, (width, height));
    }
    (centre, ((0.5 * (right - left)).max(5.0), (0.5 * (bottom - top)).max(5.0)))
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts of events, far below 2^52")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// A number cut to a count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, which is meant")]
pub(super) fn count(number: f64) -> usize {
    number as usize
}
