//! A person's session as legs between stops: where a bot that plays the same round would have to be, and when.

use playproof_domain::session::{Movements, Session};

/// A longer silence is a rest of its own.
pub(super) const GAP_MS: f64 = 120.0;
/// Stops lie at least this far apart.
const MIN_LEG_MS: f64 = 200.0;

/// Where the pointer was, px, and when, ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) t: f64,
}

/// The movements in the order of their times.
pub(super) fn in_time_order(moves: &Movements) -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        (0..moves.len()).map(|i| Sample { x: moves.x[i], y: moves.y[i], t: moves.t[i] }).collect();
    samples.sort_by(|a, b| a.t.total_cmp(&b.t));
    samples
}

/// Indices of the samples where a leg ends and the next begins: the ends, clicks, both sides of rests, near-stops.
pub(super) fn stops(samples: &[Sample], session: &Session) -> Vec<usize> {
    let n = samples.len();
    let mut wanted = vec![false; n];
    (wanted[0], wanted[n - 1]) = (true, true);
    for click in &session.clicks {
        wanted[samples.partition_point(|s| s.t < click.t).min(n - 1)] = true;
    }
    for k in 1..n {
        if samples[k].t - samples[k - 1].t > GAP_MS {
            (wanted[k - 1], wanted[k]) = (true, true);
        }
    }
    let speed = |k: usize| {
        let (a, b) = (&samples[k.saturating_sub(2)], &samples[(k + 2).min(n - 1)]);
        (b.x - a.x).hypot(b.y - a.y) / (b.t - a.t).max(1.0)
    };
    let speeds: Vec<f64> = (0..n).map(speed).collect();
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let mean = speeds.iter().sum::<f64>() / n as f64;
    let mut last = samples[0].t;
    for k in 1..n - 1 {
        if wanted[k] {
            last = samples[k].t;
        }
        let slowest = speeds[k] <= speeds[k - 1] && speeds[k] <= speeds[k + 1];
        if slowest && speeds[k] < 0.5 * mean && samples[k].t - last >= MIN_LEG_MS {
            wanted[k] = true;
            last = samples[k].t;
        }
    }
    (0..n).filter(|k| wanted[*k]).collect()
}

/// The events on the person's pixel grid and clock resolution, without those that do not move.
pub(super) fn on_grid(points: &[Sample], human: &Movements) -> Movements {
    let whole = |values: &[f64], scale: f64| values.iter().all(|v| (v * scale).fract() == 0.0);
    let grid = [1.0, 2.0].into_iter().find(|g| whole(&human.x, *g) && whole(&human.y, *g));
    let clock = [1.0, 10.0].into_iter().find(|c| whole(&human.t, *c));
    let snap = |v: f64, scale: Option<f64>| scale.map_or(v, |s| (v * s).round() / s);
    let mut moves = Movements::default();
    for point in points {
        let (x, y) = (snap(point.x, grid), snap(point.y, grid));
        if moves.x.last() == Some(&x) && moves.y.last() == Some(&y) {
            continue;
        }
        moves.x.push(x);
        moves.y.push(y);
        moves.t.push(snap(point.t, clock));
    }
    moves
}
