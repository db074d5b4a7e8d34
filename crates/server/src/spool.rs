//! Answers on their way to a client that may not read them yet: a little in memory, the rest in an unnamed temporary
//! file, all together within a budget. Bytes come out in the order in which they went in.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;

/// Unread bytes kept in memory per spool.
const MEMORY: usize = 256 << 10;
/// Bytes read back from the file at a time.
const CHUNK_BYTES: u64 = 64 << 10;

/// The disk space that all spools share.
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
    folder: Option<PathBuf>,
}

impl Budget {
    pub(crate) fn new(limit: u64, folder: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), folder })
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn open(&self) -> io::Result<File> {
        match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        }
    }
}

/// Memory holds what is older than the file; once the file is in use it is read empty before memory is used again.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four facts of three parties, each true on its own")]
struct Inner {
    memory: VecDeque<Bytes>,
    in_memory: usize,
    file: Option<Arc<File>>,
    read: u64,
    written: u64,
    /// A write past `written` is on its way; the file must not be rewound.
    writing: bool,
    /// No more will be written.
    finished: bool,
    /// The writer went away before it was finished.
    broken: bool,
    /// Nobody will read any more.
    abandoned: bool,
}

struct Shared {
    inner: Mutex<Inner>,
    readable: Notify,
    budget: Arc<Budget>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let written = self.lock().written;
        self.budget.give_back(written);
    }
}

/// Where answers go in.
pub(crate) struct Writer(Arc<Shared>);

/// Where they come out.
pub(crate) struct Reader(Arc<Shared>);

/// Why answers could not be kept.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// The budget is used up: the client must read first.
    Full,
    /// The file could not be written.
    Io(io::Error),
}

/// A spool with nothing in it.
pub(crate) fn spool(budget: &Arc<Budget>) -> (Writer, Reader) {
    let shared = Arc::new(Shared { inner: Mutex::default(), readable: Notify::new(), budget: Arc::clone(budget) });
    (Writer(Arc::clone(&shared)), Reader(shared))
}

impl Writer {
    /// Keeps `bytes` until they are read, without waiting for the reader.
    pub(crate) async fn push(&self, bytes: Bytes) -> Result<(), SpoolError> {
        let length = bytes.len() as u64;
        let (file, offset) = {
            let mut inner = self.0.lock();
            if inner.abandoned || bytes.is_empty() {
                return Ok(());
            }
            if inner.read == inner.written && inner.in_memory + bytes.len() <= MEMORY {
                inner.in_memory += bytes.len();
                inner.memory.push_back(bytes);
                drop(inner);
                self.0.readable.notify_one();
                return Ok(());
            }
            if !self.0.budget.take(length) {
                return Err(SpoolError::Full);
            }
            inner.writing = true;
            (inner.file.clone(), inner.written)
        };
        let budget = Arc::clone(&self.0.budget);
        let write = move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(budget.open()?),
            };
            file.write_all_at(&bytes, offset)?;
            Ok::<_, io::Error>(file)
        };
        let done = tokio::task::spawn_blocking(write).await.map_err(io::Error::other).flatten();
        let mut inner = self.0.lock();
        inner.writing = false;
        match done {
            Ok(file) => {
                inner.file = Some(file);
                inner.written += length;
                drop(inner);
                self.0.readable.notify_one();
                Ok(())
            }
            Err(error) => {
                drop(inner);
                self.0.budget.give_back(length);
                Err(SpoolError::Io(error))
            }
        }
    }

    /// Keeps the last words, budget or not, and ends the spool.
    pub(crate) fn finish(self, last: Bytes) {
        let mut inner = self.0.lock();
        // What is in the file is older: the last words wait apart, see `Reader::next`.
        inner.memory.push_back(last);
        inner.finished = true;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.broken = !inner.finished;
        drop(inner);
        self.0.readable.notify_one();
    }
}

enum Step {
    Piece(Bytes),
    File(Arc<File>, u64, usize),
    Wait,
    Broken,
    End,
}

