//! The service: a node that takes sessions in, has them scored in batches, and answers for the results.
//!
//! # Path of a session
//!
//! A request reaches [`http`], which parses it with [`domain::session`] and hands it to [`intake`]; intake computes
//! [`domain::features`] and the [`domain::heuristic`] verdict and makes the session durable in a [`store`]. The
//! [`scheduler`] asks [`domain::batch`] when to run, claims a batch under a lease, has a [`detector`] score it, pairs
//! every score to its session ([`domain::pairing`]), turns scores into verdicts ([`domain::result`]) and settles the
//! batch in the store, from where [`http`] answers for the result.

#![cfg_attr(
    test,
    expect(
        clippy::float_cmp,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests compare exact values and small counts"
    )
)]

use playproof_bots::{adversary, generator};
use playproof_clock as clock;
use playproof_detector as detector;
use playproof_domain as domain;
use playproof_outbound::{secret, tls};
use playproof_store as store;
use playproof_woodwide as woodwide;

pub mod shutdown;

pub mod result_notifier;

pub mod logging;

pub mod traces;

pub mod thresholds;

pub mod controls;

pub mod webhooks;

pub mod metrics;

pub mod challenges;

pub mod intake;

pub mod scheduler;

pub mod registry;

pub mod evidence_bundle;

pub mod operations;

pub mod access;

mod background;

mod spool;

pub mod http;

pub mod config;

pub mod app;
