//! What only the embedded store promises: its folder, its file, its room, and what erasure leaves behind.

use std::fs;
use std::path::Path;

use super::*;
use crate::store::contract::{Fixture, at, check_random_histories, store_contract};

/// No limits, so that the machine's disk decides nothing.
pub(super) const ROOMY: CapacityLimits = CapacityLimits { queue_limit: 1_000_000, store_limit: None, min_free_disk: 0 };

pub(super) fn settings(folder: &Path, room: CapacityLimits) -> SqliteSettings {
    SqliteSettings { folder: folder.to_owned(), room, autostart: true }
}

pub(super) fn open_in(folder: &Path) -> SqliteStore {
    SqliteStore::open(&settings(folder, ROOMY), at(0).wall).unwrap()
}

async fn open(queue_limit: u64) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let room = CapacityLimits { queue_limit, ..ROOMY };
    let store = SqliteStore::open(&settings(folder.path(), room), at(0).wall).unwrap();
    Fixture { store: Box::new(store), keep: Box::new(folder) }
}

store_contract!(open);

/// Copies the files as they are between two commits, which is what a process that is killed leaves behind.
pub(super) fn crash(folder: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        // The shared-memory index is no part of the durable state: it is made anew from the log.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
        }
    }
    left
}

#[test]
fn random_histories_agree_with_the_model() {
    check_random_histories(96, true, open, async |fixture: Fixture, now: Now| {
        let folder = fixture.keep.downcast_ref::<tempfile::TempDir>().unwrap();
        let left = crash(folder.path());
        let store = SqliteStore::open(&settings(left.path(), ROOMY), now.wall).unwrap();
        drop(fixture);
        Fixture { store: Box::new(store), keep: Box::new(left) }
    });
}
