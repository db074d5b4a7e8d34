//! Motion that is stored, composed or fitted once and led from stop to stop.

use std::f64::consts::{PI, TAU};

use rand::{Rng, RngExt};

use super::legs::Sample;
use super::motion::Motion;
use super::noise::{Easing, Noise, disturb, gaussian, log_uniform};
use super::recorded::morphed;
use super::setting::{MAX_EVENTS, Person, Setting, interval, number};
use super::{Clock, Family};

mod recurrence;

use self::recurrence::Recurrence;

/// Most reaches of a session between targets of its own.
const MAX_REACHES: usize = 60;
/// Most points of a reach.
const MAX_REACH_POINTS: usize = 400;
/// Most components of a harmonic reach.
const MAX_COMPONENTS: usize = 6;

/// A reach to make: from where and when, to where and when.
type Reach = (Sample, Sample);

/// The movement of `family`; `None` where a recurrence has nothing to be fitted to.
pub(super) fn motion(
    family: Family,
    person: &Person,
    setting: &Setting,
    clock: Clock,
    rng: &mut impl Rng,
) -> Option<Motion> {
    let legs = person.legs();
    let own = legs.len() >= 3 && rng.random_bool(0.6);
    let reaches =
        if own { legs.iter().map(|leg| (leg[0], leg[leg.len() - 1])).collect() } else { reaches(setting, rng) };
    let maker = Maker::draw(family, person, &legs, rng)?;
    let pace = Pace::draw(family, clock, own, rng);
    let mut points = vec![reaches.first()?.0];
    for (k, (from, to)) in reaches.iter().enumerate() {
        if points.len() >= MAX_EVENTS {
            break;
        }
        let times = pace.times(*from, *to, own.then(|| legs[k]), rng);
        let places = maker.places((*from, *to), &times, rng);
        points.extend(places.into_iter().zip(times).map(|((x, y), t)| Sample { x, y, t }));
    }
    if rng.random_bool(0.15) {
        disturb(&mut points, Noise::draw(rng), rng);
    }
    Some(if own { Motion::of_round(points, 1.0) } else { Motion::free(points) })
}

/// Reaches between places of the box, as long as their difficulty has it (Fitts, J. Exp. Psychol. 47, 1954), and rests.
fn reaches(setting: &Setting, rng: &mut impl Rng) -> Vec<Reach> {
    let (least, slope) = (rng.random_range(50.0..300.0), rng.random_range(60.0..260.0));
    let rest = if rng.random_bool(0.2) { 0.0 } else { log_uniform(20.0, 1200.0, rng) };
    let width = rng.random_range(10.0..80.0);
    let mut at = setting.place(rng);
    let mut t = 0.0;
    let mut made = Vec::new();
    while made.len() < MAX_REACHES && (t < setting.length || made.len() < 3) {
        let to = setting.place(rng);
        let difficulty = ((to.0 - at.0).hypot(to.1 - at.1) / width + 1.0).log2();
        let span = (least + slope * difficulty) * (0.15 * gaussian(rng)).exp();
        made.push((Sample { x: at.0, y: at.1, t }, Sample { x: to.0, y: to.1, t: t + span }));
        t += span + rest * rng.random_range(0.5..1.5);
        at = to;
    }
    made
}

/// When the events of a reach come.
enum Pace {
    /// The person's own.
    Own,
    /// So many to a reach.
    Points(usize),
    /// Every so many ms, with this standard deviation.
    Every(f64, f64),
}

impl Pace {
    fn draw(family: Family, clock: Clock, own: bool, rng: &mut impl Rng) -> Self {
        if family == Family::HarmonicMotion && rng.random_bool(0.4) {
            return Self::Points(rng.random_range(32..65));
        }
        if rng.random_bool(0.5) {
            match clock {
                Clock::Own if own => return Self::Own,
                Clock::Own => (),
                Clock::Constant(step) => return Self::Every(step, 0.0),
                Clock::Jitter(step, spread) => return Self::Every(step, spread),
            }
        }
        let step = interval(rng).min(50.0);
        Self::Every(step, if rng.random_bool(0.5) { 0.0 } else { step * rng.random_range(0.02..0.4) })
    }

