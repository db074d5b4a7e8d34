//! Moving the counts in the transaction that moves the sessions.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::fault::Fault;
use super::schema::SHARDS;
use crate::Counts;
use playproof_domain::queue::State;

/// The sums of the counters.
pub(super) const SUMS: &str = "sum(ready)::bigint AS ready, sum(leased)::bigint AS leased, \
    sum(delayed)::bigint AS delayed, sum(processed)::bigint AS processed, sum(failed)::bigint AS failed, \
    sum(erased)::bigint AS erased, sum(pruned)::bigint AS pruned, sum(accepted)::bigint AS accepted";

/// Reads [`SUMS`].
pub(super) fn read(row: &Row) -> Result<Counts, Fault> {
    let count = |name: &str| row.try_get::<_, i64>(name).map(|sum| u64::try_from(sum).unwrap_or(0));
    Ok(Counts {
        ready: count("ready")?,
        leased: count("leased")?,
        delayed: count("delayed")?,
        processed: count("processed")?,
        failed: count("failed")?,
        erased: count("erased")?,
        pruned: count("pruned")?,
        accepted: count("accepted")?,
    })
}

/// By how much one transaction moves the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) ready: i64,
    pub(super) leased: i64,
    pub(super) delayed: i64,
    pub(super) processed: i64,
    pub(super) failed: i64,
    pub(super) erased: i64,
    pub(super) pruned: i64,
}

impl Moved {
    /// One session goes from a state to another; `None` is "not in the store".
    pub(super) fn step(&mut self, from: Option<State>, to: Option<State>) {
        if let Some(state) = from {
            *self.slot(state) -= 1;
        }
        if let Some(state) = to {
            *self.slot(state) += 1;
        }
    }

    fn slot(&mut self, state: State) -> &mut i64 {
        match state {
            State::Ready => &mut self.ready,
            State::Leased => &mut self.leased,
            State::Delayed => &mut self.delayed,
            State::Processed => &mut self.processed,
            State::Failed => &mut self.failed,
        }
    }

    /// Writes it. The last statement of a transaction, so that its row is locked for the commit only.
    pub(super) async fn write(&self, client: &impl GenericClient) -> Result<(), Fault> {
        if *self == Self::default() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE counters SET ready = ready + $1, leased = leased + $2, delayed = delayed + $3, \
             processed = processed + $4, failed = failed + $5, erased = erased + $6, pruned = pruned + $7 \
             WHERE shard = pg_backend_pid() % {SHARDS}"
        );
        let statement = client.prepare_cached(&sql).await?;
        client
            .execute(
                &statement,
                &[&self.ready, &self.leased, &self.delayed, &self.processed, &self.failed, &self.erased, &self.pruned],
            )
            .await?;
        Ok(())
    }
}
