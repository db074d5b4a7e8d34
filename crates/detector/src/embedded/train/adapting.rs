//! Adapting a model to a site: its own people set the cuts, and with enough of them the trees learn from them too.

use super::samples::Samples;
use super::{Contents, Judge, MIN_FIT, Material, People, Recipe, Report, Stage, TrainError, fitting};
use playproof_domain::session::Session;

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
    if recipe.set != base.set {
        return Err(TrainError::OtherSet { base: base.set.name() });
    }
    let own = People::of(material, base.set);
    if own.calibration.len() < MIN_SITE {
        return Err(TrainError::TooFewOfSite { found: own.calibration.len() });
    }
    let bots: Vec<&Session> = material.bots.iter().collect();
    let (judge, report) = adapt_judge(&base.judge, &own, &bots, recipe, on_stage)?;
    let provenance = format!("{} Adapted to a site: {provenance}", base.provenance);
    let contents = Contents { set: base.set, provenance, judge };
    Ok((contents, report))
}

fn adapt_judge(
    base: &Judge,
    site: &People<'_>,
    bots: &[&Session],
    recipe: &Recipe,
    on_stage: &mut dyn FnMut(Stage),
) -> Result<(Judge, Report), TrainError> {
    on_stage(Stage::Trees);
    let mut recipe = *recipe;
    (recipe.boosting.trees, recipe.boosting.depth) = (TREES, base.classifier.trees().depth());
    let (learned, bots) = if site.fit.len() >= MIN_FIT { (&site.fit[..], bots) } else { (&[][..], &[][..]) };
    let samples = Samples::of(learned, bots, &recipe);
    let measures = if learned.is_empty() {
        (base.classifier.clone(), base.support.clone())
    } else {
        fitting::measures(learned, &samples, |_| true, Some(base), &recipe).ok_or(TrainError::Alike)?
    };

    on_stage(Stage::Calibration);
    // A site is one source, whatever its labels call it.
    let calibrating: Vec<_> = fitting::rows(&site.calibration, recipe.set).into_iter().map(|row| ("", row)).collect();
    // The site's people are at home here, those who calibrate it too.
    let at_home: Vec<Vec<f64>> =
        fitting::rows(learned, recipe.set).into_iter().chain(calibrating.iter().map(|(_, row)| row.clone())).collect();
    let mut judge =
        fitting::judge(measures, &at_home, &calibrating, Vec::new(), recipe.set).ok_or(TrainError::Alike)?;
    let familiarity = judge.calibration.familiarity().with(base.calibration.familiarity()).ok_or(TrainError::Alike)?;
    judge.calibration = judge.calibration.familiar(familiarity);
    let report = Report::of(learned, site, &samples, &judge, recipe.set);
    Ok((judge, report))
}
