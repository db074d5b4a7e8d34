//! Why a session has its score: what each feature adds, and which stretches of the path.

use crate::detector::embedded::Model;
use crate::detector::embedded::classifier::Contribution;
use crate::detector::embedded::judge::Judgement;
use crate::detector::embedded::support::Share;
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic;
use crate::domain::occlusion::{self, Stretch};
use crate::domain::record::{self, DamagedRecord};
use crate::domain::result::{Thresholds, Verdict};
use crate::domain::session::Session;

/// Most stretches of the path, and how much each must add at least.
const MAX_STRETCHES: usize = 3;
const MIN_ADDED: f64 = 0.25;

/// Why a session has its score.
#[derive(Debug)]
pub struct Explanation {
    /// What the model decides by itself.
    pub verdict: Verdict,
    /// The columns of `row`.
    pub set: FeatureSet,
    /// The features.
    pub row: Vec<f64>,
    /// Log-odds.
    pub raw_score: f64,
    /// The raw score of the median person.
    pub base: f64,
    /// The features that move the score most, the largest first.
    pub contributions: Vec<Contribution>,
    /// What all other features add.
    pub rest: f64,
    /// The stretches without which the raw score would be lower, and by how much.
    pub stretches: Vec<(Stretch, f64)>,
    /// The distance from people; `None` for a row without enough motion to be judged.
    pub distance: Option<Distance>,
}

/// How far a session is from people.
#[derive(Debug)]
pub struct Distance {
    /// Both parts of the score.
    pub judgement: Judgement,
    /// The features that put it there, the largest first.
    pub shares: Vec<Share>,
    /// What all other features add.
    pub rest: f64,
}

/// Explains the score of a recorded session by at most `limit` features of each kind.
///
/// # Errors
/// When the record is damaged.
pub fn explain(
    model: &Model,
    record: &[u8],
    thresholds: &Thresholds,
    limit: usize,
) -> Result<Explanation, DamagedRecord> {
    let session = record::decode(record)?;
    let set = model.feature_set();
    let mut row = Vec::new();
    Extractor::default().extract(set, &session, &mut row);
    let verdict = model.verdict(&row, heuristic::reservations(&session), thresholds);
    let (raw_score, base) = (verdict.raw_score.unwrap_or_default(), model.base());
    let mut contributions = model.explain(&row);
    contributions.sort_by(|a, b| b.added.abs().total_cmp(&a.added.abs()).then(a.index.cmp(&b.index)));
    contributions.truncate(limit);
    let named: f64 = contributions.iter().map(|one| one.added).sum();
    let stretches = incriminating(model, &session, raw_score, &mut row.clone());
    let distance = distance(model, &row, limit);
    Ok(Explanation {
        verdict,
        set,
        row,
        raw_score,
        base,
        contributions,
        rest: raw_score - base - named,
        stretches,
        distance,
    })
}

fn distance(model: &Model, row: &[f64], limit: usize) -> Option<Distance> {
    let judgement = model.judgement(row)?;
    let mut shares = model.explain_support(row);
    shares.sort_by(|a, b| b.added.abs().total_cmp(&a.added.abs()).then(a.index.cmp(&b.index)));
    shares.truncate(limit);
    let named: f64 = shares.iter().map(|share| share.added).sum();
    Some(Distance { rest: judgement.distance - named, judgement, shares })
}

/// The stretches that raise the score most.
fn incriminating(model: &Model, session: &Session, raw_score: f64, row: &mut Vec<f64>) -> Vec<(Stretch, f64)> {
    let mut extractor = Extractor::default();
    let mut found: Vec<(Stretch, f64)> = occlusion::stretches(session.movements.len())
        .into_iter()
        .map(|stretch| {
            extractor.extract(model.feature_set(), &occlusion::without(session, stretch), row);
            (stretch, raw_score - model.assess(row).raw)
        })
        .filter(|(_, added)| *added > MIN_ADDED)
        .collect();
    found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    found.truncate(MAX_STRETCHES);
    found
}
