//! Short decimals against the scanner, and the kinds of bytes against their definition.

use proptest::prelude::*;

use super::*;
use crate::json::Scanner;

fn read(text: &str, offset: usize) -> Option<(u64, usize)> {
    let document = format!("{}{text},{}", " ".repeat(offset), ";".repeat(2 * WINDOW));
    let window = Window::at(document.as_bytes(), 0, &mut Kinds::default())?;
    let Short { value, end, faults } = window.number(offset, 15);
    (faults == 0 && end < SEEN).then_some((value.to_bits(), end - offset))
}

fn scanned(text: &str) -> Option<(u64, usize)> {
    let mut scan = Scanner::new(text);
    let value = scan.number().ok()?;
    scan.end().ok().map(|()| ((value + 0.0).to_bits(), text.len()))
}

#[test]
fn short_decimals_are_read() {
    for text in [
        "0",
        "-0",
        "7",
        "-7",
        "0.5",
        "351.25",
        "-1023.125",
        "1712345678901",
        "1712345678901.25",
        "12345678",
        "1234567.8",
        "12345678.9",
        "0.12345678",
        "999999999999999",
        "9007199.25474099",
    ] {
        assert_eq!(read(text, 5), scanned(text), "{text}");
        assert!(read(text, 5).is_some(), "{text}");
    }
    for text in [
        "",
        "-",
        "--1",
        "00",
        "01",
        "-01.5",
        "1.",
        ".5",
        "-.5",
        "1..2",
        "1.2.3",
        "1e5",
        "+1",
        " 1",
        "0.123456789",
        "1234567890123456",
        "12345678901234.5678",
    ] {
        let taken = read(text, 5).is_some_and(|(_, length)| length == text.len());
        assert!(!taken, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_the_scanner_reads(text in "-?[0-9]{0,17}(\\.[0-9]{0,10})?", offset in 0usize..40) {
        if let Some(found) = read(&text, offset) {
            prop_assert_eq!(Some(found), scanned(&text), "{}", text);
        }
    }

    #[test]
    fn so_is_anything(text in "[-.0-9]{0,20}", offset in 0usize..60) {
        if let Some(found) = read(&text, offset) {
            prop_assert_eq!(Some(found), scanned(&text[..found.1]), "{}", text);
        }
    }

    #[test]
    fn kinds_are_told_anywhere(document in proptest::collection::vec(any::<u8>(), 200..3_000), digits in 0u8..200, start in 0usize..2_900) {
        let document: Vec<u8> = document.iter().map(|byte| if *byte < digits { b"0123456789."[usize::from(*byte) % 11] } else { *byte }).collect();
        let mut kinds = Kinds::default();
        for at in (start..document.len()).step_by(37) {
            let Some(window) = Window::at(&document, at, &mut kinds) else {
                prop_assert!(at + WINDOW > document.len());
                continue;
            };
            for bit in 0..SEEN {
                let byte = document[at + bit];
                prop_assert_eq!(window.points >> bit & 1 == 1, byte == b'.');
                prop_assert_eq!(window.ends >> bit & 1 == 1, byte != b'.' && !byte.is_ascii_digit());
            }
        }
    }
}
