//! The dashboard, what it is told, and logging in to it; also the script that other pages load.

pub(crate) mod client_script;
pub(crate) mod events;
pub(crate) mod feed;
pub(crate) mod files;
pub(crate) mod login;
pub(crate) mod play;
