//! Gradient-boosted trees: the log-odds that a row is a counterexample rather than a human.
//!
//! Friedman, "Greedy function approximation", Annals of Statistics 29 (2001), with the second-order leaf values and
//! gains of Chen and Guestrin, "`XGBoost`", KDD 2016. Every tree is complete to its depth and stored level by level, so
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
    /// The same trees again where they have the usual depth, in the form that is walked fastest.
    quick: Vec<Quick>,
}

/// Depth of the trees that [`Quick`] holds.
const QUICK_DEPTH: u32 = 4;

/// One tree of [`QUICK_DEPTH`]: node 1 is its root, nodes `2 n` and `2 n + 1` follow node `n`.
#[derive(Clone, Debug, PartialEq)]
struct Quick {
    thresholds: [f32; 16],
    columns: [u8; 16],
    leaves: [f32; 16],
}

impl Quick {
    fn of(splits: &[Split], leaves: &[f32]) -> Option<Self> {
        let mut tree = Self { thresholds: [0.0; 16], columns: [0; 16], leaves: leaves.try_into().ok()? };
        let nodes = tree.thresholds.iter_mut().zip(&mut tree.columns).skip(1);
        for ((threshold, column), split) in nodes.zip(splits) {
            (*threshold, *column) = (split.threshold, u8::try_from(split.column).ok()?);
        }
        Some(tree)
    }

    #[inline]
    fn leaf(&self, row: &[f32; 256]) -> f32 {
        let mut node = 1;
        for _ in 0..QUICK_DEPTH {
            // The mask changes nothing but shows that the place exists.
            let place = node & 15;
            node = 2 * node + usize::from(row[usize::from(self.columns[place])] > self.thresholds[place]);
        }
        self.leaves[node & 15]
    }
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
        if !(fits && sound) {
            return None;
        }
        let quick = if depth == QUICK_DEPTH {
            let trees = splits.chunks_exact(inner).zip(leaves.chunks_exact(outer));
            // None of them where one does not fit: then all are walked the general way.
            trees.map(|(splits, leaves)| Quick::of(splits, leaves)).collect::<Option<_>>().unwrap_or_default()
        } else {
            Vec::new()
        };
        Some(Self { depth, splits, leaves, quick })
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
        if !self.quick.is_empty() && row.len() <= 256 {
            let mut padded = [0.0; 256];
            padded[..row.len()].copy_from_slice(row);
            return self.quick.iter().map(|tree| f64::from(tree.leaf(&padded))).sum();
        }
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
