//! The folder and the file: who may open them, what survives, and what is said about a file that is no good.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::tests::{ROOMY, crash, open_in, settings};
use super::*;
use crate::contract::{at, claim, counts, found, process, scored, session, settle_all, submit, submit_all, verdict};
use crate::{Acceptance, Lookup};
use playproof_domain::queue::State;
use playproof_domain::result::Decision;

fn refusal(folder: &Path) -> StoreError {
    SqliteStore::open(&settings(folder, ROOMY), at(0).wall).err().expect("refused")
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    process(&store, session("done", at(0)), verdict(Decision::Review, 1.0), at(1)).await;
    submit_all(&store, &["gone", "waits"], at(2)).await;
    store.erase_session(crate::contract::key("gone"), at(3)).await.unwrap();
    store.set_running(false).await.unwrap();
    store.put_state("k".to_owned(), Some(b"v".to_vec())).await.unwrap();
    let before = (store.snapshot().await.unwrap(), found(&store, "done").await, found(&store, "waits").await);
    drop(store);
    assert!(!folder.path().join("playproof.sqlite-wal").exists(), "a store that was closed is one file");
    let store = open_in(folder.path());
    assert_eq!((store.snapshot().await.unwrap(), found(&store, "done").await, found(&store, "waits").await), before);
    assert_eq!(store.get_state("k".to_owned()).await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(store.accept(session("gone", at(4))).await.unwrap(), Acceptance::Erased);
    assert!(!store.snapshot().await.unwrap().running, "an operator's stop outlives the process");
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let answered = futures_util::future::join_all(
        (0..200).map(|i| format!("s{i}")).map(|id| async { store.accept(session(&id, at(0))).await.map(|_| id) }),
    );
    let answered = answered.await;
    let left = crash(folder.path());
    let survivor = open_in(left.path());
    for id in answered {
        assert_eq!(found(&survivor, &id.unwrap()).await.entry.state, State::Ready);
    }
    assert_eq!(counts(&survivor).await.ready, 200);
}

#[tokio::test]
async fn the_leases_of_an_earlier_process_are_void() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    submit_all(&store, &["a", "b", "c"], at(0)).await;
    let old = claim(&store, 2, at(1)).await;
    let left = crash(folder.path());
    let survivor = open_in(left.path());
    for id in ["a", "b"] {
        let entry = found(&survivor, id).await.entry;
        assert_eq!((entry.state, entry.lost_leases), (State::Ready, 1));
    }
    assert_eq!(counts(&survivor).await.ready, 3);
    let late = settle_all(&survivor, &old, scored(1.0), at(2)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))), "{late:?}");
    let new = claim(&survivor, 9, at(3)).await;
    assert!(new.lease.batch > old.lease.batch, "batch numbers are not used twice");
    let (row, _) = survivor.batch(old.lease.batch).await.unwrap().unwrap();
    assert_eq!(row.end.unwrap().outcome, crate::BatchOutcome::Abandoned);
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_in(folder.path());
    let refused = refusal(folder.path());
    assert!(matches!(refused, StoreError::InUse(_)), "{refused:?}");
    assert!(refused.to_string().contains("another process uses the data folder"), "{refused}");
    drop(first);
    open_in(folder.path());
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_in(folder.path()));
    let file = folder.path().join(DATABASE);
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(refusal(folder.path()), StoreError::Newer { found: 99, known: schema::VERSION });
    assert!(refusal(folder.path()).to_string().contains("run a newer"));
    assert!(fs::read(&file).unwrap() == before, "not a byte is changed");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, "text").unwrap();
    let refused = refusal(&file.join("below")).to_string();
    assert!(refused.contains("cannot write to the data folder") && refused.contains("PLAYPROOF_STORE"), "{refused}");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere.
    if fs::write(closed.join("probe"), "").is_err() {
        assert!(refusal(&closed).to_string().contains("cannot write to the data folder"));
    }
}

