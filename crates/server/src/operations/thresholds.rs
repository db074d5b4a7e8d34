//! Thresholds: what others would change among the stored sessions, applying them, and the second pass that follows.
//!
//! Nodes learn of changed thresholds within [`REFRESH`]; a session that one settles until then is decided by those before.
//! A second pass decides such sessions anew. It is kept as a document until it is done, so that it outlives its node: another
//! one, or the next start, makes up for it.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Operations;
use crate::controls::PendingRedecision;
use crate::domain::id::{Seq, SessionKey};
use crate::domain::redecision::Redecision;
use crate::domain::result::{Decision, NoPointer, Thresholds};
use crate::domain::time::Timestamp;
use crate::shutdown::Shutdown;
use crate::store::StoreResult;
use crate::store::decisions::{Cause, Revision, thresholds_detail};
use crate::thresholds::{Applied, REFRESH};

/// Results read at a time, and decisions changed in one transaction.
const PAGE_SIZE: u32 = 10_000;
/// Most examples of each move.
const MAX_EXAMPLES: usize = 10;
/// When the second pass begins: every node knows the thresholds by then, however slowly the store took them.
const SECOND_PASS: Duration = REFRESH.saturating_mul(4);
/// When other nodes take a second pass for abandoned.
const ABANDONED: Duration = REFRESH.saturating_mul(15);

/// A stored session whose decision changes.
#[derive(Debug)]
pub struct Flip {
    /// The session.
    pub key: SessionKey,
    /// Its score; `None` where the source only flags.
    pub score: Option<f64>,
}

/// What thresholds change, or changed.
#[derive(Debug)]
pub struct Redecided {
    /// The thresholds.
    pub thresholds: Thresholds,
    /// How many sessions have which decision, before and after.
    pub counted: Redecision,
    /// How long it took.
    pub took: Duration,
    /// The latest sessions of each move, by [`Decision::ALL`] before and after.
    examples: [[VecDeque<Flip>; 3]; 3],
}

impl Redecided {
    /// Each move from one decision to another that sessions make: how many, and the latest of them, the newest first.
    pub fn moves(&self) -> impl Iterator<Item = (Decision, Decision, u64, impl Iterator<Item = &Flip>)> {
        let pairs = Decision::ALL.into_iter().flat_map(|from| Decision::ALL.map(|to| (from, to)));
        pairs.filter(|(from, to)| from != to).filter_map(|(from, to)| {
            let count = self.counted.moved(from, to);
            (count > 0).then(|| (from, to, count, self.examples[place(from)][place(to)].iter().rev()))
        })
    }
}

fn place(decision: Decision) -> usize {
    Decision::ALL.iter().position(|one| *one == decision).unwrap_or(0)
}

