//! Counterexamples: what simple programs would send in place of a person's session.
//!
//! Each takes a person's stops, with their times and clicks, and replaces the movement between them. Task, rhythm,
//! length and (mostly) the recorder's own event times and pixel grid stay, so that a model that learns from them learns
//! motion and not the recorder. Paths, easings and disturbances are drawn independently of each other, which covers
//! more than any list of programs would.

use rand::{Rng, RngExt};

use crate::domain::session::{Movements, Session};

/// A longer silence is a rest of its own.
const GAP_MS: f64 = 120.0;
/// Stops lie at least this far apart.
const MIN_LEG_MS: f64 = 200.0;

#[derive(Clone, Copy, Debug)]
struct Sample {
    x: f64,
    y: f64,
    t: f64,
}

/// How the pointer gets from one stop to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    Straight,
    Quadratic,
    Cubic,
    /// Straight pieces or a smooth curve through a few points off the line.
    Knots {
        smooth: bool,
    },
    /// A pull to the target and a wandering push, step by step.
    Wind,
    /// In one to three jumps.
    Jumps,
    /// Through some of the person's own samples, one every so many milliseconds.
    Keyframes {
        smooth: bool,
        every: f64,
    },
    /// The person's own path.
    Replay,
}

/// Progress along the path as a function of time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Easing {
    Linear,
    Sine,
    Cubic,
    MinimumJerk,
    Out(f64),
    In(f64),
    /// A skewed bell of speed.
    Bell(f64),
}

/// What is added to the positions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    None,
    Uniform(f64),
    Gaussian(f64),
    /// Correlated over some samples.
    Drift(f64, f64),
    /// A sine of this amplitude and frequency (Hz).
    Tremor(f64, f64),
}

/// When events are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clock {
    Recorder,
    Constant(f64),
    Jitter(f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Style {
    path: Path,
    easing: Easing,
    noise: Noise,
    clock: Clock,
    /// How far paths leave the line, as a share of its length.
    bow: f64,
    /// Whether bow and knots are the same for every leg.
    repeat: bool,
}

impl Style {
    fn draw(rng: &mut impl Rng) -> Self {
        let path = match rng.random_range(0..20) {
            0..5 => Path::Straight,
            5..7 => Path::Quadratic,
            7..10 => Path::Cubic,
            10 => Path::Knots { smooth: false },
            11..13 => Path::Knots { smooth: true },
            13..15 => Path::Wind,
            15..17 => Path::Jumps,
            17..19 => Path::Keyframes { smooth: rng.random_bool(0.5), every: rng.random_range(80.0..300.0) },
            _ => Path::Replay,
        };
        let easing = match rng.random_range(0..10) {
            0..3 => Easing::Linear,
            3 => Easing::Sine,
            4 => Easing::Cubic,
            5 | 6 => Easing::MinimumJerk,
            7 => Easing::Out(rng.random_range(1.5..5.0)),
            8 => Easing::In(rng.random_range(1.5..3.0)),
            _ => Easing::Bell(rng.random_range(0.25..0.7)),
        };
        let size = (rng.random_range(-1.2..1.6f64)).exp();
        let noise = match rng.random_range(0..10) {
            0..4 => Noise::None,
            4..6 => Noise::Uniform(size),
            6..8 => Noise::Gaussian(0.7 * size),
            8 => Noise::Drift(2.0 * size, rng.random_range(0.7..0.97)),
            _ => Noise::Tremor(size, rng.random_range(4.0..14.0)),
        };
        let noise = if path == Path::Replay { Noise::Gaussian(size.max(0.8)) } else { noise };
        let clock = match rng.random_range(0..10) {
            0..6 => Clock::Recorder,
            6 | 7 => Clock::Constant([8.0, 10.0, 1000.0 / 60.0, 20.0][rng.random_range(0..4)]),
            _ => Clock::Jitter(1000.0 / 60.0, rng.random_range(0.5..4.0)),
        };
        Self { path, easing, noise, clock, bow: rng.random_range(0.02..0.4), repeat: rng.random_bool(0.2) }
    }
}

impl Easing {
    fn at(self, u: f64) -> f64 {
        match self {
            Self::Linear => u,
            Self::Sine => 0.5 - 0.5 * (std::f64::consts::PI * u).cos(),
            Self::Cubic if u < 0.5 => 4.0 * u * u * u,
            Self::Cubic => 1.0 - 4.0 * (1.0 - u).powi(3),
            Self::MinimumJerk => u * u * u * (10.0 - 15.0 * u + 6.0 * u * u),
            Self::Out(power) => 1.0 - (1.0 - u).powf(power),
            Self::In(power) => u.powf(power),
            Self::Bell(peak) => {
                let warped = u.powf(0.5f64.ln() / peak.ln());
                warped * warped * (3.0 - 2.0 * warped)
            }
        }
    }
}

/// A counterexample with the stops of `human`; `None` when there is too little movement to replace.
#[must_use]
pub fn imitate(human: &Session, rng: &mut impl Rng) -> Option<Session> {
    let samples = in_time_order(&human.movements);
    if samples.len() < 20 {
        return None;
    }
    let style = Style::draw(rng);
    let stops = stops(&samples, human);
    let shape: [f64; 8] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
    let mut points = vec![samples[0]];
    for leg in stops.windows(2) {
        let shape = if style.repeat { shape } else { std::array::from_fn(|_| rng.random_range(-1.0..1.0)) };
        leg_points(&samples[leg[0]..=leg[1]], &style, &shape, rng, &mut points);
    }
    disturb(&mut points, style.noise, rng);
    let moves = on_grid(&points, &human.movements);
    (moves.len() >= 10).then(|| Session { movements: moves, ..human.clone() })
}

fn in_time_order(moves: &Movements) -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        (0..moves.len()).map(|i| Sample { x: moves.x[i], y: moves.y[i], t: moves.t[i] }).collect();
    samples.sort_by(|a, b| a.t.total_cmp(&b.t));
    samples
}

