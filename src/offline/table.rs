//! Rows of a table, encoded where they are computed: text formats to bytes, Parquet to columns.
//!
//! Workers fill [`Rows`] in parallel and [`super::output`] only has to put them one after the other.

use crate::domain::printable::printable;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

/// The file formats that rows are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet, zstd-compressed.
    Parquet,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A finite number.
    Number,
    /// A finite number or nothing.
    OptionalNumber,
    /// True or false.
    Flag,
}

/// Which texts of a CSV stand in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// Every one.
    Always,
    /// Those that hold a comma, a quote or a line break.
    Needed,
}

/// The shape of a table and how it is written.
#[derive(Debug)]
pub struct Table {
    /// Names and kinds in order.
    pub columns: Vec<(&'static str, Kind)>,
    /// The file format.
    pub format: Format,
    /// For CSV.
    pub quote: Quote,
}

impl Table {
    /// What stands before the first row of a text format.
    #[must_use]
    pub fn header(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        if self.format == Format::Csv { names.join(",") + "\n" } else { String::new() }
    }
}

/// The cells of one column, for Parquet.
#[derive(Debug)]
pub(super) enum Cells {
    /// Texts one after the other, with the place where each ends.
    Text { bytes: Vec<u8>, ends: Vec<usize> },
    /// Numbers; `None` where there is none.
    Number(Vec<Option<f64>>),
    /// Flags.
    Flag(Vec<bool>),
}

impl Cells {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text { bytes: Vec::new(), ends: Vec::new() },
            Kind::Number | Kind::OptionalNumber => Self::Number(Vec::new()),
            Kind::Flag => Self::Flag(Vec::new()),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Text { bytes, ends } => {
                bytes.clear();
                ends.clear();
            }
            Self::Number(cells) => cells.clear(),
            Self::Flag(cells) => cells.clear(),
        }
    }
}

/// Some rows of a table. Cells are given in the order of its columns, then the row is ended.
#[derive(Debug)]
pub struct Rows {
    table: Arc<Table>,
    column: usize,
    count: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) cells: Vec<Cells>,
}

impl Rows {
    /// No rows yet.
    #[must_use]
    pub fn new(table: &Arc<Table>) -> Self {
        let cells = if table.format == Format::Parquet {
            table.columns.iter().map(|(_, kind)| Cells::new(*kind)).collect()
        } else {
            Vec::new()
        };
        Self { table: Arc::clone(table), column: 0, count: 0, bytes: Vec::new(), cells }
    }

    /// How many rows were ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the rows and keeps the buffers.
    pub fn clear(&mut self) {
        (self.column, self.count) = (0, 0);
        self.bytes.clear();
        self.cells.iter_mut().for_each(Cells::clear);
    }

    /// The next cell, a text.
    pub fn text(&mut self, value: &str) {
        self.lead(Kind::Text);
        match self.table.format {
            Format::Csv => put_csv_text(&mut self.bytes, value, self.table.quote),
            Format::Ndjson => put_json_text(&mut self.bytes, value),
            Format::Parquet => {
                if let Some(Cells::Text { bytes, ends }) = self.cells.get_mut(self.column) {
                    bytes.extend_from_slice(value.as_bytes());
                    ends.push(bytes.len());
                }
            }
        }
        self.column += 1;
    }

    /// The next cell, a number.
    pub fn number(&mut self, value: f64) {
        self.lead(Kind::Number);
        self.put_number(Some(value));
    }

    /// The next cell, a number or nothing.
    pub fn optional_number(&mut self, value: Option<f64>) {
        self.lead(Kind::OptionalNumber);
        self.put_number(value);
    }

    /// The next cell, a flag.
    pub fn flag(&mut self, value: bool) {
        self.lead(Kind::Flag);
        match self.cells.get_mut(self.column) {
            Some(Cells::Flag(cells)) => cells.push(value),
            _ => self.bytes.extend_from_slice(if value { b"true" } else { b"false" }),
        }
        self.column += 1;
    }

    /// Ends the row, all of whose cells were given.
    pub fn end_row(&mut self) {
        debug_assert_eq!(self.column, self.table.columns.len(), "a row has a cell for each column");
        match self.table.format {
            Format::Csv => self.bytes.push(b'\n'),
            Format::Ndjson => self.bytes.extend_from_slice(b"}\n"),
            Format::Parquet => {}
        }
        self.column = 0;
        self.count += 1;
    }

