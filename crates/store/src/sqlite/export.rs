//! Reading the embedded store whole, for moving it elsewhere.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::rows::{self, RESULT_COLUMNS, SESSION_COLUMNS};
use super::store::SqliteStore;
use super::{audit, buckets, challenges, controls, decisions, deliveries, labels};
use crate::StoreResult;
use crate::export::{ExportedSession, ExportedStore};
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

impl SqliteStore {
    /// Up to `limit` sessions after one, in their order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn whole(&self, after: Seq, limit: u32) -> StoreResult<Vec<ExportedSession>> {
        self.read(move |connection| sessions(connection, after, limit)).await
    }

    /// What there is beside sessions. All of it at once: it is little.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn rest(&self) -> StoreResult<ExportedStore> {
        self.read(rest).await
    }
}

pub(super) fn sessions(connection: &Connection, after: Seq, limit: u32) -> Result<Vec<ExportedSession>, Fault> {
    let sql = format!(
        "SELECT {SESSION_COLUMNS}, {RESULT_COLUMNS}, s.digest, s.finished_at FROM sessions s \
         LEFT JOIN results r ON r.session = s.seq LEFT JOIN models m ON m.id = r.model \
         WHERE s.seq > ? ORDER BY s.seq LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = rows::collect(&mut statement, params![after.0, limit], |row| {
        Ok(ExportedSession {
            session: rows::session(row)?,
            user_id: row.get("user")?,
            digest: SessionDigest(row.get("digest")?),
            finished_at: row.get::<_, Option<i64>>("finished_at")?.map(Timestamp),
            record: None,
            sketch: None,
            matches: Vec::new(),
            uncompared: None,
            label: None,
            revisions: Vec::new(),
            deliveries: Vec::new(),
        })
    })?;
    let mut records = connection.prepare_cached("SELECT record FROM telemetry WHERE session = ?")?;
    let mut sketches = connection.prepare_cached("SELECT sketch FROM sketches WHERE session = ?")?;
    let mut uncompared = connection.prepare_cached("SELECT since, only_sketch FROM uncompared WHERE session = ?")?;
    let mut matches = connection.prepare_cached("SELECT other FROM matches WHERE session = ? ORDER BY place")?;
    let mut said = connection.prepare_cached("SELECT * FROM labels WHERE session = ?")?;
    let mut revisions = connection.prepare_cached("SELECT * FROM revisions WHERE session = ? ORDER BY id")?;
    let mut told = connection.prepare_cached("SELECT * FROM deliveries WHERE session = ? ORDER BY id")?;
    for whole in &mut found {
        let seq = whole.session.seq.0;
        whole.record = records.query_row([seq], |row| row.get(0)).optional()?;
        whole.sketch = sketches.query_row([seq], |row| row.get(0)).optional()?.map(Sketch::from_bytes);
        whole.matches = rows::collect(&mut matches, [seq], |row| Ok(Seq(row.get(0)?)))?;
        whole.uncompared = uncompared
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .map(|(at, only)| (Timestamp(at), only));
        whole.label = rows::collect(&mut said, [seq], labels::read)?.pop();
        whole.revisions = rows::collect(&mut revisions, [seq], |row| Ok((row.get("id")?, decisions::revised(row)?)))?;
        whole.deliveries = rows::collect(&mut told, [seq], deliveries::kept)?;
    }
    Ok(found)
}

fn rest(connection: &Connection) -> Result<ExportedStore, Fault> {
    let mut batches = connection.prepare("SELECT * FROM batches ORDER BY id")?;
    let batches = rows::collect(&mut batches, [], |row| {
        let members = rows::member_list(&row.get::<_, String>("members")?)?;
        Ok((rows::batch(row)?, members.into_iter().map(Seq).collect()))
    })?;
    let mut memories = connection.prepare("SELECT name, value FROM memory ORDER BY name")?;
    let memories = rows::collect(&mut memories, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut erased = connection.prepare("SELECT mac, erased_at FROM erased")?;
    let erased = rows::collect(&mut erased, [], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
    let mut told = connection.prepare("SELECT * FROM deliveries WHERE session = 0 ORDER BY id")?;
    Ok(ExportedStore {
        buckets: buckets::all(connection)?,
        controls: controls::all(connection)?,
        challenges: challenges::all(connection)?,
        audit: audit::after(connection, 0, u32::MAX)?,
        deliveries: rows::collect(&mut told, [], deliveries::kept)?,
        secret: connection.query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))?,
        running: connection.query_row("SELECT running FROM totals WHERE id = 1", [], |row| row.get(0))?,
        batches,
        memories,
        erased,
    })
}
