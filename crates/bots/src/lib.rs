//! Sessions that no human made. Everything follows from what a function is given and from a generator of random numbers.
pub mod adversary;

pub mod generator;
