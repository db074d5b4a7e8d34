//! Thresholds: which hold, what others would change, and applying them to what is stored.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::domain::calibration::MAX_SCORE;
use crate::domain::result::{Decision, NoPointer, Thresholds};
use crate::http::extract::caller::{DeploymentAdmin, Reviewer};
use crate::http::extract::deployment::{self, DeploymentParams};
use crate::http::extract::json::{Form, Json};
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{DeploymentOutOfBounds, ImpossibleThresholds, StoreAway};
use crate::http::respond::shapes;
use crate::http::state::Service;
use crate::operations::thresholds::{Flip, Redecided};
use crate::thresholds::Applied;

/// Thresholds to try or to apply.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ThresholdsRequest {
    /// Up to here a score passes; 0 to 6.
    #[schema(example = 1.0, minimum = 0, maximum = 6)]
    pass: f64,
    /// Up to here it is reviewed, above it fails; larger than `pass`, at most 6.
    #[schema(example = 2.5, minimum = 0, maximum = 6)]
    review: f64,
    /// review or pass: what becomes of a session without movement, of somebody with a keyboard or a screen reader. Left out, it
    /// stays as it is.
    #[schema(example = "review", pattern = "^(review|pass)$")]
    no_pointer: Option<String>,
    /// Only this deployment; left out, every one without thresholds of its own. A bound key has its own.
    deployment_id: Option<String>,
}

impl Form for ThresholdsRequest {
    const MISSING: &'static str = r#"send {"pass": number, "review": number}"#;
}

impl ThresholdsRequest {
    /// The thresholds, and whose they are.
    fn read(self, service: &Service, access: &Access) -> Result<(String, Thresholds), ApiError> {
        let Self { pass, review, no_pointer, deployment_id } = self;
        for (field, value) in [("pass", pass), ("review", review)] {
            if !(0.0..=MAX_SCORE).contains(&value) {
                return Err(ApiError::at(Code::OutOfBounds, field, format!("{field} must be from 0 to {MAX_SCORE}")));
            }
        }
        if pass >= review {
            return Err(ApiError::at(Code::OutOfBounds, "review", "review must be larger than pass".to_owned()));
        }
        deployment::check(deployment_id.as_deref())?;
        let name = access.deployment(deployment_id)?.unwrap_or_default();
        let wrong = || ApiError::at(Code::OutOfBounds, "noPointer", "noPointer must be review or pass");
        let no_pointer = match no_pointer {
            Some(no_pointer) => NoPointer::parse(&no_pointer).ok_or_else(wrong)?,
            None => service.intake.thresholds().of(&name).no_pointer,
        };
        Ok((name, Thresholds { pass, review, no_pointer }))
    }
}

/// Thresholds that hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThresholdsBody {
    pass: f64,
    review: f64,
    /// review or pass: what becomes of a session without movement.
    #[schema(example = "review")]
    no_pointer: &'static str,
    /// `setting`, or `applied` where an operator put others in place of the settings'.
    #[schema(example = "setting")]
    origin: &'static str,
    /// ISO 8601; `null` for the settings'.
    applied_at: Option<String>,
}

/// The thresholds of one deployment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentThresholds {
    deployment_id: String,
    #[serde(flatten)]
    thresholds: ThresholdsBody,
}

/// Which thresholds hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThresholdsAnswer {
    #[serde(flatten)]
    general: ThresholdsBody,
    /// Deployments with their own.
    deployments: Vec<DeploymentThresholds>,
}

/// How many sessions have each decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionCounts {
    pass: u64,
    review: u64,
    fail: u64,
}

/// A session whose decision changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlipExample {
    session_id: String,
    deployment_id: String,
    /// As answered; `null` where the source only flags.
    anomaly_score: Option<f64>,
}

/// Sessions that go from one decision to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MoveBody {
    from: &'static str,
    to: &'static str,
    count: u64,
    /// The latest of them, at most ten.
    examples: Vec<FlipExample>,
}

