//! Rows as the CSV file that is sent: feature columns and the claimed classes, no identifier.

use playproof_domain::features::v1;

/// What is sent of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'r> {
    pub(super) game_type: &'r str,
    pub(super) device_type: &'r str,
    /// In the order of [`v1::COLUMNS`].
    pub(super) features: &'r [f64],
}

/// A CSV file under the name that it gets on the service.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) csv: bytes::Bytes,
}

/// The columns that are sent, which are those a model should be trained on.
pub(super) fn columns() -> impl Iterator<Item = &'static str> {
    ["gameType", "deviceType"].into_iter().chain(v1::COLUMNS)
}

impl Table {
    /// The file of `rows`.
    pub(super) fn new<'r>(name: String, rows: impl Iterator<Item = Cells<'r>>) -> Self {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let _ = writer.write_record(columns());
        let mut count = 0;
        for row in rows {
            let numbers = row.features.iter().map(ToString::to_string);
            let texts = [row.game_type.to_owned(), row.device_type.to_owned()];
            let _ = writer.write_record(texts.into_iter().chain(numbers));
            count += 1;
        }
        Self { name, rows: count, csv: writer.into_inner().unwrap_or_default().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_features_and_claims_and_nothing_that_names_a_session() {
        let features: Vec<f64> = (0..28).map(|i| f64::from(i) + 0.5).collect();
        let row = Cells { game_type: "a,b\n\"c\"", device_type: "mouse", features: &features };
        let table = Table::new("t".to_owned(), [row, row].into_iter());
        let mut reader = csv::Reader::from_reader(&table.csv[..]);
        let header = reader.headers().unwrap().clone();
        assert_eq!((header.len(), table.rows), (30, 2));
        assert!(!header.iter().any(|column| column.to_lowercase().contains("id") && column != "avgSpeed"));
        let read: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!((&read[1][0], &read[1][1], &read[1][29]), ("a,b\n\"c\"", "mouse", "27.5"));
    }
}
