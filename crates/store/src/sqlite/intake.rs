//! Accepting a session: known, erased, in conflict, no room, or stored.

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::keys::{Key, KeyKind};
use super::results::{NewResult, telemetry_class};
use super::state::WriterState;
use super::{challenges, read, rows};
use crate::encoding::{KeyHash, Numbered as _, features_to_blob};
use crate::{Acceptance, NewSession, first};
use playproof_domain::id::Seq;
use playproof_domain::queue::{Entry, State};
use playproof_domain::record::SessionDigest;
use playproof_domain::trend::DeviceClass;

impl WriterState {
    pub(super) fn accept(&mut self, new: &NewSession, hash: KeyHash) -> Result<Acceptance, Fault> {
        let known = {
            let mut known = None;
            for seq in self.keys.recent().candidates(&self.connection, KeyKind::Session, hash.short)? {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT digest FROM sessions WHERE seq = ? AND deployment = ? AND id = ?")?;
                let params = params![seq, new.key.deployment, new.key.id.unique()];
                let digest: Option<[u8; 16]> = statement.query_row(params, |row| row.get(0)).optional()?;
                known = digest.map(|digest| (seq, SessionDigest(digest))).or(known);
            }
            known
        };
        if let Some((seq, digest)) = known {
            if digest != new.digest {
                return Ok(Acceptance::Conflict);
            }
            return Ok(Acceptance::Duplicate(Box::new(read::session_by_seq(&self.connection, seq)?)));
        }
        if self.counts.erased > 0 && self.is_erased(hash)? {
            return Ok(Acceptance::Erased);
        }
        if let Some(used) = &new.challenge
            && challenges::is_used(&self.connection, &used.number)?
        {
            return Ok(Acceptance::Conflict);
        }
        if !new.is_final && self.counts.unprocessed() >= self.room.queue_limit {
            return Ok(Acceptance::QueueFull);
        }
        self.check_room()?;
        self.insert(new, hash).map(Acceptance::New)
    }

    fn is_erased(&self, hash: KeyHash) -> Result<bool, Fault> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM erased WHERE mac = ?")?.exists([hash.mac])?)
    }

    fn insert(&mut self, new: &NewSession, hash: KeyHash) -> Result<Seq, Fault> {
        self.counts.accepted += 1;
        // Accepted sessions are numbered without a gap, so the count of them is the last number.
        let seq = rows::stored(self.counts.accepted);
        let first = &new.first.verdict;
        let at = new.first.scored_at;
        let state = if new.is_final { State::Processed } else { State::Ready };
        let first_model = if new.is_final { None } else { first::by_model(first) };
        self.connection
            .prepare_cached(
                "INSERT INTO sessions (seq, id_hash, deployment, id, user, game, device, digest, features, \
                 accepted_at, latency_ms, reasons, first_decision, first_confidence, first_score, first_model, state, \
                 attempts, lost_leases, not_before, finished_at, telemetry) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)",
            )?
            .execute(params![
                seq,
                hash.short,
                new.key.deployment,
                new.key.id.unique(),
                new.user_id,
                new.game_type,
                new.device_type,
                new.digest.0,
                features_to_blob(&new.features),
                at.0,
                new.first.latency_ms,
                if new.is_final { first.reasons } else { new.reasons }.bits(),
                first.decision.number(),
                first.confidence,
                first.anomaly_score.unwrap_or(0.0),
                first_model,
                state.number(),
                Entry::NEW.not_before.0,
                new.is_final.then_some(at.0),
                new.is_final.then(|| telemetry_class(first.decision)),
            ])?;
        self.connection
            .prepare_cached("INSERT INTO telemetry (session, record) VALUES (?, ?)")?
            .execute(params![seq, new.record])?;
        if new.is_final {
            let deployment = &new.key.deployment;
            let verdict = &new.first.verdict;
            self.write_result(&NewResult {
                session: seq,
                deployment,
                device: DeviceClass::of(&new.device_type),
                verdict,
                batch: None,
                scored_at: at,
                attempts: 1,
            })?;
        }
        if let Some(used) = &new.challenge {
            challenges::write(&self.connection, used)?;
        }
        self.keys.add(Key { kind: KeyKind::Session, hash: hash.short, seq });
        if let Some(user) = &new.user_id {
            let user = self.hasher().hash_user(user);
            self.keys.add(Key { kind: KeyKind::User, hash: user, seq });
        }
        self.count(None, Some(state));
        if new.is_final {
            self.compare_later(seq, at)?;
        }
        Ok(Seq(seq))
    }
}
