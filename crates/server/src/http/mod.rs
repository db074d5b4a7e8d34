//! The HTTP API, a folder for each group of resources: `sessions`, `results`, `queue`, `admin`, `woodwide` and the
//! `dashboard`, with each endpoint's requests, answers, OpenAPI text, handler and tests in one file.
//!
//! A handler takes its request apart by `extract`, makes one call and answers by `respond`. `router` names every handler once;
//! `state` is what they share. `transport` is below them: connections, and the gate that every request passes. `auth` reads
//! what a request proves of its sender.

mod admin;
mod auth;
#[cfg(test)]
mod bounds_tests;
mod dashboard;
mod extract;
#[cfg(test)]
mod first_tests;
mod health;
mod openapi;
mod queue;
mod respond;
mod results;
mod router;
mod sessions;
mod settings;
mod state;
#[cfg(test)]
mod testing;
mod transport;
mod woodwide;

pub use router::document;
pub use settings::{HttpSettings, parse_network};
pub use state::{Parts, Service};
pub use transport::server::{listen, serve};
