//! Fitting a judge: trees, support and calibration.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::samples::{Sample, Samples, touches};
use super::{Example, MIN_FIT, Recipe, boosting};
use crate::embedded::by_source::{Source, SourceCalibration};
use crate::embedded::classifier::{Classifier, Column, single};
use crate::embedded::familiarity::Familiarity;
use crate::embedded::judge::Judge;
use crate::embedded::quantiles::Profile;
use crate::embedded::support::Support;
use playproof_domain::calibration::Calibration;
use playproof_domain::features::{Extractor, FeatureSet};

/// Fewest sessions of a source that stands for sources never seen...
const FOREIGN_SESSIONS: usize = 100;
/// ...and fewest such sources.
const FOREIGN_SOURCES: usize = 2;
/// Fewest calibrating sessions of a source that counts as one; smaller ones are taken together.
const HOME_SESSIONS: usize = 40;
/// Values that are kept of each source that was left out.
const FOREIGN_VALUES: usize = 400;

/// The columns that a judge asks: what the recorder is like tells people from bots on the sites that were recorded and on
/// no other, and what the task is like on these tasks alone.
fn asked(set: FeatureSet) -> Vec<usize> {
    let (evidence, _) = set.evidence();
    let recorder: Vec<usize> = set.recorder().collect();
    let wanted = |index: &usize| *index != evidence && !set.is_task(*index) && !recorder.contains(index);
    (0..set.columns().len()).filter(wanted).collect()
}

/// Trees and support of the samples that `wanted` accepts. With a `base`, its columns are asked, its trees come first, and
/// its support stays.
pub(super) fn measures(
    fit: &[&Example],
    samples: &Samples,
    wanted: impl Fn(&Sample) -> bool,
    base: Option<&Judge>,
    recipe: &Recipe,
) -> Option<(Classifier, Support)> {
    let classifier = classifier(fit, samples, &wanted, base.map(|judge| &judge.classifier), recipe)?;
    if let Some(base) = base {
        return Some((classifier, base.support.clone()));
    }
    let own = |sample: &&Sample| sample.original && wanted(sample);
    let people: Vec<&[f64]> = samples.humans.iter().filter(own).map(|sample| &sample.row[..]).collect();
    Some((classifier, Support::fit(&people, &asked(recipe.set))?))
}

/// Grows trees that tell the people whom `wanted` accepts from their counterexamples and from all labelled bots; both
/// sides weigh the same. A source weighs as the square root of its sessions, so that the largest one does not stand for
/// everybody.
fn classifier(
    fit: &[&Example],
    samples: &Samples,
    wanted: &impl Fn(&Sample) -> bool,
    base: Option<&Classifier>,
    recipe: &Recipe,
) -> Option<Classifier> {
    let humans: Vec<&Sample> = samples.humans.iter().filter(|sample| wanted(sample)).collect();
    let made: Vec<&Sample> = samples.counterexamples.iter().filter(|sample| wanted(sample)).collect();
    let columns: Vec<Column> = match base {
        Some(base) => base.columns().to_vec(),
        None => asked(recipe.set)
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
/// Sources of fingers stand for nobody: a bot on a recorder that nobody had could choose to look like one.
///
/// A site is to the model what a left-out source is; conformal calibration over groups in place of sessions (Dunn,
/// Wasserman, Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA 118, 2023).
pub(super) fn foreign(fit: &[&Example], samples: &Samples, recipe: &Recipe) -> Vec<Source> {
    if !recipe.foreign {
        return Vec::new();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    let named = fit.iter().filter(|e| !e.source.is_empty() && !touches(&e.session));
    named.for_each(|e| *sizes.entry(&e.source).or_default() += 1);
    sizes.retain(|_, n| *n >= FOREIGN_SESSIONS && fit.len() - *n >= MIN_FIT);
    if sizes.len() < FOREIGN_SOURCES {
        return Vec::new();
    }
    let without = |source: &str| {
        let own = |sample: &Sample| fit[sample.of].source == source;
        let (classifier, support) = measures(fit, samples, |sample| !own(sample), None, recipe)?;
        let people: Vec<&Sample> = samples.humans.iter().filter(|s| s.original && own(s)).collect();
        let raw = people.par_iter().map(|sample| classifier.raw(&sample.row)).collect();
        let distance = people.par_iter().map(|sample| support.distance(&sample.row)).collect();
        Some(Source { raw: thinned(raw), distance: thinned(distance) })
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

/// A judge of measures, where `fitted` are the people they were fitted on and `calibrating` those who calibrate them, each
/// with the name of its source.
pub(super) fn judge(
    (classifier, support): (Classifier, Support),
    fitted: &[Vec<f64>],
    calibrating: &[(&str, Vec<f64>)],
    foreign: Vec<Source>,
    set: FeatureSet,
) -> Option<Judge> {
    let mut by_source: BTreeMap<&str, Vec<&[f64]>> = BTreeMap::new();
    for (source, row) in calibrating {
        by_source.entry(source).or_default().push(row);
    }
    let (large, small): (Vec<_>, Vec<_>) = by_source.into_values().partition(|rows| rows.len() >= HOME_SESSIONS);
    let small: Vec<&[f64]> = small.into_iter().flatten().collect();
    let measured = |rows: Vec<&[f64]>| {
        let raw = rows.par_iter().map(|row| classifier.raw(row)).collect();
        let distance = rows.par_iter().map(|row| support.distance(row)).collect();
        Source { raw: Calibration::new(raw), distance: Calibration::new(distance) }
    };
    let home = large.into_iter().chain(Some(small).filter(|rows| !rows.is_empty())).map(measured).collect();
    let columns: Vec<usize> = set.recording().collect();
    let fitted: Vec<&[f64]> = fitted.iter().map(Vec::as_slice).collect();
    let others: Vec<&[f64]> = calibrating.iter().map(|(_, row)| &row[..]).collect();
    let calibration = SourceCalibration::new(Familiarity::fit(&columns, &fitted, &others)?, home, foreign)?;
    Some(Judge { classifier, support, calibration })
}
