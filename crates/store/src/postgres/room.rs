//! Whether the database may still grow: `PLAYPROOF_STORE_LIMIT` against its size. How full the database's disk is cannot
//! be asked through a connection; a full one answers for itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fault::Fault;
use crate::StoreError;

/// How long a look at the size holds; asking means looking at every file of the database.
const HOLDS: Duration = Duration::from_secs(5);

/// The limit and the last look.
pub(super) struct Room {
    limit: Option<u64>,
    looked: Mutex<Option<(Instant, u64)>>,
}

impl Room {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, looked: Mutex::new(None) }
    }

    /// Why nothing more may be stored, if so.
    pub(super) async fn fault(&self, client: &deadpool_postgres::Object) -> Result<Option<StoreError>, Fault> {
        let Some(limit) = self.limit else { return Ok(None) };
        let last = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let size = match last {
            Some((at, size)) if at.elapsed() < HOLDS => size,
            _ => {
                let size: i64 = client.query_one("SELECT pg_database_size(current_database())", &[]).await?.get(0);
                let size = size.unsigned_abs();
                *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), size));
                size
            }
        };
        Ok((size >= limit).then(|| {
            let message =
                format!("the database has {size} of {limit} bytes; raise PLAYPROOF_STORE_LIMIT or shorten retention");
            StoreError::Full(message)
        }))
    }
}
