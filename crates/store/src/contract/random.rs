//! Random histories, played to a store and to a model of a few dozen lines, which must agree after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Fixture, QUEUE_LIMIT, at, key, request, retry, scored, session};
use crate::decisions::{Cause, Revision};
use crate::labels::{Label, Truth};
use crate::{
    Acceptance, BatchOutcome, ClaimRequest, Counts, Lease, Lookup, MemberOutcome, NewSession, ResultQuery, Retention,
    SettleCounts, Settlement, Store, StoreError,
};
use playproof_domain::batch::Trigger;
use playproof_domain::id::{BatchId, Seq};
use playproof_domain::queue::{Entry, Event, State, step};
use playproof_domain::reason::Reasons;
use playproof_domain::record::SessionDigest;
use playproof_domain::result::{Decided, Decision};
use playproof_domain::time::{Now, Timestamp};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Half a second off, so that no age is ever equal to it: all times are whole seconds.
const RESULTS_KEPT: Duration = Duration::from_millis(300_500);
const MAX_ATTEMPTS: u32 = 2;
const AGE: Duration = Duration::from_secs(40 * 86_400);

#[derive(Clone, Debug)]
enum Step {
    Submit { name: usize, content: u8, is_final: bool },
    Claim { retry: bool, max: u32 },
    Settle { lease: prop::sample::Index, outcomes: Vec<Outcome>, ends: bool },
    Renew { lease: prop::sample::Index },
    Wait { seconds: u64 },
    Expire,
    Restart,
    Requeue { name: Option<usize> },
    Erase { name: usize },
    EraseUser { user: usize },
    Clear,
    Prune,
    Revise { name: usize, later: usize },
    Label { name: usize, truth: usize },
    Fold,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    None,
    Scored,
    Answered,
    Outage,
    Rejected,
}

