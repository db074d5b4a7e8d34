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

pub use self::index::{Ballot, CANDIDATES, Index, ROWS};
pub use self::likeness::{Likeness, SAME, SURELY_SAME};

use self::anchors::Anchors;
use self::compact::{Entry, Points};
use self::keys::Window;
use self::path::Path;
use super::session::{Movements, Session};
use super::timeline;

/// Windows kept of a sketch.
const KEPT: usize = 12;
/// Windows of a movement that is looked up.
const ASKED: usize = 20;
/// Most keys a movement asks for.
pub const KEYS_ASKED: usize = ASKED * keys::PROBES;
/// Most windows in common from which two movements are laid over each other, those that fit best at once.
const STARTS: usize = 3;
/// A movement with fewer near-stops, its begin and end among them, says too little to be known by.
const LEAST_STOPS: usize = 4;
/// Nor does one with fewer windows.
const LEAST_WINDOWS: usize = 2;
/// Nor one whose extent across its main direction is a smaller share of its whole extent: a line.
const LEAST_ACROSS: f64 = 0.05;

/// A sketch as kept: at most [`Sketch::BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch(Vec<u8>);

impl Sketch {
    /// Most bytes of a sketch.
    pub const BYTES: usize = compact::bytes(KEPT);

    /// The sketch of bytes that were kept; they are looked at when it is compared.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A sketch with these keys and no movement.
    #[cfg(test)]
    pub(crate) fn with_keys(keys: &[u32]) -> Self {
        Self(compact::with_keys(keys))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The keys under which it is found, each once, ascending; at most 12.
    #[must_use]
    pub fn keys(&self) -> Vec<u32> {
        let mut keys: Vec<u32> = compact::entries(&self.0).map(|entry| entry.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// A movement about to be looked up, or kept.
#[derive(Debug)]
pub struct Movement {
    path: Path,
    windows: Vec<Window>,
    /// Keys under which a like movement may be kept, ascending, with the number of the window each is for.
    probes: Vec<(u32, u8)>,
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
        path.trace(&timeline::without_steps(session).movements);
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
        let of = |(number, window): (u8, &Window)| window.probes().map(|key| (key ^ salt, number));
        let mut probes: Vec<(u32, u8)> = (0..).zip(&windows).flat_map(of).collect();
        probes.sort_unstable();
        Some(Self { path, windows, probes, digest: digest(&session.movements), salt })
    }

    /// What is kept of it.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a minute of steps")]
        let step = |at: f64| at.round() as u16;
        let entries = self.windows.iter().take(KEPT).map(|w| Entry {
            key: w.key() ^ self.salt,
            begin: step(w.begin),
            length: step(w.end - w.begin),
        });
        Sketch(Points::of(&self.path, self.digest).encode(entries))
    }

    /// The keys under which a like one may be kept, each once, ascending; at most [`KEYS_ASKED`].
    #[must_use]
    pub fn asked(&self) -> Vec<u32> {
        let mut keys: Vec<u32> = self.probes.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        keys
    }

    /// How like a kept one it is, by the best of the windows in common; `None` where they cannot be laid over each
    /// other, or the sketch is damaged.
    #[must_use]
    pub fn compare(&self, kept: &Sketch) -> Option<Likeness> {
        let points = Points::decode(&kept.0)?;
        let mut starts = Vec::new();
        for entry in compact::entries(&kept.0) {
            let from = self.probes.partition_point(|(key, _)| *key < entry.key);
            let common = self.probes[from..].iter().take_while(|(key, _)| *key == entry.key);
            for window in common.filter_map(|(_, number)| self.windows.get(usize::from(*number))) {
                let begin = f64::from(entry.begin);
                let theirs = (begin, begin + f64::from(entry.length));
                let Some(start) = likeness::start((window.begin, window.end), theirs) else { continue };
                starts.extend(likeness::first_look(&self.path, &points, start).map(|left| (left, start)));
            }
        }
        starts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Option<Likeness> = None;
        for (_, start) in starts.into_iter().take(STARTS) {
            let found = likeness::compare(&self.path, &points, start);
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

/// A digest of positions and of times from the first: equal for telemetry that was sent again as it was. Who makes two
/// movements of one digest gains nothing over sending one of them twice, so it need not withstand anybody.
fn digest(moves: &Movements) -> u64 {
    let origin = moves.t.first().copied().unwrap_or(0.0);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut mix = |value: f64| {
        state = (state ^ value.to_bits()).wrapping_mul(0xff51_afd7_ed55_8ccd);
        state ^= state >> 29;
    };
    for ((x, y), t) in moves.x.iter().zip(&moves.y).zip(&moves.t) {
        [*x, *y, t - origin].into_iter().for_each(&mut mix);
    }
    state
}
