//! Offline work on files of sessions: reading, writing, scoring.

pub mod input;
