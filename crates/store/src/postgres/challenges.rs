//! Challenges that were used. With a session they are written by the statement that stores it.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use tokio_postgres::Client;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::removal::STEP;
use super::store::PostgresStore;
use crate::challenges::{ChallengeNumber, ChallengeStore, KeptChallenge, MARGIN, Redemption};
use crate::{Lookup, StoreResult};
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

/// Forgets some of those that nobody can use any more; how many.
pub(super) async fn forget(client: &Client, now: i64) -> Result<u64, Fault> {
    let sql = "DELETE FROM challenges WHERE number IN (SELECT number FROM challenges WHERE expires_at < $1 \
               ORDER BY expires_at LIMIT $2)";
    Ok(client.execute(sql, &[&Timestamp(now).minus(MARGIN).0, &STEP]).await?)
}

/// Takes in those of another store.
pub(super) async fn take(transaction: &Transaction<'_>, all: &[KeptChallenge]) -> Result<(), Fault> {
    let sql = "INSERT INTO challenges (number, expires_at, hostname, redeemed_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (number) DO NOTHING";
    for KeptChallenge { used, redeemed_at } in all {
        let redeemed_at = redeemed_at.map(|at| at.0);
        let number = used.number.as_slice();
        transaction.execute(sql, &[&number, &used.expires_at.0, &used.hostname, &redeemed_at]).await?;
    }
    Ok(())
}

impl Core {
    async fn redeem_once(
        &self,
        number: &ChallengeNumber,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Redemption, Fault> {
        let session = match self.session_once(key).await? {
            Lookup::Found(session) => session,
            Lookup::Erased => return Ok(Redemption::Erased),
            Lookup::Unknown => return Ok(Redemption::Unused),
        };
        let held = self.pool.get().await?;
        // Whoever comes second waits for the first one's end, and then finds it redeemed.
        let sql = "UPDATE challenges SET redeemed_at = $2 WHERE number = $1 AND redeemed_at IS NULL RETURNING hostname";
        let number = number.as_slice();
        let statement = held.prepare_cached(sql).await?;
        let first = held.query_opt(&statement, &[&number, &now.0]).await?;
        let redemption = if let Some(row) = first {
            Redemption::First { hostname: row.try_get(0)?, session }
        } else {
            let statement = held.prepare_cached("SELECT 1 FROM challenges WHERE number = $1").await?;
            let known = held.query_opt(&statement, &[&number]).await?.is_some();
            if known { Redemption::Repeated } else { Redemption::Unused }
        };
        held.release();
        if let Redemption::First { hostname, session } = redemption {
            // It may have been erased since it was looked up, and nobody learns of an erased session.
            return Ok(match self.session_once(key).await {
                Ok(Lookup::Found(session)) => Redemption::First { hostname, session },
                Ok(Lookup::Erased | Lookup::Unknown) => Redemption::Erased,
                // The one answer is given away; it must not be lost.
                Err(_) => Redemption::First { hostname, session },
            });
        }
        Ok(redemption)
    }
}

#[async_trait]
impl ChallengeStore for PostgresStore {
    fn challenge_key(&self) -> [u8; 32] {
        self.core.hasher.derived("challenges 1")
    }

    async fn redeem(&self, number: ChallengeNumber, key: SessionKey, now: Timestamp) -> StoreResult<Redemption> {
        called!(self.core.redeem_once(&number, &key, now))
    }
}
