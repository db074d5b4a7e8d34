//! Which kept sketches to compare with: the votes of the windows found, and an index in memory for files and batches.

use std::collections::HashMap;

use super::{Entry, Likeness, Movement, Sketch};

/// Most sketches compared in one look-up.
pub const CANDIDATES: usize = 48;
/// Most windows of one key that are looked at, the latest; what so many share says little.
pub const ROWS: usize = 64;
/// Windows in common that are kept of one candidate.
const HITS: usize = 4;

/// A window of ours that may be the same as one of a kept sketch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    /// The number of our window.
    pub window: u8,
    /// Begin of theirs, steps.
    pub begin: u16,
    /// End of theirs.
    pub end: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    weight: f64,
    hits: [Hit; HITS],
    count: usize,
}

/// Counts the votes for kept sketches; a window that few have weighs more.
#[derive(Debug, Default)]
pub struct Ballot(HashMap<i64, Tally>);

impl Ballot {
    /// Adds what was found under one key for our window: sketches with begin and end of their windows.
    pub fn add(&mut self, window: u8, found: &[(i64, u16, u16)]) {
        #[expect(clippy::cast_precision_loss, reason = "at most ROWS")]
        let weight = 1.0 / (1.0 + found.len() as f64).ln();
        for (id, begin, end) in found {
            let tally = self.0.entry(*id).or_default();
            tally.weight += 1.0 + weight;
            if tally.count < HITS {
                tally.hits[tally.count] = Hit { window, begin: *begin, end: *end };
                tally.count += 1;
            }
        }
    }

    /// The [`CANDIDATES`] with the most votes, and of equal ones the earlier, each with windows in common.
    #[must_use]
    pub fn elected(self) -> Vec<(i64, Vec<Hit>)> {
        let mut all: Vec<(i64, Tally)> = self.0.into_iter().collect();
        let order = |a: &(i64, Tally), b: &(i64, Tally)| b.1.weight.total_cmp(&a.1.weight).then(a.0.cmp(&b.0));
        if all.len() > CANDIDATES {
            all.select_nth_unstable_by(CANDIDATES, order);
            all.truncate(CANDIDATES);
        }
        all.sort_by(order);
        all.into_iter().map(|(id, tally)| (id, tally.hits[..tally.count].to_vec())).collect()
    }
}

/// An index in memory.
#[derive(Debug, Default)]
pub struct Index {
    windows: HashMap<u32, Vec<(i64, u16, u16)>>,
    sketches: Vec<Sketch>,
}

impl Index {
    /// Keeps a sketch; its number, counted from 0.
    pub fn insert(&mut self, sketch: Sketch, entries: &[Entry]) -> i64 {
        let id = i64::try_from(self.sketches.len()).unwrap_or(i64::MAX);
        for entry in entries {
            self.windows.entry(entry.key).or_default().push((id, entry.begin, entry.end));
        }
        self.sketches.push(sketch);
        id
    }

    /// The kept sketches like `movement`, the closest first.
    #[must_use]
    pub fn find(&self, movement: &Movement) -> Vec<(i64, Likeness)> {
        let mut ballot = Ballot::default();
        for probe in movement.probes() {
            if let Some(found) = self.windows.get(&probe.key) {
                ballot.add(probe.window, &found[found.len().saturating_sub(ROWS)..]);
            }
        }
        let mut like: Vec<(i64, Likeness)> = ballot
            .elected()
            .into_iter()
            .filter_map(|(id, hits)| {
                let sketch = self.sketches.get(usize::try_from(id).ok()?)?;
                Some((id, movement.compare(sketch, &hits)?))
            })
            .collect();
        like.sort_by(|a, b| a.1.left.total_cmp(&b.1.left).then(a.0.cmp(&b.0)));
        like
    }
}
