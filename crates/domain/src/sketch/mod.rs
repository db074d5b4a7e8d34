//! Sketches: what is kept of a movement so that the same one is known again, whoever sends it and however it is laid out.
//!
//! A movement is put on one clock and smoothed ([`path`]); its near-stops ([`anchors`]) and its clicks part it into
//! reaches ([`reaches`]), and the shape of a reach, freed of place, size, direction, mirroring and pace, is twelve small
//! numbers ([`shape`]). Kept reaches are found by their shapes ([`reach_index`]), and what a likeness is worth follows from
//! how rare the shape is ([`rarity`]). Movements with reaches in common are also laid over each other as wholes
//! ([`likeness`]): 32 points are kept of each ([`compact`]), and what is left between the two after the best shift, turn,
//! scale and pace tells a whole copy. The idea of invariants of parts under a group of maps, looked up and then verified,
//! is that of geometric hashing (Wolfson and Rigoutsos, 1997).

mod aligned;
mod anchors;
mod compact;
mod density;
mod index;
mod likeness;
mod movement;
mod pairing;
mod path;
mod rarity;
mod reach_index;
mod reaches;
mod shape;

#[cfg(test)]
mod tests;

pub use self::aligned::Aligned;
pub use self::index::Index;
pub use self::likeness::{EVIDENT, Likeness, SAME, SURELY_EVIDENT, SURELY_SAME, Strength};
pub use self::movement::{Movement, Part, Sketch};
pub use self::rarity::MAX_EXCESS;
pub use self::reach_index::{MAX_CELL, MAX_NAMED, ReachIndex};
