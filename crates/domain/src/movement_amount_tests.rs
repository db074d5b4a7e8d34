//! Sessions with hardly any movement are reviewed, whoever scores them and whatever the thresholds; short ones with
//! movement are judged.

use proptest::prelude::*;

use super::*;
use crate::calibration::Calibration;
use crate::evidence::Alike;
use crate::features::Extractor;
use crate::heuristic::{self, Heuristic};
use crate::reason::{Reason, Reasons};
use crate::result::{Decision, DecisionInputs, ModelIdentity, ScoreKind, Source, Thresholds, Verdict};
use crate::session::Click;

fn session(points: impl IntoIterator<Item = (f64, f64, f64)>) -> Session {
    let mut session = Session::default();
    for (x, y, t) in points {
        session.movements.x.push(x);
        session.movements.y.push(y);
        session.movements.t.push(t);
    }
    session
}

/// Taps at places far apart, each with its click and no movement between.
fn taps() -> Session {
    let mut taps = session((0..20).map(|i| (f64::from(i * 83 % 700), f64::from(i * 47 % 500), f64::from(i) * 640.0)));
    let points = taps.movements.x.iter().zip(&taps.movements.y).zip(&taps.movements.t);
    taps.clicks = points.map(|((x, y), t)| Click { x: *x, y: *y, t: *t, target_hit: true }).collect();
    taps
}

/// A driver that goes to each of thirty targets in so many jumps and clicks.
fn driver(jumps: i32) -> Session {
    let point = |click: i32, jump: i32| {
        let (share, x) = (f64::from(jump) / f64::from(jumps), f64::from(click * 97 % 800));
        (x * share, x * 0.5 * share, f64::from(click) * 500.0 + f64::from(jump) * 30.0)
    };
    session((0..30).flat_map(|click| (1..=jumps).map(move |jump| point(click, jump))))
}

/// A hand that goes on for so long.
fn hand(span_ms: f64) -> Session {
    let times = (0..).map(|i| f64::from(i) * 16.0).take_while(|t| *t <= span_ms);
    session(times.map(|t| (300.0 + 200.0 * (t / 300.0).sin(), 200.0 + 0.3 * t, t)))
}

