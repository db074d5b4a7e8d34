//! What goes into a store and comes out of it; shared by all stores, known to none of their engines.

mod batch;
mod comparison;
mod listing;
mod session;
mod state;

pub use batch::*;
pub use comparison::*;
pub use listing::*;
pub use session::*;
pub use state::*;
