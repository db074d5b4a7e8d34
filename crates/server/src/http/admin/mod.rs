//! What operators manage.

pub(crate) mod audit;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod overrides;
pub(crate) mod retention;
pub(crate) mod thresholds;
pub(crate) mod webhooks;
