//! What a row of `score` and of `features` holds, computed as the service computes it.

use crate::detector::embedded::Model;
use crate::domain::evidence::{Alike, NAMED};
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic;
use crate::domain::result::{Thresholds, Verdict};
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Movement};

use super::pipeline::Worker;
use super::table::{Kind, Rows};

/// The columns of `score`.
pub const COLUMNS: [(&str, Kind); 10] = [
    ("sessionId", Kind::Text),
    ("anomalyScore", Kind::OptionalNumber),
    ("rawScore", Kind::OptionalNumber),
    ("isAnomaly", Kind::Flag),
    ("decision", Kind::Text),
    ("confidence", Kind::Number),
    ("source", Kind::Text),
    ("modelId", Kind::Text),
    ("modelVersion", Kind::Text),
    ("reasons", Kind::Text),
];

/// Scores sessions with the embedded model.
pub struct Scorer<'m> {
    model: &'m Model,
    thresholds: Thresholds,
    extractor: Extractor,
    features: Vec<f64>,
    codes: String,
    earlier: Option<Earlier>,
}

/// The sessions before, where they are looked at side by side.
#[derive(Default)]
struct Earlier {
    index: Index,
    users: Vec<Option<String>>,
}

impl Earlier {
    /// The earlier sessions that this one is like, the closest first; it is kept for those after it.
    fn beside(&mut self, session: &Session) -> Vec<Alike> {
        let Some(movement) = Movement::of(session) else { return Vec::new() };
        let mut alike = self.index.find(&movement);
        alike.retain(|(_, like)| like.strength().is_some());
        alike.truncate(NAMED);
        self.index.insert(movement.sketch());
        let same_user =
            |place: i64| usize::try_from(place).ok().and_then(|i| self.users.get(i)) == Some(&session.user_id);
        let alike = alike
            .into_iter()
            .filter_map(|(place, like)| {
                Some(Alike { strength: like.strength()?, resubmitted: like.identical && same_user(place) })
            })
            .collect();
        self.users.push(session.user_id.clone());
        alike
    }
}

impl<'m> Scorer<'m> {
    /// A scorer with buffers of its own.
    #[must_use]
    pub fn new(model: &'m Model, thresholds: Thresholds) -> Self {
        Self {
            model,
            thresholds,
            extractor: Extractor::default(),
            features: Vec::new(),
            codes: String::new(),
            earlier: None,
        }
    }

    /// Each session is also looked at beside those given before it.
    #[must_use]
    pub fn side_by_side(self) -> Self {
        Self { earlier: Some(Earlier::default()), ..self }
    }

    /// The verdict on one session.
    pub fn verdict(&mut self, session: &Session) -> Verdict {
        if session.movements.is_empty() {
            return Verdict::without_pointer(&self.thresholds);
        }
        let inputs = self.extractor.rule_inputs(session);
        let rules = heuristic::rules(&inputs);
        self.extractor.extract(self.model.feature_set(), session, &mut self.features);
        let reservations = heuristic::reservations(session);
        let known_reasons = heuristic::reasons_with_notes(rules, inputs.total_moves).union(reservations);
        let verdict = self.model.verdict(&self.features, known_reasons, &self.thresholds);
        match &mut self.earlier {
            Some(earlier) => verdict.with_replay_evidence(&earlier.beside(session), &self.thresholds),
            None => verdict,
        }
    }
}

impl Worker for Scorer<'_> {
    fn session(&mut self, session: &Session, rows: &mut Rows) {
        let verdict = self.verdict(session);
        self.codes.clear();
        for reason in verdict.reasons.iter() {
            if !self.codes.is_empty() {
                self.codes.push(';');
            }
            self.codes.push_str(reason.code());
        }
        rows.text(session.id.as_str());
        rows.optional_number(verdict.anomaly_score);
        rows.optional_number(verdict.raw_score);
        rows.flag(verdict.is_anomaly());
        rows.text(verdict.decision.name());
        rows.number(verdict.confidence);
        rows.text(verdict.source.name());
        rows.text(&verdict.model.id);
        rows.text(&verdict.model.version);
        rows.text(&self.codes);
        rows.end_row();
    }
}

/// The columns of `features`: the session's names, then the set's numbers.
#[must_use]
pub fn feature_columns(set: FeatureSet) -> Vec<(&'static str, Kind)> {
    let names = ["sessionId", "gameType", "deviceType"].map(|name| (name, Kind::Text));
    names.into_iter().chain(set.columns().iter().map(|name| (*name, Kind::Number))).collect()
}

/// Writes the feature row of each session.
pub struct FeatureRows {
    set: FeatureSet,
    extractor: Extractor,
    features: Vec<f64>,
}

impl FeatureRows {
    /// A writer with buffers of its own.
    #[must_use]
    pub fn new(set: FeatureSet) -> Self {
        Self { set, extractor: Extractor::default(), features: Vec::new() }
    }
}

impl Worker for FeatureRows {
    fn session(&mut self, session: &Session, rows: &mut Rows) {
        self.extractor.extract(self.set, session, &mut self.features);
        rows.text(session.id.as_str());
        rows.text(&session.game_type);
        rows.text(&session.device_type);
        for value in &self.features {
            rows.number(*value);
        }
        rows.end_row();
    }
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
