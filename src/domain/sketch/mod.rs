//! Sketches: what is kept of a movement so that the same one is known again, whoever sends it.
//!
//! A movement is put on one clock and smoothed ([`path`]); its slow and fast moments are its anchors ([`anchors`]), and
//! the shape of the way between two of them, freed of place, size, direction and pace, is a key ([`keys`]). Sketches
//! that share keys are laid over each other ([`likeness`]): 32 points are kept of each ([`compact`]), and what is left
//! between the two after the best shift, turn, scale and pace decides. The idea of invariants of parts under a
//! similarity, looked up and then verified, is that of geometric hashing (Wolfson and Rigoutsos, 1997).

mod anchors;
mod compact;
mod index;
mod keys;
mod likeness;
mod path;

#[cfg(test)]
pub(crate) mod tests;

use sha2::{Digest as _, Sha256};

pub use self::index::{Ballot, CANDIDATES, Hit, Index, ROWS};
pub use self::likeness::{Likeness, SAME, SURELY_SAME};

use self::anchors::Anchors;
use self::compact::Points;
use self::keys::Window;
use self::path::Path;
use super::session::{Movements, Session};

/// Windows kept of a sketch.
const KEPT: usize = 14;
/// Windows of a movement that is looked up.
const ASKED: usize = 24;
/// A movement with fewer near-stops, its begin and end among them, says too little to be known by.
const LEAST_STOPS: usize = 5;
/// Nor does one with fewer windows.
const LEAST_WINDOWS: usize = 3;
/// Nor one whose extent across its main direction is a smaller share of its whole extent: a line.
const LEAST_ACROSS: f64 = 0.05;

/// One window of a kept sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key of its shape.
    pub key: u32,
    /// Where it begins, steps of 10 ms.
    pub begin: u16,
    /// Where it ends.
    pub end: u16,
}

/// One key to look under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The key.
    pub key: u32,
    /// The number of the window it is for.
    pub window: u8,
}

/// A sketch as kept: [`Sketch::BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch(Vec<u8>);

impl Sketch {
    /// Bytes of a sketch.
    pub const BYTES: usize = compact::BYTES;

    /// The sketch of bytes that were kept; they are looked at when it is compared.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A movement about to be looked up, or kept.
#[derive(Debug)]
pub struct Movement {
    path: Path,
    windows: Vec<Window>,
    digest: u64,
    salt: u32,
}

impl Movement {
    /// The movement of a session; `None` where it says too little to be known again, as a single drag does.
    ///
    /// Keys of one deployment never meet those of another.
    #[must_use]
    pub fn of(session: &Session) -> Option<Self> {
        let mut path = Path::default();
        path.trace(&session.movements);
        let mut anchors = Anchors::default();
        anchors.find(&path);
        if anchors.slow.len() < LEAST_STOPS || !is_wide(&path) {
            return None;
        }
        let mut windows = Vec::new();
        keys::windows(&path, &anchors, &mut windows);
        if windows.len() < LEAST_WINDOWS {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most a minute of steps")]
        keys::choose(&mut windows, path.len() as f64, ASKED);
        let salt = Sha256::digest(session.deployment_id.as_bytes());
        let salt = u32::from_le_bytes([salt[0], salt[1], salt[2], salt[3]]);
        Some(Self { path, windows, digest: digest(&session.movements), salt })
    }

    /// What is kept of it.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        Sketch(Points::of(&self.path, self.digest).encode())
    }

    /// The windows under which it is kept.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a minute of steps")]
        let step = |at: f64| at.round() as u16;
        let entry = |w: &Window| Entry { key: w.key() ^ self.salt, begin: step(w.begin), end: step(w.end) };
        self.windows.iter().take(KEPT).map(entry).collect()
    }

    /// The keys under which a like one may be kept.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        let of =
            |(number, window): (u8, &Window)| window.probes().map(|key| Probe { key: key ^ self.salt, window: number });
        (0..).zip(&self.windows).flat_map(of).collect()
    }

    /// How like a kept one it is, by the best of the windows in common; `None` where they cannot be laid over each
    /// other, or the sketch is damaged.
    #[must_use]
    pub fn compare(&self, kept: &Sketch, hits: &[Hit]) -> Option<Likeness> {
        let points = Points::decode(&kept.0)?;
        let mut best: Option<Likeness> = None;
        for hit in hits {
            let Some(ours) = self.windows.get(usize::from(hit.window)) else { continue };
            let theirs = (f64::from(hit.begin), f64::from(hit.end));
            let found = likeness::compare(&self.path, &points, (ours.begin, ours.end), theirs);
            best = found.filter(|found| best.is_none_or(|best| found.left < best.left)).or(best);
            // One window is enough to lay the same movement over itself.
            if best.is_some_and(|best| best.left <= SURELY_SAME) {
                break;
            }
        }
        let best = best?;
        Some(Likeness { identical: points.digest == self.digest, ..best })
    }
}

/// Whether the path has an extent across its main direction.
fn is_wide(path: &Path) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "at most a minute of steps")]
    let n = path.len() as f64;
    let mean = |column: &[f64]| column.iter().sum::<f64>() / n;
    let (mx, my) = (mean(&path.x), mean(&path.y));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in path.x.iter().zip(&path.y) {
        let (x, y) = (x - mx, y - my);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    // The smaller of the two eigenvalues of the covariance, as a share of their sum.
    let half = 0.5 * (xx + yy);
    let smaller = half - (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt();
    smaller >= LEAST_ACROSS * LEAST_ACROSS * 2.0 * half && half > 0.0
}

/// A digest of positions and of times from the first: equal for telemetry that was sent again as it was.
fn digest(moves: &Movements) -> u64 {
    let mut hash = Sha256::new();
    let origin = moves.t.first().copied().unwrap_or(0.0);
    for ((x, y), t) in moves.x.iter().zip(&moves.y).zip(&moves.t) {
        for value in [*x, *y, t - origin] {
            hash.update(value.to_bits().to_le_bytes());
        }
    }
    let full = hash.finalize();
    let mut short = [0; 8];
    short.copy_from_slice(&full[..8]);
    u64::from_le_bytes(short)
}
