//! Which kept sketches to compare with: the votes of the keys found, and an index in memory for files and batches.

use std::collections::HashMap;

use super::{Likeness, Movement, Sketch};

/// Most sketches compared in one look-up.
pub const CANDIDATES: usize = 40;
/// Most sketches of one key that are looked at, the latest; what so many share says little.
pub const ROWS: usize = 48;

/// Counts the votes for kept sketches; a key that few have weighs more.
#[derive(Debug, Default)]
pub struct Ballot(Vec<(i64, f32)>);

impl Ballot {
    /// Adds the sketches found under one key, at most [`ROWS`].
    pub fn add(&mut self, found: impl ExactSizeIterator<Item = i64>) {
        #[expect(clippy::cast_precision_loss, reason = "at most ROWS")]
        let weight = 0.5 + 1.0 / (found.len() as f32).sqrt();
        self.0.extend(found.map(|id| (id, weight)));
    }

    /// The [`CANDIDATES`] with the most votes, and of equal ones the earlier.
    #[must_use]
    pub fn elected(mut self) -> Vec<i64> {
        // Stable, so that the votes of one are added in the order they came.
        self.0.sort_by_key(|(id, _)| *id);
        let mut all: Vec<(i64, f32)> = Vec::with_capacity(self.0.len());
        for (id, weight) in self.0 {
            match all.last_mut() {
                Some((last, votes)) if *last == id => *votes += weight,
                _ => all.push((id, weight)),
            }
        }
        let order = |a: &(i64, f32), b: &(i64, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if all.len() > CANDIDATES {
            all.select_nth_unstable_by(CANDIDATES, order);
            all.truncate(CANDIDATES);
        }
        all.sort_by(order);
        all.into_iter().map(|(id, _)| id).collect()
    }
}

/// An index in memory.
#[derive(Debug, Default)]
pub struct Index {
    keys: HashMap<u32, Vec<i64>>,
    sketches: Vec<Sketch>,
}

impl Index {
    /// Keeps a sketch; its number, counted from 0.
    pub fn insert(&mut self, sketch: Sketch) -> i64 {
        let id = i64::try_from(self.sketches.len()).unwrap_or(i64::MAX);
        for key in sketch.keys() {
            self.keys.entry(key).or_default().push(id);
        }
        self.sketches.push(sketch);
        id
    }

    /// The kept sketches like `movement`, the closest first.
    #[must_use]
    pub fn find(&self, movement: &Movement) -> Vec<(i64, Likeness)> {
        let mut ballot = Ballot::default();
        for key in movement.asked() {
            if let Some(found) = self.keys.get(&key) {
                ballot.add(found[found.len().saturating_sub(ROWS)..].iter().rev().copied());
            }
        }
        let mut like: Vec<(i64, Likeness)> = ballot
            .elected()
            .into_iter()
            .filter_map(|id| {
                let sketch = self.sketches.get(usize::try_from(id).ok()?)?;
                Some((id, movement.compare(sketch)?))
            })
            .collect();
        like.sort_by(|a, b| a.1.left.total_cmp(&b.1.left).then(a.0.cmp(&b.0)));
        like
    }
}
