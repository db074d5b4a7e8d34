//! JSON documents of a file, one a line or each over several lines, in blocks of bounded size.

use std::path::Path;

use super::input::{Block, InputError, Line, Lines, Progress};

/// The longest document: that of a session of the largest size takes less.
const DOCUMENT_LIMIT: usize = 32 << 20;
/// Most lines of one document: indented evidence has some dozen.
const MAX_LINES: u64 = 100;

/// A document as it stands in its file. It may be broken: whoever reads it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The file.
    pub file: String,
    /// The line where it begins, from 1.
    pub line: u64,
    /// Its text.
    pub text: String,
}

/// A file of documents, opened.
pub struct Documents {
    lines: Lines,
    block: Block,
    /// A document that goes on in the next block.
    open: Option<(u64, String)>,
    ended: bool,
}

impl Documents {
    /// Opens `path`, or standard input for `-`, plain or compressed.
    ///
    /// # Errors
    /// [`InputError`] naming the file and the mend.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let lines = Lines::open(path, DOCUMENT_LIMIT)?;
        Ok(Self { lines, block: Block::default(), open: None, ended: false })
    }

    /// How far the file was read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.lines.progress()
    }

    /// The next documents, some or none; `None` at the end of the file.
    ///
    /// # Errors
    /// [`InputError`] when the file cannot be read to its end.
    pub fn next_block(&mut self) -> Result<Option<Vec<Document>>, InputError> {
        if self.ended {
            return Ok(None);
        }
        let file = self.lines.name().to_owned();
        let document = |(line, text)| Document { file: file.clone(), line, text };
        let mut found = Vec::new();
        if !self.lines.next_block(&mut self.block)? {
            self.ended = true;
            found.extend(self.open.take().map(document));
            return Ok(Some(found));
        }
        for (number, line) in self.block.lines() {
            let text = match line {
                Line::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Line::TooLong => String::new(),
            };
            let joined = match self.open.take() {
                Some((begun, before)) if before.len() + text.len() < DOCUMENT_LIMIT && number - begun < MAX_LINES => {
                    let joined = format!("{before}\n{text}");
                    match state(&joined) {
                        // The earlier lines were no beginning of this one.
                        State::Broken if state(&text) == State::Whole => {
                            found.push(document((begun, before)));
                            (number, text)
                        }
                        _ => (begun, joined),
                    }
                }
                Some(before) => {
                    found.push(document(before));
                    (number, text)
                }
                None => (number, text),
            };
            if state(&joined.1) == State::Unfinished {
                self.open = Some(joined);
            } else {
                found.push(document(joined));
            }
        }
        Ok(Some(found))
    }
}

#[derive(PartialEq, Eq)]
enum State {
    Whole,
    Unfinished,
    Broken,
}

fn state(text: &str) -> State {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => State::Whole,
        Err(error) if error.is_eof() => State::Unfinished,
        Err(_) => State::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u64, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.ndjson");
        std::fs::write(&path, text).unwrap();
        let mut documents = Documents::open(&path).unwrap();
        let mut all = Vec::new();
        while let Some(block) = documents.next_block().unwrap() {
            all.extend(block.into_iter().map(|document| (document.line, document.text)));
        }
        all
    }

    #[test]
    fn a_document_is_a_line_or_several_and_a_broken_one_spoils_no_other() {
        let of = |line: u64, text: &str| (line, text.to_owned());
        assert_eq!(read("{\"a\":1}\n\n{\"b\":2}\n"), [of(1, "{\"a\":1}"), of(3, "{\"b\":2}")]);
        assert_eq!(read("{\n  \"a\": 1\n}\n{\"b\":2}"), [of(1, "{\n  \"a\": 1\n}"), of(4, "{\"b\":2}")]);
        assert_eq!(read("{\"a\":\n{\"b\":2}\n"), [of(1, "{\"a\":\n{\"b\":2}")], "what goes on is one");
        assert_eq!(read("{\"a\":\"\n{\"b\":2}\n"), [of(1, "{\"a\":\""), of(2, "{\"b\":2}")]);
        assert_eq!(read("nonsense\n{\"b\":2}\n{\"c\""), [of(1, "nonsense"), of(2, "{\"b\":2}"), of(3, "{\"c\"")]);
        assert_eq!(read(""), []);
    }
}
