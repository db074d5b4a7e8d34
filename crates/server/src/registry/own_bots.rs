//! What every model is held to before it scores, whatever labels say: bots of our own. Labels are somebody's word; who
//! labels bots as people could teach a model to pass them all.

use super::{Stored, decide};
use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::reason::Reasons;
use crate::domain::result::{Decision, Thresholds};
use crate::generator::{Family, Shape, generate};

/// Bots that move in straight lines: what the simplest script does.
const BOTS: u64 = 100;
/// So many more than the active model a model may pass: chance, and no lesson.
const TOLERATED: u64 = 2;
/// Their seeds are nobody else's.
const FIRST_SEED: u64 = 0x5eed_0b07;

/// How many of our bots pass.
fn passed(model: &Model, thresholds: &Thresholds) -> u64 {
    let (mut extractor, mut row) = (Extractor::default(), Vec::new());
    let bots = (0..BOTS).map(|n| generate(Family::StraightLine, FIRST_SEED + n, Shape::default()));
    let decisions = bots.map(|session| {
        let stored = Stored { session, others: Reasons::default(), surely_replayed: false, bot: Some(true) };
        decide(model, &stored, thresholds, &mut extractor, &mut row)
    });
    decisions.filter(|decision| *decision == Decision::Pass).count() as u64
}

/// Why `model` must not take the place of `active`, if so.
pub(super) fn fault(model: &Model, active: &Model, thresholds: &Thresholds) -> Option<String> {
    let (of_model, of_active) = (passed(model, thresholds), passed(active, thresholds));
    (of_model > of_active + TOLERATED).then(|| {
        format!(
            "of {BOTS} bots that move in straight lines this model passes {of_model}, the active one {of_active}, whatever \
             the labels say; look through the labels that it was made from"
        )
    })
}
