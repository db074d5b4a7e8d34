//! What handlers take from a request.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod deployment;
pub(crate) mod encoding;
pub(crate) mod json;
pub(crate) mod page;
pub(crate) mod path;
pub(crate) mod query;
