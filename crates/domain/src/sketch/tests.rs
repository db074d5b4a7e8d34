//! Sketches of movements made here: what is found again, what is not, and what has none.

use super::*;
use crate::session::{Movements, Session};
use crate::testing::wandering;

type Change = fn(f64, f64, f64) -> (f64, f64, f64);

/// A movement of its own for every seed whose reaches are as varied as a hand's: each swings to both sides and hurries
/// somewhere else.
fn varied(seed: u64, targets: usize) -> Session {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555;
    let mut draw = |range: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1u32 << 31) * range
    };
    let mut moves = Movements::default();
    let (mut from, mut now) = ((draw(1000.0), draw(700.0)), 0.0);
    for _ in 0..targets {
        let to = (from.0 + 150.0 + draw(500.0), from.1 + draw(800.0) - 400.0);
        let swings = [draw(0.5) - 0.25, draw(0.3) - 0.15, draw(0.16) - 0.08];
        let hurry = draw(1.4) - 0.7;
        let steps = 25.0 + draw(30.0).floor();
        let mut step = 0.0;
        while step < steps {
            let s: f64 = step / steps;
            let s = s + hurry * s * (1.0 - s) * (1.0 - s);
            // Minimum jerk (Flash and Hogan, 1985) along the way.
            let s = s * s * s * (10.0 - 15.0 * s + 6.0 * s * s);
            let side: f64 =
                swings.iter().zip([1.0, 2.0, 3.0]).map(|(a, k)| a * (k * std::f64::consts::PI * s).sin()).sum();
            moves.x.push(from.0 + s * (to.0 - from.0) - side * (to.1 - from.1));
            moves.y.push(from.1 + s * (to.1 - from.1) + side * (to.0 - from.0));
            moves.t.push(now);
            now += 16.0;
            step += 1.0;
        }
        now += 20.0 + draw(150.0);
        from = to;
    }
    Session { movements: moves, ..Session::default() }
}

fn changed_varied(seed: u64, change: impl Fn(f64, f64, f64) -> (f64, f64, f64)) -> Session {
    let mut session = varied(seed, 14);
    let m = &mut session.movements;
    for i in 0..m.len() {
        (m.x[i], m.y[i], m.t[i]) = change(m.x[i], m.y[i], m.t[i]);
    }
    session
}

fn varied_index(count: u64) -> Index {
    let mut index = Index::default();
    (0..count).for_each(|seed| {
        let _ = index.insert(Movement::of(&varied(seed, 14)).unwrap().sketch());
    });
    index
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
            assert!(like.residual <= SAME / 2.0, "change {number} of {seed} leaves {}", like.residual);
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
        assert!(like.residual <= SAME / 2.0, "{seed} leaves {}", like.residual);
    }
}

