//! Tables and trainings at Woodwide.

pub(crate) mod training;
