//! Room that is held for the day on which the disk is full: a start after a crash and an erasure write, too.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::private;

/// The file that holds the room.
pub(super) const RESERVE: &str = "reserve";
/// How much: the log that the database writes before it begins it anew, and as much again for what grows.
const BYTES: u64 = 32 << 20;

/// What stays free beside it. Else the room that was just spent would be taken at once from those it was spent for.
const SLACK: u64 = 8 << 20;

/// The room.
pub(super) struct Reserve {
    path: PathBuf,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    /// The disk had no room for it yet.
    Wanted,
    Held,
    Spent,
}

/// Gives the room of a store that nobody has open to whoever writes next; `false` where there is none.
pub(super) fn give_up(folder: &Path) -> bool {
    fs::remove_file(folder.join(RESERVE)).is_ok()
}

impl Reserve {
    /// That of `folder`; nothing is held yet, but for what an earlier process left.
    pub(super) fn of(folder: &Path) -> Self {
        let path = folder.join(RESERVE);
        let is_held = fs::metadata(&path).is_ok_and(|found| found.len() == BYTES);
        Self { path, state: if is_held { State::Held } else { State::Wanted } }
    }

    /// Whether it was spent, and the disk has had no room for it since. Until then there is none for sessions.
    pub(super) fn is_spent(&self) -> bool {
        self.state == State::Spent
    }

    /// Holds room if the disk, which has `free` bytes, has enough.
    pub(super) fn hold(&mut self, free: u64) {
        if self.state == State::Held || free < BYTES + SLACK {
            return;
        }
        if self.take().is_ok() {
            self.state = State::Held;
        } else {
            // A part of it would be taken from others and help nobody.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives the room to whoever writes next; `false` where there is none.
    pub(super) fn spend(&mut self) -> bool {
        let spent = self.state == State::Held && fs::remove_file(&self.path).is_ok();
        if spent {
            self.state = State::Spent;
        }
        spent
    }

    fn take(&self) -> io::Result<()> {
        let mut file = private::file(&self.path)?;
        #[cfg(target_os = "linux")]
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BYTES).is_ok() {
            return Ok(());
        }
        // A file system that gives room only for what is written.
        io::copy(&mut io::Read::take(io::repeat(0), BYTES), &mut file)?;
        file.flush()
    }
}
