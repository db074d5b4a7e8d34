//! Campaigns: sessions alike as one. A session that is like earlier ones joins theirs; where those are of several
//! campaigns, these become one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::Serialize;

use super::StoreResult;
use super::decisions::DecidedResult;
use super::labels::Truth;
use playproof_domain::id::{Seq, SessionId, SessionKey};
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

/// Fewest members of a campaign that is listed and told of; two sessions alike are a match, not a campaign.
pub const MIN_MEMBERS: i64 = 3;
/// Campaigns that are looked at for those that grow.
pub const MAX_OPEN: u32 = 1_000;

/// A campaign's number. Where two become one, the larger one's holds, and the other's leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignId(pub i64);

/// The step of growth that `members` have reached: 3, 10, 30, 100, 300, ...; 0 below.
#[must_use]
pub fn growth_step(members: i64) -> i64 {
    let mut reached = 0;
    let (mut step, mut next) = (MIN_MEMBERS, 10);
    while step <= members {
        reached = step;
        (step, next) = (next, step.saturating_mul(10));
    }
    reached
}

/// What is known of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignRow {
    /// Its number.
    pub id: CampaignId,
    /// The one deployment that its sessions belong to; empty when none.
    pub deployment: String,
    /// Sessions in it that are still there.
    pub members: u64,
    /// Different users that they name.
    pub users: u64,
    /// When its first member was accepted.
    pub first_seen: Timestamp,
    /// When its last one was.
    pub last_seen: Timestamp,
    /// The session that most members are most like; `None` where it is gone.
    pub best_source: Option<SessionId>,
    /// Members by decision, in the order of [`Decision::ALL`].
    pub decisions: [u64; 3],
    /// Members labelled human, and bot.
    pub labelled: [u64; 2],
    /// Members accepted within the last hour, and the last day.
    pub growth: [u64; 2],
}

/// A session of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignMember {
    /// Row id, also the place in the list.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// The user that its client or server names.
    pub user_id: Option<String>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its decision as it stands; `None` while its verdict is on the way.
    pub decision: Option<Decision>,
    /// What somebody said of it.
    pub label: Option<Truth>,
}

/// Which campaigns to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignQuery {
    /// Only this deployment.
    pub deployment: Option<String>,
    /// Only those with at least so many members.
    pub min_members: i64,
    /// Continue after this place: last member and number of the campaign before.
    pub after: Option<(Seq, CampaignId)>,
    /// Most rows.
    pub limit: u32,
    /// The time that growth is counted back from.
    pub now: Timestamp,
}

/// A page of campaigns, those that grew last first.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignPage {
    /// The campaigns.
    pub rows: Vec<CampaignRow>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<(Seq, CampaignId)>,
}

/// Where campaigns are kept. Members join in the transactions that keep whom a session is like, and leave when they are
/// erased or pruned; no trace of them stays.
#[async_trait]
pub trait CampaignStore {
    /// Campaigns, those that grew last first.
    async fn campaigns(&self, query: CampaignQuery) -> StoreResult<CampaignPage>;

