//! How a test of a model is answered.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::result::Decision;
use crate::domain::trend::Tally;
use crate::http::results::overview::{TallyBody, tally};
use crate::registry::{Backtest, Changed, Errors, Moves};

/// Wrong decisions on labelled sessions that no model has learned from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorsBody {
    people: u64,
    people_failed: u64,
    people_reviewed: u64,
    bots: u64,
    bots_passed: u64,
    bots_reviewed: u64,
}

/// A session that would be decided in another way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestedExample {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// By the active model.
    score_before: Option<f64>,
    /// By the one tested.
    score_after: Option<f64>,
}

/// Stored sessions by both models' decisions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestedMove {
    /// The active model's decision: pass, review or fail.
    from: &'static str,
    /// The other's.
    to: &'static str,
    count: u64,
    /// The latest of them, at most five.
    examples: Vec<TestedExample>,
}

/// Sessions by decision, of both models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestedTallies {
    /// By the active model.
    before: TallyBody,
    /// By the one tested.
    after: TallyBody,
}

/// What a model would change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BacktestAnswer {
    model_version: String,
    /// Stored sessions judged by both.
    sessions: u64,
    /// Of them those decided in another way.
    flips: u64,
    /// All of them by decision.
    stored: TestedTallies,
    /// Those scored within the last day.
    last_day: TestedTallies,
    moves: Vec<TestedMove>,
    /// Of the active model.
    active: ErrorsBody,
    /// Of the one tested.
    tested: ErrorsBody,
}

impl From<Errors> for ErrorsBody {
    fn from(errors: Errors) -> Self {
        let Errors { people, people_failed, people_reviewed, bots, bots_passed, bots_reviewed } = errors;
        Self { people, people_failed, people_reviewed, bots, bots_passed, bots_reviewed }
    }
}

impl From<&Changed> for TestedExample {
    fn from(changed: &Changed) -> Self {
        Self {
            session_id: changed.key.id.to_string(),
            deployment_id: changed.key.deployment.clone(),
            score_before: changed.before,
            score_after: changed.after,
        }
    }
}

/// Both models' decisions of what one went to from the other's.
fn tallies(moves: &Moves) -> TestedTallies {
    let before = moves.map(|row| row.iter().sum());
    let after = [0, 1, 2].map(|to| moves.iter().map(|row| row[to]).sum());
    let body = |[pass, review, fail]: [u64; 3]| tally(Tally { pass, review, fail });
    TestedTallies { before: body(before), after: body(after) }
}

pub(super) fn tested(version: String, told: &Backtest) -> BacktestAnswer {
    let (mut moves, mut flips) = (Vec::new(), 0);
    for (from, (row, examples)) in Decision::ALL.into_iter().zip(told.moves.iter().zip(&told.examples)) {
        for (to, (count, examples)) in Decision::ALL.into_iter().zip(row.iter().zip(examples)) {
            if from != to && *count > 0 {
                flips += count;
                let examples = examples.iter().rev().map(Into::into).collect();
                moves.push(TestedMove { from: from.name(), to: to.name(), count: *count, examples });
            }
        }
    }
    BacktestAnswer {
        model_version: version,
        sessions: told.moves.iter().flatten().sum(),
        flips,
        stored: tallies(&told.moves),
        last_day: tallies(&told.day),
        moves,
        active: told.active.into(),
        tested: told.other.into(),
    }
}
