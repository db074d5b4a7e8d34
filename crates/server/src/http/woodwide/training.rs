//! Training at Woodwide: upload a table, start, ask how it stands. Answers are the original's, with more beside them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::detector::woodwide::{Fault, Order, Training, TrainingError};
use crate::http::extract::body::{self, BodyLimits};
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{Malformed, TrainingRefused, UnknownTraining, UploadRefused};
use crate::http::state::Shared;

/// Largest body of an upload: what Woodwide takes.
const MAX_BYTES: usize = 30 << 20;
/// Time for a table to arrive.
const BODY_TIME: Duration = Duration::from_secs(120);

/// A table to train on.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UploadBody {
    #[schema(example = "people")]
    name: String,
    /// CSV as `playproof-batch features` writes it.
    data: String,
    /// Whether a table of that name with other content is replaced.
    #[serde(default)]
    overwrite: bool,
}

/// How a table that is sent as it is, as `text/csv`, is called.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadParams {
    /// With `text/csv`: the name.
    name: Option<String>,
    /// With `text/csv`: whether a table of that name with other content is replaced.
    overwrite: Option<bool>,
}

/// A table that is at Woodwide.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadAnswer {
    /// Always true.
    success: bool,
    dataset_id: String,
    dataset_name: String,
    row_count: usize,
    /// The columns it has there.
    columns: Vec<String>,
    /// Columns that were left out because they name a session or a person.
    dropped_columns: Vec<String>,
}

/// What to train.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartBody {
    /// Name of an uploaded table.
    #[schema(example = "people")]
    dataset_name: String,
    #[schema(example = "humans")]
    model_name: String,
    /// anomaly
    #[schema(example = "anomaly")]
    model_type: Option<String>,
    /// All feature columns when left out; identifiers are never among them.
    input_columns: Option<Vec<String>>,
    /// Train again although an equal model is there.
    #[serde(default)]
    overwrite: bool,
}

/// A training that was started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartAnswer {
    /// Always true.
    success: bool,
    /// For `ANOMALY_MODEL_ID`.
    model_id: String,
    model_name: String,
    /// PENDING, TRAINING or COMPLETE.
    #[schema(example = "PENDING")]
    status: &'static str,
    /// For people.
    message: String,
    /// What it learns from.
    input_columns: Vec<String>,
}

/// How a training stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrainingBody {
    model_id: String,
    model_name: String,
    /// PENDING, TRAINING, COMPLETE or FAILED.
    #[schema(example = "TRAINING")]
    status: &'static str,
    /// 0 to 100, where the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// ISO 8601; `null` when the service does not say.
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
}

impl From<TrainingError> for ApiError {
    fn from(error: TrainingError) -> Self {
        let message = error.to_string();
        match error {
            TrainingError::Table(_) => Self::at(Code::OutOfBounds, "data", message),
            TrainingError::Columns(_) => Self::at(Code::OutOfBounds, "inputColumns", message),
            TrainingError::Taken(_) => Self::at(Code::DatasetConflict, "name", message),
            TrainingError::UnknownDataset(_) => Self::at(Code::UnknownDataset, "datasetName", message),
            TrainingError::UnknownModel(_) => Self::at(Code::UnknownModel, "modelId", message),
            TrainingError::Memory(_) => Self::new(Code::StoreUnavailable, message),
            TrainingError::Remote { fault, retry_after, .. } => {
                let code = match fault {
                    Fault::Credits => Code::WoodwideNoCredits,
                    Fault::Refused => Code::WoodwideRefused,
                    Fault::TooLarge => Code::BodyTooLarge,
                    Fault::Away => Code::WoodwideUnavailable,
                    Fault::Unusable => Code::WoodwideUnusableAnswer,
                };
                Self::new(code, message).retry_after(retry_after)
            }
        }
    }
}

fn configured(service: &Shared) -> Result<&Training, ApiError> {
    let message = "this needs Woodwide; set WOODWIDE_API_KEY and start the service again";
    service.training.as_ref().ok_or_else(|| ApiError::new(Code::WoodwideNotConfigured, message))
}