fn nearly_still() -> [(&'static str, Session); 8] {
    [
        ("two movements", session([(1.0, 1.0, 0.0), (60.0, 40.0, 90.0)])),
        ("taps", taps()),
        ("a jump to each click", driver(1)),
        ("two jumps to each click", driver(2)),
        ("three jumps to each click", driver(3)),
        ("pauses only", session((0..60).map(|i| (f64::from(i * 7), f64::from(i * i % 90), f64::from(i) * 170.0)))),
        ("a pointer that rests", session((0..500).map(|i| (5.0, 5.0, f64::from(i) * 16.0)))),
        ("a pointer between two places", session((0..500).map(|i| (f64::from(i % 2), 5.0, f64::from(i) * 16.0)))),
    ]
}

/// The verdicts of every kind of source on `session`, on its own and beside one that it replays.
fn verdicts(session: &Session, thresholds: &Thresholds) -> Vec<Verdict> {
    let features = Extractor::default().v1(session);
    let judged = Heuristic::judge(&features);
    let known_reasons: Reasons = judged.reasons.union(heuristic::reservations(session));
    let first = Verdict::heuristic(&judged, thresholds);
    let first = heuristic::reservations(session).iter().fold(first, |first, by| first.with_override(by, thresholds));
    let model = || ModelIdentity { id: "m".into(), version: "1".into() };
    let set = Calibration::new((0..1000).map(f64::from).collect());
    let scored = [1.0, 950.0, 2e3].map(|raw| {
        Verdict::calibrated(raw, &set.assess(raw), "pooled", known_reasons, Source::Embedded, model(), thresholds)
    });
    let flagged =
        [false, true].map(|flag| Verdict::flagged(flag, known_reasons, Source::Woodwide, model(), thresholds));
    let alone: Vec<Verdict> = [first].into_iter().chain(scored).chain(flagged).collect();
    let replay = [Alike { strength: crate::sketch::Strength::SurelySame, resubmitted: false }];
    let beside: Vec<Verdict> =
        alone.iter().map(|verdict| verdict.clone().with_replay_evidence(&replay, thresholds)).collect();
    alone.into_iter().chain(beside).collect()
}

fn thresholds() -> [Thresholds; 3] {
    [
        Thresholds { pass: 0.0, review: 0.1, ..Thresholds::default() },
        Thresholds::default(),
        Thresholds { pass: 5.9, review: 6.0, ..Thresholds::default() },
    ]
}

#[test]
fn hardly_any_movement_is_a_review_whatever_scores_it() {
    for (name, session) in nearly_still() {
        for first in thresholds() {
            for verdict in verdicts(&session, &first) {
                let told = format!("{name}, {:?}, {first:?}", verdict.kind);
                assert_eq!(verdict.decision, Decision::Review, "{told}");
                assert!(verdict.reasons.contains(Reason::TooLittleMovement), "{told}");
                assert!((verdict.confidence - 0.5).abs() < 1e-12, "{told}: a review's least");
                for later in thresholds() {
                    assert_eq!(verdict.redecided(&later).map(|v| v.decision), Some(Decision::Review), "{told}");
                }
            }
        }
    }
}

#[test]
fn what_people_ruled_still_decides() {
    let thresholds = Thresholds::default();
    for verdict in verdicts(&taps(), &thresholds) {
        for (by, decision) in
            [(Reason::Allowed, Decision::Pass), (Reason::Denied, Decision::Fail), (Reason::TestFail, Decision::Fail)]
        {
            assert_eq!(verdict.clone().with_override(by, &thresholds).decision, decision, "{by:?}");
        }
    }
}

#[test]
fn half_a_second_of_steady_movement_is_judged() {
    let short = hand(500.0);
    assert_eq!(heuristic::reservations(&short), Reasons::default());
    let decisions: Vec<Decision> = verdicts(&short, &Thresholds::default()).iter().map(|v| v.decision).collect();
    assert!(decisions.contains(&Decision::Pass) && decisions.contains(&Decision::Fail), "{decisions:?}");
    assert_eq!(heuristic::reservations(&hand(300.0)), [Reason::TooLittleMovement].into_iter().collect());
}

#[test]
fn a_throttled_recorder_is_judged() {
    let late = |i: u32| f64::from(i) * 100.0 + f64::from(i * 37 % 50);
    let throttled = session((0..60).map(|i| (f64::from(i * 7), f64::from(i * i % 90), late(i))));
    assert_eq!(heuristic::reservations(&throttled), Reasons::default());
}

#[test]
fn it_does_not_raise_the_heuristics_score() {
    let (thresholds, taps) = (Thresholds::default(), taps());
    let alone = Verdict::heuristic(&Heuristic::judge(&Extractor::default().v1(&taps)), &thresholds);
    let ruled = alone.clone().with_override(Reason::TooLittleMovement, &thresholds);
    assert_eq!(ruled.anomaly_score, alone.anomaly_score);
    assert!(!Reason::TooLittleMovement.is_rule());
}

#[test]
fn pauses_between_movements_take_nothing_from_them() {
    let bursts = (0..5).flat_map(|burst| (0..8).map(move |i| (burst, i)));
    let points =
        bursts.map(|(burst, i)| (f64::from(burst * 90 + i * 9), f64::from(i), f64::from(burst * 2_000 + i * 16)));
    assert_eq!(
        MovementAmount::of(&session(points)),
        MovementAmount { moving_ms: 5.0 * 7.0 * 16.0, places: MIN_PLACES }
    );
}

proptest! {
    #[test]
    fn neither_scale_nor_origin_nor_the_order_of_arrival_matters(
        points in proptest::collection::vec((0..40i32, 0..40i32, 0..200i32), 1..120),
        late in 0..120usize,
    ) {
        let timed: Vec<(f64, f64, f64)> = points.iter().scan(0, |t, (x, y, dt)| {
            *t += 1 + dt;
            Some((f64::from(*x), f64::from(*y), f64::from(*t)))
        }).collect();
        let plain = MovementAmount::of(&session(timed.iter().copied()));
        let moved = timed.iter().map(|(x, y, t)| (4.0 * x - 900.0, 4.0 * y, t + 65_536.0));
        prop_assert_eq!(MovementAmount::of(&session(moved)), plain);
        let mut shuffled = timed.clone();
        shuffled.swap(late % timed.len(), timed.len() / 2);
        let back = shuffled.windows(2).filter(|pair| pair[1].2 < pair[0].2).count();
        if back > 2 {
            prop_assert_eq!(MovementAmount::of(&session(shuffled)), plain);
        }
        prop_assert!(plain.moving_ms >= 0.0 && plain.places <= MIN_PLACES);
    }
}

#[test]
fn movement_that_a_script_of_the_page_made_does_not_pass() {
    let mut session = hand(6_000.0);
    let len = session.movements.len();
    let thresholds = &Thresholds { pass: 5.9, review: 6.0, ..Thresholds::default() };
    for (untrusted, passes) in [(0, true), (len / 2, true), (len / 2 + 1, false), (len, false)] {
        session.movements.trusted = (0..len).map(|n| Some(n >= untrusted)).collect();
        let known_reasons = heuristic::reservations(&session);
        assert_eq!(known_reasons.contains(Reason::UntrustedEvents), !passes, "{untrusted} of {len}");
        let basis = DecisionInputs { known_reasons, supported_score: Some(0.1), ..DecisionInputs::default() };
        let decided = basis.decide(ScoreKind::Calibrated, Some(0.1), thresholds);
        assert_eq!((decided.decision == Decision::Pass, decided.decision == Decision::Review), (passes, !passes));
    }
    session.movements.trusted.clear();
    assert!(heuristic::reservations(&session).is_empty(), "a client that says nothing is believed as before");
}
