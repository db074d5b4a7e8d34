//! Which reaches of a movement are copies of which reaches of a stored one.
//!
//! A reach is paired with the stored reach that says most; a stored reach is evidence once. How long a copy takes is judged
//! beside the pace of the whole: at the recording's own, or at the common one of the pairs, which costs [`PRICE_OF_PACE`].

use super::compact::KeptReach;
use super::reaches::Reach;

/// Sum of squares, in typical changes of a copy, from which on noise no longer explains how much two reaches differ.
const MAX_NOISE: f32 = 1_000.0;
/// What evidence gives away for a pace that is free, decimal logarithm.
const PRICE_OF_PACE: f32 = 1.0;
/// A common pace nearer to 1 than this, natural logarithm, is no pace of its own.
const MIN_PACE: f32 = 0.1;
/// Two parts that share more than this share of the shorter are one stretch.
const MAX_SHARED: f64 = 0.25;

/// A reach with the stored one that it is most like. An excess of 0 is that of a reach that noise may have changed, or
/// whose stored one is evidence already: it says nothing by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) reach: &'a Reach,
    pub(super) other: KeptReach,
    pub(super) excess: f32,
    /// The stored reach, counted from 0.
    place: usize,
    distance: f32,
}

impl Pair<'_> {
    /// Where the reach begins and ends, steps of 10 ms.
    pub(super) fn here(&self) -> (f64, f64) {
        (self.reach.begin, self.reach.end)
    }

    /// Where the stored one begins and ends, steps.
    pub(super) fn there(&self) -> (f64, f64) {
        let begin = f64::from(self.other.begin);
        (begin, begin + f64::from(self.other.length))
    }

    /// Whether the one is the other's mirror image.
    pub(super) fn is_mirrored(&self) -> bool {
        self.reach.mirrored != self.other.mirrored
    }
}

/// Pairs in order of time.
#[derive(Debug, Default)]
pub(super) struct Pairing<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
    /// What the pairs exceed chance by together, decimal logarithm.
    pub(super) evidence: f32,
}

/// A reach and a stored one that noise may have made of it.
type Candidate = (usize, usize, f32);

impl<'a> Pairing<'a> {
    pub(super) fn of(reaches: &'a [Reach], others: &[KeptReach]) -> Self {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (number, reach) in reaches.iter().enumerate() {
            for (place, other) in others.iter().enumerate().filter(|(_, other)| other.kind == reach.kind) {
                let distance = reach.target.distance(&other.shape);
                if distance <= MAX_NOISE {
                    candidates.push((number, place, distance));
                }
            }
        }
        let at_own = Self::at(reaches, others, &candidates, 1.0);
        let Some(pace) = common_pace(reaches, others, &candidates) else { return at_own };
        let mut at_common = Self::at(reaches, others, &candidates, pace);
        at_common.evidence = (at_common.evidence - PRICE_OF_PACE).max(0.0);
        if at_common.evidence > at_own.evidence { at_common } else { at_own }
    }

    /// The best pair of each reach where a copy takes `pace` times as long as its source.
    fn at(reaches: &'a [Reach], others: &[KeptReach], candidates: &[Candidate], pace: f32) -> Self {
        let mut pairs: Vec<Pair<'a>> = Vec::new();
        for of_reach in candidates.chunk_by(|a, b| a.0 == b.0) {
            let pairs_of = of_reach.iter().map(|(number, place, distance)| {
                let (reach, other) = (&reaches[*number], others[*place]);
                let excess = reach.target.excess(*distance, other.slower(reach) / pace);
                Pair { reach, other, excess, place: *place, distance: *distance }
            });
            let best = |a: &Pair<'_>, b: &Pair<'_>| {
                a.excess.total_cmp(&b.excess).then(b.distance.total_cmp(&a.distance)).then(b.place.cmp(&a.place))
            };
            pairs.extend(pairs_of.max_by(best));
        }
        // A stored reach is evidence for the reach that it says most about.
        let mut most: Vec<(f32, usize)> = vec![(0.0, 0); others.len()];
        for (number, pair) in pairs.iter().enumerate() {
            if pair.excess > most[pair.place].0 {
                most[pair.place] = (pair.excess, number);
            }
        }
        for (number, pair) in pairs.iter_mut().enumerate() {
            if most[pair.place].1 != number {
                pair.excess = 0.0;
            }
        }
        let evidence = pairs.iter().map(|pair| pair.excess).sum();
        Self { pairs, evidence }
    }

    /// The pairs that are evidence.
    pub(super) fn telling(&self) -> impl Iterator<Item = &Pair<'a>> {
        self.pairs.iter().filter(|pair| pair.excess > 0.0)
    }

    /// How many stretches of both movements the evidence is of: reaches that lie on one are counted once.
    pub(super) fn stretches(&self) -> u16 {
        let mut taken: Vec<&Pair<'_>> = Vec::new();
        let mut telling: Vec<&Pair<'_>> = self.telling().collect();
        telling.sort_by(|a, b| a.reach.end.total_cmp(&b.reach.end));
        let mut stretches = 0;
        for pair in telling {
            let is_new = |other: &&Pair<'_>| !share(pair.here(), other.here()) && !share(pair.there(), other.there());
            if taken.iter().all(is_new) {
                taken.push(pair);
                stretches += 1;
            }
        }
        stretches
    }
}

/// How many times as long as their stored ones the pairs take that are alike in shape: the median, where it is a pace of its
/// own.
fn common_pace(reaches: &[Reach], others: &[KeptReach], candidates: &[Candidate]) -> Option<f32> {
    let mut paces: Vec<f32> = candidates
        .iter()
        .filter(|(number, _, distance)| reaches[*number].target.excess(*distance, 1.0) > 0.0)
        .map(|(number, place, _)| others[*place].slower(&reaches[*number]))
        .collect();
    // One pair has always the pace of its own.
    if paces.len() < 2 {
        return None;
    }
    paces.sort_by(f32::total_cmp);
    let pace = paces[paces.len() / 2];
    (pace.ln().abs() >= MIN_PACE).then_some(pace)
}

fn share(a: (f64, f64), b: (f64, f64)) -> bool {
    let shared = a.1.min(b.1) - a.0.max(b.0);
    shared > MAX_SHARED * (a.1 - a.0).min(b.1 - b.0)
}
