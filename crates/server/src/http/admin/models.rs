//! The models of the embedded detector: made from labels, tried, promoted and taken back.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::controls::Made;
use crate::domain::result::Decision;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::{GlobalAdmin, Reviewer};
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    AnalystsOnly, LimitOutOfBounds, NoPreviousModel, NotTheShadow, StoreAway, TrainingRuns, UnknownVersion, WorseModel,
};
use crate::http::respond::shapes;
use crate::registry::{Backtest, Errors, RegistryError, Training};

/// Stored sessions that a backtest looks at when not told.
const TESTED: u32 = 2000;
const MAX_TESTED: u32 = 20_000;

/// What a model learned from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LearnedBody {
    /// The version it was adapted from.
    base: String,
    /// Labelled people.
    people: usize,
    /// Labelled bots.
    bots: usize,
    /// ISO 8601, UTC.
    created_at: String,
}

/// What a shadow would have decided, on this node, since it became one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShadowBody {
    /// Sessions scored by both.
    sessions: u64,
    /// It alone would have been stricter.
    stricter: u64,
    /// It alone would have been milder.
    milder: u64,
}

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelBody {
    model_id: String,
    model_version: String,
    /// embedded
    #[schema(example = "embedded")]
    source: &'static str,
    /// Whether it scores now.
    active: bool,
    /// active, shadow or kept.
    #[schema(example = "active")]
    stage: &'static str,
    /// `null` for the settings' model.
    learned: Option<LearnedBody>,
    /// `null` unless it is the shadow.
    shadow: Option<ShadowBody>,
}

/// A training on this node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelTraining {
    /// none, running, done or failed.
    #[schema(example = "done")]
    state: &'static str,
    /// The version it made.
    model_version: Option<String>,
    /// Why it made none.
    message: Option<String>,
}

/// The versions of the embedded model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelsAnswer {
    models: Vec<ModelBody>,
    training: ModelTraining,
    /// Whether there is a model to roll back to.
    can_roll_back: bool,
}

/// Wrong decisions on labelled sessions that no model has learned from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorsBody {
    people: u64,
    people_failed: u64,
    people_reviewed: u64,
    bots: u64,
    bots_passed: u64,
}

/// Stored sessions by both models' decisions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestedMove {
    /// The active model's decision: pass, review or fail.
    from: &'static str,
    /// The other's.
    to: &'static str,
    count: u64,
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
    moves: Vec<TestedMove>,
    /// Of the active model.
    active: ErrorsBody,
    /// Of the one tested.
    tested: ErrorsBody,
}

/// Which model scores now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActiveAnswer {
    model_version: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestParams {
    /// Stored sessions to judge, the latest; 0 to 20000.
    #[param(minimum = 0, maximum = 20000, default = 2000)]
    limit: Option<u32>,
}

impl From<Errors> for ErrorsBody {
    fn from(errors: Errors) -> Self {
        let Errors { people, people_failed, people_reviewed, bots, bots_passed } = errors;
        Self { people, people_failed, people_reviewed, bots, bots_passed }
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            RegistryError::Unknown => Self::new(Code::UnknownModel, "there is no model of this version"),
            RegistryError::Running => Self::new(Code::TrainingRuns, "a training runs on this node; wait for its end"),
            RegistryError::Worse(why) => Self::new(Code::ModelWorse, why),
            RegistryError::NoPrevious => {
                Self::new(Code::NoPreviousModel, "no model was promoted, so there is none to roll back to")
            }
            RegistryError::Unusable(what) => Self::internal(what),
        }
    }
}

fn tested(version: String, told: &Backtest) -> BacktestAnswer {
    let (mut moves, mut sessions, mut flips) = (Vec::new(), 0, 0);
    for (from, row) in Decision::ALL.into_iter().zip(&told.moves) {
        for (to, count) in Decision::ALL.into_iter().zip(row) {
            sessions += count;
            if from != to && *count > 0 {
                flips += count;
                moves.push(TestedMove { from: from.name(), to: to.name(), count: *count });
            }
        }
    }
    let (active, other) = (told.active.into(), told.other.into());
    BacktestAnswer { model_version: version, sessions, flips, moves, active, tested: other }
}

/// Lists the versions of the embedded model, which of them scores, and how a training on this node stands.
#[utoipa::path(
    get, path = "/api/v1/models", operation_id = "listModels", tag = "models",
    responses((status = 200, description = "The versions", body = ModelsAnswer), Reviewer, AnalystsOnly)
)]
pub(crate) async fn list(Reviewer { service, .. }: Reviewer) -> Response {
    let active = service.embedded.model().identity();
    let shadow = service.embedded.shadow();
    let base = service.registry.base().identity().version;
    let made = service.registry.made();
    let all = std::iter::once((base, None)).chain(made.into_iter().map(|(version, made)| (version, Some(made))));
    let body = |(version, made): (String, Option<Made>)| {
        let beside = shadow.as_ref().filter(|shadow| shadow.model().identity().version == version);
        let tally = beside.map(|shadow| shadow.tally());
        let is_active = version == active.version;
        let stage = match (is_active, tally.is_some()) {
            (true, _) => "active",
            (false, true) => "shadow",
            (false, false) => "kept",
        };
        ModelBody {
            model_id: active.id.clone(),
            source: "embedded",
            active: is_active,
            stage,
            learned: made.map(|made| LearnedBody {
                base: made.base,
                people: made.people,
                bots: made.bots,
                created_at: shapes::iso(Timestamp(made.created_at)),
            }),
            shadow: tally.map(|t| ShadowBody { sessions: t.sessions, stricter: t.stricter, milder: t.milder }),
            model_version: version,
        }
    };
    answer::json(&ModelsAnswer {
        models: all.map(body).collect(),
        training: training(service.registry.training()),
        can_roll_back: !service.registry.stages().previous.is_empty(),
    })
}

