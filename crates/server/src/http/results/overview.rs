//! `GET /api/v1/overview`: how decisions went over a period, and what changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::time::Timestamp;
use crate::domain::trend::{Facet, FacetTally, Measure, Shift, Tally};
use crate::http::extract::caller::Reviewer;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::ApiError;
use crate::http::respond::refusals::{StoreAway, WrongQuery};
use crate::http::respond::shapes::iso;
use crate::operations::trends::{Overview, Range, Rate};

/// Parts of a kind that are told, the largest.
const MAX_PARTS: usize = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OverviewParams {
    /// 1h, 6h, 24h, 7d, 30d or 90d.
    #[param(example = "24h", default = "24h")]
    range: Option<String>,
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
}

/// Sessions by the decision that stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TallyBody {
    pass: u64,
    review: u64,
    fail: u64,
}

/// What was decided in a step.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverviewStep {
    /// Its begin.
    at: String,
    #[serde(flatten)]
    decisions: TallyBody,
}

/// Sessions that have something in common.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewPart {
    /// A deployment, a device class, a model or a reason code.
    name: String,
    /// In words, of a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    /// In the period.
    now: TallyBody,
    /// In the period before.
    before: TallyBody,
}

/// A share that differs from the period before by more than chance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    /// decision, deployment, device, model or reason.
    of: &'static str,
    /// Which one: a decision, or the name of a part.
    name: String,
    /// `share` of all sessions, or `passing`: the share of its sessions that passed.
    measure: &'static str,
    /// Now, 0 to 1.
    share: f64,
    /// In the period before, 0 to 1.
    before: f64,
    /// In a sentence.
    words: String,
}

/// Sessions that wait for a person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BacklogBody {
    /// Sessions that stand at review; 100,000 are counted at most.
    waiting: u64,
    /// Whether there may be more.
    is_more: bool,
    /// When the oldest was scored.
    oldest: Option<String>,
}

/// Campaigns that grew within a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenCampaignsBody {
    open: u64,
    /// All sessions that they have.
    sessions: u64,
}

/// How many of the labelled sessions passed before they were labelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateBody {
    passed: u64,
    labelled: u64,
    /// 95 % interval of the share, 0 to 1; absent of nothing.
    interval: Option<[f64; 2]>,
}

/// A period beside the one of the same length before it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverviewAnswer {
    range: &'static str,
    since: String,
    until: String,
    step_seconds: i64,
    decisions: TallyBody,
    before: TallyBody,
    /// Steps in which something was decided, in the order of time.
    steps: Vec<OverviewStep>,
    /// The fifty largest.
    deployments: Vec<OverviewPart>,
    devices: Vec<OverviewPart>,
    models: Vec<OverviewPart>,
    /// The largest first; a session may have several.
    reasons: Vec<OverviewPart>,
    /// The largest first, at most eight.
    changes: Vec<ChangeBody>,
    review: BacklogBody,
    campaigns: OpenCampaignsBody,
    /// Of those labelled human in the period.
    people: RateBody,
    /// Of those labelled bot in the period.
    bots: RateBody,
}

/// Tells how decisions went over a period that ends now, and what changed against the one before. A result is counted when
/// it was scored, with the decision that stands. What retention removed stays counted.
#[utoipa::path(
    get, path = "/api/v1/overview", operation_id = "overview", tag = "results", params(OverviewParams),
    responses(
        (status = 200, description = "The period", body = OverviewAnswer), Reviewer, WrongQuery, StoreAway,
    )
)]
pub(crate) async fn read(Reviewer { service, access }: Reviewer, Params(params): Params<OverviewParams>) -> Answer {
    let wrong = || ApiError::malformed("range", "range must be 1h, 6h, 24h, 7d, 30d or 90d".to_owned());
    let range = params.range.as_deref().map_or(Some(Range::Day), Range::parse).ok_or_else(wrong)?;
    let deployment = access.deployment(params.deployment_id)?;
    let overview = service.operations.overview(range, deployment).await?;
    Ok(answer::json(&told(range, overview)))
}

fn told(range: Range, overview: Overview) -> OverviewAnswer {
    let Overview { period, buckets, shifts, backlog, campaigns, people, bots } = overview;
    let parts = |of: &str| {
        buckets.facets.iter().filter(|part| of_and_name(&part.facet).0 == of).take(MAX_PARTS).map(part).collect()
    };
    let mut steps: BTreeMap<Timestamp, Tally> = BTreeMap::new();
    for (at, _, decisions) in &buckets.steps {
        *steps.entry(*at).or_default() += *decisions;
    }
    OverviewAnswer {
        range: range.name(),
        since: iso(period.since),
        until: iso(period.until),
        step_seconds: period.step_ms / 1000,
        decisions: tally(buckets.now),
        before: tally(buckets.before),
        deployments: parts("deployment"),
        devices: parts("device"),
        models: parts("model"),
        reasons: parts("reason"),
        steps: steps.into_iter().map(|(at, sum)| OverviewStep { at: iso(at), decisions: tally(sum) }).collect(),
        changes: shifts.into_iter().map(change).collect(),
        review: BacklogBody { waiting: backlog.waiting, is_more: backlog.is_more, oldest: backlog.oldest.map(iso) },
        campaigns: OpenCampaignsBody { open: campaigns.0, sessions: campaigns.1 },
        people: rate(people),
        bots: rate(bots),
    }
}

