//! The shape of a reach as twelve small numbers that shift, size, direction, mirroring and pace leave as they are.
//!
//! Points along the way are put into a frame of their own, and each of the two coordinates is written in the discrete
//! orthonormal polynomials of degree two to seven. The frame of a single reach is a similarity's: its direction is that
//! of its first polynomial, its size is one, and it bows to one side. The frame of two reaches in a row is an affine
//! map's: any two coordinates span one plane of functions of time, however they were stretched, and the plane has one
//! basis whose first vector lies along the first polynomial.

use std::sync::OnceLock;

/// Numbers of a shape: six along the direction of the reach, six across it.
pub(super) const DIMENSIONS: usize = 2 * ORDERS;
/// Polynomials that are kept of each coordinate.
const ORDERS: usize = 6;
/// Points of a single reach.
pub(super) const POINTS: usize = 16;
/// Points of each of two reaches in a row.
pub(super) const PAIR_POINTS: usize = 10;
/// Points of two reaches in a row: they share one.
const PAIRED: usize = 2 * PAIR_POINTS - 1;
/// Below this share of the whole in the first polynomial, a way has no direction.
const MIN_DIRECTION: f64 = 0.2;
/// Below this share of the extent across the main direction, no affine frame is sure.
const MIN_WIDTH: f64 = 0.02;

/// What a reach is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two near-stops.
    Stop,
    /// Two clicks.
    Click,
    /// A near-stop and the next but one.
    Pair,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Stop, Self::Click, Self::Pair];

    pub(super) fn number(self) -> usize {
        match self {
            Self::Stop => 0,
            Self::Click => 1,
            Self::Pair => 2,
        }
    }

    /// The typical spread of each number among people: the scale of quantisation.
    pub(super) fn spread(self) -> &'static [f32; DIMENSIONS] {
        const SPREAD: [[f32; DIMENSIONS]; 3] = [
            [0.116, 0.045, 0.019, 0.014, 0.010, 0.006, 0.057, 0.024, 0.016, 0.007, 0.004, 0.002],
            [0.128, 0.074, 0.028, 0.016, 0.010, 0.007, 0.114, 0.030, 0.028, 0.011, 0.007, 0.004],
            [0.105, 0.156, 0.102, 0.070, 0.054, 0.033, 0.182, 0.300, 0.199, 0.115, 0.121, 0.058],
        ];
        &SPREAD[self.number()]
    }
}

/// The numbers of a shape.
pub(super) type Shape = [f32; DIMENSIONS];
/// The numbers of a shape, a byte each.
pub(super) type Packed = [i8; DIMENSIONS];

/// The shape of a single reach, and whether it was mirrored; `None` without a direction.
pub(super) fn of_reach(points: &[(f64, f64); POINTS]) -> Option<(Shape, bool)> {
    let (x, y) = centred(points);
    let basis = reach_basis();
    let (x1, y1) = (dot(&x, &basis[0]), dot(&y, &basis[0]));
    let extent = (dot(&x, &x) + dot(&y, &y)).sqrt();
    let length = x1.hypot(y1);
    if extent <= 0.0 || length < MIN_DIRECTION * extent {
        return None;
    }
    let (ux, uy) = (x1 / length, y1 / length);
    let along: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (x * ux + y * uy) / extent).collect();
    let across: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (y * ux - x * uy) / extent).collect();
    Some(mirrored(&along, across, basis))
}

/// The shape of two reaches in a row, and whether it was mirrored; `None` where they lie on a line or have no direction.
pub(super) fn of_pair(points: &[(f64, f64); PAIRED]) -> Option<(Shape, bool)> {
    let (x, y) = centred(points);
    let basis = pair_basis();
    let (xx, xy, yy) = (dot(&x, &x), dot(&x, &y), dot(&y, &y));
    let half = 0.5 * (xx + yy);
    let smaller = half - (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt();
    if half <= 0.0 || xx <= 0.0 || smaller < MIN_WIDTH * MIN_WIDTH * 2.0 * half {
        return None;
    }
    // An orthonormal basis of the plane that the two coordinates span, by Gram and Schmidt.
    let first: Vec<f64> = x.iter().map(|v| v / xx.sqrt()).collect();
    let common = dot(&first, &y);
    let mut second: Vec<f64> = y.iter().zip(&first).map(|(y, a)| y - common * a).collect();
    let length = dot(&second, &second).sqrt();
    if length <= 0.0 {
        return None;
    }
    for v in &mut second {
        *v /= length;
    }
    let (a, b) = (dot(&first, &basis[0]), dot(&second, &basis[0]));
    let direction = a.hypot(b);
    if direction < MIN_DIRECTION {
        return None;
    }
    let (a, b) = (a / direction, b / direction);
    let along: Vec<f64> = first.iter().zip(&second).map(|(f, s)| a * f + b * s).collect();
    let across: Vec<f64> = first.iter().zip(&second).map(|(f, s)| a * s - b * f).collect();
    let (shape, turned) = mirrored(&along, across, basis);
    // The frame itself keeps the sense of turning of x to y, so a mirrored way shows as one mirrored more.
    Some((shape, turned))
}

/// The coefficients, with the way bowing to one side; and whether it had to be mirrored for that.
fn mirrored<const N: usize>(along: &[f64], mut across: Vec<f64>, basis: &[[f64; N]]) -> (Shape, bool) {
    let mirror = dot(&across, &basis[1]) > 0.0;
    if mirror {
        for v in &mut across {
            *v = -*v;
        }
    }
    let mut shape = [0.0; DIMENSIONS];
    for (d, polynomial) in basis[1..].iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "within -1 to 1")]
        let (a, b) = (dot(along, polynomial) as f32, dot(&across, polynomial) as f32);
        shape[d] = a;
        shape[ORDERS + d] = b;
    }
    (shape, mirror)
}