    fn put_number(&mut self, value: Option<f64>) {
        // Neither JSON nor the readers of a CSV know a number that is not finite.
        let value = value.filter(|v| v.is_finite());
        match (self.cells.get_mut(self.column), value) {
            (Some(Cells::Number(cells)), _) => cells.push(value),
            (_, Some(value)) => put_number(&mut self.bytes, value),
            (_, None) if self.table.format == Format::Ndjson => self.bytes.extend_from_slice(b"null"),
            (_, None) => {}
        }
        self.column += 1;
    }

    /// What stands before a cell in the text formats.
    fn lead(&mut self, kind: Kind) {
        debug_assert_eq!(self.table.columns.get(self.column).map(|c| c.1), Some(kind), "cells come in column order");
        match self.table.format {
            Format::Csv => {
                if self.column > 0 {
                    self.bytes.push(b',');
                }
            }
            Format::Ndjson => {
                self.bytes.extend_from_slice(if self.column == 0 { b"{\"" } else { b",\"" });
                // Column names are our own and hold nothing that JSON would escape.
                self.bytes.extend_from_slice(self.table.columns[self.column].0.as_bytes());
                self.bytes.extend_from_slice(b"\":");
            }
            Format::Parquet => {}
        }
    }
}

/// The shortest decimal that reads back as `value`, without an exponent.
fn put_number(out: &mut Vec<u8>, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range of an i64")]
    let whole = (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64);
    // Writing to a Vec cannot fail.
    let _ = match whole {
        Some(whole) => write!(out, "{whole}"),
        None => write!(out, "{value}"),
    };
}

fn put_csv_text(out: &mut Vec<u8>, text: &str, quote: Quote) {
    let text = printable(text);
    let special = |b: u8| matches!(b, b',' | b'"' | b'\n' | b'\r');
    if quote == Quote::Needed && !text.bytes().any(special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn put_json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if u32::from(c) < 0x20 => {
                let mut escape = String::with_capacity(6);
                let _ = write!(escape, "\\u{:04x}", u32::from(c));
                out.extend_from_slice(escape.as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(format: Format, quote: Quote) -> Rows {
        let columns =
            vec![("name", Kind::Text), ("value", Kind::Number), ("maybe", Kind::OptionalNumber), ("ok", Kind::Flag)];
        Rows::new(&Arc::new(Table { columns, format, quote }))
    }

    fn fill(rows: &mut Rows, name: &str, value: f64, maybe: Option<f64>, ok: bool) {
        rows.text(name);
        rows.number(value);
        rows.optional_number(maybe);
        rows.flag(ok);
        rows.end_row();
    }

    proptest! {
        #[test]
        fn text_formats_read_back_as_what_was_written(
            name in ".*", value in proptest::num::f64::NORMAL, maybe in proptest::option::of((-1e9..1e9f64).prop_map(|v| v + 0.5)), ok: bool, always: bool,
        ) {
            let quote = if always { Quote::Always } else { Quote::Needed };
            let mut csv_rows = rows(Format::Csv, quote);
            fill(&mut csv_rows, &name, value, maybe, ok);
            let text = [csv_rows.table.header().as_bytes(), &csv_rows.bytes].concat();
            let record = csv::Reader::from_reader(text.as_slice()).records().next().unwrap().unwrap();
            prop_assert_eq!(&record[0], &*printable(&name));
            prop_assert_eq!(record[1].parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert_eq!(record[2].parse::<f64>().ok(), maybe);
            prop_assert_eq!(record[3].parse::<bool>().unwrap(), ok);

            let mut json_rows = rows(Format::Ndjson, quote);
            fill(&mut json_rows, &name, value, maybe, ok);
            let object: serde_json::Value = serde_json::from_slice(&json_rows.bytes).unwrap();
            prop_assert_eq!(&object["name"], &serde_json::json!(name));
            prop_assert_eq!(object["value"].as_f64().unwrap().to_bits(), value.to_bits());
            prop_assert_eq!(&object["maybe"], &serde_json::json!(maybe));
            prop_assert_eq!(&object["ok"], &serde_json::json!(ok));
        }
    }

    #[test]
    fn numbers_are_plain_and_texts_quoted_as_asked() {
        let mut always = rows(Format::Csv, Quote::Always);
        fill(&mut always, "osu", 9727.0, Some(0.000_003_026_214_327_905_840_7), true);
        fill(&mut always, "a\"b", 0.1 + 0.2, None, false);
        let text = String::from_utf8(always.bytes).unwrap();
        assert_eq!(text, "\"osu\",9727,0.0000030262143279058407,true\n\"a\"\"b\",0.30000000000000004,,false\n");
        let mut needed = rows(Format::Csv, Quote::Needed);
        fill(&mut needed, "osu", -1.5, None, true);
        assert_eq!(needed.bytes, b"osu,-1.5,,true\n");
    }
}
