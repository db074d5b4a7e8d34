//! Sketches of settled movements, found by their keys, and the sessions that results name.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::{GenericClient, Transaction};

use super::Core;
use super::fault::Fault;
use super::rows;
use crate::domain::id::{Seq, SessionId};
use crate::domain::sketch::{Ballot, ROWS, Sketch};
use crate::store::{Candidate, NewSketch};

/// Sessions and users of the candidates.
pub(super) const CANDIDATES: &str = "SELECT k.seq, k.sketch, s.user_id FROM sketches k \
    JOIN sessions s ON s.seq = k.seq WHERE k.seq = ANY($1)";

/// The latest sessions of each key.
pub(super) fn found_sql() -> String {
    format!(
        "SELECT a.key, f.seqs FROM unnest($1::int[]) AS a(key) CROSS JOIN LATERAL \
         (SELECT ARRAY(SELECT k.seq FROM sketch_keys k WHERE k.key = a.key ORDER BY k.seq DESC LIMIT {ROWS}) AS seqs) f \
         WHERE f.seqs <> '{{}}'"
    )
}

impl Core {
    pub(super) async fn alike_once(&self, asked: &[Vec<u32>]) -> Result<Vec<Vec<Candidate>>, Fault> {
        let mut keys: Vec<i32> = asked.iter().flatten().map(|key| key.cast_signed()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(asked.iter().map(|_| Vec::new()).collect());
        }
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&found_sql()).await?;
        let mut sessions: HashMap<i32, Vec<i64>> = HashMap::new();
        for row in held.query(&statement, &[&keys]).await? {
            sessions.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let elected: Vec<Vec<i64>> = asked
            .iter()
            .map(|keys| {
                let mut ballot = Ballot::default();
                for found in keys.iter().filter_map(|key| sessions.get(&key.cast_signed())) {
                    ballot.add(found.iter().copied());
                }
                ballot.elected()
            })
            .collect();
        let mut seqs: Vec<i64> = elected.iter().flatten().copied().collect();
        seqs.sort_unstable();
        seqs.dedup();
        let statement = held.prepare_cached(CANDIDATES).await?;
        let mut kept = BTreeMap::new();
        for row in held.query(&statement, &[&seqs]).await? {
            let seq: i64 = row.try_get("seq")?;
            let user: Option<Vec<u8>> = row.try_get("user_id")?;
            kept.insert(
                seq,
                Candidate {
                    seq: Seq(seq),
                    user_id: user.map(|user| String::from_utf8_lossy(&user).into_owned()),
                    sketch: Sketch::from_bytes(row.try_get("sketch")?),
                },
            );
        }
        held.release();
        Ok(elected.iter().map(|seqs| seqs.iter().filter_map(|seq| kept.get(seq).cloned()).collect()).collect())
    }
}

/// Keeps the sketches of sessions that are settled in this transaction, and whom they match.
pub(super) async fn keep(transaction: &Transaction<'_>, new: &[&NewSketch]) -> Result<(), Fault> {
    if new.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = new.iter().map(|sketch| sketch.seq.0).collect();
    let sketches: Vec<&[u8]> = new.iter().map(|sketch| sketch.sketch.bytes()).collect();
    let sql = "INSERT INTO sketches (seq, sketch) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&seqs, &sketches]).await?;
    // In the order of the index, so that two settlements never wait for each other's pages in a circle.
    let mut of_keys: Vec<(i32, i64)> =
        new.iter().flat_map(|new| keys(&new.sketch).into_iter().map(|key| (key, new.seq.0))).collect();
    of_keys.sort_unstable();
    let (keys, seqs): (Vec<i32>, Vec<i64>) = of_keys.into_iter().unzip();
    let sql = "INSERT INTO sketch_keys (key, seq) SELECT * FROM unnest($1::int[], $2::bigint[])";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&keys, &seqs]).await?;
    let mut matches = (Vec::new(), Vec::new(), Vec::new());
    for new in new {
        for (place, other) in (0i16..).zip(&new.matches) {
            matches.0.push(new.seq.0);
            matches.1.push(place);
            matches.2.push(other.0);
        }
    }
    if matches.0.is_empty() {
        return Ok(());
    }
    // One may have been erased since it was found; its number names nobody then.
    let sql =
        "INSERT INTO matches (seq, place, other) SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[])";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&matches.0, &matches.1, &matches.2]).await?;
    Ok(())
}

/// Removes every trace of sessions' sketches, and their names from the results of others.
pub(super) async fn forget(transaction: &Transaction<'_>, seqs: &[i64]) -> Result<(), Fault> {
    let statement = transaction.prepare_cached("DELETE FROM matches WHERE seq = ANY($1)").await?;
    transaction.execute(&statement, &[&seqs]).await?;
    let statement = transaction.prepare_cached("DELETE FROM matches WHERE other = ANY($1)").await?;
    transaction.execute(&statement, &[&seqs]).await?;
    let statement =
        transaction.prepare_cached("DELETE FROM sketches WHERE seq = ANY($1) RETURNING seq, sketch").await?;
    let mut of_keys: Vec<(i32, i64)> = Vec::new();
    for row in transaction.query(&statement, &[&seqs]).await? {
        let seq: i64 = row.try_get(0)?;
        of_keys.extend(keys(&Sketch::from_bytes(row.try_get(1)?)).into_iter().map(|key| (key, seq)));
    }
    if of_keys.is_empty() {
        return Ok(());
    }
    let (keys, seqs): (Vec<i32>, Vec<i64>) = of_keys.into_iter().unzip();
    let sql = "DELETE FROM sketch_keys k USING unnest($1::int[], $2::bigint[]) AS v(key, seq) \
               WHERE k.key = v.key AND k.seq = v.seq";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&keys, &seqs]).await?;
    Ok(())
}

/// The sessions that a result names as having the same movement, the closest first.
pub(super) async fn matches(client: &impl GenericClient, seq: i64) -> Result<Vec<SessionId>, Fault> {
    let sql = "SELECT s.deployment, s.id FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.seq = $1 \
               ORDER BY m.place";
    let statement = client.prepare_cached(sql).await?;
    rows::all(&client.query(&statement, &[&seq]).await?, |row| Ok(rows::key(row)?.id))
}

/// The keys of a sketch as a column takes them.
pub(super) fn keys(sketch: &Sketch) -> Vec<i32> {
    sketch.keys().into_iter().map(u32::cast_signed).collect()
}
