//! Many sessions at once: labels that come from elsewhere, such as chargebacks, and erasure of a selection. Each is one
//! entry of the audit log.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use serde_json::json;

use super::Operations;
use super::labels::label;
use crate::domain::id::SessionKey;
use crate::domain::time::Timestamp;
use crate::store::labels::{Label, Truth};
use crate::store::{Lookup, MAX_SET, ResultQuery, StoreResult};

/// Sessions that are changed side by side; the store commits them together.
const SIDE_BY_SIDE: usize = 32;

/// Whose label it is.
#[derive(Clone, Debug)]
pub enum Labelled {
    /// One session's.
    Session(SessionKey),
    /// That of all sessions of a user, in one deployment or in all, up to [`MAX_SET`].
    User {
        /// As sessions name the user.
        user: String,
        /// Only in this deployment.
        deployment: Option<String>,
    },
}

/// A label that is to be given; `None` takes it back.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whose.
    pub of: Labelled,
    /// What it is.
    pub truth: Option<Truth>,
    /// Why.
    pub note: String,
    /// When that was found out; now where it is not told. Of a user, sessions that were scored later are left alone.
    pub at: Option<Timestamp>,
}

/// What became of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidOutcome {
    /// So many sessions were changed.
    Changed(u64),
    /// There is no such session, or no session of this user with a result.
    Unknown,
    /// It has no result yet.
    Undecided,
    /// It was erased.
    Erased,
}

/// Labels in pieces of at most [`SIDE_BY_SIDE`] in which no session is named twice; one of a user, whose sessions are not
/// known yet, is a piece of its own.
fn apart(said: &[Said]) -> Vec<&[Said]> {
    let (mut pieces, mut begin, mut named) = (Vec::new(), 0, HashSet::new());
    for (i, one) in said.iter().enumerate() {
        let joins = match &one.of {
            Labelled::Session(key) => i - begin < SIDE_BY_SIDE && named.insert(key),
            Labelled::User { .. } => false,
        };
        if !joins {
            pieces.push(&said[begin..i]);
            (begin, named) = (i, HashSet::new());
            match &one.of {
                Labelled::Session(key) => drop(named.insert(key)),
                // Nothing joins it.
                Labelled::User { .. } => {
                    pieces.push(&said[i..=i]);
                    begin = i + 1;
                }
            }
        }
    }
    pieces.push(&said[begin..]);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

impl Operations {
    /// Gives labels, [`SIDE_BY_SIDE`] at a time and those of one session in their order; what became of each.
    ///
    /// # Errors
    /// When the store is away. Those that were given by then stay.
    pub async fn label_many(&self, actor: &str, said: Vec<Said>) -> StoreResult<Vec<SaidOutcome>> {
        let of = |truth: Option<Truth>| said.iter().filter(|one| one.truth == truth).count();
        let (human, bot, taken) = (of(Some(Truth::Human)), of(Some(Truth::Bot)), of(None));
        let detail = json!({"human": human, "bot": bot, "takenBack": taken});
        let change = async {
            let mut outcomes = Vec::with_capacity(said.len());
            for some in apart(&said) {
                let mut running = Vec::with_capacity(some.len());
                for one in some {
                    running.push(self.give(actor, one));
                }
                outcomes.extend(try_join_all(running).await?);
            }
            Ok(outcomes)
        };
        self.perform(actor, "sessions.label", "", detail, change).await
    }

    async fn give(&self, actor: &str, said: &Said) -> StoreResult<SaidOutcome> {
        let Labelled::User { user, deployment } = &said.of else {
            let Labelled::Session(key) = &said.of else { return Ok(SaidOutcome::Unknown) };
            return self.give_one(actor, key.clone(), said).await;
        };
        let query = ResultQuery {
            user: Some(user.clone()),
            deployment: deployment.clone(),
            until: said.at,
            limit: MAX_SET,
            ..ResultQuery::default()
        };
        let mut changed = 0;
        for row in self.store.results(query).await?.rows {
            if let SaidOutcome::Changed(one) = self.give_one(actor, row.key, said).await? {
                changed += one;
            }
        }
        Ok(if changed == 0 { SaidOutcome::Unknown } else { SaidOutcome::Changed(changed) })
    }

    async fn give_one(&self, actor: &str, key: SessionKey, said: &Said) -> StoreResult<SaidOutcome> {
        let session = match self.find(key).await?.1 {
            Lookup::Found(session) => session,
            Lookup::Erased => return Ok(SaidOutcome::Erased),
            Lookup::Unknown => return Ok(SaidOutcome::Unknown),
        };
        if session.result.is_none() {
            return Ok(SaidOutcome::Undecided);
        }
        if said.truth.is_none() && self.store.label_of(session.seq).await?.is_none() {
            return Ok(SaidOutcome::Changed(0));
        }
        let now = self.clock.now().wall;
        let new = said.truth.map(|truth| Label {
            truth,
            note: said.note.clone(),
            actor: actor.to_owned(),
            at: said.at.unwrap_or(now),
            campaign: None,
        });
        let thresholds = self.controls.thresholds().of(&session.key.deployment);
        let decision = label(self.store.as_ref(), &session, new, &thresholds, now).await?;
        Ok(decision.map_or(SaidOutcome::Erased, |_| SaidOutcome::Changed(1)))
    }

    /// Erases a selection of sessions; how many of them were there.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn erase_many(&self, actor: &str, keys: Vec<SessionKey>) -> StoreResult<u64> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let (key, lookup) = self.find(key).await?;
            if matches!(lookup, Lookup::Found(_)) {
                found.push(key);
            }
        }
        let targets: Vec<String> = found.iter().map(|key| self.store.session_pseudonym(key)).collect();
        let erase = async {
            let mut erased = 0;
            for key in &found {
                erased += u64::from(self.store.erase_session(key.clone(), self.clock.now()).await?);
                self.settled.notify(std::slice::from_ref(key));
            }
            Ok(erased)
        };
        self.perform(actor, "sessions.erase", "", json!({"sessions": targets}), erase).await
    }
}