#[tokio::test]
async fn damage_is_told_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(DATABASE),
        "this is no database, but it is long enough to be taken for one".repeat(90),
    )
    .unwrap();
    let refused = refusal(folder.path());
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert!(refused.to_string().contains("restore a backup"), "{refused}");

    let whole = tempfile::tempdir().unwrap();
    let store = open_in(whole.path());
    let names: Vec<String> = (0..200).map(|i| format!("s{i}")).collect();
    submit_all(&store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    drop(store);
    let bytes = fs::read(whole.path().join(DATABASE)).unwrap();
    for page in 0..bytes.len() / 4096 {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = bytes.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(folder.path().join(DATABASE), damaged).unwrap();
        let Ok(store) = SqliteStore::open(&settings(folder.path(), ROOMY), at(0).wall) else { continue };
        let lookups = [store.session(crate::contract::key("s7")).await.map(drop), store.snapshot().await.map(drop)];
        let written = store.accept(session("new", at(1))).await;
        let said = lookups.into_iter().chain([written.map(drop)]).filter_map(Result::err);
        for error in said {
            assert!(matches!(error, StoreError::Corrupt(_) | StoreError::Unavailable(_)), "page {page}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_backup_is_a_store_and_can_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    process(&store, session("done", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    submit(&store, session("waits", at(2))).await;
    store.put_state("k".to_owned(), Some(b"v".to_vec())).await.unwrap();
    let copy = folder.path().join("copy");
    store.backup(copy.clone()).await.unwrap();
    submit(&store, session("later", at(3))).await;
    let place = folder.path().join("place");
    restore(&copy, &place).unwrap();
    let restored = open_in(&place);
    assert_eq!(found(&restored, "done").await, found(&store, "done").await);
    assert_eq!(counts(&restored).await.accepted, 2);
    assert_eq!(restored.get_state("k".to_owned()).await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(restored.session(crate::contract::key("later")).await.unwrap(), Lookup::Unknown);
    assert!(matches!(restore(&copy, &place), Err(StoreError::InUse(_))), "a store is never written over");
    assert!(restore(&folder.path().join("nothing"), &folder.path().join("new")).is_err());
}

#[tokio::test]
async fn writing_goes_on_during_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let names: Vec<String> = (0..300).map(|i| format!("s{i}")).collect();
    let intake = async {
        for id in &names {
            submit(&store, session(id, at(0))).await;
        }
    };
    let copy = folder.path().join("copy");
    let (copied, ()) = tokio::join!(store.backup(copy.clone()), intake);
    copied.unwrap();
    let copied = open_in(&copy);
    let kept = counts(&copied).await.ready;
    for id in names.iter().take(usize::try_from(kept).unwrap()) {
        found(&copied, id).await;
    }
}

#[test]
fn an_earlier_version_is_copied_before_it_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_in(folder.path()));
    let path = folder.path().join(DATABASE);
    let mut connection = connect(&path, WRITER_CACHE_KIB).unwrap();
    // What later versions added, taken away again.
    let older = "DROP TABLE key_filters; DROP TABLE decision_buckets; DROP INDEX results_to_review; DROP TABLE challenges; DROP TABLE controls; DROP TABLE controls_version; DROP TABLE audit; DROP TABLE revisions; \
                 DROP TABLE labels; DROP TABLE deliveries; ALTER TABLE results DROP COLUMN supported; \
                 ALTER TABLE results DROP COLUMN noted; ALTER TABLE results DROP COLUMN surely_replayed; \
                 ALTER TABLE results DROP COLUMN scored; ALTER TABLE results DROP COLUMN compared; \
                 DROP TABLE sketches; DROP TABLE uncompared; DROP TABLE matches; \
                 DROP TABLE campaigns; DROP TABLE campaign_members; \
                 ALTER TABLE batches DROP COLUMN adjusted_p; ALTER TABLE batches DROP COLUMN adjusted_of; \
                 ALTER TABLE sessions DROP COLUMN first_model; PRAGMA user_version = 1;";
    connection.execute_batch(older).unwrap();
    drop(open_in(folder.path()));
    let kept = path.with_extension("v1.backup");
    assert_eq!(schema::version(&Connection::open(&kept).unwrap()).unwrap(), 1);
    assert_eq!(schema::version(&connection).unwrap(), schema::VERSION);
    assert_eq!(keep_copy(&path, 0, schema::VERSION).unwrap(), None, "an empty file needs none");
    assert_eq!(keep_copy(&path, schema::VERSION, schema::VERSION).unwrap(), None);
    schema::migrate(&mut connection).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), schema::VERSION, "migrating twice changes nothing");
}

#[tokio::test]
async fn sketches_of_an_earlier_layout_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let known = process(&store, session("known", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    let pruned = process(&store, session("pruned", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    drop(store);
    let connection = connect(&folder.path().join(DATABASE), WRITER_CACHE_KIB).unwrap();
    let older = format!(
        "DROP TABLE key_filters; DROP TABLE decision_buckets; DROP INDEX results_to_review; DROP TABLE challenges; DROP TABLE campaigns; DROP TABLE campaign_members; ALTER TABLE labels DROP COLUMN campaign; \
         ALTER TABLE results DROP COLUMN scored; ALTER TABLE results DROP COLUMN compared; \
         DROP TABLE uncompared; CREATE TABLE sketch_keys (key INTEGER, session INTEGER); \
         CREATE TABLE sketches_waiting (session INTEGER); INSERT INTO sketches VALUES ({0}, x'01'), ({1}, x'01'); \
         DELETE FROM telemetry WHERE session = {1}; PRAGMA user_version = 4;",
        known.0, pruned.0
    );
    connection.execute_batch(&older).unwrap();
    drop(connection);
    let store = open_in(folder.path());
    assert!(store.sketches(vec![known, pruned]).await.unwrap().is_empty());
    let waiting = store.uncompared(9, at(2)).await.unwrap();
    assert_eq!(waiting.iter().map(|one| (one.standing.seq, one.only_sketch)).collect::<Vec<_>>(), [(known, true)]);
    assert_eq!(store.comparison_backlog().await.unwrap().sessions, 0, "it was compared before");
    assert_eq!(counts(&store).await.processed, 2, "and what was decided before is counted by time");
}