impl Operations {
    /// What thresholds would change among the stored sessions of a deployment, or with an empty name among those of all that
    /// have no thresholds of their own. With `latest`, only so many sessions that were accepted last are looked at.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn preview_thresholds(
        &self,
        deployment: &str,
        thresholds: Thresholds,
        latest: Option<u32>,
    ) -> StoreResult<Redecided> {
        let after = match latest {
            // Sessions are numbered in the order of acceptance.
            Some(latest) => Seq(self.store.snapshot().await?.last_seq.0.saturating_sub(i64::from(latest)).max(0)),
            None => Seq(0),
        };
        self.redecide(deployment, thresholds, after, false).await
    }

    /// Applies thresholds to a deployment's sessions from now on and to those stored.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn apply_thresholds(&self, actor: &str, name: &str, thresholds: Thresholds) -> StoreResult<Redecided> {
        let Thresholds { pass, review, no_pointer } = thresholds;
        let at = self.clock.now().wall.0;
        let applied = Applied { pass, review, no_pointer_passes: no_pointer == NoPointer::Pass, at };
        let no_pointer = no_pointer.decision().name();
        let detail = json!({"deploymentId": name, "pass": pass, "review": review, "noPointer": no_pointer});
        self.perform(actor, "thresholds.apply", "", detail, self.change_thresholds(name, Some(applied))).await
    }

    /// Removes a deployment's thresholds: those of all deployments hold again, or of the settings. Stored sessions are
    /// decided anew.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn reset_thresholds(&self, actor: &str, name: &str) -> StoreResult<Redecided> {
        let detail = json!({"deploymentId": name});
        self.perform(actor, "thresholds.reset", "", detail, self.change_thresholds(name, None)).await
    }

    async fn change_thresholds(&self, name: &str, applied: Option<Applied>) -> StoreResult<Redecided> {
        // Before the change, so that none is without its second pass whenever the node dies.
        let pending = PendingRedecision { deployment_id: name.to_owned(), since: self.clock.now().wall.0 };
        let id = format!("{}:{name}", pending.since);
        self.own_redecisions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.controls.put(&id, &pending).await?;
        match applied {
            Some(applied) => self.controls.put(name, &applied).await?,
            None => self.controls.remove::<Applied>(name).await?,
        }
        self.redecide(name, self.controls.thresholds().of(name), Seq(0), true).await
    }

    /// Runs second passes when they are due, until the node ends; one that is cut off is left to the next.
    pub async fn follow_thresholds(self: Arc<Self>, shutdown: Shutdown) {
        let mut every = tokio::time::interval(REFRESH);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let passes = async {
            loop {
                every.tick().await;
                self.run_due_redecisions().await;
            }
        };
        tokio::select! {
            () = passes => {}
            () = shutdown.soft() => {}
        }
    }

    async fn run_due_redecisions(&self) {
        for (id, pending) in &self.controls.current().redecisions {
            let is_own = self.own_redecisions.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
            let waits = if is_own { SECOND_PASS } else { ABANDONED };
            if self.clock.now().wall.since(Timestamp(pending.since)) < waits {
                continue;
            }
            let name = &pending.deployment_id;
            let done = async {
                self.redecide(name, self.controls.thresholds().of(name), Seq(0), true).await?;
                self.controls.remove::<PendingRedecision>(id).await
            };
            match done.await {
                Ok(()) => {
                    self.own_redecisions.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                }
                Err(error) => {
                    tracing::warn!(%error, "sessions settled while thresholds changed wait to be decided anew");
                }
            }
        }
    }

    /// Decides stored sessions after one anew under `thresholds`; with `write` the changes are kept.
    async fn redecide(
        &self,
        name: &str,
        thresholds: Thresholds,
        mut after: Seq,
        write: bool,
    ) -> StoreResult<Redecided> {
        let started = Instant::now();
        let own = self.controls.thresholds().applied();
        let detail = thresholds_detail(&thresholds).to_string();
        let deployment = (!name.is_empty()).then(|| name.to_owned());
        let (mut counted, mut examples) = (Redecision::default(), <[[VecDeque<Flip>; 3]; 3]>::default());
        loop {
            // What only shows what would change may be a moment old.
            let page = if write {
                self.store.standings(after, PAGE_SIZE, deployment.clone()).await?
            } else {
                self.lists.standings(after, PAGE_SIZE, deployment.clone()).await?
            };
            let Some(last) = page.last() else { break };
            after = last.seq;
            let full = page.len() == PAGE_SIZE as usize;
            let mut revisions = Vec::new();
            for found in page {
                let has_own =
                    name.is_empty() && !found.key.deployment.is_empty() && own.contains_key(&found.key.deployment);
                if has_own {
                    continue;
                }
                let (basis, earlier) = (found.basis.as_ref(), found.decision);
                let decided = counted.add(found.kind, found.score, basis, earlier, found.labelled, &thresholds);
                let Some(decided) = decided else { continue };
                let latest = &mut examples[place(earlier)][place(decided.decision)];
                if latest.len() == MAX_EXAMPLES {
                    latest.pop_front();
                }
                latest.push_back(Flip { key: found.key, score: found.score });
                if write {
                    let (seq, detail) = (found.seq, detail.clone());
                    revisions.push(Revision { seq, earlier, decided, cause: Cause::Thresholds, detail });
                }
            }
            if !revisions.is_empty() {
                self.store.revise(revisions, self.clock.now().wall).await?;
            }
            if !full {
                break;
            }
        }
        Ok(Redecided { thresholds, counted, took: started.elapsed(), examples })
    }
}
