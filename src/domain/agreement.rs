//! temporary
/// r
#[must_use]
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    fn ranks(v: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..v.len()).collect();
        order.sort_by(|i, j| v[*i].total_cmp(&v[*j]));
        let mut ranks = vec![0.0; v.len()];
        for (rank, place) in order.into_iter().enumerate() { ranks[place] = rank as f64; }
        ranks
    }
    let (a, b) = (ranks(a), ranks(b));
    let n = a.len() as f64;
    let mean = (n - 1.0) / 2.0;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in a.iter().zip(&b) { xy += (x - mean) * (y - mean); xx += (x - mean) * (x - mean); }
    (xx > 0.0).then(|| xy / xx)
}
