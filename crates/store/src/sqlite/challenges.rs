//! Challenges that were used.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::state::{STEP, WriterState};
use super::store::SqliteStore;
use super::{read, rows};
use crate::challenges::{ChallengeNumber, ChallengeStore, KeptChallenge, MARGIN, Redemption, UsedChallenge};
use crate::{Lookup, StoreResult};
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

/// Whether a session came with the challenge, even one that is no more.
pub(super) fn is_used(connection: &Connection, number: &ChallengeNumber) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM challenges WHERE number = ?")?.exists([number])?)
}

pub(super) fn write(connection: &Connection, kept: &UsedChallenge) -> Result<(), Fault> {
    let sql = "INSERT INTO challenges (number, expires_at, hostname) VALUES (?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![kept.number, kept.expires_at.0, kept.hostname])?;
    Ok(())
}

/// Forgets some of those that nobody can use any more; how many.
pub(super) fn forget(connection: &Connection, now: Timestamp) -> Result<usize, Fault> {
    let sql = "DELETE FROM challenges WHERE number IN (SELECT number FROM challenges WHERE expires_at < ? \
               ORDER BY expires_at LIMIT ?)";
    Ok(connection.prepare_cached(sql)?.execute(params![now.minus(MARGIN).0, STEP])?)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<KeptChallenge>, Fault> {
    let mut statement = connection.prepare("SELECT * FROM challenges ORDER BY number")?;
    rows::collect(&mut statement, [], |row| {
        let expires_at = Timestamp(row.get("expires_at")?);
        let used = UsedChallenge { number: row.get("number")?, expires_at, hostname: row.get("hostname")? };
        Ok(KeptChallenge { used, redeemed_at: row.get::<_, Option<i64>>("redeemed_at")?.map(Timestamp) })
    })
}

fn redeem(
    connection: &Connection,
    number: &ChallengeNumber,
    session: Lookup,
    now: Timestamp,
) -> Result<Redemption, Fault> {
    let session = match session {
        Lookup::Found(session) => session,
        Lookup::Erased => return Ok(Redemption::Erased),
        Lookup::Unknown => return Ok(Redemption::Unused),
    };
    let sql = "UPDATE challenges SET redeemed_at = ?2 WHERE number = ?1 AND redeemed_at IS NULL RETURNING hostname";
    let mut statement = connection.prepare_cached(sql)?;
    let first = statement.query_row(params![number, now.0], |row| row.get(0)).optional()?;
    match first {
        Some(hostname) => Ok(Redemption::First { hostname, session }),
        None if is_used(connection, number)? => Ok(Redemption::Repeated),
        None => Ok(Redemption::Unused),
    }
}

#[async_trait]
impl ChallengeStore for SqliteStore {
    fn challenge_key(&self) -> [u8; 32] {
        self.hasher.derived("challenges 1")
    }

    async fn redeem(&self, number: ChallengeNumber, key: SessionKey, now: Timestamp) -> StoreResult<Redemption> {
        let (hash, recent) = (self.hasher.hash(&key), self.recent.clone());
        // One piece of work: a reader that looks the session up first would cost more than the look-up does here.
        let work = move |state: &mut WriterState| {
            // A session that cannot be read is this question's answer. As a fault it would sink what is written beside it.
            Ok(match read::session(&state.connection, &recent, &key, hash) {
                Ok(session) => Ok(redeem(&state.connection, &number, session, now)?),
                Err(fault) => Err(fault.for_callers()),
            })
        };
        let redeemed = self.writer.execute(work).await?;
        self.note_damage(&redeemed);
        redeemed
    }
}
