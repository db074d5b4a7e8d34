//! Results as JSON, CSV and Parquet, right or as faults have them.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::json;

use crate::fault::{Data, Fault, Struck};
use crate::job::{Output, Scored};
use crate::tamper::{Cell, Row, rows};

const HEADERS: [&str; 3] = ["id", "is_anomaly", "anomaly_score"];

/// The file of a result.
pub(crate) fn file(scored: &Scored, about: &[(&str, String)]) -> Vec<u8> {
    let rows = rows(scored);
    match scored.output {
        Output::Json => {
            let shape = data_shape(&scored.struck).unwrap_or(Data::Bare);
            wrapped(&data(&rows, scored.per_row, shape, &scored.struck), shape).into_bytes()
        }
        Output::Csv => csv(&rows, scored.per_row, &scored.struck).into_bytes(),
        // Writing to memory fails only when the schema is wrong, which the tests rule out.
        Output::Parquet => parquet(&columns(&rows, scored.per_row), about).unwrap_or_default(),
    }
}

fn wrapped(data: &str, shape: Data) -> String {
    if matches!(shape, Data::Bare | Data::BareRows) { data.to_owned() } else { format!("{{\"data\":{data}}}") }
}

/// The answer of a synchronous call: the head's fields, and the rows among them.
pub(crate) fn sync_json(scored: &Scored, head: &serde_json::Value) -> String {
    let shape = data_shape(&scored.struck).unwrap_or(Data::Columns);
    let data = data(&rows(scored), scored.per_row, shape, &scored.struck);
    if matches!(shape, Data::Bare | Data::BareRows) {
        return data;
    }
    let head = head.to_string();
    // The rows are put in as text: they may hold NaN, which no JSON value can.
    format!("{},\"data\":{data}}}", head.strip_suffix('}').unwrap_or(&head))
}

fn data_shape(struck: &[Struck]) -> Option<Data> {
    struck.iter().find_map(|struck| if let Fault::Data(data) = struck.fault { Some(data) } else { None })
}

fn data(rows: &[Row], per_row: bool, shape: Data, struck: &[Struck]) -> String {
    let list = |cell: &dyn Fn(&Row) -> String| rows.iter().map(cell).collect::<Vec<_>>().join(",");
    match shape {
        Data::CsvText => json!(csv(rows, per_row, struck)).to_string(),
        _ if !per_row => {
            let ids: Vec<String> = flagged(rows).map(|row| json_cell(&row.id)).collect();
            let ids = ids.join(",");
            if matches!(shape, Data::Rows | Data::BareRows) {
                format!("[{ids}]")
            } else {
                format!("{{\"anomalous_ids\":[{ids}]}}")
            }
        }
        Data::Rows | Data::BareRows => {
            let object = |row: &Row| {
                let (id, flag, score) = (json_cell(&row.id), json_flag(row.flag), json_cell(&row.score));
                format!("{{\"id\":{id},\"is_anomaly\":{flag},\"anomaly_score\":{score}}}")
            };
            format!("[{}]", list(&object))
        }
        Data::Columns | Data::Bare => format!(
            "{{\"id\":[{}],\"is_anomaly\":[{}],\"anomaly_score\":[{}]}}",
            list(&|row| json_cell(&row.id)),
            list(&|row| json_flag(row.flag).to_owned()),
            list(&|row| json_cell(&row.score)),
        ),
    }
}

/// The rows that `ids_only` names.
pub(crate) fn flagged(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.flag == Some(true))
}

fn json_flag(flag: Option<bool>) -> &'static str {
    match flag {
        None => "null",
        Some(true) => "true",
        Some(false) => "false",
    }
}

fn json_cell(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "null".to_owned(),
        Cell::Count(count) => count.to_string(),
        Cell::Real(value) if value.is_nan() => "NaN".to_owned(),
        Cell::Real(value) if value.is_infinite() => "Infinity".to_owned(),
        Cell::Real(value) => json!(value).to_string(),
        Cell::Text(text) => json!(text).to_string(),
    }
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Real(value) if value.is_nan() => "nan".to_owned(),
        Cell::Real(value) if value.is_infinite() => "inf".to_owned(),
        other => json_cell(other),
    }
}

