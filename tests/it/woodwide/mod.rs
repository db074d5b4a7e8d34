//! The Woodwide detector against the simulator, over real sockets.

pub(crate) mod rig;

mod persistent;

mod scoring;
