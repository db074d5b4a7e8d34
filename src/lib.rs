//! PlayProof Batch: decides in batches whether a verification session was a human or a bot.
//!
//! What is here is the command line ([`cli`]) and what works on files ([`offline`]). The service is [`playproof_server`];
//! the path of a session is told there.

pub use playproof_bots::{adversary, generator};
pub use playproof_clock as clock;
pub use playproof_detector as detector;
pub use playproof_domain as domain;
pub use playproof_outbound::{secret, tls};
pub use playproof_server::{
    access, app, challenges, config, controls, evidence_bundle, http, intake, logging, metrics, operations, registry,
    result_notifier, scheduler, shutdown, thresholds, traces, webhooks,
};
pub use playproof_store as store;
pub use playproof_woodwide as woodwide;

pub mod offline;

pub mod cli;
