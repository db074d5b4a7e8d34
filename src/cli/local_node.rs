//! A node of one's own for the length of a command: `demo` and `bench` start one in a temporary folder.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use crate::app::Node;
use crate::config::{Config, Flags, StoreUrl};
use crate::domain::evidence::Evidence;
use crate::shutdown::Shutdown;

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
    /// When sessions are compared with stored ones.
    pub evidence: Evidence,
}

/// A running node. It listens on a free port of the loopback interface, asks for no keys, and has the page to play on.
pub struct LocalNode {
    /// `http://ADDRESS`.
    pub url: String,
    /// Stops it and waits until it has.
    pub stop: Box<dyn FnOnce() -> anyhow::Result<()> + Send>,
}

/// Starts a node as `settings` say; returns once it listens. Called outside of any async runtime.
pub type Start = fn(&NodeSettings) -> anyhow::Result<LocalNode>;

/// The [`Start`] of this build: a node on threads of its own in this process. Nothing of the environment or of a
/// settings file reaches it.
///
/// # Errors
/// When the node cannot start.
pub fn start(settings: &NodeSettings) -> anyhow::Result<LocalNode> {
    let mut config = Config::load(&Flags::default(), [("PLAYPROOF_LISTEN".to_owned(), "127.0.0.1:0".to_owned())])?;
    config.store.url = StoreUrl::Embedded(settings.folder.clone());
    config.store.queue_limit = settings.queue_limit;
    config.store.min_free_disk = 0;
    config.http.play = true;
    config.scheduler.autostart = settings.scheduler;
    config.scheduler.policy.interval = settings.interval;
    config.scheduler.policy.max_wait = settings.max_wait;
    config.scheduler.evidence = settings.evidence;

    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("node".to_owned()).spawn(move || run(&config, shutdown, &tell))?;
    let url = told.recv().context("the node's thread died before it listened")??;
    let stop = move || {
        stop.trigger();
        match thread.join() {
            Ok(true) => Ok(()),
            _ => anyhow::bail!("the node did not end well"),
        }
    };
    Ok(LocalNode { url, stop: Box::new(stop) })
}

/// The node's thread: tells its address, or why there is none, and works until it is stopped.
fn run(config: &Config, shutdown: Shutdown, tell: &mpsc::Sender<anyhow::Result<String>>) -> bool {
    let started = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let started = started.and_then(|runtime| {
        let node = runtime.block_on(Node::start(config, shutdown))?;
        Ok((runtime, node))
    });
    match started {
        Ok((runtime, node)) => {
            // Nobody listens when the caller gave up; the node then ends when it is stopped.
            let _ = tell.send(Ok(format!("http://{}", node.address)));
            runtime.block_on(node.ended())
        }
        Err(error) => {
            let _ = tell.send(Err(error));
            false
        }
    }
}
