//! The interval of a share that was counted.

/// Of the normal distribution, for 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share of which `part` of `whole` were counted, each end 0 to 1; `None` where nothing was counted.
/// Wilson, Probable inference, the law of succession, and statistical inference, 1927: it holds for few and for extreme
/// shares too.
#[must_use]
pub fn wilson(part: u64, whole: u64) -> Option<(f64, f64)> {
    if whole == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let (part, whole) = (part.min(whole) as f64, whole as f64);
    let share = part / whole;
    let scale = 1.0 + Z * Z / whole;
    let middle = (share + Z * Z / (2.0 * whole)) / scale;
    let half = Z / scale * (share * (1.0 - share) / whole + Z * Z / (4.0 * whole * whole)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_textbook_s_and_never_leaves_the_range() {
        let (low, high) = wilson(8, 10).unwrap();
        assert!((low - 0.490).abs() < 5e-4 && (high - 0.943).abs() < 5e-4, "{low} {high}");
        let (low, high) = wilson(0, 20).unwrap();
        assert!(low == 0.0 && (high - 0.161).abs() < 5e-4, "{low} {high}");
        assert_eq!(wilson(20, 20).unwrap().1, 1.0);
        assert_eq!(wilson(0, 0), None);
    }
}
