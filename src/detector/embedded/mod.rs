//! The embedded detector: a one-class model that ships with the program.

use crate::domain::calibration::Calibrated;
use crate::domain::features::FeatureSet;
use crate::domain::reason::Reasons;
use crate::domain::result::ModelIdentity;

/// A trained model with its calibration.
#[derive(Debug)]
pub struct Model;

/// What the model says of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Uncalibrated, fine-grained, larger is odder.
    pub raw: f64,
    /// p-value and score.
    pub calibrated: Calibrated,
    /// The calibration class used.
    pub class: String,
}

impl Model {
    /// The model that ships with the program.
    pub fn bundled() -> anyhow::Result<Self> {
        anyhow::bail!("not trained yet")
    }

    /// Its name and version.
    #[must_use]
    pub fn identity(&self) -> ModelIdentity {
        ModelIdentity { id: String::new(), version: String::new() }
    }

    /// The feature set its rows must hold.
    #[must_use]
    pub fn feature_set(&self) -> FeatureSet {
        FeatureSet::V1
    }

    /// Assesses one row of [`Model::feature_set`].
    #[must_use]
    pub fn assess(&self, features: &[f64], device_type: &str, reasons: Reasons) -> Assessment {
        let _ = (features, device_type, reasons);
        Assessment {
            raw: 0.0,
            calibrated: crate::domain::calibration::Calibration::new(vec![]).assess(0.0),
            class: String::new(),
        }
    }
}
