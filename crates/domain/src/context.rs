//! The counts that go with a session: keys pressed, scrolls, what the recorder left out. They are checked and not kept.

use super::json::{Kind, Scanner, SyntaxError};
use super::refusal::{FieldPath, Refusal};

/// Most fields of a context.
const MAX_FIELDS: usize = 64;
/// The longest name of a field and the longest text in one, in bytes.
const MAX_TEXT: usize = 256;
/// Most counts in a list.
const MAX_COUNTS: usize = 64;
/// The largest count.
const MAX_COUNT: f64 = 1e15;

const PATH: FieldPath = FieldPath::Field("context");

/// Passes over a context that is within bounds.
///
/// # Errors
/// A [`Refusal`] naming the mend.
pub fn check(scan: &mut Scanner<'_>) -> Result<(), Refusal> {
    let kind = scan.peek_kind().map_err(syntax)?;
    if kind != Kind::Object {
        return Err(Refusal::malformed(PATH, format!("must be an object of counts, not {}", kind.in_words())));
    }
    scan.expect(b'{').map_err(syntax)?;
    let (mut fields, mut more) = (0, !scan.eat(b'}'));
    while more {
        fields += 1;
        if fields > MAX_FIELDS {
            return Err(Refusal::out_of_bounds(PATH, format!("must have at most {MAX_FIELDS} fields; leave some out")));
        }
        text(scan)?;
        scan.expect(b':').map_err(syntax)?;
        value(scan)?;
        more = scan.more(b'}').map_err(syntax)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn syntax(error: SyntaxError) -> Refusal {
    Refusal::malformed(FieldPath::Body, error.to_string())
}

fn text(scan: &mut Scanner<'_>) -> Result<(), Refusal> {
    let text = scan.string().map_err(syntax)?;
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    Err(Refusal::out_of_bounds(PATH, format!("must hold names and texts of at most {MAX_TEXT} bytes; shorten them")))
}

fn count(scan: &mut Scanner<'_>) -> Result<(), Refusal> {
    let value = scan.number().map_err(syntax)?;
    if (0.0..=MAX_COUNT).contains(&value) {
        return Ok(());
    }
    Err(Refusal::out_of_bounds(PATH, format!("must hold counts from 0 to {MAX_COUNT:e}")))
}

fn value(scan: &mut Scanner<'_>) -> Result<(), Refusal> {
    match scan.peek_kind().map_err(syntax)? {
        Kind::Number => count(scan),
        Kind::String => text(scan),
        Kind::Bool => scan.boolean().map(drop).map_err(syntax),
        Kind::Null => scan.null().map_err(syntax),
        Kind::Array => counts(scan),
        kind @ Kind::Object => Err(wrong(kind)),
    }
}

fn counts(scan: &mut Scanner<'_>) -> Result<(), Refusal> {
    scan.expect(b'[').map_err(syntax)?;
    let (mut items, mut more) = (0, !scan.eat(b']'));
    while more {
        items += 1;
        if items > MAX_COUNTS {
            return Err(Refusal::out_of_bounds(PATH, format!("must hold lists of at most {MAX_COUNTS} counts")));
        }
        match scan.peek_kind().map_err(syntax)? {
            Kind::Number => count(scan)?,
            kind => return Err(wrong(kind)),
        }
        more = scan.more(b']').map_err(syntax)?;
    }
    Ok(())
}

fn wrong(kind: Kind) -> Refusal {
    let message = format!("must hold counts, lists of counts and short texts, no {}", kind.in_words());
    Refusal::malformed(PATH, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        check(&mut Scanner::new(text)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn counts_lists_and_short_texts_are_taken() {
        checked(r#"{"client":"web 0.1.0","keys":12,"keyIntervals":[0,3,4],"hiddenMs":1.5,"thinned":null,"x":true}"#)
            .unwrap();
        checked("{}").unwrap();
    }

    #[test]
    fn everything_else_is_refused_with_the_field() {
        let many = (0..65).map(|n| format!("\"f{n}\":1")).collect::<Vec<_>>().join(",");
        for bad in [
            "[]".to_owned(),
            "7".to_owned(),
            r#"{"keys":-1}"#.to_owned(),
            r#"{"keys":1e16}"#.to_owned(),
            r#"{"keys":{"a":1}}"#.to_owned(),
            r#"{"keys":["a"]}"#.to_owned(),
            format!("{{\"keys\":[{}1]}}", "1,".repeat(64)),
            format!("{{\"client\":\"{}\"}}", "x".repeat(257)),
            format!("{{\"{}\":1}}", "x".repeat(257)),
            format!("{{{many}}}"),
        ] {
            let message = checked(&bad).unwrap_err();
            assert!(message.starts_with("context "), "{bad}: {message}");
        }
        assert!(checked(r#"{"keys":1"#).is_err());
    }
}
