//! Sessions with everything a store has of them, for moving a store and for checking that nothing was lost on the way.

use sha2::{Digest as _, Sha256};

use super::audit::Entry;
use super::challenges::KeptChallenge;
use super::controls::Control;
use super::decisions::Revised;
use super::deliveries::KeptDelivery;
use super::encoding::{Numbered as _, features_to_blob};
use super::labels::Label;
use super::{BatchRow, StoredSession, scored};
use playproof_domain::id::{BatchId, Seq};
use playproof_domain::record::SessionDigest;
use playproof_domain::result::{ModelIdentity, Verdict};
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

/// One session, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedSession {
    /// What a look-up tells.
    pub session: StoredSession,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// Content digest.
    pub digest: SessionDigest,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
    /// The compact record, until it is pruned.
    pub record: Option<Vec<u8>>,
    /// What is kept of its movement.
    pub sketch: Option<Sketch>,
    /// Sessions that its result names as having the same movement, the closest first.
    pub matches: Vec<Seq>,
    /// Since when it is still to be compared, and whether its sketch alone is missing.
    pub uncompared: Option<(Timestamp, bool)>,
    /// What somebody said of it.
    pub label: Option<Label>,
    /// How its decision changed, with the changes' numbers, the first one first.
    pub revisions: Vec<(i64, Revised)>,
    /// What webhooks are to be told of it, and were.
    pub deliveries: Vec<KeptDelivery>,
}

/// A row of counts by time, in the columns of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptBucket {
    /// Length and begin, ms.
    pub bucket: (i64, i64),
    /// Whose.
    pub deployment: String,
    /// Number of the facet, and of its value where that is no model.
    pub facet: (i64, i64),
    /// The model where the facet is one.
    pub model: Option<ModelIdentity>,
    /// How many passed, are reviewed and failed.
    pub counts: [i64; 3],
}

/// What a store holds beside sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedStore {
    /// The secret under which erased keys are hashed.
    pub secret: Vec<u8>,
    /// Whether the scheduler is to run.
    pub running: bool,
    /// Batches with the numbers of their members, the oldest first.
    pub batches: Vec<(BatchRow, Vec<Seq>)>,
    /// What detectors learned.
    pub memories: Vec<(String, Vec<u8>)>,
    /// Hashes of erased keys, and when.
    pub erased: Vec<(Vec<u8>, Timestamp)>,
    /// Decisions counted by time.
    pub buckets: Vec<KeptBucket>,
    /// What operators made.
    pub controls: Vec<Control>,
    /// Challenges that were used.
    pub challenges: Vec<KeptChallenge>,
    /// What was managed, the first entry first.
    pub audit: Vec<Entry>,
    /// Deliveries about no session, or one that is no more.
    pub deliveries: Vec<KeptDelivery>,
}

/// A running checksum over sessions, the same for the same sessions in the same order whatever holds them.
#[derive(Clone, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// Adds one session.
    pub fn add(&mut self, whole: &ExportedSession) {
        let session = &whole.session;
        self.number(session.seq.0);
        self.text(&session.key.deployment);
        self.text(session.key.id.unique());
        self.text(whole.user_id.as_deref().unwrap_or("\0none"));
        self.text(&session.game_type);
        self.text(&session.device_type);
        self.0.update(whole.digest.0);
        self.0.update(features_to_blob(&session.features));
        self.number(session.first.scored_at.0);
        self.number(session.first.latency_ms.to_bits().cast_signed());
        self.number(session.reasons.bits());
        self.verdict(&session.first.verdict);
        self.number(session.entry.state.number());
        self.number(i64::from(session.entry.attempts));
        self.number(i64::from(session.entry.lost_leases));
        self.number(session.entry.not_before.0);
        self.text(session.last_error.as_deref().unwrap_or("\0none"));
        self.number(whole.finished_at.map_or(i64::MIN, |at| at.0));
        if let Some(result) = &session.result {
            self.verdict(&result.verdict);
            self.number(result.batch.map_or(i64::MIN, |batch: BatchId| batch.0));
            self.number(result.scored_at.0);
            self.number(i64::from(result.attempts));
            self.bytes(result.scored.map(|as_scored| scored::bytes(&as_scored)).as_deref());
            self.bytes(result.compared_under.map(|under| scored::thresholds_bytes(&under)).as_deref());
        }
        self.bytes(whole.record.as_deref());
        self.bytes(whole.sketch.as_ref().map(Sketch::bytes));
        self.number(i64::try_from(whole.matches.len()).unwrap_or(i64::MAX));
        whole.matches.iter().for_each(|other| self.number(other.0));
        self.number(whole.uncompared.map_or(-1, |(_, only_sketch)| i64::from(only_sketch)));
        self.number(whole.label.as_ref().map_or(-1, |label| label.truth.number()));
        if let Some(label) = &whole.label {
            self.text(&label.note);
            self.text(&label.actor);
            self.number(label.at.0);
        }
        self.number(i64::try_from(whole.revisions.len()).unwrap_or(i64::MAX));
        for (id, revised) in &whole.revisions {
            self.numbers([*id, revised.at.0, revised.cause.number(), revised.earlier.number(), revised.later.number()]);
            self.text(&revised.detail);
        }
        self.number(i64::try_from(whole.deliveries.len()).unwrap_or(i64::MAX));
        for KeptDelivery { webhook, body, row } in &whole.deliveries {
            self.text(webhook);
            self.text(body);
            self.text(&row.target);
            self.text(row.error.as_deref().unwrap_or("\0none"));
            self.numbers([row.id, row.kind.number(), row.created_at.0, row.state.number(), i64::from(row.attempts)]);
            self.numbers([
                row.not_before.0,
                row.finished_at.map_or(i64::MIN, |at| at.0),
                row.status.map_or(-1, i64::from),
            ]);
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let bits = |value: Option<f64>| value.map_or(i64::MIN, |value| value.to_bits().cast_signed());
        self.number(verdict.decision.number());
        self.number(bits(Some(verdict.confidence)));
        self.number(bits(verdict.anomaly_score));
        self.number(bits(verdict.raw_score));
        self.number(verdict.kind.number());
        self.number(i64::from(verdict.extrapolated));
        self.number(verdict.source.number());
        self.text(&verdict.model.id);
        self.text(&verdict.model.version);
        self.text(&verdict.class);
        self.number(verdict.reasons.bits());
        self.number(i64::from(verdict.fallback));
        self.number(bits(verdict.basis.and_then(|basis| basis.supported_score)));
        self.number(verdict.basis.map_or(-1, |basis| basis.known_reasons.bits()));
        self.number(verdict.basis.map_or(-1, |basis| i64::from(basis.surely_replayed)));
    }

    fn numbers<const COUNT: usize>(&mut self, numbers: [i64; COUNT]) {
        for number in numbers {
            self.number(number);
        }
    }

    fn number(&mut self, number: i64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.number(length);
        self.0.update(bytes.unwrap_or_default());
    }

    /// With its length before it, so that neighbours stay apart.
    fn text(&mut self, text: &str) {
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.0.update(text.as_bytes());
    }

    /// The sum, as hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for byte in self.0.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
