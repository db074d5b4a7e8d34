//! A model that scores beside the active one, and how often the two would have decided otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use super::Model;
use crate::Row;
use playproof_domain::calibration::Calibrated;
use playproof_domain::result::Thresholds;

/// What a shadow would have decided, against the model that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions scored by both.
    pub sessions: u64,
    /// The shadow alone would have been stricter.
    pub stricter: u64,
    /// The shadow alone would have been milder.
    pub milder: u64,
}

/// A model that scores beside the active one, without effect.
#[derive(Debug)]
pub struct Shadow {
    model: Arc<Model>,
    thresholds: Thresholds,
    tally: Mutex<Tally>,
}

impl Shadow {
    pub(super) fn new(model: Arc<Model>, thresholds: Thresholds) -> Self {
        Self { model, thresholds, tally: Mutex::default() }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model)
    }

    /// What it would have decided since it began on this node.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe<'a>(&self, scored: impl Iterator<Item = (&'a Row, &'a Calibrated)>) {
        let mut new = Tally::default();
        for (row, active) in scored {
            let one = self.compare(&row.features, active);
            new.sessions += one.sessions;
            new.stricter += one.stricter;
            new.milder += one.milder;
        }
        self.add(new);
    }

    /// What it makes of a row that the active model scored so.
    pub(super) fn compare(&self, features: &[f64], active: &Calibrated) -> Tally {
        let own = self.model.assess(features).calibrated;
        let [active, own] = [active, &own].map(|score| self.thresholds.decide(score.supported_score) as u8);
        Tally { sessions: 1, stricter: u64::from(own > active), milder: u64::from(own < active) }
    }

    pub(super) fn add(&self, new: Tally) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.sessions += new.sessions;
        tally.stricter += new.stricter;
        tally.milder += new.milder;
    }
}
