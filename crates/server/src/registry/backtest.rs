//! What another model would have decided of sessions that are stored, and how often each is wrong where a label says so.

use std::collections::{HashSet, VecDeque};

use super::{Registry, RegistryError, STEP};
use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::heuristic::{self, Heuristic};
use crate::domain::id::{Seq, SessionKey};
use crate::domain::reason::{Reason, Reasons};
use crate::domain::record;
use crate::domain::result::{Decision, Thresholds, Verdict};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::decisions::DecidedResult;
use crate::store::labels::Truth;
use crate::store::{ResultQuery, StoreError};

/// Most examples of each move.
const MAX_EXAMPLES: usize = 5;
/// What counts as the last day.
const DAY_MS: i64 = 86_400_000;
/// Reasons that follow from other things than the model, and stay whatever model judges.
const OF_OTHERS: [Reason; 7] = [
    Reason::ReplayedMovement,
    Reason::Campaign,
    Reason::Allowed,
    Reason::Denied,
    Reason::TestPass,
    Reason::TestReview,
    Reason::TestFail,
];

/// Wrong decisions on labelled sessions that no model made here has learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Labelled people.
    pub people: u64,
    /// Of them failed.
    pub people_failed: u64,
    /// Of them to be reviewed.
    pub people_reviewed: u64,
    /// Labelled bots.
    pub bots: u64,
    /// Of them passed.
    pub bots_passed: u64,
    /// Of them to be reviewed.
    pub bots_reviewed: u64,
}

impl Errors {
    fn add(&mut self, bot: bool, decision: Decision) {
        let counted = |yes: bool| u64::from(yes);
        if bot {
            self.bots += 1;
            self.bots_passed += counted(decision == Decision::Pass);
            self.bots_reviewed += counted(decision == Decision::Review);
        } else {
            self.people += 1;
            self.people_failed += counted(decision == Decision::Fail);
            self.people_reviewed += counted(decision == Decision::Review);
        }
    }

    /// Failed people and passed bots: what costs most.
    pub(super) fn wrong(&self) -> u64 {
        self.people_failed + self.bots_passed
    }
}

/// A session that the other model would decide in another way.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// The active model's score.
    pub before: Option<f64>,
    /// The other's.
    pub after: Option<f64>,
}

/// Sessions by the decision of the active model and of the other, in the order of [`Decision::ALL`].
pub type Moves = [[u64; 3]; 3];

/// What a model would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backtest {
    /// Stored sessions.
    pub moves: Moves,
    /// Those of them that were scored within the last day.
    pub day: Moves,
    /// The latest sessions of each move, the newest last; none where nothing changes.
    pub examples: [[VecDeque<Changed>; 3]; 3],
    /// The active model's errors.
    pub active: Errors,
    /// The other's.
    pub other: Errors,
}

impl Backtest {
    /// Counts a stored session.
    fn add(&mut self, key: &SessionKey, is_of_day: bool, before: Judged, after: Judged) {
        let (from, to) = (before.decision as usize, after.decision as usize);
        self.moves[from][to] += 1;
        self.day[from][to] += u64::from(is_of_day);
        if from == to {
            return;
        }
        let latest = &mut self.examples[from][to];
        if latest.len() == MAX_EXAMPLES {
            latest.pop_front();
        }
        latest.push_back(Changed { key: key.clone(), before: before.score, after: after.score });
    }
}

/// Why a session is judged.
enum Purpose {
    /// It is stored under this key; whether it was scored within the last day.
    Latest { key: SessionKey, is_of_day: bool },
    /// Somebody said what it is.
    Labelled { bot: bool },
}

/// A session with what is to be kept of its reasons.
pub(super) struct Stored {
    pub(super) session: Session,
    pub(super) others: Reasons,
    pub(super) surely_replayed: bool,
}

/// A session that is judged, why, and by which thresholds.
type Case = (Purpose, Stored, Thresholds);

/// What a model says of a session.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) decision: Decision,
    score: Option<f64>,
}