fn training(training: Training) -> ModelTraining {
    let (state, model_version, message) = match training {
        Training::None => ("none", None, None),
        Training::Runs => ("running", None, None),
        Training::Done(version) => ("done", Some(version), None),
        Training::Failed(why) => ("failed", None, Some(why)),
    };
    ModelTraining { state, model_version, message }
}

/// Begins to make a model of the active one and the labels; `GET /api/v1/models` tells when it is done. Three in four of
/// the labelled sessions are learned from, at least 200 people among them; the others judge.
#[utoipa::path(
    post, path = "/api/v1/models/train", operation_id = "trainModel", tag = "models",
    responses((status = 202, description = "It runs", body = ModelTraining), GlobalAdmin, TrainingRuns, StoreAway)
)]
pub(crate) async fn train(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    let train = async { service.registry.train() };
    service.operations.perform(&access.actor, "model.train", "", json!({}), train).await?;
    let mut answer = answer::json(&training(Training::Runs));
    *answer.status_mut() = axum::http::StatusCode::ACCEPTED;
    Ok(answer)
}

/// Lets a model score beside the active one, on every node, without effect.
#[utoipa::path(
    post, path = "/api/v1/models/{modelVersion}/shadow", operation_id = "shadowModel", tag = "models",
    params(("modelVersion" = String, Path, description = "The version")),
    responses(
        (status = 200, description = "It scores beside", body = ActiveAnswer),
        GlobalAdmin, UnknownVersion, StoreAway,
    )
)]
pub(crate) async fn shadow(GlobalAdmin { service, access }: GlobalAdmin, TextPath(version): TextPath) -> Answer {
    service.registry.check(&version)?;
    service
        .operations
        .perform(&access.actor, "model.shadow", version.clone(), json!({}), service.registry.set_shadow(Some(version)))
        .await?;
    Ok(answer::json(&ActiveAnswer { model_version: service.embedded.model().identity().version }))
}

/// Lets no model score beside the active one.
#[utoipa::path(
    delete, path = "/api/v1/models/{modelVersion}/shadow", operation_id = "unshadowModel", tag = "models",
    params(("modelVersion" = String, Path, description = "The version")),
    responses(
        (status = 200, description = "Nothing scores beside", body = ActiveAnswer),
        GlobalAdmin, NotTheShadow, StoreAway,
    )
)]
pub(crate) async fn unshadow(GlobalAdmin { service, access }: GlobalAdmin, TextPath(version): TextPath) -> Answer {
    if service.registry.stages().shadow.as_deref() != Some(version.as_str()) {
        return Err(ApiError::new(Code::UnknownModel, "the model of this version is not the shadow"));
    }
    service
        .operations
        .perform(&access.actor, "model.unshadow", version, json!({}), service.registry.set_shadow(None))
        .await?;
    Ok(answer::json(&ActiveAnswer { model_version: service.embedded.model().identity().version }))
}

/// Judges stored sessions with the active model and another: who would be decided in another way, and which of them is
/// wrong on labelled sessions that neither has learned from. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/models/{modelVersion}/backtest", operation_id = "backtestModel", tag = "models",
    params(("modelVersion" = String, Path, description = "The version"), BacktestParams),
    responses(
        (status = 200, description = "What it would change", body = BacktestAnswer),
        GlobalAdmin, LimitOutOfBounds, UnknownVersion, StoreAway,
    )
)]
pub(crate) async fn backtest(
    GlobalAdmin { service, .. }: GlobalAdmin,
    TextPath(version): TextPath,
    Params(params): Params<BacktestParams>,
) -> Answer {
    let limit = params.limit.unwrap_or(TESTED);
    if limit > MAX_TESTED {
        return Err(ApiError::at(Code::OutOfBounds, "limit", format!("limit must be 0 to {MAX_TESTED}")));
    }
    let told = service.registry.backtest(&version, limit).await?;
    Ok(answer::json(&tested(version, &told)))
}

/// Lets a model score from now on, on every node, unless it is worse than the active one on labelled sessions that it has
/// not learned from. Results name their model; those stored keep theirs.
#[utoipa::path(
    post, path = "/api/v1/models/{modelVersion}/promote", operation_id = "promoteModel", tag = "models",
    params(("modelVersion" = String, Path, description = "The version")),
    responses(
        (status = 200, description = "It scores", body = BacktestAnswer),
        GlobalAdmin, UnknownVersion, WorseModel, StoreAway,
    )
)]
pub(crate) async fn promote(GlobalAdmin { service, access }: GlobalAdmin, TextPath(version): TextPath) -> Answer {
    service.registry.check(&version)?;
    let told = service
        .operations
        .perform(&access.actor, "model.promote", version.as_str(), json!({}), service.registry.promote(&version))
        .await?;
    Ok(answer::json(&tested(version, &told)))
}

/// Lets the model score that did before the active one.
#[utoipa::path(
    post, path = "/api/v1/models/rollback", operation_id = "rollBackModel", tag = "models",
    responses(
        (status = 200, description = "The model that scores now", body = ActiveAnswer),
        GlobalAdmin, NoPreviousModel, StoreAway,
    )
)]
pub(crate) async fn roll_back(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    let model_version = service
        .operations
        .perform(&access.actor, "model.rollback", "", json!({}), service.registry.roll_back())
        .await?;
    Ok(answer::json(&ActiveAnswer { model_version }))
}

#[cfg(test)]
mod tests;
