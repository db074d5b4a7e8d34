//! The models of the embedded detector: made from labels, tried, promoted and taken back.

mod tested;

use self::tested::{BacktestAnswer, tested};

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::controls::Made;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::{DeploymentAdmin, GlobalAdmin, Reviewer};
use crate::http::extract::deployment::{self, DeploymentParams};
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    AnalystsOnly, DeploymentOutOfBounds, LimitOutOfBounds, NoPreviousModel, NotTheShadow, StoreAway, TrainingRuns,
    UnknownVersion, WorseModel,
};
use crate::http::respond::shapes;
use crate::registry::{RegistryError, Training};

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
    /// The only deployment whose labels it learned from, and where it may score; `null` for all.
    deployment_id: Option<String>,
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
    /// Whether it scores now: in the deployment asked about, or in all that have none of their own.
    active: bool,
    /// Deployments whose own model it is.
    own_of: Vec<String>,
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

/// Which model scores now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActiveAnswer {
    model_version: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BacktestParams {
    /// Only this deployment; left out, the key's own, or all.
    #[param(min_length = 1, max_length = 256)]
    deployment_id: Option<String>,
    /// Stored sessions to judge, the latest; 0 to 20000.
    #[param(minimum = 0, maximum = 20000, default = 2000)]
    limit: Option<u32>,
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

/// The deployment that something is to hold in, or all.
fn scope(access: &Access, asked: Option<String>) -> Result<Option<String>, ApiError> {
    deployment::check(asked.as_deref())?;
    Ok(access.deployment(asked)?)
}

/// Lists the versions of the embedded model, which of them scores, and how a training on this node stands.
#[utoipa::path(
    get, path = "/api/v1/models", operation_id = "listModels", tag = "models", params(DeploymentParams),
    responses((status = 200, description = "The versions", body = ModelsAnswer), Reviewer, DeploymentOutOfBounds, AnalystsOnly)
)]
pub(crate) async fn list(Reviewer { service, access }: Reviewer, Params(params): Params<DeploymentParams>) -> Answer {
    let deployment = scope(&access, params.deployment_id)?;
    let deployment = deployment.as_deref();
    let own = service.registry.own();
    let active = match deployment {
        Some(deployment) => service.embedded.model_of(deployment),
        None => service.embedded.model(),
    };
    let active = active.identity();
    let shadow = service.embedded.shadow();
    let base = service.registry.base().identity().version;
    let made = service.registry.made(deployment);
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
            own_of: own
                .iter()
                .filter(|(of, own)| **own == version && deployment.is_none_or(|deployment| deployment == of.as_str()))
                .map(|(of, _)| of.clone())
                .collect(),
            stage,
            learned: made.map(|made| LearnedBody {
                base: made.base,
                people: made.people,
                bots: made.bots,
                deployment_id: made.deployment_id,
                created_at: shapes::iso(Timestamp(made.created_at)),
            }),
            shadow: tally.map(|t| ShadowBody { sessions: t.sessions, stricter: t.stricter, milder: t.milder }),
            model_version: version,
        }
    };
    Ok(answer::json(&ModelsAnswer {
        models: all.map(body).collect(),
        training: training(service.registry.training(deployment)),
        can_roll_back: !service.registry.stages(deployment).previous.is_empty(),
    }))
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

/// Begins to make a model of the active one and the labels, of a deployment or of all; `GET /api/v1/models` tells when it is done. Three in four of
/// the labelled sessions are learned from, at least 200 people among them; the others judge. A model made from one
/// deployment's labels may score there, and elsewhere once who administers all deployments promotes it for all.
#[utoipa::path(
    post, path = "/api/v1/models/train", operation_id = "trainModel", tag = "models", params(DeploymentParams),
    responses((status = 202, description = "It runs", body = ModelTraining), DeploymentAdmin, DeploymentOutOfBounds, TrainingRuns, StoreAway)
)]
pub(crate) async fn train(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let deployment = scope(&access, params.deployment_id)?;
    let detail = json!({"deploymentId": deployment});
    let train = async { service.registry.train(deployment) };
    service.operations.perform(&access.actor, "model.train", "", detail, train).await?;
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
    service.registry.check(&version, None)?;
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
    if service.registry.stages(None).shadow.as_deref() != Some(version.as_str()) {
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
        DeploymentAdmin, LimitOutOfBounds, UnknownVersion, StoreAway,
    )
)]
pub(crate) async fn backtest(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    TextPath(version): TextPath,
    Params(params): Params<BacktestParams>,
) -> Answer {
    let limit = params.limit.unwrap_or(TESTED);
    if limit > MAX_TESTED {
        return Err(ApiError::at(Code::OutOfBounds, "limit", format!("limit must be 0 to {MAX_TESTED}")));
    }
    let deployment = scope(&access, params.deployment_id)?;
    let told = service.registry.backtest(&version, limit, deployment.as_deref()).await?;
    Ok(answer::json(&tested(version, &told)))
}

/// Lets a model score from now on, on every node, unless it is worse than the active one on labelled sessions that it has
/// not learned from, or on bots and people of our own. In a deployment it takes precedence over the one of all. Results name
/// their model; those stored keep theirs.
#[utoipa::path(
    post, path = "/api/v1/models/{modelVersion}/promote", operation_id = "promoteModel", tag = "models",
    params(("modelVersion" = String, Path, description = "The version"), DeploymentParams),
    responses(
        (status = 200, description = "It scores", body = BacktestAnswer),
        DeploymentAdmin, DeploymentOutOfBounds, UnknownVersion, WorseModel, StoreAway,
    )
)]
pub(crate) async fn promote(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    TextPath(version): TextPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let deployment = scope(&access, params.deployment_id)?;
    let deployment = deployment.as_deref();
    service.registry.check(&version, deployment)?;
    let (detail, promote) = (json!({"deploymentId": deployment}), service.registry.promote(&version, deployment));
    let told = service.operations.perform(&access.actor, "model.promote", version.as_str(), detail, promote).await?;
    Ok(answer::json(&tested(version, &told)))
}

/// Lets the model score that did before the active one.
#[utoipa::path(
    post, path = "/api/v1/models/rollback", operation_id = "rollBackModel", tag = "models", params(DeploymentParams),
    responses(
        (status = 200, description = "The model that scores now", body = ActiveAnswer),
        DeploymentAdmin, DeploymentOutOfBounds, NoPreviousModel, StoreAway,
    )
)]
pub(crate) async fn roll_back(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let deployment = scope(&access, params.deployment_id)?;
    let deployment = deployment.as_deref();
    let (detail, roll_back) = (json!({"deploymentId": deployment}), service.registry.roll_back(deployment));
    let model_version = service.operations.perform(&access.actor, "model.rollback", "", detail, roll_back).await?;
    Ok(answer::json(&ActiveAnswer { model_version }))
}

#[cfg(test)]
mod tests;
