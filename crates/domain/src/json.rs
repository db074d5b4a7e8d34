//! A pull scanner over one JSON document: strings, numbers, literals and skipping, with bounded depth.
//!
//! It exists because a session is hostile input of one fixed shape that must go straight into columns: a general
//! parser costs three times the time, and its tree many times the memory. The grammar is RFC 8259 in full; the
//! tests hold it against `serde_json`, document by document. It is not a validator of anything beyond syntax.

/// How deep a skipped value may nest.
pub const MAX_DEPTH: usize = 64;

/// A syntax fault and the byte offset at which it was noticed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not valid JSON: {what} at byte {offset}")]
pub struct SyntaxError {
    /// What was expected or found.
    pub what: &'static str,
    /// Zero-based offset into the document.
    pub offset: usize,
}

/// The first character of a value tells its type; this is what [`Scanner::peek_kind`] sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Kind {
    /// The kind in words, with its article.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A cursor over one document. The text is valid UTF-8 by type, so slices of it are strings.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
}

type Scan<T> = Result<T, SyntaxError>;

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), pos: 0 }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.pos
    }

    /// The whole document.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How much of the document is read.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    /// Goes on at `position`, which stands where a token ends.
    #[inline]
    pub(crate) fn advance_to(&mut self, position: usize) {
        self.pos = position;
    }

    /// As [`Self::number`], from `position` on, and the place after it; this scanner stays where it is.
    pub(crate) fn number_at(&self, position: usize) -> Option<(f64, usize)> {
        let mut scan = Self { pos: position, ..self.clone() };
        // Minus zero is zero.
        scan.number().ok().map(|value| (value + 0.0, scan.pos))
    }

    fn fail<T>(&self, what: &'static str) -> Scan<T> {
        Err(SyntaxError { what, offset: self.pos })
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    /// Passes over white space.
    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    /// The kind of the value that starts here, white space passed over.
    ///
    /// # Errors
    /// When no value starts here.
    pub fn peek_kind(&mut self) -> Scan<Kind> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') if self.literal(&["true", "false"]) => Ok(Kind::Bool),
            Some(b'n') if self.literal(&["null"]) => Ok(Kind::Null),
            Some(_) => self.fail("unexpected character"),
            None => self.fail("unexpected end"),
        }
    }

    fn literal(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.bytes[self.pos..].starts_with(word.as_bytes()))
    }

    /// Consumes `expected` if it comes next, white space passed over first.
    #[inline]
    pub fn eat(&mut self, expected: u8) -> bool {
        if self.peek() != Some(expected) {
            self.skip_space();
            if self.peek() != Some(expected) {
                return false;
            }
        }
        self.pos += 1;
        true
    }

    /// Consumes the exact bytes `expected` if they come next; no white space is passed over.
    #[inline]
    pub fn eat_exact(&mut self, expected: &[u8]) -> bool {
        let found = self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(expected));
        if found {
            self.pos += expected.len();
        }
        found
    }

    /// Consumes `expected`, white space passed over first.
    ///
    /// # Errors
    /// When something else comes next.
    pub fn expect(&mut self, expected: u8) -> Scan<()> {
        if self.eat(expected) {
            return Ok(());
        }
        self.fail(match expected {
            b':' => "expected `:`",
            b'{' => "expected `{`",
            b'[' => "expected `[`",
            b'"' => "expected a string",
            _ => "unexpected character",
        })
    }

    /// After an item: `true` when a comma announces another one, `false` when `close` ends the list or object.
    ///
    /// # Errors
    /// When neither follows.
    #[inline]
    pub fn more(&mut self, close: u8) -> Scan<bool> {
        if self.eat(b',') {
            return Ok(true);
        }
        if self.eat(close) {
            return Ok(false);
        }
        self.fail(if self.peek().is_none() { "unexpected end" } else { "expected `,` or the closing bracket" })
    }

    /// The end of the document, white space passed over.
    ///
    /// # Errors
    /// When anything but white space follows.
    pub fn end(&mut self) -> Scan<()> {
        self.skip_space();
        if self.peek().is_some() { self.fail("trailing characters") } else { Ok(()) }
    }

    /// A number, correctly rounded to the nearest `f64`; infinite when it is too large for one.
    ///
    /// Up to 19 significant digits are gathered in an integer; where that integer and the power of ten are both exact
    /// in an `f64` one correctly rounded operation gives the answer (Clinger 1990), else the standard library does.
    ///
    /// # Errors
    /// When the text is not a JSON number.
    #[inline]
    pub fn number(&mut self) -> Scan<f64> {
        self.skip_space();
        let start = self.pos;
        let negative = self.peek() == Some(b'-');
        self.pos += usize::from(negative);
        let whole = self.pos;
        let mut mantissa = 0u64;
        self.digits(&mut mantissa);
        let mut digits = self.pos - whole;
        if digits == 0 {
            return self.fail("expected a number");
        }
        if digits > 1 && self.bytes[whole] == b'0' {
            return self.fail("a number may not start with 0");
        }
        let mut exponent = 0i32;
        if self.peek() == Some(b'.') {
            self.pos += 1;
            let fraction = self.pos;
            self.digits(&mut mantissa);
            let decimals = self.pos - fraction;
            if decimals == 0 {
                return self.fail("expected a digit after the point");
            }
            digits += decimals;
            exponent = i32::try_from(decimals).map_or(i32::MIN, |d| -d);
        }
        let mut exact = digits <= 19;
        if let Some(b'e' | b'E') = self.peek() {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.pos += 1;
            }
            let first = self.pos;
            self.digits(&mut 0);
            if self.pos == first {
                return self.fail("expected a digit in the exponent");
            }
            exact = false;
        }
        if exact && mantissa < (1 << 53) && exponent >= -22 {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53 every integer is exact")]
            let value = mantissa as f64;
            #[expect(clippy::cast_sign_loss, reason = "the exponent is in -22..=0")]
            let value = if exponent == 0 { value } else { value / POWERS_OF_TEN[-exponent as usize] };
            return Ok(if negative { -value } else { value });
        }
        // The grammar above is a subset of what `f64::from_str` reads, so this cannot fail.
        self.text[start..self.pos].parse().or_else(|_| self.fail("expected a number"))
    }

    #[inline]
    fn digits(&mut self, value: &mut u64) {
        while let Some(b @ b'0'..=b'9') = self.peek() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(b - b'0'));
            self.pos += 1;
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When neither comes next.
    pub fn boolean(&mut self) -> Scan<bool> {
        self.skip_space();
        if self.eat_exact(b"true") {
            Ok(true)
        } else if self.eat_exact(b"false") {
            Ok(false)
        } else {
            self.fail("expected true or false")
        }
    }

    /// `null`.
    ///
    /// # Errors
    /// When something else comes next.
    pub fn null(&mut self) -> Scan<()> {
        self.skip_space();
        if self.eat_exact(b"null") { Ok(()) } else { self.fail("expected null") }
    }

    /// Passes over one value of any kind, checking its syntax.
    ///
    /// # Errors
    /// On bad syntax, or when the value nests deeper than [`MAX_DEPTH`].
    pub fn skip_value(&mut self) -> Scan<()> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: usize) -> Scan<()> {
        if depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        match self.peek_kind()? {
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.boolean().map(drop),
            Kind::Null => self.null(),
            Kind::Array => {
                self.pos += 1;
                let mut more = !self.eat(b']');
                while more {
                    self.skip_nested(depth + 1)?;
                    more = self.more(b']')?;
                }
                Ok(())
            }
            Kind::Object => {
                self.pos += 1;
                let mut more = !self.eat(b'}');
                while more {
                    self.string()?;
                    self.expect(b':')?;
                    self.skip_nested(depth + 1)?;
                    more = self.more(b'}')?;
                }
                Ok(())
            }
        }
    }
}

/// Exact powers of ten: 10^22 is the largest that an `f64` holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

#[path = "json_strings.rs"]
mod strings;

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
