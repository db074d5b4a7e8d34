//! What handlers answer.

pub(crate) mod answer;
pub(crate) mod error;
pub(crate) mod raw;
pub(crate) mod refusals;
pub(crate) mod shapes;
