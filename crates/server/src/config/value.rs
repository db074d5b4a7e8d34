//! Values as people write them: durations, sizes, counts, lists, addresses. Each refusal says what to write instead.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Secret;

/// A value as found, before it means anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A word, a number or a truth value.
    Text(String),
    /// A list of the file.
    List(Vec<String>),
}

/// The value's meaning, or what is wrong with it as the end of a sentence that starts with the setting's name.
pub(super) type Parsed<T> = Result<T, String>;

impl Raw {
    pub(super) fn text(&self) -> Parsed<&str> {
        match self {
            Self::Text(text) => Ok(text.trim()),
            Self::List(_) => Err("is a list; write one value".to_owned()),
        }
    }

    /// `None` for the word `none`.
    pub(super) fn optional(&self) -> Parsed<Option<&str>> {
        Ok(Some(self.text()?).filter(|text| *text != "none"))
    }

    /// The entries, separated by commas; none for the word `none`.
    pub(super) fn list(&self) -> Parsed<Vec<String>> {
        let entries: Vec<String> = match self {
            Self::List(entries) => entries.iter().map(|e| e.trim().to_owned()).collect(),
            Self::Text(text) if text.trim() == "none" => Vec::new(),
            Self::Text(text) => text.split(',').map(|e| e.trim().to_owned()).collect(),
        };
        if entries.iter().any(String::is_empty) {
            return Err("has an empty entry; remove the comma or fill it in".to_owned());
        }
        Ok(entries)
    }
}

/// A key that others follow from. A refusal does not repeat it.
pub(super) fn secret_key(text: &str) -> Parsed<Secret> {
    const MIN_LENGTH: usize = 32;
    if text.len() < MIN_LENGTH || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("must be at least {MIN_LENGTH} letters, digits and signs without a space"));
    }
    Ok(Secret::new(text))
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("is {text:?}; write true or false")),
    }
}

/// A whole number within `range`.
pub(super) fn count(text: &str, range: &RangeInclusive<u64>) -> Parsed<u64> {
    let bounds = || format!("write a whole number from {} to {}", range.start(), range.end());
    let number: u64 = text.replace('_', "").parse().map_err(|_| format!("is {text:?}; {}", bounds()))?;
    if range.contains(&number) { Ok(number) } else { Err(format!("is {number}; {}", bounds())) }
}

/// A decimal number within `range`.
pub(super) fn decimal(text: &str, range: &RangeInclusive<f64>) -> Parsed<f64> {
    let number: Option<f64> = text.parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| format!("is {text:?}; write a number from {} to {}", range.start(), range.end()))
}

/// Splits `30s` into 30 and `s`.
fn with_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

/// A whole number of ms, s, m, h or d, at least `least` and at most ten years.
pub(super) fn duration(text: &str, least: Duration) -> Parsed<Duration> {
    const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);
    let wrong = || format!("is {text:?}; write a whole number and a unit (ms, s, m, h, d), such as 30s");
    let (number, unit) = with_unit(text).ok_or_else(wrong)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let span = number.checked_mul(unit_ms).map(Duration::from_millis);
    match span {
        Some(span) if span < least => Err(format!("is {text:?}; write at least {least:?}")),
        Some(span) if span <= MAX_DURATION => Ok(span),
        _ => Err(format!("is {text:?}; write at most 3650d")),
    }
}

/// A whole number of B, KB, KiB and so on, within `range`.
pub(super) fn size(text: &str, range: &RangeInclusive<u64>) -> Parsed<u64> {
    let wrong = || format!("is {text:?}; write a whole number and a unit (B, KB, MB, GB, KiB, MiB, GiB), such as 8MiB");
    // Nothing is nothing in every unit.
    let (number, unit) = if text == "0" { (0, "B") } else { with_unit(text).ok_or_else(wrong)? };
    let factor: u64 = match unit {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| format!("is {text:?}; write {} to {} bytes, with a unit", range.start(), range.end()))
}

/// A host: an address, or `localhost`.
pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("is {text:?}; write an IP address such as 127.0.0.1, or localhost"))
}

/// ADDRESS:PORT.
pub(super) fn listen(text: &str) -> Parsed<SocketAddr> {
    let wrong = || format!("is {text:?}; write ADDRESS:PORT such as 127.0.0.1:3000");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    if name != "localhost" {
        return Err(wrong());
    }
    Ok(SocketAddr::new(host(name)?, port.parse().map_err(|_| wrong())?))
}