/// Rows as CSV text, with the faults of CSV.
pub(crate) fn csv(rows: &[Row], per_row: bool, struck: &[Struck]) -> String {
    let has = |fault: &Fault| struck.iter().any(|struck| struck.fault == *fault);
    let spelling =
        struck.iter().find_map(|s| if let Fault::CsvBooleans(spelling) = s.fault { Some(spelling) } else { None });
    let [no, yes] = *spelling.unwrap_or(&["false", "true"]);
    let flag = |flag: Option<bool>| flag.map_or("", |flag| if flag { yes } else { no }).to_owned();
    let lines: Vec<Vec<String>> = if per_row {
        rows.iter().map(|row| vec![csv_cell(&row.id), flag(row.flag), csv_cell(&row.score)]).collect()
    } else if has(&Fault::CsvIdList) {
        let ids: Vec<String> = flagged(rows).map(|row| csv_cell(&row.id)).collect();
        vec![vec![format!("[{}]", ids.join(", "))]]
    } else {
        flagged(rows).map(|row| vec![csv_cell(&row.id)]).collect()
    };
    let headers: &[&str] = if per_row { &HEADERS } else { &["anomalous_ids"] };
    let style = if has(&Fault::CsvQuoted) { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
    let terminator = if has(&Fault::CsvCrlf) { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
    let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(terminator).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(headers);
    for line in &lines {
        let _ = writer.write_record(line);
    }
    let text = String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default();
    if has(&Fault::CsvBom) { format!("\u{feff}{text}") } else { text }
}

/// The values of a column.
pub(crate) enum Values {
    Count(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
}

/// The columns of a result.
pub(crate) fn columns(rows: &[Row], per_row: bool) -> Vec<(String, Values)> {
    let id = |row: &Row| if let Cell::Count(id) = row.id { i64::try_from(id).ok() } else { None };
    let id_text = |row: &Row| Some(csv_cell(&row.id)).filter(|text| !text.is_empty());
    let texts = rows.iter().any(|row| matches!(row.id, Cell::Text(_)));
    let ids = |rows: &mut dyn Iterator<Item = &Row>| {
        if texts { Values::Text(rows.map(id_text).collect()) } else { Values::Count(rows.map(id).collect()) }
    };
    if !per_row {
        return vec![("anomalous_ids".to_owned(), ids(&mut flagged(rows)))];
    }
    let score = |row: &Row| if let Cell::Real(score) = row.score { Some(score) } else { None };
    vec![
        (HEADERS[0].to_owned(), ids(&mut rows.iter())),
        (HEADERS[1].to_owned(), Values::Flag(rows.iter().map(|row| row.flag).collect())),
        (HEADERS[2].to_owned(), Values::Real(rows.iter().map(score).collect())),
    ]
}

/// Columns as a Parquet file, with facts about the file in its metadata.
pub(crate) fn parquet(columns: &[(String, Values)], about: &[(&str, String)]) -> Result<Vec<u8>> {
    let fields = columns.iter().map(|(name, values)| field(name, values)).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Type::group_type_builder("results").with_fields(fields).build()?);
    let facts = about.iter().map(|(name, value)| KeyValue::new((*name).to_owned(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_key_value_metadata(Some(facts))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for (_, values) in columns {
        match values {
            Values::Count(values) => write::<Int64Type>(&mut group, values)?,
            Values::Real(values) => write::<DoubleType>(&mut group, values)?,
            Values::Flag(values) => write::<BoolType>(&mut group, values)?,
            Values::Text(values) => {
                let values: Vec<Option<ByteArray>> =
                    values.iter().map(|text| text.as_ref().map(|text| ByteArray::from(text.as_str()))).collect();
                write::<ByteArrayType>(&mut group, &values)?;
            }
        }
    }
    group.close()?;
    file.into_inner()
}

fn write<T: DataType>(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, cells: &[Option<T::T>]) -> Result<()> {
    let missing = || ParquetError::General("the schema has fewer columns than the table".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let values: Vec<T::T> = cells.iter().flatten().cloned().collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}

fn field(name: &str, values: &Values) -> Result<Arc<Type>> {
    let builder = match values {
        Values::Count(_) => Type::primitive_type_builder(name, Physical::INT64),
        Values::Real(_) => Type::primitive_type_builder(name, Physical::DOUBLE),
        Values::Flag(_) => Type::primitive_type_builder(name, Physical::BOOLEAN),
        Values::Text(_) => {
            Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String))
        }
    };
    Ok(Arc::new(builder.with_repetition(Repetition::OPTIONAL).build()?))
}