/// What thresholds change, or changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SimulationAnswer {
    pass: f64,
    review: f64,
    /// Stored results looked at.
    sessions: u64,
    before: DecisionCounts,
    after: DecisionCounts,
    /// Sessions whose decision changes.
    flips: u64,
    moves: Vec<MoveBody>,
    /// Sessions that keep their decision because somebody said what they are.
    labelled: u64,
    /// Results of earlier versions, which say too little to be decided anew.
    undecidable: u64,
    took_ms: f64,
}

fn general(applied: Option<&Applied>, setting: Thresholds) -> ThresholdsBody {
    let Thresholds { pass, review, no_pointer } = applied.map_or(setting, |applied| (*applied).into());
    ThresholdsBody {
        pass,
        review,
        no_pointer: no_pointer.decision().name(),
        origin: if applied.is_some() { "applied" } else { "setting" },
        applied_at: applied.map(|applied| shapes::iso(crate::domain::time::Timestamp(applied.at))),
    }
}

/// Says which thresholds hold.
#[utoipa::path(
    get, path = "/api/v1/thresholds", operation_id = "readThresholds", tag = "thresholds",
    responses((status = 200, description = "The thresholds", body = ThresholdsAnswer), Reviewer)
)]
pub(crate) async fn read(Reviewer { service, access }: Reviewer) -> Answer {
    let book = service.intake.thresholds();
    let own = access.deployment(None)?;
    let applied = book.applied();
    let deployments = applied
        .iter()
        .filter(|(name, _)| !name.is_empty() && own.as_ref().is_none_or(|own| own == *name))
        .map(|(name, applied)| DeploymentThresholds {
            deployment_id: name.clone(),
            thresholds: general(Some(applied), book.setting()),
        })
        .collect();
    Ok(answer::json(&ThresholdsAnswer { general: general(applied.get(""), book.setting()), deployments }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulationParams {
    /// How many of the sessions that were accepted last are looked at; left out, all.
    #[param(minimum = 1, maximum = 10_000_000)]
    latest: Option<u32>,
}

/// Says what thresholds would change among the stored sessions; changes nothing.
#[utoipa::path(
    post, path = "/api/v1/thresholds/simulate", operation_id = "simulateThresholds", tag = "thresholds",
    params(SimulationParams), request_body = ThresholdsRequest,
    responses(
        (status = 200, description = "What would change", body = SimulationAnswer),
        Reviewer, ImpossibleThresholds, StoreAway,
    )
)]
pub(crate) async fn simulate(
    Reviewer { service, access }: Reviewer,
    Params(params): Params<SimulationParams>,
    Json(asked): Json<ThresholdsRequest>,
) -> Answer {
    let (name, thresholds) = asked.read(&service, &access)?;
    let preview = service.operations.preview_thresholds(&name, thresholds, params.latest).await?;
    Ok(answer::json(&told(&preview)))
}

/// Applies thresholds: to every session from now on, and to those stored, each change kept in the session's history. They
/// hold in place of the settings' until they are taken back, on every node within two seconds.
#[utoipa::path(
    post, path = "/api/v1/thresholds", operation_id = "applyThresholds", tag = "thresholds",
    request_body = ThresholdsRequest,
    responses(
        (status = 200, description = "What changed", body = SimulationAnswer),
        DeploymentAdmin, ImpossibleThresholds, StoreAway,
    )
)]
pub(crate) async fn apply(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Json(asked): Json<ThresholdsRequest>,
) -> Answer {
    let (name, thresholds) = asked.read(&service, &access)?;
    Ok(answer::json(&told(&service.operations.apply_thresholds(&access.actor, &name, thresholds).await?)))
}

