//! Threads for work that no request waits for: batches, comparison, deliveries, training. They give way to the threads
//! that answer requests, so a backlog or a flood costs results time and leaves answers quick.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

/// How far the operating system puts these threads behind (`nice(2)`). At 10 a busy core gives them about a tenth of
/// what it gives a thread that answers requests, so they slow down and never stand still.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A runtime of its own, on threads of low priority.
pub(crate) struct Background {
    handle: Handle,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts its threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let behind = Behind::this_thread();
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .on_thread_start(move || behind.place_this_thread())
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Tasks that the caller spawns run here until the guard is dropped. What those tasks spawn runs here too.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Spawns tasks from anywhere.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A node may be dropped on a thread of a runtime, where waiting for another one's threads is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// Lets computations that are spread over all cores, such as scoring and training, give way too. Holds for the whole
/// process, so only a process that is a node and nothing else calls it.
pub(crate) fn spread_computations_give_way() {
    // It fails only where a computation ran before; that one's threads stay as they are.
    let behind = Behind::this_thread();
    let _ = rayon::ThreadPoolBuilder::new().start_handler(move |_| behind.place_this_thread()).build_global();
}

/// The place behind a thread. It is absolute: a thread starts with the place of the one that made it, which may be behind
/// already. Only Linux knows places of single threads; elsewhere nothing happens.
#[derive(Clone, Copy)]
struct Behind {
    #[cfg(target_os = "linux")]
    niceness: i32,
}

impl Behind {
    /// Behind the calling thread.
    fn this_thread() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            niceness: rustix::process::getpriority_process(None).unwrap_or(0) + NICENESS,
        }
    }

    /// Puts the calling thread there.
    #[cfg_attr(not(target_os = "linux"), expect(clippy::unused_self, reason = "there are no places"))]
    fn place_this_thread(self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, self.niceness) {
            tracing::debug!(%error, "a background thread keeps its priority");
        }
    }
}