#[test]
fn other_movements_are_not_alike() {
    let index = index(50);
    for seed in 50..100 {
        let found = index.find(&Movement::of(&wandering(seed, 14)).unwrap());
        assert!(found.iter().all(|(_, like)| like.strength().is_none()), "{seed}: {found:?}");
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
            assert!(found.iter().any(|(id, like)| *id == i64::try_from(seed).unwrap() && like.residual <= SAME));
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
fn plain_strokes_have_to_fit_better_than_ones_with_a_reach_in_common() {
    let movement = Movement::of(&wandering(1, 14)).unwrap();
    let like = movement.compare(&movement.sketch()).unwrap();
    let strength = |residual: f64, evidence: f32| Likeness { residual, evidence, ..like }.strength();
    assert_eq!(strength(0.03, 0.0), None);
    assert_eq!(strength(0.03, 0.1), Some(Strength::Same));
    assert_eq!(strength(0.015, 0.0), Some(Strength::Same));
    assert_eq!(strength(0.04, 0.1), None);
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
    assert!(sketch.bytes().len() <= Sketch::BYTES);
    const { assert!(Sketch::BYTES <= 520) };
    assert!(movement.compare(&sketch).unwrap().residual < 0.005);
    let cut = sketch.bytes()[..sketch.bytes().len() - 3].to_vec();
    assert!(movement.compare(&Sketch::from_bytes(cut)).is_some(), "a reach less");
    for bytes in [vec![], vec![0; Sketch::BYTES], vec![255; Sketch::BYTES], sketch.bytes()[1..].to_vec()] {
        let damaged = Sketch::from_bytes(bytes);
        assert!(!damaged.insert_into(&mut ReachIndex::default(), 1));
        assert!(movement.compare(&damaged).is_none());
    }
}

/// A movement sent by somebody who lays it out anew is found, and nobody else's is.
fn is_found(index: &Index, seed: u64, session: &Session) -> bool {
    let found = Movement::of(session).map(|movement| index.find(&movement)).unwrap_or_default();
    let alike: Vec<i64> = found.iter().filter(|(_, like)| like.strength().is_some()).map(|(id, _)| *id).collect();
    alike == [i64::try_from(seed).unwrap()]
}

#[test]
fn a_movement_is_known_again_mirrored_and_stretched() {
    let index = varied_index(50);
    for seed in 0..50 {
        let changes: [Change; 4] = [
            |x, y, t| (-x, y, t),
            |x, y, t| (x, 900.0 - y, 1.1 * t),
            |x, y, t| (1.35 * x, y, t),
            |x, y, t| (x, -0.7 * y, t),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(is_found(&index, seed, &changed_varied(seed, change)), "change {number} of {seed}");
        }
    }
}

#[test]
fn a_movement_is_known_again_when_each_reach_has_a_pace_of_its_own() {
    let index = varied_index(50);
    let mut found = 0;
    for seed in 0..50 {
        let mut session = varied(seed, 14);
        let (mut now, mut last) = (0.0, 0.0);
        for (place, t) in session.movements.t.iter_mut().enumerate() {
            now += (*t - last) * [0.85, 1.18, 1.0, 0.9, 1.1][place / 37 % 5];
            last = *t;
            *t = now;
        }
        found += usize::from(is_found(&index, seed, &session));
    }
    assert!(found >= 40, "{found} of 50");
}

/// The samples of a session between two shares of their number.
fn part(seed: u64, from: usize, to: usize) -> Movements {
    let m = varied(seed, 14).movements;
    let (begin, end) = (m.len() * from / 10, m.len() * to / 10);
    Movements {
        x: m.x[begin..end].to_vec(),
        y: m.y[begin..end].to_vec(),
        t: m.t[begin..end].to_vec(),
        trusted: Vec::new(),
    }
}

/// Parts one after the other, each going on from where the last one ended, at once or after the pause that was between.
fn joined(parts: &[Movements], keeps_pauses: bool) -> Session {
    let mut all = parts[0].clone();
    for (part, before) in parts[1..].iter().zip(parts) {
        let last = all.len() - 1;
        let pause = if keeps_pauses { part.t[0] - before.t[before.len() - 1] } else { 16.0 };
        let (x, y, t) = (all.x[last] - part.x[0], all.y[last] - part.y[0], all.t[last] + pause - part.t[0]);
        all.x.extend(part.x.iter().map(|v| v + x));
        all.y.extend(part.y.iter().map(|v| v + y));
        all.t.extend(part.t.iter().map(|v| v + t));
    }
    Session { movements: all, ..Session::default() }
}

#[test]
fn what_was_joined_from_two_movements_is_found_by_both_and_its_parts_are_told() {
    let index = varied_index(50);
    for seed in 0..25 {
        let session = joined(&[part(seed, 0, 5), part(seed + 25, 5, 10)], false);
        let movement = Movement::of(&session).unwrap();
        let found = index.find(&movement);
        let mut alike: Vec<i64> =
            found.iter().filter(|(_, like)| like.strength().is_some()).map(|(id, _)| *id).collect();
        alike.sort_unstable();
        let seed = i64::try_from(seed).unwrap();
        assert_eq!(alike, [seed, seed + 25]);
        let half = session.movements.t[part(seed.unsigned_abs(), 0, 5).len()];
        for (of, is_first) in [(seed, true), (seed + 25, false)] {
            let sketch = Movement::of(&varied(of.unsigned_abs(), 14)).unwrap().sketch();
            let parts = movement.parts(&sketch);
            assert!(!parts.is_empty());
            for part in parts {
                let middle = 0.5 * (part.here.0 + part.here.1);
                assert_eq!(middle < half, is_first, "{of}: {part:?} of {half}");
                assert!((part.here.1 - part.here.0 - part.there.1 + part.there.0).abs() < 300.0, "{part:?}");
            }
        }
    }
}

#[test]
fn two_fifths_of_a_movement_between_two_others_are_found() {
    let mut index = Index::default();
    for seed in 0..200 {
        index.insert(Movement::of(&varied(seed, 6)).unwrap().sketch());
    }
    let found = (0..200u64).filter(|seed| {
        // A window that begins and ends within reaches: few whole ones are left.
        let m = varied(*seed, 6).movements;
        let kept = m.len() * 3 / 10..m.len() * 7 / 10;
        let cut = |column: &[f64]| column[kept.clone()].to_vec();
        let own = Movements { x: cut(&m.x), y: cut(&m.y), t: cut(&m.t), trusted: Vec::new() };
        let session = joined(&[part(seed + 500, 0, 3), own, part(seed + 900, 0, 3)], false);
        is_found(&index, *seed, &session)
    });
    let found = found.count();
    assert!(found >= 160, "{found} of 200");
}

#[test]
fn reaches_laid_onto_other_targets_are_found() {
    let index = varied_index(50);
    let mut found = 0;
    for seed in 0..50u64 {
        // Each reach of the recording turned, scaled and mirrored by itself.
        let m = varied(seed, 14).movements;
        let mut parts: Vec<Movements> = vec![Movements::default()];
        for i in 0..m.len() {
            if i > 0 && m.t[i] - m.t[i - 1] > 17.0 {
                parts.push(Movements::default());
            }
            let last = parts.len() - 1;
            parts[last].x.push(m.x[i]);
            parts[last].y.push(m.y[i]);
            parts[last].t.push(m.t[i]);
        }
        for (number, part) in parts.iter_mut().enumerate() {
            let turn = f64::from(u32::try_from(number * 7 + usize::try_from(seed).unwrap()).unwrap());
            let (sin, cos) = turn.sin_cos();
            let by = 1.0 + 0.25 * (3.0 * turn).sin();
            for i in 0..part.len() {
                let (x, y) = (part.x[i], part.y[i]);
                (part.x[i], part.y[i]) = (by * (cos * x - sin * y), by * (sin * x + cos * y));
            }
        }
        found += usize::from(is_found(&index, seed, &joined(&parts, true)));
    }
    assert!(found >= 45, "{found} of 50");
}

#[test]
fn plain_strokes_are_known_by_nobody() {
    let straight = |seed: u64| {
        let mut session = wandering(seed, 14);
        // The same targets, reached along straight lines at one speed.
        let m = &mut session.movements;
        let ends: Vec<usize> =
            (0..m.len()).filter(|i| *i == 0 || *i + 1 == m.len() || m.t[*i + 1] - m.t[*i] > 17.0).collect();
        for pair in ends.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let count = f64::from(u32::try_from(to - from).unwrap());
            let (x, y) = ((m.x[from], m.x[to]), (m.y[from], m.y[to]));
            for i in from..=to {
                let share = f64::from(u32::try_from(i - from).unwrap()) / count;
                (m.x[i], m.y[i]) = (x.0 + share * (x.1 - x.0), y.0 + share * (y.1 - y.0));
            }
        }
        session
    };
    let mut index = Index::default();
    for seed in 0..200 {
        if let Some(movement) = Movement::of(&straight(seed)) {
            let alike = index.find(&movement).into_iter().find(|(_, like)| like.strength().is_some());
            assert!(alike.is_none(), "{seed} is taken for {alike:?}");
            index.insert(movement.sketch());
        }
    }
}

#[test]
fn who_fills_a_cell_neither_slows_look_ups_nor_pushes_the_earlier_out() {
    let mut index = varied_index(50);
    // One movement over and over, a hair different each time, by somebody whom nothing keeps from it.
    for copy in 0..2_000u32 {
        let by = f64::from(copy) * 1e-6;
        let sketch = Movement::of(&changed_varied(7, |x, y, t| (x * (1.0 + by), y, t))).unwrap().sketch();
        index.insert(sketch);
    }
    let again = Movement::of(&changed_varied(7, |x, y, t| (y, -x, t))).unwrap();
    let found = index.find(&again);
    assert!(found.len() <= MAX_NAMED, "a look-up compares {}", found.len());
    assert!(found.iter().all(|(_, like)| like.strength() == Some(Strength::SurelySame)));
    for seed in (0..50).filter(|seed| *seed != 7) {
        assert!(is_found(&index, seed, &changed_varied(seed, |x, y, t| (-y, -x, t))), "{seed}");
    }
}

#[test]
fn what_an_index_let_go_of_is_not_found() {
    let mut index = ReachIndex::default();
    for seed in 0..3_000u64 {
        let sketch = Movement::of(&varied(seed, 6)).map(|movement| movement.sketch());
        sketch.map(|sketch| sketch.insert_into(&mut index, i64::try_from(seed).unwrap()));
    }
    let kept = index.len();
    (0..1_500).for_each(|id| index.remove(id));
    assert!(index.len() < kept && !index.contains(1_000) && index.contains(2_000));
    let best = |seed: u64| index.look_up(&Movement::of(&varied(seed, 6)).unwrap(), |_| true).first().copied();
    assert_eq!(best(2_000), Some(2_000));
    assert_ne!(best(1_000), Some(1_000));
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

#[test]
fn a_movement_is_known_again_at_up_to_twice_its_pace() {
    let index = varied_index(50);
    // Faster, the clock of 10 ms leaves too little of a reach.
    for (pace, least) in [(0.6, 20), (0.7, 45), (1.7, 45), (2.0, 45)] {
        let found = (0..50).filter(|seed| is_found(&index, *seed, &changed_varied(*seed, |x, y, t| (x, y, pace * t))));
        let found = found.count();
        assert!(found >= least, "{found} of 50 at {pace}");
    }
}

#[test]
fn copies_sent_before_at_another_pace_hide_no_source() {
    for pace in [0.5, 3.0] {
        let mut index = varied_index(50);
        let replay = |seed: u64, pace: f64| changed_varied(seed, |x, y, t| (1.3 * x, y, pace * t));
        for copy in 0..20u32 {
            let by = pace * (1.0 + f64::from(copy) * 1e-4);
            let _ = index.insert(Movement::of(&replay(7, by)).unwrap().sketch());
        }
        let found = index.find(&Movement::of(&replay(7, 1.0)).unwrap());
        assert!(found.iter().any(|(_, like)| like.strength().is_some()), "{pace}: {found:?}");
    }
}

#[test]
fn one_stretch_of_movement_is_no_certain_replay() {
    let source = varied(3, 14);
    let kept = Movement::of(&source).unwrap().sketch();
    // One stroke over and over in another movement: each is like one stretch of the stored one.
    let stroke = part(3, 0, 2);
    let again =
        joined(&[part(90, 0, 5), stroke.clone(), part(91, 0, 5), stroke.clone(), part(92, 0, 5), stroke], false);
    let like = Movement::of(&again).unwrap().compare(&kept).unwrap();
    assert!(like.evidence > 0.0, "{like:?}");
    assert_ne!(like.strength(), Some(Strength::SurelySame), "{like:?}");
}

#[test]
fn removed_sessions_take_no_place_when_an_index_grows() {
    let mut index = ReachIndex::default();
    let insert = |index: &mut ReachIndex, id: i64, session: &Session| {
        Movement::of(session).is_some_and(|movement| movement.sketch().insert_into(index, id))
    };
    for id in 0..200 {
        assert!(insert(&mut index, id, &varied(7, 14)));
    }
    (0..200).for_each(|id| index.remove(id));
    assert!(insert(&mut index, 200, &varied(7, 14)));
    for seed in 1_000..2_000i64 {
        insert(&mut index, seed, &varied(seed.unsigned_abs(), 14));
    }
    let again = changed_varied(7, |x, y, t| (1.2 * x, y, t));
    assert_eq!(index.look_up(&Movement::of(&again).unwrap(), |_| true).first(), Some(&200));
}
