//! A movement on its way to a session: its pace, its disturbances, its clicks, its pixels and its clock.

use rand::{Rng, RngExt};

use super::legs::{GAP_MS, Sample};
use super::noise::{Noise, disturb, log_uniform};
use super::setting::{MAX_EVENTS, Person};
use playproof_domain::session::{Click, MAX_COORDINATE, MAX_TIME_MS, Movements, Session};

/// Fewest movements of a session.
const MIN_MOVEMENTS: usize = 10;
/// Least and greatest factor on all times.
const PACES: (f64, f64) = (0.3, 30.0);

/// Where the clicks come from.
#[derive(Clone, Debug, PartialEq)]
enum Clicks {
    /// The person's, at times this factor later.
    Kept(f64),
    /// These.
    Given(Vec<Click>),
    /// At events of the movement, or none.
    Drawn,
}

/// Events from about time 0, and what is known of the clicks.
pub(super) struct Motion {
    pub(super) points: Vec<Sample>,
    clicks: Clicks,
}

impl Motion {
    /// A movement that has nothing to do with the person's clicks.
    pub(super) fn free(points: Vec<Sample>) -> Self {
        Self { points, clicks: Clicks::Drawn }
    }

    /// A movement that comes by the person's clicks, their times multiplied by `pace`.
    pub(super) fn of_round(points: Vec<Sample>, pace: f64) -> Self {
        Self { points, clicks: Clicks::Kept(pace) }
    }

    /// A movement with clicks of its own.
    pub(super) fn with_clicks(points: Vec<Sample>, clicks: Vec<Click>) -> Self {
        Self { points, clicks: Clicks::Given(clicks) }
    }

    /// Sometimes with noise.
    pub(super) fn disturbed(mut self, rng: &mut impl Rng) -> Self {
        if rng.random_bool(0.25) {
            disturb(&mut self.points, Noise::draw(rng), rng);
        }
        self
    }

    /// With this probability at another pace.
    pub(super) fn paced(mut self, probability: f64, rng: &mut impl Rng) -> Self {
        if rng.random_bool(probability) {
            let pace = pace(rng);
            self.points.iter_mut().for_each(|p| p.t *= pace);
            if let Clicks::Kept(factor) = &mut self.clicks {
                *factor *= pace;
            }
        }
        self
    }

    /// The session; `None` when it hardly moves.
    pub(super) fn finish(self, person: &Person, rng: &mut impl Rng) -> Option<Session> {
        let movements = written(&self.points, &person.session.movements, rng);
        let last = *movements.t.last()?;
        if movements.len() < MIN_MOVEMENTS {
            return None;
        }
        let session = person.session;
        let bot = Session { movements, clicks: Vec::new(), ..session.clone() };
        let (clicks, hits, misses) = match self.clicks {
            Clicks::Kept(factor) => {
                let moved = |c: &Click| Click { t: later(factor * (c.t - person.origin)), ..*c };
                (session.clicks.iter().map(moved).collect(), session.hits, session.misses)
            }
            Clicks::Given(clicks) => counted(clicks),
            Clicks::Drawn => drawn(&bot.movements, session.clicks.len(), rng),
        };
        let end = clicks.iter().fold(last, |end, c| c.t.max(end));
        let duration_ms = later((end + rng.random_range(0.0..500.0)).round());
        Some(Session { duration_ms, clicks, hits, misses, ..bot })
    }
}

/// A factor on all times that is neither 1 nor close to it.
pub(super) fn pace(rng: &mut impl Rng) -> f64 {
    loop {
        let pace = log_uniform(PACES.0, PACES.1, rng);
        if !(0.8..1.25).contains(&pace) {
            return pace;
        }
    }
}

/// A time within the bounds of a session.
pub(super) fn later(t: f64) -> f64 {
    t.clamp(-MAX_TIME_MS, MAX_TIME_MS)
}

/// The points on a pixel grid and a clock, mostly those of the person's recorder, mostly without events that do not move.
fn written(points: &[Sample], human: &Movements, rng: &mut impl Rng) -> Movements {
    let whole = |values: &[f64], scale: f64| values.iter().all(|v| (v * scale).fract() == 0.0);
    let grid = match rng.random_range(0..10) {
        0..6 => [1.0, 2.0].into_iter().find(|g| whole(&human.x, *g) && whole(&human.y, *g)),
        6..9 => Some(1.0),
        _ => None,
    };
    let clock = match rng.random_range(0..10) {
        0..6 => [1.0, 10.0].into_iter().find(|c| whole(&human.t, *c)),
        6 | 7 => Some(1.0),
        8 => Some(10.0),
        _ => None,
    };
    let snap = |v: f64, scale: Option<f64>| scale.map_or(v, |s| (v * s).round() / s);
    let place = |v: f64| snap(v.clamp(-MAX_COORDINATE, MAX_COORDINATE), grid);
    let still = rng.random_bool(0.1);
    let mut moves = Movements::default();
    let mut now: f64 = 0.0;
    for point in points {
        if !(point.x.is_finite() && point.y.is_finite() && point.t.is_finite()) {
            continue;
        }
        now = now.max(later(snap(point.t, clock)));
        let (x, y) = (place(point.x), place(point.y));
        if !still && moves.x.last() == Some(&x) && moves.y.last() == Some(&y) {
            continue;
        }
        moves.x.push(x);
        moves.y.push(y);
        moves.t.push(now);
        if moves.len() == MAX_EVENTS {
            break;
        }
    }
    moves
}

/// A few clicks where the pointer is, if any: at rests where there are some, hits or not.
fn drawn(moves: &Movements, own: usize, rng: &mut impl Rng) -> (Vec<Click>, u32, u32) {
    let number_of = match rng.random_range(0..6) {
        0 | 1 => 0,
        2 => rng.random_range(1..6),
        _ => own.min(60),
    };
    let rests: Vec<usize> = (1..moves.len()).filter(|k| moves.t[*k] - moves.t[k - 1] > GAP_MS).map(|k| k - 1).collect();
    let at_rests = !rests.is_empty() && rng.random_bool(0.7);
    let hit = rng.random_range(0.0..1.0);
    let mut clicks: Vec<Click> = (0..number_of)
        .map(|_| {
            let k = if at_rests { rests[rng.random_range(0..rests.len())] } else { rng.random_range(0..moves.len()) };
            let after = if at_rests { rng.random_range(0.0..GAP_MS) } else { 0.0 };
            Click { x: moves.x[k], y: moves.y[k], t: (moves.t[k] + after).round(), target_hit: rng.random_bool(hit) }
        })
        .collect();
    clicks.sort_by(|a, b| a.t.total_cmp(&b.t));
    counted(clicks)
}

/// The clicks, how many hit and how many missed.
fn counted(clicks: Vec<Click>) -> (Vec<Click>, u32, u32) {
    let hits = clicks.iter().filter(|c| c.target_hit).count();
    let as_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (hits, misses) = (as_u32(hits), as_u32(clicks.len() - hits));
    (clicks, hits, misses)
}
