//! What a batch says about its failed sessions taken together: for information, never part of a decision.

/// The false discovery rate at which the least sure of a batch's failed sessions would still fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FalseDiscovery {
    /// The largest Benjamini-Hochberg adjusted p-value among the failed, 0 to 1: were every session of the batch that is
    /// at least this odd called a bot, at most this share of those called would be people on average.
    pub adjusted_p: f64,
    /// P-values that were adjusted together.
    pub sessions: u32,
}

impl FalseDiscovery {
    /// Of the conformal p-values of a batch, not extrapolated, each with whether its session failed; `None` where none
    /// did. The adjustment is that of Benjamini and Hochberg (1995): the i-th smallest of n becomes the least of
    /// `n p_j / j` over all j from i on.
    #[must_use]
    pub fn of(p_values: &[(f64, bool)]) -> Option<Self> {
        // The adjusted value grows with p, so the largest among the failed is that of the largest p.
        let least_sure = p_values.iter().filter(|(_, failed)| *failed).map(|(p, _)| *p).max_by(f64::total_cmp)?;
        let mut sorted: Vec<f64> = p_values.iter().map(|(p, _)| *p).collect();
        sorted.sort_by(f64::total_cmp);
        let sessions = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        let n = f64::from(sessions);
        let adjusted_p = (1u32..)
            .zip(&sorted)
            .filter(|(_, p)| **p >= least_sure)
            .map(|(rank, p)| n * p / f64::from(rank))
            .fold(1.0, f64::min);
        Some(Self { adjusted_p, sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_sure_failure_is_adjusted_for_all_that_were_looked_at() {
        let one_in_a_thousand = |failed| (0.001, failed);
        let rest = (1..50).map(|i| (f64::from(i) / 50.0, false));
        let alone: Vec<_> = rest.clone().chain([one_in_a_thousand(true)]).collect();
        assert!((FalseDiscovery::of(&alone).unwrap().adjusted_p - 0.05).abs() < 1e-12);
        // Ten of them among fifty are no chance.
        let ten: Vec<_> = rest.skip(9).chain([one_in_a_thousand(true); 10]).collect();
        let found = FalseDiscovery::of(&ten).unwrap();
        assert!((found.adjusted_p - 0.005).abs() < 1e-12);
        assert_eq!(found.sessions, 50);
        assert_eq!(FalseDiscovery::of(&[(0.001, false)]), None);
    }

    #[test]
    fn the_adjusted_values_are_those_of_a_worked_example() {
        // The fifteen p-values of Benjamini and Hochberg's own example, section 3.3.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        let of = |count: usize| {
            let rows: Vec<_> = p.iter().enumerate().map(|(i, p)| (*p, i < count)).collect();
            FalseDiscovery::of(&rows).unwrap().adjusted_p
        };
        // At a rate of 0.05 the procedure rejects the first four and no more.
        assert!(of(4) <= 0.05 && of(5) > 0.05);
        assert!((of(4) - 0.0095 * 15.0 / 4.0).abs() < 1e-12);
        assert!((of(15) - 1.0).abs() < 1e-12);
    }
}
