//! The index of keys over many segments: nothing is lost between memory, table and filters.

use super::keys::{Key, KeyIndex, KeyKind};
use super::tests::open_in;
use super::*;
use crate::contract::*;
use playproof_domain::result::Decision;

const SEGMENT: i64 = 1 << 20;

fn hash(n: i64) -> i64 {
    n.wrapping_mul(0x5851_f42d_4c95_7f2d).rotate_left(31).wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn key(kind: KeyKind, seq: i64) -> Key {
    Key { kind, hash: hash(seq), seq }
}

fn open() -> (Connection, KeyIndex) {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    let secret = "INSERT INTO meta VALUES ('secret', zeroblob(32)); \
                  INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, NULL, 0)";
    connection.execute_batch(secret).unwrap();
    let index = KeyIndex::load(&connection, 0).unwrap();
    (connection, index)
}

/// A hundred sessions at the begin of each of five segments, their keys in the table.
fn filled() -> (Connection, KeyIndex) {
    let (connection, mut index) = open();
    for segment in 0..5 {
        let seqs = segment * SEGMENT + 1..segment * SEGMENT + 101;
        let keys =
            seqs.clone().flat_map(|seq| [key(KeyKind::Session, seq), Key { hash: 7, ..key(KeyKind::User, seq) }]);
        index.write_all(&connection, keys.collect(), seqs.end - 1).unwrap();
        index.committed();
    }
    (connection, index)
}

fn filters(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT segment FROM key_filters ORDER BY segment").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_key_is_found_in_whichever_segment_it_is() {
    let (connection, index) = filled();
    assert_eq!(filters(&connection), [0, 1, 2, 3], "the last one still gets keys");
    // As the process that wrote it sees it, and as the next one does.
    for index in [&index, &KeyIndex::load(&connection, 0).unwrap()] {
        let recent = index.recent();
        for seq in (0..5).flat_map(|segment| [segment * SEGMENT + 1, segment * SEGMENT + 100]) {
            assert_eq!(recent.candidates(&connection, KeyKind::Session, hash(seq)).unwrap(), [seq]);
        }
        assert!(recent.candidates(&connection, KeyKind::Session, hash(SEGMENT - 1)).unwrap().is_empty());
        assert_eq!(recent.candidates(&connection, KeyKind::User, 7).unwrap().len(), 500, "a user is in all of them");
        assert!(recent.candidates(&connection, KeyKind::Session, 7).unwrap().is_empty(), "and no session");
    }
}

#[test]
fn what_a_transaction_that_failed_did_to_the_index_is_undone() {
    let (connection, mut index) = filled();
    connection.execute_batch("BEGIN").unwrap();
    let oldest = key(KeyKind::Session, 1);
    for seq in 1..=100 {
        index.remove(&connection, key(KeyKind::Session, seq)).unwrap();
    }
    index.forget_before(&connection, SEGMENT + 1).unwrap();
    // Seals the segment before it.
    index.write_all(&connection, vec![key(KeyKind::Session, 6 * SEGMENT)], 6 * SEGMENT).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
    index.rolled_back();
    assert_eq!(filters(&connection), [0, 1, 2, 3]);
    let recent = index.recent();
    assert_eq!(recent.candidates(&connection, KeyKind::Session, oldest.hash).unwrap(), [1]);
    let later = 4 * SEGMENT + 200;
    index.write_all(&connection, vec![key(KeyKind::Session, later)], later).unwrap();
    index.committed();
    assert_eq!(recent.candidates(&connection, KeyKind::Session, hash(later)).unwrap(), [later]);
}

#[test]
fn a_segment_whose_sessions_are_gone_is_forgotten() {
    let (connection, mut index) = filled();
    for seq in 1..=100 {
        index.remove(&connection, key(KeyKind::Session, seq)).unwrap();
    }
    index.committed();
    assert!(index.recent().candidates(&connection, KeyKind::Session, hash(1)).unwrap().is_empty());
    index.forget_before(&connection, SEGMENT + 1).unwrap();
    index.committed();
    assert_eq!(filters(&connection), [1, 2, 3]);
    assert_eq!(index.recent().candidates(&connection, KeyKind::Session, hash(SEGMENT + 1)).unwrap(), [SEGMENT + 1]);
}

#[tokio::test]
async fn a_file_of_the_version_before_knows_its_sessions_and_users_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    process(&store, session("done", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    submit(&store, session("waiting", at(0))).await;
    drop(store);
    let connection = connect(&folder.path().join(DATABASE), WRITER_CACHE_KIB).unwrap();
    let older = "DROP TABLE key_filters; DROP TABLE keys; \
                 CREATE TABLE keys (hash INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) WITHOUT ROWID; \
                 INSERT INTO keys SELECT id_hash, seq FROM sessions; UPDATE totals SET indexed = 2; \
                 PRAGMA user_version = 9;";
    connection.execute_batch(older).unwrap();
    drop(connection);
    let store = open_in(folder.path());
    for id in ["done", "waiting"] {
        let again = store.accept(session(id, at(2))).await.unwrap();
        assert!(matches!(again, Acceptance::Duplicate(_)), "{again:?}");
    }
    assert_eq!(store.erase_user(None, "user-of-done".to_owned(), at(3)).await.unwrap(), 1);
}
