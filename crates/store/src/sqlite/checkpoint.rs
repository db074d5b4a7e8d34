//! Checkpoints: pages of the write-ahead log go into the file on a thread of its own, so that no commit waits for them.
//!
//! SQLite begins the log anew only when every page of it is in the file, and under load new ones come while a checkpoint
//! runs. So where the log has become long, the thread leaves the writer the few pages that came last: it moves those between
//! two groups, and its next commit begins the log anew.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{READER_CACHE_KIB, connect};
use super::fault::Fault;

/// When pages are moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// So many pages that are not in the file yet are moved: 16 MiB.
    pub(super) pages: u32,
    /// A log of so many pages begins anew as soon as it can: 64 MiB.
    pub(super) begin_anew: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { pages: 1024, begin_anew: 4096 }
    }
}

/// Passes over a long log before the writer takes the rest: each finds only what came during the one before.
const MAX_PASSES: usize = 3;
/// So few pages are left to the writer at once.
const FEW_PAGES: u32 = 64;
/// How long the thread pauses after a pass that moved nothing: a reader holds the log, or somebody else moves it.
const PAUSE: Duration = Duration::from_millis(100);

/// Pages in the log, and how many of them are in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    log: u32,
    moved: u32,
    /// Set by the thread: the rest is the writer's.
    rest: bool,
    /// Set while the writer empties the log, which nobody else can move then.
    held: bool,
    ends: bool,
}

