//! The running simulator: its parts together, and the handle by which tests of other packages start, steer and stop it.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::fault::{ArmedFault, Faults, Spec, SpecError};
use crate::http;
use crate::requests::{Entry, Log};
use crate::settings::Settings;
use crate::signing::Signer;
use crate::state;
use crate::world::{Key, World};

/// The parts that requests meet.
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    pub(crate) addr: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) signer: Signer,
    world: Mutex<World>,
}

impl Sim {
    fn new(settings: Settings, addr: SocketAddr) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x5157_AB1E);
        let sim = Self {
            addr,
            clock: Clock::default(),
            faults: Faults::new(settings.seed),
            log: Log::new(settings.log_limit),
            signer: Signer::new(random.random()),
            world: Mutex::new(World::new(settings.seed)),
            settings,
        };
        sim.reset();
        sim
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As after the start: the settings' keys and faults, nothing else.
    pub(crate) fn reset(&self) {
        let mut world = World::new(self.settings.seed);
        let now = self.clock.now();
        for (at, text) in self.settings.api_keys.iter().enumerate() {
            let (label, secret) = text.split_once(':').map_or_else(
                || (format!("key-{}", at + 1), text.clone()),
                |(label, secret)| (label.to_owned(), secret.to_owned()),
            );
            add_key(&mut world, label, secret, false, now);
        }
        add_key(&mut world, "user".to_owned(), self.settings.user_token.clone(), true, now);
        *self.world() = world;
        self.log.clear();
        self.faults.clear();
        for spec in &self.settings.faults {
            self.faults.arm(spec.clone());
        }
    }

    /// A setting's duration as the jobs count it.
    pub(crate) fn millis(&self, time: Duration) -> i64 {
        let _ = self;
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
    }
}

/// Adds a key.
pub(crate) fn add_key(world: &mut World, label: String, secret: String, is_user: bool, now: i64) {
    let id = world.id("key");
    world.keys.push(Key { id, label, secret, is_user, scopes: Vec::new(), created: now, expires: None, refused: None });
}

/// A running simulator. It has threads of its own, so that it works whatever runtime a test has, and it stops when it is
/// dropped, breaking what is still in flight.
pub struct Simulator {
    sim: Arc<Sim>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator and returns when it listens.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = std::net::TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let sim = Arc::new(Sim::new(settings, addr));
        let router = http::router(&sim);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener);
            // Nobody waits any more only when the starter is gone too.
            let _ = ready.send(listener.as_ref().map(|_| ()).map_err(io::Error::kind));
            let Ok(listener) = listener else { return };
            tokio::select! {
                // Serving ends with the stop alone; an error of one connection does not end it.
                _ = axum::serve(listener, router) => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("woodwide-sim".to_owned()).spawn(move || {
            runtime.block_on(serve);
            runtime.shutdown_background();
        })?;
        is_ready.recv().map_err(io::Error::other)?.map_err(io::Error::from)?;
        Ok(Self { sim, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.sim.addr
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.sim.addr)
    }

    /// Switches on the fault that the text names, and returns its number.
    pub fn arm(&self, spec: &str) -> Result<u64, SpecError> {
        Ok(self.sim.faults.arm(spec.parse::<Spec>()?))
    }

    /// Switches off the fault of this number, or all faults of this kind; returns how many.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn disarm(&self, number_or_kind: &str) -> usize {
        self.sim.faults.disarm(number_or_kind)
    }

    /// Switches off every fault.
    pub fn disarm_all(&self) {
        self.sim.faults.clear();
    }

    /// The faults that are switched on.
    #[must_use]
    pub fn faults(&self) -> Vec<ArmedFault> {
        self.sim.faults.list()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Entry> {
        self.sim.log.entries()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.sim.log.clear();
    }

    /// Datasets, models, jobs, keys (by label), credits and settings, as `GET /_sim/state` shows them.
    #[must_use]
    pub fn state(&self) -> Value {
        state::show(&self.sim)
    }

    /// The names of the datasets that are not deleted, oldest first.
    #[must_use]
    pub fn dataset_names(&self) -> Vec<String> {
        let world = self.sim.world();
        world.datasets.iter().filter(|dataset| !dataset.archived).map(|dataset| dataset.name.clone()).collect()
    }

    /// Makes a key good.
    pub fn add_key(&self, label: &str, secret: &str) {
        state::put_key(&self.sim, label, secret);
    }

    /// Makes the key of this label or secret be refused with a status, 401 or 403; false when there is none.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn revoke_key(&self, label_or_secret: &str, status: u16) -> bool {
        state::refuse_key(&self.sim, label_or_secret, Some(status))
    }

    /// Makes a key good again.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn restore_key(&self, label_or_secret: &str) -> bool {
        state::refuse_key(&self.sim, label_or_secret, None)
    }

    /// Moves the simulated time ahead.
    pub fn advance(&self, by: Duration) {
        self.sim.clock.advance(by);
    }

    /// As after the start, with the same address: the settings' keys and faults, nothing else.
    pub fn reset(&self) {
        self.sim.reset();
    }

    /// Stops it; also what dropping it does.
    pub fn stop(mut self) {
        self.halt();
    }

    /// Serves until the process is told to end.
    pub(crate) fn serve_until_signal(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                done = tokio::signal::ctrl_c() => done,
                _ = end.recv() => Ok(()),
            }
        })?;
        self.stop();
        Ok(())
    }

    fn halt(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have stopped by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.sim.addr).finish_non_exhaustive()
    }
}
