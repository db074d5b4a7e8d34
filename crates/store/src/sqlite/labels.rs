//! What people said of sessions.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::fault::Fault;
use super::results::{TELEMETRY_KEPT, TELEMETRY_KEPT_LONGER};
use super::store::SqliteStore;
use super::{decisions, rows};
use crate::StoreResult;
use crate::campaigns::CampaignId;
use crate::decisions::Revision;
use crate::encoding::{Numbered as _, features_from_blob};
use crate::labels::{LOOKED_THROUGH, Label, LabelRow, LabelStore, MAX_REVIEWED, ReviewRow, Truth};
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, ScoreKind};
use playproof_domain::review::{Candidate, FEATURES, Labelled};
use playproof_domain::time::Timestamp;

fn features(row: &Row<'_>) -> Result<[f64; FEATURES], Fault> {
    Ok(features_from_blob(row.get_ref("features")?.as_blob().map_err(rusqlite::Error::from)?)?.values())
}

pub(super) fn read(row: &Row<'_>) -> Result<Label, Fault> {
    Ok(Label {
        truth: Truth::from_number(row.get("label")?)?,
        note: row.get("note")?,
        actor: row.get("actor")?,
        at: Timestamp(row.get("at")?),
        campaign: row.get::<_, Option<i64>>("campaign")?.map(CampaignId),
    })
}

#[async_trait]
impl LabelStore for SqliteStore {
    async fn label(
        &self,
        seq: Seq,
        label: Option<Label>,
        revision: Option<Revision>,
        at: Timestamp,
    ) -> StoreResult<bool> {
        self.writer
            .execute(move |state| {
                let Some(stands) = state.standing(seq.0)? else { return Ok(false) };
                let connection = &state.connection;
                if let Some(label) = &label {
                    let sql = "INSERT OR REPLACE INTO labels (session, label, note, actor, at, campaign) \
                               VALUES (?, ?, ?, ?, ?, ?)";
                    let Label { truth, note, actor, at, campaign } = label;
                    let row = params![seq.0, truth.number(), note, actor, at.0, campaign.map(|id| id.0)];
                    connection.prepare_cached(sql)?.execute(row)?;
                    // Its path is what a model learns from.
                    let sql = "UPDATE sessions SET telemetry = ? WHERE seq = ? AND telemetry = ?";
                    let class = params![TELEMETRY_KEPT_LONGER, seq.0, TELEMETRY_KEPT];
                    connection.prepare_cached(sql)?.execute(class)?;
                } else {
                    connection.prepare_cached("DELETE FROM labels WHERE session = ?")?.execute([seq.0])?;
                }
                let changes = |revision: &&Revision| revision.decided.decision != stands.decision;
                if let Some(revision) = revision.as_ref().filter(changes) {
                    let revision = Revision { earlier: stands.decision, ..revision.clone() };
                    decisions::revise(state, &revision, at)?;
                }
                Ok(true)
            })
            .await
    }

    async fn label_of(&self, seq: Seq) -> StoreResult<Option<Label>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM labels WHERE session = ?")?;
            Ok(rows::collect(&mut statement, [seq.0], read)?.pop())
        })
        .await
    }

    async fn to_review(&self, deployment: Option<String>) -> StoreResult<(Vec<ReviewRow>, Vec<Labelled>)> {
        self.read(move |connection| {
            let sql = "SELECT s.deployment, s.id, s.game, s.device, s.features, r.score, r.kind, r.decision, r.reasons, \
                       r.scored_at FROM (SELECT * FROM results WHERE decision = ?1 ORDER BY scored_at DESC LIMIT ?2) r \
                       JOIN sessions s ON s.seq = r.session WHERE (?3 IS NULL OR r.deployment = ?3) \
                       AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.session = r.session) \
                       ORDER BY r.scored_at DESC, r.session DESC LIMIT ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let mut found = Vec::new();
            for decision in Decision::ALL {
                let asked = params![decision.number(), LOOKED_THROUGH, deployment, MAX_REVIEWED];
                found.extend(rows::collect(&mut statement, asked, |row| {
                    let calibrated = ScoreKind::from_number(row.get("kind")?)? == ScoreKind::Calibrated;
                    Ok(ReviewRow {
                        key: rows::key(row, "deployment", "id")?,
                        game_type: row.get("game")?,
                        device_type: row.get("device")?,
                        candidate: Candidate {
                            features: features(row)?,
                            score: row.get::<_, Option<f64>>("score")?.filter(|_| calibrated),
                            decision: Decision::from_number(row.get("decision")?)?,
                        },
                        reasons: Reasons::from_bits(row.get("reasons")?),
                        scored_at: Timestamp(row.get("scored_at")?),
                    })
                })?);
            }
            let sql = "SELECT l.label, s.features FROM labels l JOIN sessions s ON s.seq = l.session \
                       WHERE ?1 IS NULL OR s.deployment = ?1 ORDER BY l.at DESC, l.session DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let labelled = rows::collect(&mut statement, params![deployment, MAX_REVIEWED], |row| {
                let bot = Truth::from_number(row.get("label")?)? == Truth::Bot;
                Ok(Labelled { features: features(row)?, bot })
            })?;
            Ok((found, labelled))
        })
        .await
    }

    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<LabelRow>> {
        self.read(move |connection| {
            let sql = "SELECT l.*, s.deployment, s.id FROM labels l JOIN sessions s ON s.seq = l.session \
                       WHERE l.session > ?1 AND (?2 IS NULL OR s.deployment = ?2) ORDER BY l.session LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![after.0, deployment, limit], |row| {
                let key = rows::key(row, "deployment", "id")?;
                Ok(LabelRow { seq: Seq(row.get("session")?), key, label: read(row)? })
            })
        })
        .await
    }
}
