//! Models: the embedded ones, and those of Woodwide where it is configured.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Admin;
use super::error::{ApiError, Code, ErrorBody};
use super::wire;

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelBody {
    model_id: String,
    model_version: String,
    /// embedded
    #[schema(example = "embedded")]
    source: &'static str,
    /// Whether it scores now.
    active: bool,
}

/// The versions of the embedded model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelsAnswer {
    models: Vec<ModelBody>,
}

/// Lists the versions of the embedded model and says which is active.
#[utoipa::path(
    get, path = "/api/v1/models", operation_id = "listModels", tag = "models",
    responses(
        (status = 200, description = "The versions", body = ModelsAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Admin) -> Response {
    let active = ModelBody {
        model_id: service.model.id.clone(),
        model_version: service.model.version.clone(),
        source: "embedded",
        active: true,
    };
    wire::json(&ModelsAnswer { models: vec![active] })
}

fn not_configured() -> ApiError {
    let message = "this needs Woodwide; set PLAYPROOF_DETECTOR=woodwide and WOODWIDE_API_KEY";
    ApiError::new(Code::WoodwideNotConfigured, message)
}

/// Uploads a dataset to Woodwide.
#[utoipa::path(
    post, path = "/api/v1/datasets/upload", operation_id = "uploadDataset", tag = "models",
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin", body = ErrorBody),
        (status = 409, description = "Woodwide is not configured", body = ErrorBody),
    )
)]
pub(super) async fn upload(_: Admin) -> ApiError {
    not_configured()
}

/// Starts a training at Woodwide.
#[utoipa::path(
    post, path = "/api/v1/training/start", operation_id = "startTraining", tag = "models",
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin", body = ErrorBody),
        (status = 409, description = "Woodwide is not configured", body = ErrorBody),
    )
)]
pub(super) async fn train(_: Admin) -> ApiError {
    not_configured()
}

/// Says how a training at Woodwide stands.
#[utoipa::path(
    get, path = "/api/v1/training/{modelId}", operation_id = "readTraining", tag = "models",
    params(("modelId" = String, Path, description = "The model")),
    responses(
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin", body = ErrorBody),
        (status = 409, description = "Woodwide is not configured", body = ErrorBody),
    )
)]
pub(super) async fn training(_: Admin) -> ApiError {
    not_configured()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::TestApp;

    #[tokio::test]
    async fn the_active_model_is_named_and_woodwide_is_not_there() {
        let app = TestApp::start().await;
        let models = app.get("/api/v1/models").await.json();
        assert_eq!(
            (&models["models"][0]["active"], &models["models"][0]["source"]),
            (&json!(true), &json!("embedded"))
        );
        app.post("/api/v1/datasets/upload", &json!({})).await.is_error(409, "woodwide_not_configured");
        app.post("/api/v1/training/start", &json!({})).await.is_error(409, "woodwide_not_configured");
        app.get("/api/v1/training/m").await.is_error(409, "woodwide_not_configured");
    }
}
