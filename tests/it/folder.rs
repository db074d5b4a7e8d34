//! The data folder of the embedded store: who may look into it, and what a node says when something is missing from it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::{Told, fill};
use crate::process::{Process, binary};

/// Everything below `folder` with its mode, the folder first.
fn modes(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mode = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        (path.to_owned(), found.is_dir(), found.permissions().mode() & 0o777)
    };
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    std::iter::once(folder.to_owned()).chain(inside).map(|path| mode(&path)).collect()
}

fn assert_private(folder: &Path) {
    let found = modes(folder);
    assert!(found.len() > 1, "{found:?}");
    for (path, is_folder, mode) in found {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
    }
}

fn run(args: &[&str], store: &str) -> Output {
    binary(&[("PLAYPROOF_STORE", store)]).args(args).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_may_read_data_and_copies_whatever_the_umask() {
    let place = tempfile::tempdir().unwrap();
    let (data, copy, restored) = (place.path().join("data"), place.path().join("copy"), place.path().join("restored"));
    let store = format!("embedded:{}", data.display());
    let node = Process::with_umask("000", &store, &[]);
    fill(&node.url, &Told::default(), 20).await;
    assert_private(&data);
    let shell = |command: &str, store: &str| {
        let program = env!("CARGO_BIN_EXE_playproof-batch");
        let script = format!("umask 000; exec {program} {command}");
        let done = Command::new("sh").args(["-c", &script]).env_clear().env("PLAYPROOF_STORE", store).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    shell(&format!("backup {}", copy.display()), &store);
    assert_private(&copy);
    shell(&format!("restore {}", copy.display()), &format!("embedded:{}", restored.display()));
    assert_private(&restored);
    node.kill();
    // What an earlier version left open is closed at the next start.
    for (path, is_folder, _) in modes(&data) {
        let open = std::fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 });
        std::fs::set_permissions(path, open).unwrap();
    }
    let node = Process::on(&store, &[]);
    assert_private(&data);
    node.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_lost_its_database_is_refused_with_the_mend() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let store = format!("embedded:{}", data.display());
    let node = Process::on(&store, &[]);
    fill(&node.url, &Told::default(), 5).await;
    node.terminate();
    let database = data.join("playproof.sqlite");
    let away = place.path().join("away.sqlite");
    std::fs::rename(&database, &away).unwrap();
    for what in ["is missing", "is empty"] {
        for command in ["serve", "check"] {
            let refused = run(&[command], &store);
            let told =
                String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
            assert_eq!(refused.status.code(), Some(1), "{command}: {told}");
            assert!(told.contains(what) && told.contains("restore a backup"), "{command}: {told}");
        }
        std::fs::write(&database, "").unwrap();
    }
    std::fs::rename(&away, &database).unwrap();
    assert!(run(&["check"], &store).status.success(), "the file that was put back is taken");
}

#[test]
fn a_backup_that_was_interrupted_is_begun_anew() {
    let place = tempfile::tempdir().unwrap();
    let (data, copy) = (place.path().join("data"), place.path().join("copy"));
    let store = format!("embedded:{}", data.display());
    assert!(run(&["migrate"], &store).status.success());
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join("copying.sqlite"), "half of it").unwrap();
    let copied = run(&["backup", copy.to_str().unwrap()], &store);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert!(copy.join("playproof.sqlite").exists() && !copy.join("copying.sqlite").exists());
}
