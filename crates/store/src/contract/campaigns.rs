//! Campaigns: who is like whom becomes one, grows, is told of, and loses those that are erased.

use std::time::Duration;

use super::*;
use crate::campaigns::{CampaignId, CampaignQuery, CampaignRow};
use crate::deliveries::{EventKind, WEBHOOK};
use crate::labels::{Label, Truth};
use crate::{Lookup, Matches, ResultQuery, Retention, Settlement, Store};
use playproof_domain::id::Seq;
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

const LEASE: Duration = Duration::from_secs(60);

/// Sessions called so, settled in one batch; each is like the earlier ones that `alike` names by place.
async fn settled(store: &dyn Store, ids: &[&str], alike: &[(usize, &[Seq])], when: u64) -> Vec<Seq> {
    let seqs = submit_all(store, ids, at(when)).await;
    let lease = claim(store, 99, at(when)).await.lease;
    let outcomes = seqs.iter().map(|seq| (*seq, scored(1.0))).collect();
    let matches = alike.iter().map(|(of, others)| Matches { seq: seqs[*of], others: others.to_vec() }).collect();
    store.settle(lease, Settlement { matches, ..settlement(outcomes) }, at(when)).await.unwrap();
    seqs
}

async fn one_more(store: &dyn Store, id: &str, others: &[Seq], when: u64) -> Seq {
    settled(store, &[id], &[(0, others)], when).await[0]
}

async fn listed(store: &dyn Store, now: u64) -> Vec<CampaignRow> {
    let query = CampaignQuery { deployment: None, min_members: 1, after: None, limit: 50, now: at(now).wall };
    store.campaigns(query).await.unwrap().rows
}

async fn campaign_of(store: &dyn Store, id: &str) -> Option<CampaignId> {
    let Lookup::Found(session) = store.session(key(id)).await.unwrap() else { panic!("{id} is gone") };
    session.campaign
}

async fn members(store: &dyn Store, id: CampaignId) -> Vec<String> {
    let members = store.campaign_members(id, None, 99).await.unwrap();
    members.iter().map(|member| member.key.id.to_string()).collect()
}

pub(crate) async fn three_alike_are_a_campaign_that_says_what_they_are(store: &dyn Store) {
    let a = settled(store, &["a", "other"], &[], 1).await[0];
    assert!(listed(store, 2).await.is_empty());
    let b = one_more(store, "b", &[a], 2).await;
    assert_eq!(campaign_of(store, "b").await, None, "two are a match, no campaign");
    one_more(store, "c", &[a, b], 7000).await;
    let all = listed(store, 7001).await;
    assert_eq!(all.len(), 1);
    let campaign = &all[0];
    assert_eq!((campaign.members, campaign.users, campaign.deployment.as_str()), (3, 3, ""));
    assert!(campaign.first_seen <= campaign.last_seen);
    assert_eq!(campaign.best_source.as_ref().map(ToString::to_string), Some("a".to_owned()));
    assert_eq!((campaign.decisions.iter().sum::<u64>(), campaign.labelled), (3, [0, 0]));
    assert_eq!(members(store, campaign.id).await, ["c", "b", "a"]);
    assert_eq!(campaign_of(store, "a").await, Some(campaign.id));
    assert_eq!(campaign_of(store, "other").await, None);
    let query = ResultQuery { campaign: Some(campaign.id), limit: 9, window: Some(99), ..ResultQuery::default() };
    assert_eq!(store.results(query).await.unwrap().rows.len(), 3);
    let page = store.campaign_members(campaign.id, Some(b), 9).await.unwrap();
    assert_eq!(page.iter().map(|member| member.seq).collect::<Vec<_>>(), [a]);
    assert_eq!(page[0].user_id.as_deref(), Some("user-of-a"));
    let standings = store.campaign_standings(campaign.id, a, 9).await.unwrap();
    assert_eq!(standings.iter().map(|one| one.key.clone()).collect::<Vec<_>>(), [key("b"), key("c")]);
    let other = Some("elsewhere".to_owned());
    assert_eq!(store.campaign(campaign.id, other, at(9).wall).await.unwrap(), None, "another deployment's");
}

pub(crate) async fn campaigns_that_turn_out_alike_become_one(store: &dyn Store) {
    let [a, x] = settled(store, &["a", "x"], &[], 1).await[..] else { panic!("two were sent") };
    let b = one_more(store, "b", &[a], 2).await;
    one_more(store, "c", &[b], 3).await;
    one_more(store, "d", &[a], 4).await;
    let y = one_more(store, "y", &[x], 5).await;
    let z = one_more(store, "z", &[y], 6).await;
    let all = listed(store, 7).await;
    assert_eq!(all.iter().map(|one| one.members).collect::<Vec<_>>(), [3, 4], "what grew last comes first");
    let (small, large) = (all[0].id, all[1].id);
    one_more(store, "both", &[z, b], 8).await;
    let all = listed(store, 9).await;
    assert_eq!((all.len(), all[0].id, all[0].members), (1, large, 8));
    let by_old_number = store.campaign(small, None, at(9).wall).await.unwrap().unwrap();
    assert_eq!((by_old_number.id, by_old_number.members), (large, 8));
    assert_eq!(campaign_of(store, "x").await, Some(large));
}

pub(crate) async fn members_of_one_batch_that_are_alike_join_together(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c", "d"], at(1)).await;
    let lease = claim(store, 99, at(1)).await.lease;
    let outcomes = seqs.iter().map(|seq| (*seq, scored(1.0))).collect();
    let like = |of: usize, other: usize| Matches { seq: seqs[of], others: vec![seqs[other]] };
    let matches = vec![like(3, 2), like(1, 0), like(2, 1)];
    store.settle(lease, Settlement { matches, ..settlement(outcomes) }, at(2)).await.unwrap();
    let all = listed(store, 3).await;
    assert_eq!((all.len(), all[0].members), (1, 4));
}

