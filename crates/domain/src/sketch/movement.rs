//! A movement about to be looked up or kept, its sketch, and how like a kept one it is.

use sha2::{Digest as _, Sha256};

use super::super::session::{Movements, Session};
use super::super::timeline;
use super::anchors::Anchors;
use super::compact::{self, KeptReach, Points};
use super::likeness::{self, Likeness, PARTLY_EVIDENT, SURELY_SAME, Strength};
use super::pairing::Pairing;
use super::path::{self, Path};
use super::reaches::{self, Reach};

/// Reaches kept of a movement.
const KEPT: usize = 24;
/// Reaches of a movement that is looked up.
const ASKED: usize = 32;
/// What a reach that is told as a part in common exceeds chance by at least.
const MIN_PART: f32 = 1.0;
/// Most reaches in common from which two movements are laid over each other, those that fit best at once.
const STARTS: usize = 3;
/// A movement with fewer near-stops, its begin and end among them, says too little to be known by.
const MIN_STOPS: usize = 2;
/// Nor does one with fewer reaches.
const MIN_REACHES: usize = 2;
/// Nor one whose extent across its main direction is a smaller share of its whole extent: a line.
const MIN_ACROSS: f64 = 0.02;

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

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A movement about to be looked up, or kept.
#[derive(Debug)]
pub struct Movement {
    pub(super) path: Path,
    pub(super) reaches: Vec<Reach>,
    digest: u64,
    pub(super) salt: u32,
}

/// A part of a movement that is a part of another, ms from the begin of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Where it begins and ends in this movement.
    pub here: (f64, f64),
    /// Where it begins and ends in the kept one.
    pub there: (f64, f64),
    /// Whether the one is the other's mirror image.
    pub mirrored: bool,
}

impl Movement {
    /// The movement of a session; `None` where it says too little to be known again, as a single drag does.
    ///
    /// Reaches of one deployment never meet those of another.
    #[must_use]
    pub fn of(session: &Session) -> Option<Self> {
        let mut path = Path::default();
        let session = timeline::without_steps(session);
        path.trace(&session.movements);
        let mut anchors = Anchors::default();
        anchors.find(&path);
        if anchors.slow.len() < MIN_STOPS || !is_wide(&path) {
            return None;
        }
        let clicks: Vec<f64> = session.clicks.iter().map(|click| path.step_of(click.t)).collect();
        let reaches = reaches::find(&path, &anchors, &clicks, ASKED);
        if reaches.len() < MIN_REACHES {
            return None;
        }
        let salt = Sha256::digest(session.deployment_id.as_bytes());
        let salt = u32::from_le_bytes([salt[0], salt[1], salt[2], salt[3]]);
        Some(Self { path, reaches, digest: digest(&session.movements), salt })
    }

    /// What is kept of it.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        let kept = reaches::chosen(&self.reaches, KEPT);
        Sketch(Points::of(&self.path, self.digest).encode(self.salt, kept.iter().map(KeptReach::from)))
    }

    /// How many reaches it has to be known by.
    #[must_use]
    pub fn reaches(&self) -> usize {
        self.reaches.len()
    }

    /// How like a kept one it is: what their reaches say, and what is left when the one is laid over the other by the
    /// best of the reaches in common. `None` where no reach says anything, or the sketch is damaged.
    #[must_use]
    pub fn compare(&self, kept: &Sketch) -> Option<Likeness> {
        let points = Points::decode(&kept.0)?;
        let pairing = self.pairing(kept);
        if pairing.pairs.is_empty() {
            return None;
        }
        let mut likeness = Likeness {
            evidence: pairing.evidence,
            reaches: u16::try_from(pairing.telling().count()).unwrap_or(u16::MAX),
            stretches: pairing.stretches(),
            ..Likeness::APART
        };
        let mirror = points.mirrored();
        let mut starts = Vec::new();
        for pair in &pairing.pairs {
            let Some(start) = likeness::start(pair.here(), pair.there()) else { continue };
            let mirrored = pair.is_mirrored();
            let points = if mirrored { &mirror } else { &points };
            starts.extend(likeness::first_look(&self.path, points, start).map(|left| (left, start, mirrored)));
        }
        starts.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, start, mirrored) in starts.into_iter().take(STARTS) {
            let points = if mirrored { &mirror } else { &points };
            if let Some(found) = likeness::compare(&self.path, points, start).filter(|f| f.residual < likeness.residual)
            {
                let Likeness { evidence, reaches, stretches, .. } = likeness;
                likeness = Likeness { mirrored, evidence, reaches, stretches, ..found };
            }
            // One reach is enough to lay the same movement over itself.
            if likeness.residual <= SURELY_SAME {
                break;
            }
        }
        if likeness.strength() != Some(Strength::SurelySame) && likeness.evidence >= PARTLY_EVIDENT {
            self.compare_parts(&pairing, [&points, &mirror], &mut likeness);
        }
        Some(Likeness { identical: points.digest == self.digest, ..likeness })
    }

    /// Puts what is left of the best part in its place, where that is less than what is left of the whole.
    fn compare_parts(&self, pairing: &Pairing<'_>, [points, mirror]: [&Points; 2], likeness: &mut Likeness) {
        for pair in pairing.telling() {
            let theirs = pair.there();
            let Some(start) = likeness::start(pair.here(), theirs) else { continue };
            let kept = if pair.is_mirrored() { mirror } else { points };
            let part = likeness::compare_parts(&self.path, kept, start, theirs);
            if let Some(part) = part.filter(|part| part.residual < likeness.residual) {
                let Likeness { evidence, reaches, stretches, .. } = *likeness;
                *likeness = Likeness { mirrored: pair.is_mirrored(), evidence, reaches, stretches, ..part };
            }
        }
    }

    /// Which parts of it are which parts of a kept one, in order of time; parts that follow each other in both are one.
    #[must_use]
    pub fn parts(&self, kept: &Sketch) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for pair in self.pairing(kept).pairs.into_iter().filter(|pair| pair.excess >= MIN_PART) {
            let ms = |(begin, end): (f64, f64)| (begin * path::STEP_MS, end * path::STEP_MS);
            let part = Part { here: ms(pair.here()), there: ms(pair.there()), mirrored: pair.is_mirrored() };
            match parts.last_mut() {
                Some(last) if last.takes(&part) => {
                    last.here.1 = last.here.1.max(part.here.1);
                    last.there.1 = last.there.1.max(part.there.1);
                }
                _ => parts.push(part),
            }
        }
        parts
    }

    /// Its reaches paired with those of a stored movement of its deployment.
    fn pairing(&self, kept: &Sketch) -> Pairing<'_> {
        match compact::reaches(&kept.0) {
            Some((salt, others)) if salt == self.salt => Pairing::of(&self.reaches, &others.collect::<Vec<_>>()),
            _ => Pairing::default(),
        }
    }
}

impl Part {
    /// Whether another part goes on where this one is, in both movements: within a quarter of a second.
    fn takes(&self, next: &Self) -> bool {
        const SLACK_MS: f64 = 250.0;
        let here = next.here.0 - self.here.1;
        let there = next.there.0 - self.there.1;
        self.mirrored == next.mirrored
            && here <= SLACK_MS
            && (there.abs() <= SLACK_MS || (next.there.0 >= self.there.0 && there <= SLACK_MS))
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
    smaller >= MIN_ACROSS * MIN_ACROSS * 2.0 * half && half > 0.0
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
