//! Campaigns: sessions alike as one.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::domain::id::Seq;
use crate::http::extract::caller::{Reader, Reviewer};
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::json::Json;
use crate::http::extract::page;
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    CampaignsOutOfBounds, ImpossibleCampaign, ImpossibleCampaignLabel, MembersOutOfBounds, StoreAway, UnknownCampaign,
    WrongQuery,
};
use crate::http::respond::shapes;
use crate::http::sessions::labels::LabelRequest;
use crate::http::state::Service;
use crate::operations::campaigns::CampaignLabelled;
use crate::store::campaigns::{CampaignId, CampaignMember, CampaignQuery, CampaignRow, MIN_MEMBERS};
use crate::store::labels::{Label, Truth};

const PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;
const MEMBERS_PAGE: u32 = 100;
const MAX_MEMBERS_PAGE: u32 = 1000;

/// How many members have which decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionMix {
    pass: u64,
    review: u64,
    fail: u64,
}

/// How many members came lately.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Growth {
    last_hour: u64,
    last_day: u64,
}

/// How many members have which label.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LabelMix {
    human: u64,
    bot: u64,
}

/// Sessions alike as one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignBody {
    campaign_id: i64,
    /// The deployment that all its sessions belong to; empty when none.
    deployment_id: String,
    /// Sessions in it that are still there.
    members: u64,
    /// Different users that they name.
    users: u64,
    /// ISO 8601, UTC: when its first session was accepted.
    first_seen: String,
    /// ISO 8601, UTC: when its last one was.
    last_seen: String,
    growth: Growth,
    /// The session that most others are most like; `null` where it is gone.
    best_source: Option<String>,
    decisions: DecisionMix,
    labels: LabelMix,
}

impl From<CampaignRow> for CampaignBody {
    fn from(row: CampaignRow) -> Self {
        let [pass, review, fail] = row.decisions;
        let [human, bot] = row.labelled;
        let [last_hour, last_day] = row.growth;
        Self {
            campaign_id: row.id.0,
            deployment_id: row.deployment,
            members: row.members,
            users: row.users,
            first_seen: shapes::iso(row.first_seen),
            last_seen: shapes::iso(row.last_seen),
            growth: Growth { last_hour, last_day },
            best_source: row.best_source.map(|id| id.as_str().to_owned()),
            decisions: DecisionMix { pass, review, fail },
            labels: LabelMix { human, bot },
        }
    }
}

/// Campaigns, those that grew last first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignsAnswer {
    campaigns: Vec<CampaignBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

/// A session of a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberBody {
    session_id: String,
    /// The user that it names.
    user_id: Option<String>,
    /// ISO 8601, UTC.
    accepted_at: String,
    /// pass, review or fail; `null` while its verdict is on the way.
    decision: Option<&'static str>,
    /// human or bot; `null` where nobody said.
    label: Option<&'static str>,
}

impl From<CampaignMember> for MemberBody {
    fn from(member: CampaignMember) -> Self {
        Self {
            session_id: member.key.id.to_string(),
            user_id: member.user_id,
            accepted_at: shapes::iso(member.accepted_at),
            decision: member.decision.map(crate::domain::result::Decision::name),
            label: member.label.map(Truth::name),
        }
    }
}

/// A campaign and a page of its sessions, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignAnswer {
    #[serde(flatten)]
    campaign: CampaignBody,
    sessions: Vec<MemberBody>,
    /// Send it as `cursor` for the next page of sessions; `null` at the end.
    next_cursor: Option<String>,
}

/// What labelling a campaign did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CampaignLabelAnswer {
    /// Sessions that have the label now, or lost it.
    labelled: u64,
    /// Sessions left alone: somebody labelled them by themselves.
    kept: u64,
    #[serde(flatten)]
    campaign: CampaignBody,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CampaignsParams {
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// Only those with at least so many sessions; 3 or more.
    #[param(minimum = 3, default = 3)]
    min_members: Option<i64>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}-[0-9]{1,18}$")]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CampaignParams {
    /// The deployment; a bound key has its own.
    deployment_id: Option<String>,
    /// Sessions in the answer, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

fn id(text: &str) -> Result<CampaignId, ApiError> {
    let wrong =
        || ApiError::at(Code::OutOfBounds, "campaignId", "the campaignId in the path must be a number".to_owned());
    text.parse().map(CampaignId).map_err(|_| wrong())
}

fn unknown() -> ApiError {
    ApiError::new(Code::UnknownCampaign, "there is no such campaign")
}

