//! The pure core: what a session is, what is computed from it, and how it moves through the queue.
//!
//! Nothing here performs I/O, reads a clock, draws a random number or knows about async; time and chance are
//! arguments. The modules are listed in the order a session meets them.

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

pub mod time;

pub mod id;

mod decimal;
pub mod json;

pub mod printable;

pub mod hex;

pub mod refusal;

pub mod decision;

pub mod context;
mod movements;
mod points;
pub mod session;
mod shape;

pub mod timestamps;

pub mod timeline;

pub mod movement_amount;

pub mod record;

pub mod features;

pub mod heuristic;

pub mod sketch;

pub mod reason;

pub mod decision_inputs;

pub mod queue;

pub mod backoff;

pub mod batch;

pub mod pairing;

pub mod calibration;

pub mod occlusion;

pub mod challenge;
pub mod result;

pub mod redecision;

pub mod review;

pub mod interval;
pub mod trend;

pub mod evidence;

pub mod agreement;

pub mod false_discovery;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
