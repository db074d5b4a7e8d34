//! The shadow: the local detector scores what a remote one scores, beside it, so that operators see how far the two
//! agree. Whatever happens to it, the batch does not notice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::detector_call::{self, Effort};
use super::engine::Engine;
use super::isolate::Judgement;
use super::records::Records;
use super::reuse;
use crate::detector::{Detector, Outcome, Row};
use crate::domain::agreement::Agreement;
use crate::domain::features::FeatureSet;
use crate::domain::id::Seq;
use crate::domain::result::{ModelIdentity, Verdict};
use crate::metrics::Metrics;
use crate::store::{Claim, Member};
use crate::thresholds::ThresholdTable;

/// How long a scored batch waits for its shadow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A shadow at work; dropping it ends the work.
pub(super) struct Shadow(JoinSet<Result<Vec<(Seq, Verdict)>, String>>);

/// A shadow about to begin.
pub(super) struct Prepared {
    detector: Arc<dyn Detector>,
    metrics: Arc<Metrics>,
    thresholds: Arc<ThresholdTable>,
    /// Members without a score of the shadow's model.
    unscored: HashSet<Seq>,
    /// Whether it reads the detector's rows: both have one feature set.
    shares_rows: bool,
}

/// What the shadow's task owns: it outlives nobody's borrow, and its panic is its own.
struct Work {
    detector: Arc<dyn Detector>,
    metrics: Arc<Metrics>,
    thresholds: Arc<ThresholdTable>,
    members: Vec<Member>,
    rows: Vec<Row>,
}

/// The shadow for the members of `claim`; `None` where there is none.
pub(super) fn prepare(engine: &Engine, claim: &Claim) -> Option<Prepared> {
    let detector = Arc::clone(engine.parts.local.as_ref()?);
    let split = reuse::split(detector.as_ref(), &claim.members);
    let unscored = split.unscored.iter().map(|member| member.seq).collect();
    let shares_rows = detector.feature_set() == engine.parts.detector.feature_set();
    let (metrics, thresholds) = (Arc::clone(&engine.parts.metrics), Arc::clone(&engine.parts.thresholds));
    Some(Prepared { detector, metrics, thresholds, unscored, shares_rows })
}

impl Prepared {
    /// The feature set in which it wants a row of its own of a member.
    pub(super) fn wanted(&self, member: Seq) -> Option<FeatureSet> {
        (!self.shares_rows && self.unscored.contains(&member)).then(|| self.detector.feature_set())
    }

    /// Starts scoring; `rows` are the detector's.
    pub(super) fn start(self, claim: &Claim, rows: &[Row], records: &mut Records) -> Shadow {
        let Self { detector, metrics, thresholds, unscored, shares_rows } = self;
        let rows = if shares_rows {
            rows.iter().filter(|row| unscored.contains(&row.id)).cloned().collect()
        } else {
            let members: Vec<&Member> = claim.members.iter().filter(|m| unscored.contains(&m.seq)).collect();
            records.shadow_rows(detector.feature_set(), &members)
        };
        let work = Work { detector, metrics, thresholds, members: claim.members.clone(), rows };
        let mut task = JoinSet::new();
        task.spawn(work.score());
        Shadow(task)
    }
}

impl Work {
    async fn score(self) -> Result<Vec<(Seq, Verdict)>, String> {
        let split = reuse::split(self.detector.as_ref(), &self.members);
        let members: HashMap<Seq, &Member> = self.members.iter().map(|m| (m.seq, m)).collect();
        let mut verdicts = Vec::with_capacity(self.members.len());
        let mut add = |seq: Seq, model: ModelIdentity, outcome: Outcome| {
            let Some(member) = members.get(&seq) else { return };
            let (source, thresholds) = (self.detector.source(), self.thresholds.of(&member.key.deployment));
            let verdict = detector_call::verdict(member, outcome, model, source, &thresholds);
            verdicts.extend(verdict.ok().map(|verdict| (seq, verdict)));
        };
        // Decisions alone are compared.
        for (seq, judgement) in split.briefly() {
            if let Judgement::Scored(model, outcome) = judgement {
                add(seq, model, outcome);
            }
        }
        for rows in self.rows.chunks(self.detector.limits().rows.max(1)) {
            let answer = detector_call::ask(self.detector.as_ref(), &self.metrics, rows, &mut Effort::default()).await;
            let (models, outcomes) = answer.map_err(|e| e.to_string())?;
            for (row, outcome) in rows.iter().zip(outcomes) {
                add(row.id, models.of(row.id).clone(), outcome);
            }
        }
        Ok(verdicts)
    }
}

impl Shadow {
    /// How far it agrees with the detector's verdicts; `None` when it did not answer, or not in time.
    pub(super) async fn agreement(mut self, verdicts: &[(Seq, Verdict)]) -> Option<Agreement> {
        if verdicts.is_empty() {
            return None;
        }
        let fault = match timeout(ANSWER_TIMEOUT, self.0.join_next()).await {
            Ok(Some(Ok(Ok(shadow)))) => {
                let shadow: HashMap<Seq, Verdict> = shadow.into_iter().collect();
                let pairs: Vec<_> =
                    verdicts.iter().filter_map(|(seq, verdict)| Some((verdict, shadow.get(seq)?))).collect();
                return Agreement::of(&pairs);
            }
            Ok(Some(Ok(Err(error)))) => error,
            Ok(Some(Err(died))) => died.to_string(),
            Ok(None) | Err(_) => "it did not answer in time".to_owned(),
        };
        tracing::debug!(error = fault, "the shadow detector did not score the batch");
        None
    }
}
