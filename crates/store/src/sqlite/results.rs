//! Writing results: once per session, in the transaction that takes it out of the queue.

use rusqlite::params;

use super::deliveries;
use super::fault::Fault;
use super::state::WriterState;
use crate::buckets::Counted;
use crate::encoding::Numbered as _;
use crate::scored;
use playproof_domain::result::{Decision, Verdict};
use playproof_domain::time::Timestamp;
use playproof_domain::trend::DeviceClass;

/// `sessions.telemetry` of a session that passed.
pub(super) const TELEMETRY_KEPT: i64 = 1;
/// `sessions.telemetry` of one that was reviewed or failed.
pub(super) const TELEMETRY_KEPT_LONGER: i64 = 2;

/// How long the telemetry of a session with this decision is kept.
pub(super) fn telemetry_class(decision: Decision) -> i64 {
    if decision == Decision::Pass { TELEMETRY_KEPT } else { TELEMETRY_KEPT_LONGER }
}

/// A result about to be written.
pub(super) struct NewResult<'a> {
    pub(super) session: i64,
    pub(super) deployment: &'a str,
    pub(super) device: DeviceClass,
    pub(super) verdict: &'a Verdict,
    pub(super) batch: Option<i64>,
    pub(super) scored_at: Timestamp,
    pub(super) attempts: u32,
}

impl WriterState {
    /// Writes a session's one result; the table's uniqueness is the last guard against a second one.
    pub(super) fn write_result(&mut self, new: &NewResult<'_>) -> Result<(), Fault> {
        let verdict = new.verdict;
        let model = self.model(&verdict.model)?;
        self.connection
            .prepare_cached(
                "INSERT INTO results (session, deployment, scored_at, decision, confidence, score, raw, kind, \
                 extrapolated, source, model, class, reasons, fallback, batch, attempts, supported, noted, \
                 surely_replayed, scored) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                new.session,
                new.deployment,
                new.scored_at.0,
                verdict.decision.number(),
                verdict.confidence,
                verdict.anomaly_score,
                verdict.raw_score,
                verdict.kind.number(),
                verdict.extrapolated,
                verdict.source.number(),
                model,
                verdict.class,
                verdict.reasons.bits(),
                verdict.fallback,
                new.batch,
                new.attempts,
                verdict.basis.and_then(|basis| basis.supported_score),
                verdict.basis.map(|basis| basis.known_reasons.bits()),
                verdict.basis.map(|basis| basis.surely_replayed),
                verdict.as_scored().map(|as_scored| scored::bytes(&as_scored)),
            ])?;
        let NewResult { deployment, device, scored_at, .. } = *new;
        let counted = Counted { deployment, scored_at: scored_at.0, device, model };
        self.buckets.count(counted, verdict.decision, verdict.reasons, 1);
        deliveries::announce_final(&self.connection, new.session, new.deployment, verdict, new.scored_at)
    }
}