    /// How many of the newest [`MAX_OPEN`] campaigns have a member that was accepted after `since`, and the members that
    /// those have.
    async fn open_campaigns(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<(u64, u64)>;

    /// One campaign, of a deployment or of any; the one it became part of where it did. Growth is counted back from `now`.
    async fn campaign(
        &self,
        id: CampaignId,
        deployment: Option<String>,
        now: Timestamp,
    ) -> StoreResult<Option<CampaignRow>>;

    /// Up to `limit` members of a campaign accepted before a session, the latest first.
    async fn campaign_members(
        &self,
        id: CampaignId,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<CampaignMember>>;

    /// How the decisions of up to `limit` members after a session stand, in order of acceptance.
    async fn campaign_standings(&self, id: CampaignId, after: Seq, limit: u32) -> StoreResult<Vec<DecidedResult>>;
}

/// Sessions that are like each other and the campaigns they are in, which are to be one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The campaign that it becomes: the largest of those there, and of equals the oldest; `None` where there is none yet.
    pub(super) into: Option<i64>,
    /// Campaigns whose members move there.
    pub(super) merged: Vec<i64>,
    /// Sessions that are in none yet; in order.
    pub(super) joining: Vec<i64>,
}

/// What becomes one campaign by `matches`, pairs of sessions that are alike. `campaigns` says in which one a session is,
/// `sizes` how many members that has.
pub(super) fn groups(matches: &[(i64, i64)], campaigns: &HashMap<i64, i64>, sizes: &HashMap<i64, i64>) -> Vec<Group> {
    // A campaign stands for all its members.
    let name = |seq: i64| campaigns.get(&seq).map_or(Node::Session(seq), |id| Node::Campaign(*id));
    let mut leaders: BTreeMap<Node, Node> = BTreeMap::new();
    let leader = |leaders: &BTreeMap<Node, Node>, mut node: Node| {
        while let Some(next) = leaders.get(&node).filter(|next| **next != node) {
            node = *next;
        }
        node
    };
    for (a, b) in matches {
        let (a, b) = (name(*a), name(*b));
        leaders.entry(a).or_insert(a);
        leaders.entry(b).or_insert(b);
        let (a, b) = (leader(&leaders, a), leader(&leaders, b));
        leaders.insert(a.max(b), a.min(b));
    }
    let mut groups: BTreeMap<Node, Group> = BTreeMap::new();
    for node in leaders.keys() {
        let group = groups.entry(leader(&leaders, *node)).or_default();
        match node {
            Node::Session(seq) => group.joining.push(*seq),
            Node::Campaign(id) => group.merged.push(*id),
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        let size = |id: &i64| sizes.get(id).copied().unwrap_or_default();
        group.into = group.merged.iter().copied().max_by_key(|id| (size(id), Reverse(*id)));
        group.merged.retain(|id| Some(*id) != group.into);
    }
    groups.retain(|group| !group.joining.is_empty() || !group.merged.is_empty());
    groups
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Campaign(i64),
    Session(i64),
}

/// What webhooks are told of a campaign.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CampaignBody<'a> {
    campaign_id: i64,
    deployment_id: &'a str,
    members: i64,
}

/// What webhooks are told of a campaign: no session, so that nothing of it is to be erased.
pub(super) fn campaign_body(id: i64, deployment: &str, members: i64) -> String {
    // Nothing in it fails to be JSON; a body without words is still a delivery.
    serde_json::to_string(&CampaignBody { campaign_id: id, deployment_id: deployment, members })
        .unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(into: Option<i64>, merged: &[i64], joining: &[i64]) -> Group {
        Group { into, merged: merged.to_vec(), joining: joining.to_vec() }
    }

    #[test]
    fn what_hangs_together_becomes_one_campaign() {
        let campaigns = HashMap::from([(10, 1), (11, 1), (20, 2), (21, 2), (22, 2), (30, 3), (31, 3)]);
        let sizes = HashMap::from([(1, 2), (2, 3), (3, 2)]);
        let of = |matches: &[(i64, i64)]| groups(matches, &campaigns, &sizes);
        assert_eq!(of(&[(41, 40)]), [group(None, &[], &[40, 41])]);
        assert_eq!(of(&[(40, 10)]), [group(Some(1), &[], &[40])]);
        assert_eq!(of(&[(40, 10), (40, 20), (41, 40)]), [group(Some(2), &[1], &[40, 41])]);
        assert_eq!(of(&[(40, 30), (40, 10)]), [group(Some(1), &[3], &[40])], "of equals the oldest");
        assert_eq!(of(&[(41, 40), (43, 42), (42, 41)]), [group(None, &[], &[40, 41, 42, 43])]);
        assert_eq!(of(&[(41, 40), (50, 20)]).len(), 2);
        assert_eq!(of(&[(11, 10)]), [], "nothing new");
    }

    #[test]
    fn growth_is_told_at_threes_and_tens() {
        let steps: Vec<i64> = [0, 2, 3, 9, 10, 29, 30, 99, 100, 299, 300, 1000, 40_000].map(growth_step).into();
        assert_eq!(steps, [0, 0, 3, 3, 10, 10, 30, 30, 100, 100, 300, 1000, 30_000]);
    }
}
