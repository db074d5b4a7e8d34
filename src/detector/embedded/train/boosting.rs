//! Growing [`Boosted`] trees on quantile bins; the result depends on rows, labels and seed, never on threads.

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
            *score += f64::from(tree.leaves[*leaf]);
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
    places: Vec<usize>,
}

fn grow(binned: &Binned, gradients: &[Sums], sample: &[bool], columns: &[usize], settings: &Settings) -> Tree {
    let mut places = vec![0usize; gradients.len()];
    let mut splits = Vec::new();
    for level in 0..settings.depth {
        let nodes = 1usize << level;
        let per_column: Vec<Vec<Option<Best>>> = columns
            .par_iter()
            .map(|c| best_of_column(*c, &binned.columns[*c], &places, nodes, gradients, sample, settings))
            .collect();
        let best: Vec<Option<Best>> = (0..nodes)
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
        places.par_iter_mut().enumerate().for_each(|(row, place)| {
            let right = best[*place].is_some_and(|b| usize::from(binned.columns[b.column][row]) > b.bin);
            *place = 2 * *place + usize::from(right);
        });
    }
    let mut sums = vec![Sums::default(); 1 << settings.depth];
    for ((place, sums_of), _) in places.iter().zip(gradients).zip(sample).filter(|(_, seen)| **seen) {
        sums[*place].gradient += sums_of.gradient;
        sums[*place].curvature += sums_of.curvature;
    }
    #[expect(clippy::cast_possible_truncation, reason = "leaf values are stored in single precision")]
    let leaves = sums.iter().map(|s| (-settings.rate * s.gradient / (s.curvature + settings.ridge)) as f32).collect();
    Tree { splits, leaves, places }
}

fn best_of_column(
    column: usize,
    bins: &[u8],
    places: &[usize],
    nodes: usize,
    gradients: &[Sums],
    sample: &[bool],
    settings: &Settings,
) -> Vec<Option<Best>> {
    let mut histogram = vec![Sums::default(); nodes * BINS];
    for (((bin, place), sums), seen) in bins.iter().zip(places).zip(gradients).zip(sample) {
        if *seen {
            let slot = &mut histogram[place * BINS + usize::from(*bin)];
            slot.gradient += sums.gradient;
            slot.curvature += sums.curvature;
        }
    }
    let worth = |s: Sums| s.gradient * s.gradient / (s.curvature + settings.ridge);
    histogram
        .chunks_exact(BINS)
        .map(|node| {
            let total = node.iter().fold(Sums::default(), |a, b| Sums {
                gradient: a.gradient + b.gradient,
                curvature: a.curvature + b.curvature,
            });
            let mut left = Sums::default();
            let mut best: Option<Best> = None;
            for (bin, sums) in node.iter().enumerate().take(BINS - 1) {
                left = Sums { gradient: left.gradient + sums.gradient, curvature: left.curvature + sums.curvature };
                let right =
                    Sums { gradient: total.gradient - left.gradient, curvature: total.curvature - left.curvature };
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
