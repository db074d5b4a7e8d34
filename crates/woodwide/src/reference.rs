//! Rows of people that are known: they fill small batches up, calibrate the service's scores, and watch over its answers.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::table::Cells;
use playproof_domain::features::v1;

/// One row of summary features per session; origin and licences in `data/reference/README.md`.
const BUNDLED: &[u8] = include_bytes!("../../../data/reference/rows.csv.zst");

/// Known human rows, and one row that no human comes near.
#[derive(Debug)]
pub(super) struct Reference {
    rows: Vec<Known>,
    outlier: Known,
    /// Tells sets apart: what was learned with one does not hold for another.
    pub(super) digest: String,
}

#[derive(Debug)]
struct Known {
    game_type: String,
    device_type: String,
    features: Vec<f64>,
}

impl Known {
    fn cells(&self) -> Cells<'_> {
        Cells { game_type: &self.game_type, device_type: &self.device_type, features: &self.features }
    }
}

/// The bundled rows cannot be read: a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("the bundled reference rows are damaged; build the program again")]
pub struct DamagedReference;

impl Reference {
    /// The rows that ship with the program.
    pub(super) fn bundled() -> Result<Arc<Self>, DamagedReference> {
        let csv = zstd::decode_all(BUNDLED).map_err(|_| DamagedReference)?;
        let mut reader = csv::Reader::from_reader(&csv[..]);
        let header = reader.headers().map_err(|_| DamagedReference)?.clone();
        if !header.iter().eq(super::table::columns()) {
            return Err(DamagedReference);
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|_| DamagedReference)?;
            let mut cells = record.iter();
            let (game_type, device_type) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let features: Result<Vec<f64>, _> = cells.map(str::parse).collect();
            rows.push(Known {
                game_type: game_type.to_owned(),
                device_type: device_type.to_owned(),
                features: features.map_err(|_| DamagedReference)?,
            });
        }
        let digest = Sha256::digest(&csv).iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let first = rows.first().ok_or(DamagedReference)?;
        let outlier = Known {
            game_type: first.game_type.clone(),
            device_type: first.device_type.clone(),
            features: (0..v1::COLUMNS.len()).map(|column| far_out(&rows, column)).collect(),
        };
        Ok(Arc::new(Self { rows, outlier, digest }))
    }

    /// Number of human rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The human row at `place`, which wraps around.
    pub(super) fn row(&self, place: usize) -> Cells<'_> {
        self.rows[place % self.rows.len()].cells()
    }

    /// The row far outside of what people do, in every column.
    pub(super) fn outlier(&self) -> Cells<'_> {
        self.outlier.cells()
    }
}

/// Ten times the people's range above their largest value.
fn far_out(rows: &[Known], column: usize) -> f64 {
    let values = || rows.iter().filter_map(|row| row.features.get(column).copied());
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    most + 10.0 * (most - least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_rows_are_enough_to_fail_somebody_and_to_fill_the_largest_batch_up() {
        let reference = Reference::bundled().unwrap();
        assert!(reference.len() >= 1000);
        let outlier = reference.outlier();
        assert!((0..reference.len()).all(|i| reference.row(i).features.len() == 28));
        assert!((0..reference.len()).all(|i| {
            let row = reference.row(i);
            row.features.iter().zip(outlier.features).all(|(human, far)| human <= far)
        }));
    }
}
