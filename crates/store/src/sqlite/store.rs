//! The open store: its writer, and readers with connections of their own.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::connection::{READER_CACHE_KIB, connect};
use super::fault::Fault;
use super::keys::RecentKeys;
use super::state::WriterState;
use super::writer::Writer;
use crate::encoding::KeyHasher;
use crate::{NodeRow, StoreError, StoreResult};

/// Readers at the same time; more wait.
const MAX_READERS: usize = 4;
/// Of them on other threads than those that the store was opened on. They work for nobody who waits, at low priority, and
/// must leave places to those that do.
const MAX_READERS_BEHIND: usize = 2;

/// The embedded store, open.
pub struct SqliteStore {
    pub(super) folder: PathBuf,
    // Before the lock, so that the file is closed when somebody else may have it.
    pub(super) writer: Writer,
    pub(super) readers: Arc<Readers>,
    pub(super) hasher: KeyHasher,
    pub(super) recent: RecentKeys,
    /// Whether a reader came upon damage.
    pub(super) damaged: AtomicBool,
    pub(super) node: Mutex<Option<(NodeRow, Instant)>>,
    pub(super) ready: Arc<Notify>,
    pub(super) _lock: File,
}

/// Connections that read.
pub(super) struct Readers {
    path: PathBuf,
    pub(super) idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    /// The runtime that the store was opened on.
    home: Option<tokio::runtime::Id>,
    places_behind: Semaphore,
}

impl SqliteStore {
    /// Runs `run` on a connection of its own, which sees one state of the store.
    pub(super) async fn read<T, F>(&self, run: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let closed = |what: String| StoreError::Unavailable(what);
        let is_behind = self.readers.home.is_some_and(|home| home != Handle::current().id());
        let behind = if is_behind { Some(self.readers.places_behind.acquire().await) } else { None };
        let place = self.readers.places.acquire().await.map_err(|e| closed(e.to_string()))?;
        let outcome = tokio::task::spawn_blocking(move || readers.run(run)).await;
        drop((place, behind));
        let outcome = outcome.map_err(|e| closed(e.to_string()))?.map_err(|fault| fault.for_callers());
        self.note_damage(&outcome);
        outcome
    }

    /// Remembers for `health` that something cannot be read.
    pub(super) fn note_damage<T>(&self, outcome: &StoreResult<T>) {
        if matches!(outcome, Err(StoreError::Corrupt(_))) {
            self.damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Removes what an erasure left in unused parts of the file and in the write-ahead log; a reader may be in the way for
    /// a moment.
    pub(super) async fn remove_traces(&self) -> StoreResult<()> {
        let mut page = Some(1);
        while let Some(first) = page {
            page = self.writer.execute(move |state| state.scrub_step(first)).await?;
        }
        for _ in 0..50 {
            let emptied = self.writer.outside(WriterState::empty_log).await;
            // What was erased is erased, so this is no refusal.
            let emptied = emptied.map_err(|error| match error {
                StoreError::Full(why) => {
                    StoreError::Unavailable(format!("erased, but traces are left in the log: {why}"))
                }
                other => other,
            });
            if emptied? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(StoreError::Unavailable(
            "erased, but readers kept the log from being emptied; it empties by itself".to_owned(),
        ))
    }

    /// Repeats `step` until it has nothing left to do; the total.
    pub(super) async fn repeat<F>(&self, step: F) -> StoreResult<u64>
    where
        F: Fn(&mut WriterState) -> Result<u64, Fault> + Clone + Send + 'static,
    {
        let mut total = 0;
        loop {
            let done = self.writer.execute(step.clone()).await?;
            total += done;
            if done == 0 {
                return Ok(total);
            }
        }
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(MAX_READERS),
            home: Handle::try_current().ok().map(|home| home.id()),
            places_behind: Semaphore::new(MAX_READERS_BEHIND),
        }
    }

    fn run<T>(&self, run: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let connection = connect(&self.path, READER_CACHE_KIB)?;
            connection.pragma_update(None, "query_only", true)?;
            connection
        };
        let outcome = run(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        outcome
    }
}
