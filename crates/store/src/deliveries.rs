//! What integrators are told: a row for each webhook and event, written in the transaction that decides, and the events
//! in their order.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreResult;
use super::decisions::Cause;
use playproof_domain::id::SessionKey;
use playproof_domain::reason::Reasons;
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

/// Kind of a [`Control`](super::controls::Control) that is a webhook; stores read `deploymentId`, `final`, `changed` and
/// `campaigns` of its value.
pub const WEBHOOK: &str = "webhook";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A session got its result.
    Final,
    /// Its decision changed afterwards.
    Changed,
    /// Somebody tries a webhook.
    Test,
    /// Enough sessions alike are a campaign.
    CampaignOpened,
    /// A campaign reached the next step of growth.
    CampaignGrown,
}

impl EventKind {
    /// Every kind, in the order in which stores number them.
    pub const ALL: [Self; 5] = [Self::Final, Self::Changed, Self::Test, Self::CampaignOpened, Self::CampaignGrown];

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Final => "verdict.final",
            Self::Changed => "verdict.changed",
            Self::Test => "webhook.test",
            Self::CampaignOpened => "campaign.opened",
            Self::CampaignGrown => "campaign.grown",
        }
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// To be tried, again or for the first time.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was tried for too long.
    GivenUp,
    /// Its session was erased.
    Erased,
}

impl DeliveryState {
    /// Every state, in the order in which stores number them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Delivered, Self::GivenUp, Self::Erased];

    /// The name used in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
            Self::Erased => "erased",
        }
    }
}

/// A delivery to be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number, which is also the event's.
    pub id: i64,
    /// What happened.
    pub kind: EventKind,
    /// To which session; `None` for a test or a campaign.
    pub key: Option<SessionKey>,
    /// What is told of it: a JSON object without the session's key.
    pub body: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// Attempts, with this one.
    pub attempts: u32,
}

/// How a delivery fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub id: i64,
    /// Where it stands now.
    pub state: DeliveryState,
    /// When it is tried again.
    pub not_before: Timestamp,
    /// What the receiver answered.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A line of a webhook's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// What happened.
    pub kind: EventKind,
    /// Keyed hash of the session's key; empty for a test or a campaign.
    pub target: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried again, where it waits.
    pub not_before: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The receiver's last answer.
    pub status: Option<u16>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A delivery as it is kept, for moving a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDelivery {
    /// Of which webhook.
    pub webhook: String,
    /// What is told: a JSON object without the session's key.
    pub body: String,
    /// The rest; its target is empty as long as the session is there.
    pub row: DeliveryRow,
}

/// A place in the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: i64,
    /// 0 for a result, 1 for a change.
    pub kind: i64,
    /// Tells apart what happened at the same time.
    pub number: i64,
}

/// A result, or a change of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where it stands in the order.
    pub place: Place,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// The decision then.
    pub decision: Decision,
    /// The one before, and why it changed; `None` for a result.
    pub change: Option<(Decision, Cause)>,
    /// As the result stands now.
    pub score: Option<f64>,
    /// As the result stands now.
    pub reasons: Reasons,
}

/// Where deliveries wait and are kept.
#[async_trait]
pub trait DeliveryStore {
    /// What the secrets of webhooks follow from where no other key is set: the same on all nodes of this store, and of no
    /// other store.
    fn webhook_key(&self) -> [u8; 32];

    /// Takes up to `limit` deliveries of a webhook that are due, the first of each session only, and keeps others from
    /// them until `lease` has passed.
    async fn take_deliveries(
        &self,
        webhook: String,
        limit: u32,
        now: Timestamp,
        lease: Duration,
    ) -> StoreResult<Vec<Delivery>>;

    /// Keeps how deliveries fared that wait no longer than till then.
    async fn record_deliveries(&self, attempts: Vec<Attempt>, at: Timestamp) -> StoreResult<()>;

    /// A webhook's log, newest first, before the number `before`.
    async fn deliveries(&self, webhook: String, before: Option<i64>, limit: u32) -> StoreResult<Vec<DeliveryRow>>;

    /// Sends again what was given up, or one delivery whatever became of it; how many.
    async fn redeliver(&self, webhook: String, id: Option<i64>, now: Timestamp) -> StoreResult<u64>;

    /// Puts a test into a webhook's line; its number.
    async fn test_delivery(&self, webhook: String, body: String, at: Timestamp) -> StoreResult<i64>;

    /// Forgets everything about a webhook.
    async fn forget_deliveries(&self, webhook: String) -> StoreResult<()>;

    /// Up to `limit` events after a place that happened no later than `until`, of one deployment or of all.
    async fn events(
        &self,
        after: Place,
        until: Timestamp,
        limit: u32,
        deployment: Option<String>,
    ) -> StoreResult<Vec<Event>>;
}
