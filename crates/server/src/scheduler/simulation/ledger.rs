//! What was promised to whom, and whether it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::detector::{REFUSAL, raw_score};
use super::world::World;
use crate::domain::batch::Trigger;
use crate::domain::id::{BatchId, SessionId, SessionKey};
use crate::domain::queue::{LOST_LEASES_BEFORE_FAILED, State};
use crate::domain::result::Source;

/// What clients and operators were told, and what was seen.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<u64, Known>);

/// What is known of one session.
#[derive(Default)]
struct Known {
    /// Somebody was told that it is queued.
    is_accepted: bool,
    /// Somebody asked for its erasure, whatever the answer.
    may_be_erased: bool,
    /// Somebody was told that it is erased.
    is_erased: bool,
    /// Times that the detector answered about it without a score.
    answers: u32,
    /// Since when the detector is asked about it, until it is scored.
    asked_since: Option<Duration>,
    /// Until when it must not be blamed: a detector that refuses every session refused it, alone.
    refused_until: Option<Duration>,
    /// Its result as first seen: the raw score and the batch.
    result: Option<(f64, Option<BatchId>)>,
}

/// The key of a session.
pub(super) fn key(session: u64) -> SessionKey {
    let id = SessionId::parse(&format!("s{session}")).unwrap();
    SessionKey { deployment: String::new(), id }
}

/// The session of a key.
pub(super) fn number(key: &SessionKey) -> u64 {
    key.id.as_str()[1..].parse().unwrap()
}

impl Ledger {
    fn of(&mut self, session: u64) -> &mut Known {
        self.0.entry(session).or_default()
    }

    pub(super) fn accepted(&mut self, session: u64) {
        self.of(session).is_accepted = true;
    }

    pub(super) fn may_be_erased(&mut self, session: u64) {
        self.of(session).may_be_erased = true;
    }

    pub(super) fn erased(&mut self, session: u64) {
        self.of(session).is_erased = true;
    }

    pub(super) fn is_erasure_known(&mut self, session: u64) -> bool {
        self.of(session).may_be_erased
    }

    /// The detector is asked about a session; since when it is.
    pub(super) fn asked(&mut self, session: u64, now: Duration) -> Duration {
        *self.of(session).asked_since.get_or_insert(now)
    }

    /// The detector scored a session.
    pub(super) fn scored(&mut self, session: u64) {
        self.of(session).asked_since = None;
    }

    /// A detector that refuses every session refused this one alone; whoever asked can tell it `until` then.
    pub(super) fn refused(&mut self, session: u64, until: Duration) {
        self.of(session).refused_until = Some(until);
    }

    /// The detector answered about these sessions without a score.
    pub(super) fn answered(&mut self, sessions: impl Iterator<Item = u64>) {
        sessions.for_each(|session| self.of(session).answers += 1);
    }
}

/// Looks at everything that is stored and says what is wrong with it, if anything.
pub(super) fn check(world: &World) -> Result<(), String> {
    let mut ledger = world.ledger();
    let mut there = BTreeSet::new();
    let mut wrong = None;
    world.store.visit(|key, entry, result, error| {
        let session = number(key);
        there.insert(session);
        let known = ledger.of(session);
        let seen = result.map(|result| (result.verdict.raw_score.unwrap_or(f64::NAN), result.batch));
        let mut fail = |why: String| {
            wrong.get_or_insert(why);
        };
        if known.is_erased {
            fail(format!("session {session} was erased and is there"));
        }
        if (entry.state == State::Processed) != seen.is_some() {
            fail(format!("session {session} is {} and its result is {seen:?}", entry.state.name()));
        }
        if known.result.is_some() && known.result != seen {
            fail(format!("the result of session {session} was {:?} and is {seen:?}", known.result));
        }
        known.result = seen;
        if let Some(result) = result {
            let verdict = &result.verdict;
            let by_local = verdict.model.id == "local";
            if verdict.raw_score != Some(raw_score(session, by_local)) {
                fail(format!("session {session} has the score {:?}, which is not its own", verdict.raw_score));
            }
            let source = if by_local || !world.plan.has_local { Source::Embedded } else { Source::Woodwide };
            if (verdict.fallback, verdict.source) != (by_local, source) {
                fail(format!("session {session} has a result of {:?}, fallback: {}", verdict.source, verdict.fallback));
            }
            if !by_local && world.plan.poison.contains(&session) {
                fail(format!("session {session} has a score that no detector gave"));
            }
        }
        let is_poison = world.plan.poison.contains(&session);
        let is_refused = error == Some(REFUSAL);
        let max_attempts = world.plan.settings.backoff.max_attempts;
        // Whoever asks a detector that stops refusing in between cannot tell.
        let is_blamed = is_refused && entry.state == State::Failed;
        let may_be_blamed = is_poison || known.refused_until.is_some_and(|until| until <= world.elapsed());
        if !may_be_blamed && is_blamed {
            fail(format!("session {session} was blamed for a detector that refuses every session"));
        }
        if !is_blamed && !is_poison && entry.attempts > known.answers {
            fail(format!("session {session} paid {} attempts for {} answers", entry.attempts, known.answers));
        }
        let may_fail = is_blamed
            || (entry.attempts >= max_attempts && !is_refused)
            || entry.lost_leases >= LOST_LEASES_BEFORE_FAILED;
        if entry.state == State::Failed && !may_fail {
            fail(format!("session {session} failed after {} attempts of {max_attempts}: {error:?}", entry.attempts));
        }
    });
    for (session, known) in &ledger.0 {
        if known.is_accepted && !known.may_be_erased && !there.contains(session) {
            wrong.get_or_insert(format!("session {session} was accepted and is gone"));
        }
    }
    wrong.map_or(Ok(()), Err)
}

/// Looks at every batch that was claimed.
pub(super) fn check_batches(world: &World) -> Result<(), String> {
    let full = world.plan.settings.policy.batch_size;
    for batch in world.store.claimed() {
        if world.plan.is_claimed_by_one && batch.trigger == Trigger::Full && u64::from(batch.size) != full {
            return Err(format!("batch {} is a full one and has {} of {full} sessions", batch.id.0, batch.size));
        }
    }
    Ok(())
}
