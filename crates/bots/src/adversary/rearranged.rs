//! A person's own movement that no person made so: in another order, at another pace, its axes or phases parted.

use std::f64::consts::TAU;

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt};

use super::legs::{GAP_MS, Sample};
use super::motion::Motion;
use super::noise::{gaussian, log_uniform};
use super::recorded::keyframe;
use super::setting::{MAX_EVENTS, Person, number};
use super::{Clock, Family};

/// Fewest movements that are worth rearranging.
const MIN_SAMPLES: usize = 10;
/// Most steps that are transformed together.
const MAX_BLOCK: usize = 256;
/// The interval of a display's frames, ms.
const FRAME_MS: f64 = 1000.0 / 60.0;

/// The person's movement as `family` has it; `None` when there is too little.
pub(super) fn motion(family: Family, person: &Person, clock: Clock, rng: &mut impl Rng) -> Option<Motion> {
    let samples = &person.samples[..person.samples.len().min(MAX_EVENTS)];
    if samples.len() < MIN_SAMPLES || person.length() <= 0.0 {
        return None;
    }
    let ticking = match clock {
        Clock::Own => Vec::new(),
        Clock::Constant(step) => resampled(samples, GAP_MS, || step),
        Clock::Jitter(step, spread) => resampled(samples, GAP_MS, || (step + spread * gaussian(rng)).max(1.0)),
    };
    let samples = if ticking.len() < MIN_SAMPLES { samples } else { &ticking };
    if samples[samples.len() - 1].t <= 0.0 {
        return None;
    }
    Some(match family {
        Family::ShuffledSteps => Motion::free(shuffled_steps(samples, rng)),
        Family::Reversed => Motion::free(reversed(samples)),
        Family::AxisSwappedNoise => Motion::free(axes_parted(samples, rng)),
        Family::PhaseRandomized => Motion::free(phase_randomized(samples, rng)),
        _ => {
            let slow = family == Family::Slowed;
            let pace = if slow { log_uniform(2.0, 30.0, rng) } else { rng.random_range(0.3..0.6) };
            let mut points = samples.to_vec();
            for point in &mut points {
                point.t *= pace;
            }
            if rng.random_bool(0.5) {
                points = resampled(&points, f64::INFINITY, || FRAME_MS);
            }
            Motion::of_round(points, pace)
        }
    })
}

/// The movement at times that follow each other by `step`, straight between its samples, without events in longer rests.
fn resampled(points: &[Sample], rest: f64, mut step: impl FnMut() -> f64) -> Vec<Sample> {
    let mut out = vec![points[0]];
    let mut due = points[0].t + step();
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if b.t - a.t > rest {
            out.push(b);
            due = b.t + step();
        }
        while due <= b.t && out.len() < MAX_EVENTS {
            let u = ((due - a.t) / (b.t - a.t).max(1e-9)).clamp(0.0, 1.0);
            out.push(Sample { x: a.x + u * (b.x - a.x), y: a.y + u * (b.y - a.y), t: due });
            due += step();
        }
        if out.len() >= MAX_EVENTS {
            break;
        }
    }
    out
}

/// The steps in blocks whose order is drawn; the times move with them or stay.
fn shuffled_steps(samples: &[Sample], rng: &mut impl Rng) -> Vec<Sample> {
    let n = samples.len() - 1;
    let block = if rng.random_bool(0.4) { 1 } else { rng.random_range(1..=50) };
    let block = block.min((n / 2).max(1));
    let mut blocks: Vec<Vec<usize>> = (0..n).collect::<Vec<_>>().chunks(block).map(<[usize]>::to_vec).collect();
    blocks.shuffle(rng);
    let (with_times, from_home) = (rng.random_bool(0.5), rng.random_bool(0.8));
    let mut at = samples[if from_home { 0 } else { rng.random_range(0..n) }];
    at.t = 0.0;
    let mut points = vec![at];
    for (place, k) in blocks.into_iter().flatten().enumerate() {
        let (a, b) = (samples[k], samples[k + 1]);
        (at.x, at.y) = (at.x + b.x - a.x, at.y + b.y - a.y);
        at.t = if with_times { at.t + b.t - a.t } else { samples[place + 1].t };
        points.push(at);
    }
    points
}