/// A name that may stand in an address.
fn named(path: &str, name: &str) -> Result<(), ApiError> {
    let fits = (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !name.starts_with('.');
    if fits {
        return Ok(());
    }
    let message = format!("{path} must be 1 to 100 letters, digits, _, - or ., and not begin with a .");
    Err(ApiError::at(Code::OutOfBounds, path, message))
}

/// Uploads a table of feature rows to Woodwide; waits until it can be trained on.
#[utoipa::path(
    post, path = "/api/v1/datasets/upload", operation_id = "uploadDataset", tag = "models",
    params(UploadParams),
    request_body(content((UploadBody = "application/json"), (String = "text/csv"))),
    responses(
        (status = 200, description = "It is there, now or since an earlier upload", body = UploadAnswer),
        GlobalAdmin, Malformed, UploadRefused,
    )
)]
pub(crate) async fn upload(
    GlobalAdmin { service, access }: GlobalAdmin,
    Params(params): Params<UploadParams>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let training = configured(&service)?;
    let is_csv = |essence: &str| essence == "text/csv";
    body::check_type(&headers, |e| body::is_json(e) || is_csv(e), "application/json or text/csv")?;
    let limits = BodyLimits {
        bytes: MAX_BYTES,
        time: BODY_TIME,
        large: &service.tables,
        page: None,
        draining: service.draining(),
    };
    let body = body::read(&headers, body, limits).await.map_err(|mut error| {
        if error.code == Code::BodyTooLarge {
            "the body must be at most 30 MiB; send fewer rows".clone_into(&mut error.message);
        }
        error
    })?;
    // For as long as the table is in memory, not only while it arrives.
    let busy = |_| ApiError::new(Code::Busy, "other tables are being uploaded; send this one again later");
    let _place = service.tables.try_acquire().map_err(busy)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = if is_csv(content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str()) {
        let missing = || ApiError::malformed("name", "name is missing; add ?name=NAME to the address");
        let text = String::from_utf8(body.into()).map_err(|_| ApiError::malformed("body", "the table is no UTF-8"))?;
        let overwrite = params.overwrite.unwrap_or(false);
        UploadBody { name: params.name.ok_or_else(missing)?, data: text, overwrite }
    } else {
        let missing = || ApiError::malformed("body", "the body is empty; send {name, data}");
        body::json::<UploadBody>(&body)?.ok_or_else(missing)?
    };
    named("name", &wanted.name)?;
    let dataset = service
        .operations
        .perform(&access.actor, "dataset.upload", "", serde_json::json!({"name": wanted.name}), async {
            Ok::<_, ApiError>(training.upload(&wanted.name, wanted.data, wanted.overwrite).await?)
        })
        .await?;
    Ok(answer::json(&UploadAnswer {
        success: true,
        dataset_id: dataset.id,
        dataset_name: wanted.name,
        row_count: dataset.rows,
        columns: dataset.columns,
        dropped_columns: dataset.dropped,
    }))
}

/// Starts a training at Woodwide. An equal one that was started before is found, and not started again.
#[utoipa::path(
    post, path = "/api/v1/training/start", operation_id = "startTraining", tag = "models",
    request_body = StartBody,
    responses(
        (status = 200, description = "It was started, now or by an earlier call", body = StartAnswer),
        GlobalAdmin, Malformed, TrainingRefused,
    )
)]
pub(crate) async fn start(GlobalAdmin { service, access }: GlobalAdmin, headers: HeaderMap, body: Body) -> Answer {
    let training = configured(&service)?;
    body::check_type(&headers, body::is_json, "application/json")?;
    let body = body::read(&headers, body, service.body_limits(body::LIST)).await?;
    let missing = || ApiError::malformed("body", "the body is empty; send {datasetName, modelName}");
    let wanted: StartBody = body::json(&body)?.ok_or_else(missing)?;
    named("datasetName", &wanted.dataset_name)?;
    named("modelName", &wanted.model_name)?;
    if wanted.model_type.as_deref().is_some_and(|kind| kind != "anomaly") {
        return Err(ApiError::at(Code::OutOfBounds, "modelType", "modelType must be anomaly"));
    }
    let order = Order {
        dataset: wanted.dataset_name,
        model: wanted.model_name,
        columns: wanted.input_columns,
        overwrite: wanted.overwrite,
    };
    let started = service
        .operations
        .perform(&access.actor, "training.start", "", serde_json::json!({"model": order.model}), async {
            Ok::<_, ApiError>(training.start(&order).await?)
        })
        .await?;
    let message = if started.found {
        "An equal training was started before; this is its model"
    } else {
        "Training started; ask for it at /api/v1/training/MODEL and set ANOMALY_MODEL_ID when it is COMPLETE"
    };
    Ok(answer::json(&StartAnswer {
        success: true,
        model_id: started.model,
        model_name: order.model,
        status: started.stage.name(),
        message: message.to_owned(),
        input_columns: started.columns,
    }))
}

/// Says how a training at Woodwide stands.
#[utoipa::path(
    get, path = "/api/v1/training/{modelId}", operation_id = "readTraining", tag = "models",
    params(("modelId" = String, Path, description = "The model")),
    responses((status = 200, description = "How it stands", body = TrainingBody), GlobalAdmin, UnknownTraining)
)]
pub(crate) async fn read(GlobalAdmin { service, .. }: GlobalAdmin, TextPath(model): TextPath) -> Answer {
    let training = configured(&service)?;
    named("modelId", &model)?;
    let progress = training.progress(&model).await?;
    Ok(answer::json(&TrainingBody {
        model_id: model,
        model_name: progress.name,
        status: progress.stage.name(),
        progress: progress.percent,
        error: progress.error,
        created_at: progress.created_at,
        completed_at: progress.completed_at,
    }))
}

#[cfg(test)]
mod tests;
