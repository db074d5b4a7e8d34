//! Texts of clients on their way to a terminal or a spreadsheet: control characters, which would move a cursor, clear a
//! screen or start a command there, are shown as a sign that something was.

use std::borrow::Cow;

/// `text` with U+FFFD in the place of each control character but line end and tab.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.chars().any(acts) {
        Cow::Owned(text.chars().map(|c| if acts(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_and_the_rest_is_left() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}1mc\u{7f}\r\u{0}"), "a\u{fffd}[2Jb\u{fffd}1mc\u{fffd}\u{fffd}\u{fffd}");
        assert!(matches!(printable("Ünïcode, tab\tand line\nend 🙂"), Cow::Borrowed(_)));
    }
}
