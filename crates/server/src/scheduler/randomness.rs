//! Where the scheduler's random numbers come from: the system, or a seed that a test knows.

use std::fmt;
use std::sync::Arc;

/// A source of random numbers; only the composition root and tests choose one. Cheap to clone.
#[derive(Clone)]
pub struct Randomness(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Randomness {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(rand::random))
    }

    /// Numbers that `draw` gives, each uniform over all values.
    #[must_use]
    pub fn drawn_by(draw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// A number, uniform over all values.
    #[must_use]
    pub fn number(&self) -> u64 {
        (self.0)()
    }

    /// A share, uniform over 0 to 1, 1 excluded.
    #[must_use]
    pub fn share(&self) -> f64 {
        /// As many bits as a share holds exactly.
        const BITS: u32 = f64::MANTISSA_DIGITS;
        #[expect(clippy::cast_precision_loss, reason = "no more bits than it holds")]
        let numerator = (self.number() >> (u64::BITS - BITS)) as f64;
        numerator / 2f64.powf(f64::from(BITS))
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_from_zero_to_below_one() {
        assert_eq!(Randomness::drawn_by(|| 0).share(), 0.0);
        assert_eq!(Randomness::drawn_by(|| 1 << 63).share(), 0.5);
        let largest = Randomness::drawn_by(|| u64::MAX).share();
        assert!(largest < 1.0 && largest > 0.999_999, "{largest}");
    }
}
