//! Questions asked of a store.

use std::collections::BTreeSet;

use crate::labels::{Label, Truth};
use crate::testing::*;
use crate::{
    BatchEnd, BatchOutcome, ClaimRequest, Lookup, MemberOutcome, NewSession, QueueQuery, ResultQuery, Settlement, Store,
};
use playproof_domain::agreement::Agreement;
use playproof_domain::batch::Trigger;
use playproof_domain::false_discovery::FalseDiscovery;
use playproof_domain::id::{BatchId, Seq};
use playproof_domain::queue::{Entry, State};
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decision, Source, Verdict};

pub(crate) async fn a_snapshot_tells_the_queue(store: &dyn Store) {
    let empty = store.snapshot().await.unwrap();
    assert_eq!((empty.queue.ready, empty.queue.oldest_ready, empty.queue.next_due), (0, None, None));
    assert_eq!((empty.last_seq, empty.last_batch), (Seq(0), None));
    submit(store, session("a", at(5))).await;
    submit(store, session("b", at(6))).await;
    let waiting = store.snapshot().await.unwrap();
    assert_eq!((waiting.queue.ready, waiting.queue.oldest_ready), (2, Some(at(5).wall)));
    let batch = claim(store, 1, at(7)).await;
    settle_all(store, &batch, retry(at(50), true, 9), at(8)).await.unwrap();
    let later = store.snapshot().await.unwrap();
    assert_eq!((later.queue.ready, later.queue.oldest_ready), (1, Some(at(6).wall)));
    assert_eq!((later.queue.next_due, later.counts.delayed, later.last_seq), (Some(at(50).wall), 1, Seq(2)));
}

pub(crate) async fn who_waits_is_told_by_deployment(store: &dyn Store) {
    assert!(store.waiting_parties().await.unwrap().is_empty());
    for n in 0..120 {
        let mut session = session(&format!("s{n}"), at(1));
        session.key.deployment = ["eu", "us", "", "eu"][n % 4].to_owned();
        if n % 4 == 3 {
            session.key.id = session.key.id.of_page();
        }
        submit(store, session).await;
    }
    claim(store, 40, at(2)).await;
    let waiting = store.waiting_parties().await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|(who, count)| (&*who.deployment, who.is_pages, *count)).collect();
    let each_once = [("", false, 20), ("eu", false, 20), ("eu", true, 20), ("us", false, 20)];
    assert_eq!(waiting, each_once, "each once, pages apart, and no leased one");
}

pub(crate) async fn the_last_run_is_the_last_claim(store: &dyn Store) {
    let start = store.snapshot().await.unwrap().queue.last_run;
    submit_all(store, &["a", "b"], at(1)).await;
    assert_eq!(store.snapshot().await.unwrap().queue.last_run, start);
    claim(store, 1, at(2)).await;
    claim(store, 1, at(3)).await;
    assert!(store.claim(request(Trigger::Manual, 1), at(4)).await.unwrap().is_none());
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.queue.last_run, snapshot.last_batch), (at(3).wall, Some(at(3).wall)));
}

pub(crate) async fn the_running_state_is_kept(store: &dyn Store) {
    for running in [false, true, true, false] {
        store.set_running(running).await.unwrap();
        assert_eq!(store.snapshot().await.unwrap().running, running);
    }
}

async fn listed(store: &dyn Store, query: ResultQuery) -> Vec<String> {
    let page = store.results(ResultQuery { limit: 100, ..query }).await.unwrap();
    assert_eq!(page.next, None);
    page.rows.into_iter().map(|row| row.key.id.as_str().to_owned()).collect()
}

pub(crate) async fn results_are_listed_newest_first(store: &dyn Store) {
    for (id, second) in [("a", 10), ("b", 30), ("c", 20), ("d", 30)] {
        process(store, session(id, at(1)), verdict(Decision::Pass, 1.0), at(second)).await;
    }
    assert_eq!(listed(store, ResultQuery::default()).await, ["d", "b", "c", "a"]);
    let first = store.results(ResultQuery { limit: 1, ..ResultQuery::default() }).await.unwrap();
    assert_eq!(first.rows[0].result, found(store, "d").await.result.unwrap());
}

