//! PlayProof Batch: decides in batches whether a verification session was a human or a bot.
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

pub mod adversary;

pub mod domain;

pub mod clock;

pub mod tls;

pub mod secret;

pub mod shutdown;

pub mod result_notifier;

pub mod logging;

pub mod store;

pub mod thresholds;

pub mod controls;

pub mod webhooks;

pub mod detector;

pub mod metrics;

pub mod challenges;
pub mod intake;

pub mod scheduler;

pub mod generator;

pub mod offline;

pub mod registry;

pub mod operations;

pub mod access;

mod spool;

pub mod http;

pub mod config;

pub mod app;

pub mod cli;
