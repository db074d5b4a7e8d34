//! Gradient-boosted trees: the log-odds that a row is a counterexample rather than a human.
//!
//! Friedman, "Greedy function approximation", Annals of Statistics 29 (2001), with the second-order leaf values and
//! gains of Chen and Guestrin, "XGBoost", KDD 2016. Every tree is complete to its depth and stored level by level, so
//! that walking one is the same few instructions for every row.

/// One inner node: rows whose value lies above `threshold` go right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Column compared.
    pub column: u16,
    /// Infinite where the node does not split: every row goes left.
    pub threshold: f32,
}

/// A sum of trees.
#[derive(Clone, Debug, PartialEq)]
pub struct Boosted {
    depth: u32,
    /// `2^depth - 1` splits a tree.
    splits: Vec<Split>,
    /// `2^depth` values a tree.
    leaves: Vec<f32>,
}

/// Deepest trees that a model may hold.
pub const MAX_DEPTH: u32 = 8;

impl Boosted {
    /// Trees from their parts; `None` when the parts do not fit together or name a column at or beyond `width`.
    #[must_use]
    pub fn from_parts(depth: u32, splits: Vec<Split>, leaves: Vec<f32>, width: usize) -> Option<Self> {
        if !(1..=MAX_DEPTH).contains(&depth) {
            return None;
        }
        let (inner, outer) = ((1usize << depth) - 1, 1usize << depth);
        let trees = leaves.len() / outer;
        let fits = trees > 0 && leaves.len() == trees * outer && splits.len() == trees * inner;
        let sound = splits.iter().all(|s| usize::from(s.column) < width && !s.threshold.is_nan())
            && leaves.iter().all(|v| v.is_finite());
        (fits && sound).then_some(Self { depth, splits, leaves })
    }

    /// Depth of every tree.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Number of trees.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.leaves.len() >> self.depth
    }

    /// All splits, tree by tree, level by level.
    #[must_use]
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// All leaf values, tree by tree.
    #[must_use]
    pub fn leaves(&self) -> &[f32] {
        &self.leaves
    }

    /// The sum of the leaves that `row` reaches; larger is less human.
    #[must_use]
    pub fn log_odds(&self, row: &[f32]) -> f64 {
        let (inner, outer) = ((1usize << self.depth) - 1, 1usize << self.depth);
        let trees = self.splits.chunks_exact(inner).zip(self.leaves.chunks_exact(outer));
        trees
            .map(|(splits, leaves)| {
                let mut node = 0;
                for _ in 0..self.depth {
                    let split = splits[node];
                    node = 2 * node + 1 + usize::from(row[usize::from(split.column)] > split.threshold);
                }
                f64::from(leaves[node - inner])
            })
            .sum()
    }
}
