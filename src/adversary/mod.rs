//! Bots of many kinds that play a given person's round: counterexamples for training, opponents for measuring.
//!
//! Each takes a person's stops, with their times and clicks ([`legs`]), and replaces the movement between them. Task,
//! rhythm and length stay, and the events come at the recorder's own times or on a clock of their own, so that what
//! learns from them learns motion and not the recorder. Paths, easings and disturbances are drawn independently of each
//! other, which covers more than any list of programs would. ADD A FAMILY: one variant of [`Family`], one arm of
//! `Family::leg`.

mod drawn;

mod legs;

mod motor;

mod noise;

mod recorded;

use rand::{Rng, RngExt};

use self::drawn::{Curve, Style};
use self::legs::{GAP_MS, Sample, in_time_order, on_grid, stops};
pub(crate) use self::noise::gaussian;
use self::noise::{Easing, Noise, disturb};
use crate::domain::session::Session;

/// When a bot sends its events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// When the person's own recorder did.
    Own,
    /// Every so many ms.
    Constant(f64),
    /// About every so many ms, with this standard deviation.
    Jitter(f64, f64),
}

impl Clock {
    /// Mostly the person's own.
    pub fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0..6 => Self::Own,
            6 | 7 => {
                Self::Constant([1000.0 / 240.0, 1000.0 / 144.0, 8.0, 10.0, 1000.0 / 60.0, 20.0][rng.random_range(0..6)])
            }
            _ => Self::Jitter(1000.0 / 60.0, rng.random_range(0.5..4.0)),
        }
    }
}

/// How a bot gets from one stop to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A straight line with some easing and noise.
    Straight,
    /// A Bézier curve of second or third degree.
    Bezier,
    /// Straight pieces through a few points off the line.
    Polyline,
    /// A smooth curve through a few points off the line.
    Spline,
    /// A pull to the target and a wandering push, as `WindMouse` has it.
    Wind,
    /// One to three jumps.
    Jumps,
    /// Minimum-jerk submovements with corrections and noise that grows with speed.
    MinimumJerk,
    /// Log-normal strokes with tremor and a corrected end.
    Lognormal,
    /// A curve through some of the person's own samples.
    Keyframes,
    /// Another leg of the person's, turned, stretched and timed to fit.
    Morph,
    /// The leg's own small steps in another order.
    Walk,
    /// The person's own movement with noise, an uneven clock, or both.
    Replay,
}

impl Family {
    /// Every family, from the plainest to the hardest.
    pub const ALL: [Self; 12] = [
        Self::Straight,
        Self::Bezier,
        Self::Polyline,
        Self::Spline,
        Self::Wind,
        Self::Jumps,
        Self::MinimumJerk,
        Self::Lognormal,
        Self::Keyframes,
        Self::Morph,
        Self::Walk,
        Self::Replay,
    ];

    /// The name used in labels and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Bezier => "bezier",
            Self::Polyline => "polyline",
            Self::Spline => "spline",
            Self::Wind => "wind",
            Self::Jumps => "jumps",
            Self::MinimumJerk => "minimum_jerk",
            Self::Lognormal => "lognormal",
            Self::Keyframes => "keyframes",
            Self::Morph => "morph",
            Self::Walk => "walk",
            Self::Replay => "replay",
        }
    }

    /// The family called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// What stays the same from leg to leg of one session.
struct Plan {
    family: Family,
    style: Style,
    keyframe_ms: f64,
    smooth: bool,
    warp: f64,
}

/// A bot session of `family` with the stops of `human`; `None` when there is too little movement to replace.
#[must_use]
pub fn imitate(human: &Session, family: Family, clock: Clock, rng: &mut impl Rng) -> Option<Session> {
    let samples = in_time_order(&human.movements);
    if samples.len() < 20 {
        return None;
    }
    let curve = match family {
        Family::Bezier if rng.random_bool(0.6) => Curve::Cubic,
        Family::Bezier => Curve::Quadratic,
        Family::Polyline => Curve::Knots { smooth: false },
        Family::Spline => Curve::Knots { smooth: true },
        Family::Wind => Curve::Wind,
        Family::Jumps => Curve::Jumps,
        _ => Curve::Straight,
    };
    let plan = Plan {
        family,
        style: Style { curve, easing: Easing::draw(rng), bow: rng.random_range(0.02..0.4) },
        keyframe_ms: rng.random_range(80.0..300.0),
        smooth: rng.random_bool(0.5),
        warp: if rng.random_bool(0.5) { rng.random_range(0.1..0.8) } else { 0.0 },
    };
    let repeat = rng.random_bool(0.2);
    let noise = match family {
        Family::Replay if plan.warp == 0.0 => Noise::Gaussian(rng.random_range(0.8..4.0)),
        // Their noise is part of the model, or they need none.
        Family::Replay | Family::MinimumJerk | Family::Lognormal | Family::Morph | Family::Walk
            if rng.random_bool(0.7) =>
        {
            Noise::None
        }
        _ => Noise::draw(rng),
    };
    let stops = stops(&samples, human);
    let shape: [f64; 8] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
    let mut points = vec![samples[0]];
    for leg in stops.windows(2) {
        let shape = if repeat { shape } else { std::array::from_fn(|_| rng.random_range(-1.0..1.0)) };
        plan.leg(&samples, leg[0], leg[1], &stops, clock, &shape, rng, &mut points);
    }
    disturb(&mut points, noise, rng);
    let moves = on_grid(&points, &human.movements);
    (moves.len() >= 10).then(|| Session { movements: moves, ..human.clone() })
}

