//! Conformal calibration: from a raw nonconformity to a p-value among calibration humans, and to a score with a meaning.
//!
//! `p = (1 + #{calibration raw >= raw}) / (n + 1)` is super-uniform for a human exchangeable with the calibration set
//! (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005), so `score = -log10 p` exceeds `s` for at
//! most `10^-s` of such humans on average. Beyond the set's largest value the score goes on rising along an exponential
//! tail, so that it still ranks; that part is marked and never fails anybody.

/// The largest score.
pub const MAX_SCORE: f64 = 6.0;
/// Share of the calibration set whose excesses fit the tail.
const TAIL_SHARE: f64 = 0.1;

/// The sorted raw values of one set of calibration humans.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    sorted: Vec<f64>,
    /// Raw units per factor e of the tail; zero when the set says nothing of its tail.
    tail_scale: f64,
}

/// A raw value seen against a calibration set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    /// Conformal p-value, never below `1 / (n + 1)`.
    pub p: f64,
    /// `-log10 p` at most [`MAX_SCORE`], extrapolated beyond the set's resolution.
    pub score: f64,
    /// `-log10 p` without extrapolation: what a decision may rest on.
    pub supported_score: f64,
    /// Whether `score` lies beyond what the set can resolve.
    pub extrapolated: bool,
}

impl Calibrated {
    /// Whether every value lies on its scale, as those of [`Calibration::assess`] do.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let on_scale = |score: f64| (0.0..=MAX_SCORE).contains(&score);
        (0.0..=1.0).contains(&self.p) && on_scale(self.score) && on_scale(self.supported_score)
    }
}

impl Calibration {
    /// Builds the set from raw values in any order; values that are not finite are left out.
    #[must_use]
    pub fn new(mut raw: Vec<f64>) -> Self {
        raw.retain(|v| v.is_finite());
        raw.sort_by(f64::total_cmp);
        let tail_scale = tail_scale(&raw);
        Self { sorted: raw, tail_scale }
    }

    /// Number of calibration sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The raw values, ascending.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.sorted
    }

    /// The p-value and score of a raw value; a larger raw value never gets a smaller score.
    #[must_use]
    pub fn assess(&self, raw: f64) -> Calibrated {
        let below = self.sorted.partition_point(|v| *v < raw);
        #[expect(clippy::cast_precision_loss, reason = "calibration sets are far smaller than 2^53")]
        let (n, at_least) = (self.sorted.len() as f64, (self.sorted.len() - below) as f64);
        let p = (1.0 + at_least) / (n + 1.0);
        let supported_score = (-p.log10()).clamp(0.0, MAX_SCORE);
        let largest = self.sorted.last().copied().unwrap_or(f64::INFINITY);
        let extrapolated = raw > largest;
        let score = if extrapolated && self.tail_scale > 0.0 {
            (supported_score + (raw - largest) / self.tail_scale * std::f64::consts::LOG10_E).min(MAX_SCORE)
        } else {
            supported_score
        };
        Calibrated { p, score, supported_score, extrapolated }
    }
}

/// Mean excess over the `1 - TAIL_SHARE` quantile: the maximum-likelihood scale of an exponential tail.
fn tail_scale(sorted: &[f64]) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    let start = (sorted.len() as f64 * (1.0 - TAIL_SHARE)) as usize;
    let Some((threshold, tail)) = sorted.get(start..).and_then(|tail| tail.split_first()) else { return 0.0 };
    if tail.is_empty() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a length")]
    let mean = tail.iter().map(|v| v - threshold).sum::<f64>() / tail.len() as f64;
    mean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn p_values_count_the_humans_at_least_as_odd() {
        let set = Calibration::new((0..99).map(f64::from).collect());
        assert!((set.assess(98.0).p - 0.02).abs() < 1e-12);
        assert!((set.assess(1000.0).p - 0.01).abs() < 1e-12);
        assert!((set.assess(-5.0).p - 1.0).abs() < 1e-12);
        assert!((set.assess(1000.0).supported_score - 2.0).abs() < 1e-12);
        assert!(set.assess(1000.0).extrapolated && !set.assess(98.0).extrapolated);
    }

    #[test]
    fn a_set_of_316_supports_a_score_of_two_and_a_half_and_315_do_not() {
        let supported_score = |n: u32| Calibration::new((0..n).map(f64::from).collect()).assess(1e9).supported_score;
        assert!(supported_score(316) > 2.5);
        assert!(supported_score(315) < 2.5);
    }

    #[test]
    fn an_empty_set_calls_nothing_odd() {
        assert_eq!(
            Calibration::new(vec![]).assess(1e9),
            Calibrated { p: 1.0, score: 0.0, supported_score: 0.0, extrapolated: false }
        );
    }

    proptest! {
        #[test]
        fn fresh_humans_exceed_a_score_as_rarely_as_promised(values in proptest::collection::vec(-1e3..1e3f64, 2..60)) {
            // Exchangeability, exhaustively: each value in turn is the fresh human, the others calibrate.
            let scores: Vec<f64> = (0..values.len()).map(|i| {
                let mut others = values.clone();
                let fresh = others.remove(i);
                Calibration::new(others).assess(fresh).supported_score
            }).collect();
            for s in [0.3, 0.5, 1.0, 1.5] {
                let share = scores.iter().filter(|score| **score > s).count() as f64 / scores.len() as f64;
                prop_assert!(share <= 10f64.powf(-s) + 1e-12, "{} exceed {}", share, s);
            }
        }

        #[test]
        fn scores_rise_with_the_raw_value(values in proptest::collection::vec(-1e3..1e3f64, 0..60), mut raws in proptest::collection::vec(-2e3..2e4f64, 2..20)) {
            let set = Calibration::new(values);
            raws.sort_by(f64::total_cmp);
            let scores: Vec<f64> = raws.iter().map(|r| set.assess(*r).score).collect();
            prop_assert!(scores.windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(scores.iter().all(|s| (0.0..=MAX_SCORE).contains(s)));
        }
    }
}
