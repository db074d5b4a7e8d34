//! Who may do what, and how often: keys and their roles, logins, the rates of callers, and what wrong keys cost.

pub mod address;
pub mod attempts;
pub mod keys;
pub mod login;
pub mod rates;
pub mod rights;
pub mod shares;