/// What `model` would decide of a stored session.
pub(super) fn decide(
    model: &Model,
    stored: &Stored,
    thresholds: &Thresholds,
    extractor: &mut Extractor,
    row: &mut Vec<f64>,
) -> Judged {
    let features = extractor.v1(&stored.session);
    let rules = heuristic::reasons_with_notes(Heuristic::judge(&features).reasons, features.total_moves);
    extractor.extract(model.feature_set(), &stored.session, row);
    let known_reasons = rules.union(stored.others).union(heuristic::reservations(&stored.session));
    let verdict: Verdict = model.verdict(row, known_reasons, thresholds);
    let mut basis = verdict.basis.unwrap_or_default();
    basis.surely_replayed = stored.surely_replayed;
    let decision = basis.decide(verdict.kind, verdict.anomaly_score, thresholds).decision;
    Judged { decision, score: verdict.anomaly_score }
}

impl Registry {
    /// Judges up to `limit` of the latest stored sessions, and the labelled ones that judge, of a deployment or all, with the
    /// model that is active there and with the one of `version`, each as thresholds are now.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], [`RegistryError::Store`]
    pub async fn backtest(
        &self,
        version: &str,
        limit: u32,
        deployment: Option<&str>,
    ) -> Result<Backtest, RegistryError> {
        self.check(version, deployment)?;
        let _alone = self.testing.lock().await;
        let other = self.load(version).await?.ok_or(RegistryError::Unknown)?;
        let active = self.active(deployment);
        let mut all = self.latest(limit, deployment).await?;
        for (row, session) in self.labelled(true, deployment).await? {
            let thresholds = self.controls.thresholds().of(&row.key.deployment);
            let purpose = Purpose::Labelled { bot: row.label.truth == Truth::Bot };
            all.push((purpose, Stored { session, others: Reasons::default(), surely_replayed: false }, thresholds));
        }
        let judged = tokio::task::spawn_blocking(move || {
            let (mut extractor, mut row, mut told) = (Extractor::default(), Vec::new(), Backtest::default());
            for (purpose, stored, thresholds) in &all {
                let [before, after] =
                    [&active, &other].map(|model| decide(model, stored, thresholds, &mut extractor, &mut row));
                match purpose {
                    Purpose::Labelled { bot } => {
                        told.active.add(*bot, before.decision);
                        told.other.add(*bot, after.decision);
                    }
                    Purpose::Latest { key, is_of_day } => told.add(key, *is_of_day, before, after),
                }
            }
            told
        });
        judged.await.map_err(|error| RegistryError::Unusable(format!("the test died: {error}")))
    }

    /// The latest sessions with a result and telemetry.
    async fn latest(&self, limit: u32, deployment: Option<&str>) -> Result<Vec<Case>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let of_day = self.of_last_day(limit, deployment).await?;
        let limit = limit as usize;
        let accepted = self.store.snapshot().await?.counts.accepted;
        let span = (limit as u64).saturating_mul(4);
        let mut after = Seq(i64::try_from(accepted.saturating_sub(span)).unwrap_or(i64::MAX));
        let mut standings: Vec<DecidedResult> = Vec::new();
        loop {
            let page = self.store.standings(after, STEP, deployment.map(str::to_owned)).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            standings.extend(page);
            let most = standings.len().saturating_sub(limit);
            standings.drain(..most);
        }
        let mut found = Vec::with_capacity(standings.len());
        for page in standings.chunks(STEP as usize) {
            let records = self.store.telemetry(page.iter().map(|standing| standing.seq).collect()).await?;
            for (standing, record) in page.iter().zip(records) {
                let Some(session) = record.and_then(|record| record::decode(&record).ok()) else { continue };
                let basis = standing.basis.unwrap_or_default();
                let others = OF_OTHERS.into_iter().filter(|reason| basis.known_reasons.contains(*reason)).collect();
                let stored = Stored { session, others, surely_replayed: basis.surely_replayed };
                let purpose = Purpose::Latest { key: standing.key.clone(), is_of_day: of_day.contains(&standing.key) };
                found.push((purpose, stored, self.controls.thresholds().of(&standing.key.deployment)));
            }
        }
        Ok(found)
    }

    /// The sessions that were scored within the last day, the newest `limit` of them.
    async fn of_last_day(&self, limit: u32, deployment: Option<&str>) -> Result<HashSet<SessionKey>, StoreError> {
        let since = Some(Timestamp(self.clock.now().wall.0 - DAY_MS));
        let deployment = deployment.map(str::to_owned);
        let page = self.store.results(ResultQuery { since, deployment, limit, ..ResultQuery::default() }).await?;
        Ok(page.rows.into_iter().map(|row| row.key).collect())
    }
}