/// An address or a network, as the HTTP API reads it.
pub(super) fn network(text: &str) -> Parsed<ipnet::IpNet> {
    crate::http::parse_network(text).map_err(|e| format!("has an entry that is wrong: {e}"))
}

/// A rate, as the HTTP API reads it.
pub(super) fn rate(text: &str) -> Parsed<crate::access::rates::RateLimit> {
    text.parse().map_err(|e| format!("is wrong: {e}"))
}

/// `*` or `scheme://host[:port]`, as browsers send it.
pub(super) fn origin(text: &str) -> Parsed<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*".contains(&b));
    if text == "*" || rest.is_some_and(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("names {text:?}; write an origin such as https://play.example.org without a path, or *"))
}

/// A prefix of paths, without a slash at its end: `/playproof`.
pub(super) fn base_path(text: &str) -> Parsed<String> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~-".contains(&b))
    };
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() && text == "/" {
        return Ok(String::new());
    }
    if path.len() <= 256 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain)) {
        return Ok(path.to_owned());
    }
    Err(format!("is {text:?}; write a path such as /playproof, of letters, digits, _, -, ~ and . between slashes"))
}

/// An http or https address, without a slash at its end.
pub(super) fn base_url(text: &str) -> Parsed<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.and_then(|r| r.split('/').next()).unwrap_or_default();
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"?#@".contains(&b));
    if authority.is_empty() || !plain {
        return Err("is no plain http or https address; write one such as https://api.example.org".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn durations_have_units_and_bounds() {
        let read = |t| duration(t, Duration::ZERO).ok();
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(read("5m"), Some(Duration::from_secs(300)));
        assert_eq!(read("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(read("90d"), Some(Duration::from_secs(90 * 86_400)));
        for wrong in
            ["", "30", "s", "-1s", "1.5s", "1w", "30S", "99999999999999999999s", "18446744073709551615d", "3651d"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(duration("0s", SECOND).unwrap_err(), "is \"0s\"; write at least 1s");
    }

    #[test]
    fn sizes_tell_powers_of_1000_from_powers_of_1024() {
        let read = |t| size(t, &(0..=u64::MAX)).ok();
        assert_eq!(read("8MiB"), Some(8 << 20));
        assert_eq!(read("500KB"), Some(500_000));
        assert_eq!(read("1GiB"), Some(1 << 30));
        assert_eq!(read("7B"), Some(7));
        for wrong in ["8", "8mb", "MiB", "-8MiB", "99999999TiB"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(size("1B", &(10..=20)).unwrap_err().contains("10 to 20 bytes"));
    }

    #[test]
    fn addresses_networks_and_rates() {
        assert_eq!(listen("localhost:80").unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(listen("[::1]:0").unwrap(), "[::1]:0".parse().unwrap());
        assert!(listen("example.org:80").is_err() && listen(":80").is_err() && listen("127.0.0.1:70000").is_err());
        assert_eq!(network("10.0.0.0/8").unwrap().prefix_len(), 8);
        assert_eq!(network("::1").unwrap().prefix_len(), 128);
        assert!(network("10.0.0.0/33").is_err() && network("proxy").is_err());
        assert_eq!(rate("5000/m").unwrap().per, Duration::from_secs(60));
        assert!(rate("0/s").is_err() && rate("5").is_err() && rate("5/w").is_err());
    }

    #[test]
    fn a_base_path_is_plain_and_has_no_slash_at_its_end() {
        assert_eq!(base_path("/playproof/").unwrap(), "/playproof");
        assert_eq!((base_path("/a/b-1").unwrap().as_str(), base_path("/").unwrap().as_str()), ("/a/b-1", ""));
        for wrong in ["", "playproof", "//", "/a//b", "/..", "/a?b", "/a b", "/%61", "https://a"] {
            assert!(base_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_origins_and_addresses_hold_no_passwords() {
        assert_eq!(origin("https://Play.example.org").unwrap(), "https://play.example.org");
        assert!(origin("*").is_ok() && origin("http://localhost:5173").is_ok());
        assert!(
            origin("https://a.example/").is_err() && origin("a.example").is_err() && origin("https://*.a").is_err()
        );
        assert_eq!(base_url("https://api.example.org/v1/").unwrap(), "https://api.example.org/v1");
        assert!(base_url("http://127.0.0.1:4010").is_ok() && base_url("http://localhost").is_ok());
        assert!(base_url("api.example.org").is_err() && base_url("https://").is_err());
        assert!(!base_url("https://user:word@host").unwrap_err().contains("word"), "no password is repeated");
    }
}