/// Lists campaigns: three or more sessions of one deployment that are alike, directly or by others. Those that grew last
/// come first.
#[utoipa::path(
    get, path = "/api/v1/campaigns", operation_id = "listCampaigns", tag = "campaigns", params(CampaignsParams),
    responses(
        (status = 200, description = "A page", body = CampaignsAnswer),
        Reader, WrongQuery, CampaignsOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn list(Reader { service, access }: Reader, Params(params): Params<CampaignsParams>) -> Answer {
    let min_members = params.min_members.unwrap_or(MIN_MEMBERS);
    if min_members < MIN_MEMBERS {
        let message = format!("minMembers must be {MIN_MEMBERS} or more");
        return Err(ApiError::at(Code::OutOfBounds, "minMembers", message));
    }
    let place = |text: &str| {
        let (seq, id) = text.split_once('-')?;
        Some((Seq(seq.parse().ok()?), CampaignId(id.parse().ok()?)))
    };
    let query = CampaignQuery {
        deployment: access.deployment(params.deployment_id)?,
        min_members,
        after: params.cursor.as_deref().map(|text| place(text).ok_or_else(page::wrong_cursor)).transpose()?,
        limit: page::page_size(params.limit, PAGE, MAX_PAGE)?,
        now: service.clock.now().wall,
    };
    let page = service.lists.campaigns(query).await?;
    Ok(answer::json(&CampaignsAnswer {
        campaigns: page.rows.into_iter().map(CampaignBody::from).collect(),
        next_cursor: page.next.map(|(seq, id)| format!("{}-{}", seq.0, id.0)),
    }))
}

/// Reads a campaign and its sessions, the latest first. One that became part of another answers as that one.
#[utoipa::path(
    get, path = "/api/v1/campaigns/{campaignId}", operation_id = "readCampaign", tag = "campaigns",
    params(("campaignId" = i64, Path, description = "The campaign"), CampaignParams),
    responses(
        (status = 200, description = "The campaign", body = CampaignAnswer),
        Reader, WrongQuery, UnknownCampaign, MembersOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn read(
    Reader { service, access }: Reader,
    TextPath(text): TextPath,
    Params(params): Params<CampaignParams>,
) -> Answer {
    let limit = page::page_size(params.limit, MEMBERS_PAGE, MAX_MEMBERS_PAGE)?;
    let before = page::cursor(params.cursor)?.map(Seq);
    let (id, deployment) = (id(&text)?, access.deployment(params.deployment_id)?);
    let campaign = service.lists.campaign(id, deployment, service.clock.now().wall).await?.ok_or_else(unknown)?;
    let members = service.lists.campaign_members(campaign.id, before, limit).await?;
    let next = page::next(&members, limit, |last| last.seq.0);
    let sessions = members.into_iter().map(MemberBody::from).collect();
    Ok(answer::json(&CampaignAnswer { campaign: campaign.into(), sessions, next_cursor: next }))
}

/// Labels every session of a campaign that has a result: a human's pass and a bot's fail from now on. Sessions that somebody
/// labelled by themselves keep their labels; those that join later have none.
#[utoipa::path(
    post, path = "/api/v1/campaigns/{campaignId}/label", operation_id = "labelCampaign", tag = "campaigns",
    params(("campaignId" = i64, Path, description = "The campaign"), DeploymentParams),
    request_body = LabelRequest,
    responses(
        (status = 200, description = "Labelled", body = CampaignLabelAnswer),
        Reviewer, UnknownCampaign, ImpossibleCampaignLabel, StoreAway,
    )
)]
pub(crate) async fn label(
    Reviewer { service, access }: Reviewer,
    TextPath(text): TextPath,
    Params(params): Params<DeploymentParams>,
    Json(asked): Json<LabelRequest>,
) -> Answer {
    let id = id(&text)?;
    let label = asked.label(&access, service.clock.now().wall)?;
    change(&service, &access, id, params.deployment_id, Some(label)).await
}

/// Takes a campaign's label back: decisions are what the thresholds that hold now make of the scores.
#[utoipa::path(
    delete, path = "/api/v1/campaigns/{campaignId}/label", operation_id = "unlabelCampaign", tag = "campaigns",
    params(("campaignId" = i64, Path, description = "The campaign"), DeploymentParams),
    responses(
        (status = 200, description = "Its sessions have no label by it now", body = CampaignLabelAnswer),
        Reviewer, UnknownCampaign, ImpossibleCampaign, StoreAway,
    )
)]
pub(crate) async fn unlabel(
    Reviewer { service, access }: Reviewer,
    TextPath(text): TextPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    change(&service, &access, id(&text)?, params.deployment_id, None).await
}

