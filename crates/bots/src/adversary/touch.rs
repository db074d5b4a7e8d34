//! Strokes of a finger: what programs put on a touchscreen in the place of a person's strokes.
//!
//! A stroke begins at a click, and there are no events between strokes. The strokes and their times stay, but for taps.

use rand::{Rng, RngExt};

use super::drawn::{self, Curve, Style};
use super::legs::{GAP_MS, Sample, stops};
use super::motion::Motion;
use super::noise::{Easing, Noise, disturb, gaussian, log_uniform};
use super::reach::ticks;
use super::setting::{MAX_EVENTS, Person, Setting, count, number};
use super::{Clock, Family, recorded};
use playproof_domain::session::{Click, Session};

/// Fewest movements of a person whose strokes are replaced.
const MIN_SAMPLES: usize = 10;
/// A stroke of at least so many events is made in pieces, where the finger nearly stops.
const MIN_LONG_STROKE: usize = 20;
/// A donor of a shape has at least so many events.
const MIN_DONOR: usize = 4;
/// Fewest and most taps of a session.
const TAPS: (usize, usize) = (12, 200);

/// The strokes of `family`; `None` without a touchscreen or with too little movement.
pub(super) fn motion(
    family: Family,
    person: &Person,
    setting: &Setting,
    clock: Clock,
    rng: &mut impl Rng,
) -> Option<Motion> {
    if person.session.device_type != "touch" || person.samples.len() < MIN_SAMPLES {
        return None;
    }
    let strokes = strokes(person);
    if family == Family::TouchTaps {
        return Some(taps(&strokes, setting, rng));
    }
    let mut finger = Finger::draw(family, rng);
    let all = strokes.iter().flat_map(|stroke| pieces(stroke));
    let donors: Vec<&[Sample]> = all.filter(|piece| piece.len() >= MIN_DONOR).collect();
    if family == Family::TouchMorph && donors.len() < 2 {
        return None;
    }
    let mut points: Vec<Sample> = Vec::new();
    for (k, stroke) in strokes.iter().enumerate() {
        if points.len() >= MAX_EVENTS {
            break;
        }
        let begin = points.len();
        let until = strokes.get(k + 1).map_or(f64::INFINITY, |next| next[0].t);
        let mut at = stroke[0];
        points.push(at);
        for piece in pieces(stroke) {
            let drawn = finger.piece(at, piece, until, &donors, clock, rng);
            points.extend(drawn);
            at = points[points.len() - 1];
        }
        // The finger goes down where the click is.
        disturb(&mut points[begin + 1..], finger.noise, rng);
    }
    Some(Motion::of_round(points, 1.0))
}

/// The movement cut where a click or the end of a rest begins a stroke.
fn strokes<'a>(person: &'a Person) -> Vec<&'a [Sample]> {
    let mut clicks: Vec<f64> = person.session.clicks.iter().map(|c| c.t - person.origin).collect();
    clicks.sort_by(f64::total_cmp);
    let clicks_until = |t: f64| clicks.partition_point(|c| *c <= t);
    person.samples.chunk_by(|a, b| b.t - a.t <= GAP_MS && clicks_until(a.t) == clicks_until(b.t)).collect()
}

/// A stroke in pieces that a program would draw as one; none for a tap.
fn pieces(stroke: &[Sample]) -> Vec<&[Sample]> {
    match stroke.len() {
        0 | 1 => Vec::new(),
        2..MIN_LONG_STROKE => vec![stroke],
        _ => {
            let ends = stops(stroke, &Session::default());
            ends.windows(2).map(|piece| &stroke[piece[0]..=piece[1]]).collect()
        }
    }
}

/// How a program draws all strokes of a session.
struct Finger {
    family: Family,
    style: Style,
    noise: Noise,
    /// How unevenly a replay's clock runs.
    warp: f64,
    /// How far strokes end from where the person's end, as a share of their length.
    miss: f64,
    steps: usize,
    /// Ms between a driver's steps; as long as the person took, without.
    interval: Option<f64>,
}

impl Finger {
    fn draw(family: Family, rng: &mut impl Rng) -> Self {
        let curve = match family {
            Family::TouchBezierSwipes if rng.random_bool(0.5) => Curve::Quadratic,
            Family::TouchBezierSwipes => Curve::Cubic,
            _ => Curve::Straight,
        };
        let mut easing = Easing::Linear;
        if family == Family::TouchEasedSwipes {
            while easing == Easing::Linear {
                easing = Easing::draw(rng);
            }
        } else if family == Family::TouchBezierSwipes {
            easing = Easing::draw(rng);
        }
        let replay = family == Family::TouchReplayNoise;
        let warp = if replay && rng.random_bool(0.5) { rng.random_range(0.1..0.8) } else { 0.0 };
        let noise = match family {
            Family::TouchReplayNoise if warp == 0.0 || rng.random_bool(0.5) => {
                Noise::Gaussian(rng.random_range(0.5..3.0))
            }
            Family::TouchReplayNoise | Family::TouchMorph => Noise::None,
            _ if rng.random_bool(0.6) => Noise::None,
            _ => Noise::Gaussian(log_uniform(0.2, 3.0, rng)),
        };
        Self {
            family,
            style: Style { curve, easing, bow: rng.random_range(0.02..0.4) },
            noise,
            warp,
            miss: if replay || rng.random_bool(0.6) { 0.0 } else { rng.random_range(0.01..0.15) },
            steps: count(log_uniform(2.0, 41.0, rng)),
            interval: rng.random_bool(0.5).then(|| log_uniform(1.0, 25.0, rng)),
        }
    }

