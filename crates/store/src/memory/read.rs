//! What is asked of the store: sessions, results and counts.

use super::{Held, Kept};
use crate::buckets::{BUCKET_MS, BucketQuery, Buckets, Summed};
use crate::decisions::DecidedResult;
use crate::{
    BatchMember, BatchRow, Cursor, DeadRow, Lookup, Page, QueueQuery, QueuedRow, ResultQuery, ResultRow, Snapshot,
    StoreError, StoreResult, StoredSession, Uncompared,
};
use playproof_domain::batch::QueueView;
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::queue::State;
use playproof_domain::trend::{DeviceClass, Facet, Tally};

impl Kept {
    pub(super) fn stored(&self, seq: i64) -> StoredSession {
        let new = &self.new;
        StoredSession {
            seq: Seq(seq),
            key: new.key.clone(),
            user_id: new.user_id.clone(),
            game_type: new.game_type.clone(),
            device_type: new.device_type.clone(),
            features: new.features,
            reasons: if new.is_final { new.first.verdict.reasons } else { new.reasons },
            entry: self.entry,
            first: new.first.clone(),
            result: self.result.clone(),
            last_error: self.error.clone(),
            matches: Vec::new(),
            campaign: None,
        }
    }
}

impl Held {
    pub(super) fn snapshot(&self) -> Snapshot {
        let counts = self.counts();
        let oldest = self.sessions.values().find(|kept| kept.entry.state == State::Ready);
        let delayed = self.sessions.values().filter(|kept| kept.entry.state == State::Delayed);
        let queue = QueueView {
            ready: counts.ready,
            oldest_ready: oldest.map(|kept| kept.new.first.scored_at),
            next_due: delayed.map(|kept| kept.entry.not_before).min(),
            last_run: self.last_batch.unwrap_or(self.began),
        };
        let last_seq = Seq(i64::try_from(self.accepted).unwrap_or(i64::MAX));
        Snapshot { counts, queue, last_seq, running: self.running, last_batch: self.last_batch }
    }

    pub(super) fn lookup(&self, key: &SessionKey) -> Lookup {
        let known = self.keys.get(key).and_then(|seq| Some((*seq, self.sessions.get(seq)?)));
        match known {
            Some((seq, kept)) => Lookup::Found(Box::new(kept.stored(seq))),
            None if self.erased.contains(key) => Lookup::Erased,
            None => Lookup::Unknown,
        }
    }

    /// A page of results; by decision, source, deployment and time alone.
    pub(super) fn results(&self, query: &ResultQuery) -> StoreResult<Page<ResultRow>> {
        let plain = ResultQuery {
            decision: query.decision,
            source: query.source,
            since: query.since,
            until: query.until,
            deployment: query.deployment.clone(),
            after: query.after,
            limit: query.limit,
            window: query.window,
            ..ResultQuery::default()
        };
        if plain != *query {
            return Err(StoreError::Unavailable("the store in memory has no such list of results".to_owned()));
        }
        let mut found: Vec<(i64, ResultRow)> = Vec::new();
        for (seq, kept) in &self.sessions {
            let Some(result) = &kept.result else { continue };
            let at = result.scored_at;
            let fits = query.decision.is_none_or(|decision| decision == result.verdict.decision)
                && query.source.is_none_or(|source| source == result.verdict.source)
                && query.since.is_none_or(|since| at >= since)
                && query.until.is_none_or(|until| at < until)
                && query.deployment.as_ref().is_none_or(|deployment| *deployment == kept.new.key.deployment)
                && query.after.is_none_or(|after| (at, *seq) < (after.scored_at, after.row));
            if fits {
                found.push((
                    *seq,
                    ResultRow {
                        key: kept.new.key.clone(),
                        device_type: kept.new.device_type.clone(),
                        user_id: kept.new.user_id.clone(),
                        label: None,
                        campaign: None,
                        result: result.clone(),
                    },
                ));
            }
        }
        found.sort_by_key(|(seq, row)| std::cmp::Reverse((row.result.scored_at, *seq)));
        Ok(query.page(found, None))
    }

