//! How far two detectors agree on the same sessions: whether they rank them alike and how often they decide otherwise.

use super::result::Verdict;

/// The agreement of a detector with its shadow on one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Sessions that both scored.
    pub rows: u32,
    /// Spearman's rank correlation of the raw scores, -1 to 1; `None` when a source only flags or one ranks nothing.
    pub rank_correlation: Option<f64>,
    /// Sessions that they decided differently.
    pub flips: u32,
}

impl Agreement {
    /// The agreement on pairs of verdicts, each pair about one session; `None` when there is no pair.
    #[must_use]
    pub fn of(pairs: &[(&Verdict, &Verdict)]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let flips = pairs.iter().filter(|(a, b)| a.decision != b.decision).count();
        let raw = |of: fn(&(&Verdict, &Verdict)) -> Option<f64>| pairs.iter().map(of).collect::<Option<Vec<f64>>>();
        let scores = raw(|(a, _)| a.raw_score).zip(raw(|(_, b)| b.raw_score));
        let rank_correlation = scores.and_then(|(a, b)| rank_correlation(&a, &b));
        Some(Self { rows: count(pairs.len()), rank_correlation, flips: count(flips) })
    }
}

/// Spearman's rank correlation, ties with their average rank; `None` when the lists differ in length, or either has
/// nothing to rank: fewer than two values, all alike, or one that is no number.
#[must_use]
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|v| v.is_nan()) {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    // Ranks are 1 to n whatever the ties, so both lists have the same mean.
    #[expect(clippy::cast_precision_loss, reason = "the size of a batch")]
    let mean = f64::midpoint(a.len() as f64, 1.0);
    let moment = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    let spread = moment(&a, &a) * moment(&b, &b);
    (spread > 0.0).then(|| (moment(&a, &b) / spread.sqrt()).clamp(-1.0, 1.0))
}

/// The rank of each value from 1, values that are equal sharing the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    // Compared with `==`, so that the two zeros share a rank; they are neighbours in the order.
    #[expect(clippy::float_cmp, reason = "a tie is equality")]
    for tied in order.chunk_by(|i, j| values[*i] == values[*j]) {
        #[expect(clippy::cast_precision_loss, reason = "the size of a batch")]
        let rank = before as f64 + f64::midpoint(tied.len() as f64, 1.0);
        for place in tied {
            ranks[*place] = rank;
        }
        before += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reason::Reasons;
    use crate::result::{Decision, ModelIdentity, Source, Thresholds};

    fn verdict(decision: Decision, raw: Option<f64>) -> Verdict {
        let model = ModelIdentity { id: "m".into(), version: "1".into() };
        let flag = Verdict::flagged(false, Reasons::default(), Source::Woodwide, model, &Thresholds::default());
        Verdict { decision, raw_score: raw, ..flag }
    }

    #[test]
    fn ties_share_the_mean_of_their_places() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
        assert_eq!(ranks(&[]), Vec::<f64>::new());
    }

    #[test]
    fn the_correlation_is_that_of_a_worked_example() {
        // Ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 over the root of 4.5 * 5.
        let rho = rank_correlation(&[1.0, 5.0, 5.0, 9.0], &[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert!((rho - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(rank_correlation(&[1.0, 2.0], &[7.0, 3.0]), Some(-1.0));
    }

    #[test]
    fn what_cannot_be_ranked_has_no_correlation() {
        assert_eq!(rank_correlation(&[], &[]), None);
        assert_eq!(rank_correlation(&[1.0], &[1.0]), None);
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(rank_correlation(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(rank_correlation(&[1.0, 2.0], &[1.0]), None);
    }

    #[test]
    fn flips_are_decisions_that_differ_and_flags_have_no_rank() {
        let (pass, fail) = (verdict(Decision::Pass, Some(0.1)), verdict(Decision::Fail, Some(7.0)));
        let flag = verdict(Decision::Review, None);
        let both = Agreement::of(&[(&pass, &pass), (&fail, &fail)]).unwrap();
        assert_eq!(both, Agreement { rows: 2, rank_correlation: Some(1.0), flips: 0 });
        let flags = Agreement::of(&[(&flag, &pass), (&flag, &flag)]).unwrap();
        assert_eq!(flags, Agreement { rows: 2, rank_correlation: None, flips: 1 });
        assert_eq!(Agreement::of(&[]), None);
    }

    proptest! {
        #[test]
        fn it_depends_on_the_order_alone_and_is_symmetric(
            pairs in proptest::collection::vec((0..20i32, 0..20i32), 2..60)
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
            let rho = rank_correlation(&a, &b);
            prop_assert!(rho.is_none_or(|rho| (-1.0..=1.0).contains(&rho)));
            prop_assert_eq!(rank_correlation(&b, &a), rho);
            let stretched: Vec<f64> = a.iter().map(|v| v.exp()).collect();
            prop_assert_eq!(rank_correlation(&stretched, &b), rho);
            if let Some(itself) = rank_correlation(&a, &stretched) {
                prop_assert!((itself - 1.0).abs() < 1e-12);
            }
            let turned: Vec<f64> = a.iter().map(|v| -v).collect();
            if let (Some(rho), Some(opposite)) = (rho, rank_correlation(&turned, &b)) {
                prop_assert!((rho + opposite).abs() < 1e-12);
            }
        }

        #[test]
        fn ranks_always_sum_up_to_those_without_ties(values in proptest::collection::vec(-3..4i8, 0..50)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let n = f64::from(u32::try_from(values.len()).unwrap());
            prop_assert!((ranks(&values).iter().sum::<f64>() - n * (n + 1.0) / 2.0).abs() < 1e-9);
        }
    }
}