/// A step that any store takes which has a queue.
fn queue_step() -> impl Strategy<Value = Step> {
    any_step().prop_filter("of the queue", |step| {
        !matches!(step, Step::Revise { .. } | Step::Label { .. } | Step::Fold | Step::Prune)
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let outcome = prop_oneof![
        1 => Just(Outcome::None),
        4 => Just(Outcome::Scored),
        4 => Just(Outcome::Answered),
        1 => Just(Outcome::Outage),
        1 => Just(Outcome::Rejected),
    ];
    prop_oneof![
        8 => (name(), 0..8u8, prop::bool::weighted(0.15)).prop_map(|(name, content, is_final)| {
            Step::Submit { name, content: u8::from(content == 7), is_final }
        }),
        6 => (any::<bool>(), 1..5u32).prop_map(|(retry, max)| Step::Claim { retry, max }),
        6 => (any::<prop::sample::Index>(), vec(outcome, 4), prop::bool::weighted(0.8))
            .prop_map(|(lease, outcomes, ends)| Step::Settle { lease, outcomes, ends }),
        1 => any::<prop::sample::Index>().prop_map(|lease| Step::Renew { lease }),
        3 => prop_oneof![1..20u64, 60..200u64].prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Expire),
        3 => Just(Step::Restart),
        1 => prop::option::of(name()).prop_map(|name| Step::Requeue { name }),
        1 => name().prop_map(|name| Step::Erase { name }),
        1 => (0..2usize).prop_map(|user| Step::EraseUser { user }),
        2 => (name(), 0..3usize).prop_map(|(name, later)| Step::Revise { name, later }),
        1 => (name(), 0..2usize).prop_map(|(name, truth)| Step::Label { name, truth }),
        1 => Just(Step::Fold),
        1 => prop::bool::weighted(0.2).prop_map(|clear| if clear { Step::Clear } else { Step::Prune }),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    name: usize,
    content: u8,
    entry: Entry,
    finished_at: Option<Timestamp>,
    result: Option<(f64, Option<BatchId>)>,
}

struct Held {
    lease: Lease,
    /// `None` once it is over.
    expires: Option<Duration>,
    members: BTreeSet<Seq>,
}

/// What a store must be like: live sessions by number, tombstones, leases and three totals.
struct Model {
    now: Now,
    known: BTreeMap<Seq, Known>,
    tombstones: BTreeMap<usize, Timestamp>,
    leases: Vec<Held>,
    totals: Counts,
    scores: f64,
}

impl Model {
    fn seq_of(&self, name: usize) -> Option<Seq> {
        self.known.iter().find(|(_, known)| known.name == name).map(|(seq, _)| *seq)
    }

    fn counts(&self) -> Counts {
        let of = |state| self.known.values().filter(|known| known.entry.state == state).count() as u64;
        Counts {
            ready: of(State::Ready),
            leased: of(State::Leased),
            delayed: of(State::Delayed),
            processed: of(State::Processed),
            failed: of(State::Failed),
            ..self.totals
        }
    }

    /// Takes a session one step; the state it is in then, `None` when it is gone.
    fn take(&mut self, seq: Seq, event: Event) -> Option<State> {
        let known = self.known.get_mut(&seq)?;
        known.entry = step(known.entry, event).unwrap();
        known.finished_at = known.entry.state.is_final().then_some(self.now.wall);
        Some(known.entry.state)
    }

    fn erase(&mut self, seqs: &[Seq], remember: bool) {
        for seq in seqs {
            let known = self.known.remove(seq).unwrap();
            self.totals.erased += 1;
            if remember {
                self.tombstones.insert(known.name, self.now.wall);
            }
        }
    }

    fn lose(&mut self, over: impl Fn(Duration) -> bool) -> u64 {
        let mut lost = 0;
        for place in 0..self.leases.len() {
            if self.leases[place].expires.is_some_and(&over) {
                self.leases[place].expires = None;
                for seq in std::mem::take(&mut self.leases[place].members) {
                    lost += u64::from(self.take(seq, Event::LeaseLost { at: self.now.wall }).is_some());
                }
            }
        }
        lost
    }

    fn claimable(&self, retry: bool, max: u32) -> Vec<Seq> {
        let mut fit: Vec<(Timestamp, Seq, bool)> = Vec::new();
        for (seq, known) in &self.known {
            match known.entry {
                Entry { state: State::Ready, .. } if !retry => fit.push((Timestamp(0), *seq, false)),
                Entry { state: State::Delayed, not_before, .. } if retry && not_before <= self.now.wall => {
                    fit.push((not_before, *seq, known.entry.alone()));
                }
                _ => {}
            }
        }
        fit.sort_unstable();
        fit.truncate(max as usize);
        let alone = fit.iter().position(|(_, _, alone)| *alone).unwrap_or(fit.len());
        fit.truncate(alone.max(1));
        fit.into_iter().map(|(_, seq, _)| seq).collect()
    }

    async fn submit(&mut self, store: &dyn Store, name: usize, content: u8, is_final: bool) {
        let plain = session(NAMES[name], self.now);
        let digest = SessionDigest::of(&[plain.record.as_slice(), &[content]].concat());
        let user_id = Some(format!("user-{}", name % 2));
        let answer = store.accept(NewSession { user_id, digest, is_final, ..plain }).await.unwrap();
        match (self.seq_of(name), answer) {
            (Some(seq), Acceptance::Duplicate(stored)) => {
                assert_eq!(self.known[&seq].content, content);
                assert_eq!((stored.seq, stored.entry), (seq, self.known[&seq].entry));
            }
            (Some(seq), Acceptance::Conflict) => assert_ne!(self.known[&seq].content, content),
            (None, Acceptance::Erased) => assert!(self.tombstones.contains_key(&name)),
            (None, Acceptance::New(seq)) => {
                assert!(!self.tombstones.contains_key(&name));
                self.totals.accepted += 1;
                assert_eq!(seq.0.unsigned_abs(), self.totals.accepted);
                let state = if is_final { State::Processed } else { State::Ready };
                let known = Known {
                    name,
                    content,
                    entry: Entry { state, ..Entry::NEW },
                    finished_at: is_final.then_some(self.now.wall),
                    result: is_final.then_some((f64::NEG_INFINITY, None)),
                };
                self.known.insert(seq, known);
            }
            (known, answer) => panic!("{known:?} answered {answer:?}"),
        }
    }

    async fn claim(&mut self, store: &dyn Store, retry: bool, max: u32) {
        let trigger = if retry { Trigger::Retry } else { Trigger::Manual };
        let asked: ClaimRequest = request(trigger, max);
        let expected = self.claimable(retry, max);
        let claimed = store.claim(asked.clone(), self.now).await.unwrap();
        let members: Vec<Seq> = claimed.iter().flat_map(|claim| &claim.members).map(|member| member.seq).collect();
        assert_eq!(members, expected);
        for seq in &members {
            self.take(*seq, Event::Claim);
        }
        if let Some(claim) = claimed {
            let expires = Some(self.now.monotonic + asked.lease);
            self.leases.push(Held { lease: claim.lease, expires, members: members.into_iter().collect() });
        }
    }

    async fn settle(&mut self, store: &dyn Store, lease: prop::sample::Index, outcomes: &[Outcome], ends: bool) {
        if self.leases.is_empty() {
            return;
        }
        let place = lease.index(self.leases.len());
        let later = at(self.now.monotonic.as_secs() - 5 + 10);
        let held = &self.leases[place];
        let (lease, running) = (held.lease, held.expires.is_some());
        // A lease that is over names sessions that others may have by now.
        let named: Vec<Seq> =
            if running { held.members.iter().copied().collect() } else { self.known.keys().copied().collect() };
        let mut written = Vec::new();
        for (seq, outcome) in named.into_iter().zip(outcomes) {
            self.scores += 1.0;
            written.extend(match outcome {
                Outcome::None => None,
                Outcome::Scored => Some((seq, scored(self.scores))),
                Outcome::Answered => Some((seq, retry(later, true, MAX_ATTEMPTS))),
                Outcome::Outage => Some((seq, retry(later, false, MAX_ATTEMPTS))),
                Outcome::Rejected => Some((seq, super::rejected())),
            });
        }
        let end = ends.then(|| super::end(BatchOutcome::Partial));
        let answer =
            store.settle(lease, Settlement { outcomes: written.clone(), end, ..Settlement::default() }, self.now).await;
        if !running {
            assert_eq!(answer, Err(StoreError::LeaseLost(lease.batch.0)));
            return;
        }
        let mut events: Vec<(Seq, Event, Option<f64>)> = Vec::new();
        for (seq, outcome) in written {
            self.leases[place].members.remove(&seq);
            events.push(match outcome {
                MemberOutcome::Scored(verdict) => (seq, Event::Score, verdict.raw_score),
                MemberOutcome::Retry { not_before, counts, max_attempts, .. } => {
                    (seq, Event::Retry { not_before, counts, max_attempts }, None)
                }
                MemberOutcome::Rejected { .. } => (seq, Event::Reject, None),
            });
        }
        if ends {
            self.leases[place].expires = None;
            let rest = std::mem::take(&mut self.leases[place].members);
            events.extend(rest.into_iter().map(|seq| (seq, Event::GiveBack, None)));
        }
        let mut settled = SettleCounts::default();
        for (seq, event, score) in events {
            *match (self.take(seq, event), event) {
                (None, _) => &mut settled.gone,
                (Some(_), Event::GiveBack) if self.known[&seq].entry.state == State::Ready => &mut settled.returned,
                (Some(State::Processed), _) => &mut settled.processed,
                (Some(State::Failed), _) => &mut settled.failed,
                (Some(_), _) => &mut settled.delayed,
            } += 1;
            if let (Some(score), Some(known)) = (score, self.known.get_mut(&seq)) {
                assert_eq!(known.result, None, "a second result");
                known.result = Some((score, Some(lease.batch)));
            }
        }
        assert_eq!(answer, Ok(settled));
    }

    async fn renew(&mut self, store: &dyn Store, lease: prop::sample::Index) {
        if !self.leases.is_empty() {
            let place = lease.index(self.leases.len());
            let held = &mut self.leases[place];
            let answer = store.renew(held.lease, self.now).await;
            match held.expires {
                Some(_) => held.expires = Some(self.now.monotonic + super::LEASE),
                None => assert_eq!(answer, Err(StoreError::LeaseLost(held.lease.batch.0))),
            }
            assert_eq!(answer.is_ok(), held.expires.is_some());
        }
    }

    async fn requeue(&mut self, store: &dyn Store, name: Option<usize>) {
        let failed: Vec<Seq> = self
            .known
            .iter()
            .filter(|(_, known)| known.entry.state == State::Failed && name.is_none_or(|name| known.name == name))
            .map(|(seq, _)| *seq)
            .collect();
        let sent = store.requeue(name.map(|name| vec![key(NAMES[name])]), self.now).await.unwrap();
        assert_eq!(sent, failed.len() as u64);
        for seq in failed {
            self.take(seq, Event::Requeue);
        }
    }

    /// Changes a decision, as thresholds do or with a label.
    async fn revise(&self, store: &dyn Store, name: usize, later: usize, truth: Option<Truth>) {
        let Lookup::Found(stored) = store.session(key(NAMES[name])).await.unwrap() else { return };
        let Some(result) = stored.result else { return };
        let later = match truth {
            None => Decision::ALL[later],
            Some(Truth::Human) => Decision::Pass,
            Some(Truth::Bot) => Decision::Fail,
        };
        let reasons = Reasons::from_bits(i64::try_from(later as usize * 5 + 1).unwrap());
        let decided = Decided { decision: later, confidence: 0.5, reasons };
        let cause = if truth.is_some() { Cause::Label } else { Cause::Thresholds };
        let (earlier, at) = (result.verdict.decision, self.now.wall);
        let revision = Revision { seq: stored.seq, earlier, decided, cause, detail: "{}".to_owned() };
        match truth {
            None => drop(store.revise(vec![revision], at).await.unwrap()),
            Some(truth) => {
                let (note, actor) = (String::new(), "key".to_owned());
                let label = Label { truth, note, actor, at, campaign: None };
                assert!(store.label(stored.seq, Some(label), Some(revision), at).await.unwrap());
            }
        }
    }

    async fn prune(&mut self, store: &dyn Store) {
        let retention = Retention {
            results: RESULTS_KEPT,
            telemetry: Duration::from_secs(1_000_000),
            telemetry_flagged: Duration::from_secs(1_000_000),
        };
        let before = self.now.wall.minus(RESULTS_KEPT);
        let (stored, tombstones) = (self.known.len(), &mut self.tombstones);
        tombstones.retain(|_, erased_at| *erased_at > before);
        self.known.retain(|_, known| known.finished_at.is_none_or(|finished| finished > before));
        let gone = (stored - self.known.len()) as u64;
        self.totals.pruned += gone;
        assert_eq!(store.prune(retention, self.now.wall).await.unwrap().sessions, gone);
    }

    async fn remove(&mut self, store: &dyn Store, step: &Step) {
        let all = |model: &Self, fits: &dyn Fn(usize) -> bool| -> Vec<Seq> {
            model.known.iter().filter(|(_, known)| fits(known.name)).map(|(seq, _)| *seq).collect()
        };
        let (erased, gone) = match step {
            Step::Erase { name } => {
                let erased = store.erase_session(key(NAMES[*name]), self.now).await.unwrap();
                (u64::from(erased), all(self, &|known| known == *name))
            }
            Step::EraseUser { user } => {
                let erased = store.erase_user(None, format!("user-{user}"), self.now).await.unwrap();
                (erased, all(self, &|known| known % 2 == *user))
            }
            _ => (store.clear(self.now).await.unwrap(), all(self, &|_| true)),
        };
        assert_eq!(erased, gone.len() as u64);
        self.erase(&gone, !matches!(step, Step::Clear));
    }

    /// Compares everything that can be asked.
    async fn compare(&self, store: &dyn Store) {
        let snapshot = store.snapshot().await.unwrap();
        let counts = snapshot.counts;
        assert_eq!(counts, self.counts());
        assert_eq!(counts, super::counts(store).await);
        let delayed = self.known.values().filter(|known| known.entry.state == State::Delayed);
        assert_eq!(snapshot.queue.next_due, delayed.map(|known| known.entry.not_before).min());
        for (name, text) in NAMES.iter().enumerate() {
            match (store.session(key(text)).await.unwrap(), self.seq_of(name)) {
                (Lookup::Found(stored), Some(seq)) => {
                    let known = &self.known[&seq];
                    assert_eq!((stored.seq, stored.entry), (seq, known.entry), "{text}");
                    let result = stored.result.map(|r| (r.verdict.raw_score.unwrap_or(f64::NEG_INFINITY), r.batch));
                    assert_eq!(result, known.result, "{text}");
                }
                (Lookup::Erased, None) => assert!(self.tombstones.contains_key(&name), "{text}"),
                (Lookup::Unknown, None) => assert!(!self.tombstones.contains_key(&name), "{text}"),
                (lookup, seq) => panic!("{text} is {lookup:?} and should be {seq:?}"),
            }
        }
        let listed = store.results(ResultQuery { limit: 100, ..ResultQuery::default() }).await.unwrap().rows;
        let keys: BTreeSet<_> = listed.iter().map(|row| &row.key).collect();
        assert_eq!((listed.len(), keys.len() as u64), (keys.len(), counts.processed), "one result each");
    }
}

/// Plays `cases` random histories. `restart` ends the store as a crash would and opens it again; `restart_ends_leases`
/// says whether the leases of before are void then.
pub(crate) fn check(
    cases: u32,
    restart_ends_leases: bool,
    open: impl AsyncFn(u64) -> Fixture,
    restart: impl AsyncFn(Fixture, Now) -> Fixture,
) {
    play(any_step(), cases, restart_ends_leases, open, restart);
}

/// The same, of the queue's steps alone.
pub(crate) fn check_queue(
    cases: u32,
    restart_ends_leases: bool,
    open: impl AsyncFn(u64) -> Fixture,
    restart: impl AsyncFn(Fixture, Now) -> Fixture,
) {
    play(queue_step(), cases, restart_ends_leases, open, restart);
}

fn play(
    step: impl Strategy<Value = Step>,
    cases: u32,
    restart_ends_leases: bool,
    open: impl AsyncFn(u64) -> Fixture,
    restart: impl AsyncFn(Fixture, Now) -> Fixture,
) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = TestRunner::new(config).run(&vec(step, 1..60), |steps| {
        runtime.block_on(async {
            let mut fixture = open(QUEUE_LIMIT).await;
            let totals = Counts::default();
            let (known, tombstones) = (BTreeMap::new(), BTreeMap::new());
            let mut model = Model { now: at(1_000), known, tombstones, leases: Vec::new(), totals, scores: 0.0 };
            for step in &steps {
                model.now = Now { wall: model.now.wall.plus(SECOND), monotonic: model.now.monotonic + SECOND };
                let store = &*fixture.store;
                match step {
                    Step::Submit { name, content, is_final } => model.submit(store, *name, *content, *is_final).await,
                    Step::Claim { retry, max } => model.claim(store, *retry, *max).await,
                    Step::Settle { lease, outcomes, ends } => model.settle(store, *lease, outcomes, *ends).await,
                    Step::Renew { lease } => model.renew(store, *lease).await,
                    Step::Wait { seconds } => model.now = at(model.now.monotonic.as_secs() - 5 + seconds),
                    Step::Expire => {
                        let now = model.now.monotonic;
                        let lost = model.lose(|expires| expires <= now);
                        assert_eq!(store.expire(model.now).await.unwrap(), lost);
                    }
                    Step::Restart => {
                        fixture = restart(fixture, model.now).await;
                        model.lose(|_| restart_ends_leases);
                    }
                    Step::Requeue { name } => model.requeue(store, *name).await,
                    Step::Prune => model.prune(store).await,
                    Step::Revise { name, later } => model.revise(store, *name, *later, None).await,
                    Step::Label { name, truth } => model.revise(store, *name, 0, Some(Truth::ALL[*truth])).await,
                    // As if much time had passed: what is counted stays.
                    Step::Fold => while store.fold_buckets(AGE, model.now.wall.plus(AGE / 2)).await.unwrap() {},
                    Step::Erase { .. } | Step::EraseUser { .. } | Step::Clear => model.remove(store, step).await,
                }
                model.compare(&*fixture.store).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

const SECOND: Duration = Duration::from_secs(1);
