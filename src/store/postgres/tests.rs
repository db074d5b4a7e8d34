//! The contract on a real PostgreSQL, and what only the shared store promises.

use super::*;
use crate::store::contract::{Fixture, at, check_random_histories, store_contract};

#[path = "../../../tests/cluster/mod.rs"]
pub(super) mod cluster;

/// A new store in a schema of its own, on the tests' time.
pub(super) fn settings(queue_limit: u64) -> PostgresSettings {
    PostgresSettings {
        url: cluster::schema_in(cluster::shared()),
        connections: 4,
        queue_limit,
        store_limit: None,
        autostart: true,
        time: Time::Callers,
        patience: Duration::ZERO,
    }
}

async fn open(queue_limit: u64) -> Fixture {
    let settings = settings(queue_limit);
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    Fixture { store: Box::new(store), keep: Box::new(settings) }
}

store_contract!(open);

#[test]
fn random_histories_agree_with_the_model() {
    check_random_histories(24, false, open, async |fixture: Fixture, now: Now| {
        let settings = *fixture.keep.downcast::<PostgresSettings>().unwrap();
        drop(fixture.store);
        let store = PostgresStore::open(&settings, now.wall).await.unwrap();
        Fixture { store: Box::new(store), keep: Box::new(settings) }
    });
}