/// Takes applied thresholds back: those of all deployments hold again, or of the settings. Stored sessions are decided
/// anew.
#[utoipa::path(
    delete, path = "/api/v1/thresholds", operation_id = "resetThresholds", tag = "thresholds",
    params(DeploymentParams),
    responses(
        (status = 200, description = "What changed", body = SimulationAnswer),
        DeploymentAdmin, DeploymentOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn reset(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    deployment::check(params.deployment_id.as_deref())?;
    let name = access.deployment(params.deployment_id)?.unwrap_or_default();
    Ok(answer::json(&told(&service.operations.reset_thresholds(&access.actor, &name).await?)))
}

fn told(redecided: &Redecided) -> SimulationAnswer {
    let counted = &redecided.counted;
    let counts = |count: &dyn Fn(Decision) -> u64| DecisionCounts {
        pass: count(Decision::Pass),
        review: count(Decision::Review),
        fail: count(Decision::Fail),
    };
    let example = |Flip { key, score }: &Flip| FlipExample {
        session_id: key.id.to_string(),
        deployment_id: key.deployment.clone(),
        anomaly_score: *score,
    };
    let moves = redecided.moves().map(|(from, to, count, examples)| MoveBody {
        from: from.name(),
        to: to.name(),
        count,
        examples: examples.map(example).collect(),
    });
    SimulationAnswer {
        pass: redecided.thresholds.pass,
        review: redecided.thresholds.review,
        sessions: counted.sessions(),
        before: counts(&|decision| counted.before(decision)),
        after: counts(&|decision| counted.after(decision)),
        flips: counted.flips(),
        moves: moves.collect(),
        labelled: counted.labelled,
        undecidable: counted.undecidable,
        took_ms: redecided.took.as_secs_f64() * 1e3,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::domain::calibration::Calibration;
    use crate::domain::reason::Reason;
    use crate::domain::result::{ModelIdentity, Source, Thresholds, Verdict};
    use crate::http::testing::{TestApp, send};
    use crate::store::testing::{final_session, key_in};
    use crate::store::{NewSession, Store as _};

    /// Sessions of two deployments over the whole range of scores, with notes here and there.
    async fn fill(app: &TestApp, count: u32) {
        let set = Calibration::new((0..1000).map(f64::from).collect());
        for place in 0..count {
            let known_reasons = if place % 7 == 0 { vec![Reason::UnfamiliarRecorder, Reason::Turning] } else { vec![] };
            let raw = f64::from(place) * 1100.0 / f64::from(count);
            let model = ModelIdentity { id: "m".to_owned(), version: "1".to_owned() };
            let (score, known_reasons) = (set.assess(raw), known_reasons.into_iter().collect());
            let source = Source::Embedded;
            let verdict =
                Verdict::calibrated(raw, &score, "pooled", known_reasons, source, model, &Thresholds::default());
            let id = format!("s{place}");
            let session = final_session(&id, verdict, app.now());
            let deployment = if place % 3 == 0 { "eu" } else { "" };
            app.store.accept(NewSession { key: key_in(deployment, &id), ..session }).await.unwrap();
        }
    }

    async fn decisions(app: &TestApp) -> BTreeMap<(String, String), String> {
        let page = app.get("/api/v1/batch/results?limit=1000").await.json();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let rows = page["results"].as_array().unwrap();
        rows.iter().map(|row| ((text(row, "deploymentId"), text(row, "sessionId")), text(row, "decision"))).collect()
    }

    #[tokio::test]
    async fn what_was_simulated_is_what_happens() {
        let app = TestApp::start().await;
        fill(&app, 330).await;
        let before = decisions(&app).await;
        let new = json!({"pass": 0.4, "review": 1.2});
        let few = app.post("/api/v1/thresholds/simulate?latest=30", &new).await.json();
        assert_eq!(few["sessions"], 30, "only those that were accepted last");
        let simulated = app.post("/api/v1/thresholds/simulate", &new).await.json();
        assert_eq!(decisions(&app).await, before, "a simulation changes nothing");
        assert_eq!((simulated["sessions"].as_u64(), simulated["undecidable"].as_u64()), (Some(330), Some(0)));
        let applied = app.post("/api/v1/thresholds", &new).await.json();
        let after = decisions(&app).await;
        let mut flipped: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (key, decision) in before.iter().filter(|(key, decision)| after[*key] != **decision) {
            *flipped.entry((decision.clone(), after[key].clone())).or_default() += 1;
        }
        assert!(flipped.len() >= 2, "{flipped:?}");
        for told in [&simulated, &applied] {
            let moves = told["moves"].as_array().unwrap().iter().map(|m| {
                let text = |name: &str| m[name].as_str().unwrap().to_owned();
                ((text("from"), text("to")), m["count"].as_u64().unwrap())
            });
            assert_eq!(moves.collect::<BTreeMap<_, _>>(), flipped);
            assert_eq!(told["flips"].as_u64().unwrap(), flipped.values().sum::<u64>());
        }
        let again = app.post("/api/v1/thresholds/simulate", &new).await.json();
        assert_eq!(again["flips"], 0);
        let example = &applied["moves"][0]["examples"][0];
        let (id, eu) = (example["sessionId"].as_str().unwrap(), example["deploymentId"].as_str().unwrap());
        let history = app.get(&format!("/api/v1/sessions/{id}/history?deploymentId={eu}")).await.json();
        let change = &history["revisions"][0];
        assert_eq!((&change["cause"], &change["from"]), (&json!("thresholds"), &history["scoredAs"]));
        assert_eq!((&change["to"], &change["detail"]["pass"]), (&history["result"]["decision"], &json!(0.4)));
        assert_eq!(history["first"]["decision"], history["scoredAs"], "what was answered at once stays");

        let back = send(app.request("DELETE", "/api/v1/thresholds")).await.json();
        assert_eq!(back["flips"], applied["flips"]);
        assert_eq!(decisions(&app).await, before);
        assert_eq!(app.get("/api/v1/thresholds").await.json()["origin"], "setting");
    }

    #[tokio::test]
    async fn a_deployment_may_have_its_own_and_new_sessions_follow_at_once() {
        let app = TestApp::with_keys().await;
        fill(&app, 60).await;
        let lenient = json!({"pass": 5.9, "review": 6.0});
        let own = app.post_as("admin-eu", "/api/v1/thresholds", &lenient).await.json();
        assert_eq!(own["sessions"], 20, "those of the deployment alone");
        let general = app.post_as("admin", "/api/v1/thresholds/simulate", &json!({"pass": 1.1, "review": 2.0})).await;
        assert_eq!(general.json()["sessions"], 40, "those with thresholds of their own are left alone");
        let told = app.get_as("admin", "/api/v1/thresholds").await.json();
        assert_eq!((&told["origin"], &told["deployments"][0]["deploymentId"]), (&json!("setting"), &json!("eu")));
        let mut session = crate::http::testing::session("new");
        session["useBatch"] = json!(false);
        session["deploymentId"] = json!("eu");
        assert_eq!(app.post_as("ingest", "/api/v1/score", &session).await.json()["decision"], "pass");
        session["deploymentId"] = json!("us");
        assert_ne!(app.post_as("ingest", "/api/v1/score", &session).await.json()["decision"], "pass");
        let foreign = json!({"pass": 1.0, "review": 2.0, "deploymentId": "us"});
        app.post_as("admin-eu", "/api/v1/thresholds", &foreign).await.is_error(403, "wrong_deployment");
    }

    #[tokio::test]
    async fn impossible_thresholds_are_refused_with_their_field() {
        let app = TestApp::start().await;
        for (body, field) in [
            (json!({"pass": 2.0, "review": 2.0}), "review"),
            (json!({"pass": -0.1, "review": 2.0}), "pass"),
            (json!({"pass": 1.0, "review": 6.5}), "review"),
            (json!({"pass": 1.0, "review": 2.0, "deploymentId": "x".repeat(300)}), "deploymentId"),
            (json!({"pass": 1.0, "review": 2.0, "deploymentId": ""}), "deploymentId"),
        ] {
            let reply = app.post("/api/v1/thresholds", &body).await;
            reply.is_error(422, "out_of_bounds");
            assert!(reply.text.contains(field), "{}", reply.text);
        }
        app.post("/api/v1/thresholds", &json!({"pass": 1.0})).await.is_error(400, "malformed");
        app.post("/api/v1/thresholds", &json!({"pass": 1.0, "review": 2.0, "x": 1})).await.is_error(400, "malformed");
        assert_eq!(app.get("/api/v1/thresholds").await.json()["origin"], "setting");
    }
}
