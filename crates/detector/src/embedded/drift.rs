//! Drift: whether the sessions of late are like the people a model was made from.
//!
//! Two signals over the last [`HALF`] to twice as many sessions. For each column that the model asks, the distance of
//! Kolmogorov and Smirnov between the sessions and the people the model was fitted on, at the quantiles the model keeps
//! of them. For the p-values, the one-sided distance from what calibration promises: at most a share `p` of people at or
//! below `p`. Bots among the sessions count as well: a rise means other people, other recorders or more bots.

use std::sync::{Mutex, PoisonError};

use super::Model;
use super::quantiles::SHARES;

/// Sessions after which the older half of the window is let go.
pub const HALF: u32 = 500;
/// Fewest sessions that say anything.
pub const MIN_SESSIONS: u32 = 200;
/// P-values are compared at multiples of one by this.
const P_BINS: usize = 20;
/// Columns that a report names.
const NAMED: usize = 5;

/// Counts over some sessions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    sessions: u32,
    /// P-values up to 1/20, up to 2/20 and so on, each counted once.
    p: [u32; P_BINS],
    /// For each column, the values up to its first quantile, up to its second and so on, each counted once.
    columns: Vec<[u32; SHARES.len()]>,
}

/// Where one session falls among the people that a model was fitted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the p-values' twentieths.
    p: usize,
    /// For each column, how many of its quantiles lie below.
    columns: Box<[u8]>,
}

/// What a window says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Sessions in the window.
    pub sessions: u32,
    /// Largest excess of the share of p-values at or below some p over p.
    pub p_values: f64,
    /// The columns that moved most with their distances, the largest first.
    pub columns: Vec<(&'static str, f64)>,
    /// What a distance exceeds by chance in one of a hundred windows of this size (Kolmogorov's limit, 1.63 / sqrt n).
    pub limit: f64,
}

/// Watches the sessions that one model scores.
#[derive(Debug)]
pub struct Drift {
    /// Place in the feature set, name, quantiles.
    columns: Vec<(usize, &'static str, [f64; SHARES.len()])>,
    /// The older half and the one that is filling.
    window: Mutex<[Counts; 2]>,
}

impl Drift {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let names = model.feature_set().columns();
        let columns: Vec<_> = model.columns().iter().map(|c| (c.index, names[c.index], c.people.0)).collect();
        let empty = Counts { columns: vec![[0; SHARES.len()]; columns.len()], ..Counts::default() };
        Self { columns, window: Mutex::new([empty.clone(), empty]) }
    }

