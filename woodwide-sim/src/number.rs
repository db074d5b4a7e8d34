//! Conversions between counts and the floating point numbers of statistics.

/// A count as a floating point number; beyond 2^32, which no table here reaches, it stays there.
pub(crate) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The value below which the share `q` of the sorted values lies.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let wanted = q * real(sorted.len());
    // The nearest rank, by bisection: a float is never cast to an index.
    let (mut low, mut high) = (0, sorted.len().saturating_sub(1));
    while low < high {
        let middle = usize::midpoint(low, high);
        if real(middle + 1) >= wanted {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    sorted.get(low).copied().unwrap_or(0.0)
}

/// The whole part of a small number of seconds; what does not fit counts as none.
pub(crate) fn whole(seconds: f64) -> i64 {
    std::time::Duration::try_from_secs_f64(seconds).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(0))
}
