//! Which sessions are told that their times are in another unit, and which are not.

use proptest::prelude::*;

use super::*;
use crate::refusal::RefusalKind;
use crate::session::{Bounds, Click, Session};

/// A person's times: steps of about a frame, with pauses.
fn person(count: u32, step: f64) -> Vec<f64> {
    (0..count)
        .scan(1.7e12, |t, i| {
            *t += step + f64::from(i % 5) * 0.5 + if i % 40 == 39 { 450.0 } else { 0.0 };
            Some(*t)
        })
        .collect()
}

fn session(times: impl IntoIterator<Item = f64>, duration_ms: f64) -> Session {
    let mut session = Session { duration_ms, ..Session::default() };
    for (x, t) in (0..).zip(times) {
        session.movements.x.push(f64::from(x));
        session.movements.y.push(0.0);
        session.movements.t.push(t);
    }
    session
}

/// The path and the sentence of the refusal.
fn refused(session: &Session) -> Option<(String, String)> {
    check(&session.movements.t, session.clicks.len(), session.duration_ms).err().map(|refusal| {
        assert_eq!(refusal.kind, RefusalKind::TimestampUnit);
        (refusal.path.to_string(), refusal.message)
    })
}

#[test]
fn times_of_another_unit_are_refused_with_the_unit_and_the_mend() {
    let times = person(200, 14.0);
    let cases = [
        (1e-3, "seconds", "multiply by 1000"),
        (1e3, "microseconds", "divide by 1000"),
        (1e6, "nanoseconds", "divide by 1000000"),
    ];
    for duration in [0.0, 6_000.0, 60_000.0] {
        for (factor, unit, mend) in cases {
            let (path, message) = refused(&session(times.iter().map(|t| t * factor), duration)).expect(unit);
            assert!(path.starts_with("movements[") && path.ends_with("].timestamp"), "{path}");
            assert!(message.contains(&format!(" {unit};")) && message.contains(mend), "{message}");
        }
    }
    // A few movements are told by the duration alone.
    let few = [0.0, 16.0, 33.0, 50.0];
    assert!(refused(&session(few.map(|t| t / 1e3), 60.0)).unwrap().1.contains("seconds"));
    assert!(refused(&session(few.map(|t| t * 1e3), 60.0)).unwrap().1.contains("microseconds"));
}

#[test]
fn a_duration_of_another_unit_is_named_in_the_place_of_the_times() {
    let times = person(200, 14.0);
    let (path, message) = refused(&session(times.clone(), 5.2)).unwrap();
    assert_eq!(path, "durationMs");
    assert!(message.contains("seconds") && message.contains("multiply by 1000"), "{message}");
    assert!(refused(&session(times.clone(), 5.2e6)).unwrap().1.contains("microseconds"));
    assert!(refused(&session(times, 5.2e9)).unwrap().1.contains("nanoseconds"));
}

#[test]
fn people_who_hardly_move_rest_long_or_tap_are_not_refused() {
    let frames = |count: u32| (0..count).map(|i| f64::from(i) * 16.0);
    let unit = |session: &Session| refused(session);
    assert_eq!(unit(&session(frames(20), 60_000.0)), None, "300 ms of movement in a minute");
    assert_eq!(unit(&session(frames(5), 60_000.0)), None, "60 ms of movement in a minute");
    assert_eq!(unit(&session(frames(60), 1e6)), None, "a second of movement in a quarter of an hour");
    assert_eq!(unit(&session(frames(200), 7.2e6)), None, "three seconds of movement in two hours");
    assert_eq!(unit(&session(frames(40).map(|_| 5.0), 10_000.0)), None, "one time for all");
    assert_eq!(unit(&session([5.0], 10_000.0)), None, "one movement");
    assert_eq!(unit(&session(frames(100).chain([3.6e6, 3.6e6 + 16.0]), 3_000.0)), None, "a machine that slept");
    assert_eq!(unit(&session(frames(100), -5.0)), None, "a negative duration says nothing");
    let mut taps = session((0..20).map(|i| f64::from(i) * 4_000.0), 80_000.0);
    taps.clicks = taps.movements.t.iter().map(|t| Click { t: *t, ..Click::default() }).collect();
    assert_eq!(unit(&taps), None, "slow taps");
    let eight_khz = (0..2_000).map(|i| f64::from(i) * 0.125);
    assert_eq!(unit(&session(eight_khz, 4_000.0)), None, "a mouse of 8,000 Hz");
}

#[test]
fn a_parsed_session_is_checked() {
    let list: Vec<String> =
        person(30, 14.0).iter().map(|t| format!(r#"{{"x":1,"y":2,"timestamp":{}}}"#, t / 1e3)).collect();
    let text = format!(r#"{{"sessionId":"a","movements":[{}]}}"#, list.join(","));
    let refusal = Session::parse(text.as_bytes(), &Bounds::default()).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::TimestampUnit);
    assert!(refusal.to_string().starts_with("movements[1].timestamp is 0.01"), "{refusal}");
}

proptest! {
    #[test]
    fn scaled_times_are_refused_with_their_unit_and_times_a_little_off_never(
        steps in proptest::collection::vec(prop_oneof![38 => 4.0..34.0f64, 1 => 34.0..450.0f64], 40..200),
        little in 0.3..10.0f64,
        duration in prop_oneof![Just(0.0), Just(1.0), 1.0..3.0f64],
        origin in prop_oneof![Just(0.0), Just(1.7e9)],
    ) {
        let times: Vec<f64> = steps.iter().scan(origin, |t, step| { *t += step; Some(*t) }).collect();
        let duration = duration * (times[times.len() - 1] - times[0]);
        for (factor, unit) in [(1e-3, "seconds"), (1e3, "microseconds"), (1e6, "nanoseconds")] {
            let found = refused(&session(times.iter().map(|t| t * factor), duration));
            prop_assert!(found.as_ref().is_some_and(|(_, message)| message.contains(&format!(" {unit};"))), "{unit} {found:?}");
        }
        prop_assert_eq!(refused(&session(times.iter().map(|t| t * little), duration)), None);
    }
}

proptest! {
    #[test]
    fn what_is_plainly_in_milliseconds_is_not_refused_in_full_either(
        steps in proptest::collection::vec(prop_oneof![0.0..0.1f64, 0.0..60.0f64, -50.0..2_000.0f64, 1e3..1e6f64], 0..60),
        few in 0usize..30, scale in prop::sample::select(vec![1e-3, 1.0, 1e3, 1e6]),
        ratio in prop_oneof![Just(0.0), 1e-4..1e4f64, prop::sample::select(vec![1e-9, 1e-6, 4e-4, 1e-3, 1.0, 900.0, 1.5e3, 1e6])],
        clicks in 0usize..20,
    ) {
        let steps = if steps.len() > few { &steps[few..] } else { &steps[..] };
        let times: Vec<f64> = steps.iter().scan(0.0, |t, step| { *t += step * scale; Some(*t) }).collect();
        let span = times.last().copied().unwrap_or(0.0) - times.first().copied().unwrap_or(0.0);
        for duration in [span * ratio, span.abs() * ratio * 1.01] {
            prop_assert_eq!(check(&times, clicks, duration), check_in_full(&times, clicks, duration));
        }
    }
}
