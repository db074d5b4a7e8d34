//! Which raw scores people have: those kept apart, and those of sources that the model does not know.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::samples::{Sample, Samples, through_recorders};
use super::{CLASS_SESSIONS, CLASS_USERS, Example, MIN_FIT, Recipe, fit_classifier, people};
use crate::detector::embedded::classifier::Classifier;
use crate::domain::calibration::Calibration;
use crate::domain::session::Session;

/// From here on a set resolves the default threshold between review and fail, 10^-2.5.
const RESOLVES_FAIL: usize = 316;
/// Fewest sessions of a source that stands for sources never seen...
const FOREIGN_SESSIONS: usize = 100;
/// ...and fewest such sources.
const FOREIGN_SOURCES: usize = 3;
const RECORDERS: u64 = 4;

/// For each large source, the ascending raw scores of its people by a model fitted without it: what people look like
/// through a recorder and at a task that a model has not seen. Empty where few sources are named.
///
/// A site is to the model what a left-out source is; conformal calibration over groups in place of sessions (Dunn,
/// Wasserman, Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA 118, 2023).
pub(super) fn foreign(fit: &[&Example], samples: &Samples, recipe: &Recipe) -> Vec<Vec<f64>> {
    if recipe.foreign <= 0.0 {
        return Vec::new();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    fit.iter().filter(|e| !e.source.is_empty()).for_each(|e| *sizes.entry(&e.source).or_default() += 1);
    sizes.retain(|_, n| *n >= FOREIGN_SESSIONS && fit.len() - *n >= MIN_FIT);
    if sizes.len() < FOREIGN_SOURCES {
        return Vec::new();
    }
    let without = |(source, size): (&str, usize)| {
        let own = |sample: &Sample| fit[sample.of].source == source;
        let classifier = fit_classifier(samples, |sample| !own(sample), None, recipe)?;
        let raw = samples.humans.par_iter().filter(|s| own(s)).map(|s| classifier.raw(&s.row)).collect();
        // Copies through other recorders add no people.
        Some(thinned(raw, size))
    };
    sizes.into_iter().filter_map(without).collect()
}

/// About `n` of the values, evenly spread over their order, the largest among them.
fn thinned(mut values: Vec<f64>, n: usize) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let (m, n) = (values.len(), n.min(values.len()));
    (1..=n).map(|k| values[k * m / n - 1]).collect()
}

/// The pooled calibration and those of the classes.
pub(super) fn calibrate(
    classifier: &Classifier,
    examples: &[&Example],
    foreign: &[Vec<f64>],
    recipe: &Recipe,
) -> (Calibration, Vec<(String, Calibration)>) {
    let raw = |examples: &[&Example]| {
        // Copies show more recorders but no more people: they must not make a small set look large.
        let copies = if examples.len() >= RESOLVES_FAIL { recipe.calibration_recorders } else { 0 };
        let originals: Vec<&Session> = examples.iter().map(|e| &e.session).collect();
        let rows = through_recorders(&originals, copies, RECORDERS, recipe.seed, recipe.set);
        let mut raw = thinned(rows.par_iter().map(|sample| classifier.raw(&sample.row)).collect(), examples.len());
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let each = (raw.len() as f64 * recipe.foreign / foreign.len().max(1) as f64) as usize;
        raw.extend(foreign.iter().flat_map(|source| thinned(source.clone(), each)));
        Calibration::new(raw)
    };
    let mut by_class: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
    for example in examples.iter().filter(|_| recipe.classes) {
        by_class.entry(&example.session.device_type).or_default().push(example);
    }
    let classes = by_class
        .into_iter()
        // What nobody knows is no class, and a class that is everybody is the pool.
        .filter(|(name, own)| *name != "unknown" && own.len() < examples.len())
        .filter(|(_, own)| own.len() >= CLASS_SESSIONS && people(own) >= CLASS_USERS)
        .map(|(name, own)| (name.to_owned(), raw(&own)))
        .collect();
    (raw(examples), classes)
}
