//! A replica against its store: when it may be asked, and what is asked instead.

use std::sync::Arc;
use std::time::Duration;

use super::{PostgresSettings, PostgresStore, ReplicaSettings, Time};
use crate::testing::cluster::{Cluster, psql};
use crate::testing::{at, final_session, submit, verdict};
use crate::{Lists, ReadReplica, ReplicaState, ResultQuery, Store};
use playproof_domain::result::Decision;

/// Waits until the replica is in a state.
async fn until(replica: &dyn ReadReplica, state: ReplicaState) {
    let reached = async {
        while replica.state() != state {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limit = Duration::from_secs(20);
    assert!(tokio::time::timeout(limit, reached).await.is_ok(), "never {state:?}, but {:?}", replica.state());
}

#[tokio::test]
async fn a_replica_that_is_too_far_behind_is_not_asked() {
    let primary = Cluster::start(false);
    let standby = primary.standby();
    let settings = PostgresSettings {
        url: primary.url(),
        connections: 4,
        queue_limit: 100,
        store_limit: None,
        autostart: false,
        time: Time::Callers,
        patience: Duration::ZERO,
    };
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let asked = ReplicaSettings { url: standby.url(), connections: 4, max_lag: Duration::from_secs(1) };
    let replica: Arc<dyn ReadReplica> = Arc::new(store.replica(&asked).await.unwrap());
    let store: Arc<dyn Store> = Arc::new(store);
    let lists = Lists::new(Arc::clone(&store), Some(Arc::clone(&replica)));
    until(replica.as_ref(), ReplicaState::Ok).await;
    let listed = async || lists.results(ResultQuery { limit: 10, ..ResultQuery::default() }).await.unwrap().rows.len();

    psql(&standby.url(), "SELECT pg_wal_replay_pause()");
    submit(store.as_ref(), final_session("a", verdict(Decision::Pass, 1.0), at(1))).await;
    until(replica.as_ref(), ReplicaState::Behind).await;
    assert_eq!((listed().await, lists.replica()), (1, Some(ReplicaState::Behind)), "the store's own list");
    psql(&standby.url(), "SELECT pg_wal_replay_resume()");
    until(replica.as_ref(), ReplicaState::Ok).await;
    assert_eq!(replica.results(ResultQuery { limit: 10, ..ResultQuery::default() }).await.unwrap().rows.len(), 1);

    // An answer that fails is the store's to give.
    standby.tell("kill");
    assert_eq!(listed().await, 1);
    until(replica.as_ref(), ReplicaState::Away).await;
}