    pub(super) fn buckets(&self, query: &BucketQuery) -> Buckets {
        let mut summed = Summed::new(query);
        for kept in self.sessions.values() {
            let Some(result) = &kept.result else { continue };
            let at = result.scored_at.0 - result.scored_at.0.rem_euclid(BUCKET_MS);
            let whose = &kept.new.key.deployment;
            let is_asked_for = query.deployment.as_ref().is_none_or(|deployment| deployment == whose);
            if !is_asked_for || at < query.earlier().0 || at >= query.until.0 {
                continue;
            }
            let step = if at < query.since.0 { -1 } else { (at - query.since.0) / query.step_ms };
            let one = Tally::from(result.verdict.decision);
            let mut add = |facet| summed.add(facet, step, one);
            add(Facet::Deployment(whose.clone()));
            add(Facet::Device(DeviceClass::of(&kept.new.device_type)));
            add(Facet::Model(result.verdict.model.clone()));
            result.verdict.reasons.iter().for_each(|reason| add(Facet::Reason(reason)));
        }
        summed.done()
    }

    pub(super) fn batches(&self, before: Option<BatchId>, limit: u32) -> Vec<BatchRow> {
        let end = before.map_or(i64::MAX, |batch| batch.0);
        self.batches.range(..end).rev().take(limit as usize).map(|(_, (row, _))| row.clone()).collect()
    }

    pub(super) fn batch(&self, id: BatchId) -> Option<(BatchRow, Vec<BatchMember>)> {
        let (row, members) = self.batches.get(&id.0)?;
        let members = members.iter().filter_map(|seq| {
            let kept = self.sessions.get(seq)?;
            let verdict = kept.result.as_ref().map(|result| &result.verdict);
            Some(BatchMember {
                key: kept.new.key.clone(),
                decision: verdict.map(|verdict| verdict.decision),
                score: verdict.and_then(|verdict| verdict.anomaly_score),
            })
        });
        Some((row.clone(), members.collect()))
    }

    pub(super) fn dead(&self, before: Option<Seq>, limit: u32) -> Vec<DeadRow> {
        let end = before.map_or(i64::MAX, |seq| seq.0);
        let failed = self.sessions.range(..end).rev().filter(|(_, kept)| kept.entry.state == State::Failed);
        let row = |(seq, kept): (&i64, &Kept)| DeadRow {
            seq: Seq(*seq),
            key: kept.new.key.clone(),
            accepted_at: kept.new.first.scored_at,
            entry: kept.entry,
            error: kept.error.clone(),
        };
        failed.take(limit as usize).map(row).collect()
    }

    pub(super) fn queued(&self, query: &QueueQuery) -> Page<QueuedRow> {
        let due = query.state == State::Delayed;
        let mut looked_at: Vec<(Cursor, QueuedRow)> = Vec::new();
        for (seq, kept) in self.sessions.iter().filter(|(_, kept)| kept.entry.state == query.state) {
            let accepted_at = kept.new.first.scored_at;
            let row = QueuedRow {
                seq: Seq(*seq),
                key: kept.new.key.clone(),
                device_type: kept.new.device_type.clone(),
                user_id: kept.new.user_id.clone(),
                accepted_at,
                entry: kept.entry,
                error: kept.error.clone(),
            };
            let scored_at = if due { kept.entry.not_before } else { accepted_at };
            let place = Cursor { scored_at, row: *seq };
            let order = |place: Cursor| if due { (place.scored_at.0, place.row) } else { (0, -place.row) };
            if query.after.is_none_or(|after| order(place) > order(after)) {
                looked_at.push((place, row));
            }
        }
        looked_at.sort_by_key(|(place, _)| if due { (place.scored_at.0, place.row) } else { (0, -place.row) });
        looked_at.truncate(query.window as usize);
        query.page(looked_at)
    }

    pub(super) fn uncompared(&self, limit: u32) -> Vec<Uncompared> {
        let owed = self.uncompared.iter().filter_map(|seq| {
            let kept = self.sessions.get(seq)?;
            let verdict = &kept.result.as_ref()?.verdict;
            let standing = DecidedResult {
                seq: Seq(*seq),
                key: kept.new.key.clone(),
                kind: verdict.kind,
                score: verdict.anomaly_score,
                basis: verdict.basis,
                decision: verdict.decision,
                labelled: false,
            };
            let (user_id, record) = (kept.new.user_id.clone(), Some(kept.new.record.clone()));
            Some(Uncompared { standing, user_id, record, only_sketch: false })
        });
        owed.take(limit as usize).collect()
    }
}
