//! Fitting a judge: trees, support and calibration of the people of one kind of pointer.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::samples::{Sample, Samples};
use super::{Example, MIN_FIT, Recipe, boosting};
use crate::detector::embedded::classifier::{Classifier, Column, single};
use crate::detector::embedded::judge::{Judge, Pointer};
use crate::detector::embedded::local::{Foreign, LocalCalibration};
use crate::detector::embedded::quantiles::Profile;
use crate::detector::embedded::support::Support;
use crate::domain::calibration::Calibration;
use crate::domain::features::{Extractor, FeatureSet};

/// Fewest sessions of a source that stands for sources never seen...
const FOREIGN_SESSIONS: usize = 100;
/// ...and fewest such sources.
const FOREIGN_SOURCES: usize = 2;
/// Values that are kept of each such source.
const FOREIGN_VALUES: usize = 400;

/// The columns that the judge of `pointer` asks: what the recorder is like tells people from bots on the sites that were
/// recorded and on no other, what the task is like on these tasks alone, and only fingers make strokes of a finger.
fn asked(set: FeatureSet, pointer: Pointer) -> Vec<usize> {
    let (evidence, _) = set.evidence();
    let recorder: Vec<usize> = set.recorder().collect();
    let wanted = |index: &usize| {
        *index != evidence
            && !set.is_task(*index)
            && !recorder.contains(index)
            && (pointer == Pointer::Touch || !set.is_touch(*index))
    };
    (0..set.columns().len()).filter(wanted).collect()
}

/// Trees and support of the samples that `wanted` accepts. With a `base`, its columns are asked, its trees come first, and
/// its support stays.
pub(super) fn measures(
    fit: &[&Example],
    samples: &Samples,
    pointer: Pointer,
    wanted: impl Fn(&Sample) -> bool,
    base: Option<&Judge>,
    recipe: &Recipe,
) -> Option<(Classifier, Support)> {
    let classifier = classifier(fit, samples, pointer, &wanted, base.map(|judge| &judge.classifier), recipe)?;
    if let Some(base) = base {
        return Some((classifier, base.support.clone()));
    }
    let own = |sample: &&Sample| sample.original && wanted(sample);
    let people: Vec<&[f64]> = samples.humans.iter().filter(own).map(|sample| &sample.row[..]).collect();
    Some((classifier, Support::fit(&people, &asked(recipe.set, pointer))?))
}

/// Grows trees that tell the people whom `wanted` accepts from their counterexamples and from all labelled bots; both
/// sides weigh the same. A source weighs as the square root of its sessions, so that the largest one does not stand for
/// everybody.
fn classifier(
    fit: &[&Example],
    samples: &Samples,
    pointer: Pointer,
    wanted: &impl Fn(&Sample) -> bool,
    base: Option<&Classifier>,
    recipe: &Recipe,
) -> Option<Classifier> {
    let humans: Vec<&Sample> = samples.humans.iter().filter(|sample| wanted(sample)).collect();
    let made: Vec<&Sample> = samples.counterexamples.iter().filter(|sample| wanted(sample)).collect();
    let columns: Vec<Column> = match base {
        Some(base) => base.columns().to_vec(),
        None => asked(recipe.set, pointer)
            .into_par_iter()
            .map(|index| {
                let own = humans.iter().filter(|sample| sample.original);
                Column { index, people: Profile::of(own.map(|sample| sample.row[index]).collect()) }
            })
            .collect(),
    };
    let bots: Vec<&Sample> = samples.bots.iter().collect();
    let all: Vec<&Sample> = humans.iter().chain(&made).chain(&bots).copied().collect();
    let rows: Vec<Vec<f32>> =
        all.par_iter().map(|sample| columns.iter().map(|column| single(sample.row[column.index])).collect()).collect();
    let odd: Vec<bool> = (0..all.len()).map(|i| i >= humans.len()).collect();
    let labelled = if bots.is_empty() { 0.0 } else { recipe.labelled };
    let own = source_weights(fit, &humans);
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
    let weight = |share: f64, n: usize| share * humans.len() as f64 / n.max(1) as f64;
    let (made_weight, bot_weight) = (weight(1.0 - labelled, made.len()), weight(labelled, bots.len()));
    let weights: Vec<f64> = own
        .into_iter()
        .chain(std::iter::repeat_n(made_weight, made.len()))
        .chain(std::iter::repeat_n(bot_weight, bots.len()))
        .collect();
    let start: Vec<f64> =
        base.map_or_else(Vec::new, |base| all.par_iter().map(|sample| base.raw(&sample.row)).collect());
    let rows = boosting::Rows { values: &rows, odd: &odd, weights: &weights, start: &start };
    let mut trees = boosting::fit(&rows, &recipe.boosting, recipe.seed)?;
    if let Some(base) = base {
        trees = base.trees().with(&trees, columns.len())?;
    }
    Classifier::from_parts(columns, trees, recipe.set.columns().len())
}

