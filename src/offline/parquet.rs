//! Parquet with bounded memory: rows gather in columns and go out as a row group of fixed size.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::table::{Cells, Kind, Rows, Table};

/// Rows of a row group: enough to compress well, few enough to keep in memory.
const GROUP_ROWS: usize = 8192;

/// Writes the rows of one table to one file.
pub(super) struct GroupWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    optional: Vec<bool>,
    pending: Vec<Cells>,
    rows: usize,
}

impl<W: Write + Send> GroupWriter<W> {
    pub(super) fn new(table: &Table, to: W) -> Result<Self> {
        let fields = table.columns.iter().map(|(name, kind)| field(name, *kind)).collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(Type::group_type_builder("sessions").with_fields(fields).build()?);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("playproof-batch ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .build();
        Ok(Self {
            file: SerializedFileWriter::new(to, schema, Arc::new(properties))?,
            optional: table.columns.iter().map(|(_, kind)| *kind == Kind::OptionalNumber).collect(),
            pending: table.columns.iter().map(|(_, kind)| Cells::new(*kind)).collect(),
            rows: 0,
        })
    }

    pub(super) fn inner(&self) -> &W {
        self.file.inner()
    }

    /// Takes the rows; row groups end at the same rows however they arrive.
    pub(super) fn write(&mut self, rows: &Rows) -> Result<()> {
        let mut from = 0;
        while from < rows.len() {
            let to = rows.len().min(from + GROUP_ROWS - self.rows);
            for (pending, cells) in self.pending.iter_mut().zip(&rows.cells) {
                append(pending, cells, from, to);
            }
            self.rows += to - from;
            from = to;
            if self.rows == GROUP_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.file.into_inner()
    }

    fn flush(&mut self) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        for (pending, optional) in self.pending.iter_mut().zip(&self.optional) {
            let missing = || ParquetError::General("the schema has fewer columns than the table".to_owned());
            let mut column = group.next_column()?.ok_or_else(missing)?;
            match pending {
                Cells::Text { bytes, ends } => {
                    let bytes = Bytes::from(std::mem::take(bytes));
                    let starts = std::iter::once(0).chain(ends.iter().copied());
                    let texts: Vec<ByteArray> =
                        starts.zip(ends.iter()).map(|(start, end)| bytes.slice(start..*end).into()).collect();
                    column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
                }
                Cells::Number(cells) => {
                    let values: Vec<f64> = cells.iter().flatten().copied().collect();
                    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
                    let levels = optional.then_some(levels.as_slice());
                    column.typed::<DoubleType>().write_batch(&values, levels, None)?;
                }
                Cells::Flag(cells) => {
                    column.typed::<BoolType>().write_batch(cells, None, None)?;
                }
            }
            column.close()?;
            pending.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn field(name: &str, kind: Kind) -> Result<Arc<Type>> {
    let builder = match kind {
        Kind::Text => {
            Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String))
        }
        Kind::Number | Kind::OptionalNumber => Type::primitive_type_builder(name, Physical::DOUBLE),
        Kind::Flag => Type::primitive_type_builder(name, Physical::BOOLEAN),
    };
    let repetition = if kind == Kind::OptionalNumber { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    Ok(Arc::new(builder.with_repetition(repetition).build()?))
}

/// Appends the cells `from..to` to those pending.
fn append(pending: &mut Cells, cells: &Cells, from: usize, to: usize) {
    match (pending, cells) {
        (Cells::Text { bytes, ends }, Cells::Text { bytes: more, ends: more_ends }) => {
            let start = if from == 0 { 0 } else { more_ends[from - 1] };
            let base = bytes.len();
            ends.extend(more_ends[from..to].iter().map(|end| base + end - start));
            bytes.extend_from_slice(&more[start..more_ends[to - 1]]);
        }
        (Cells::Number(numbers), Cells::Number(more)) => numbers.extend_from_slice(&more[from..to]),
        (Cells::Flag(flags), Cells::Flag(more)) => flags.extend_from_slice(&more[from..to]),
        _ => debug_assert!(false, "both sides are made from one table"),
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    use super::super::table::{Format, Quote};
    use super::*;

    #[test]
    fn rows_come_back_in_order_and_groups_do_not_depend_on_how_they_arrived() {
        let columns =
            vec![("id", Kind::Text), ("value", Kind::Number), ("maybe", Kind::OptionalNumber), ("ok", Kind::Flag)];
        let table = Arc::new(Table { columns, format: Format::Parquet, quote: Quote::Needed });
        let count = GROUP_ROWS * 2 + 100;
        let written = |step: usize| {
            let mut writer = GroupWriter::new(&table, Vec::new()).unwrap();
            let mut rows = Rows::new(&table);
            for i in 0..count {
                rows.text(&format!("é{i}"));
                rows.number(f64::from(u32::try_from(i).unwrap()) / 3.0);
                rows.optional_number((i % 3 == 0).then_some(0.5));
                rows.flag(i % 2 == 0);
                rows.end_row();
                if rows.len() == step {
                    writer.write(&rows).unwrap();
                    rows.clear();
                }
            }
            writer.write(&rows).unwrap();
            writer.finish().unwrap()
        };
        let file = written(37);
        assert!(file == written(GROUP_ROWS + 1), "the bytes depend on the rows alone");

        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        assert_eq!(reader.num_row_groups(), 3);
        let mut seen = 0;
        for (i, row) in reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).enumerate() {
            assert_eq!(row.get_string(0).unwrap(), &format!("é{i}"));
            assert!((row.get_double(1).unwrap() - f64::from(u32::try_from(i).unwrap()) / 3.0).abs() < 1e-12);
            assert_eq!(row.get_double(2).is_ok(), i % 3 == 0);
            assert_eq!(row.get_bool(3).unwrap(), i % 2 == 0);
            seen += 1;
        }
        assert_eq!(seen, count);
    }
}