impl Progress {
    /// Pages that are not in the file yet.
    fn left(&self) -> u32 {
        self.log.saturating_sub(self.moved)
    }
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
    /// Held during a pass of the thread.
    passing: Mutex<()>,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that moves pages of the log of one file; ends when dropped.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Moves what `writer` commits into the file at `path`, which SQLite then no longer does by itself.
    pub(super) fn start(writer: &mut Connection, path: &Path, limits: LogLimits) -> Result<Self, Fault> {
        let connection = connect(path, READER_CACHE_KIB)?;
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            let pages = u32::try_from(pages).unwrap_or_default();
            let mut progress = told.progress();
            if pages < progress.log {
                // The log has begun anew.
                progress.moved = 0;
            }
            progress.log = pages;
            if progress.left() >= limits.pages {
                told.changed.notify_one();
            }
            Ok(())
        }))?;
        let works = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || run(&connection, &works, limits))
            .map_err(|e| crate::StoreError::Unavailable(format!("the checkpoints' thread did not start: {e}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Moves what the thread has left to the writer, if anything; called between two transactions.
    pub(super) fn finish(&self, writer: &Connection) {
        if !std::mem::take(&mut self.shared.progress().rest) {
            return;
        }
        self.shared.passed(pass(writer));
        self.shared.changed.notify_one();
    }

    /// Runs `empty` while the thread leaves the log alone.
    pub(super) fn while_held<T>(&self, empty: impl FnOnce() -> T) -> T {
        self.shared.progress().held = true;
        let passing = self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let emptied = empty();
        drop(passing);
        self.shared.progress().held = false;
        self.shared.changed.notify_one();
        emptied
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.progress().ends = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Notes what a pass came to; whether it moved anything. A disk that is full, say, fails commits too, and those are
    /// told. Nothing is lost: the pages stay in the log.
    fn passed(&self, passed: Result<Option<Passed>, Fault>) -> bool {
        let found = passed.unwrap_or_else(|fault| {
            tracing::debug!(error = %fault, "the log could not be moved into the file");
            None
        });
        let Some(Passed { log, moved }) = found else { return false };
        let mut progress = self.progress();
        let is_more = moved != progress.moved;
        (progress.log, progress.moved) = (progress.log.max(log), moved);
        is_more
    }

    /// One pass of the thread, unless the writer holds the log.
    fn turn(&self, connection: &Connection) -> bool {
        let _passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        !self.progress().held && self.passed(pass(connection))
    }
}

fn run(connection: &Connection, shared: &Shared, limits: LogLimits) {
    loop {
        {
            let waits = |p: &mut Progress| !p.ends && (p.rest || p.held || p.left() < limits.pages);
            let progress = shared.changed.wait_while(shared.progress(), waits).unwrap_or_else(PoisonError::into_inner);
            if progress.ends {
                return;
            }
        }
        let mut has_moved = shared.turn(connection);
        let is_long = |p: &Progress| p.log >= limits.begin_anew && !p.ends;
        for _ in 1..MAX_PASSES {
            let progress = *shared.progress();
            if !has_moved || !is_long(&progress) || progress.left() <= FEW_PAGES {
                break;
            }
            has_moved = shared.turn(connection);
        }
        let mut progress = shared.progress();
        if has_moved {
            progress.rest = is_long(&progress);
        } else {
            let pauses = |p: &mut Progress| !p.ends;
            drop(shared.changed.wait_timeout_while(progress, PAUSE, pauses));
        }
    }
}

/// What a pass came to.
struct Passed {
    /// Pages of the log.
    log: u32,
    /// How many of them are in the file.
    moved: u32,
}

/// Moves all pages that no reader holds back; `None` where somebody else moves the log.
fn pass(connection: &Connection) -> Result<Option<Passed>, Fault> {
    let passed = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let pages = |name: &str| row.get::<_, i64>(name).map(u32::try_from);
        let (log, moved) = (pages("log")?, pages("checkpointed")?);
        let is_free = row.get::<_, i64>("busy")? == 0;
        Ok(log.ok().zip(moved.ok()).filter(|_| is_free).map(|(log, moved)| Passed { log, moved }))
    })?;
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LIMITS: LogLimits = LogLimits { pages: 8, begin_anew: 32 };

    /// A file with a table, its log moved by a thread.
    fn open(path: &Path) -> (Connection, Checkpointer) {
        let mut writer = connect(path, READER_CACHE_KIB).unwrap();
        writer.execute_batch("CREATE TABLE IF NOT EXISTS rows (value BLOB)").unwrap();
        let checkpointer = Checkpointer::start(&mut writer, path, LIMITS).unwrap();
        (writer, checkpointer)
    }

    fn write(writer: &Connection) {
        writer.execute("INSERT INTO rows (value) VALUES (randomblob(12000))", []).unwrap();
    }

    fn rows(connection: &Connection) -> u32 {
        connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_log_is_moved_into_the_file_beside_the_writer_and_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (writer, checkpointer) = open(&path);
        let log = folder.path().join("file-wal");
        for _ in 0..400 {
            write(&writer);
            // As fast as commits on a disk come: the thread is let do its part.
            let waits = |p: Progress| p.left() >= LIMITS.begin_anew && !p.rest;
            while waits(*checkpointer.shared.progress()) {
                std::thread::yield_now();
            }
            checkpointer.finish(&writer);
        }
        // 400 rows of a page each; a log that never began anew would hold all of them, 6.5 MB.
        let longest = fs::metadata(&log).unwrap().len();
        assert!(longest < 2 * 32 * 17_000, "{longest} bytes");
        drop(checkpointer);
        // What is left in the log is not needed for what was moved.
        let moved = folder.path().join("moved");
        fs::copy(&path, &moved).unwrap();
        assert!(rows(&Connection::open(&moved).unwrap()) > 300);
        assert_eq!(rows(&writer), 400);
    }

    #[test]
    fn the_log_can_be_emptied_at_any_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (writer, checkpointer) = open(&path);
        for n in 0..200 {
            write(&writer);
            if n % 9 == 0 {
                let empty = || writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
                assert_eq!(checkpointer.while_held(empty).unwrap(), 0, "somebody else moved the log");
                assert_eq!(fs::metadata(folder.path().join("file-wal")).unwrap().len(), 0);
            }
            checkpointer.finish(&writer);
        }
        assert_eq!(rows(&writer), 200);
    }

    #[test]
    fn a_reader_that_stays_holds_the_log_back_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (writer, checkpointer) = open(&path);
        write(&writer);
        let mut reader = connect(&path, READER_CACHE_KIB).unwrap();
        let snapshot = reader.transaction().unwrap();
        assert_eq!(rows(&snapshot), 1);
        for _ in 0..100 {
            write(&writer);
            checkpointer.finish(&writer);
        }
        assert_eq!((rows(&snapshot), rows(&writer)), (1, 101));
        assert!(!checkpointer.shared.progress().rest, "a pass that moves nothing leaves nothing to the writer");
        drop(snapshot);
        drop(checkpointer);
        drop((writer, reader));
        assert_eq!(rows(&Connection::open(&path).unwrap()), 101);
    }
}