    fn times(&self, from: Sample, to: Sample, leg: Option<&[Sample]>, rng: &mut impl Rng) -> Vec<f64> {
        let even = |n: usize| (1..=n).map(|k| from.t + (to.t - from.t) * number(k) / number(n)).collect();
        match (self, leg) {
            (Self::Own, Some(leg)) => leg[1..].iter().map(|s| s.t).collect(),
            (Self::Own, None) => even(24),
            (Self::Points(n), _) => even(*n),
            (Self::Every(step, spread), _) => {
                let mut times = Vec::new();
                let mut t = from.t;
                while times.len() + 1 < MAX_REACH_POINTS {
                    t += (step + spread * gaussian(rng)).max(1.0);
                    if t >= to.t {
                        break;
                    }
                    times.push(t);
                }
                times.push(to.t);
                times
            }
        }
    }
}

/// What a session makes its reaches with.
enum Maker {
    Template(Template),
    Harmonic(Harmonic),
    Recurrent(Recurrence),
}

impl Maker {
    fn draw(family: Family, person: &Person, legs: &[&[Sample]], rng: &mut impl Rng) -> Option<Self> {
        Some(match family {
            Family::RecurrentMotion => Self::Recurrent(Recurrence::fitted(&person.samples, rng)?),
            Family::HarmonicMotion => Self::Harmonic(Harmonic::draw(rng)),
            _ => Self::Template(Template::draw(legs, rng)),
        })
    }

    fn places(&self, reach: Reach, times: &[f64], rng: &mut impl Rng) -> Vec<(f64, f64)> {
        match self {
            Self::Template(template) => template.places(reach, times, rng),
            Self::Harmonic(harmonic) => harmonic.places(reach, times, rng),
            Self::Recurrent(recurrence) => recurrence.places(reach, times, rng),
        }
    }
}

/// The share of the way at each of some equal parts of the time; from 0 to 1.
#[derive(Clone)]
struct Flow(Vec<f64>);

impl Flow {
    /// A flow whose speed changes from part to part: at random, with interruptions, with a slow start or end, or in a
    /// bell, as the templates of `NaturalMouseMotion` have it.
    fn draw(rng: &mut impl Rng) -> Self {
        let n = rng.random_range(8..60usize);
        let kind = rng.random_range(0..6);
        let every = rng.random_range(3..9usize);
        let speeds = (0..n).map(|k| {
            let u = (number(k) + 0.5) / number(n);
            match kind {
                0 => rng.random_range(0.1..1.0),
                1 if k.is_multiple_of(every) => 0.02,
                1 => rng.random_range(0.7..1.0),
                2 => u * u + 0.02,
                3 => (1.0 - u) * (1.0 - u) + 0.02,
                4 => (PI * u).sin() + 0.02,
                _ => 1.0,
            }
        });
        let mut total = 0.0;
        let mut shares = vec![0.0];
        for speed in speeds {
            total += speed;
            shares.push(total);
        }
        for share in &mut shares {
            *share /= total;
        }
        Self(shares)
    }

    fn at(&self, u: f64) -> f64 {
        let parts = self.0.len() - 1;
        let k = super::setting::count(u * number(parts)).min(parts - 1);
        let v = u * number(parts) - number(k);
        self.0[k] + v * (self.0[k + 1] - self.0[k])
    }
}

/// A stored stroke with what is added to it each time.
struct Template {
    /// A leg of the person's, or a curve with this size and number of half waves across.
    stroke: Result<Vec<Sample>, (f64, f64)>,
    flow: Flow,
    fresh_flows: bool,
    /// Greatest sideways deviation, as a share of the distance.
    deviation: f64,
    /// Px of Gaussian noise.
    noise: f64,
    /// Whether slow steps wander, as in `NaturalMouseMotion`.
    pulses: bool,
    overshoots: f64,
}

