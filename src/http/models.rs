//! The versions of the embedded model.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Reviewer;
use super::error::ErrorBody;
use super::wire;
use crate::domain::result::ModelIdentity;

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
        (status = 403, description = "Neither analyst nor admin", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Reviewer) -> Response {
    let ModelIdentity { id, version } = service.embedded.model().identity();
    let active = ModelBody { model_id: id, model_version: version, source: "embedded", active: true };
    wire::json(&ModelsAnswer { models: vec![active] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::TestApp;

    #[tokio::test]
    async fn the_active_model_is_named() {
        let app = TestApp::start().await;
        let models = app.get("/api/v1/models").await.json();
        assert_eq!(
            (&models["models"][0]["active"], &models["models"][0]["source"]),
            (&json!(true), &json!("embedded"))
        );
    }
}