async fn change(
    service: &Service,
    access: &Access,
    id: CampaignId,
    deployment: Option<String>,
    label: Option<Label>,
) -> Answer {
    let deployment = access.deployment(deployment)?;
    let labelled = service.operations.label_campaign(&access.actor, id, deployment, label).await?;
    let (campaign, CampaignLabelled { labelled, kept }) = labelled.ok_or_else(unknown)?;
    Ok(answer::json(&CampaignLabelAnswer { labelled, kept, campaign: campaign.into() }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::testing::wandering;
    use crate::http::testing::{TestApp, send, session};

    /// Sessions `a`, `b`, `c` and `d` with one movement, and their campaign.
    async fn app() -> (TestApp, Value) {
        let app = TestApp::start().await;
        let moves = wandering(7, 14).movements;
        let points: Vec<Value> =
            (0..moves.t.len()).map(|i| json!({"x": moves.x[i], "y": moves.y[i], "timestamp": moves.t[i]})).collect();
        for id in ["a", "b", "c", "d"] {
            let mut one = session(id);
            one["userId"] = json!(format!("user-{id}"));
            one["movements"] = json!(points);
            one["durationMs"] = json!(moves.t.last());
            let answer = app.post("/api/v1/score", &one).await.json();
            assert_eq!(answer["status"], "queued", "{answer}");
        }
        send(app.request("POST", "/api/v1/batch/process")).await;
        let all = app.get("/api/v1/campaigns").await.json();
        assert_eq!((all["campaigns"].as_array().map(Vec::len), &all["nextCursor"]), (Some(1), &json!(null)), "{all}");
        let campaign = all["campaigns"][0].clone();
        (app, campaign)
    }

    #[tokio::test]
    async fn sessions_alike_are_listed_as_one() {
        let (app, campaign) = app().await;
        assert_eq!(
            (&campaign["members"], &campaign["users"], &campaign["bestSource"]),
            (&json!(4), &json!(4), &json!("a"))
        );
        assert_eq!(campaign["growth"], json!({"lastHour": 4, "lastDay": 4}));
        let path = format!("/api/v1/campaigns/{}", campaign["campaignId"]);
        let read = app.get(&format!("{path}?limit=3")).await.json();
        let ids: Vec<&str> =
            read["sessions"].as_array().unwrap().iter().filter_map(|s| s["sessionId"].as_str()).collect();
        assert_eq!(ids, ["d", "c", "b"]);
        let rest = app.get(&format!("{path}?cursor={}", read["nextCursor"].as_str().unwrap())).await.json();
        assert_eq!(
            (&rest["sessions"][0]["sessionId"], &rest["sessions"][0]["userId"]),
            (&json!("a"), &json!("user-a"))
        );
        let result = app.get("/api/v1/batch/result/a").await.json();
        assert_eq!(result["result"]["campaignId"], campaign["campaignId"]);
        let results = app.get(&format!("/api/v1/batch/results?campaign={}", campaign["campaignId"])).await.json();
        assert_eq!(results["results"].as_array().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn a_label_is_said_of_all_and_taken_back_from_all() {
        let (app, campaign) = app().await;
        let path = format!("/api/v1/campaigns/{}/label", campaign["campaignId"]);
        let before = app.get("/api/v1/batch/result/c").await.json()["result"]["decision"].clone();
        app.post("/api/v1/sessions/b/label", &json!({"label": "human"})).await;
        let said = app.post(&path, &json!({"label": "bot", "note": "one script"})).await.json();
        assert_eq!((&said["labelled"], &said["kept"]), (&json!(3), &json!(1)), "{said}");
        assert_eq!((&said["labels"], &said["decisions"]["fail"]), (&json!({"human": 1, "bot": 3}), &json!(3)));
        assert_eq!(app.get("/api/v1/batch/result/b").await.json()["result"]["decision"], "pass");
        let audit = app.get("/api/v1/audit").await.json();
        let entries = audit["entries"].as_array().unwrap();
        assert_eq!(entries.iter().filter(|entry| entry["action"] == "campaign.label").count(), 1, "{audit}");
        let back = send(app.request("DELETE", &path)).await.json();
        assert_eq!((&back["labelled"], &back["labels"]), (&json!(3), &json!({"human": 1, "bot": 0})));
        assert_eq!(app.get("/api/v1/batch/result/c").await.json()["result"]["decision"], before);
    }

    #[tokio::test]
    async fn wrong_questions_name_their_field() {
        let (app, _) = app().await;
        app.get("/api/v1/campaigns/999").await.is_error(404, "unknown_campaign");
        app.get("/api/v1/campaigns/x").await.is_error(422, "out_of_bounds");
        app.get("/api/v1/campaigns?cursor=1").await.is_error(400, "malformed");
        app.get("/api/v1/campaigns?minMembers=2").await.is_error(422, "out_of_bounds");
        app.get("/api/v1/campaigns?limit=101").await.is_error(422, "out_of_bounds");
        app.post("/api/v1/campaigns/999/label", &json!({"label": "bot"})).await.is_error(404, "unknown_campaign");
        app.post("/api/v1/campaigns/1/label", &json!({"label": "maybe"})).await.is_error(422, "out_of_bounds");
    }
}
