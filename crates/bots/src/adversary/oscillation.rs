//! Periodic movement: places by turns, curves that close, jigglers that keep a screen awake, scans line by line.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

use super::Family;
use super::legs::Sample;
use super::noise::{gaussian, log_uniform};
use super::setting::{Setting, count, number};

/// Most jiggles of a session.
const MAX_JIGGLES: usize = 400;

/// The events of an oscillation of `family`.
pub(super) fn points(family: Family, setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    match family {
        Family::Jiggler => jiggler(setting, rng),
        Family::Lissajous if rng.random_bool(0.3) => setting.timed(spiral(setting, rng)),
        Family::Lissajous => setting.timed(lissajous(setting, rng)),
        Family::SawtoothScan => setting.timed(sawtooth_scan(setting, rng)),
        _ => setting.timed(alternation(setting, rng)),
    }
}

/// Two to five places in turn, to and fro or in any order, at once or in equal steps, each held for some ticks.
fn alternation(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let places: Vec<(f64, f64)> = (0..rng.random_range(2..6)).map(|_| setting.place(rng)).collect();
    let n = places.len();
    let steps = if rng.random_bool(0.6) { 1 } else { count(log_uniform(2.0, 60.0, rng)) };
    let hold = if rng.random_bool(0.6) { 0 } else { count(log_uniform(1.0, 20.0, rng)) };
    let order = rng.random_range(0..4);
    let noise = if rng.random_bool(0.5) { 0.0 } else { log_uniform(0.3, 6.0, rng) };
    let (mut from, mut to, mut leg) = (0, 0, 0usize);
    (0..setting.times.len())
        .map(|k| {
            let phase = k % (steps + hold);
            if phase == 0 {
                leg += 1;
                from = to;
                to = match order {
                    0 | 1 => leg % n,
                    2 => {
                        let at = leg % (2 * n - 2);
                        if at < n { at } else { 2 * n - 2 - at }
                    }
                    _ => (to + rng.random_range(1..n)) % n,
                };
            }
            let u = (number(phase + 1) / number(steps)).min(1.0);
            let ((ax, ay), (bx, by)) = (places[from], places[to]);
            (ax + u * (bx - ax) + noise * gaussian(rng), ay + u * (by - ay) + noise * gaussian(rng))
        })
        .collect()
}

/// One to four sines an axis.
fn lissajous(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let period = log_uniform(200.0, 8000.0, rng);
    let circle = rng.random_bool(0.3);
    let terms: Vec<[f64; 6]> = (0..if circle { 1 } else { rng.random_range(1..5) })
        .map(|k| {
            if circle {
                return [1.0, 1.0, 0.0, 1.0, 1.0, 0.25];
            }
            let mut ratio = || if k == 0 { rng.random_range(0.5..2.0) } else { rng.random_range(0.3..6.0) };
            let (fx, fy) = (ratio(), ratio());
            let size = 1.0 / f64::from(k + 1);
            [size * rng.random_range(0.3..1.0), fx, rng.random(), size * rng.random_range(0.3..1.0), fy, rng.random()]
        })
        .collect();
    let total: f64 = terms.iter().map(|t| t[0].max(t[3])).sum();
    let ((cx, cy), (hx, hy)) = (setting.centre, setting.half);
    let (hx, hy) = if circle { (hx.min(hy), hx.min(hy)) } else { (hx, hy) };
    setting
        .times
        .iter()
        .map(|t| {
            let (mut x, mut y) = (0.0, 0.0);
            for [ax, fx, px, ay, fy, py] in &terms {
                x += ax * (TAU * (fx * t / period + px)).sin();
                y += ay * (TAU * (fy * t / period + py)).sin();
            }
            (cx + hx * x / total, cy + hy * y / total)
        })
        .collect()
}

/// A spiral out and in again, at constant angular speed or constant speed.
fn spiral(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let turn = log_uniform(200.0, 4000.0, rng);
    let breath = turn * rng.random_range(3.0..20.0);
    let even = rng.random_bool(0.5);
    let ((cx, cy), radius) = (setting.centre, setting.half.0.min(setting.half.1));
    let mut angle: f64 = 0.0;
    let places: Vec<(f64, f64)> = setting
        .times
        .iter()
        .zip(setting.steps())
        .map(|(t, dt)| {
            let u = (t / breath).rem_euclid(2.0);
            let r = radius * if u < 1.0 { u } else { 2.0 - u };
            angle += TAU * dt / turn * if even { radius / (r + 0.1 * radius) } else { 1.0 };
            (cx + r * angle.cos(), cy + r * angle.sin())
        })
        .collect();
    places
}

/// A little way out and back again, every second or so.
fn jiggler(setting: &Setting, rng: &mut impl Rng) -> Vec<Sample> {
    let every = log_uniform(150.0, 3000.0, rng);
    let uneven = if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.05..0.6) };
    let size = log_uniform(1.0, 60.0, rng);
    let steps = if rng.random_bool(0.5) { 1 } else { rng.random_range(2..9) };
    let tick = if rng.random_bool(0.4) { 0.0 } else { log_uniform(1.0, 40.0, rng) };
    let direction = rng.random_range(0..4);
    let home = setting.place(rng);
    // At least twenty, so that there is something to see.
    let jiggles = count((setting.length / every).ceil()).clamp(20, MAX_JIGGLES);
    let (mut points, mut now) = (vec![Sample { x: home.0, y: home.1, t: 0.0 }], 0.0);
    for k in 0..jiggles {
        now += every * (1.0 + uneven * rng.random_range(-1.0..1.0));
        let angle = match direction {
            0 => 0.0,
            1 => 0.125 * TAU,
            2 => 0.25 * TAU * number(k % 4),
            _ => TAU * rng.random::<f64>(),
        };
        let mut t = now;
        for step in 1..=2 * steps {
            let out = number(if step <= steps { step } else { 2 * steps - step }) / number(steps);
            points.push(Sample { x: home.0 + out * size * angle.cos(), y: home.1 + out * size * angle.sin(), t });
            t += tick;
        }
        now = now.max(t);
    }
    points
}

/// Lines across the box, one below the other, each in the same direction or to and fro.
fn sawtooth_scan(setting: &Setting, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let along = rng.random_range(4..120usize);
    let lines = rng.random_range(2..40usize);
    let (back, upright, slanted) = (rng.random_bool(0.5), rng.random_bool(0.3), rng.random_bool(0.3));
    let noise = if rng.random_bool(0.6) { 0.0 } else { log_uniform(0.3, 4.0, rng) };
    let ((cx, cy), (hx, hy)) = (setting.centre, setting.half);
    (0..setting.times.len())
        .map(|k| {
            let (line, phase) = (k / along, number(k % along) / number(along - 1));
            let u = if back && !line.is_multiple_of(2) { 1.0 - phase } else { phase };
            let v = (number(line) + if slanted { phase } else { 0.0 }) / number(lines);
            let (u, v) = (2.0 * u - 1.0, 2.0 * v.rem_euclid(1.0) - 1.0);
            let (x, y) = if upright { (v, u) } else { (u, v) };
            (cx + hx * x + noise * gaussian(rng), cy + hy * y + noise * gaussian(rng))
        })
        .collect()
}
