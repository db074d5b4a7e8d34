//! From verdicts to the rows of a result, with what the faults of the request do to them.

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::fault::{Fault, Ids, Odd, Rows, Struck};
use crate::job::Scored;
use crate::number::real;

/// A value of a result, right or wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Missing,
    Count(usize),
    Real(f64),
    Text(String),
}

/// A row of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: Cell,
    pub(crate) flag: Option<bool>,
    pub(crate) score: Cell,
}

/// The rows of a result as its faults leave them.
pub(crate) fn rows(scored: &Scored) -> Vec<Row> {
    let verdicts = scored.verdicts.iter().enumerate();
    let mut rows: Vec<Row> = verdicts
        .map(|(at, verdict)| Row { id: Cell::Count(at), flag: Some(verdict.flag), score: Cell::Real(verdict.score) })
        .collect();
    for struck in &scored.struck {
        apply(&mut rows, struck);
    }
    rows
}

fn apply(rows: &mut Vec<Row>, struck: &Struck) {
    let mut random = ChaCha8Rng::seed_from_u64(struck.seed);
    match &struck.fault {
        Fault::Flags(flag) => rows.iter_mut().for_each(|row| row.flag = Some(*flag)),
        Fault::ScoreDrift(step) => {
            let drift = step * real(usize::try_from(struck.nth).unwrap_or(0) + 1);
            for row in rows {
                if let Cell::Real(score) = &mut row.score {
                    *score += drift;
                }
            }
        }
        Fault::ScoreJitter(size) => {
            let block = u64::try_from(rows.len() / 64).unwrap_or(0);
            for row in rows {
                if let Cell::Real(score) = &mut row.score {
                    let mut random = ChaCha8Rng::seed_from_u64(score.to_bits() ^ (block << 40));
                    *score *= 1.0 + size * random.random_range(-1.0..=1.0);
                }
            }
        }
        Fault::Scores { value, all } => {
            let one = place(rows, &mut random);
            let odd = match value {
                Odd::NaN => Cell::Real(f64::NAN),
                Odd::Infinity => Cell::Real(f64::INFINITY),
                Odd::Null => Cell::Missing,
                Odd::Huge => Cell::Real(1e308),
                Odd::Negative => Cell::Real(-1.0),
                Odd::Text => Cell::Text("high".to_owned()),
            };
            let wanted = rows.iter_mut().enumerate().filter(|(at, _)| *all || Some(*at) == one);
            wanted.for_each(|(_, row)| row.score = odd.clone());
        }
        Fault::Ids(ids) => apply_ids(rows, *ids, &mut random),
        Fault::Rows(kind) => apply_rows(rows, *kind, &mut random),
        _ => {}
    }
}

/// A row to strike: a flagged one where there is one, so that the fault shows in `ids_only` too.
fn place(rows: &[Row], random: &mut ChaCha8Rng) -> Option<usize> {
    let flagged: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].flag == Some(true)).collect();
    match (flagged.is_empty(), rows.is_empty()) {
        (_, true) => None,
        (true, false) => Some(random.random_range(0..rows.len())),
        (false, false) => Some(flagged[random.random_range(0..flagged.len())]),
    }
}

fn apply_ids(rows: &mut Vec<Row>, ids: Ids, random: &mut ChaCha8Rng) {
    let count = rows.len();
    let Some(one) = place(rows, random) else { return };
    match ids {
        Ids::Strings => {
            for row in rows {
                if let Cell::Count(id) = row.id {
                    row.id = Cell::Text(id.to_string());
                }
            }
        }
        // Numbers are what the GA service gives; beta's answer looks at the fault itself.
        Ids::Numbers => {}
        Ids::Shuffled => rows.shuffle(random),
        Ids::Missing => {
            rows.remove(one);
        }
        Ids::Duplicated => {
            // Its neighbour takes its id, and its flag, so that both show.
            let other = if one + 1 < count { one + 1 } else { one.saturating_sub(1) };
            rows[other].id = rows[one].id.clone();
            rows[other].flag = rows[one].flag;
        }
        Ids::OutOfRange => rows[one].id = Cell::Count(count + 5),
        Ids::NullFilled => rows[one].id = Cell::Missing,
        // The ids stay where they are; only what belongs to them moves.
        Ids::Permuted => {
            let mut moved: Vec<(Option<bool>, Cell)> = take_values(rows);
            moved.shuffle(random);
            give_values(rows, moved);
        }
        Ids::Shifted => {
            let mut moved = take_values(rows);
            moved.rotate_right(1);
            give_values(rows, moved);
        }
        Ids::Swapped => {
            let other = if one + 1 < count { one + 1 } else { 0 };
            let mut moved = take_values(rows);
            moved.swap(one, other);
            give_values(rows, moved);
        }
    }
}

