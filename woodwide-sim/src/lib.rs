//! A local simulator of the Woodwide AI HTTP API: both generations on one port, a working detector behind them, and
//! faults on demand.
//!
//! A test of a client starts one in its own process, steers it and looks at what it was asked:
//!
//! ```
//! use woodwide_sim::{Settings, Simulator};
//!
//! let simulator = Simulator::start(Settings::default())?;
//! simulator.arm("rate-limit=seconds,1@infer;n=2")?;
//! // ... let the client talk to simulator.url() with the key sk_sim ...
//! assert!(simulator.requests().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Path of a request
//!
//! `http::gate` logs it, reads it, checks its key and lets [`fault`]s strike; the handler of its route in the table of
//! `route` answers from `world`, where everything is remembered; `http::deliver` puts the answer onto the wire. Nothing
//! runs in the background: what a job will have made is made when it begins, and its status follows from the time.

pub mod cli;

mod settings;

mod simulator;

mod state;

mod clock;

mod duration;

mod route;

mod requests;

mod http;

pub mod fault;

mod tamper;

mod output;

mod world;

mod job;

mod detector;

mod table;

mod number;

mod signing;

pub use requests::Entry;
pub use route::Generation;
pub use settings::{Settings, Shape};
pub use simulator::Simulator;
