//! Adapting a model to a site: its own people set the cuts, and with enough of them the trees learn from them too.

use std::collections::BTreeSet;

use super::samples::Samples;
use super::{
    Contents, Example, MIN_FIT, Material, Recipe, Report, Stage, TrainError, calibrating, fit_classifier,
    known_recorders, moving, people, telling,
};
use crate::detector::embedded::file::Known;

/// Fewest sessions that set a site's cut between pass and review.
pub const MIN_SITE: usize = 200;
/// From here on a set resolves the default threshold between review and fail; a site with more than twice as many can
/// spare some to learn from.
const RESOLVES_FAIL: usize = 316;
/// Trees that are grown on top of the base's.
const TREES: usize = 100;

/// The share of a site's `sessions` that sets its cuts; the others are learned from.
#[must_use]
pub fn site_share(sessions: usize) -> f64 {
    if sessions < 2 * RESOLVES_FAIL { 1.0 } else { 0.5 }
}

/// Makes a model of `base` and a site's own people.
///
/// Those of `material.calibration` alone set the cuts: on this site `10^-s` of people exceed a score of `s`, however few
/// do elsewhere. With [`MIN_FIT`] or more people to fit on, further trees are grown on top of the base's. Recorders of
/// either are known.
///
/// # Errors
/// [`TrainError`] with the mend.
pub fn adapt(
    base: &Contents,
    material: &Material<'_>,
    recipe: &Recipe,
    provenance: &str,
    on_stage: &mut dyn FnMut(Stage),
) -> Result<(Contents, Report), TrainError> {
    on_stage(Stage::Features);
    let Material { fit, calibration, bots } = *material;
    if recipe.set != base.set {
        return Err(TrainError::OtherSet { base: base.set.name() });
    }
    let fitted_people: BTreeSet<&str> = fit.iter().map(Example::person).collect();
    let apart: Vec<&Example> = calibration.iter().filter(|e| !fitted_people.contains(e.person())).collect();
    let shared = calibration.len() - apart.len();
    let (fit, fit_still) = moving(fit.iter().collect(), base.set);
    let (apart, apart_still) = moving(apart, base.set);
    if apart.len() < MIN_SITE {
        return Err(TrainError::TooFewOfSite { found: apart.len() });
    }

    on_stage(Stage::Trees);
    let mut recipe = Recipe { foreign: 0.0, calibration_recorders: 0, ..*recipe };
    (recipe.boosting.trees, recipe.boosting.depth) = (TREES, base.classifier.trees().depth());
    let (learned, bots) = if fit.len() >= MIN_FIT { (fit, bots) } else { (Vec::new(), [].as_slice()) };
    let samples = Samples::of(&learned, bots, &recipe);
    let classifier = if learned.is_empty() {
        base.classifier.clone()
    } else {
        fit_classifier(&samples, |_| true, Some(&base.classifier), &recipe).ok_or(TrainError::Alike)?
    };
    let site: Vec<&Example> = learned.iter().chain(&apart).copied().collect();
    let seen = Samples::of(&site, &[], &Recipe { recorders: 0, counterexamples: 0, ..recipe });
    let recorders = known_recorders(&seen.humans, base.set);

    on_stage(Stage::Calibration);
    let (pooled, classes) = calibrating::calibrate(&classifier, &apart, &[], &recipe);
    let report = Report {
        fitted: learned.len(),
        fitted_people: people(&learned),
        counterexamples: samples.counterexamples.len(),
        bots: samples.bots.len(),
        foreign: 0,
        calibrated: apart.len(),
        calibrated_people: people(&apart),
        motionless: fit_still + apart_still,
        shared,
        classes: classes.iter().map(|(name, set)| (name.clone(), set.len())).collect(),
        telling: telling(&classifier, base.set),
    };
    let recorders = base.recorders.iter().map(|known| either(*known, &recorders)).collect();
    let provenance = format!("{} Adapted to a site: {provenance}", base.provenance);
    Ok((Contents { set: base.set, provenance, classifier, recorders, pooled, classes }, report))
}

/// What is known to either.
fn either(known: Known, others: &[Known]) -> Known {
    let other = others.iter().find(|other| other.column == known.column);
    other.map_or(known, |other| Known {
        column: known.column,
        low: known.low.min(other.low),
        high: known.high.max(other.high),
    })
}
