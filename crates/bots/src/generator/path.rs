//! Paths from one target to the next, one function a family.

use std::f64::consts::PI;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::Family;

type Point = (f64, f64);

/// One sample of the pointer.
pub(super) struct Step {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Time since the sample before, ms.
    pub(super) after: f64,
}

/// The samples on the way from `from` to `to`, about one each `interval` ms.
pub(super) fn path(family: Family, from: Point, to: Point, interval: f64, rng: &mut ChaCha8Rng) -> Vec<Step> {
    if family == Family::WindMouse {
        return windmouse(from, to, interval, rng);
    }
    let distance = (to.0 - from.0).hypot(to.1 - from.1);
    // Fitts' law with a target of 40 px: the time grows with the logarithm of the distance.
    let lasting = 120.0 + rng.random_range(90.0..160.0) * (distance / 40.0 + 1.0).log2();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a second or so of samples")]
    let steps = (lasting / interval).ceil() as u32;
    let shares = (1..=steps).map(|i| f64::from(i) / f64::from(steps));
    match family {
        Family::StraightLine => {
            shares.map(|share| at(from, to, share)).map(|(x, y)| Step { x, y, after: interval }).collect()
        }
        Family::EasedJitter => shares
            .map(|share| {
                let (x, y) = at(from, to, ease(share));
                let (x, y) = (x + 1.2 * gauss(rng), y + 1.2 * gauss(rng));
                Step { x, y, after: (interval + 1.5 * gauss(rng)).max(1.0) }
            })
            .collect(),
        _ => {
            let (first, second) = (control(from, to, 0.3, rng), control(from, to, 0.7, rng));
            shares
                .map(|share| bezier(from, first, second, to, ease(share)))
                .map(|(x, y)| Step { x, y, after: interval })
                .collect()
        }
    }
}

fn at(from: Point, to: Point, share: f64) -> Point {
    (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
}

/// Half a cosine: slow, fast, slow.
fn ease(share: f64) -> f64 {
    0.5 - 0.5 * (PI * share).cos()
}

/// About normal, mean 0 and deviation 1: a sum of twelve uniform numbers, which needs no function that rounds
/// differently from machine to machine.
fn gauss(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// A control point beside the line, up to a quarter of its length away.
fn control(from: Point, to: Point, share: f64, rng: &mut ChaCha8Rng) -> Point {
    let (x, y) = at(from, to, share);
    let aside = rng.random_range(-0.25..0.25);
    (x - (to.1 - from.1) * aside, y + (to.0 - from.0) * aside)
}

/// De Casteljau's construction.
fn bezier(a: Point, b: Point, c: Point, d: Point, share: f64) -> Point {
    let (ab, bc, cd) = (at(a, b, share), at(b, c, share), at(c, d, share));
    at(at(ab, bc, share), at(bc, cd, share), share)
}

/// `WindMouse`, after the idea that Benjamin J. Land published ("WindMouse, an algorithm for generating human-like
/// mouse motion"): the velocity feels a constant pull towards the target and a wind that wanders at random far from it
/// and dies down close to it; there the speed limit shrinks too.
fn windmouse(from: Point, to: Point, interval: f64, rng: &mut ChaCha8Rng) -> Vec<Step> {
    const PULL: f64 = 9.0;
    const WIND: f64 = 3.0;
    const NEAR: f64 = 12.0;
    /// Some steps circle the target; after these the pointer simply arrives.
    const MAX_STEPS: usize = 2000;
    let mut limit = rng.random_range(10.0..25.0);
    let (mut x, mut y) = from;
    let (mut speed, mut wind) = ((0.0, 0.0), (0.0, 0.0));
    let mut steps = Vec::new();
    while steps.len() < MAX_STEPS {
        let (dx, dy) = (to.0 - x, to.1 - y);
        let distance = dx.hypot(dy);
        if distance < 1.0 {
            break;
        }
        let gust = if distance >= NEAR { WIND.min(distance) / 5f64.sqrt() } else { 0.0 };
        wind.0 = wind.0 / 3f64.sqrt() + rng.random_range(-1.0..1.0) * gust;
        wind.1 = wind.1 / 3f64.sqrt() + rng.random_range(-1.0..1.0) * gust;
        if distance < NEAR {
            limit = if limit < 3.0 { rng.random_range(3.0..6.0) } else { limit / 5f64.sqrt() };
        }
        speed.0 += wind.0 + PULL * dx / distance;
        speed.1 += wind.1 + PULL * dy / distance;
        let size = speed.0.hypot(speed.1);
        if size > limit {
            let kept = limit * rng.random_range(0.5..1.0) / size;
            speed = (speed.0 * kept, speed.1 * kept);
        }
        (x, y) = (x + speed.0, y + speed.1);
        steps.push(Step { x, y, after: interval });
    }
    steps.push(Step { x: to.0, y: to.1, after: interval });
    steps
}
