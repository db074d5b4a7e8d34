//! Strings of a document, with and without escapes.

use std::borrow::Cow;

use super::{Scan, Scanner};

impl<'a> Scanner<'a> {
    /// A string, unescaped; borrowed when it holds no escape.
    ///
    /// # Errors
    /// On a missing quote, a raw control character or a bad escape.
    pub fn string(&mut self) -> Scan<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.pos;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let piece = &self.text[start..self.pos];
                    self.pos += 1;
                    return Ok(Cow::Borrowed(piece));
                }
                Some(b'\\') => return self.string_with_escapes(start).map(Cow::Owned),
                Some(0..=0x1f) => return self.fail("control character in a string"),
                Some(_) => self.pos += 1,
                None => return self.fail("unterminated string"),
            }
        }
    }

    fn string_with_escapes(&mut self, start: usize) -> Scan<String> {
        let mut out = String::from(&self.text[start..self.pos]);
        let mut plain = self.pos;
        loop {
            match self.peek() {
                Some(b'"') => {
                    out.push_str(&self.text[plain..self.pos]);
                    self.pos += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[plain..self.pos]);
                    self.pos += 1;
                    out.push(self.escape()?);
                    plain = self.pos;
                }
                Some(0..=0x1f) => return self.fail("control character in a string"),
                Some(_) => self.pos += 1,
                None => return self.fail("unterminated string"),
            }
        }
    }

    fn escape(&mut self) -> Scan<char> {
        let Some(b) = self.peek() else { return self.fail("unterminated string") };
        self.pos += 1;
        Ok(match b {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fail("unknown escape"),
        })
    }

    fn unicode_escape(&mut self) -> Scan<char> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if !self.eat_exact(b"\\u") {
                return self.fail("lone surrogate");
            }
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.fail("lone surrogate");
            }
            0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).map_or_else(|| self.fail("lone surrogate"), Ok)
    }

    fn hex4(&mut self) -> Scan<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else { return self.fail("bad unicode escape") };
            code = code * 16 + digit;
            self.pos += 1;
        }
        Ok(code)
    }
}