/// Indices of the samples where a leg ends and the next begins: the ends, clicks, both sides of rests, near-stops.
fn stops(samples: &[Sample], session: &Session) -> Vec<usize> {
    let n = samples.len();
    let mut wanted = vec![false; n];
    (wanted[0], wanted[n - 1]) = (true, true);
    for click in &session.clicks {
        wanted[samples.partition_point(|s| s.t < click.t).min(n - 1)] = true;
    }
    for k in 1..n {
        if samples[k].t - samples[k - 1].t > GAP_MS {
            (wanted[k - 1], wanted[k]) = (true, true);
        }
    }
    let speed = |k: usize| {
        let (a, b) = (&samples[k.saturating_sub(2)], &samples[(k + 2).min(n - 1)]);
        (b.x - a.x).hypot(b.y - a.y) / (b.t - a.t).max(1.0)
    };
    let speeds: Vec<f64> = (0..n).map(speed).collect();
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let mean = speeds.iter().sum::<f64>() / n as f64;
    let mut last = samples[0].t;
    for k in 1..n - 1 {
        if wanted[k] {
            last = samples[k].t;
        }
        let slowest = speeds[k] <= speeds[k - 1] && speeds[k] <= speeds[k + 1];
        if slowest && speeds[k] < 0.5 * mean && samples[k].t - last >= MIN_LEG_MS {
            wanted[k] = true;
            last = samples[k].t;
        }
    }
    (0..n).filter(|k| wanted[*k]).collect()
}