pub(crate) async fn results_are_filtered(store: &dyn Store) {
    let by = |decision, source| Verdict { source, ..verdict(decision, 1.0) };
    let cases = [
        ("a", "", Decision::Pass, Source::Embedded),
        ("b", "one", Decision::Fail, Source::Woodwide),
        ("c", "one", Decision::Pass, Source::Woodwide),
        ("d", "two", Decision::Review, Source::Embedded),
    ];
    for ((id, deployment, decision, source), second) in cases.into_iter().zip(10..) {
        let new = NewSession { key: key_in(deployment, id), ..session(id, at(1)) };
        process(store, new, by(decision, source), at(second)).await;
    }
    let all = ResultQuery::default;
    assert_eq!(listed(store, ResultQuery { decision: Some(Decision::Pass), ..all() }).await, ["c", "a"]);
    assert_eq!(listed(store, ResultQuery { source: Some(Source::Embedded), ..all() }).await, ["d", "a"]);
    assert_eq!(listed(store, ResultQuery { since: Some(at(12).wall), ..all() }).await, ["d", "c"]);
    assert_eq!(listed(store, ResultQuery { until: Some(at(12).wall), ..all() }).await, ["b", "a"]);
    assert_eq!(listed(store, ResultQuery { deployment: Some("one".into()), ..all() }).await, ["c", "b"]);
    assert_eq!(listed(store, ResultQuery { deployment: Some(String::new()), ..all() }).await, ["a"]);
    assert!(listed(store, ResultQuery { deployment: Some("three".into()), ..all() }).await.is_empty());
    let narrow = ResultQuery {
        decision: Some(Decision::Fail),
        source: Some(Source::Woodwide),
        since: Some(at(11).wall),
        until: Some(at(12).wall),
        deployment: Some("one".into()),
        ..all()
    };
    assert_eq!(listed(store, narrow).await, ["b"]);
}

pub(crate) async fn pages_neither_skip_nor_repeat(store: &dyn Store) {
    let names: Vec<String> = (0..25).map(|i| format!("s{i}")).collect();
    for (i, id) in names.iter().enumerate() {
        // Many share a time, so that the place in the list needs the row as well.
        let decision = if i % 5 == 0 { Decision::Fail } else { Decision::Pass };
        process(store, session(id, at(1)), verdict(decision, 1.0), at(10 + i as u64 / 8)).await;
    }
    for (decision, expected) in [(None, 25), (Some(Decision::Pass), 20), (Some(Decision::Review), 0)] {
        for limit in [1, 4, 20, 25, 26] {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let query = ResultQuery { decision, after, limit, ..ResultQuery::default() };
                let page = store.results(query).await.unwrap();
                assert!(page.rows.len() <= limit as usize);
                seen.extend(page.rows.into_iter().map(|row| row.key.id.as_str().to_owned()));
                // What arrives while somebody pages is newer than every page that follows.
                let late = format!("late-{}-{limit}-{}", seen.len(), expected);
                process(store, session(&late, at(1)), verdict(Decision::Review, 1.0), at(90)).await;
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            let seen: Vec<_> = seen.into_iter().filter(|id| !id.starts_with("late")).collect();
            let different: BTreeSet<_> = seen.iter().collect();
            let expected = if decision == Some(Decision::Review) { 0 } else { expected };
            assert_eq!((seen.len(), different.len()), (expected, expected), "{decision:?} by {limit}");
        }
    }
}

