//! Room that is held for the day on which the disk is full: a start after a crash and an erasure write, too.
//!
//! A file of the data folder holds it. Emptied it says that the room was spent, also to the next start: until the disk has
//! room again there is none for sessions.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::private;

/// The file that holds the room.
pub(super) const RESERVE: &str = "reserve";
/// How much: the log that the database writes before it begins it anew, and as much again for what grows.
const BYTES: u64 = 32 << 20;
/// What stays free beside it. Else the room that was just spent would be taken at once from those it was spent for.
const SLACK: u64 = 8 << 20;
/// A disk with fewer free bytes is full.
const FULL: u64 = 1 << 20;
/// Between attempts to take the room from a disk that refuses it, such as by a quota.
const PAUSE: Duration = Duration::from_secs(60);

/// The room.
pub(super) struct Reserve {
    path: PathBuf,
    refused_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The disk had no room for it yet.
    Wanted,
    Held,
    Spent,
}

impl Reserve {
    /// That of `folder`; nothing is held yet, but for what an earlier process left.
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join(RESERVE), refused_at: None }
    }

    fn state(&self) -> State {
        match fs::metadata(&self.path) {
            Ok(found) if found.len() == 0 => State::Spent,
            // A copy may have left its blocks out.
            Ok(found) if found.len() == BYTES && found.blocks() * 512 >= BYTES => State::Held,
            _ => State::Wanted,
        }
    }

    /// Whether it was spent, and the disk has had no room for it since. Until then there is none for sessions.
    pub(super) fn is_spent(&self) -> bool {
        self.state() == State::Spent
    }

    /// Holds room if the disk, which has `free` bytes, has enough.
    pub(super) fn hold(&mut self, free: u64) {
        let state = self.state();
        let is_refused = self.refused_at.is_some_and(|at| at.elapsed() < PAUSE);
        if state == State::Held || free < BYTES + SLACK || is_refused {
            return;
        }
        self.refused_at = None;
        // A file system that does not tell what a file takes up, or gives nothing, is not asked again at once.
        if self.take().is_err() || self.state() != State::Held {
            self.refused_at = Some(Instant::now());
            // A part of it would be taken from others and help nobody.
            let _ = if state == State::Spent { self.empty() } else { fs::remove_file(&self.path) };
        }
    }

    /// Gives the room to whoever writes next; `false` where there is none.
    pub(super) fn spend(&mut self) -> bool {
        self.state() == State::Held && self.empty().is_ok()
    }

    /// The same, if the disk of the folder is full.
    pub(super) fn spend_if_full(&mut self) -> bool {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        free.is_ok_and(|free| free < FULL) && self.spend()
    }

    fn empty(&self) -> io::Result<()> {
        File::options().write(true).open(&self.path)?.set_len(0)
    }

    fn take(&self) -> io::Result<()> {
        let mut file = private::file(&self.path)?;
        #[cfg(target_os = "linux")]
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BYTES) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        // A file system that gives room only for what is written, and none for what it can compress.
        let mut piece = vec![0; 1 << 20];
        for _ in 0..BYTES / (1 << 20) {
            rand::fill(&mut piece[..]);
            file.write_all(&piece)?;
        }
        file.flush()
    }
}
