//! Keys: the shape of the way between two anchors as a number, equal for the same movement however it was shifted,
//! scaled, turned or paced.
//!
//! The way is sampled at [`SAMPLES`] equal fractions of its time and written as complex numbers; its coefficients in
//! the discrete orthogonal polynomials, divided by its extent and turned so that the first is real and positive, are
//! the invariants. They are cut into cells, and the cells hashed.

use super::anchors::Anchors;
use super::path::{Path, place};

/// Points at which the way between two anchors is looked at.
const SAMPLES: usize = 16;
/// One of them.
const SHARE: f64 = 1.0 / 16.0;
/// Orthogonal polynomials used, the constant left out.
const ORDERS: usize = 5;
/// Invariant numbers of a window.
const DIMENSIONS: usize = 2 * ORDERS - 1;
/// Width of a cell in each of them; the coefficients of a way lie within -1 to 1.
const CELL: f64 = 0.15;
/// Windows are between anchors of one kind so many apart.
const SPANS: [usize; 4] = [1, 2, 3, 4];
/// Parts of the time from which windows are taken in turn.
const PARTS: usize = 5;
/// Shortest and longest window, steps.
const LENGTH: (f64, f64) = (40.0, 280.0);
/// Below this share of the extent in the first coefficient, the direction of a window is not sure enough.
const LEAST_DIRECTION: f64 = 0.25;
/// Below this share of the extent across its direction, a window is a line, as everybody draws it.
const LEAST_WIDTH: f64 = 0.12;
/// Cells looked into for one window of a session that is looked up.
pub(super) const PROBES: usize = 8;

/// One window of a movement: the way between two anchors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Where it begins, steps.
    pub(super) begin: f64,
    /// Where it ends.
    pub(super) end: f64,
    /// How much of it is not simply the way from one end to the other, times its width, 0 to 1: what is rare.
    pub(super) wealth: f64,
    /// Which coefficient gave the direction.
    turned_by: u32,
    /// Its invariants.
    shape: [f64; DIMENSIONS],
}

impl Window {
    /// The key under which it is kept.
    pub(super) fn key(&self) -> u32 {
        self.hash(&[])
    }

    /// The keys under which a like window may be kept: its own cell, and those next to the walls it is closest to.
    pub(super) fn probes(&self) -> [u32; PROBES] {
        let mut walls: Vec<(f64, usize, i32)> = (0..DIMENSIONS)
            .map(|d| {
                let share = (self.shape[d] / CELL).rem_euclid(1.0);
                if share < 0.5 { (share, d, -1) } else { (1.0 - share, d, 1) }
            })
            .collect();
        walls.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wall = |i: usize| (walls[i].1, walls[i].2);
        [
            self.key(),
            self.hash(&[wall(0)]),
            self.hash(&[wall(1)]),
            self.hash(&[wall(0), wall(1)]),
            self.hash(&[wall(2)]),
            self.hash(&[wall(0), wall(2)]),
            self.hash(&[wall(1), wall(2)]),
            self.hash(&[wall(3)]),
        ]
    }

    fn hash(&self, moved: &[(usize, i32)]) -> u32 {
        let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ u64::from(self.turned_by);
        for (d, value) in self.shape.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "values lie within -1 to 1")]
            let cell = (value / CELL + 64.0) as i32;
            let cell = cell + moved.iter().find(|(at, _)| *at == d).map_or(0, |(_, by)| *by);
            state = (state ^ u64::from(cell.cast_unsigned())).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^= state >> 32;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the mixed low half")]
        let key = state as u32;
        key
    }
}

/// The windows between `anchors` that say enough to be looked up by.
pub(super) fn windows(path: &Path, anchors: &Anchors, out: &mut Vec<Window>) {
    out.clear();
    for anchors in [&anchors.slow, &anchors.fast] {
        for (i, begin) in anchors.iter().enumerate() {
            for span in SPANS {
                let Some(end) = anchors.get(i + span) else { continue };
                if (LENGTH.0..=LENGTH.1).contains(&(end - begin)) {
                    out.extend(window(path, *begin, *end));
                }
            }
        }
    }
}

