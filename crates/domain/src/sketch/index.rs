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

    /// The kept sessions whose reaches say enough to be looked at further.
    #[must_use]
    pub fn candidates(&self, movement: &Movement) -> Vec<i64> {
        let found = self.reaches.look_up(movement, |_| true);
        found.sessions.iter().filter(|found| found.is_telling()).map(|found| found.id).collect()
    }

    /// The kept sketches like `movement`, the most alike first, and what the reaches of all of them say together.
    #[must_use]
    pub fn find_all(&self, movement: &Movement, wanted: impl Fn(i64) -> bool) -> (Vec<(i64, Likeness)>, f32) {
        let found = self.reaches.look_up(movement, wanted);
        let mut like: Vec<(i64, Likeness)> = found
            .sessions
            .iter()
            .filter(|found| found.is_telling())
            .filter_map(|found| {
                let sketch = self.sketches.get(usize::try_from(found.id).ok()?)?;
                Some((found.id, movement.compare(sketch)?))
            })
            .collect();
        like.sort_by(|a, b| Likeness::order(&a.1, &b.1).then(a.0.cmp(&b.0)));
        (like, found.together)
    }

    /// The kept sketches like `movement`, the most alike first.
    #[must_use]
    pub fn find(&self, movement: &Movement) -> Vec<(i64, Likeness)> {
        self.find_all(movement, |_| true).0
    }
}
