//! Sessions in numbers: results, verdicts as they come, campaigns, and what to review.

pub(crate) mod campaigns;
pub(crate) mod evaluation;
pub(crate) mod list;
pub(crate) mod overview;
pub(crate) mod review;
pub(crate) mod users;
pub(crate) mod verdicts;
