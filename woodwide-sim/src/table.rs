//! A table as it was uploaded: CSV or Parquet, told apart by their first bytes, never by a declared type. Cells stay
//! text; an empty one is a missing value.

use bytes::Bytes;
use csv::{ReaderBuilder, StringRecord};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The text a table may grow to in memory; compressed Parquet can be far larger than its file.
const MAX_TEXT: usize = 512 << 20;

/// Rows under named columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) headers: Vec<String>,
    pub(crate) rows: Vec<StringRecord>,
}

impl Table {
    /// Reads a file; the error says what is wrong with it.
    pub(crate) fn read(file: &Bytes) -> Result<Self, String> {
        if file.starts_with(b"PAR1") { Self::read_parquet(file) } else { Self::read_csv(file) }
    }

    fn read_csv(file: &[u8]) -> Result<Self, String> {
        let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(text);
        let headers: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
        if headers.is_empty() {
            return Err("the file has no header".to_owned());
        }
        let rows = reader.into_records().collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(Self { headers, rows })
    }

    fn read_parquet(file: &Bytes) -> Result<Self, String> {
        let reader = SerializedFileReader::new(file.clone()).map_err(|e| e.to_string())?;
        let fields = reader.metadata().file_metadata().schema_descr().root_schema().get_fields();
        let headers = fields.iter().map(|field| field.name().to_owned()).collect();
        let mut rows = Vec::new();
        let mut text = 0;
        for row in reader.get_row_iter(None).map_err(|e| e.to_string())? {
            let row = row.map_err(|e| e.to_string())?;
            let record: StringRecord = row.get_column_iter().map(|(_, field)| cell(field)).collect();
            text += record.as_slice().len();
            if text > MAX_TEXT {
                return Err("the table is too large once decompressed".to_owned());
            }
            rows.push(record);
        }
        Ok(Self { headers, rows })
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.headers.iter().position(|header| header == name)
    }

    /// The text of a cell; missing cells and columns are empty.
    pub(crate) fn cell(&self, row: usize, column: Option<usize>) -> &str {
        column.and_then(|column| self.rows.get(row)?.get(column)).unwrap_or_default()
    }

    /// Whether a column holds numbers: every value that is there is one.
    pub(crate) fn is_numeric(&self, column: usize) -> bool {
        let mut values = self.rows.iter().filter_map(|row| row.get(column)).filter(|text| !text.is_empty()).peekable();
        values.peek().is_some() && values.all(|text| number(text).is_some())
    }

    /// Columns with their broad types.
    pub(crate) fn schema(&self) -> Value {
        let columns: Vec<Value> = (0..self.headers.len())
            .map(|at| {
                let kind = if self.is_numeric(at) { "numeric" } else { "categorical" };
                json!({"name": self.headers[at], "type": kind, "values": null})
            })
            .collect();
        json!({ "columns": columns })
    }

    /// One row as an object.
    pub(crate) fn object(&self, row: usize) -> Map<String, Value> {
        let value = |at| {
            let text = self.cell(row, Some(at));
            match number(text) {
                Some(value) => json!(value),
                None if text.is_empty() => Value::Null,
                None => json!(text),
            }
        };
        self.headers.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect()
    }

    /// SHA-256, in hex, of a row's cells joined by the unit separator (0x1F): names one row whatever its place.
    pub(crate) fn row_digest(&self, row: usize) -> String {
        let mut digest = Sha256::new();
        for (at, cell) in self.rows[row].iter().enumerate() {
            if at > 0 {
                digest.update([0x1f]);
            }
            digest.update(cell);
        }
        crate::signing::hex(&digest.finalize())
    }
}

/// The finite number a text writes.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

fn cell(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Double(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        other => other.to_string(),
    }
}

/// Writes rows as CSV, quoted where needed.
pub(crate) fn write_csv(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(headers);
    for row in rows {
        let _ = writer.write_record(&row);
    }
    let _ = writer.flush();
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_with_a_byte_order_mark_and_short_rows_is_read() {
        let table = Table::read(&Bytes::from_static(b"\xef\xbb\xbfa,b\n1,x\n2\n")).unwrap();
        assert_eq!(table.headers, ["a", "b"]);
        assert_eq!((table.cell(0, Some(1)), table.cell(1, Some(1)), table.cell(9, None)), ("x", "", ""));
        assert!(table.is_numeric(0) && !table.is_numeric(1));
    }

    #[test]
    fn a_file_that_is_no_table_is_refused() {
        assert!(Table::read(&Bytes::new()).is_err());
        assert!(Table::read(&Bytes::from_static(b"PAR1 but not really")).is_err());
    }

    #[test]
    fn a_row_digest_depends_on_the_cells_alone() {
        let table = Table::read(&Bytes::from_static(b"a,b\n1,x\n2,y\n1,x\n")).unwrap();
        assert_eq!(table.row_digest(0), table.row_digest(2));
        assert_ne!(table.row_digest(0), table.row_digest(1));
    }
}
