//! Growing [`Boosted`] trees on quantile bins; the result depends on rows, labels and seed, never on threads.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::boosting::{Boosted, Split};

const BINS: usize = 64;

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Number of trees.
    pub trees: usize,
    /// Levels of splits.
    pub depth: u32,
    /// Share of each tree's correction that is applied.
    pub rate: f64,
    /// Share of rows that a tree sees.
    pub rows: f64,
    /// Share of columns that a tree sees.
    pub columns: f64,
    /// Penalty on the squared leaf value, in units of summed curvature.
    pub ridge: f64,
    /// Least summed curvature of a leaf.
    pub least: f64,
}

/// Rows as bin numbers, column by column, with the bins' upper edges.
struct Binned {
    edges: Vec<Vec<f32>>,
    columns: Vec<Vec<u8>>,
}

impl Binned {
    fn new(rows: &[Vec<f32>], width: usize) -> Self {
        let (edges, columns) = (0..width)
            .into_par_iter()
            .map(|c| {
                let mut sorted: Vec<f32> = rows.iter().map(|r| r[c]).collect();
                sorted.sort_by(f32::total_cmp);
                let last = sorted.len() - 1;
                let mut edges: Vec<f32> = (1..BINS).map(|b| sorted[last * b / BINS]).collect();
                edges.dedup();
                let bins = rows
                    .iter()
                    .map(|r| edges.partition_point(|e| *e < r[c]))
                    .map(|b| u8::try_from(b).unwrap_or(u8::MAX));
                let bins = bins.collect();
                (edges, bins)
            })
            .unzip();
        Self { edges, columns }
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    curvature: f64,
}

impl Sums {
    fn and(self, other: Self) -> Self {
        Self { gradient: self.gradient + other.gradient, curvature: self.curvature + other.curvature }
    }

    fn without(self, other: Self) -> Self {
        Self { gradient: self.gradient - other.gradient, curvature: self.curvature - other.curvature }
    }
}

#[derive(Clone, Copy)]
struct Best {
    gain: f64,
    column: usize,
    bin: usize,
}

/// Rows to tell apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Values, all rows of one width.
    pub values: &'a [Vec<f32>],
    /// Whether a row is odd.
    pub odd: &'a [bool],
    /// What a row weighs.
    pub weights: &'a [f64],
    /// The log-odds that earlier trees give a row; empty where there are none.
    pub start: &'a [f64],
}

/// Fits trees that tell odd rows from the others, by what they add to the start.
#[must_use]
pub fn fit(rows: &Rows<'_>, settings: &Settings, seed: u64) -> Option<Boosted> {
    let Rows { values: rows, odd, weights, start } = *rows;
    let width = rows.first()?.len();
    let binned = Binned::new(rows, width);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut scores = if start.len() == rows.len() { start.to_vec() } else { vec![0.0f64; rows.len()] };
    let (mut splits, mut leaves) = (Vec::new(), Vec::new());
    for _ in 0..settings.trees {
        let gradients: Vec<Sums> = scores
            .par_iter()
            .zip(odd)
            .zip(weights)
            .map(|((score, odd), weight)| {
                let p = 1.0 / (1.0 + (-score).exp());
                Sums { gradient: weight * (p - f64::from(u8::from(*odd))), curvature: weight * p * (1.0 - p) }
            })
            .collect();
        let sample: Vec<bool> = (0..rows.len()).map(|_| rng.random_bool(settings.rows)).collect();
        let columns: Vec<usize> = (0..width).filter(|_| rng.random_bool(settings.columns)).collect();
        let tree = grow(&binned, &gradients, &sample, &columns, settings);
        for (score, leaf) in scores.iter_mut().zip(&tree.places) {
            *score += f64::from(tree.leaves[usize::from(*leaf)]);
        }
        splits.extend(tree.splits);
        leaves.extend(tree.leaves);
    }
    Boosted::from_parts(settings.depth, splits, leaves, width)
}

struct Tree {
    splits: Vec<Split>,
    leaves: Vec<f32>,
    /// The leaf of every row.
    places: Vec<u8>,
}

/// The rows that a tree sees, those of one node next to each other, with their gradients in the same order.
struct Nodes {
    rows: Vec<u32>,
    gradients: Vec<Sums>,
    /// Where each node's rows end.
    ends: Vec<usize>,
}

impl Nodes {
    fn range(&self, node: usize) -> Range<usize> {
        let begin = if node == 0 { 0 } else { self.ends[node - 1] };
        begin..self.ends[node]
    }

    /// Sends the rows of each node to its two children, each in their order.
    fn divide(&mut self, binned: &Binned, best: &[Option<Best>]) {
        let (mut rows, mut gradients) = (Vec::with_capacity(self.rows.len()), Vec::with_capacity(self.rows.len()));
        let mut ends = Vec::with_capacity(2 * best.len());
        for (node, best) in best.iter().enumerate() {
            let range = self.range(node);
            for side in [false, true] {
                for (row, sums) in self.rows[range.clone()].iter().zip(&self.gradients[range.clone()]) {
                    if right(binned, *best, *row) == side {
                        rows.push(*row);
                        gradients.push(*sums);
                    }
                }
                ends.push(rows.len());
            }
        }
        *self = Self { rows, gradients, ends };
    }
}

