//! An index of whole sketches in memory, for files and batches.

use super::likeness::Likeness;
use super::movement::{Movement, Sketch};
use super::reach_index::ReachIndex;

/// Sketches in memory.
#[derive(Debug, Default)]
pub struct Index {
    reaches: ReachIndex,
    sketches: Vec<Sketch>,
}

impl Index {
    /// Keeps a sketch; its number, counted from 0.
    pub fn insert(&mut self, sketch: Sketch) -> i64 {
        let id = i64::try_from(self.sketches.len()).unwrap_or(i64::MAX);
        sketch.insert_into(&mut self.reaches, id);
        self.sketches.push(sketch);
        id
    }

    /// Bytes of memory of the reaches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.reaches.bytes()
    }

    /// The stored sessions that `movement` is to be compared with.
    #[must_use]
    pub fn candidates(&self, movement: &Movement) -> Vec<i64> {
        self.reaches.look_up(movement, |_| true)
    }

    /// The stored sketches like `movement`, the most alike first, of those that `wanted` lets through.
    #[must_use]
    pub fn find_among(&self, movement: &Movement, wanted: impl Fn(i64) -> bool) -> Vec<(i64, Likeness)> {
        let found = self.reaches.look_up(movement, wanted).into_iter();
        let mut like: Vec<(i64, Likeness)> = found
            .filter_map(|id| {
                let sketch = self.sketches.get(usize::try_from(id).ok()?)?;
                Some((id, movement.compare(sketch)?))
            })
            .collect();
        like.sort_by(|a, b| Likeness::order(&a.1, &b.1).then(a.0.cmp(&b.0)));
        like
    }

    /// The stored sketches like `movement`, the most alike first.
    #[must_use]
    pub fn find(&self, movement: &Movement) -> Vec<(i64, Likeness)> {
        self.find_among(movement, |_| true)
    }
}
