//! Connections, and what every request passes on its way to a handler.

pub(crate) mod attempts;
pub(crate) mod base_path;
pub(crate) mod bodies;
pub(crate) mod fairness;
pub(crate) mod gate;
mod http2;
pub(crate) mod local_guard;
pub(crate) mod newcomers;
pub(crate) mod peer;
pub(crate) mod request_ids;
pub(crate) mod server;
