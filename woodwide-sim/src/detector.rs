//! The detector behind the answers: robust z-scores of numeric columns, rarity of the values of the others. A row's
//! score is the mean of its strangest columns, mapped to 0..1; it depends on the model and the row alone, unless the
//! model is made to depend on the context of the call.

use std::collections::HashMap;

use crate::number::{quantile, real};
use crate::table::{Table, number};

/// Fewer rows than these make a training fail.
const MIN_ROWS: usize = 10;
/// How many of a row's strangest columns count.
const STRANGEST: usize = 3;
/// Beyond this a column's strangeness is the same.
const MAX_STRANGENESS: f64 = 40.0;
/// The share of the training rows that is not flagged.
const ORDINARY: f64 = 0.98;
/// Distinct values of a column that are remembered.
const MAX_VALUES: usize = 10_000;

/// A fitted model.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    columns: Vec<Column>,
    threshold: f64,
    context_dependent: bool,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    Numeric { median: f64, scale: f64 },
    Text { counts: HashMap<String, usize>, most: usize },
}

/// What the detector says about one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) score: f64,
    pub(crate) flag: bool,
}

/// How much a column of a row adds to its score.
#[derive(Debug, Clone)]
pub(crate) struct Contribution {
    pub(crate) column: String,
    pub(crate) strangeness: f64,
    pub(crate) direction: &'static str,
}

impl Detector {
    /// Learns from the named columns of a table, or from all.
    pub(crate) fn fit(table: &Table, columns: Option<&[String]>, context_dependent: bool) -> Result<Self, String> {
        if table.rows.len() < MIN_ROWS {
            let rows = table.rows.len();
            return Err(format!(
                "the size of tensor a ({rows}) must match the size of tensor b ({MIN_ROWS}): too few rows"
            ));
        }
        let wanted = |name: &str| columns.is_none_or(|columns| columns.iter().any(|column| column == name));
        let columns: Vec<Column> = (0..table.headers.len())
            .filter(|at| wanted(&table.headers[*at]))
            .filter_map(|at| Some(Column { name: table.headers[at].clone(), shape: Shape::of(table, at)? }))
            .collect();
        if columns.is_empty() {
            return Err("no column holds a value to learn from".to_owned());
        }
        let mut detector = Self { columns, threshold: 1.0, context_dependent };
        let mut scores = detector.base_scores(table);
        scores.sort_unstable_by(f64::total_cmp);
        detector.threshold = quantile(&scores, ORDINARY);
        Ok(detector)
    }

    /// The same model with every score's distance to its bounds a little changed, as after a training on other data.
    pub(crate) fn retrained(&self, step: u32) -> Self {
        let mut changed = self.clone();
        for column in &mut changed.columns {
            if let Shape::Numeric { scale, .. } = &mut column.shape {
                *scale *= 1.0 + 0.05 * f64::from(step);
            }
        }
        changed
    }

    /// The names of the columns it looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// One verdict a row, in order.
    pub(crate) fn score(&self, table: &Table) -> Vec<Verdict> {
        let scores = self.base_scores(table);
        if !self.context_dependent {
            return scores.into_iter().map(|score| Verdict { score, flag: score > self.threshold }).collect();
        }
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = |score: f64| real(sorted.partition_point(|other| *other <= score)) / real(sorted.len());
        let ranked = scores.into_iter().map(rank);
        ranked.map(|score| Verdict { score, flag: score > ORDINARY }).collect()
    }

    /// What makes a row strange, most of it first.
    pub(crate) fn contributions(&self, table: &Table, row: usize) -> Vec<Contribution> {
        let mut all: Vec<Contribution> = self
            .columns
            .iter()
            .map(|column| {
                let (strangeness, direction) = column.shape.strangeness(table.cell(row, table.column(&column.name)));
                Contribution { column: column.name.clone(), strangeness, direction }
            })
            .collect();
        all.sort_by(|a, b| b.strangeness.total_cmp(&a.strangeness));
        all.truncate(STRANGEST);
        all
    }

    fn base_scores(&self, table: &Table) -> Vec<f64> {
        let places: Vec<Option<usize>> = self.columns.iter().map(|column| table.column(&column.name)).collect();
        let strangest = STRANGEST.min(self.columns.len());
        let mut of_row = Vec::with_capacity(self.columns.len());
        (0..table.rows.len())
            .map(|row| {
                of_row.clear();
                let cells = self.columns.iter().zip(&places).map(|(column, place)| (column, table.cell(row, *place)));
                of_row.extend(cells.map(|(column, cell)| column.shape.strangeness(cell).0));
                of_row.sort_unstable_by(|a, b| b.total_cmp(a));
                let mean = of_row[..strangest].iter().sum::<f64>() / real(strangest);
                mean / (mean + 4.0)
            })
            .collect()
    }
}

