//! A node of one's own for the length of a command: `demo` and `bench` start one in a temporary folder.

use std::path::PathBuf;
use std::time::Duration;

/// What such a node is told; everything else keeps its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Folder of its embedded store.
    pub folder: PathBuf,
    /// Whether its scheduler runs from the start.
    pub scheduler: bool,
    /// How often the scheduler looks.
    pub interval: Duration,
    /// A batch runs when a session has waited this long.
    pub max_wait: Duration,
    /// Most unprocessed sessions.
    pub queue_limit: u64,
}

/// A running node. It listens on a free port of the loopback interface and asks for no keys.
pub struct LocalNode {
    /// `http://ADDRESS`.
    pub url: String,
    /// Stops it and waits until it has.
    pub stop: Box<dyn FnOnce() -> anyhow::Result<()> + Send>,
}

/// Starts a node as `settings` say; returns once it listens. Called outside of any async runtime.
pub type Start = fn(&NodeSettings) -> anyhow::Result<LocalNode>;

/// The [`Start`] of this build.
pub fn start(settings: &NodeSettings) -> anyhow::Result<LocalNode> {
    let _ = settings;
    anyhow::bail!("this build cannot start a node by itself; start one with `serve` and name it with --url")
}
