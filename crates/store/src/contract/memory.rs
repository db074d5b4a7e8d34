//! What detectors learned is kept, replaced and forgotten as they say, and by nobody else.

use crate::testing::*;
use crate::{MAX_MEMORY, MAX_MEMORY_KEY, Store, StoreError};

async fn recalled(store: &dyn Store, key: &str) -> Option<Vec<u8>> {
    store.get_state(key.to_owned()).await.unwrap()
}

async fn put(store: &dyn Store, key: &str, value: Option<&[u8]>) {
    store.put_state(key.to_owned(), value.map(<[u8]>::to_vec)).await.unwrap();
}

pub(crate) async fn a_memory_is_kept_replaced_and_forgotten(store: &dyn Store) {
    assert_eq!(recalled(store, "calibration/m1").await, None);
    put(store, "calibration/m1", Some(b"first")).await;
    put(store, "calibration/m2", Some(b"")).await;
    assert_eq!(recalled(store, "calibration/m1").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(recalled(store, "calibration/m2").await.as_deref(), Some(&b""[..]));
    assert_eq!(recalled(store, "CALIBRATION/M1").await, None, "keys are compared byte by byte");
    put(store, "calibration/m1", Some(&[0, 255, 0])).await;
    assert_eq!(recalled(store, "calibration/m1").await.as_deref(), Some(&[0, 255, 0][..]));
    put(store, "calibration/m1", None).await;
    put(store, "never known", None).await;
    assert_eq!(recalled(store, "calibration/m1").await, None);
    assert!(recalled(store, "calibration/m2").await.is_some());
}

pub(crate) async fn a_memory_is_bounded(store: &dyn Store) {
    let largest = vec![7; MAX_MEMORY];
    put(store, "k", Some(&largest)).await;
    let longest = "k".repeat(MAX_MEMORY_KEY);
    put(store, &longest, Some(b"v")).await;
    let beyond = store.put_state("k".to_owned(), Some(vec![8; MAX_MEMORY + 1])).await;
    assert!(matches!(beyond, Err(StoreError::TooLarge(_))), "{beyond:?}");
    let beyond = store.put_state("k".repeat(MAX_MEMORY_KEY + 1), Some(vec![8])).await;
    assert!(matches!(beyond, Err(StoreError::TooLarge(_))), "{beyond:?}");
    assert_eq!(recalled(store, "k").await, Some(largest), "a refused value changes nothing");
}

pub(crate) async fn clearing_leaves_memories(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    put(store, "k", Some(b"v")).await;
    assert_eq!(store.clear(at(1)).await.unwrap(), 2);
    assert_eq!(recalled(store, "k").await.as_deref(), Some(&b"v"[..]));
}
