//! What is kept of a movement to verify a likeness: [`POINTS`] of its points, 12 bits a coordinate.

use super::path::Path;

/// Points kept, at equal steps from the first to the last.
pub(super) const POINTS: usize = 32;
/// Largest number of 12 bits.
const MOST: f64 = 4095.0;
/// Bytes of the compact form: layout, digest of the movement, steps, points.
pub(super) const BYTES: usize = 1 + 8 + 2 + 8 + POINTS * 3;
/// The layout that this program writes.
const LAYOUT: u8 = 1;

/// The points of a movement, in units of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Points {
    /// Steps between the first and the last.
    pub(super) steps: f64,
    /// Horizontal and vertical, in units of `unit` px.
    pub(super) at: [(f64, f64); POINTS],
    /// Px of one unit.
    pub(super) unit: f64,
    /// A digest of the movement as it came.
    pub(super) digest: u64,
}

impl Points {
    /// The points of `path`.
    pub(super) fn of(path: &Path, digest: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most a minute of steps")]
        let steps = path.len().saturating_sub(1) as f64;
        let mut at = [(0.0, 0.0); POINTS];
        for (i, point) in at.iter_mut().enumerate() {
            *point = path.at(steps * share(i));
        }
        Self { steps, at, unit: 1.0, digest }
    }

    /// When the point `i` was, steps from the first.
    pub(super) fn step(&self, i: usize) -> f64 {
        self.steps * share(i)
    }

    /// The compact form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let low = |axis: fn(&(f64, f64)) -> f64| self.at.iter().map(axis).fold(f64::INFINITY, f64::min);
        let high = |axis: fn(&(f64, f64)) -> f64| self.at.iter().map(axis).fold(f64::NEG_INFINITY, f64::max);
        let (x, y) = (low(|p| p.0), low(|p| p.1));
        let extent = (high(|p| p.0) - x).max(high(|p| p.1) - y);
        let unit = if extent > 0.0 { extent / MOST } else { 1.0 };
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&self.digest.to_le_bytes());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most MOST_STEPS")]
        bytes.extend_from_slice(&(self.steps as u16).to_le_bytes());
        bytes.extend_from_slice(&(unit * self.unit).to_le_bytes());
        for (px, py) in self.at {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 12 bits")]
            let cell = |v: f64| (v / unit).round().clamp(0.0, MOST) as u16;
            let ([a, b], [c, d]) = (cell(px - x).to_le_bytes(), cell(py - y).to_le_bytes());
            bytes.extend_from_slice(&[a, b | (c << 4), (c >> 4) | (d << 4)]);
        }
        bytes
    }

    /// The points of a compact form; `None` for bytes that are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != BYTES || bytes[0] != LAYOUT {
            return None;
        }
        let digest = u64::from_le_bytes(bytes[1..9].try_into().ok()?);
        let steps = f64::from(u16::from_le_bytes(bytes[9..11].try_into().ok()?));
        let unit = f64::from_le_bytes(bytes[11..19].try_into().ok()?);
        let mut at = [(0.0, 0.0); POINTS];
        for (point, cell) in at.iter_mut().zip(bytes[19..].chunks_exact(3)) {
            let x = u16::from(cell[0]) | (u16::from(cell[1] & 15) << 8);
            let y = u16::from(cell[1] >> 4) | (u16::from(cell[2]) << 4);
            *point = (f64::from(x), f64::from(y));
        }
        (unit.is_finite() && unit > 0.0).then_some(Self { steps, at, unit, digest })
    }
}

fn share(i: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below POINTS")]
    let share = i as f64 / (POINTS - 1) as f64;
    share
}
