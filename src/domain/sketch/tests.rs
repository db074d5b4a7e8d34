//! Sketches of movements made here: what is found again, what is not, and what has none.

use super::*;
use crate::domain::session::Movements;

type Change = fn(f64, f64, f64) -> (f64, f64, f64);

/// A wandering movement of its own for every seed: targets from a linear congruence, reached along a bent way.
pub(crate) fn wandering(seed: u64, targets: usize) -> Session {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |range: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1u32 << 31) * range
    };
    let mut moves = Movements::default();
    let (mut from, mut now) = ((draw(1000.0), draw(700.0)), 0.0);
    for _ in 0..targets {
        let to = (draw(1000.0), draw(700.0));
        let (bend, steps) = (draw(0.6) - 0.3, 20.0 + draw(30.0).floor());
        let mut step = 0.0;
        while step < steps {
            let s: f64 = step / steps;
            // Minimum jerk (Flash and Hogan, 1985), bent to one side.
            let s = s * s * s * (10.0 - 15.0 * s + 6.0 * s * s);
            let side = bend * 4.0 * s * (1.0 - s);
            moves.x.push(from.0 + s * (to.0 - from.0) - side * (to.1 - from.1));
            moves.y.push(from.1 + s * (to.1 - from.1) + side * (to.0 - from.0));
            moves.t.push(now);
            now += 16.0;
            step += 1.0;
        }
        now += draw(200.0);
        from = to;
    }
    Session { movements: moves, ..Session::default() }
}

fn changed(seed: u64, change: impl Fn(f64, f64, f64) -> (f64, f64, f64)) -> Session {
    let mut session = wandering(seed, 14);
    let m = &mut session.movements;
    for i in 0..m.len() {
        (m.x[i], m.y[i], m.t[i]) = change(m.x[i], m.y[i], m.t[i]);
    }
    session
}

fn index(count: u64) -> Index {
    let mut index = Index::default();
    for seed in 0..count {
        let movement = Movement::of(&wandering(seed, 14)).unwrap();
        index.insert(movement.sketch());
    }
    index
}

#[test]
fn a_movement_is_known_again_however_it_was_shifted_scaled_turned_or_paced() {
    let index = index(50);
    for seed in 0..50 {
        let changes: [Change; 5] = [
            |x, y, t| (x + 500.0, y - 80.0, t + 1e12),
            |x, y, t| (x * 2.0, y * 2.0, t),
            |x, y, t| (0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y, t),
            |x, y, t| (x, y, t * 0.8),
            |x, y, t| (x / 2.0, y / 2.0, t * 1.25),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let found = index.find(&Movement::of(&changed(seed, change)).unwrap());
            let (id, like) = found.first().copied().unwrap();
            assert_eq!(id, i64::try_from(seed).unwrap(), "change {number}");
            assert!(like.left <= SAME / 2.0, "change {number} of {seed} leaves {}", like.left);
        }
    }
}

#[test]
fn a_movement_is_known_again_after_a_step_of_the_clock() {
    let index = index(20);
    for seed in 0..20 {
        let mut session = wandering(seed, 14);
        let half = session.movements.len() / 2;
        session.movements.t[half..].iter_mut().for_each(|t| *t -= 700.0);
        let (id, like) = index.find(&Movement::of(&session).unwrap())[0];
        assert_eq!(id, i64::try_from(seed).unwrap());
        assert!(like.left <= SAME / 2.0, "{seed} leaves {}", like.left);
    }
}

#[test]
fn other_movements_are_not_alike() {
    let index = index(50);
    for seed in 50..100 {
        let found = index.find(&Movement::of(&wandering(seed, 14)).unwrap());
        assert!(found.iter().all(|(_, like)| like.left > 3.0 * SAME), "{seed}: {found:?}");
    }
}

#[test]
fn any_three_fifths_of_a_movement_are_known() {
    let index = index(20);
    for seed in 0..20 {
        for from in [0, 2, 4] {
            let mut session = wandering(seed, 14);
            let m = &mut session.movements;
            let (begin, end) = (m.len() * from / 10, m.len() * (from + 6) / 10);
            for column in [&mut m.x, &mut m.y, &mut m.t] {
                *column = column[begin..end].to_vec();
            }
            let found = index.find(&Movement::of(&session).unwrap());
            assert!(found.iter().any(|(id, like)| *id == i64::try_from(seed).unwrap() && like.left <= SAME));
        }
    }
}

#[test]
fn telemetry_sent_again_is_told_from_a_movement_made_again() {
    let index = index(3);
    let like = |session: &Session| index.find(&Movement::of(session).unwrap())[0].1;
    assert!(like(&wandering(1, 14)).identical);
    assert!(like(&changed(1, |x, y, t| (x, y, t + 5000.0))).identical, "another origin of time is the same telemetry");
    assert!(!like(&changed(1, |x, y, t| (x + 1.0, y, t))).identical);
}

#[test]
fn what_says_too_little_has_no_sketch() {
    assert!(Movement::of(&wandering(1, 1)).is_none(), "a single drag");
    let line = changed(1, |x, _, t| (x, 0.01 * x, t));
    assert!(Movement::of(&line).is_none(), "to and fro on a line");
    let still = changed(1, |_, _, t| (3.0, 4.0, t));
    assert!(Movement::of(&still).is_none());
    let mut one = wandering(1, 14);
    for column in [&mut one.movements.x, &mut one.movements.y, &mut one.movements.t] {
        column.truncate(1);
    }
    assert!(Movement::of(&one).is_none());
}

#[test]
fn deployments_do_not_meet() {
    let index = index(5);
    let elsewhere = Session { deployment_id: "another".to_owned(), ..wandering(2, 14) };
    assert!(index.find(&Movement::of(&elsewhere).unwrap()).is_empty());
}

#[test]
fn a_sketch_is_small_and_damaged_ones_are_like_nothing() {
    let movement = Movement::of(&wandering(1, 14)).unwrap();
    let sketch = movement.sketch();
    assert_eq!(sketch.bytes().len(), Sketch::BYTES);
    const { assert!(Sketch::BYTES <= 200) };
    assert!(movement.compare(&sketch).unwrap().left < 0.005);
    let cut = sketch.bytes()[..Sketch::BYTES - 3].to_vec();
    assert!(movement.compare(&Sketch::from_bytes(cut)).is_some(), "a window less");
    for bytes in [vec![], vec![0; Sketch::BYTES], vec![255; Sketch::BYTES], sketch.bytes()[1..].to_vec()] {
        let damaged = Sketch::from_bytes(bytes);
        assert!(damaged.keys().len() <= sketch.keys().len());
        assert!(movement.compare(&damaged).is_none());
    }
}

#[test]
fn a_movement_asks_for_the_keys_of_its_own_sketch_and_no_more_than_it_may() {
    for seed in 0..20 {
        let movement = Movement::of(&wandering(seed, 40)).unwrap();
        let asked = movement.asked();
        assert!(asked.is_sorted_by(|a, b| a < b) && asked.len() <= KEYS_ASKED);
        assert!(movement.sketch().keys().iter().all(|key| asked.contains(key)));
    }
}

#[test]
fn extreme_values_are_no_trouble() {
    for (x, t) in [(1e7, 1e15), (-1e7, -1e15), (1e-300, 0.0), (0.0, 1e-9)] {
        let session = changed(3, |_, y, at| (x * (at % 7.0), y * x, t * (at % 3.0)));
        if let Some(movement) = Movement::of(&session) {
            let _ = Index::default().find(&movement);
            let _ = movement.sketch();
        }
    }
}
