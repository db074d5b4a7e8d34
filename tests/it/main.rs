//! Tests of the service from outside its modules, in one binary.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

mod clients;

mod config;

mod conservation;

mod crash;

mod layers;

mod process;

mod signals;

mod surface;