/// The weights of people: each source as the square root of its sessions, one on average.
fn source_weights(fit: &[&Example], humans: &[&Sample]) -> Vec<f64> {
    let source = |sample: &Sample| fit.get(sample.of).map_or("", |example| example.source.as_str());
    let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
    for sample in humans {
        *sizes.entry(source(sample)).or_default() += 1;
    }
    let each: Vec<f64> =
        humans.iter().map(|sample| sizes.get(source(sample)).map_or(1.0, |n| 1.0 / f64::from(*n).sqrt())).collect();
    #[expect(clippy::cast_precision_loss, reason = "a number of rows")]
    let mean = each.iter().sum::<f64>() / each.len().max(1) as f64;
    each.into_iter().map(|weight| weight / mean).collect()
}

/// For each large source, the raw scores and distances of its people by measures fitted without it: what people look like
/// through a recorder and at a task that a model has not seen. Empty where few sources are named.
///
/// A site is to the model what a left-out source is; conformal calibration over groups in place of sessions (Dunn,
/// Wasserman, Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA 118, 2023).
pub(super) fn foreign(fit: &[&Example], samples: &Samples, pointer: Pointer, recipe: &Recipe) -> Vec<Foreign> {
    if !recipe.foreign {
        return Vec::new();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    fit.iter().filter(|e| !e.source.is_empty()).for_each(|e| *sizes.entry(&e.source).or_default() += 1);
    sizes.retain(|_, n| *n >= FOREIGN_SESSIONS && fit.len() - *n >= MIN_FIT);
    if sizes.len() < FOREIGN_SOURCES {
        return Vec::new();
    }
    let without = |source: &str| {
        let own = |sample: &Sample| fit[sample.of].source == source;
        let (classifier, support) = measures(fit, samples, pointer, |sample| !own(sample), None, recipe)?;
        let people: Vec<&Sample> = samples.humans.iter().filter(|s| s.original && own(s)).collect();
        let raw = people.par_iter().map(|sample| classifier.raw(&sample.row)).collect();
        let distance = people.par_iter().map(|sample| support.distance(&sample.row)).collect();
        Some(Foreign { raw: thinned(raw), distance: thinned(distance) })
    };
    sizes.into_keys().filter_map(without).collect()
}

/// At most [`FOREIGN_VALUES`] of the values, evenly spread over their order, the largest among them.
fn thinned(mut values: Vec<f64>) -> Calibration {
    values.sort_by(f64::total_cmp);
    let (m, n) = (values.len(), FOREIGN_VALUES.min(values.len()));
    Calibration::new((1..=n).map(|k| values[k * m / n - 1]).collect())
}

/// The rows of sessions as they were recorded.
pub(super) fn rows(examples: &[&Example], set: FeatureSet) -> Vec<Vec<f64>> {
    let one = |extractor: &mut Extractor, example: &&Example| {
        let mut row = Vec::new();
        extractor.extract(set, &example.session, &mut row);
        row
    };
    examples.par_iter().map_init(Extractor::default, one).collect()
}

/// A judge of measures, where `fitted` are the people they were fitted on and `calibrating` those who calibrate them.
pub(super) fn judge(
    (classifier, support): (Classifier, Support),
    fitted: &[Vec<f64>],
    calibrating: &[Vec<f64>],
    foreign: Vec<Foreign>,
    set: FeatureSet,
) -> Option<Judge> {
    let raw = calibrating.par_iter().map(|row| single(classifier.raw(row))).collect();
    let distance = calibrating.par_iter().map(|row| single(support.distance(row))).collect();
    let columns: Vec<usize> = set.recording().collect();
    let [fitted, calibrating] = [fitted, calibrating].map(|rows| rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let calibration = LocalCalibration::fit(&columns, &fitted, &calibrating, (raw, distance), foreign)?;
    Some(Judge { classifier, support, calibration })
}