impl Plan {
    /// Appends the events of one leg without its first sample.
    #[expect(clippy::too_many_arguments, reason = "one leg of one session, with everything that is the session's")]
    fn leg(
        &self,
        samples: &[Sample],
        begin: usize,
        end: usize,
        stops: &[usize],
        clock: Clock,
        shape: &[f64; 8],
        rng: &mut impl Rng,
        out: &mut Vec<Sample>,
    ) {
        let leg = &samples[begin..=end];
        let (from, to) = (samples[begin], samples[end]);
        let span = to.t - from.t;
        if leg.len() == 2 && span > GAP_MS || span <= 0.0 {
            out.push(to);
            return;
        }
        let times: Vec<f64> = match clock {
            Clock::Own => leg[1..].iter().map(|s| s.t).collect(),
            Clock::Constant(step) => ticks(from.t, to.t, || step),
            Clock::Jitter(step, spread) => ticks(from.t, to.t, || (step + spread * gaussian(rng)).max(1.0)),
        };
        let places = match self.family {
            Family::MinimumJerk => motor::minimum_jerk(from, to, &times, shape, rng),
            Family::Lognormal => motor::lognormal(from, to, &times, shape, rng),
            Family::Keyframes => {
                times.iter().map(|t| recorded::keyframe(leg, *t, self.keyframe_ms, self.smooth)).collect()
            }
            Family::Replay => recorded::warped(leg, &times, self.warp, shape[3]),
            Family::Walk => recorded::walked(leg, &times, rng),
            Family::Morph => {
                // A donor of at least a few samples; the leg itself where there is no other.
                let others = stops.windows(2).filter(|other| other[0] != begin && other[1] - other[0] >= 4);
                let others: Vec<&[usize]> = others.collect();
                let donor =
                    if others.is_empty() { &[begin, end][..] } else { others[rng.random_range(0..others.len())] };
                recorded::morphed(from, to, &samples[donor[0]..=donor[1]], &times)
            }
            _ => drawn::places(from, to, &times, &self.style, shape, rng),
        };
        out.extend(places.into_iter().zip(times).map(|((x, y), t)| Sample { x, y, t }));
    }
}

fn ticks(from: f64, to: f64, mut step: impl FnMut() -> f64) -> Vec<f64> {
    let mut times = Vec::new();
    let mut t = from + step();
    while t < to {
        times.push(t);
        t += step();
    }
    times.push(to);
    times
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::domain::session::{Click, Movements};

    /// Reaches between corners with a rest at each.
    fn person() -> Session {
        let mut movements = Movements::default();
        let (mut t, mut at) = (0.0, (100.0, 100.0));
        let mut clicks = Vec::new();
        for (x, y) in [(600.0, 150.0), (550.0, 500.0), (120.0, 420.0), (300.0, 90.0), (640.0, 460.0)] {
            for k in 1..=40 {
                let u = f64::from(k) / 40.0;
                let s = u * u * (3.0 - 2.0 * u);
                t += 16.0;
                movements.x.push((at.0 + s * (x - at.0) + 9.0 * (5.0 * u).sin()).round());
                movements.y.push((at.1 + s * (y - at.1) + 7.0 * (4.0 * u).sin()).round());
                movements.t.push(t);
            }
            at = (x, y);
            clicks.push(Click { x, y, t: t + 60.0, target_hit: true });
            t += 400.0;
        }
        Session { movements, clicks, duration_ms: t, ..Session::default() }
    }

    fn made(family: Family, clock: Clock, seed: u64) -> Session {
        imitate(&person(), family, clock, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn every_family_plays_the_persons_round_in_its_time_and_moves_in_its_own_way() {
        let human = person();
        let mut seen = Vec::new();
        for family in Family::ALL {
            for (seed, clock) in [(1, Clock::Own), (2, Clock::Constant(8.0)), (3, Clock::Jitter(16.7, 2.0))] {
                let bot = made(family, clock, seed);
                let moves = &bot.movements;
                assert!(moves.t.is_sorted() && moves.x.iter().chain(&moves.y).all(|v| v.is_finite()), "{family:?}");
                assert!(moves.t[moves.len() - 1] <= human.movements.t[199] + 1.0, "{family:?}");
                assert_eq!(bot.clicks, human.clicks);
                // It comes by every stop: clicks lie where the person's do.
                for click in &human.clicks {
                    let last = moves.t.partition_point(|t| *t <= click.t) - 1;
                    let away = (moves.x[last] - click.x).hypot(moves.y[last] - click.y);
                    assert!(away < 60.0, "{family:?} at {click:?}: {away}");
                }
                if clock == Clock::Own {
                    assert_ne!(bot.movements, human.movements, "{family:?}");
                    seen.push(bot.movements);
                }
            }
            assert_eq!(made(family, Clock::Own, 7), made(family, Clock::Own, 7), "the seed decides");
            assert_eq!(Family::parse(family.name()), Some(family));
        }
        seen.dedup();
        assert_eq!(seen.len(), Family::ALL.len());
    }

    #[test]
    fn too_little_movement_is_not_imitated() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        assert_eq!(imitate(&Session::default(), Family::Straight, Clock::Own, rng), None);
    }
}
