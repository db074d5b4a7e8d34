//! Reaches: a person's round, stop by stop, with another movement between the stops.

use rand::{Rng, RngExt};

use super::drawn::{self, Curve, Style};
use super::legs::{GAP_MS, Sample, in_time_order, on_grid, stops};
use super::noise::{Easing, Noise, disturb, gaussian};
use super::{Clock, Family, motor, recorded};
use playproof_domain::session::{MAX_COORDINATE, Session};

/// What stays the same from leg to leg of one session.
struct Plan {
    family: Family,
    style: Style,
    keyframe_ms: f64,
    smooth: bool,
    warp: f64,
}

/// A session of `family` that moves between the stops of `human`; `None` when there is too little movement to replace.
pub(super) fn play(human: &Session, family: Family, clock: Clock, rng: &mut impl Rng) -> Option<Session> {
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
    for point in &mut points {
        point.x = point.x.clamp(-MAX_COORDINATE, MAX_COORDINATE);
        point.y = point.y.clamp(-MAX_COORDINATE, MAX_COORDINATE);
    }
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

/// Times that follow each other by `step`, all after `from`, the last at `to`.
pub(super) fn ticks(from: f64, to: f64, mut step: impl FnMut() -> f64) -> Vec<f64> {
    let mut times = Vec::new();
    let mut t = from + step();
    while t < to {
        times.push(t);
        t += step();
    }
    times.push(to);
    times
}