/// From the end to the start.
fn reversed(samples: &[Sample]) -> Vec<Sample> {
    let last = samples[samples.len() - 1].t;
    samples.iter().rev().map(|s| Sample { t: last - s.t, ..*s }).collect()
}

/// One axis as it was, the other as it was some time before, or backwards.
fn axes_parted(samples: &[Sample], rng: &mut impl Rng) -> Vec<Sample> {
    let length = samples[samples.len() - 1].t;
    let shift = rng.random_range(200.0..2000.0);
    let (backwards, swapped) = (rng.random_bool(0.2), rng.random_bool(0.5));
    samples
        .iter()
        .map(|s| {
            let then = if backwards { length - s.t } else { (s.t + shift).rem_euclid(length) };
            let (x, y) = keyframe(samples, then, 0.0, false);
            if swapped { Sample { x, ..*s } } else { Sample { y, ..*s } }
        })
        .collect()
}

/// Steps with the amplitudes of the person's spectrum and phases at random: the same for both axes, which keeps what they
/// have in common, or not (Theiler et al., Physica D 58, 1992; Prichard and Theiler, Physical Review Letters 73, 1994).
fn phase_randomized(samples: &[Sample], rng: &mut impl Rng) -> Vec<Sample> {
    let together = rng.random_bool(0.5);
    let block = rng.random_range(32..=MAX_BLOCK);
    let mut at = samples[0];
    let mut points = vec![at];
    for (number_of, part) in samples.windows(2).collect::<Vec<_>>().chunks(block).enumerate() {
        let steps: [Vec<f64>; 2] =
            [part.iter().map(|w| w[1].x - w[0].x).collect(), part.iter().map(|w| w[1].y - w[0].y).collect()];
        let mut phases = || -> Vec<f64> { (0..part.len()).map(|_| TAU * rng.random::<f64>()).collect() };
        let first = phases();
        let second = if together { first.clone() } else { phases() };
        let (dx, dy) = (rephased(&steps[0], &first), rephased(&steps[1], &second));
        for (k, (dx, dy)) in dx.into_iter().zip(dy).enumerate() {
            let t = samples[number_of * block + k + 1].t;
            at = Sample { x: at.x + dx, y: at.y + dy, t };
            points.push(at);
        }
    }
    points
}

/// The signal with `phases` added to those of its discrete Fourier transform; its mean stays.
fn rephased(signal: &[f64], phases: &[f64]) -> Vec<f64> {
    let n = signal.len();
    let circle: Vec<(f64, f64)> = (0..n).map(|k| (TAU * number(k) / number(n)).sin_cos()).collect();
    let mean = signal.iter().sum::<f64>() / number(n);
    let mut out = vec![mean; n];
    for k in 1..=n / 2 {
        let (mut re, mut im) = (0.0, 0.0);
        for (m, v) in signal.iter().enumerate() {
            let (sin, cos) = circle[k * m % n];
            (re, im) = (re + v * cos, im - v * sin);
        }
        // The middle frequency of an even length stands for itself and can only keep its phase.
        let middle = 2 * k == n;
        let (sin, cos) = if middle { (0.0, 1.0) } else { phases[k].sin_cos() };
        let (re, im) = (re * cos - im * sin, re * sin + im * cos);
        let scale = if middle { 1.0 } else { 2.0 } / number(n);
        for (m, v) in out.iter_mut().enumerate() {
            let (sin, cos) = circle[k * m % n];
            *v += scale * (re * cos - im * sin);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_change_the_signal_and_not_its_power() {
        let signal: Vec<f64> = (0..57).map(|k| (0.3 * f64::from(k)).sin() + f64::from(k % 5)).collect();
        let same = rephased(&signal, &[0.0; 57]);
        assert!(signal.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-9), "no phase, no change");
        let phases: Vec<f64> = (0..57).map(|k| f64::from(k * k)).collect();
        let other = rephased(&signal, &phases);
        let power = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
        assert!((power(&signal) - power(&other)).abs() < 1e-6 * power(&signal));
        assert!(signal.iter().zip(&other).any(|(a, b)| (a - b).abs() > 0.5));
    }
}
