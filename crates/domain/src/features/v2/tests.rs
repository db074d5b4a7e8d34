//! Feature set v2 on movements made here: what moves a value and what must not.

use proptest::prelude::*;

use super::*;
use crate::session::Movements;

fn row(points: impl Iterator<Item = (f64, f64, f64)>) -> Vec<f64> {
    let mut moves = Movements::default();
    for (x, y, t) in points {
        moves.x.push(x);
        moves.y.push(y);
        moves.t.push(t);
    }
    let mut row = Vec::new();
    Workspace::default().extract(&Session { movements: moves, ..Session::default() }, &mut row);
    row
}

fn wave(rate: f64) -> impl Iterator<Item = (f64, f64, f64)> {
    (0..).map(move |i| f64::from(i) * 1000.0 / rate).take_while(|t| *t < 8000.0).map(|t| {
        let s = t / 1000.0;
        (400.0 + 300.0 * (1.7 * s).sin(), 300.0 + 200.0 * (2.9 * s).cos(), t)
    })
}

#[test]
fn the_recorders_rate_hardly_shows() {
    let (slow, fast) = (row(wave(60.0)), row(wave(1000.0)));
    for name in ["speedVariation", "speedAuto4", "strokeBendMedian", "bend240Median", "powerLawSlope"] {
        let at = COLUMNS.iter().position(|c| *c == name).unwrap();
        assert!((slow[at] - fast[at]).abs() < 0.1, "{name}: {} and {}", slow[at], fast[at]);
    }
}

#[test]
fn the_screens_scale_and_the_clocks_origin_do_not_show() {
    let base = row(wave(60.0));
    let moved = row(wave(60.0).map(|(x, y, t)| (4.0 * x - 900.0, 4.0 * y, t + 65_536.0)));
    let motion = base.iter().zip(&moved).zip(COLUMNS).take(WIDTH - recorder::COLUMNS.len());
    for ((a, b), name) in motion {
        assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{name}: {a} and {b}");
    }
}

#[test]
fn too_little_motion_is_a_row_of_zeros() {
    let few = row((0..4).map(|i| (f64::from(i), 0.0, 10.0 * f64::from(i))));
    assert!(few[1..].iter().all(|v| *v == 0.0) && few[0] < 16.0);
    let standing = row((0..100).map(|i| (5.0, 5.0, 10.0 * f64::from(i))));
    assert!(standing[1..].iter().all(|v| *v == 0.0) && standing[0] < 16.0);
}

#[test]
fn every_column_is_described() {
    let table = include_str!("../../../../../models/FEATURES.md");
    for column in COLUMNS {
        assert!(table.contains(&format!("| {column} |")), "models/FEATURES.md lacks {column}");
    }
}

proptest! {
    #[test]
    fn every_value_is_finite_for_any_session_within_bounds(
        points in proptest::collection::vec((-1e7..=1e7f64, -1e7..=1e7f64, prop_oneof![-1e15..=1e15f64, 0.0..=3000.0f64]), 1..90),
    ) {
        let row = row(points.into_iter());
        prop_assert_eq!(row.len(), WIDTH);
        prop_assert!(row.iter().all(|v| v.is_finite()));
    }
}
