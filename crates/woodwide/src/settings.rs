//! What the detector is told.

use std::time::Duration;

use playproof_outbound::secret::Secret;

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
    /// How long things may take.
    pub timing: Timing,
}

/// How long things may take, and how long the pauses in between are. The defaults suit the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For one batch, from the first request to the last.
    pub batch: Duration,
    /// For a probe.
    pub probe: Duration,
    /// For an ordinary request to be answered.
    pub request: Duration,
    /// For an upload or a download.
    pub transfer: Duration,
    /// For a call that scores; it may take tens of seconds.
    pub inference: Duration,
    /// Upper bound of the first pause before a request is repeated; doubled from try to try.
    pub backoff: Duration,
    /// Pause between looks at a job: first, and at most.
    pub poll: (Duration, Duration),
    /// Pause between askings where the answer stays empty: first, and at most.
    pub ask: (Duration, Duration),
    /// How long an empty answer is waited for before the question is put with more rows, unless more is known.
    pub rung: Duration,
    /// How long the service is left alone when it is for its customer to act: no valid key, no credits.
    pub account: Duration,
    /// The same when its model cannot tell people from an outlier.
    pub useless: Duration,
    /// How long after leftovers could not be removed they are looked for again.
    pub sweep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        const S: fn(u64) -> Duration = Duration::from_secs;
        const MS: fn(u64) -> Duration = Duration::from_millis;
        Self {
            batch: S(240),
            probe: S(60),
            request: S(30),
            transfer: S(60),
            inference: S(120),
            backoff: MS(500),
            poll: (MS(250), S(5)),
            ask: (MS(500), S(5)),
            rung: S(3),
            account: S(60),
            useless: S(300),
            sweep: S(180),
        }
    }
}

/// Which generation of the Woodwide API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Generally available.
    Ga,
    /// The one before.
    Beta,
}

impl Generation {
    /// As it is set.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ga => "ga",
            Self::Beta => "beta",
        }
    }
}