/// A byte a number, finer near zero where most of them lie.
pub(super) fn pack(kind: Kind, shape: &Shape) -> Packed {
    let mut packed = [0; DIMENSIONS];
    let ranges = ranges(kind);
    for (((byte, value), spread), range) in packed.iter_mut().zip(shape).zip(kind.spread()).zip(ranges) {
        let level = 127.0 * (value / spread).asinh() / range;
        #[expect(clippy::cast_possible_truncation, reason = "held within a byte")]
        let level = level.round().clamp(-127.0, 127.0) as i8;
        *byte = level;
    }
    packed
}

/// What the largest value of each number is on the scale of a byte.
fn ranges(kind: Kind) -> &'static [f32; DIMENSIONS] {
    static RANGES: OnceLock<[[f32; DIMENSIONS]; 3]> = OnceLock::new();
    &RANGES.get_or_init(|| Kind::ALL.map(|kind| kind.spread().map(|spread| (1.0 / spread).asinh())))[kind.number()]
}

/// The numbers that bytes stand for.
pub(super) fn unpack(kind: Kind, packed: &Packed) -> Shape {
    let levels = levels(kind);
    let mut shape = [0.0; DIMENSIONS];
    for (d, (value, byte)) in shape.iter_mut().zip(packed).enumerate() {
        *value = levels[d][usize::from(byte.cast_unsigned())];
    }
    shape
}

type Levels = [[f32; 256]; DIMENSIONS];

/// What each byte stands for in each number of a kind's shapes.
pub(super) fn levels(kind: Kind) -> &'static Levels {
    static LEVELS: OnceLock<Vec<Levels>> = OnceLock::new();
    let all = LEVELS.get_or_init(|| {
        let mut all = vec![[[0.0; 256]; DIMENSIONS]; 3];
        for kind in Kind::ALL {
            for (d, spread) in kind.spread().iter().enumerate() {
                for byte in i8::MIN..=i8::MAX {
                    let value = spread * (f32::from(byte) / 127.0 * (1.0 / spread).asinh()).sinh();
                    all[kind.number()][d][usize::from(byte.cast_unsigned())] = value;
                }
            }
        }
        all
    });
    &all[kind.number()]
}

fn centred<const N: usize>(points: &[(f64, f64); N]) -> ([f64; N], [f64; N]) {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let count = N as f64;
    let mean = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / count, sum.1 + p.1 / count));
    (points.map(|p| p.0 - mean.0), points.map(|p| p.1 - mean.1))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn reach_basis() -> &'static [[f64; POINTS]; ORDERS + 1] {
    static BASIS: OnceLock<[[f64; POINTS]; ORDERS + 1]> = OnceLock::new();
    BASIS.get_or_init(polynomials)
}

fn pair_basis() -> &'static [[f64; PAIRED]; ORDERS + 1] {
    static BASIS: OnceLock<[[f64; PAIRED]; ORDERS + 1]> = OnceLock::new();
    BASIS.get_or_init(polynomials)
}

/// The discrete orthonormal polynomials of degree 1 to 7 on equal steps, by Gram and Schmidt.
fn polynomials<const N: usize>() -> [[f64; N]; ORDERS + 1] {
    let mut all = [[1.0; N]; ORDERS + 2];
    for degree in 0..all.len() {
        let mut row = [0.0; N];
        for (i, value) in row.iter_mut().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a small constant")]
            let x = (2.0 * i as f64 + 1.0) / N as f64 - 1.0;
            *value = if degree == 0 { 1.0 } else { x * all[degree - 1][i] };
        }
        // Twice, or rounding would leave something of the lower degrees.
        for _ in 0..2 {
            for lower in &all[..degree] {
                let common = dot(&row, lower);
                row.iter_mut().zip(lower).for_each(|(a, b)| *a -= common * b);
            }
        }
        let norm = dot(&row, &row).sqrt();
        all[degree] = row.map(|v| v / norm);
    }
    let mut out = [[0.0; N]; ORDERS + 1];
    out.copy_from_slice(&all[1..]);
    out
}
