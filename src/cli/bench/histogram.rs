//! Latencies in log-linear buckets: exact to 1 part in 128, constant memory, mergeable.

use std::time::Duration;

/// Buckets of each power of two.
const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
/// Powers of two above the first, linear range; nanoseconds up to some 39 hours.
const POWERS: usize = 40;

/// Counts of latencies in nanoseconds.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; SUB * (POWERS + 1)], total: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, latency: Duration) {
        let last = self.counts.len() - 1;
        self.counts[index(latency).min(last)] += 1;
        self.total += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(ours, theirs)| *ours += theirs);
        self.total += other.total;
    }

    pub(super) fn count(&self) -> u64 {
        self.total
    }

    /// The latency that `per_mille` of a thousand do not exceed, to the upper end of its bucket; zero without any.
    pub(super) fn quantile(&self, per_mille: u64) -> Duration {
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(index));
            }
        }
        Duration::ZERO
    }
}

/// Values below [`SUB`] have a bucket each; each further power of two is cut into [`SUB`] buckets.
fn index(latency: Duration) -> usize {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    let power = nanos.max(SUB as u64).ilog2() - SUB_BITS;
    // The bits below the leading one choose the bucket within the power.
    let bucket = usize::try_from(nanos >> power).unwrap_or(usize::MAX);
    bucket + SUB * power as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let power = (index / SUB).saturating_sub(1);
    let bucket = (index - SUB * power) as u64;
    ((bucket + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_hundredth_over_the_whole_range() {
        for scale in [1u64, 1_000, 1_000_000, 60_000_000_000] {
            let mut histogram = Histogram::default();
            let mut values: Vec<u64> = (1..=2000).map(|i| i * i % 1999 * scale / 100 + 1).collect();
            for value in &values {
                histogram.record(Duration::from_nanos(*value));
            }
            values.sort_unstable();
            for (per_mille, index) in [(1, 1), (500, 999), (990, 1979), (999, 1997), (1000, 1999)] {
                let (exact, told) = (values[index], histogram.quantile(per_mille).as_nanos());
                let told = u64::try_from(told).unwrap();
                assert!(told >= exact && told - exact <= exact / 100, "{per_mille}: {told} for {exact}");
            }
        }
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_extremes_are_kept() {
        for nanos in (0..4096).chain([1 << 20, (1 << 20) - 1, (1 << 33) + 12_345]) {
            let index = index(Duration::from_nanos(nanos));
            assert!(nanos <= upper(index) && (index == 0 || nanos > upper(index - 1)), "{nanos}");
        }
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), Duration::ZERO);
        histogram.record(Duration::from_secs(10_000_000));
        let mut both = Histogram::default();
        both.merge(&histogram);
        assert_eq!(both.count(), 1);
        assert!(both.quantile(990) > Duration::from_secs(3600));
    }
}
