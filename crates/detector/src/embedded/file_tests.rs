//! Model files: written and read back, and damaged ones refused.

use proptest::prelude::*;

use super::*;
use crate::embedded::Model;

/// A judge whose people have raw scores and distances up to `spread`.
fn judge(spread: f64) -> Judge {
    let people = |centre: f64| Profile(SHARES.map(|share| centre * (0.5 + share)));
    let columns = vec![Column { index: 3, people: people(200.0) }, Column { index: 16, people: people(0.4) }];
    let split = |column, threshold| Split { column, threshold };
    let splits = vec![split(0, 150.0), split(1, f32::INFINITY), split(1, 0.5)];
    let trees = Boosted::from_parts(2, splits, vec![0.1, -0.2, 0.3, -0.4], 2).unwrap();
    let rows: Vec<Vec<f64>> = (0..400)
        .map(|i| {
            let mut row = vec![0.0; 28];
            (row[3], row[16], row[26]) = (100.0 + f64::from(i), f64::from(i % 20) / 20.0, 10.0 + f64::from(i % 50));
            row
        })
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let of = |values: Vec<f64>| {
        let set = Calibration::new(values);
        vec![Source { raw: set.clone(), distance: set }]
    };
    let home = of((0..400).map(|i| f64::from(i) * spread / 400.0).collect());
    let foreign = of((0..200).map(f64::from).collect());
    let familiarity = Familiarity::fit(&[26], &rows, &rows).unwrap();
    Judge {
        classifier: Classifier::from_parts(columns, trees, 28).unwrap(),
        support: Support::fit(&rows, &[3, 16]).unwrap(),
        calibration: SourceCalibration::new(familiarity, home, foreign).unwrap(),
    }
}

/// A small model with every kind of part.
pub(in super::super) fn small() -> Contents {
    Contents { set: FeatureSet::V1, provenance: "Nobody.".to_owned(), judge: judge(4.0) }
}

#[test]
fn a_model_comes_back_from_its_file_bit_for_bit() {
    let file = small().encode();
    let (back, _) = Contents::decode(&file).unwrap();
    assert_eq!(back, small());
    assert_eq!(back.encode(), file);
}

#[test]
fn files_that_are_no_model_of_ours_are_refused_in_a_sentence() {
    let message = |bytes: &[u8]| Model::load(bytes).unwrap_err().to_string();
    assert!(message(b"").starts_with("this is not a model file"));
    assert!(message(b"PK\x03\x04 something else").starts_with("this is not a model file"));
    let mut newer = small().encode();
    newer[8] = 9;
    assert!(message(&newer).contains("format 9"));
    let mut other = small();
    other.provenance = "\u{1}".repeat(1000);
    let file = other.encode();
    assert!(message(&file[..file.len() - 1]).contains("its length is wrong"));
}

/// A file whose checksum and length fit, so that only the parser stands between it and the model.
fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len().saturating_sub(DIGEST));
    let length = file.len() as u64 - 20;
    file[12..20].copy_from_slice(&length.to_le_bytes());
    let digest = Sha256::digest(&file);
    file.extend_from_slice(&digest);
    file
}

#[test]
fn another_programs_columns_are_refused_even_with_a_valid_checksum() {
    let mut file = small().encode();
    let at = file.windows(8).position(|w| w == b"avgSpeed").unwrap();
    file[at] = b'X';
    assert_eq!(Model::load(&sealed(file)).unwrap_err(), ModelError::FeatureSet("v1".to_owned()));
}

proptest! {
    #[test]
    fn a_flipped_byte_never_passes_for_the_model(at in any::<prop::sample::Index>(), change in 1u8..) {
        let mut file = small().encode();
        let at = at.index(file.len());
        file[at] ^= change;
        prop_assert!(Model::load(&file).is_err());
    }

    #[test]
    fn hostile_files_with_a_valid_checksum_neither_panic_nor_score_nonsense(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
        row in proptest::collection::vec(-1e12..1e12f64, 28),
    ) {
        let mut file = small().encode();
        for (at, value) in changes {
            let at = 20 + at.index(file.len() - 20 - DIGEST);
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(20 + cut.index(file.len() - 20) + DIGEST);
        }
        if file.len() < 20 + DIGEST {
            return Ok(());
        }
        if let Ok(model) = Model::load(&sealed(file)) {
            let assessed = model.assess(&row);
            prop_assert!(assessed.raw.is_finite() && assessed.calibrated.score.is_finite());
        }
    }
}
