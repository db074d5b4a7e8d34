//! Offline work on files of sessions: reading, writing, scoring.
