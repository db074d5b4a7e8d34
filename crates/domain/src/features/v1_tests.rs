//! Feature set v1 against the original's published rows, a direct transcription of the definitions, and its edges.

use proptest::prelude::*;

use super::*;

fn session(points: &[(f64, f64, f64)]) -> Session {
    Session {
        duration_ms: points.last().map_or(0.0, |p| p.2),
        movements: Movements {
            x: points.iter().map(|p| p.0).collect(),
            y: points.iter().map(|p| p.1).collect(),
            t: points.iter().map(|p| p.2).collect(),
            trusted: Vec::new(),
        },
        ..Session::default()
    }
}

fn extract(points: &[(f64, f64, f64)]) -> Features {
    Workspace::default().extract(&session(points))
}

#[test]
fn fewer_than_ten_movements_give_neutral_values() {
    let few: Vec<_> = (0..9).map(|i| (f64::from(i), 0.0, f64::from(i) * 16.0)).collect();
    let expected = Features {
        duration_ms: 128.0,
        total_moves: 9.0,
        path_efficiency: 1.0,
        control_smoothness_score: 0.5,
        ..Features::default()
    };
    assert_eq!(extract(&few), expected);
}

#[test]
fn a_straight_constant_line_has_one_speed_and_no_turns() {
    let line: Vec<_> = (0..50).map(|i| (f64::from(i) * 10.0, 0.0, f64::from(i) * 10.0)).collect();
    let f = extract(&line);
    assert_eq!(
        (f.avg_speed, f.max_speed, f.median_speed, f.speed_p95, f.speed_std),
        (1000.0, 1000.0, 1000.0, 1000.0, 0.0)
    );
    assert_eq!(
        (f.path_efficiency, f.num_direction_changes, f.total_distance, f.control_smoothness_score),
        (1.0, 0.0, 490.0, 1.0)
    );
}

#[test]
fn equal_and_backward_timestamps_are_left_out_of_the_kinematics_only() {
    let mut points: Vec<_> = (0..20).map(|i| (f64::from(i), 0.0, f64::from(i) * 10.0)).collect();
    points[7].2 = points[6].2;
    points[12].2 = points[10].2;
    let f = extract(&points);
    assert!(f.max_speed.is_finite());
    assert!((f.avg_inter_move_time - 10.0).abs() < 1e-12);
}

/// The definitions of the documentation, step by step and without any of the pass's shortcuts.
fn transcription(points: &[(f64, f64, f64)]) -> Vec<(&'static str, f64)> {
    let d: Vec<f64> = points.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).collect();
    let dt: Vec<f64> = points.windows(2).map(|w| w[1].2 - w[0].2).collect();
    let mut v = Vec::new();
    for i in 0..d.len() {
        if dt[i] >= 0.001 {
            v.push((d[i] / dt[i] * 1000.0, dt[i]));
        }
    }
    let a: Vec<_> = v.windows(2).map(|w| ((w[1].0 - w[0].0).abs() / w[1].1 * 1000.0, w[1].1)).collect();
    let j: Vec<_> = a.windows(2).map(|w| ((w[1].0 - w[0].0).abs() / w[1].1 * 1000.0, w[1].1)).collect();
    let only = |s: &[(f64, f64)]| s.iter().map(|p| p.0).collect::<Vec<_>>();
    let mean = |s: &[f64]| if s.is_empty() { 0.0 } else { s.iter().sum::<f64>() / s.len() as f64 };
    let std = |s: &[f64]| {
        let m = mean(s);
        if s.len() < 2 { 0.0 } else { (s.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / s.len() as f64).sqrt() }
    };
    let mut sorted = only(&v);
    sorted.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        if sorted.is_empty() {
            return 0.0;
        }
        let at = q * (sorted.len() - 1) as f64;
        let (low, high) = (at.floor() as usize, at.ceil() as usize);
        sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
    };
    let angle = |i: usize| {
        let (ax, ay) = (points[i].0 - points[i - 1].0, points[i].1 - points[i - 1].1);
        let (bx, by) = (points[i + 1].0 - points[i].0, points[i + 1].1 - points[i].1);
        let (la, lb) = (ax.hypot(ay), bx.hypot(by));
        if la < 1e-9 || lb < 1e-9 {
            0.0
        } else {
            ((ax * bx + ay * by) / (la * lb)).clamp(-1.0, 1.0).acos().to_degrees()
        }
    };
    let inner: Vec<usize> = (1..points.len() - 1).collect();
    vec![
        ("avgSpeed", mean(&only(&v))),
        ("medianSpeed", quantile(0.5)),
        ("speedP95", quantile(0.95)),
        ("speedStd", std(&only(&v))),
        ("avgAccel", mean(&only(&a))),
        ("accelStd", std(&only(&a))),
        ("avgJerk", mean(&only(&j))),
        ("jerkStd", std(&only(&j))),
        ("numDirectionChanges", inner.iter().filter(|i| angle(**i) > 30.0).count() as f64),
        ("overshootEvents", inner.iter().filter(|i| angle(**i) > 120.0).count() as f64),
        (
            "smallJitterRatio",
            inner.iter().filter(|i| d[**i - 1] < 3.0 && d[**i] < 3.0).count() as f64 / inner.len() as f64,
        ),
        ("totalDistance", d.iter().sum()),
        ("interMoveTimeStd", std(&dt)),
        ("avgInterMoveTime", mean(&dt)),
    ]
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #[test]
    fn the_fused_pass_equals_the_definitions(
        points in proptest::collection::vec((-500i32..500, -500i32..500, -1i32..40), 10..80),
    ) {
        let mut clock = 0.0;
        let points: Vec<_> = points.iter().map(|(x, y, dt)| { clock += f64::from(*dt); (f64::from(*x), f64::from(*y), clock) }).collect();
        let values = extract(&points).values();
        for (name, expected) in transcription(&points) {
            let found = values[COLUMNS.iter().position(|c| *c == name).unwrap()];
            prop_assert!(close(found, expected), "{}: {} instead of {}", name, found, expected);
        }
    }

    #[test]
    fn every_value_is_finite_for_any_session_within_bounds(
        points in proptest::collection::vec((-1e7..=1e7f64, -1e7..=1e7f64, prop_oneof![-1e15..=1e15f64, 0.0..=0.01f64]), 1..60),
        duration in prop_oneof![-1e15..=1e15f64, 0.0..=1e-305f64],
    ) {
        let mut s = session(&points);
        s.duration_ms = duration;
        let features = Workspace::default().extract(&s);
        prop_assert!(features.values().iter().all(|v| v.is_finite()));
        prop_assert_eq!(Workspace::default().rule_inputs(&s), RuleInputs::from(&features));
    }

    #[test]
    fn values_survive_the_round_trip_through_a_row(values in proptest::array::uniform28(-1e9..1e9f64)) {
        prop_assert_eq!(Features::from_values(values).values(), values);
    }
}
