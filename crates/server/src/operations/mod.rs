//! What operators and analysts do, without HTTP.

pub mod campaigns;

pub mod labels;
