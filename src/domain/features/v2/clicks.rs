//! The last moments before clicks: a hand slows down, corrects and waits.
//!
//! Medians over the clicks that have at least 0.4 s of recording before them. Distances are in the session's mean speed
//! times the window, so 0 (as a logarithm) is the mean speed.

use super::super::super::session::Session;
use super::statistics::{ln, sorted};

/// Names of the values that [`Approach::measure`] appends.
pub(super) const COLUMNS: [&str; 4] = ["clickSpeed100", "clickSpeed300", "clickDetour", "clickDwell"];

/// Per-click series, reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Approach {
    last: Vec<f64>,
    middle: Vec<f64>,
    detour: Vec<f64>,
    dwell: Vec<f64>,
}

impl Approach {
    /// Appends the values named in [`COLUMNS`]; `speed` is the mean speed in px/ms.
    pub(super) fn measure(&mut self, session: &Session, speed: f64, row: &mut Vec<f64>) {
        for series in [&mut self.last, &mut self.middle, &mut self.detour, &mut self.dwell] {
            series.clear();
        }
        let moves = &session.movements;
        if moves.t.is_sorted() && moves.len() > 1 && speed > 0.0 {
            for click in session.clicks.iter().take(64) {
                let end = moves.t.partition_point(|t| *t <= click.t);
                if end < 2 || click.t - moves.t[0] < 400.0 {
                    continue;
                }
                // Walks back from the click, adding up the path within each window.
                let (mut near, mut far) = (0.0, 0.0);
                let mut k = end - 1;
                self.dwell.push(ln(1.0 + (click.t - moves.t[k]).min(2000.0) / 20.0));
                let (x1, y1) = (moves.x[k], moves.y[k]);
                while k > 0 && click.t - moves.t[k - 1] <= 300.0 {
                    let step = (moves.x[k] - moves.x[k - 1]).hypot(moves.y[k] - moves.y[k - 1]);
                    if click.t - moves.t[k - 1] <= 100.0 {
                        near += step;
                    } else {
                        far += step;
                    }
                    k -= 1;
                }
                let chord = (x1 - moves.x[k]).hypot(y1 - moves.y[k]);
                self.last.push(ln(near / (100.0 * speed) + 0.02));
                self.middle.push(ln(far / (200.0 * speed) + 0.02));
                self.detour.push(ln((near + far + speed) / (chord + speed)));
            }
        }
        row.extend([
            sorted(&mut self.last, [0.5], -1.0)[0],
            sorted(&mut self.middle, [0.5], -0.5)[0],
            sorted(&mut self.detour, [0.5], 0.1)[0],
            sorted(&mut self.dwell, [0.5], 1.0)[0],
        ]);
    }
}
