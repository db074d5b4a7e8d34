//! A detector that scores honestly, or is slow, away, unfit or refuses, as the schedule says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::link::Life;
use super::plan::Spell;
use crate::detector::{Answer, Detector, DetectorError, Limits, Outcome, Row};
use crate::domain::calibration::Calibrated;
use crate::domain::features::FeatureSet;
use crate::domain::id::Seq;
use crate::domain::reason::Reasons;
use crate::domain::result::{ModelIdentity, Source};

/// What a detector says of a session that it does not take.
pub(super) const REFUSAL: &str = "simulated: this session cannot be scored";

/// The detector that a node asks.
pub(super) struct SimulatedDetector {
    pub(super) life: Arc<Life>,
    /// Whether it is the one inside the node, which never fails.
    pub(super) is_local: bool,
}

/// The raw score that a detector gives a session: of the session alone, and another than that of the other detector.
pub(super) fn raw_score(session: u64, is_local: bool) -> f64 {
    session as f64 + if is_local { 0.5 } else { 0.25 }
}

/// Which session a row is of.
fn session(row: &Row) -> u64 {
    row.features.first().copied().unwrap_or_default() as u64
}

fn outcome(raw: f64) -> Outcome {
    let score = (raw * 7.0) % 6.0;
    let calibrated = Calibrated { p: 10f64.powf(-score), score, supported_score: score, extrapolated: false };
    Outcome::Calibrated { raw, calibrated, class: "pooled".to_owned(), notes: Reasons::default() }
}

impl SimulatedDetector {
    fn model(&self) -> ModelIdentity {
        let id = if self.is_local { "local" } else { "asked" };
        ModelIdentity { id: id.to_owned(), version: "1".to_owned() }
    }

    fn honest(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        let plan = &self.life.world.plan;
        let is_poison = |row: &Row| !self.is_local && plan.poison.contains(&session(row));
        if !plan.is_poison_named && rows.iter().any(is_poison) {
            return Err(DetectorError::Permanent { message: REFUSAL.to_owned() });
        }
        let outcomes = rows.iter().map(|row| {
            let refused = is_poison(row);
            let outcome = if refused {
                Outcome::Rejected(REFUSAL.to_owned())
            } else {
                outcome(raw_score(session(row), self.is_local))
            };
            (row.id, outcome)
        });
        // Only the ids say whose they are.
        Ok(Answer { models: self.model().into(), outcomes: outcomes.rev().collect() })
    }

    /// An answer of which nothing may be believed; every score in it is one that no session has.
    fn unfit(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        let dice = &self.life.world.dice;
        let mut outcomes: Vec<(Seq, Outcome)> =
            rows.iter().map(|row| (row.id, outcome(10_000.0 + session(row) as f64))).collect();
        let place = dice.below(outcomes.len() as u64) as usize;
        match dice.below(7) {
            0 => drop(outcomes.pop()),
            1 => outcomes.push((Seq(4_711), outcome(1.0))),
            2 => outcomes.push(outcomes[place].clone()),
            3 => outcomes.clear(),
            4 => return Err(DetectorError::Unusable { message: "simulated: gibberish".to_owned() }),
            5 => {
                if let Outcome::Calibrated { raw, .. } = &mut outcomes[place].1 {
                    *raw = f64::NAN;
                }
            }
            _ => {
                if let Outcome::Calibrated { calibrated, .. } = &mut outcomes[place].1 {
                    calibrated.score = 7.5;
                }
            }
        }
        Ok(Answer { models: self.model().into(), outcomes })
    }
}

fn away() -> DetectorError {
    DetectorError::Unavailable { message: "simulated: away".to_owned(), retry_after: None }
}

#[async_trait]
impl Detector for SimulatedDetector {
    fn source(&self) -> Source {
        if self.is_local || !self.life.world.plan.has_local { Source::Embedded } else { Source::Woodwide }
    }

    fn feature_set(&self) -> FeatureSet {
        FeatureSet::V1
    }

    fn limits(&self) -> Limits {
        Limits { rows: 1_000, in_flight: 8 }
    }

    async fn score(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        let (world, faults) = (&self.life.world, &self.life.world.plan.faults);
        if self.is_local {
            self.life.pause(0, Duration::ZERO).await;
            return self.honest(rows);
        }
        let now = world.elapsed();
        let since: Vec<Duration> = rows.iter().map(|row| world.ledger().asked(session(row), now)).collect();
        self.life.pause(faults.slow, world.plan.settings.lease * 4).await;
        self.life.pause(500, Duration::from_millis(300)).await;
        let spell = world.spell();
        let (kind, answer) = match spell {
            Some((_, _, Spell::Away)) => (1, Err(away())),
            Some((from, to, Spell::RefusesAll | Spell::RefusesSessions)) => {
                if let ([row], [since]) = (rows, &since[..]) {
                    // One that asked before it began to refuse, or has nothing to tell it by, may blame the session.
                    let can_tell = *since >= from && world.has_witness();
                    world
                        .ledger()
                        .refused(session(row), if can_tell { to.min(world.plan.calm) } else { Duration::ZERO });
                }
                (2, Err(DetectorError::Permanent { message: REFUSAL.to_owned() }))
            }
            None if !world.is_calm() && world.dice.happens(faults.transient) => {
                world.ledger().answered(rows.iter().map(session));
                let retry_after = world.dice.happens(200).then(|| Duration::from_millis(world.dice.below(3_000)));
                (3, Err(DetectorError::Transient { message: "simulated: busy".to_owned(), retry_after }))
            }
            None if !world.is_calm() && world.dice.happens(faults.unfit) => {
                world.ledger().answered(rows.iter().map(session));
                (4, self.unfit(rows))
            }
            None => {
                let answer = self.honest(rows);
                for (row, outcome) in rows.iter().zip(answer.iter().flat_map(|answer| answer.outcomes.iter().rev())) {
                    if !matches!(outcome.1, Outcome::Rejected(_)) {
                        world.ledger().scored(session(row));
                    }
                }
                (0, answer)
            }
        };
        world.note(self.life.number, "the detector answers about", rows.len() as u64 * 10 + kind);
        answer
    }

    async fn health(&self) -> Result<ModelIdentity, DetectorError> {
        let world = &self.life.world;
        self.life.pause(200, Duration::from_secs(2)).await;
        let answer = match world.spell() {
            Some((_, _, Spell::Away)) => Err(away()),
            Some((_, _, Spell::RefusesAll)) => Err(DetectorError::Permanent { message: REFUSAL.to_owned() }),
            Some((_, _, Spell::RefusesSessions)) | None => Ok(self.model()),
        };
        world.note(self.life.number, "the detector is probed", u64::from(answer.is_err()));
        answer
    }
}
