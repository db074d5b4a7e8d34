//! Sessions, times and verdicts that the contract's tests are made of, and those of the packages above (feature
//! `testing`). Not part of the product.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test ends at the first surprise"
)]

pub mod cluster;
pub mod intercepted;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::buckets::BucketQuery;
use crate::{
    Acceptance, BatchEnd, BatchOutcome, Claim, ClaimRequest, Compared, Counts, FirstVerdict, Lookup, MemberOutcome,
    NewSession, ResultQuery, SettleCounts, Settlement, Store, StoreResult, StoredSession,
};
use playproof_domain::batch::Trigger;
use playproof_domain::features::v1;
use playproof_domain::heuristic::Heuristic;
use playproof_domain::id::{LeaseToken, Seq, SessionId, SessionKey};
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::record::SessionDigest;
use playproof_domain::result::{Decision, DecisionInputs, ModelIdentity, ScoreKind, Source, Thresholds, Verdict};
use playproof_domain::time::{Now, Timestamp};
use playproof_domain::trend::{DeviceClass, Facet, Tally};

/// How long the leases of [`request`] hold.
pub const LEASE: Duration = Duration::from_secs(60);

/// `seconds` after the tests' beginning, on both clocks.
#[must_use]
pub fn at(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now { wall: Timestamp(1_700_000_000_000).plus(span), monotonic: Duration::from_secs(5) + span }
}

/// The key of a session in a deployment.
#[must_use]
pub fn key_in(deployment: &str, id: &str) -> SessionKey {
    SessionKey { deployment: deployment.to_owned(), id: SessionId::parse(id).unwrap() }
}

/// The key of a session in no deployment.
#[must_use]
pub fn key(id: &str) -> SessionKey {
    key_in("", id)
}

/// A session accepted for the queue, whose content follows from its identifier.
#[must_use]
pub fn session(id: &str, now: Now) -> NewSession {
    let record = id.bytes().cycle().take(300).collect::<Vec<u8>>();
    let mut values = [0.5; 28];
    values[0] = f64::from(u32::try_from(id.len()).unwrap());
    let reasons = [Reason::NoJitter].into_iter().collect();
    let verdict = Verdict::heuristic(&Heuristic { score: 0.25, reasons }, &Thresholds::default());
    NewSession {
        key: key(id),
        user_id: Some(format!("user-of-{id}")),
        game_type: "aim".to_owned(),
        device_type: "mouse".to_owned(),
        digest: SessionDigest::of(&record),
        record,
        features: v1::Features::from_values(values),
        reasons,
        first: FirstVerdict { verdict: as_first(verdict), scored_at: now.wall, latency_ms: 1.5 },
        is_final: false,
        challenge: None,
    }
}

/// A first verdict as it comes back: of those that a batch follows no store keeps the thresholds.
fn as_first(verdict: Verdict) -> Verdict {
    Verdict { thresholds: None, ..verdict }
}

/// A session accepted for the queue, of which the embedded model said this at once.
#[must_use]
pub fn scored_session(id: &str, verdict: Verdict, now: Now) -> NewSession {
    let first = FirstVerdict { verdict: as_first(verdict), scored_at: now.wall, latency_ms: 3.5 };
    NewSession { first, ..session(id, now) }
}

/// A session that was scored at once.
#[must_use]
pub fn final_session(id: &str, verdict: Verdict, now: Now) -> NewSession {
    let first = FirstVerdict { verdict, scored_at: now.wall, latency_ms: 2.5 };
    NewSession { first, is_final: true, ..session(id, now) }
}

/// A detector's verdict with this decision; `raw` tells verdicts apart.
#[must_use]
pub fn verdict(decision: Decision, raw: f64) -> Verdict {
    Verdict {
        decision,
        confidence: 0.75,
        anomaly_score: Some(raw / 2.0),
        raw_score: Some(raw),
        kind: ScoreKind::Calibrated,
        extrapolated: raw > 5.0,
        source: Source::Embedded,
        model: ModelIdentity { id: "forest".to_owned(), version: "2026-01".to_owned() },
        class: "pooled".to_owned(),
        reasons: Reasons::from_iter([Reason::NoJitter, Reason::UnlikeHumans]),
        fallback: false,
        basis: Some(DecisionInputs {
            supported_score: Some(raw / 2.0),
            known_reasons: Reasons::from_iter([Reason::NoJitter]),
            surely_replayed: raw > 9.0,
        }),
        thresholds: Some(Thresholds { pass: 0.1 + raw / 8.0, review: 1.0 + raw, ..Thresholds::default() }),
    }
}