impl Reader {
    /// Everything that is written, as it comes.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::unfold(self, |reader| async move {
            let piece = reader.next().await.transpose()?;
            Some((piece, reader))
        })
    }

    fn step(&self) -> Step {
        let mut inner = self.0.lock();
        let file_unread = inner.written - inner.read;
        // While the file has bytes, memory holds only the last words, which come after it.
        let last_words_only = inner.finished && inner.memory.len() == 1;
        if !(last_words_only && file_unread > 0)
            && let Some(piece) = inner.memory.pop_front()
        {
            inner.in_memory = inner.in_memory.saturating_sub(piece.len());
            return Step::Piece(piece);
        }
        match &inner.file {
            Some(file) if file_unread > 0 => {
                let length = usize::try_from(file_unread.min(CHUNK_BYTES)).unwrap_or(usize::MAX);
                Step::File(Arc::clone(file), inner.read, length)
            }
            _ if inner.finished => Step::End,
            _ if inner.broken => Step::Broken,
            _ => Step::Wait,
        }
    }

    async fn next(&self) -> io::Result<Option<Bytes>> {
        loop {
            match self.step() {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::End => return Ok(None),
                Step::Broken => return Err(io::Error::other("the intake ended before its answers were complete")),
                Step::Wait => self.0.readable.notified().await,
                Step::File(file, offset, length) => {
                    let read = move || {
                        let mut piece = vec![0; length];
                        file.read_exact_at(&mut piece, offset)?;
                        Ok::<_, io::Error>(piece)
                    };
                    let piece = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten()?;
                    self.consumed(piece.len() as u64);
                    return Ok(Some(piece.into()));
                }
            }
        }
    }

    /// Notes what was read of the file, and gives its space back when it was all.
    fn consumed(&self, bytes: u64) {
        let mut inner = self.0.lock();
        inner.read += bytes;
        if inner.read == inner.written && !inner.writing {
            let freed = inner.written;
            (inner.read, inner.written) = (0, 0);
            // A new file next time; the old one's space goes with its last handle.
            inner.file = None;
            drop(inner);
            self.0.budget.give_back(freed);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.abandoned = true;
        inner.memory.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    fn piece(n: usize, length: usize) -> Bytes {
        vec![u8::try_from(n % 251).unwrap(); length].into()
    }

    #[tokio::test]
    async fn an_unread_megabyte_comes_out_in_order_and_gives_its_space_back() {
        let budget = Budget::new(4 << 20, None);
        let (writer, reader) = spool(&budget);
        let mut expected = Vec::new();
        for n in 0..100 {
            let piece = piece(n, 10_000 + n);
            expected.extend_from_slice(&piece);
            writer.push(piece).await.unwrap();
        }
        assert!(budget.used.load(Ordering::Relaxed) > 500_000, "it was on disk");
        writer.finish(Bytes::from_static(b"end"));
        expected.extend_from_slice(b"end");
        let read: Vec<_> = reader.into_stream().map(Result::unwrap).collect().await;
        assert!(read.concat() == expected);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn reading_while_writing_keeps_the_order() {
        let budget = Budget::new(64 << 20, None);
        let (writer, reader) = spool(&budget);
        let writing = tokio::spawn(async move {
            for n in 0..600 {
                writer.push(piece(n, 5_000 + n * 7 % 3_000)).await.unwrap();
                if n % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            writer.finish(Bytes::new());
        });
        let read: Vec<_> = reader.into_stream().map(Result::unwrap).collect().await;
        writing.await.unwrap();
        let expected: Vec<_> = (0..600).flat_map(|n| piece(n, 5_000 + n * 7 % 3_000)).collect();
        assert!(read.concat() == expected);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_full_budget_is_said_and_the_rest_still_reads() {
        let budget = Budget::new(100_000, None);
        let (writer, reader) = spool(&budget);
        writer.push(piece(1, MEMORY)).await.unwrap();
        writer.push(piece(2, 90_000)).await.unwrap();
        assert!(matches!(writer.push(piece(3, 20_000)).await, Err(SpoolError::Full)));
        writer.finish(Bytes::from_static(b"end"));
        let read: Vec<_> = reader.into_stream().map(Result::unwrap).collect().await;
        assert_eq!(read.concat().len(), MEMORY + 90_000 + 3);
    }

    #[tokio::test]
    async fn a_writer_that_breaks_off_is_an_error_and_not_an_end() {
        let (writer, reader) = spool(&Budget::new(0, None));
        writer.push(piece(1, 5)).await.unwrap();
        drop(writer);
        let mut stream = std::pin::pin!(reader.into_stream());
        assert_eq!(stream.next().await.unwrap().unwrap().len(), 5);
        assert!(stream.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_reader_that_left_costs_nothing_more() {
        let budget = Budget::new(1 << 20, None);
        let (writer, reader) = spool(&budget);
        drop(reader);
        for n in 0..100 {
            writer.push(piece(n, 100_000)).await.unwrap();
        }
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn an_empty_spool_waits() {
        let (_writer, reader) = spool(&Budget::new(0, None));
        assert!(reader.next().now_or_never().is_none());
    }
}
