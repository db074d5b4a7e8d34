//! What requests prove about who sends them.

pub(crate) mod bearer;
pub(crate) mod proof;
pub(crate) mod revocation;