/// A score of `raw`, which passes.
#[must_use]
pub fn scored(raw: f64) -> MemberOutcome {
    MemberOutcome::Scored(Box::new(verdict(Decision::Pass, raw)))
}

/// A failure after which the session goes back to the queue until `not_before`.
#[must_use]
pub fn retry(not_before: Now, counts: bool, max_attempts: u32) -> MemberOutcome {
    MemberOutcome::Retry {
        not_before: not_before.wall,
        counts,
        max_attempts,
        error: "the detector is tired".to_owned(),
    }
}

/// A session that the detector cannot score.
#[must_use]
pub fn rejected() -> MemberOutcome {
    MemberOutcome::Rejected { error: "not a session".to_owned() }
}

/// Under which number a store with this secret finds the sessions of a user.
#[must_use]
pub fn user_hash(secret: &[u8], user: &str) -> i64 {
    crate::encoding::KeyHasher::new(secret).unwrap().hash_user(user)
}

/// A request for ready sessions, with a token that no other has.
#[must_use]
pub fn request(trigger: Trigger, max: u32) -> ClaimRequest {
    static TOKEN: AtomicU64 = AtomicU64::new(u64::MAX / 2);
    ClaimRequest {
        trigger,
        max,
        up_to: None,
        accepted_by: None,
        lease: LEASE,
        token: LeaseToken(TOKEN.fetch_add(1, Ordering::Relaxed)),
        owner: "node-1".to_owned(),
        source: Source::Embedded,
    }
}

/// How a batch ended, after one attempt.
#[must_use]
pub fn end(outcome: BatchOutcome) -> BatchEnd {
    BatchEnd { outcome, attempts: 1, detector_ms: 12.5, error: None, agreement: None, false_discovery: None }
}

/// Outcomes that end their batch.
#[must_use]
pub fn settlement(outcomes: Vec<(Seq, MemberOutcome)>) -> Settlement {
    Settlement { outcomes, end: Some(end(BatchOutcome::Scored)), ..Settlement::default() }
}

/// Accepts a session that must be new.
pub async fn submit(store: &dyn Store, session: NewSession) -> Seq {
    match store.accept(session).await.unwrap() {
        Acceptance::New(seq) => seq,
        other => panic!("not accepted as new: {other:?}"),
    }
}

/// Nothing is owed a comparison any more: telemetry goes by its age.
pub async fn all_compared(store: &dyn Store, now: Now) {
    let owed = store.uncompared(9_999, now).await.unwrap();
    let compared = owed.into_iter().map(|one| Compared { seq: one.standing.seq, matches: Vec::new(), found: None });
    store.compared(compared.collect(), Vec::new(), now).await.unwrap();
}

/// Accepts sessions called `ids` in this order.
pub async fn submit_all(store: &dyn Store, ids: &[&str], now: Now) -> Vec<Seq> {
    let mut seqs = Vec::new();
    for id in ids {
        seqs.push(submit(store, session(id, now)).await);
    }
    seqs
}

/// Claims ready sessions; there must be some.
pub async fn claim(store: &dyn Store, max: u32, now: Now) -> Claim {
    store.claim(request(Trigger::Manual, max), now).await.unwrap().expect("something ready")
}

/// Claims due retries, if there are any.
pub async fn claim_retry(store: &dyn Store, max: u32, now: Now) -> Option<Claim> {
    store.claim(request(Trigger::Retry, max), now).await.unwrap()
}

/// The sequence numbers of a batch.
#[must_use]
pub fn seqs(claim: &Claim) -> Vec<Seq> {
    claim.members.iter().map(|member| member.seq).collect()
}

