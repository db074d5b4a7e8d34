//! The grammar of the scanner, held against `serde_json`.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Option<f64> {
    let mut scanner = Scanner::new(text);
    let value = scanner.number().ok()?;
    scanner.end().ok().map(|()| value)
}

fn valid(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.skip_value().and_then(|()| scanner.end()).is_ok()
}

#[test]
fn numbers_follow_the_grammar() {
    for bad in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "1_0", "--1"] {
        assert_eq!(number(bad), None, "{bad}");
    }
    for good in ["0", "-0", "0.1", "1e5", "1E-5", "123456789012345678901234567890", "0.30000000000000004", "5e-324"] {
        assert_eq!(number(good), serde_json::from_str(good).ok(), "{good}");
    }
    assert_eq!(number("1e999"), Some(f64::INFINITY));
}

#[test]
fn deep_nesting_is_refused_without_recursion_running_away() {
    assert!(valid(&format!("{}{}", "[".repeat(60), "]".repeat(60))));
    assert!(!valid(&"[".repeat(1_000_000)));
    assert!(!valid(&format!("{}{}", "{\"a\":".repeat(100), "}".repeat(100))));
}

#[test]
fn escapes_are_read_as_serde_reads_them() {
    for text in [
        r#""a\u00e9\ud83d\ude00\n\/""#,
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00""#,
        r#""\x""#,
        "\"\u{1}\"",
        "\"é\"",
    ] {
        let expected: Option<String> = serde_json::from_str(text).ok();
        let mut scanner = Scanner::new(text);
        let found = scanner.string().ok().map(Cow::into_owned);
        assert_eq!(found, expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_finite_number_reads_bit_for_bit_as_serde(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
        for text in [format!("{value}"), format!("{value:e}"), format!("{value:.3}")] {
            let expected: f64 = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(number(&text).map(f64::to_bits), Some(expected.to_bits()), "{}", text);
        }
    }

    #[test]
    fn decimals_read_bit_for_bit_as_serde(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?") {
        let expected: f64 = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(number(&text).map(f64::to_bits), Some(expected.to_bits()));
    }

    #[test]
    fn what_is_json_is_what_serde_says(text in "[\\[\\]{}:,\"0-9.eE+\\-a-z\\\\ ]{0,24}") {
        let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        // serde_json refuses numbers beyond f64; the scanner reads them as infinite and leaves bounds to its caller.
        prop_assume!(!text.contains(['e', 'E']) || expected);
        prop_assert_eq!(valid(&text), expected);
    }
}
