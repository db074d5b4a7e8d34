//! The Woodwide detector against the simulator, over real sockets.

pub(crate) mod rig;

mod killed;

mod matrix;

mod natures;

mod persistent;

mod scoring;

mod wrong;