/// The identifiers of a batch.
#[must_use]
pub fn ids(claim: &Claim) -> Vec<&str> {
    claim.members.iter().map(|member| member.key.id.as_str()).collect()
}

/// Settles every member of a batch with the same outcome and ends it.
pub async fn settle_all(
    store: &dyn Store,
    claim: &Claim,
    outcome: MemberOutcome,
    now: Now,
) -> StoreResult<SettleCounts> {
    let outcomes = claim.members.iter().map(|member| (member.seq, outcome.clone())).collect();
    store.settle(claim.lease, settlement(outcomes), now).await
}

/// Accepts a session and gives it its result.
pub async fn process(store: &dyn Store, session: NewSession, verdict: Verdict, now: Now) -> Seq {
    let seq = submit(store, session).await;
    let claim = claim(store, u32::MAX, now).await;
    let outcome = MemberOutcome::Scored(Box::new(verdict));
    store.settle(claim.lease, settlement(vec![(seq, outcome)]), now).await.unwrap();
    seq
}

/// A session that must be there.
pub async fn found(store: &dyn Store, id: &str) -> StoredSession {
    match store.session(key(id)).await.unwrap() {
        Lookup::Found(session) => *session,
        other => panic!("{id} is {other:?}"),
    }
}

/// The counts, which must add up.
pub async fn counts(store: &dyn Store) -> Counts {
    let counts = store.snapshot().await.unwrap().counts;
    assert_eq!(counts.accepted, counts.stored() + counts.erased + counts.pruned, "{counts:?}");
    let (counted, recounted) = (counted(store).await, recounted(store).await);
    if counts.pruned == 0 {
        assert_eq!(counted, recounted, "counts by time are those of a recount");
    }
    // What retention removed stays counted.
    for (facet, tally) in recounted {
        let all = counted.get(&facet).copied().unwrap_or_default();
        assert!(Decision::ALL.into_iter().all(|d| all.of(d) >= tally.of(d)), "{facet}: {all:?} of {tally:?}");
    }
    counts
}

/// What is counted by time of all that the tests' time holds, by facet and day.
pub async fn counted(store: &dyn Store) -> BTreeMap<String, Tally> {
    let day = 86_400_000;
    let since = Timestamp(19_000 * day);
    let query = BucketQuery { since, until: Timestamp(since.0 + 3_000 * day), step_ms: day, deployment: None };
    let buckets = store.buckets(query).await.unwrap();
    assert_eq!(buckets.before, Tally::default());
    let mut all: BTreeMap<String, Tally> = BTreeMap::new();
    for (at, deployment, tally) in buckets.steps {
        *all.entry(format!("{} {deployment}", at.0 / day)).or_default() += tally;
    }
    for facet in buckets.facets {
        *all.entry(format!("{:?}", facet.facet)).or_default() += facet.now;
    }
    *all.entry("all".to_owned()).or_default() += buckets.now;
    all
}

/// The same, from the results themselves.
pub async fn recounted(store: &dyn Store) -> BTreeMap<String, Tally> {
    let mut all = BTreeMap::from([("all".to_owned(), Tally::default())]);
    let mut query = ResultQuery { limit: 500, ..ResultQuery::default() };
    loop {
        let page = store.results(query.clone()).await.unwrap();
        for row in page.rows {
            let verdict = row.result.verdict;
            let one = Tally::from(verdict.decision);
            let mut add = |facet: String| *all.entry(facet).or_default() += one;
            add("all".to_owned());
            add(format!("{} {}", row.result.scored_at.0 / 86_400_000, row.key.deployment));
            add(format!("{:?}", Facet::Deployment(row.key.deployment)));
            add(format!("{:?}", Facet::Device(DeviceClass::of(&row.device_type))));
            add(format!("{:?}", Facet::Model(verdict.model)));
            verdict.reasons.iter().for_each(|reason| add(format!("{:?}", Facet::Reason(reason))));
        }
        query.after = page.next;
        if query.after.is_none() {
            return all;
        }
    }
}
