//! What the recorder is like: its rate, its tick, its resolution. These say nothing of the person; they tell how far the
//! values of motion can be trusted, and whether a recorder is like any that a model has seen.

use super::super::super::session::Movements;
use super::resample::GAP_MS;
use super::statistics::{Selection, count, ln};

/// Names of the values that [`measure`] appends.
pub(super) const COLUMNS: [&str; 5] =
    ["recorderInterval", "recorderIntervalP90", "recorderSpread", "recorderShared", "recorderStepPx"];

/// Appends the values named in [`COLUMNS`]: logarithms of the median and the 90th percentile of the intervals between
/// events of one run (ms), of the latter over the 10th, the share of events at the time of the one before, and the
/// logarithm of the mean step in px on the common clock.
pub(super) fn measure(
    moves: &Movements,
    step_px: f64,
    bits: &mut Vec<u64>,
    selection: &mut Selection,
    row: &mut Vec<f64>,
) {
    bits.clear();
    let mut shared = 0;
    for pair in moves.t.windows(2) {
        let dt = pair[1] - pair[0];
        shared += usize::from(dt == 0.0);
        if dt > 0.0 && dt <= GAP_MS {
            bits.push(dt.to_bits());
        }
    }
    let [low, median, high] = selection.quantiles(bits, [0.1, 0.5, 0.9], 16.0);
    row.extend([ln(median), ln(high), ln(high / low), count(shared) / count(moves.len().max(1)), ln(step_px + 0.01)]);
}
