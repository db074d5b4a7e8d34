//! What people said of sessions.

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows::{self, enumerated, number};
use super::store::PostgresStore;
use super::{buckets, decisions};
use crate::StoreResult;
use crate::buckets::BucketChanges;
use crate::campaigns::CampaignId;
use crate::decisions::Revision;
use crate::encoding::features_from_blob;
use crate::labels::{LOOKED_THROUGH, Label, LabelRow, LabelStore, MAX_REVIEWED, ReviewRow, Truth};
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, ScoreKind};
use playproof_domain::review::{Candidate, FEATURES, Labelled};
use playproof_domain::time::Timestamp;

fn features(row: &Row) -> Result<[f64; FEATURES], Fault> {
    Ok(features_from_blob(row.try_get("features")?)?.values())
}

fn review(row: &Row) -> Result<ReviewRow, Fault> {
    let calibrated = enumerated::<ScoreKind>(row, "kind")? == ScoreKind::Calibrated;
    Ok(ReviewRow {
        key: rows::key(row)?,
        game_type: rows::text(row, "game")?,
        device_type: rows::text(row, "device")?,
        candidate: Candidate {
            features: features(row)?,
            score: row.try_get::<_, Option<f64>>("score")?.filter(|_| calibrated),
            decision: enumerated(row, "decision")?,
        },
        reasons: Reasons::from_bits(row.try_get("reasons")?),
        scored_at: Timestamp(row.try_get("scored_at")?),
    })
}

pub(super) fn read(row: &Row) -> Result<Label, Fault> {
    Ok(Label {
        truth: enumerated(row, "label")?,
        note: rows::text(row, "note")?,
        actor: row.try_get("actor")?,
        at: Timestamp(row.try_get("at")?),
        campaign: row.try_get::<_, Option<i64>>("campaign")?.map(CampaignId),
    })
}

/// Keeps a label in place of what was there.
pub(super) async fn write(client: &impl GenericClient, seq: Seq, label: &Label) -> Result<(), Fault> {
    let Label { truth, note, actor, at, campaign } = label;
    let sql = "INSERT INTO labels (seq, label, note, actor, at, campaign) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (seq) DO UPDATE SET label = excluded.label, note = excluded.note, \
               actor = excluded.actor, at = excluded.at, campaign = excluded.campaign";
    let campaign = campaign.map(|id| id.0);
    client.execute(sql, &[&seq.0, &number(*truth), &note.as_bytes(), actor, &at.0, &campaign]).await?;
    Ok(())
}

#[async_trait]
impl LabelStore for PostgresStore {
    async fn label(
        &self,
        seq: Seq,
        label: Option<Label>,
        revision: Option<Revision>,
        at: Timestamp,
    ) -> StoreResult<bool> {
        called!(self.core.label_once(seq, label.as_ref(), revision.as_ref(), at))
    }

    async fn label_of(&self, seq: Seq) -> StoreResult<Option<Label>> {
        called!(self.core.label_of_once(seq))
    }

    async fn to_review(&self, deployment: Option<String>) -> StoreResult<(Vec<ReviewRow>, Vec<Labelled>)> {
        called!(self.core.to_review_once(deployment.as_deref()))
    }

    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<LabelRow>> {
        called!(self.core.labels_once(after, limit, deployment.as_deref()))
    }
}

impl Core {
    async fn label_once(
        &self,
        seq: Seq,
        label: Option<&Label>,
        revision: Option<&Revision>,
        at: Timestamp,
    ) -> Result<bool, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        // Locked, so that an erasure that runs beside it finds the label, or keeps it from being written.
        let there = transaction.query_opt("SELECT decision FROM results WHERE seq = $1 FOR UPDATE", &[&seq.0]).await?;
        let Some(there) = there else {
            transaction.rollback().await?;
            held.release();
            return Ok(false);
        };
        let stands: Decision = enumerated(&there, "decision")?;
        if let Some(label) = label {
            write(&transaction, seq, label).await?;
        } else {
            transaction.execute("DELETE FROM labels WHERE seq = $1", &[&seq.0]).await?;
        }
        if let Some(revision) = revision.filter(|revision| revision.decided.decision != stands) {
            let revision = Revision { earlier: stands, ..revision.clone() };
            let mut counts = BucketChanges::default();
            decisions::revise(&transaction, std::slice::from_ref(&revision), at, &mut counts).await?;
            buckets::write(&transaction, &mut counts).await?;
        }
        transaction.commit().await?;
        held.release();
        Ok(true)
    }

    async fn label_of_once(&self, seq: Seq) -> Result<Option<Label>, Fault> {
        let held = self.pool.get().await?;
        let found = held.query_opt("SELECT * FROM labels WHERE seq = $1", &[&seq.0]).await?;
        held.release();
        found.as_ref().map(read).transpose()
    }

    pub(super) async fn to_review_once(
        &self,
        deployment: Option<&str>,
    ) -> Result<(Vec<ReviewRow>, Vec<Labelled>), Fault> {
        let sql = "SELECT s.deployment, s.id, s.game, s.device, s.features, r.score, r.kind, r.decision, r.reasons, \
                   r.scored_at FROM (SELECT * FROM results WHERE decision = $1 ORDER BY scored_at DESC, seq DESC \
                   LIMIT $2) r JOIN sessions s ON s.seq = r.seq WHERE ($3::bytea IS NULL OR r.deployment = $3) \
                   AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.seq = r.seq) \
                   ORDER BY r.scored_at DESC, r.seq DESC LIMIT $4";
        let (deployment, window, most) =
            (deployment.map(str::as_bytes), i64::from(LOOKED_THROUGH), i64::from(MAX_REVIEWED));
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let mut found = Vec::new();
        for decision in Decision::ALL {
            let rows = held.query(&statement, &[&number(decision), &window, &deployment, &most]).await?;
            found.extend(rows::all(&rows, review)?);
        }
        let sql = "SELECT l.label, s.features FROM labels l JOIN sessions s ON s.seq = l.seq \
                   WHERE $1::bytea IS NULL OR s.deployment = $1 ORDER BY l.at DESC, l.seq DESC LIMIT $2";
        let labelled = held.query(sql, &[&deployment, &most]).await?;
        held.release();
        let labelled = rows::all(&labelled, |row| {
            Ok(Labelled { features: features(row)?, bot: enumerated::<Truth>(row, "label")? == Truth::Bot })
        })?;
        Ok((found, labelled))
    }

    pub(super) async fn labels_once(
        &self,
        after: Seq,
        limit: u32,
        deployment: Option<&str>,
    ) -> Result<Vec<LabelRow>, Fault> {
        let sql = "SELECT l.*, s.deployment, s.id FROM labels l JOIN sessions s ON s.seq = l.seq \
                   WHERE l.seq > $1 AND ($2::bytea IS NULL OR s.deployment = $2) ORDER BY l.seq LIMIT $3";
        let held = self.pool.get().await?;
        let deployment = deployment.map(str::as_bytes);
        let found = held.query(sql, &[&after.0, &deployment, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, |row| Ok(LabelRow { seq: Seq(row.try_get("seq")?), key: rows::key(row)?, label: read(row)? }))
    }
}
