//! The embedded store behind a switch: it can be made to fail, to wait, and to count its callers.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::RwLock;

use crate::store::sqlite::SqliteStore;
use crate::store::testing::intercepted::{Intercepted, Interceptor};
use crate::store::{StoreError, StoreResult};

/// The embedded store behind a switch.
pub(crate) type Faulty = Intercepted<SqliteStore, Switch>;

/// The switch.
#[derive(Default)]
pub(crate) struct Switch {
    fault: Mutex<Option<StoreError>>,
    /// Held by a test, it keeps every call waiting.
    pub(crate) gate: RwLock<()>,
    inside: AtomicUsize,
    /// Most calls at the same time so far.
    pub(crate) most_inside: AtomicUsize,
}

/// A call to the store that is not over.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Switch {
    pub(crate) fn fail(&self, with: Option<StoreError>) {
        *self.fault.lock().unwrap() = with;
    }

    async fn check(&self) -> StoreResult<Inside<'_>> {
        self.most_inside.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let inside = Inside(&self.inside);
        drop(self.gate.read().await);
        self.fault.lock().unwrap().clone().map_or(Ok(inside), Err)
    }
}

impl Interceptor for Switch {
    async fn intercept<T: Send>(
        &self,
        _call: &'static str,
        work: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        let _inside = self.check().await?;
        work.await
    }
}
