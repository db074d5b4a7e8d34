//! `GET /api/v1/sessions/:sessionId/explanation`: what in the movement moved the score, and how people are there.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::detector::embedded::classifier::Contribution;
use crate::detector::embedded::judge::SUPPORT_PART;
use crate::detector::embedded::support::Share;
use crate::domain::calibration::MAX_SCORE;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::page;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::ApiError;
use crate::http::respond::refusals::{ImpossibleExplanation, StoreAway, TelemetryGone};
use crate::http::sessions::telemetry;
use crate::operations::explanation::{Distance, Explanation, explain};

/// Features named unless asked otherwise.
const DEFAULT_FEATURES: u32 = 5;
/// More than any feature set has.
const MAX_FEATURES: u32 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExplanationParams {
    /// The session's deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
    /// How many features to name, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 5)]
    limit: Option<u32>,
}

/// What one feature did for the score.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeatureBody {
    /// Its column in the feature set.
    #[schema(example = "fitAcross4Median")]
    feature: &'static str,
    /// The reason code of the trait that it describes.
    #[schema(example = "smoothness")]
    code: &'static str,
    /// What the reason says, for people.
    message: &'static str,
    /// Its value in this session.
    value: f64,
    /// Nine people in ten have at least this...
    human_low: f64,
    /// ...and at most this.
    human_high: f64,
    /// What it adds to the raw score: log-odds, above 0 towards a bot.
    added: f64,
}

/// A stretch of the path that speaks for a bot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StretchBody {
    /// Place of its first movement.
    from: usize,
    /// Place of the first movement after it.
    to: usize,
    /// How much higher the raw score is with it.
    added: f64,
}

/// Why a session has its score: `base`, what each feature added and `rest` make `rawScore`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationAnswer {
    session_id: String,
    model_id: String,
    model_version: String,
    /// Whether this model gave the session's result; else the result came from another detector or version, and this is
    /// what the active model says of the same telemetry.
    of_result: bool,
    /// What the model decides by itself.
    decision: &'static str,
    /// Calibrated, -log10 p.
    anomaly_score: f64,
    /// Log-odds.
    raw_score: f64,
    /// The raw score of the median person.
    base: f64,
    /// Those that moved the score most, either way, the largest first; empty when there is too little motion to judge.
    features: Vec<FeatureBody>,
    /// What all other features added.
    rest: f64,
    /// The stretches of the path without which the raw score would be lower, those that matter most first; at most three.
    stretches: Vec<StretchBody>,
    /// The two measures apart; absent when there is too little motion to judge.
    detection: Option<DetectionBody>,
}

/// What one feature did for the distance from people.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DistanceBody {
    /// Its column in the feature set.
    feature: &'static str,
    /// The reason code of the trait that it describes.
    code: &'static str,
    /// Its value in this session.
    value: f64,
    /// What it adds to the distance; below 0 where it fits the others.
    added: f64,
}

/// The measures that the score is made from: the larger of `classifierScore` and `supportScore` is `anomalyScore` as far as
/// the calibration people resolve it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetectionBody {
    /// 1 where people were recorded like this, 0 where nobody was: then people of unknown recorders are compared with.
    known_recorder: f64,
    /// How much the movement resembles bots: -log10 of the raw score's p-value against its part of the error.
    classifier_score: f64,
    /// How far it is from people: -log10 of the distance's p-value against its part of the error.
    support_score: f64,
    /// Squared distance from the mean person; people have about as much as there are features.
    distance: f64,
    /// Whether it is further than every person the model knows.
    outside: bool,
    /// The features that put it there, the largest first; with `rest` they make `distance`.
    features: Vec<DistanceBody>,
    /// What all other features add to the distance.
    rest: f64,
}

/// Explains a session's score by its features, as long as its telemetry is kept.
#[utoipa::path(
    get, path = "/api/v1/sessions/{sessionId}/explanation", operation_id = "explainSession", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), ExplanationParams),
    responses(
        (status = 200, description = "What moved the score", body = ExplanationAnswer),
        Reviewer, TelemetryGone, ImpossibleExplanation, StoreAway,
    )
)]
pub(crate) async fn read(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<ExplanationParams>,
) -> Answer {
    let limit = page::page_size(params.limit, DEFAULT_FEATURES, MAX_FEATURES)?;
    let (session, record) = telemetry::kept(&service, access.session(id, params.deployment_id)?).await?;
    let model = service.embedded.model_of(&session.key.deployment);
    let judged = session.result.as_ref().map(|result| &result.verdict.model);
    let of_result = judged.is_some_and(|judged| *judged == model.identity());
    let thresholds = service.intake.thresholds().of(&session.key.deployment);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Off the async workers: a long session takes a while.
    let explained = tokio::task::spawn_blocking(move || explain(&model, &record, &thresholds, limit)).await;
    let explained = explained
        .map_err(|e| ApiError::internal(format!("the explanation failed: {e}")))?
        .map_err(|damaged| ApiError::internal(damaged.to_string()))?;
    Ok(answer::json(&told(session.key.id.to_string(), of_result, explained)))
}

