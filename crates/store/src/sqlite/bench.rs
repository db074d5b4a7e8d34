//! What only the benchmark asks of the embedded store: a long history.

use rusqlite::params;

use super::fault::Fault;
use super::keys::{Key, KeyKind};
use super::state::WriterState;
use super::store::SqliteStore;
use crate::StoreResult;
use crate::encoding::Numbered as _;
use crate::history::{History, SCORED_AFTER_MS};
use playproof_domain::id::{SessionId, SessionKey};
use playproof_domain::queue::State;
use playproof_domain::result::{Decision, ScoreKind, Source};

/// Sessions of one transaction.
const PIECE: i64 = 200_000;

impl SqliteStore {
    /// Fills a new store.
    ///
    /// # Errors
    /// When the store holds sessions, or cannot be written.
    pub async fn make_history(&self, history: History) -> StoreResult<()> {
        self.writer.outside(move |state| state.make_history(&history)).await
    }
}

impl WriterState {
    fn make_history(&mut self, history: &History) -> Result<(), Fault> {
        let (sync, cache) = (("synchronous", "OFF"), ("cache_size", -256 * 1024));
        self.connection.pragma_update(None, sync.0, sync.1)?;
        self.connection.pragma_update(None, cache.0, cache.1)?;
        self.connection.execute("INSERT INTO models (id, name, version) VALUES (1, 'bench', '1')", [])?;
        let mut first = self.last_seq() + 1;
        let end = first + history.sessions;
        while first < end {
            let next = (first + PIECE).min(end);
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let keys = self.make_sessions(history, first..next)?;
            self.keys.write_all(&self.connection, keys, next - 1)?;
            self.counts.accepted += (next - first).unsigned_abs();
            self.counts.processed += (next - first).unsigned_abs();
            let totals = "UPDATE totals SET accepted = accepted + ?1, processed = processed + ?1";
            self.connection.execute(totals, [next - first])?;
            self.connection.execute_batch("COMMIT")?;
            self.keys.committed();
            first = next;
        }
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        self.connection.pragma_update(None, "cache_size", -super::connection::WRITER_CACHE_KIB)?;
        self.empty_log()?;
        Ok(())
    }

    /// Sessions with these numbers and their results; their keys.
    fn make_sessions(&self, history: &History, numbers: std::ops::Range<i64>) -> Result<Vec<Key>, Fault> {
        let hasher = self.hasher();
        let mut keys = Vec::new();
        let mut session = self.connection.prepare(
            "INSERT INTO sessions (seq, id_hash, deployment, id, user, game, device, digest, features, accepted_at, \
             latency_ms, reasons, first_decision, first_confidence, first_score, state, attempts, lost_leases, not_before, \
             batch, finished_at, telemetry) VALUES (?, ?, '', ?, ?, 'aim', 'mouse', ?, ?, ?, 0.2, 0, 0, 0.5, 0.5, ?, 0, 0, \
             0, 1, ?, 0)",
        )?;
        let mut result = self.connection.prepare(
            "INSERT INTO results (session, deployment, scored_at, decision, confidence, score, raw, kind, extrapolated, \
             source, model, class, reasons, fallback, batch, attempts) VALUES (?, '', ?, ?, 0.9, ?, 12.5, ?, 0, ?, \
             1, 'pooled', 0, 0, 1, 1)",
        )?;
        for number in numbers {
            // Spread as random identifiers are.
            let id = format!("{:016x}-{number}", number.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let Some(id) = SessionId::parse(&id) else { continue };
            let key = SessionKey { deployment: String::new(), id };
            let hash = hasher.hash(&key);
            let user = History::user(number % history.users());
            let accepted = history.accepted_at(number).0;
            let scored = accepted + SCORED_AFTER_MS;
            let decision = match number % 10 {
                0 => Decision::Fail,
                1 => Decision::Review,
                _ => Decision::Pass,
            };
            keys.push(Key { kind: KeyKind::Session, hash: hash.short, seq: number });
            keys.push(Key { kind: KeyKind::User, hash: hasher.hash_user(&user), seq: number });
            let state = State::Processed.number();
            session.execute(params![
                number,
                hash.short,
                key.id.unique(),
                user,
                hash.mac,
                [0u8; 224],
                accepted,
                state,
                scored
            ])?;
            #[expect(clippy::cast_precision_loss, reason = "a remainder")]
            let score = (number % 977) as f64 / 200.0;
            let (kind, source) = (ScoreKind::Calibrated.number(), Source::Embedded.number());
            result.execute(params![number, scored, decision.number(), score, kind, source])?;
        }
        Ok(keys)
    }
}
