//! Offline work on files of sessions: reading, writing, scoring.
//!
//! [`input`] yields lines in blocks, [`pipeline`] spreads the blocks over threads and puts their rows back in order,
//! [`table`] encodes rows, [`output`] writes them as CSV, NDJSON or Parquet, and [`score`] says what a row holds.

pub mod input;

pub mod pipeline;

pub mod table;

pub mod output;

mod parquet;

pub mod score;

pub mod labels;

pub mod evaluation;

pub mod load;

pub mod documents;

pub mod protocol;
