//! A clock set back within a recording is put forward again, and late events are still put where their times say.

use proptest::prelude::*;

use super::*;
use crate::features::{Extractor, FeatureSet};
use crate::testing::set_back;

fn row(set: FeatureSet, session: &Session) -> Vec<f64> {
    let mut row = Vec::new();
    Extractor::default().extract(set, session, &mut row);
    row
}

/// A hand that goes round with one movement in 16 ms.
fn round(count: u32) -> Session {
    let mut session = Session::default();
    for i in 0..count {
        let t = f64::from(i) * 16.0;
        session.movements.x.push(300.0 + 200.0 * (t / 400.0).sin());
        session.movements.y.push(300.0 + 200.0 * (t / 400.0).cos());
        session.movements.t.push(t);
    }
    session
}

#[test]
fn steps_are_undone_to_the_recorders_interval_and_clicks_with_them() {
    let mut session = round(400);
    for at in [40, 130, 180, 260, 390] {
        let (x, y, t) = (session.movements.x[at], session.movements.y[at], session.movements.t[at]);
        session.clicks.push(Click { x, y, t, target_hit: true });
    }
    for back in [50.0, 300.0, 1_000.0, 5_000.0] {
        assert!(*without_steps(&set_back(&session, &[150], back)) == session, "{back}");
        assert!(*without_steps(&set_back(&session, &[150, 300], back)) == session, "twice {back}");
    }
    assert!(matches!(without_steps(&session), Cow::Borrowed(_)), "an ordinary session is not copied");
    let far = set_back(&session, &[150], 60_000.0);
    assert!(*without_steps(&far) == far, "a minute is no correction of a clock");
}

#[test]
fn every_set_but_the_originals_sees_the_recording_without_the_step() {
    let session = round(400);
    let stepped = set_back(&session, &[200], 300.0);
    for set in [FeatureSet::V2, FeatureSet::V3] {
        assert_eq!(row(set, &stepped), row(set, &session), "{}", set.name());
    }
    assert_ne!(row(FeatureSet::V1, &stepped), row(FeatureSet::V1, &session), "v1 is what it always was");
}

#[test]
fn late_events_are_no_steps() {
    for late in [1, 3, 8] {
        let mut session = round(200);
        for column in [&mut session.movements.x, &mut session.movements.y, &mut session.movements.t] {
            column[60..100].rotate_left(late);
        }
        assert!(*without_steps(&session) == session, "{late} events late by half a second");
    }
}

proptest! {
    #[test]
    fn scattered_disorder_is_left_as_it_is(
        swaps in proptest::collection::vec((0..200usize, 1..40usize), 3..20),
    ) {
        let mut session = round(250);
        for (at, by) in swaps {
            session.movements.t.swap(at, at + by);
        }
        let falls = session.movements.t.windows(2).filter(|pair| pair[1] < pair[0]).count();
        if falls > MAX_STEPS {
            prop_assert_eq!(&*without_steps(&session), &session);
        }
    }

    #[test]
    fn any_recording_keeps_its_movements(
        points in proptest::collection::vec((-1e7..=1e7f64, prop_oneof![-1e15..=1e15f64, 0.0..=3000.0f64]), 1..40),
        clicks in proptest::collection::vec((-1e7..=1e7f64, -1e15..=1e15f64), 0..5),
    ) {
        let mut session = Session::default();
        for (x, t) in points {
            session.movements.x.push(x);
            session.movements.y.push(-x);
            session.movements.t.push(t);
        }
        session.clicks = clicks.into_iter().map(|(x, t)| Click { x, y: x, t, target_hit: false }).collect();
        let steady = without_steps(&session);
        prop_assert_eq!(&steady.movements.x, &session.movements.x);
        prop_assert_eq!((steady.movements.len(), steady.clicks.len()), (session.movements.len(), session.clicks.len()));
        prop_assert!(steady.movements.t.iter().all(|t| t.is_finite()));
    }
}