pub(crate) fn tally(Tally { pass, review, fail }: Tally) -> TallyBody {
    TallyBody { pass, review, fail }
}

fn rate(rate: Rate) -> RateBody {
    RateBody { passed: rate.part, labelled: rate.whole, interval: rate.interval().map(|(low, high)| [low, high]) }
}

fn part(FacetTally { facet, now, before }: &FacetTally) -> OverviewPart {
    let message = if let Facet::Reason(reason) = facet { Some(reason.message()) } else { None };
    OverviewPart { name: of_and_name(facet).1, message, now: tally(*now), before: tally(*before) }
}

fn of_and_name(facet: &Facet) -> (&'static str, String) {
    match facet {
        Facet::Deployment(name) => ("deployment", name.clone()),
        Facet::Device(class) => ("device", class.name().to_owned()),
        Facet::Model(model) => ("model", format!("{} {}", model.id, model.version)),
        Facet::Reason(reason) => ("reason", reason.code().to_owned()),
    }
}

/// A share in words.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn change(shift: Shift) -> ChangeBody {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let share = |(part, whole): (u64, u64)| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let (now, before) = (share(shift.now), share(shift.before));
    let verb = if now > before { "rose" } else { "fell" };
    let to = format!("{verb} from {} to {}", percent(before), percent(now));
    let (of, name, measure, words) = match shift.measure {
        Measure::Decision(decision) => {
            let name = decision.name().to_owned();
            ("decision", name.clone(), "share", format!("The share of {name} {to} of all sessions."))
        }
        Measure::Traffic(Facet::Reason(reason)) => {
            let message = reason.message().trim_end_matches('.');
            ("reason", reason.code().to_owned(), "share", format!("“{message}” {to} of all sessions."))
        }
        Measure::Traffic(facet) => {
            let (of, name) = of_and_name(&facet);
            let words = format!("The share of {} {to} of all sessions.", called(of, &name));
            (of, name, "share", words)
        }
        Measure::Passing(facet) => {
            let (of, name) = of_and_name(&facet);
            let words = format!("What passes of {} {to}.", called(of, &name));
            (of, name, "passing", words)
        }
    };
    ChangeBody { of, name, measure, share: now, before, words }
}

fn called(of: &str, name: &str) -> String {
    match (of, name) {
        ("deployment", "") => "sessions without a deployment".to_owned(),
        (of, name) => format!("{of} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::http::testing::{TestApp, lines, send, session};

    fn total(tally: &Value) -> u64 {
        ["pass", "review", "fail"].into_iter().map(|name| tally[name].as_u64().unwrap()).sum()
    }

    #[tokio::test]
    async fn a_period_stands_beside_the_one_before_it() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 5)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        app.clock.advance(Duration::from_secs(3600));
        let mut other = session("eu1");
        other["deploymentId"] = json!("eu");
        app.post("/api/v1/score", &other).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        let told = app.get("/api/v1/overview?range=1h").await.json();
        assert_eq!((total(&told["decisions"]), total(&told["before"])), (1, 5), "{told}");
        assert_eq!((&told["stepSeconds"], total(&told["steps"][0])), (&json!(300), 1));
        let day = app.get("/api/v1/overview").await.json();
        assert_eq!((&day["range"], total(&day["decisions"])), (&json!("24h"), 6));
        assert_eq!(day["deployments"].as_array().unwrap().len(), 2);
        assert!(day["reasons"].as_array().unwrap().iter().all(|reason| reason["message"].is_string()), "{day}");
        assert_eq!(total(&day["models"][0]["now"]), 6, "{day}");
        let eu = app.get("/api/v1/overview?deploymentId=eu").await.json();
        assert_eq!(total(&eu["decisions"]), 1);
        app.get("/api/v1/overview?range=2h").await.is_error(400, "malformed");
    }

    #[tokio::test]
    async fn labels_tell_the_rate_of_people_that_pass_and_the_backlog_shrinks() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 4)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        let before = app.get("/api/v1/overview").await.json();
        let waiting = |told: &Value| told["review"]["waiting"].as_u64().unwrap();
        assert_eq!(waiting(&before), before["decisions"]["review"].as_u64().unwrap());
        app.post("/api/v1/sessions/s1/label", &json!({"label": "human"})).await;
        app.post("/api/v1/sessions/s2/label", &json!({"label": "bot"})).await;
        let told = app.get("/api/v1/overview").await.json();
        assert_eq!((&told["people"]["labelled"], &told["bots"]["labelled"]), (&json!(1), &json!(1)));
        assert!(told["people"]["interval"][1].as_f64().unwrap() <= 1.0);
        assert!(waiting(&told) <= waiting(&before));
        assert_eq!(total(&told["decisions"]), 4, "each counts once, with the decision that stands");
    }
}
