//! Patterns of single events that a hand does not make, whatever the recorder's rate.

use super::super::super::session::Movements;
use super::super::v2::statistics::{count, ln};

/// Names of the values that [`Events::measure`] appends.
pub(super) const COLUMNS: [&str; 6] = [
    "eventAxisShare",
    "eventReturnShare",
    "eventRepeatShare",
    "eventLongShare",
    "eventStepSpread",
    "eventTimeCorrelation",
];

/// Looks this many events back for the same place.
const BACK: usize = 5;

/// The steps of a session, reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Length of each step that leads to another place, px; then its logarithm.
    lengths: Vec<f64>,
    /// Its interval, ms; then its logarithm.
    intervals: Vec<f64>,
}

impl Events {
    /// Appends the values named in [`COLUMNS`]: shares of events that move along one axis only, that return to a place of
    /// one of the last few events, that repeat the step before, and that cover over five times the mean; the spread of ln
    /// step length; the correlation of ln length with ln interval, by which a late event is a long one.
    pub(super) fn measure(&mut self, moves: &Movements, row: &mut Vec<f64>) {
        let n = moves.len();
        let (x, y, t) = (&moves.x[..], &moves.y[..n], &moves.t[..n]);
        let (mut axis, mut back, mut repeated) = (0usize, 0usize, 0usize);
        let (mut length, mut last) = (0.0, (f64::NAN, f64::NAN));
        self.lengths.clear();
        self.intervals.clear();
        for k in 1..n {
            let (dx, dy) = (x[k] - x[k - 1], y[k] - y[k - 1]);
            if dx == 0.0 && dy == 0.0 {
                continue;
            }
            axis += usize::from(dx == 0.0 || dy == 0.0);
            // A step that comes again exactly, and is longer than slow motion on a pixel grid.
            repeated += usize::from((dx, dy) == last && dx.abs().max(dy.abs()) > 2.0);
            last = (dx, dy);
            #[expect(clippy::float_cmp, reason = "the same place is equality")]
            let returned = (2..=BACK.min(k)).any(|b| x[k] == x[k - b] && y[k] == y[k - b]);
            back += usize::from(returned);
            let d = (dx * dx + dy * dy).sqrt();
            length += d;
            self.lengths.push(d);
            self.intervals.push((t[k] - t[k - 1]).clamp(1.0, 250.0));
        }
        let m = count(self.lengths.len().max(1));
        let mean = length / m;
        let is_long = |(x, y): (&[f64], &[f64])| {
            let (dx, dy) = (x[1] - x[0], y[1] - y[0]);
            dx * dx + dy * dy > 25.0 * mean * mean
        };
        let long: usize = x.windows(2).zip(y.windows(2)).map(|pair| usize::from(is_long(pair))).sum();
        // Loops of nothing else become vector instructions.
        self.lengths.iter_mut().for_each(|d| *d = ln(*d + 0.5));
        self.intervals.iter_mut().for_each(|dt| *dt = ln(*dt));
        let (mut sum, mut squares, mut time, mut time_squares, mut product) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (a, b) in self.lengths.iter().zip(&self.intervals) {
            sum += a;
            squares += a * a;
            time += b;
            time_squares += b * b;
            product += a * b;
        }
        let (va, vb) =
            ((squares / m - (sum / m) * (sum / m)).max(0.0), (time_squares / m - (time / m) * (time / m)).max(0.0));
        let together = product / m - (sum / m) * (time / m);
        row.extend([
            count(axis) / m,
            count(back) / m,
            count(repeated) / m,
            count(long) / m,
            va.sqrt(),
            if va > 1e-9 && vb > 1e-6 { (together / (va * vb).sqrt()).clamp(-1.0, 1.0) } else { 0.0 },
        ]);
    }
}
