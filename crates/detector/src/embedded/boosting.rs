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

    /// These trees and `more`, whose sum is the sum of both; `None` when their depths differ.
    #[must_use]
    pub fn with(&self, more: &Self, width: usize) -> Option<Self> {
        if self.depth != more.depth {
            return None;
        }
        let splits = self.splits.iter().chain(&more.splits).copied().collect();
        let leaves = self.leaves.iter().chain(&more.leaves).copied().collect();
        Self::from_parts(self.depth, splits, leaves, width)
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

    /// Adds to `added`, column by column, what each column of `row` changes against `reference`; see
    /// [`super::classifier::Classifier::contributions`].
    pub fn contributions(&self, row: &[f32], reference: &[f32], added: &mut [f64]) {
        let (inner, outer) = ((1usize << self.depth) - 1, 1usize << self.depth);
        for (splits, leaves) in self.splits.chunks_exact(inner).zip(self.leaves.chunks_exact(outer)) {
            Game { splits, leaves, row, reference }.walk(0, Players::NONE, Players::NONE, added);
        }
    }
}

/// The columns that decide whether a leaf is reached; at most as many as a path has splits.
#[derive(Clone, Copy)]
struct Players {
    columns: [u16; MAX_DEPTH as usize],
    count: usize,
}

impl Players {
    const NONE: Self = Self { columns: [0; MAX_DEPTH as usize], count: 0 };

    fn all(&self) -> &[u16] {
        &self.columns[..self.count.min(MAX_DEPTH as usize)]
    }

    fn and(mut self, column: u16) -> Self {
        // A path has no more splits than this has places.
        if let Some(place) = self.columns.get_mut(self.count) {
            *place = column;
            self.count += 1;
        }
        self
    }
}

/// One tree walked with `row` and `reference` at once: a leaf counts for the coalitions that hold all of `own` and none of
/// `others`.
struct Game<'a> {
    splits: &'a [Split],
    leaves: &'a [f32],
    row: &'a [f32],
    reference: &'a [f32],
}

impl Game<'_> {
    fn walk(&self, mut node: usize, own: Players, others: Players, added: &mut [f64]) {
        while let Some(split) = self.splits.get(node) {
            let column = usize::from(split.column);
            let side = |values: &[f32]| 2 * node + 1 + usize::from(values[column] > split.threshold);
            let (mine, other) = (side(self.row), side(self.reference));
            node = if mine == other || own.all().contains(&split.column) {
                mine
            } else if others.all().contains(&split.column) {
                other
            } else {
                self.walk(mine, own.and(split.column), others, added);
                return self.walk(other, own, others.and(split.column), added);
            };
        }
        let value = f64::from(self.leaves[node - self.splits.len()]);
        let (a, b) = (own.count, others.count);
        for column in own.all() {
            added[usize::from(*column)] += value * SHARES[a][b];
        }
        for column in others.all() {
            added[usize::from(*column)] -= value * SHARES[b][a];
        }
    }
}

/// A leaf's share of each player's Shapley value, `(a - 1)! b! / (a + b)!` for `a` players of its side and `b` of the
/// other: with `a` and `b` exchanged, what is taken from those who must be out.
const SHARES: [[f64; MAX_DEPTH as usize + 1]; MAX_DEPTH as usize + 1] = shares();

#[expect(clippy::cast_precision_loss, reason = "counts below ten")]
const fn shares() -> [[f64; MAX_DEPTH as usize + 1]; MAX_DEPTH as usize + 1] {
    const MAX_PLAYERS: usize = MAX_DEPTH as usize;
    let mut shares = [[0.0; MAX_PLAYERS + 1]; MAX_PLAYERS + 1];
    let mut a = 1;
    while a <= MAX_PLAYERS {
        // (a - 1)! b! / (a + b)! = 1 / a for b = 0, and then times b / (a + b).
        let (mut b, mut share) = (1, 1.0 / a as f64);
        shares[a][0] = share;
        while b <= MAX_PLAYERS {
            share *= b as f64 / (a + b) as f64;
            shares[a][b] = share;
            b += 1;
        }
        a += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(n: usize, k: usize) -> f64 {
        (0..k).map(|i| count(n - i) / count(i + 1)).product()
    }

    fn count(n: usize) -> f64 {
        f64::from(u16::try_from(n).unwrap_or(u16::MAX))
    }

    fn forest(depth: u32, trees: usize, numbers: &[f32]) -> Boosted {
        let (inner, outer) = ((1usize << depth) - 1, 1usize << depth);
        let mut next = numbers.iter().copied().cycle();
        let mut draw = move || next.next().unwrap();
        let splits = (0..inner * trees)
            .map(|i| Split { column: u16::try_from(i * 7 % 5).unwrap(), threshold: draw() })
            .collect();
        let leaves = (0..outer * trees).map(|_| draw()).collect();
        Boosted::from_parts(depth, splits, leaves, 5).unwrap()
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_difference_and_are_shapley_values(
            depth in 1..=5u32,
            numbers in proptest::collection::vec(-3.0..3.0f32, 61),
            row in proptest::array::uniform5(-3.0..3.0f32),
            reference in proptest::array::uniform5(-3.0..3.0f32),
        ) {
            let forest = forest(depth, 6, &numbers);
            let mut added = [0.0; 5];
            forest.contributions(&row, &reference, &mut added);
            let difference = forest.log_odds(&row) - forest.log_odds(&reference);
            prop_assert!((added.iter().sum::<f64>() - difference).abs() < 1e-6);
            // By definition, over all coalitions of the other four columns.
            for (player, added) in added.iter().enumerate() {
                let others: Vec<usize> = (0..5).filter(|c| *c != player).collect();
                let mut value = 0.0;
                for coalition in 0..16u32 {
                    let mut with = reference;
                    for (bit, other) in others.iter().enumerate() {
                        if coalition & (1 << bit) != 0 {
                            with[*other] = row[*other];
                        }
                    }
                    let without = forest.log_odds(&with);
                    with[player] = row[player];
                    let weight = 1.0 / (5.0 * choose(4, coalition.count_ones() as usize));
                    value += weight * (forest.log_odds(&with) - without);
                }
                prop_assert!((value - added).abs() < 1e-5, "{value} and {added}");
            }
        }
    }
}
