//! What the detector is told.

use crate::secret::Secret;

/// What the remote detector is told.
#[derive(Clone, Debug, PartialEq)]
pub struct WoodwideSettings {
    /// Used in turn.
    pub keys: Vec<Secret>,
    /// Without a slash at its end.
    pub base_url: String,
    /// Which API.
    pub generation: Generation,
    /// Model that scores.
    pub model_id: Option<String>,
    /// One dataset that grows, in place of one per batch.
    pub persistent_dataset: Option<String>,
    /// Fewest rows in a call.
    pub min_rows: usize,
    /// Calls at the same time.
    pub in_flight: usize,
}

/// Which generation of the Woodwide API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Generally available.
    Ga,
    /// The one before.
    Beta,
}