/// Appends the events of one leg without its first sample.
fn leg_points(leg: &[Sample], style: &Style, shape: &[f64; 8], rng: &mut impl Rng, out: &mut Vec<Sample>) {
    let (from, to) = (leg[0], leg[leg.len() - 1]);
    let span = to.t - from.t;
    if leg.len() == 2 && span > GAP_MS || span <= 0.0 {
        out.push(to);
        return;
    }
    let times: Vec<f64> = match style.clock {
        Clock::Recorder => leg[1..].iter().map(|s| s.t).collect(),
        Clock::Constant(step) => ticks(from.t, to.t, || step),
        Clock::Jitter(step, spread) => ticks(from.t, to.t, || (step + spread * gaussian(rng)).max(1.0)),
    };
    let wind = if style.path == Path::Wind { blow(from, to, shape, rng) } else { Vec::new() };
    let jumps = 1.0 + (shape[0].abs() * 3.0).floor();
    for t in times {
        let u = ((t - from.t) / span).clamp(0.0, 1.0);
        let s = style.easing.at(u);
        let (x, y) = match style.path {
            Path::Straight => (from.x + s * (to.x - from.x), from.y + s * (to.y - from.y)),
            Path::Quadratic | Path::Cubic | Path::Knots { .. } => curve(from, to, s, style, shape),
            Path::Wind => along(&wind, if shape[1] > 0.0 { u } else { s }),
            Path::Jumps => {
                let s = if u >= 1.0 { 1.0 } else { (u * jumps).floor() / jumps };
                (from.x + s * (to.x - from.x), from.y + s * (to.y - from.y))
            }
            Path::Keyframes { smooth, every } => keyframe(leg, t, every, smooth),
            Path::Replay => keyframe(leg, t, 0.0, false),
        };
        out.push(Sample { x, y, t });
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

fn curve(from: Sample, to: Sample, s: f64, style: &Style, shape: &[f64; 8]) -> (f64, f64) {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    // `along` as a share of the line, `off` across it.
    let place = |along: f64, off: f64| (from.x + along * dx - off * dy, from.y + along * dy + off * dx);
    let bow = style.bow;
    match style.path {
        Path::Quadratic => {
            let r = 1.0 - s;
            let (along, off) = (0.5 + 0.3 * shape[0], 2.0 * bow * shape[1]);
            place(2.0 * r * s * along + s * s, 2.0 * r * s * off)
        }
        Path::Cubic => {
            let r = 1.0 - s;
            let (a, b) = (3.0 * r * r * s, 3.0 * r * s * s);
            let along = a * (0.3 + 0.3 * shape[0]) + b * (0.7 + 0.3 * shape[1]) + s * s * s;
            place(along, 2.0 * bow * (a * shape[2] + b * shape[3]))
        }
        _ => {
            let off = [0.0, shape[4], shape[5], shape[6], 0.0];
            let at = 4.0 * s;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 4")]
            let k = (at.floor() as usize).min(3);
            let u = at - f64::from(u8::try_from(k).unwrap_or(3));
            let before = off[k.saturating_sub(1)];
            let after = off[(k + 2).min(4)];
            let across = if style.path == (Path::Knots { smooth: true }) {
                spline(before, off[k], off[k + 1], after, u)
            } else {
                off[k] + u * (off[k + 1] - off[k])
            };
            place(s, bow * across)
        }
    }
}

/// Catmull and Rom's cubic through `b` and `c`.
fn spline(a: f64, b: f64, c: f64, d: f64, u: f64) -> f64 {
    b + 0.5 * u * (c - a + u * (2.0 * a - 5.0 * b + 4.0 * c - d + u * (3.0 * (b - c) + d - a)))
}

/// The path of a body that gravity pulls to the target while a random wind pushes it.
fn blow(from: Sample, to: Sample, shape: &[f64; 8], rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let (gravity, push) = (9.0 + 4.0 * shape[2], 3.0 + 2.0 * shape[3]);
    let (near, fastest) = (12.0 + 4.0 * shape[4], 15.0 + 8.0 * shape[5]);
    let (mut x, mut y, mut vx, mut vy, mut wx, mut wy) = (from.x, from.y, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
    let mut limit: f64 = fastest;
    let mut path = vec![(x, y)];
    for _ in 0..2000 {
        let distance = (to.x - x).hypot(to.y - y);
        if distance < 1.0 {
            break;
        }
        let blown = push.min(distance);
        wx /= 3f64.sqrt();
        wy /= 3f64.sqrt();
        if distance >= near {
            wx += rng.random_range(-1.0..1.0) * blown / 5f64.sqrt();
            wy += rng.random_range(-1.0..1.0) * blown / 5f64.sqrt();
        } else if limit < 3.0 {
            limit = rng.random_range(3.0..6.0);
        } else {
            limit /= 5f64.sqrt();
        }
        vx += wx + gravity * (to.x - x) / distance;
        vy += wy + gravity * (to.y - y) / distance;
        let speed = vx.hypot(vy);
        if speed > limit {
            let clip = limit / 2.0 + rng.random::<f64>() * limit / 2.0;
            (vx, vy) = (vx / speed * clip, vy / speed * clip);
        }
        (x, y) = (x + vx, y + vy);
        path.push((x, y));
    }
    path.push((to.x, to.y));
    path
}

/// The place at share `u` of the points of a path.
fn along(path: &[(f64, f64)], u: f64) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most some thousand points")]
    let at = u * (path.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a length")]
    let k = (at.floor() as usize).min(path.len() - 1);
    let (a, b) = (path[k], path[(k + 1).min(path.len() - 1)]);
    (a.0 + at.fract() * (b.0 - a.0), a.1 + at.fract() * (b.1 - a.1))
}

/// The place at `t` on a curve through the samples nearest to every `every` ms (0: through all).
fn keyframe(leg: &[Sample], t: f64, every: f64, smooth: bool) -> (f64, f64) {
    let at = |time: f64| {
        let k = leg.partition_point(|s| s.t <= time).clamp(1, leg.len() - 1);
        let (a, b) = (leg[k - 1], leg[k]);
        let u = ((time - a.t) / (b.t - a.t).max(1e-9)).clamp(0.0, 1.0);
        (a.x + u * (b.x - a.x), a.y + u * (b.y - a.y))
    };
    if every <= 0.0 {
        return at(t);
    }
    let (first, last) = (leg[0].t, leg[leg.len() - 1].t);
    let frames = ((last - first) / every).ceil().max(1.0);
    let width = (last - first) / frames;
    let k = ((t - first) / width).floor().min(frames - 1.0);
    let u = (t - first) / width - k;
    let frame = |k: f64| at(first + k.clamp(0.0, frames) * width);
    let (b, c) = (frame(k), frame(k + 1.0));
    if !smooth {
        return (b.0 + u * (c.0 - b.0), b.1 + u * (c.1 - b.1));
    }
    let (a, d) = (frame(k - 1.0), frame(k + 2.0));
    (spline(a.0, b.0, c.0, d.0, u), spline(a.1, b.1, c.1, d.1, u))
}

fn disturb(points: &mut [Sample], noise: Noise, rng: &mut impl Rng) {
    let (mut x, mut y) = (0.0, 0.0);
    for point in points {
        (x, y) = match noise {
            Noise::None => (0.0, 0.0),
            Noise::Uniform(size) => (rng.random_range(-size..size), rng.random_range(-size..size)),
            Noise::Gaussian(size) => (size * gaussian(rng), size * gaussian(rng)),
            Noise::Drift(size, keep) => {
                let fresh = size * (1.0f64 - keep * keep).sqrt();
                (keep * x + fresh * gaussian(rng), keep * y + fresh * gaussian(rng))
            }
            Noise::Tremor(size, hertz) => {
                let phase = std::f64::consts::TAU * hertz * point.t / 1000.0;
                (size * phase.sin(), size * (1.1 * phase).cos())
            }
        };
        point.x += x;
        point.y += y;
    }
}

/// The events on the person's pixel grid and clock resolution, without those that do not move.
fn on_grid(points: &[Sample], human: &Movements) -> Movements {
    let whole = |values: &[f64], scale: f64| values.iter().all(|v| (v * scale).fract() == 0.0);
    let grid = [1.0, 2.0].into_iter().find(|g| whole(&human.x, *g) && whole(&human.y, *g));
    let clock = [1.0, 10.0].into_iter().find(|c| whole(&human.t, *c));
    let snap = |v: f64, scale: Option<f64>| scale.map_or(v, |s| (v * s).round() / s);
    let mut moves = Movements::default();
    for point in points {
        let (x, y) = (snap(point.x, grid), snap(point.y, grid));
        if moves.x.last() == Some(&x) && moves.y.last() == Some(&y) {
            continue;
        }
        moves.x.push(x);
        moves.y.push(y);
        moves.t.push(snap(point.t, clock));
    }
    moves
}

/// A standard normal number (Box and Muller, Annals of Mathematical Statistics 29, 1958).
fn gaussian(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