    /// Takes in sessions: their rows of the model's feature set and their p-values. A row of another width is left out.
    pub fn observe<'a>(&self, sessions: impl IntoIterator<Item = (&'a [f64], f64)>) {
        let places: Vec<Option<Place>> = sessions.into_iter().map(|(row, p)| self.place(row, p)).collect();
        self.count(places.iter().flatten());
    }

    /// Where a row of the model's feature set and its p-value fall; `None` for a row of another width.
    #[must_use]
    pub fn place(&self, row: &[f64], p: f64) -> Option<Place> {
        if self.columns.last().is_none_or(|(index, ..)| *index >= row.len()) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of twenty"
        )]
        let bin = ((p * P_BINS as f64).ceil() as usize).clamp(1, P_BINS) - 1;
        let among = |(index, _, quantiles): &(usize, &str, [f64; SHARES.len()])| {
            let value = row[*index];
            u8::try_from(quantiles.partition_point(|q| *q < value)).unwrap_or(u8::MAX)
        };
        Some(Place { p: bin, columns: self.columns.iter().map(among).collect() })
    }

    /// Takes in sessions by their places.
    pub fn count<'a>(&self, places: impl IntoIterator<Item = &'a Place>) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places {
            let [older, filling] = &mut *window;
            if filling.sessions >= HALF {
                std::mem::swap(older, filling);
                filling.sessions = 0;
                filling.p = [0; P_BINS];
                filling.columns.iter_mut().for_each(|counts| *counts = [0; SHARES.len()]);
            }
            filling.sessions += 1;
            filling.p[place.p] += 1;
            for (counts, among) in filling.columns.iter_mut().zip(&place.columns) {
                if let Some(count) = counts.get_mut(usize::from(*among)) {
                    *count += 1;
                }
            }
        }
    }

    /// What the window says; `None` below [`MIN_SESSIONS`] sessions.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let [older, filling] = &*window;
        let sessions = older.sessions + filling.sessions;
        if sessions < MIN_SESSIONS {
            return None;
        }
        let n = f64::from(sessions);
        // The largest difference between the shares seen and `expected`, signed by `side`.
        let distance = |counts: &mut dyn Iterator<Item = (u32, f64)>, side: fn(f64) -> f64| {
            let mut below = 0;
            counts.fold(0.0f64, |most, (count, expected)| {
                below += count;
                most.max(side(f64::from(below) / n - expected))
            })
        };
        let p = older.p.iter().zip(&filling.p).zip(1u32..).map(|((a, b), k)| (a + b, f64::from(k) / 20.0));
        let p_values = distance(&mut p.into_iter(), |d| d);
        let mut columns: Vec<(&'static str, f64)> = Vec::with_capacity(self.columns.len());
        for ((a, b), (_, name, quantiles)) in older.columns.iter().zip(&filling.columns).zip(&self.columns) {
            // Where many people have one value, the shares at equal quantiles are those of the last of them.
            let mut pairs = (0..SHARES.len()).map(|i| {
                let tied = quantiles.iter().rposition(|q| q.total_cmp(&quantiles[i]).is_eq()).unwrap_or(i);
                (a[i] + b[i], SHARES[tied])
            });
            columns.push((name, distance(&mut pairs, f64::abs)));
        }
        columns.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        columns.truncate(NAMED);
        Some(Report { sessions, p_values, columns, limit: 1.63 / n.sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift() -> Drift {
        let quantiles = SHARES;
        let empty = Counts { columns: vec![[0; SHARES.len()]; 2], ..Counts::default() };
        Drift {
            columns: vec![(0, "one", quantiles), (2, "two", quantiles)],
            window: Mutex::new([empty.clone(), empty]),
        }
    }

    /// `n` sessions whose values and p-values are spread evenly, all to the power given.
    fn spread(drift: &Drift, n: u32, power: f64) {
        let rows: Vec<([f64; 3], f64)> = (0..n)
            .map(|i| {
                let u = (f64::from(i) + 0.5) / f64::from(n);
                ([u, 9.0, u.powf(power)], u.powf(power))
            })
            .collect();
        drift.observe(rows.iter().map(|(row, p)| (&row[..], *p)));
    }

    #[test]
    fn people_like_those_of_the_model_raise_nothing() {
        let drift = drift();
        spread(&drift, 199, 1.0);
        assert_eq!(drift.report(), None, "too few");
        spread(&drift, 500, 1.0);
        let report = drift.report().unwrap();
        assert!(report.p_values < 0.01 && report.columns.iter().all(|(_, d)| *d < 0.01), "{report:?}");
    }

    #[test]
    fn other_people_raise_the_p_values_and_the_columns_that_moved() {
        let drift = drift();
        spread(&drift, 1000, 2.0);
        let report = drift.report().unwrap();
        assert_eq!(report.columns[0].0, "two");
        assert!(report.columns[0].1 > report.limit && report.columns[1].1 < report.limit, "{report:?}");
        assert!(report.p_values > 0.2);
        // Fewer small p-values than promised are no cause for alarm.
        let mild = self::drift();
        spread(&mild, 1000, 0.5);
        assert!(mild.report().unwrap().p_values < 1e-9);
    }

    #[test]
    fn old_sessions_are_let_go() {
        let drift = drift();
        spread(&drift, 1000, 4.0);
        for _ in 0..3 {
            spread(&drift, HALF, 1.0);
        }
        let report = drift.report().unwrap();
        assert!(report.p_values < 0.02 && (HALF..=2 * HALF).contains(&report.sessions), "{report:?}");
    }
}
