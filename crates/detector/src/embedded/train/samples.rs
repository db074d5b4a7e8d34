//! The rows that trees are grown on: people through many recorders, counterexamples through the same, labelled bots.

use rand::{Rng, RngExt as _};
use rayon::prelude::*;

use super::recorders::{self, Recorder};
use super::{Example, Recipe, stream};
use playproof_bots::adversary::{self, Clock, Family};
use playproof_domain::features::{Extractor, FeatureSet};
use playproof_domain::session::Session;

const RECORDERS: u64 = 1;
const COUNTEREXAMPLES: u64 = 2;
const BOTS: u64 = 3;

/// A feature row.
pub(super) struct Sample {
    pub(super) row: Vec<f64>,
    /// Which of the fitted sessions, or of the labelled bots, it comes from.
    pub(super) of: usize,
    /// Whether it was recorded like this, not imagined.
    pub(super) original: bool,
}

/// All rows.
pub(super) struct Samples {
    pub(super) humans: Vec<Sample>,
    pub(super) counterexamples: Vec<Sample>,
    pub(super) bots: Vec<Sample>,
}

impl Samples {
    pub(super) fn of(fit: &[&Example], bots: &[&Session], recipe: &Recipe) -> Self {
        let originals: Vec<&Session> = fit.iter().map(|e| &e.session).collect();
        let mut bots = bots.to_vec();
        bots.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        Self {
            humans: through_recorders(&originals, RECORDERS, recipe),
            counterexamples: counterexamples(&originals, recipe),
            bots: through_recorders(&bots, BOTS, recipe),
        }
    }
}

/// Whether a session to learn from was made by a finger; its own recording says so, no client.
pub(super) fn touches(session: &Session) -> bool {
    session.device_type == "touch"
}

/// The recorder that a copy of a session goes through, and its clock.
fn recorder(seed: u64, purpose: u64, copy: u64, index: usize) -> (Recorder, Clock, impl Rng) {
    let mut rng = stream(seed, purpose + (copy << 8), index);
    let (recorder, clock) = (Recorder::draw(&mut rng), clock(&mut rng));
    (recorder, clock, rng)
}

/// The times of a copy's events: often on a clock of any rate from 30 to 330 Hz.
fn clock(rng: &mut impl Rng) -> Clock {
    match rng.random_range(0..10) {
        0..4 => Clock::Own,
        4..8 => Clock::Constant(3.0 * (11f64.ln() * rng.random::<f64>()).exp()),
        _ => Clock::Jitter(1000.0 / 60.0, rng.random_range(0.5..4.0)),
    }
}

/// The rows of the sessions as they are, then as the recipe's number of other recorders would have recorded each.
fn through_recorders(originals: &[&Session], purpose: u64, recipe: &Recipe) -> Vec<Sample> {
    let n = originals.len();
    let all = (0..n * (1 + usize::try_from(recipe.recorders).unwrap_or(0))).into_par_iter();
    rows(
        recipe.set,
        all.map(|i| {
            let (copy, of) = (i / n, i % n);
            let session = originals[of];
            if copy == 0 {
                return Some((of, true, session.clone()));
            }
            let (recorder, clock, mut rng) = recorder(recipe.seed, purpose, copy as u64, of);
            Some((of, false, recorder.record(&recorders::retime(session, clock, &mut rng), &mut rng)))
        }),
    )
}

/// Counterexamples to each row that [`through_recorders`] gives of the people, through the same recorder.
fn counterexamples(originals: &[&Session], recipe: &Recipe) -> Vec<Sample> {
    let n = originals.len();
    let (copies, each) = (recipe.recorders + 1, recipe.counterexamples);
    let all = (0..n * usize::try_from(copies * each).unwrap_or(0)).into_par_iter();
    rows(
        recipe.set,
        all.map(|i| {
            let (turn, of) = ((i / n) as u64, i % n);
            let copy = turn % copies;
            let (recorder, clock, _) = recorder(recipe.seed, RECORDERS, copy, of);
            let mut rng = stream(recipe.seed, COUNTEREXAMPLES + (turn << 8), of);
            let families = if touches(originals[of]) { &recipe.touch_families } else { &recipe.families };
            let family = draw(families, &mut rng);
            let clock = if copy == 0 { Clock::Own } else { clock };
            let bot = adversary::imitate(originals[of], family, clock, &mut rng)?;
            Some((of, false, if copy == 0 { bot } else { recorder.record(&bot, &mut rng) }))
        }),
    )
}

fn draw(families: &[(Family, u32)], rng: &mut impl Rng) -> Family {
    let total = families.iter().map(|(_, weight)| weight).sum::<u32>().max(1);
    let mut at = rng.random_range(0..total);
    for (family, weight) in families {
        if at < *weight {
            return *family;
        }
        at -= weight;
    }
    Family::Straight
}

/// The rows of those that carry motion.
fn rows(set: FeatureSet, sessions: impl ParallelIterator<Item = Option<(usize, bool, Session)>>) -> Vec<Sample> {
    let (column, least) = set.evidence();
    sessions
        .map_init(Extractor::default, |extractor, session| {
            let (of, original, session) = session?;
            let mut row = Vec::new();
            extractor.extract(set, &session, &mut row);
            (row[column] >= least).then_some(Sample { row, of, original })
        })
        .flatten()
        .collect()
}