/// Keeps the `count` windows that say most, taken in turn from each fifth of the time, so that a part of the movement
/// still has some of them.
pub(super) fn choose(windows: &mut Vec<Window>, steps: f64, count: usize) {
    windows.sort_by(|a, b| b.wealth.total_cmp(&a.wealth));
    let mut turns: [u32; PARTS] = [0; PARTS];
    let mut placed: Vec<(u32, usize, Window)> = Vec::with_capacity(windows.len());
    for window in windows.iter() {
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let (part, _) = place(0.5 * (window.begin + window.end) / steps * PARTS as f64, PARTS - 1);
        placed.push((turns[part], part, *window));
        turns[part] += 1;
    }
    placed.sort_by_key(|(turn, part, _)| (*turn, *part));
    windows.clear();
    windows.extend(placed.into_iter().take(count).map(|(_, _, window)| window));
}

fn window(path: &Path, begin: f64, end: f64) -> Option<Window> {
    let mut points = [(0.0, 0.0); SAMPLES];
    let mut mean = (0.0, 0.0);
    for (i, point) in points.iter_mut().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "below SAMPLES")]
        let share = (i as f64 + 0.5) / SAMPLES as f64;
        *point = path.at(begin + share * (end - begin));
        mean.0 += point.0 * SHARE;
        mean.1 += point.1 * SHARE;
    }
    let mut energy = 0.0;
    for point in &mut points {
        point.0 -= mean.0;
        point.1 -= mean.1;
        energy += point.0 * point.0 + point.1 * point.1;
    }
    if energy <= 0.0 {
        return None;
    }
    let extent = energy.sqrt();
    let mut coefficients = [(0.0, 0.0); ORDERS];
    for (c, basis) in coefficients.iter_mut().zip(basis()) {
        for (p, weight) in points.iter().zip(basis) {
            c.0 += weight * p.0;
            c.1 += weight * p.1;
        }
        *c = (c.0 / extent, c.1 / extent);
    }
    // The way from one end to the other gives the direction, or in loops the way out and back.
    let size = |c: (f64, f64)| (c.0 * c.0 + c.1 * c.1).sqrt();
    let turned_by = usize::from(size(coefficients[0]) < LEAST_DIRECTION.max(0.5 * size(coefficients[1])));
    let direction = size(coefficients[turned_by]);
    if direction < LEAST_DIRECTION {
        return None;
    }
    let (ux, uy) = (coefficients[turned_by].0 / direction, coefficients[turned_by].1 / direction);
    coefficients.swap(0, turned_by);
    let mut shape = [direction; DIMENSIONS];
    let mut across = 0.0;
    for (m, (re, im)) in coefficients.iter().enumerate().skip(1) {
        shape[2 * m - 1] = re * ux + im * uy;
        shape[2 * m] = im * ux - re * uy;
        across += shape[2 * m] * shape[2 * m];
    }
    let across = across.sqrt();
    let wealth = across * (1.0 - direction * direction);
    let turned_by = u32::from(turned_by == 1);
    (across >= LEAST_WIDTH).then_some(Window { begin, end, wealth, turned_by, shape })
}

/// The discrete orthonormal polynomials of degree 1 to [`ORDERS`] on [`SAMPLES`] equal steps, by Gram and Schmidt.
fn basis() -> &'static [[f64; SAMPLES]; ORDERS] {
    static BASIS: std::sync::OnceLock<[[f64; SAMPLES]; ORDERS]> = std::sync::OnceLock::new();
    BASIS.get_or_init(|| {
        let mut all = [[1.0; SAMPLES]; ORDERS + 1];
        for degree in 0..=ORDERS {
            let mut row = [0.0; SAMPLES];
            for (i, value) in row.iter_mut().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "below SAMPLES")]
                let x = (2.0 * i as f64 + 1.0) / SAMPLES as f64 - 1.0;
                *value = if degree == 0 { 1.0 } else { x * all[degree - 1][i] };
            }
            // Twice, or rounding would leave something of the earlier ones.
            for _ in 0..2 {
                for earlier in &all[..degree] {
                    let dot: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
                }
            }
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            all[degree] = row.map(|v| v / norm);
        }
        let mut out = [[0.0; SAMPLES]; ORDERS];
        out.copy_from_slice(&all[1..]);
        out
    })
}