pub(crate) async fn batches_are_listed_with_their_members(store: &dyn Store) {
    submit_all(store, &["a", "b", "c"], at(0)).await;
    let asked = ClaimRequest { owner: "node-7".into(), source: Source::Woodwide, ..request(Trigger::Full, 2) };
    let first = store.claim(asked, at(1)).await.unwrap().unwrap();
    let second = claim(store, 9, at(2)).await;
    let ended = BatchEnd {
        outcome: BatchOutcome::Partial,
        attempts: 3,
        detector_ms: 99.5,
        error: Some("two calls timed out".to_owned()),
        agreement: Some(Agreement { rows: 1, rank_correlation: Some(0.25), flips: 1 }),
        false_discovery: Some(FalseDiscovery { adjusted_p: 0.03125, sessions: 2 }),
    };
    let outcomes = vec![(first.members[0].seq, scored(1.0))];
    store
        .settle(first.lease, Settlement { outcomes, end: Some(ended.clone()), ..Settlement::default() }, at(3))
        .await
        .unwrap();

    let rows = store.batches(None, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [second.lease.batch, first.lease.batch]);
    assert_eq!((rows[0].finished_at, &rows[0].end, rows[0].trigger), (None, &None, Trigger::Manual));
    let (row, members) = store.batch(first.lease.batch).await.unwrap().unwrap();
    assert_eq!(row, rows[1]);
    assert_eq!((row.trigger, row.size, row.owner.as_str()), (Trigger::Full, 2, "node-7"));
    assert_eq!((row.source, row.claimed_at, row.finished_at), (Source::Woodwide, at(1).wall, Some(at(3).wall)));
    assert_eq!(row.end, Some(ended));
    let told: Vec<_> = members.into_iter().map(|one| (one.key, one.decision, one.score)).collect();
    assert_eq!(told, [(key("a"), Some(Decision::Pass), Some(0.5)), (key("b"), None, None)]);
    let flags = Agreement { rows: 1, rank_correlation: None, flips: 0 };
    let flagged = BatchEnd { agreement: Some(flags), ..end(BatchOutcome::Scored) };
    let outcomes = vec![(second.members[0].seq, scored(2.0))];
    store
        .settle(second.lease, Settlement { outcomes, end: Some(flagged.clone()), ..Settlement::default() }, at(4))
        .await
        .unwrap();
    assert_eq!(store.batch(second.lease.batch).await.unwrap().unwrap().0.end, Some(flagged));
    let older = store.batches(Some(second.lease.batch), 9).await.unwrap();
    assert_eq!(older.len(), 1);
    assert_eq!(store.batches(None, 1).await.unwrap().len(), 1);
    assert!(store.batch(BatchId(999)).await.unwrap().is_none());
}

pub(crate) async fn filters_without_an_index_look_at_a_window_and_go_on(store: &dyn Store) {
    let mut expected = Vec::new();
    for i in 0..40u64 {
        let odd = i % 10 == 3;
        let device = if odd { "pen" } else { "mouse" };
        let id = format!("s{i}");
        let new = NewSession { device_type: device.to_owned(), ..session(&id, at(1)) };
        let mut reasons = Reasons::default();
        reasons.insert(if odd { Reason::NoJitter } else { Reason::PathTooStraight });
        process(store, new, Verdict { reasons, ..verdict(Decision::Pass, 1.0) }, at(10 + i / 4)).await;
        if odd {
            expected.insert(0, id);
        }
    }
    let rare = [
        ResultQuery { reason: Some(Reason::NoJitter), ..ResultQuery::default() },
        ResultQuery { device: Some("pen".to_owned()), ..ResultQuery::default() },
        ResultQuery {
            device: Some("pen".to_owned()),
            decision: Some(Decision::Pass),
            deployment: Some(String::new()),
            ..ResultQuery::default()
        },
    ];
    for query in rare {
        assert_eq!(listed(store, query.clone()).await, expected, "{query:?}");
        for (limit, window) in [(1, 4), (3, 7), (50, 40), (50, 41), (2, 1)] {
            let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = ResultQuery { limit, after, window: Some(window), ..query.clone() };
                let page = store.results(page).await.unwrap();
                assert!(page.rows.iter().all(|row| row.device_type == "pen"));
                seen.extend(page.rows.into_iter().map(|row| row.key.id.as_str().to_owned()));
                pages += 1;
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            assert_eq!(seen, expected, "{limit} of {window} for {query:?}");
            assert!(pages >= 40 / window, "{pages} pages by {window}");
        }
    }
    let wide = ResultQuery { decision: Some(Decision::Pass), limit: 40, window: Some(1), ..ResultQuery::default() };
    assert_eq!(store.results(wide).await.unwrap().rows.len(), 40, "what an index finds needs no window");
}

async fn fail(store: &dyn Store, ids: &[&str], now: u64) -> Vec<Seq> {
    let seqs = submit_all(store, ids, at(now)).await;
    let batch = claim(store, u32::MAX, at(now)).await;
    settle_all(store, &batch, rejected(), at(now + 1)).await.unwrap();
    seqs
}

