//! What is kept of a movement: [`POINTS`] of its points, 10 bits a coordinate, and its reaches.

use super::path::Path;
use super::reaches::Reach;
use super::shape::{DIMENSIONS, Kind, Packed};

/// Points kept, at equal steps from the first to the last.
pub(super) const POINTS: usize = 32;
/// Largest number of 10 bits.
const MAX_LEVEL: f64 = 1023.0;
/// Bytes of all but the reaches: layout, salt, digest of the movement, steps, unit, points.
const FIXED: usize = 1 + 4 + 8 + 2 + 4 + POINTS / 2 * 5;
/// Bytes of a reach: kind and mirroring, begin, length, shape.
const REACH: usize = 1 + 2 + 2 + DIMENSIONS;
/// The layout that this program writes. Layout 1 had no reaches.
const LAYOUT: u8 = 2;

/// One reach of a kept sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptReach {
    pub(super) kind: Kind,
    pub(super) mirrored: bool,
    /// Where it begins, steps of 10 ms.
    pub(super) begin: u16,
    /// How long it is, steps.
    pub(super) length: u16,
    pub(super) shape: Packed,
}

impl From<&Reach> for KeptReach {
    fn from(reach: &Reach) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a minute of steps")]
        let step = |at: f64| at.round() as u16;
        Self {
            kind: reach.kind,
            mirrored: reach.mirrored,
            begin: step(reach.begin.max(0.0)),
            length: step(reach.end - reach.begin),
            shape: reach.shape,
        }
    }
}

impl KeptReach {
    /// How many times as long as this one a reach takes.
    pub(super) fn slower(&self, reach: &Reach) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most a minute of steps")]
        let steps = (reach.end - reach.begin) as f32;
        steps / f32::from(self.length.max(1))
    }
}

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

/// Bytes of a sketch with so many reaches.
pub(super) const fn bytes(reaches: usize) -> usize {
    FIXED + reaches * REACH
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

    /// The points of the mirror image.
    pub(super) fn mirrored(&self) -> Self {
        Self { at: self.at.map(|(x, y)| (x, -y)), ..*self }
    }

    /// When the point `i` was, steps from the first.
    pub(super) fn step(&self, i: usize) -> f64 {
        self.steps * share(i)
    }

    /// The compact form, with the reaches.
    pub(super) fn encode(&self, salt: u32, reaches: impl Iterator<Item = KeptReach>) -> Vec<u8> {
        let low = |axis: fn(&(f64, f64)) -> f64| self.at.iter().map(axis).fold(f64::INFINITY, f64::min);
        let high = |axis: fn(&(f64, f64)) -> f64| self.at.iter().map(axis).fold(f64::NEG_INFINITY, f64::max);
        let (x, y) = (low(|p| p.0), low(|p| p.1));
        let extent = (high(|p| p.0) - x).max(high(|p| p.1) - y);
        let unit = if extent > 0.0 { extent / MAX_LEVEL } else { 1.0 };
        let mut bytes = Vec::with_capacity(bytes(24));
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&self.digest.to_le_bytes());
        bytes.extend_from_slice(&salt.to_le_bytes());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most MAX_STEPS")]
        bytes.extend_from_slice(&(self.steps as u16).to_le_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "coordinates are bounded by 1e7")]
        bytes.extend_from_slice(&((unit * self.unit) as f32).to_le_bytes());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 10 bits")]
        let cell = |v: f64| (v / unit).round().clamp(0.0, MAX_LEVEL) as u64;
        for pair in self.at.chunks_exact(2) {
            let numbers = [pair[0].0 - x, pair[0].1 - y, pair[1].0 - x, pair[1].1 - y];
            let packed = numbers.into_iter().rev().fold(0, |packed, v| packed << 10 | cell(v));
            bytes.extend_from_slice(&packed.to_le_bytes()[..5]);
        }
        for reach in reaches {
            #[expect(clippy::cast_possible_truncation, reason = "there are three")]
            let kind = reach.kind.number() as u8;
            bytes.push(kind | u8::from(reach.mirrored) << 7);
            bytes.extend_from_slice(&reach.begin.to_le_bytes());
            bytes.extend_from_slice(&reach.length.to_le_bytes());
            bytes.extend(reach.shape.iter().map(|number| number.cast_unsigned()));
        }
        bytes
    }

    /// The points of a compact form; `None` for bytes that are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < FIXED || bytes[0] != LAYOUT {
            return None;
        }
        let digest = u64::from_le_bytes(bytes[1..9].try_into().ok()?);
        let steps = f64::from(u16::from_le_bytes(bytes[13..15].try_into().ok()?));
        let unit = f64::from(f32::from_le_bytes(bytes[15..19].try_into().ok()?));
        let mut at = [(0.0, 0.0); POINTS];
        for (pair, packed) in at.chunks_exact_mut(2).zip(bytes[19..FIXED].chunks_exact(5)) {
            let packed = packed.iter().rev().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
            #[expect(clippy::cast_precision_loss, reason = "10 bits")]
            let number = |place: u32| (packed >> (10 * place) & 1023) as f64;
            pair[0] = (number(0), number(1));
            pair[1] = (number(2), number(3));
        }
        (unit.is_finite() && unit > 0.0).then_some(Self { steps, at, unit, digest })
    }
}

/// What keeps deployments apart, and the reaches of a compact form; `None` for bytes that are none.
pub(super) fn reaches(bytes: &[u8]) -> Option<(u32, impl Iterator<Item = KeptReach>)> {
    if bytes.len() < FIXED || bytes[0] != LAYOUT {
        return None;
    }
    let salt = u32::from_le_bytes(bytes[9..13].try_into().ok()?);
    let reaches = bytes[FIXED..].chunks_exact(REACH).filter_map(|reach| {
        let kind = *Kind::ALL.get(usize::from(reach[0] & 0x7f))?;
        let mut shape = [0; DIMENSIONS];
        shape.iter_mut().zip(&reach[5..]).for_each(|(number, byte)| *number = byte.cast_signed());
        Some(KeptReach {
            kind,
            mirrored: reach[0] & 0x80 != 0,
            begin: u16::from_le_bytes([reach[1], reach[2]]),
            length: u16::from_le_bytes([reach[3], reach[4]]),
            shape,
        })
    });
    Some((salt, reaches))
}

fn share(i: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below POINTS")]
    let share = i as f64 / (POINTS - 1) as f64;
    share
}
