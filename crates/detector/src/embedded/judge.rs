//! The judge of movements: trees, support and calibration, combined into one score.
//!
//! The classifier says how much a movement resembles counterexamples, the support how far it is from people. Each has a
//! p-value of its own. The smaller one decides, each taken against its part of the error: `min(p_c / 0.95, p_s / 0.05)` is a
//! p-value however the two depend on each other, because the parts sum to one (Bonferroni's inequality, weighted).

use super::by_source::SourceCalibration;
use super::classifier::Classifier;
use super::support::Support;
use playproof_domain::calibration::{Calibrated, MAX_SCORE};

/// Part of the error that the support may spend; the classifier has the rest.
pub const SUPPORT_PART: f64 = 0.05;

/// Trees, support and calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// How rows are scored.
    pub classifier: Classifier,
    /// How far rows are from people.
    pub support: Support,
    /// What people's scores and distances are.
    pub calibration: SourceCalibration,
}

/// What a judge says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Log-odds of the classifier: uncalibrated, larger is odder.
    pub raw: f64,
    /// Squared distance of the support.
    pub distance: f64,
    /// p-value of the raw score.
    pub classifier_p: f64,
    /// p-value of the distance.
    pub support_p: f64,
    /// 1 where people were recorded like this, 0 where nobody was.
    pub known: f64,
    /// Whether it is further from people than every person of the calibration.
    pub outside: bool,
    /// Both p-values as one, and the score.
    pub calibrated: Calibrated,
}

impl Judge {
    /// Judges a row that has enough motion.
    #[must_use]
    pub fn assess(&self, row: &[f64]) -> Judgement {
        let raw = self.classifier.raw(row);
        let raw = if raw.is_nan() { f64::MAX } else { raw.clamp(f64::MIN, f64::MAX) };
        let distance = self.support.distance(row);
        let placed = self.calibration.assess(row, raw, distance);
        let p = (placed.classifier / (1.0 - SUPPORT_PART)).min(placed.support / SUPPORT_PART).min(1.0);
        let supported_score = (-p.log10()).clamp(0.0, MAX_SCORE);
        let [largest_raw, largest_distance] = self.calibration.largest();
        let outside = distance > largest_distance;
        // Beyond everybody the score goes on rising, so that it still ranks; a unit of log-odds is a factor e.
        let beyond = (raw - largest_raw).max(0.0) + (distance / largest_distance.max(1.0)).max(1.0).ln();
        let extrapolated = raw > largest_raw || outside;
        let score = if extrapolated {
            (supported_score + beyond * std::f64::consts::LOG10_E).min(MAX_SCORE)
        } else {
            supported_score
        };
        Judgement {
            raw,
            distance,
            classifier_p: placed.classifier,
            support_p: placed.support,
            known: placed.known,
            outside,
            calibrated: Calibrated { p, score, supported_score, extrapolated },
        }
    }
}