pub(crate) async fn dead_sessions_are_listed(store: &dyn Store) {
    assert!(store.dead(None, 9).await.unwrap().is_empty());
    let seqs = fail(store, &["a", "b", "c"], 3).await;
    let rows = store.dead(None, 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.key.id.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    assert_eq!((rows[0].seq, rows[0].accepted_at, rows[0].entry.state), (seqs[2], at(3).wall, State::Failed));
    assert_eq!(rows[0].error.as_deref(), Some("not a session"));
    let rest = store.dead(Some(rows[1].seq), 2).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.key.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

pub(crate) async fn dead_sessions_are_requeued(store: &dyn Store) {
    fail(store, &["a", "b", "c"], 3).await;
    process(store, session("done", at(6)), verdict(Decision::Pass, 1.0), at(7)).await;
    let some = vec![key("b"), key("done"), key("unknown"), key("b")];
    assert_eq!(store.requeue(Some(some), at(8)).await.unwrap(), 1);
    let back = found(store, "b").await;
    assert_eq!((back.entry, back.result), (Entry::NEW, None));
    assert_eq!(store.requeue(None, at(9)).await.unwrap(), 2);
    assert_eq!(store.requeue(None, at(9)).await.unwrap(), 0);
    assert!(store.dead(None, 9).await.unwrap().is_empty());
    let batch = claim(store, 9, at(10)).await;
    assert_eq!(ids(&batch), ["a", "b", "c"], "in their old place in line");
    settle_all(store, &batch, MemberOutcome::Scored(Box::new(verdict(Decision::Fail, 2.0))), at(11)).await.unwrap();
    assert_eq!(counts(store).await.processed, 4);
}

pub(crate) async fn an_unknown_session_is_unknown(store: &dyn Store) {
    assert_eq!(store.session(key("a")).await.unwrap(), Lookup::Unknown);
}

pub(crate) async fn telemetry_comes_in_the_order_asked(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let records = store.telemetry(vec![seqs[1], Seq(77), seqs[0], seqs[1]]).await.unwrap();
    let (a, b) = (session("a", at(0)).record, session("b", at(0)).record);
    assert_eq!(records, [Some(b.clone()), None, Some(a), Some(b)]);
}

pub(crate) async fn a_backup_opens_by_itself(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    store.put_state("k".to_owned(), Some(b"v".to_vec())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    store.backup(copy.clone()).await.unwrap();
    assert!(std::fs::read_dir(&copy).unwrap().next().is_some());
    let again = store.backup(copy).await.unwrap_err().to_string();
    assert!(again.contains("already"), "a copy is never written over: {again}");
    submit(store, session("c", at(1))).await;
}

pub(crate) async fn a_users_sessions_and_those_with_a_label_are_found(store: &dyn Store) {
    for (i, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let now = at(i as u64);
        let user_id = Some(if i % 2 == 0 { "mira" } else { "tom" }.to_owned());
        let new = crate::NewSession { user_id, ..session(id, now) };
        process(store, new, verdict(Decision::ALL[i % 3], f64::from(u32::try_from(i).unwrap())), now).await;
    }
    let asked = |query: ResultQuery| async move {
        let page = store.results(ResultQuery { limit: 9, ..query }).await.unwrap();
        page.rows.iter().map(|row| row.key.id.to_string()).collect::<Vec<_>>()
    };
    let mira = || ResultQuery { user: Some("mira".to_owned()), ..ResultQuery::default() };
    assert_eq!(asked(mira()).await, ["c", "a"], "the newest first");
    assert_eq!(asked(ResultQuery { since: Some(at(1).wall), ..mira() }).await, ["c"]);
    assert_eq!(asked(ResultQuery { decision: Some(Decision::Fail), ..mira() }).await, ["c"]);
    assert_eq!(asked(ResultQuery { deployment: Some("eu".to_owned()), ..mira() }).await, [""; 0]);
    assert_eq!(asked(ResultQuery { user: Some("nobody".to_owned()), ..mira() }).await, [""; 0]);
    let first = store.results(ResultQuery { limit: 1, ..mira() }).await.unwrap();
    assert_eq!((first.rows.len(), first.rows[0].user_id.as_deref()), (1, Some("mira")));
    assert_eq!(asked(ResultQuery { after: first.next, ..mira() }).await, ["a"]);

    let bot = || ResultQuery { label: Some(Truth::Bot), ..ResultQuery::default() };
    assert_eq!(asked(bot()).await, [""; 0]);
    for id in ["d", "a"] {
        let (seq, now) = (found(store, id).await.seq, at(9).wall);
        let label = Label { truth: Truth::Bot, note: String::new(), actor: "key".to_owned(), at: now, campaign: None };
        store.label(seq, Some(label), None, now).await.unwrap();
    }
    assert_eq!(asked(bot()).await, ["d", "a"]);
    assert_eq!(asked(ResultQuery { user: Some("mira".to_owned()), ..bot() }).await, ["a"]);
    let labelled = store.results(ResultQuery { limit: 9, ..bot() }).await.unwrap();
    assert!(labelled.rows.iter().all(|row| row.label == Some(Truth::Bot)));
    store.erase_session(key("a"), at(9)).await.unwrap();
    assert_eq!((asked(bot()).await, asked(mira()).await), (vec!["d".to_owned()], vec!["c".to_owned()]));
}

pub(crate) async fn a_deployment_finds_its_own_however_many_others_have(store: &dyn Store) {
    let of = |deployment: &str, id: String| {
        let new = final_session(&id, verdict(Decision::Pass, 1.0), at(0));
        NewSession { key: key_in(deployment, &id), user_id: Some("mira".to_owned()), ..new }
    };
    submit(store, of("eu", "first".to_owned())).await;
    let many = (0..=crate::MAX_SET).map(|i| store.accept(of("us", format!("s{i}"))));
    futures_util::future::join_all(many).await.into_iter().for_each(|accepted| drop(accepted.unwrap()));
    let mira = |deployment: Option<&str>| ResultQuery {
        user: Some("mira".to_owned()),
        deployment: deployment.map(str::to_owned),
        limit: crate::MAX_SET + 1,
        ..ResultQuery::default()
    };
    let found = store.results(mira(Some("eu"))).await.unwrap().rows;
    assert_eq!(found.iter().map(|row| row.key.id.to_string()).collect::<Vec<_>>(), ["first"]);
    assert_eq!(store.results(mira(None)).await.unwrap().rows.len(), crate::MAX_SET as usize, "the newest of all");
}

pub(crate) async fn results_are_found_by_prefix_and_ordered_by_score(store: &dyn Store) {
    for (i, (id, score)) in [("ord-1", 2.0), ("ord-2", 8.0), ("x%_1", 4.0)].into_iter().enumerate() {
        let now = at(i as u64);
        process(store, session(id, now), verdict(Decision::Pass, score), now).await;
    }
    let asked = |query: ResultQuery| async move {
        let page = store.results(ResultQuery { window: Some(100), ..query }).await.unwrap();
        assert_eq!(page.next, None);
        page.rows.iter().map(|row| row.key.id.to_string()).collect::<Vec<_>>()
    };
    let begins = |prefix: &str| ResultQuery { id_prefix: Some(prefix.to_owned()), limit: 9, ..ResultQuery::default() };
    assert_eq!(asked(begins("ord")).await, ["ord-2", "ord-1"]);
    assert_eq!(asked(begins("x%_")).await, ["x%_1"], "no character stands for others");
    assert_eq!(asked(begins("Ord")).await, [""; 0]);
    let by_score = |limit| ResultQuery { by_score: true, limit, ..ResultQuery::default() };
    assert_eq!(asked(by_score(9)).await, ["ord-2", "x%_1", "ord-1"]);
    assert_eq!(asked(by_score(1)).await, ["ord-2"], "and there is no next page");
}

pub(crate) async fn sessions_without_a_result_are_listed_by_state(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c", "d", "e"], at(0)).await;
    let batch = claim(store, 3, at(1)).await;
    let outcomes = vec![(seqs[0], rejected()), (seqs[1], retry(at(90), true, 9)), (seqs[2], retry(at(60), true, 9))];
    store.settle(batch.lease, settlement(outcomes), at(2)).await.unwrap();
    let query = |state| QueueQuery { state, deployment: None, after: None, limit: 9, window: 100 };
    let asked = |query: QueueQuery| async move {
        let page = store.queued(query).await.unwrap();
        (page.rows.iter().map(|row| row.key.id.to_string()).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(asked(query(State::Ready)).await.0, ["e", "d"], "the newest first");
    assert_eq!(asked(query(State::Delayed)).await.0, ["c", "b"], "the first due first");
    assert_eq!(asked(query(State::Leased)).await.0, [""; 0]);
    let failed = store.queued(query(State::Failed)).await.unwrap().rows;
    assert_eq!((failed[0].error.as_deref(), failed[0].user_id.as_deref()), (Some("not a session"), Some("user-of-a")));
    for state in [State::Ready, State::Delayed] {
        let (all, _) = asked(query(state)).await;
        let (first, next) = asked(QueueQuery { limit: 1, ..query(state) }).await;
        let (second, end) = asked(QueueQuery { limit: 1, after: next, ..query(state) }).await;
        assert_eq!(([first, second].concat(), end), (all, None));
    }
    let elsewhere = QueueQuery { deployment: Some("eu".to_owned()), window: 1, ..query(State::Ready) };
    let (none, next) = asked(elsewhere.clone()).await;
    assert!(none.is_empty() && next.is_some(), "it goes on where the window ended");
}