pub(crate) async fn erased_members_leave_no_trace(store: &dyn Store) {
    let a = settled(store, &["a"], &[], 1).await[0];
    let b = one_more(store, "b", &[a], 2).await;
    one_more(store, "c", &[a, b], 3).await;
    one_more(store, "d", &[b], 4).await;
    let id = campaign_of(store, "a").await.unwrap();
    store.erase_session(key("d"), at(5)).await.unwrap();
    store.erase_session(key("a"), at(5)).await.unwrap();
    assert_eq!(members(store, id).await, ["c", "b"]);
    assert_eq!(store.campaign(id, None, at(6).wall).await.unwrap(), None, "two are no campaign");
    assert_eq!(listed(store, 6).await[0].members, 2);
    one_more(store, "e", &[b], 7).await;
    assert_eq!(campaign_of(store, "e").await, Some(id), "and may be one again");
    store.clear(at(8)).await.unwrap();
    assert!(listed(store, 9).await.is_empty());
    assert!(members(store, id).await.is_empty());
}

pub(crate) async fn pruned_members_leave_too(store: &dyn Store) {
    let a = settled(store, &["a"], &[], 1).await[0];
    let b = one_more(store, "b", &[a], 2).await;
    one_more(store, "c", &[a, b], 3).await;
    let hour = Duration::from_secs(3600);
    let retention = Retention { results: hour, telemetry: hour, telemetry_flagged: hour };
    while store.prune(retention, at(3 * 3600).wall).await.unwrap().more {}
    assert!(listed(store, 3 * 3600).await.is_empty());
}

pub(crate) async fn webhooks_are_told_of_its_steps_once(store: &dyn Store) {
    let value = serde_json::json!({"final": false, "changed": false, "campaigns": true});
    store.set_control(WEBHOOK.to_owned(), "w".to_owned(), Some(value.to_string())).await.unwrap();
    let value = serde_json::json!({"final": true, "changed": false});
    store.set_control(WEBHOOK.to_owned(), "verdicts".to_owned(), Some(value.to_string())).await.unwrap();
    let first = settled(store, &["s0"], &[], 1).await[0];
    for i in 1..11 {
        one_more(store, &format!("s{i}"), &[first], 2 + i).await;
        let erased = store.erase_session(key("s9"), at(2 + i)).await.unwrap();
        assert_eq!(erased, i == 9);
    }
    let taken = store.take_deliveries("w".to_owned(), 9, at(100).wall, LEASE).await.unwrap();
    let kinds: Vec<EventKind> = taken.iter().map(|delivery| delivery.kind).collect();
    assert_eq!(kinds, [EventKind::CampaignOpened, EventKind::CampaignGrown]);
    let body: serde_json::Value = serde_json::from_str(&taken[1].body).unwrap();
    let id = campaign_of(store, "s0").await.unwrap();
    assert_eq!(body, serde_json::json!({"campaignId": id.0, "deploymentId": "", "members": 10}));
    assert_eq!(taken[0].key, None);
    let log = store.deliveries("verdicts".to_owned(), None, 50).await.unwrap();
    assert!(log.iter().all(|row| row.kind == EventKind::Final), "only who asked is told");
    assert_eq!(store.redeliver("w".to_owned(), Some(taken[0].id), at(200).wall).await.unwrap(), 0, "it still waits");
}

pub(crate) async fn a_page_of_campaigns_goes_on_where_it_ended(store: &dyn Store) {
    let mut ids = Vec::new();
    for i in 0..5u64 {
        let first = settled(store, &[&format!("a{i}")], &[], 10 * i).await[0];
        one_more(store, &format!("b{i}"), &[first], 10 * i + 1).await;
        one_more(store, &format!("c{i}"), &[first], 10 * i + 2).await;
        ids.extend(campaign_of(store, &format!("c{i}")).await);
    }
    ids.reverse();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let now = Timestamp(at(99).wall.0);
        let query = CampaignQuery { deployment: Some(String::new()), min_members: 3, after, limit: 2, now };
        let page = store.campaigns(query).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(seen, ids);
}

pub(crate) async fn labels_of_members_are_counted_and_name_the_campaign(store: &dyn Store) {
    let a = settled(store, &["a"], &[], 1).await[0];
    let b = one_more(store, "b", &[a], 2).await;
    one_more(store, "c", &[a, b], 3).await;
    let id = campaign_of(store, "a").await.unwrap();
    let label = Label {
        truth: Truth::Bot,
        note: String::new(),
        actor: "somebody".to_owned(),
        at: at(4).wall,
        campaign: Some(id),
    };
    store.label(a, Some(label.clone()), None, at(4).wall).await.unwrap();
    store.label(b, Some(Label { campaign: None, ..label.clone() }), None, at(4).wall).await.unwrap();
    assert_eq!(store.label_of(a).await.unwrap(), Some(label));
    assert_eq!(store.label_of(b).await.unwrap().unwrap().campaign, None);
    let campaign = store.campaign(id, None, at(5).wall).await.unwrap().unwrap();
    assert_eq!(campaign.labelled, [0, 2]);
    let last = store.campaign_members(id, None, 1).await.unwrap().remove(0);
    assert_eq!((last.label, last.decision.is_some()), (None, true));
    assert_ne!(last.decision, Some(Decision::Fail));
}