fn take_values(rows: &[Row]) -> Vec<(Option<bool>, Cell)> {
    rows.iter().map(|row| (row.flag, row.score.clone())).collect()
}

fn give_values(rows: &mut [Row], values: Vec<(Option<bool>, Cell)>) {
    for (row, (flag, score)) in rows.iter_mut().zip(values) {
        (row.flag, row.score) = (flag, score);
    }
}

fn apply_rows(rows: &mut Vec<Row>, kind: Rows, random: &mut ChaCha8Rng) {
    let count = rows.len();
    match kind {
        Rows::Fewer => {
            rows.pop();
        }
        Rows::More => rows.push(Row { id: Cell::Count(count), flag: Some(true), score: Cell::Real(0.9) }),
        Rows::Truncated => rows.truncate(count / 2),
        Rows::Duplicated => {
            if let Some(one) = place(rows, random) {
                rows.insert(one, rows[one].clone());
            }
        }
        Rows::NullFilled => {
            for row in &mut rows[count / 2..] {
                (row.flag, row.score) = (None, Cell::Missing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::detector::Verdict;
    use crate::fault::Faults;
    use crate::job::Output;
    use crate::route;

    const COUNT: usize = 20;

    fn struck_by(spec: &str) -> Vec<Row> {
        let faults = Faults::new(3);
        faults.arm(spec.parse().unwrap());
        let struck = faults.draw(route::by_name("infer").unwrap(), None);
        let verdicts = (0..COUNT).map(|row| Verdict { score: real(row) / 100.0, flag: row == 12 }).collect();
        rows(&Scored { input: Bytes::new(), verdicts: Arc::new(verdicts), output: Output::Json, per_row: true, struck })
    }

    fn ids(rows: &[Row]) -> Vec<Cell> {
        rows.iter().map(|row| row.id.clone()).collect()
    }

    fn right() -> Vec<Cell> {
        (0..COUNT).map(Cell::Count).collect()
    }

    /// Whether a row still has its own score.
    fn paired(row: &Row) -> bool {
        matches!((&row.id, &row.score), (Cell::Count(id), Cell::Real(score)) if (real(*id) / 100.0 - score).abs() < 1e-12)
    }

    #[test]
    fn shuffled_rows_keep_their_scores() {
        let rows = struck_by("ids=shuffled");
        assert_ne!(ids(&rows), right());
        assert!(rows.len() == COUNT && rows.iter().all(paired));
    }

    #[test]
    fn permuted_shifted_and_swapped_scores_lie_under_right_ids() {
        for (spec, wrong) in [("ids=permuted", 2), ("ids=shifted", COUNT), ("ids=swapped", 2)] {
            let rows = struck_by(spec);
            assert_eq!(ids(&rows), right(), "{spec}");
            assert!(rows.iter().filter(|row| !paired(row)).count() >= wrong, "{spec}");
        }
    }

    #[test]
    fn missing_duplicated_and_foreign_ids_show_at_a_flagged_row() {
        assert!(!ids(&struck_by("ids=missing")).contains(&Cell::Count(12)));
        let twice = struck_by("ids=duplicated");
        assert_eq!(ids(&twice).iter().filter(|id| **id == Cell::Count(12)).count(), 2);
        assert_eq!(twice.len(), COUNT);
        assert!(ids(&struck_by("ids=out-of-range")).contains(&Cell::Count(COUNT + 5)));
        assert!(ids(&struck_by("ids=null-filled")).contains(&Cell::Missing));
        assert_eq!(ids(&struck_by("ids=strings"))[3], Cell::Text("3".to_owned()));
    }

    #[test]
    fn the_number_of_rows_can_be_wrong() {
        for (spec, count) in [
            ("rows=fewer", 19),
            ("rows=more", 21),
            ("rows=truncated", 10),
            ("rows=duplicated", 21),
            ("rows=null-filled", 20),
        ] {
            assert_eq!(struck_by(spec).len(), count, "{spec}");
        }
        assert_eq!(struck_by("rows=null-filled")[19].score, Cell::Missing);
    }

    #[test]
    fn one_score_or_all_can_be_odd() {
        let nan = |row: &&Row| matches!(row.score, Cell::Real(score) if score.is_nan());
        assert_eq!(struck_by("scores=nan").iter().filter(nan).count(), 1);
        assert_eq!(struck_by("scores=nan,all").iter().filter(nan).count(), COUNT);
        assert!(struck_by("flags=all").iter().all(|row| row.flag == Some(true)));
        assert!((0..COUNT).all(|at| !paired(&struck_by("score-drift=0.5")[at])));
    }
}
