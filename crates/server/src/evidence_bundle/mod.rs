//! Evidence: everything that a verdict rests on, as one signed document that can be checked anywhere.
//!
//! The [`statement`] says what is stated, [`signature`] how it is signed and opened, [`recomputation`] decides the verdict anew
//! from the record, and [`revisions`] follows the decision from there to where it stands. Nothing here knows a store.

pub mod recomputation;

mod comparison;

mod revisions;

pub mod signature;

pub mod statement;

pub use recomputation::{Extent, Finding, Models, Part, Verification, verify};
pub use signature::{EvidenceKey, PublicKey, SignedEvidence};