impl Shape {
    /// What a column looks like; `None` when it holds nothing.
    fn of(table: &Table, at: usize) -> Option<Self> {
        let cells = || (0..table.rows.len()).map(|row| table.cell(row, Some(at))).filter(|cell| !cell.is_empty());
        if table.is_numeric(at) {
            let mut values: Vec<f64> = cells().filter_map(number).collect();
            values.sort_unstable_by(f64::total_cmp);
            let median = quantile(&values, 0.5);
            let mut away: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
            away.sort_unstable_by(f64::total_cmp);
            let mad = 1.4826 * quantile(&away, 0.5);
            let mean = 1.2533 * away.iter().sum::<f64>() / real(away.len());
            let scale = [mad, mean, 0.05 * median.abs().max(1.0)].into_iter().find(|scale| *scale > 1e-12)?;
            return Some(Self::Numeric { median, scale });
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for cell in cells() {
            if counts.len() < MAX_VALUES || counts.contains_key(cell) {
                *counts.entry(cell.to_owned()).or_default() += 1;
            }
        }
        let most = counts.values().copied().max()?;
        Some(Self::Text { counts, most })
    }

    /// How strange a cell is, and in which direction; a value that is missing or no number is not strange.
    fn strangeness(&self, cell: &str) -> (f64, &'static str) {
        match self {
            _ if cell.is_empty() => (0.0, "missing"),
            Self::Numeric { median, scale } => number(cell).map_or((0.0, "missing"), |value| {
                let away = (value - median) / scale;
                (away.abs().min(MAX_STRANGENESS), if away < 0.0 { "low" } else { "high" })
            }),
            Self::Text { counts, most } => {
                let count = counts.get(cell).copied().unwrap_or(0);
                ((real(most + 1) / real(count + 1)).ln().min(MAX_STRANGENESS), "rare")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use bytes::Bytes;

    use super::*;

    /// Ordinary rows, and one with a strange number and one with a strange text at the given places.
    fn table(rows: usize, strange: [usize; 2]) -> Table {
        let mut csv = "speed,turns,device\n".to_owned();
        for row in 0..rows {
            let speed = if row == strange[0] { 900 } else { 100 + row * 7 % 13 };
            let device = if row == strange[1] { "toaster" } else { "mouse" };
            let _ = writeln!(csv, "{speed},{},{device}", row * 5 % 11);
        }
        Table::read(&Bytes::from(csv)).unwrap()
    }

    #[test]
    fn planted_outliers_outrank_ordinary_rows_and_are_flagged() {
        let model = Detector::fit(&table(200, [999, 999]), None, false).unwrap();
        let verdicts = model.score(&table(50, [7, 31]));
        let ordinary = (0..50).filter(|row| ![7, 31].contains(row)).map(|row| verdicts[row].score).fold(0.0, f64::max);
        for row in [7, 31] {
            assert!(verdicts[row].score > ordinary && verdicts[row].flag, "row {row}: {:?}", verdicts[row]);
        }
        assert_eq!(model.contributions(&table(50, [7, 31]), 7)[0].column, "speed");
    }

    #[test]
    fn a_score_depends_on_the_context_only_when_asked() {
        let training = table(200, [3, 4]);
        let (small, large) = (table(10, [2, 5]), table(100, [2, 5]));
        let plain = Detector::fit(&training, None, false).unwrap();
        assert_eq!(plain.score(&small)[2], plain.score(&large)[2]);
        let ranked = Detector::fit(&training, None, true).unwrap();
        assert_ne!(ranked.score(&small)[0], ranked.score(&large)[0]);
    }

    #[test]
    fn missing_columns_and_bad_values_are_no_error() {
        let model = Detector::fit(&table(200, [3, 4]), None, false).unwrap();
        let odd = Table::read(&Bytes::from_static(b"turns,extra\nx,1\n3,2\n")).unwrap();
        assert_eq!(model.score(&odd).len(), 2);
    }

    #[test]
    fn a_tiny_table_cannot_be_learnt_from() {
        assert!(Detector::fit(&table(5, [0, 1]), None, false).unwrap_err().contains("too few rows"));
    }
}
