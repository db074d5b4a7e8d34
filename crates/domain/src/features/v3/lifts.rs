//! Strokes of a finger: what lies between two landings.
//!
//! A touch screen reports no hover, so a finger that lands elsewhere is a jump and a click marks each landing. A hand
//! lands in motion or waits, lifts off at speed, and no two strokes take the same time.

use super::super::super::session::Session;
use super::super::v2::resample::GAP_MS;
use super::super::v2::statistics::{Pairs, count, ln, sorted};

/// Names of the values that [`Lifts::measure`] appends.
pub(super) const COLUMNS: [&str; 20] = [
    "liftRate",
    "liftDurationMedian",
    "liftDurationSpread",
    "liftLengthMedian",
    "liftLengthSpread",
    "liftStraightMedian",
    "liftStraightQ25",
    "liftStartMedian",
    "liftStartSpread",
    "liftEndMedian",
    "liftPeakTimeMedian",
    "liftPeakTimeSpread",
    "liftEvennessMedian",
    "liftEvennessQ25",
    "liftPauseMedian",
    "liftPauseSpread",
    "liftJumpMedian",
    "liftDurationLength",
    "liftDirectionSpread",
    "liftPathShare",
];

/// A stroke has at least this many events.
const MIN_EVENTS: usize = 4;
/// Most clicks that are looked at.
const MAX_LANDINGS: usize = 256;

/// Per-stroke series, reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Lifts {
    begins: Vec<usize>,
    durations: Vec<f64>,
    lengths: Vec<f64>,
    straight: Vec<f64>,
    starts: Vec<f64>,
    ends: Vec<f64>,
    peak_times: Vec<f64>,
    evenness: Vec<f64>,
    pauses: Vec<f64>,
    jumps: Vec<f64>,
}

impl Lifts {
    /// Appends the values named in [`COLUMNS`]; times in ms, lengths in px.
    pub(super) fn measure(&mut self, session: &Session, row: &mut Vec<f64>) {
        self.clear();
        let moves = &session.movements;
        let n = moves.len();
        let (x, y, t) = (&moves.x[..], &moves.y[..], &moves.t[..]);
        self.landings(session);
        let mut line = Pairs::default();
        let (mut along, mut whole, mut toward) = (0.0, 0.0, (0.0, 0.0));
        for place in 0..self.begins.len() {
            let begin = self.begins[place];
            let end = self.begins.get(place + 1).copied().unwrap_or(n);
            if place > 0 {
                let (dx, dy) = (x[begin] - x[begin - 1], y[begin] - y[begin - 1]);
                self.pauses.push(ln((t[begin] - t[begin - 1]).clamp(0.0, 1e5) + 1.0));
                self.jumps.push(ln((dx * dx + dy * dy).sqrt() + 1.0));
                whole += (dx * dx + dy * dy).sqrt();
            }
            let (mut length, mut peak, mut peak_at, mut squares) = (0.0f64, 0.0, 0.0, 0.0);
            let span = t[end - 1] - t[begin];
            let (mut first, mut last) = (0.0, 0.0);
            for k in begin + 1..end {
                let (dx, dy) = (x[k] - x[k - 1], y[k] - y[k - 1]);
                let d = (dx * dx + dy * dy).sqrt();
                length += d;
                squares += d * d;
                if k == begin + 1 {
                    first = d;
                }
                last = d;
                if d > peak {
                    (peak, peak_at) = (d, t[k] - t[begin]);
                }
            }
            whole += length;
            if end - begin < MIN_EVENTS || span <= 0.0 || length <= 0.0 {
                continue;
            }
            along += length;
            let m = count(end - begin - 1);
            let (cx, cy) = (x[end - 1] - x[begin], y[end - 1] - y[begin]);
            let chord = (cx * cx + cy * cy).sqrt();
            toward.0 += cx / (chord + 1.0);
            toward.1 += cy / (chord + 1.0);
            self.durations.push(ln(span + 1.0));
            self.lengths.push(ln(length + 1.0));
            line.push(ln(length + 1.0), ln(span + 1.0));
            self.straight.push(ln(1e-3 + 1.0 - (chord / length).min(1.0)));
            self.starts.push(first * m / length);
            self.ends.push(last * m / length);
            self.peak_times.push((peak_at / span).clamp(0.0, 1.0));
            self.evenness.push((squares * m / (length * length) - 1.0).max(0.0).sqrt());
        }
        let strokes = self.durations.len();
        let spread = |series: &mut Vec<f64>, empty: f64| {
            let [low, median, high] = sorted(series, [0.25, 0.5, 0.75], empty);
            (low, median, high - low)
        };
        let seconds = ((t[n - 1] - t[0]) / 1000.0).clamp(0.1, 1e5);
        let (durations, lengths) = (spread(&mut self.durations, 6.0), spread(&mut self.lengths, 5.0));
        let (straight, starts) = (spread(&mut self.straight, -3.0), spread(&mut self.starts, 0.5));
        let (ends, peaks) = (spread(&mut self.ends, 0.5), spread(&mut self.peak_times, 0.5));
        let (evenness, pauses) = (spread(&mut self.evenness, 0.5), spread(&mut self.pauses, 0.0));
        let jumps = spread(&mut self.jumps, 0.0);
        let m = count(strokes.max(1));
        row.extend([
            ln(count(self.begins.len()) / seconds + 0.05),
            durations.1,
            durations.2,
            lengths.1,
            lengths.2,
            straight.1,
            straight.0,
            starts.1,
            starts.2,
            ends.1,
            peaks.1,
            peaks.2,
            evenness.1,
            evenness.0,
            pauses.1,
            pauses.2,
            jumps.1,
            line.correlation(),
            1.0 - (toward.0 * toward.0 + toward.1 * toward.1).sqrt() / m,
            if whole > 0.0 { along / whole } else { 0.0 },
        ]);
    }

    fn clear(&mut self) {
        for series in [
            &mut self.durations,
            &mut self.lengths,
            &mut self.straight,
            &mut self.starts,
            &mut self.ends,
            &mut self.peak_times,
            &mut self.evenness,
            &mut self.pauses,
            &mut self.jumps,
        ] {
            series.clear();
        }
        self.begins.clear();
    }

    /// Where each stroke begins: the first event, the first after a silence, and the one that a click names.
    fn landings(&mut self, session: &Session) {
        let t = &session.movements.t[..];
        self.begins.push(0);
        let silent = |k: &usize| t[*k] - t[k - 1] > GAP_MS;
        self.begins.extend((1..t.len()).filter(silent));
        if t.is_sorted() {
            let clicks = session.clicks.iter().take(MAX_LANDINGS);
            let places = clicks.map(|click| t.partition_point(|at| *at < click.t));
            self.begins.extend(places.filter(|k| *k > 0 && *k < t.len()));
        }
        self.begins.sort_unstable();
        self.begins.dedup();
    }
}
