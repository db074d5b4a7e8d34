//! Who calls, and what they may do.

pub(crate) mod access;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod proof;
pub(crate) mod revocation;