/// Whether a split sends a row to the right; without a split every row goes left.
fn right(binned: &Binned, best: Option<Best>, row: u32) -> bool {
    best.is_some_and(|b| usize::from(binned.columns[b.column][row as usize]) > b.bin)
}

/// One column's sums by bin, node after node.
type Histogram = Vec<Sums>;

fn grow(binned: &Binned, gradients: &[Sums], sample: &[bool], columns: &[usize], settings: &Settings) -> Tree {
    let rows: Vec<u32> = (0u32..).zip(sample).filter(|(_, seen)| **seen).map(|(row, _)| row).collect();
    let seen = rows.iter().map(|row| gradients[*row as usize]).collect();
    let mut nodes = Nodes { ends: vec![rows.len()], gradients: seen, rows };
    let mut splits = Vec::new();
    let mut levels: Vec<Vec<Option<Best>>> = Vec::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for level in 0..settings.depth {
        let count = 1usize << level;
        histograms = columns
            .par_iter()
            .enumerate()
            .map(|(place, column)| histogram(&binned.columns[*column], &nodes, histograms.get(place)))
            .collect();
        let per_column: Vec<Vec<Option<Best>>> = columns
            .par_iter()
            .zip(&histograms)
            .map(|(column, histogram)| best_of_column(*column, histogram, settings))
            .collect();
        let best: Vec<Option<Best>> = (0..count)
            .map(|node| {
                per_column.iter().filter_map(|found| found[node]).reduce(|a, b| if b.gain > a.gain { b } else { a })
            })
            .collect();
        splits.extend(best.iter().map(|best| match best {
            Some(best) => Split {
                column: u16::try_from(best.column).unwrap_or(u16::MAX),
                threshold: binned.edges[best.column][best.bin],
            },
            None => Split { column: 0, threshold: f32::INFINITY },
        }));
        nodes.divide(binned, &best);
        levels.push(best);
    }
    let leaf = |node: usize| {
        let sums = nodes.gradients[nodes.range(node)].iter().fold(Sums::default(), |a, b| a.and(*b));
        #[expect(clippy::cast_possible_truncation, reason = "leaf values are stored in single precision")]
        let value = (-settings.rate * sums.gradient / (sums.curvature + settings.ridge)) as f32;
        value
    };
    let leaves = (0..1usize << settings.depth).map(leaf).collect();
    let place = |row: u32| {
        levels.iter().fold(0u8, |node, best| 2 * node + u8::from(right(binned, best[usize::from(node)], row)))
    };
    let places = (0..u32::try_from(gradients.len()).unwrap_or(u32::MAX)).into_par_iter().map(place).collect();
    Tree { splits, leaves, places }
}

/// The sums of one column over the nodes of a level. With the sums of their parents, only the smaller of two children is
/// added up; the other one is the rest.
fn histogram(bins: &[u8], nodes: &Nodes, parents: Option<&Histogram>) -> Histogram {
    let count = nodes.ends.len();
    let mut histogram = vec![Sums::default(); count * BINS];
    let mut add = |node: usize| {
        let range = nodes.range(node);
        let own = &mut histogram[node * BINS..(node + 1) * BINS];
        for (row, sums) in nodes.rows[range.clone()].iter().zip(&nodes.gradients[range]) {
            let slot = &mut own[usize::from(bins[*row as usize])];
            *slot = slot.and(*sums);
        }
    };
    let Some(parents) = parents else {
        (0..count).for_each(add);
        return histogram;
    };
    let smaller: Vec<usize> = (0..count)
        .step_by(2)
        .map(|left| left + usize::from(nodes.range(left + 1).len() < nodes.range(left).len()))
        .collect();
    for node in &smaller {
        add(*node);
    }
    for (parent, smaller) in parents.chunks_exact(BINS).zip(smaller) {
        for (bin, sums) in parent.iter().enumerate() {
            histogram[(smaller ^ 1) * BINS + bin] = sums.without(histogram[smaller * BINS + bin]);
        }
    }
    histogram
}

fn best_of_column(column: usize, histogram: &Histogram, settings: &Settings) -> Vec<Option<Best>> {
    let worth = |s: Sums| s.gradient * s.gradient / (s.curvature + settings.ridge);
    histogram
        .chunks_exact(BINS)
        .map(|node| {
            let total = node.iter().fold(Sums::default(), |a, b| a.and(*b));
            let mut left = Sums::default();
            let mut best: Option<Best> = None;
            for (bin, sums) in node.iter().enumerate().take(BINS - 1) {
                left = left.and(*sums);
                let right = total.without(left);
                if left.curvature < settings.least || right.curvature < settings.least {
                    continue;
                }
                let gain = worth(left) + worth(right) - worth(total);
                if gain > best.map_or(1e-6, |b| b.gain) {
                    best = Some(Best { gain, column, bin });
                }
            }
            best
        })
        .collect()
}
