//! What everything shares that asks other services: how it speaks TLS, and keys that do not print.

pub mod secret;

pub mod tls;
