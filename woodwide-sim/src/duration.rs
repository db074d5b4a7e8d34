//! Durations on the command line and in faults: `250ms`, `2s`, `1.5s`, `3m`, `1h`, or a bare number of seconds.

use std::time::Duration;

/// The milliseconds a text names.
pub(crate) fn parse_millis(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "ms" => 1.0,
        "s" | "" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err(format!("{text:?} is not a time such as 250ms, 2s or 1m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 250ms, 2s or 1m"))?;
    Duration::try_from_secs_f64(number * scale / 1000.0)
        .ok()
        .and_then(|time| u64::try_from(time.as_millis()).ok())
        .ok_or_else(|| format!("{text:?} is too long"))
}

/// The same as a [`Duration`].
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    parse_millis(text).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in
            [("250ms", 250), ("2s", 2000), ("1.5s", 1500), ("3m", 180_000), ("1h", 3_600_000), ("4", 4000)]
        {
            assert_eq!(parse_millis(text), Ok(millis), "{text}");
        }
        for text in ["", "x", "5d", "-1s", "1e99h"] {
            assert!(parse_millis(text).is_err(), "{text} was taken");
        }
    }
}
