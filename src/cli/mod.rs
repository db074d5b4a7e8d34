//! The commands of the binary.

pub mod bench;
pub mod demo;
pub mod evaluate;
pub mod features;
pub mod local_node;
mod rows;
pub mod score;
pub mod train;