    /// The events of a piece after its first, which is at `at`; none comes after `until`.
    fn piece(
        &mut self,
        at: Sample,
        own: &[Sample],
        until: f64,
        donors: &[&[Sample]],
        clock: Clock,
        rng: &mut impl Rng,
    ) -> Vec<Sample> {
        let end = own[own.len() - 1];
        let away = self.miss * (end.x - at.x).hypot(end.y - at.y);
        let (x, y) =
            if away > 0.0 { (end.x + away * gaussian(rng), end.y + away * gaussian(rng)) } else { (end.x, end.y) };
        // A driver may have come too late for the piece before.
        let to = Sample { x, y, t: end.t.max(at.t) };
        if self.family == Family::TouchDriver {
            return self.driven(at, to, until);
        }
        let own_times = || own[1..].iter().map(|s| s.t).collect();
        let times: Vec<f64> = match clock {
            _ if to.t <= at.t => own_times(),
            Clock::Own => own_times(),
            Clock::Constant(step) => ticks(at.t, to.t, || step),
            Clock::Jitter(step, spread) => ticks(at.t, to.t, || (step + spread * gaussian(rng)).max(1.0)),
        };
        if to.t <= at.t {
            return times.into_iter().map(|t| Sample { t, ..to }).collect();
        }
        let places = match self.family {
            Family::TouchReplayNoise => recorded::warped(own, &times, self.warp, rng.random()),
            Family::TouchMorph => {
                let others: Vec<&&[Sample]> = donors.iter().filter(|donor| donor[0] != own[0]).collect();
                // Of two donors at least one is another.
                let donor = if others.is_empty() { own } else { others[rng.random_range(0..others.len())] };
                recorded::morphed(at, to, donor, &times)
            }
            _ => {
                let shape: [f64; 8] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
                drawn::places(at, to, &times, &self.style, &shape, rng)
            }
        };
        places.into_iter().zip(times).map(|((x, y), t)| Sample { x, y, t }).collect()
    }

    /// Equal steps at one interval, which is the driver's own where there is time for it.
    fn driven(&self, at: Sample, to: Sample, until: f64) -> Vec<Sample> {
        let n = number(self.steps);
        let interval = self.interval.unwrap_or((to.t - at.t) / n).min((until - at.t).max(0.0) / n);
        (1..=self.steps)
            .map(|k| {
                let u = number(k) / n;
                Sample { x: at.x + u * (to.x - at.x), y: at.y + u * (to.y - at.y), t: at.t + interval * number(k) }
            })
            .collect()
    }
}

/// Taps of one to three events or short drags, at the person's places or any, each so long after the other.
fn taps(strokes: &[&[Sample]], setting: &Setting, rng: &mut impl Rng) -> Motion {
    let delay = log_uniform(60.0, 1800.0, rng);
    let jitter = if rng.random_bool(0.6) { 0.0 } else { delay * rng.random_range(0.02..0.3) };
    let own = rng.random_bool(0.6);
    let drag = if rng.random_bool(0.4) { 0.0 } else { log_uniform(3.0, 80.0, rng) };
    let events = if drag > 0.0 { rng.random_range(3..9) } else { rng.random_range(1..4) };
    let step = log_uniform(1.0, 20.0, rng).min(0.9 * delay / number(events));
    let hits = rng.random_range(0.3..1.0);
    let n = count(setting.length / delay).clamp(TAPS.0, TAPS.1);
    let (mut points, mut clicks, mut now) = (Vec::new(), Vec::new(), 0.0);
    for k in 0..n {
        let start = strokes[k % strokes.len()][0];
        let (x, y) = if own { (start.x, start.y) } else { setting.place(rng) };
        clicks.push(Click { x, y, t: now, target_hit: rng.random_bool(hits) });
        let (dx, dy) = (drag * rng.random_range(-1.0..1.0), drag * rng.random_range(-1.0..1.0));
        // A tap's further events tremble by a pixel, or a recorder would not see them.
        let tremble = if drag > 0.0 { 0.0 } else { 1.0 };
        for event in 0..events {
            let u = number(event) / number(events.max(2) - 1);
            let shake = if event == 0 { 0.0 } else { tremble };
            let (x, y) = (x + u * dx + shake * gaussian(rng), y + u * dy + shake * gaussian(rng));
            points.push(Sample { x, y, t: now + step * number(event) });
        }
        now += (delay + jitter * gaussian(rng)).max(step * number(events));
    }
    Motion::with_clicks(points, clicks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_and_rests_begin_strokes() {
        let mut session = Session::default();
        for (k, t) in [0.0, 16.0, 32.0, 48.0, 300.0, 316.0].into_iter().enumerate() {
            session.movements.x.push(number(k));
            session.movements.y.push(0.0);
            session.movements.t.push(1000.0 + t);
        }
        session.clicks = vec![Click { t: 1032.0, ..Click::default() }];
        let person = Person::of(&session);
        let lengths: Vec<usize> = strokes(&person).iter().map(|stroke| stroke.len()).collect();
        assert_eq!(lengths, [2, 2, 2]);
    }
}
