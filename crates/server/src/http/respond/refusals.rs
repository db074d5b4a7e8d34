//! The errors that a route may answer with, for the document: each type stands for its rows, and a route names the types.
//! Who may call is told by its own type; see [`crate::http::extract::caller`].

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::extract::caller::{
    Asker, DeploymentAdmin, GlobalAdmin, Ingester, Measurer, Reader, Reviewer, Submitter,
};

/// The documented answer of an error.
pub(crate) fn response(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

/// What each type stands for: statuses, and what they mean.
macro_rules! answers {
    ($($name:ident: $($status:literal $description:literal),+;)+) => {$(
        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$((stringify!($status).to_owned(), response($description).into())),+].into()
            }
        }
    )+};
}

/// The same of types that are made for it.
macro_rules! refusals {
    ($($(#[$doc:meta])+ $name:ident: $($status:literal $description:literal),+;)+) => {
        $($(#[$doc])+ pub(crate) enum $name {})+
        answers! { $($name: $($status $description),+;)+ }
    };
}

answers! {
    Submitter: 401 "No valid key or token", 403 "Foreign host, origin, deployment or token, or one whose time is over";
    Asker:
        401 "No valid key",
        403 "The role analyst, another deployment, or a submit key from a page that is not listed or with a userId";
    Ingester: 401 "No valid key", 403 "Role below ingest";
    Reader: 401 "No valid key", 403 "The role submit, or another deployment";
    Reviewer: 401 "No valid key", 403 "Neither analyst nor admin, or another deployment";
    DeploymentAdmin: 401 "No valid key", 403 "Role below admin, or another deployment";
    GlobalAdmin: 401 "No valid key", 403 "Role below admin, or a bound key";
    Measurer: 401 "No valid key", 403 "Role neither metrics nor admin, or a bound key";
}

refusals! {
    /// The store does not answer.
    StoreAway: 503 "The store is away; see Retry-After";
    /// A body that is too large, or of another kind.
    BodyRefused: 413 "Body too large", 415 "Wrong content type or an encoded body";
    /// A body of another kind.
    WrongBodyType: 415 "Wrong content type or an encoded body";
    /// A body that cannot be read.
    Malformed: 400 "Malformed";
    /// A query that cannot be read.
    WrongQuery: 400 "A wrong query";
    /// A field that cannot be.
    OutOfBounds: 422 "A value out of bounds";
    /// A deployment of no possible name.
    DeploymentOutOfBounds: 422 "deploymentId out of bounds";
    /// A page of no possible size.
    LimitOutOfBounds: 422 "limit out of bounds";
    /// A path or body that names no possible session.
    ImpossibleSession: 422 "No possible session id";
    /// Too many requests at the busiest routes.
    RateLimited: 429 "Rate limit";
    /// A session that is not taken.
    SessionRefused:
        408 "The body did not arrive in time",
        409 "Same id with other content, or a token that was used",
        410 "The id was erased",
        413 "Body too large",
        415 "Wrong content type, or an encoding other than gzip or zstd",
        422 "A value out of bounds, or times that are not milliseconds, with the field's path",
        503 "Queue or store full or away; see Retry-After";
    /// No place for a further bulk intake.
    BulkBusy: 503 "Too many bulk intakes at once; see Retry-After";
    /// No such session.
    UnknownSession: 404 "Unknown session";
    /// A session that was erased.
    SessionErased: 410 "The session was erased";
    /// A session that was erased.
    Erased: 410 "Erased";
    /// No such session, or nothing left to look at.
    TelemetryGone: 404 "Unknown session, or its telemetry is gone", 410 "The session was erased";
    /// No such session, or nothing that a verdict rests on.
    EvidenceGone: 404 "Unknown session, one without a result, or its telemetry is gone", 410 "The session was erased";
    /// No such session, or one that has no result.
    Undecided: 404 "Unknown session, or one without a result", 410 "Erased";
    /// No possible session, or too many features.
    ImpossibleExplanation: 422 "No possible session id or limit";
    /// No possible label.
    ImpossibleLabel: 422 "No possible label";
    /// No such user, or no possible one.
    UnknownUser: 404 "No session of this user is stored", 422 "No possible user id";
    /// Erasing everything without the word for it.
    NotConfirmed: 422 "Not confirmed";
    /// No such batch.
    UnknownBatch: 404 "Unknown batch";
    /// No such campaign.
    UnknownCampaign: 404 "Unknown campaign";
    /// A list of campaigns that cannot be.
    CampaignsOutOfBounds: 422 "limit or minMembers out of bounds";
    /// Members of a campaign that cannot be.
    MembersOutOfBounds: 422 "limit out of bounds, or no possible campaign";
    /// No possible label of a campaign.
    ImpossibleCampaignLabel: 422 "No possible label or campaign";
    /// No possible campaign.
    ImpossibleCampaign: 422 "No possible campaign";
    /// No place for a further follower.
    TooManyFollow: 503 "Too many follow, or the service shuts down; see Retry-After";
    /// No place for a further listener.
    TooManyListen: 503 "Too many listen, or the service shuts down; see Retry-After";
    /// No such webhook.
    UnknownWebhook: 404 "Unknown webhook";
    /// No possible webhook.
    ImpossibleWebhook: 422 "No possible address, a private one, or unknown events";
    /// No such key.
    UnknownKey: 404 "Unknown key";
    /// No such override.
    UnknownOverride: 404 "Unknown override";
    /// A deployment without a rule.
    UnknownRule: 404 "The deployment has no rule";
    /// No possible thresholds.
    ImpossibleThresholds: 422 "No possible thresholds";
    /// No such model of ours.
    UnknownVersion: 404 "Unknown version";
    /// A model that is not the shadow.
    NotTheShadow: 404 "This version is not the shadow";
    /// A second training on one node.
    TrainingRuns: 409 "One runs already";
    /// A model that may not be promoted.
    WorseModel: 409 "It is worse";
    /// Nothing to roll back to.
    NoPreviousModel: 409 "No model was promoted";
    /// What no deployment bounds.
    AnalystsOnly: 403 "Neither analyst nor admin";
    /// A table that Woodwide does not take.
    UploadRefused:
        409 "Woodwide is not configured, or the name has other content",
        413 "Larger than 30 MiB",
        415 "Neither JSON nor CSV",
        422 "A table that cannot be trained on, with line and column",
        502 "Woodwide refuses, or answers nonsense",
        503 "Woodwide is away or out of credits";
    /// A training that Woodwide does not begin.
    TrainingRefused:
        404 "No such dataset",
        409 "Woodwide is not configured",
        422 "A name, type or column that cannot be",
        502 "Woodwide refuses, or answers nonsense",
        503 "Woodwide is away or out of credits; the same call finds out";
    /// A training that Woodwide does not know.
    UnknownTraining:
        404 "No such model",
        409 "Woodwide is not configured",
        422 "No id",
        502 "Woodwide refuses, or answers nonsense",
        503 "Woodwide is away";
    /// Too many wrong keys.
    WrongKeys: 429 "Too many wrong keys from this address; see Retry-After";
    /// A key that is not exchanged for a cookie.
    LoginRefused:
        401 "Unknown key",
        403 "The role is neither admin nor analyst",
        429 "Too many attempts from this address; see Retry-After";
    /// A login that does not end.
    LogoutRefused:
        403 "No valid CSRF token",
        503 "The store is away: the cookie is taken back, but a copy of it holds until its time is over";
}
