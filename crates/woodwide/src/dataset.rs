//! A table to train on, checked before anything is sent: what the service would take silently ends in a useless model.
//!
//! It must hold the columns that scoring sends, as `features` writes them; columns that name a session or a person are
//! dropped here and never leave the process.

use sha2::{Digest as _, Sha256};

/// Fewer rows make a training fail, or learn nothing.
const MIN_ROWS: usize = 10;
/// Wider tables fail inside the service.
const MAX_COLUMNS: usize = 500;
/// Columns that say who it was, in lower case.
const IDENTIFIERS: [&str; 7] = ["sessionid", "session_id", "userid", "user_id", "deploymentid", "deployment_id", "id"];
/// How many of the columns, from the first, hold text.
const TEXTS: usize = 2;
/// Where such a table comes from; ends most refusals.
const MEND: &str = "make the table with `playproof-batch features`";

/// A table that cannot be trained on: where, and the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongTable(String);

/// A table that may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) rows: usize,
    /// Left out because they name a session or a person.
    pub(super) dropped: Vec<String>,
    /// The feature columns in their own order, whatever order they came in.
    pub(super) csv: bytes::Bytes,
    /// Of the content; equal tables have equal ones.
    pub(super) digest: String,
}

/// Whether a column names a session or a person.
pub(super) fn is_identifier(column: &str) -> bool {
    IDENTIFIERS.contains(&column.to_lowercase().as_str())
}

/// The first bytes of a digest as text.
pub(super) fn short_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Checks a CSV file and takes the identifiers out.
pub(super) fn check(text: &str) -> Result<Checked, WrongTable> {
    let wrong = |message: String| WrongTable(message);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(|column| column.trim().to_owned()).collect(),
        Err(error) => return Err(broken(&error)),
    };
    let (places, dropped) = arrange(&header)?;
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(text.len()));
    // Writing to memory does not fail.
    let _ = writer.write_record(super::table::columns());
    let (mut rows, mut record) = (0, csv::StringRecord::new());
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(broken(&error)),
        }
        let line = record.position().map_or(0, csv::Position::line);
        for (nth, place) in places.iter().enumerate().skip(TEXTS) {
            let value = record.get(*place).unwrap_or_default().trim();
            if !value.parse::<f64>().is_ok_and(f64::is_finite) {
                let column = super::table::columns().nth(nth).unwrap_or_default();
                let shown: String = value.chars().take(40).collect();
                return Err(wrong(format!("line {line}, column {column}: {shown:?} is no finite number; {MEND}")));
            }
        }
        let _ = writer.write_record(places.iter().map(|place| record.get(*place).unwrap_or_default().trim()));
        rows += 1;
    }
    if rows < MIN_ROWS {
        let message = format!("the table has {rows} rows, too few to train on; send at least {MIN_ROWS}, better 1,000");
        return Err(wrong(message));
    }
    let csv = writer.into_inner().unwrap_or_default();
    let digest = short_digest(&csv);
    Ok(Checked { rows, dropped, csv: csv.into(), digest })
}

/// Where each feature column stands in the file, and the columns that are left out.
fn arrange(header: &[String]) -> Result<(Vec<usize>, Vec<String>), WrongTable> {
    if header.len() > MAX_COLUMNS {
        let message = format!("the table has {} columns, more than {MAX_COLUMNS}; {MEND}", header.len());
        return Err(WrongTable(message));
    }
    let mut dropped = Vec::new();
    for (place, column) in header.iter().enumerate() {
        if header.iter().take(place).any(|other| other == column) {
            return Err(WrongTable(format!("line 1: the column {column:?} is there twice; remove one")));
        }
        if is_identifier(column) {
            dropped.push(column.clone());
        } else if !super::table::columns().any(|known| known == column) {
            let near = super::table::columns().max_by(|a, b| likeness(a, column).total_cmp(&likeness(b, column)));
            let near = near.filter(|near| likeness(near, column) > 0.8);
            let hint = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
            let shown: String = column.chars().take(60).collect();
            return Err(WrongTable(format!("line 1: {shown:?} is no feature column{hint}; {MEND}")));
        }
    }
    let place = |wanted: &str| {
        let found = header.iter().position(|column| column == wanted);
        found.ok_or_else(|| WrongTable(format!("line 1: the column {wanted} is missing; {MEND}")))
    };
    Ok((super::table::columns().map(place).collect::<Result<_, _>>()?, dropped))
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

fn broken(error: &csv::Error) -> WrongTable {
    let line = error.position().map_or(0, csv::Position::line);
    WrongTable(match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line}: {len} values under {expected_len} columns; give every line one value a column")
        }
        _ => format!("line {line}: this is no CSV in UTF-8; {MEND}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &[&str], rows: usize) -> String {
        let line = |i: usize| {
            let cell = |column: &&str| match *column {
                "sessionId" => format!("s-{i}"),
                "gameType" | "deviceType" => "osu".to_owned(),
                _ => format!("{i}.5"),
            };
            header.iter().map(cell).collect::<Vec<_>>().join(",")
        };
        let lines = (0..rows).map(line);
        std::iter::once(header.join(",")).chain(lines).collect::<Vec<_>>().join("\n")
    }

    fn header() -> Vec<&'static str> {
        std::iter::once("sessionId").chain(super::super::table::columns()).collect()
    }

    #[test]
    fn identifiers_stay_here_and_the_order_of_columns_is_no_content() {
        let checked = check(&table(&header(), 10)).unwrap();
        assert_eq!((checked.rows, checked.dropped.as_slice()), (10, ["sessionId".to_owned()].as_slice()));
        let sent = String::from_utf8(checked.csv.to_vec()).unwrap();
        assert!(sent.starts_with("gameType,deviceType,durationMs,") && !sent.contains("s-3"));
        let mut turned = header();
        turned.reverse();
        assert_eq!(check(&table(&turned, 10)).unwrap().digest, checked.digest);
        assert_ne!(check(&table(&header(), 11)).unwrap().digest, checked.digest);
    }

    #[test]
    fn a_table_that_would_train_a_useless_model_is_refused_with_its_place() {
        let refused = |text: &str| check(text).unwrap_err().to_string();
        assert!(refused(&table(&header(), 9)).contains("9 rows"));
        assert!(refused("").contains("missing"));
        let mut misspelt = header();
        misspelt[7] = "avgSpeeed";
        let said = refused(&table(&misspelt, 10));
        assert!(said.contains("avgSpeeed") && said.contains("did you mean avgSpeed?"), "{said}");
        assert!(refused(&table(&header()[..20], 10)).contains("is missing"));
        let mut twice = header();
        twice.push("avgSpeed");
        assert!(refused(&table(&twice, 10)).contains("twice"));
        let wide: Vec<String> = (0..501).map(|i| format!("c{i}")).collect();
        assert!(refused(&wide.join(",")).contains("501 columns"));
        let good = table(&header(), 12);
        let ragged = good.replacen("s-4,osu,osu,", "s-4,osu,", 1);
        assert!(refused(&ragged).starts_with("line 6: 30 values under 31 columns"), "{}", refused(&ragged));
        let text = good.replacen("s-4,osu,osu,4.5", "s-4,osu,osu,NaN", 1);
        assert!(refused(&text).starts_with("line 6, column durationMs: \"NaN\""), "{}", refused(&text));
    }
}
