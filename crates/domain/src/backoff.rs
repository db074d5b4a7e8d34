//! Retry delays: exponential backoff with full jitter; chance is an argument.

use std::time::Duration;

/// How retries are spaced and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first delay.
    pub base: Duration,
    /// Upper bound of any delay.
    pub max: Duration,
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
}

impl Backoff {
    /// The delay before the attempt that follows `attempts` failed ones: uniform over 0 to
    /// `min(max, base * 2^(attempts - 1))`, the "full jitter" of Brooker, "Exponential Backoff And Jitter" (2015).
    ///
    /// `chance` is uniform over 0 to 1; values outside are clamped.
    #[must_use]
    pub fn delay(&self, attempts: u32, chance: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(63);
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let ceiling = self.base.as_millis().saturating_mul(u128::from(factor)).min(self.max.as_millis());
        let ceiling = Duration::from_millis(u64::try_from(ceiling).unwrap_or(u64::MAX));
        ceiling.mul_f64(if chance.is_nan() { 0.5 } else { chance.clamp(0.0, 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound_and_spread_from_zero() {
        let backoff = Backoff { base: Duration::from_secs(2), max: Duration::from_secs(600), max_attempts: 8 };
        let ceilings: Vec<_> = (1..=12).map(|n| backoff.delay(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        assert_eq!(backoff.delay(5, 0.0), Duration::ZERO);
        assert_eq!(backoff.delay(5, 0.5), Duration::from_secs(16));
        assert_eq!(backoff.delay(u32::MAX, 1.0), Duration::from_secs(600));
        assert_eq!(backoff.delay(1, f64::NAN), Duration::from_secs(1));
    }
}