fn told(session_id: String, of_result: bool, explained: Explanation) -> ExplanationAnswer {
    let Explanation { verdict, set, row, raw_score, base, contributions, rest, stretches, distance } = explained;
    let feature = |Contribution { index, added, range }: Contribution| {
        let reason = set.describes(index);
        FeatureBody {
            feature: set.columns()[index],
            code: reason.code(),
            message: reason.message(),
            value: row[index],
            human_low: range.0,
            human_high: range.1,
            added,
        }
    };
    let share = |Share { index, added }: Share| DistanceBody {
        feature: set.columns()[index],
        code: set.describes(index).code(),
        value: row[index],
        added,
    };
    let score = |p: f64, part: f64| (-(p / part).min(1.0).log10()).clamp(0.0, MAX_SCORE);
    ExplanationAnswer {
        session_id,
        model_id: verdict.model.id,
        model_version: verdict.model.version,
        of_result,
        decision: verdict.decision.name(),
        anomaly_score: verdict.anomaly_score.unwrap_or_default(),
        raw_score,
        base,
        features: contributions.into_iter().map(feature).collect(),
        rest,
        stretches: stretches.into_iter().map(|(s, added)| StretchBody { from: s.from, to: s.to, added }).collect(),
        detection: distance.map(|Distance { judgement, shares, rest }| DetectionBody {
            known_recorder: judgement.known,
            classifier_score: score(judgement.classifier_p, 1.0 - SUPPORT_PART),
            support_score: score(judgement.support_p, SUPPORT_PART),
            distance: judgement.distance,
            outside: judgement.outside,
            features: shares.into_iter().map(share).collect(),
            rest,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::http::testing::{TestApp, session};

    fn drawn(id: &str) -> Value {
        let movements: Vec<Value> = (0..200)
            .map(|i| json!({ "x": 3 * i, "y": 2 * i, "timestamp": 1000 + 16 * i, "isTrusted": true }))
            .collect();
        let mut session = session(id);
        session["movements"] = movements.into();
        session
    }

    #[tokio::test]
    async fn what_is_named_and_the_rest_make_the_score() {
        let app = TestApp::start().await;
        let mut line = drawn("line");
        line["useBatch"] = false.into();
        let verdict = app.post("/api/v1/score", &line).await.json();
        let told = app.get("/api/v1/sessions/line/explanation").await.json();
        assert_eq!((&told["sessionId"], &told["ofResult"]), (&json!("line"), &json!(true)), "{told}");
        assert_eq!(told["decision"], verdict["decision"]);
        assert_eq!(told["anomalyScore"], verdict["anomaly"]["anomalyScore"]);
        let features = told["features"].as_array().unwrap();
        assert_eq!(features.len(), 5);
        assert!(told["stretches"].as_array().unwrap().len() <= 3, "{told}");
        let added = |told: &Value| {
            let features = told["features"].as_array().unwrap().iter();
            features.map(|f| f["added"].as_f64().unwrap()).collect::<Vec<_>>()
        };
        let sum = |told: &Value| {
            let [base, rest] = ["base", "rest"].map(|name| told[name].as_f64().unwrap());
            base + rest + added(told).iter().sum::<f64>()
        };
        let raw = told["rawScore"].as_f64().unwrap();
        assert!((sum(&told) - raw).abs() < 1e-6);
        let most = added(&told)[0];
        assert!(most > 0.0 && added(&told).iter().all(|a| a.abs() <= most), "{told}");
        // A line is outside of what people do in what speaks most against it.
        let first = &features[0];
        let [value, low, high] = ["value", "humanLow", "humanHigh"].map(|name| first[name].as_f64().unwrap());
        assert!(low <= high && (value < low || value > high), "{first}");
        assert!(first["code"].is_string() && first["message"].is_string());

        let all = app.get("/api/v1/sessions/line/explanation?limit=1000").await.json();
        assert!((sum(&all) - raw).abs() < 1e-6 && all["rest"].as_f64().unwrap().abs() < 1e-6);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_explained() {
        let app = TestApp::start().await;
        assert_eq!(app.get("/api/v1/sessions/none/explanation").await.status, 404);
        app.post("/api/v1/score", &drawn("gone")).await;
        let queued = app.get("/api/v1/sessions/gone/explanation?limit=0").await;
        assert_eq!(queued.status, 422);
        let queued = app.get("/api/v1/sessions/gone/explanation").await.json();
        assert_eq!(queued["ofResult"], false, "there is no result yet");
        app.delete("/api/v1/sessions/gone").await;
        let gone = app.get("/api/v1/sessions/gone/explanation").await;
        assert_eq!(gone.error(), (410, "session_erased".to_owned()));
    }

    #[tokio::test]
    async fn too_little_motion_is_scored_and_not_explained() {
        let app = TestApp::start().await;
        let mut short = session("short");
        short["movements"].as_array_mut().unwrap().truncate(3);
        app.post("/api/v1/score", &short).await;
        let told = app.get("/api/v1/sessions/short/explanation").await.json();
        assert_eq!((&told["decision"], &told["features"]), (&json!("review"), &json!([])), "{told}");
    }
}
