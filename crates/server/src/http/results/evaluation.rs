//! `GET /api/v1/evaluation`: how the service does by what people said of sessions.

use serde::Serialize;
use utoipa::ToSchema;

use super::overview::{TallyBody, tally};
use crate::http::extract::caller::Reviewer;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::query::Params;
use crate::http::queue::stats::DriftState;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::StoreAway;
use crate::http::respond::shapes::iso;
use crate::operations::evaluation::{BIN, Judged, PEOPLE_FOR_TRAINING};
use crate::operations::trends::Rate;

/// A share with its interval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareBody {
    part: u64,
    whole: u64,
    /// 95 % interval, 0 to 1; `null` of nothing.
    interval: Option<[f64; 2]>,
}

/// What was decided of labelled sessions, before their labels.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JudgedBody {
    /// A device, or whose people the result was calibrated on; empty for all.
    name: String,
    people: TallyBody,
    bots: TallyBody,
    people_passed: ShareBody,
    bots_passed: ShareBody,
}

/// Sessions by score: the first bin begins at 0.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistogramBody {
    /// Width of a bin.
    step: f64,
    /// Labelled people.
    people: Vec<u64>,
    /// Labelled bots.
    bots: Vec<u64>,
    /// The newest 10,000 results.
    live: Vec<u64>,
    /// Results of the last 24 hours; `null` where nothing was decided in the day before them.
    live_a_day: Option<u64>,
}

/// Labels of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LabelDay {
    /// Its begin.
    at: String,
    human: u64,
    bot: u64,
}

/// How the service does by what people said of sessions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvaluationAnswer {
    all: JudgedBody,
    devices: Vec<JudgedBody>,
    /// By whose people a result was calibrated on.
    classes: Vec<JudgedBody>,
    histogram: HistogramBody,
    /// Days of the last thirty on which something was labelled.
    labels: Vec<LabelDay>,
    /// About how many labelled people a training needs.
    people_for_training: u64,
    /// Of this node, over all deployments; `null` for keys of one deployment and until 200 sessions were scored by the embedded
    /// model.
    drift: Option<DriftState>,
}

fn share(rate: Rate) -> ShareBody {
    ShareBody { part: rate.part, whole: rate.whole, interval: rate.interval().map(|(low, high)| [low, high]) }
}

fn judged(name: &str, judged: &Judged) -> JudgedBody {
    JudgedBody {
        name: name.to_owned(),
        people: tally(judged.people),
        bots: tally(judged.bots),
        people_passed: share(judged.people_passed()),
        bots_passed: share(judged.bots_passed()),
    }
}

/// Tells how the service does by labels: what it had decided of people and bots before somebody said what they are, by
/// device and recorder with intervals, and their scores beside those of late. The newest 5,000 labels of each kind are looked at. Whoever
/// labels chooses what is labelled, so the shares are of labelled sessions, not of all.
#[utoipa::path(
    get, path = "/api/v1/evaluation", operation_id = "evaluation", tag = "review", params(DeploymentParams),
    responses((status = 200, description = "How it does", body = EvaluationAnswer), Reviewer, StoreAway)
)]
pub(crate) async fn read(Reviewer { service, access }: Reviewer, Params(params): Params<DeploymentParams>) -> Answer {
    let is_bound = access.deployment(None)?.is_some();
    let deployment = access.deployment(params.deployment_id)?;
    let told = service.operations.evaluation(deployment).await?;
    let histogram = told.histogram;
    Ok(answer::json(&EvaluationAnswer {
        all: judged("", &told.all),
        devices: told.devices.iter().map(|(name, one)| judged(name, one)).collect(),
        classes: told.classes.iter().map(|(name, one)| judged(name, one)).collect(),
        histogram: HistogramBody {
            step: BIN,
            people: histogram.people,
            bots: histogram.bots,
            live: histogram.live,
            live_a_day: histogram.live_a_day,
        },
        labels: told.days.into_iter().map(|(at, human, bot)| LabelDay { at: iso(at), human, bot }).collect(),
        people_for_training: PEOPLE_FOR_TRAINING,
        drift: service.embedded.drift().report().filter(|_| !is_bound).map(Into::into),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, add_keys, lines, send, session};

    #[tokio::test]
    async fn labelled_people_and_bots_are_told_by_what_was_decided_of_them() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 6)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        let first = app.get("/api/v1/batch/result/s1").await.json()["result"]["decision"].as_str().unwrap().to_owned();
        for (id, label) in [("s1", "human"), ("s2", "bot"), ("s3", "human")] {
            app.post(&format!("/api/v1/sessions/{id}/label"), &json!({ "label": label })).await;
        }
        let told = app.get("/api/v1/evaluation").await.json();
        assert!(told["all"]["people"][&first].as_u64().unwrap() >= 1, "what was decided before the label: {told}");
        assert_eq!(
            (&told["all"]["peoplePassed"]["whole"], &told["all"]["botsPassed"]["whole"]),
            (&json!(2), &json!(1))
        );
        assert_eq!((&told["devices"][0]["name"], told["classes"].as_array().unwrap().len()), (&json!("mouse"), 1));
        assert_eq!((&told["labels"][0]["human"], &told["labels"][0]["bot"]), (&json!(2), &json!(1)));
        let sum = |of: &str| told["histogram"][of].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert!(sum("people") <= 2 && sum("live") <= 6 && told["histogram"]["liveADay"].is_null());
    }

    #[tokio::test]
    async fn drift_is_told_to_keys_of_all_deployments_alone() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.by_embedded = true;
        })
        .await;
        assert!(app.get_as("analyst", "/api/v1/evaluation").await.json()["drift"].is_null(), "nothing was scored yet");
        for n in 0..200 {
            assert_eq!(app.post_as("admin-eu", "/api/v1/score", &session(&format!("d-{n}"))).await.status, 200);
        }
        let drift = app.get_as("analyst", "/api/v1/evaluation").await.json()["drift"].take();
        assert!(drift["sessions"].as_u64() >= Some(200) && drift["limit"].is_number(), "{drift}");
        assert!(app.get_as("admin-eu", "/api/v1/evaluation").await.json()["drift"].is_null());
    }
}
