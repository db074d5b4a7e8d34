//! Single sessions: sending them, and everything about one.

pub(crate) mod bulk;
pub(crate) mod challenges;
pub(crate) mod erasure;
pub(crate) mod evidence;
pub(crate) mod explanation;
pub(crate) mod history;
pub(crate) mod labels;
pub(crate) mod lines;
pub(crate) mod many;
pub(crate) mod matches;
pub(crate) mod result;
pub(crate) mod score;
pub(crate) mod siteverify;
pub(crate) mod telemetry;
