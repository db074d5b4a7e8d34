//! The commands of the binary.

pub mod train;

pub mod evaluate;
