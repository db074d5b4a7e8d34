//! The simulator over real sockets, as clients meet it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod beta;
mod faults;
mod ga;
mod harness;
mod signed;
