//! The shadow: the local detector scores what a remote one scores, beside it, so that operators see how far the two
//! agree. Whatever happens to it, the batch does not notice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asking::{self, Effort};
use super::engine::Engine;
use super::isolate::Judgement;
use super::reuse;
use crate::detector::{Detector, Outcome, Row};
use crate::domain::agreement::Agreement;
use crate::domain::id::Seq;
use crate::domain::result::{ModelIdentity, Verdict};
use crate::metrics::Metrics;
use crate::store::{Claim, Member, Store};
use crate::thresholds::ThresholdTable;

/// How long a scored batch waits for its shadow.
const PATIENCE: Duration = Duration::from_secs(1);

/// A shadow at work; dropping it ends the work.
pub(super) struct Shadow(JoinSet<Result<Vec<(Seq, Verdict)>, String>>);

/// What the shadow's task owns: it outlives nobody's borrow, and its panic is its own.
struct Work {
    detector: Arc<dyn Detector>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    thresholds: Arc<ThresholdTable>,
    members: Vec<Member>,
    /// The detector's rows, where the shadow reads the same feature set.
    rows: Option<Vec<Row>>,
}

/// Starts scoring the members of `claim` in the shadow; `None` where there is no shadow. `rows` are the detector's.
pub(super) fn start(engine: &Engine, claim: &Claim, rows: &[Row]) -> Option<Shadow> {
    let detector = Arc::clone(engine.parts.local.as_ref()?);
    let same = detector.feature_set() == engine.parts.detector.feature_set();
    let work = Work {
        detector,
        store: Arc::clone(&engine.parts.store),
        metrics: Arc::clone(&engine.parts.metrics),
        thresholds: Arc::clone(&engine.parts.thresholds),
        members: claim.members.clone(),
        rows: same.then(|| rows.to_vec()),
    };
    let mut task = JoinSet::new();
    task.spawn(work.score());
    Some(Shadow(task))
}

impl Work {
    async fn score(self) -> Result<Vec<(Seq, Verdict)>, String> {
        let split = reuse::split(self.detector.as_ref(), &self.members);
        let rows = if let Some(mut rows) = self.rows {
            let unscored: HashSet<Seq> = split.unscored.iter().map(|member| member.seq).collect();
            rows.retain(|row| unscored.contains(&row.id));
            rows
        } else {
            let set = self.detector.feature_set();
            asking::rows(self.store.as_ref(), set, &split.unscored).await.map_err(|e| e.to_string())?.0
        };
        let members: HashMap<Seq, &Member> = self.members.iter().map(|m| (m.seq, m)).collect();
        let mut verdicts = Vec::with_capacity(self.members.len());
        let mut add = |seq: Seq, model: ModelIdentity, outcome: Outcome| {
            let Some(member) = members.get(&seq) else { return };
            let (source, thresholds) = (self.detector.source(), self.thresholds.of(&member.key.deployment));
            let verdict = asking::verdict(member, outcome, model, source, &thresholds);
            verdicts.extend(verdict.ok().map(|verdict| (seq, verdict)));
        };
        // Decisions alone are compared.
        for (seq, judgement) in split.briefly() {
            if let Judgement::Scored(model, outcome) = judgement {
                add(seq, model, outcome);
            }
        }
        for rows in rows.chunks(self.detector.limits().rows.max(1)) {
            let answer = asking::ask(self.detector.as_ref(), &self.metrics, rows, &mut Effort::default()).await;
            let (model, outcomes) = answer.map_err(|e| e.to_string())?;
            for (row, outcome) in rows.iter().zip(outcomes) {
                add(row.id, model.clone(), outcome);
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
        let fault = match timeout(PATIENCE, self.0.join_next()).await {
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