impl Template {
    fn draw(legs: &[&[Sample]], rng: &mut impl Rng) -> Self {
        let long: Vec<&&[Sample]> = legs.iter().filter(|leg| leg.len() >= 5).collect();
        let stored = !long.is_empty() && rng.random_bool(0.5);
        Self {
            stroke: if stored {
                Ok(long[rng.random_range(0..long.len())].to_vec())
            } else {
                Err((rng.random_range(-0.3..0.3), f64::from(rng.random_range(1..4))))
            },
            flow: Flow::draw(rng),
            fresh_flows: rng.random_bool(0.5),
            deviation: if rng.random_bool(0.3) { 0.0 } else { log_uniform(0.01, 0.3, rng) },
            noise: if rng.random_bool(0.4) { 0.0 } else { log_uniform(0.2, 3.0, rng) },
            pulses: rng.random_bool(0.5),
            overshoots: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.1..0.8) },
        }
    }

    fn places(&self, (from, to): Reach, times: &[f64], rng: &mut impl Rng) -> Vec<(f64, f64)> {
        let flow = if self.fresh_flows { Flow::draw(rng) } else { self.flow.clone() };
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let span = (to.t - from.t).max(1e-9);
        let (side, waves) = (self.deviation * gaussian(rng), f64::from(rng.random_range(1..3)));
        // The stroke first leads beside the target and the last part of the way corrects it.
        let miss = if rng.random_bool(self.overshoots) { 0.12 * dx.hypot(dy) } else { 0.0 };
        let (mx, my) = (miss * gaussian(rng), miss * gaussian(rng));
        let (mut wx, mut wy, mut before) = (0.0, 0.0, (from.x, from.y));
        let moments: Vec<f64> = times.iter().map(|t| flow.at(((t - from.t) / span).clamp(0.0, 1.0))).collect();
        let spine: Vec<(f64, f64)> = match &self.stroke {
            Ok(leg) => {
                let shifted: Vec<f64> = moments.iter().map(|s| from.t + s * span).collect();
                morphed(from, to, leg, &shifted)
            }
            Err((size, half_waves)) => moments
                .iter()
                .map(|s| {
                    let across = size * (PI * half_waves * s).sin();
                    (from.x + s * dx - across * dy, from.y + s * dy + across * dx)
                })
                .collect(),
        };
        spine
            .into_iter()
            .zip(moments)
            .map(|((x, y), s)| {
                let across = side * 0.5 * (1.0 - (TAU * waves * s).cos());
                let late = ((s - 0.8) / 0.2).clamp(0.0, 1.0);
                let (missed, open) = (s.min(0.8) / 0.8 * (1.0 - late), 1.0 - late);
                let (x, y) = (x - across * dy + missed * mx, y + across * dx + missed * my);
                let slow = (8.0 - (x - before.0).hypot(y - before.1)).max(0.0);
                before = (x, y);
                if self.pulses && rng.random_bool(slow / 50.0) {
                    wx += 0.5 * slow * rng.random_range(-0.5..0.5);
                    wy += 0.5 * slow * rng.random_range(-0.5..0.5);
                }
                let noise = if s < 1.0 { self.noise } else { 0.0 };
                (x + open * wx + noise * gaussian(rng), y + open * wy + noise * gaussian(rng))
            })
            .collect()
    }
}

/// Reaches as random sums of a few smooth components, as a generative network of few dimensions makes them.
struct Harmonic {
    easing: Easing,
    components: usize,
    /// Size of the first component as a share of the distance, and how fast the others fall.
    size: f64,
    fall: f64,
    /// The components that every reach of the session has.
    habit: [[f64; 2]; MAX_COMPONENTS],
    residual: f64,
}

impl Harmonic {
    fn draw(rng: &mut impl Rng) -> Self {
        Self {
            easing: if rng.random_bool(0.5) { Easing::MinimumJerk } else { Easing::Bell(rng.random_range(0.3..0.6)) },
            components: rng.random_range(3..=MAX_COMPONENTS),
            size: log_uniform(0.02, 0.25, rng),
            fall: rng.random_range(0.8..2.5),
            habit: std::array::from_fn(|_| [0.5 * gaussian(rng), 0.5 * gaussian(rng)]),
            residual: if rng.random_bool(0.3) { 0.0 } else { log_uniform(0.1, 1.5, rng) },
        }
    }

    fn places(&self, (from, to): Reach, times: &[f64], rng: &mut impl Rng) -> Vec<(f64, f64)> {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let span = (to.t - from.t).max(1e-9);
        let weights: Vec<(f64, f64)> = (0..self.components)
            .map(|k| {
                let size = self.size / number(k + 1).powf(self.fall);
                // Along the way the components stay smaller, or the reach would turn back.
                let along = 0.5 * size * (self.habit[k][0] + gaussian(rng));
                (along, size * (self.habit[k][1] + gaussian(rng)))
            })
            .collect();
        times
            .iter()
            .map(|t| {
                let u = ((t - from.t) / span).clamp(0.0, 1.0);
                let (mut along, mut across) = (self.easing.at(u), 0.0);
                for (k, (a, b)) in weights.iter().enumerate() {
                    let wave = (PI * number(k + 1) * u).sin();
                    (along, across) = (along + a * wave, across + b * wave);
                }
                let (nx, ny) = (self.residual * gaussian(rng), self.residual * gaussian(rng));
                (from.x + along * dx - across * dy + nx, from.y + along * dy + across * dx + ny)
            })
            .collect()
    }
}
