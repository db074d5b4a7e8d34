//! Anchors: the middles of the slow and of the fast moments, which shift, scale, rotation and pace leave where they are.

use super::path::Path;

/// A slow moment has at most this share of the speed of the fast ones beside it.
const DEEP: f64 = 0.7;
/// Speeds below this share of the mean count as standing still, so that noise at rest is no movement.
const STILL: f64 = 0.15;
/// The level between whose crossings the middle of a moment lies: as a share of the way from its own speed to that of
/// the nearer of its neighbours.
const LEVEL: f64 = 0.3;

/// The anchors of a movement, in steps, ascending.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// Where it begins, nearly stops, and ends.
    pub(super) slow: Vec<f64>,
    /// Where it is fastest in between.
    pub(super) fast: Vec<f64>,
    extremes: Vec<usize>,
}

impl Anchors {
    /// Finds the anchors of `path` over whatever was here before.
    pub(super) fn find(&mut self, path: &Path) {
        self.slow.clear();
        self.fast.clear();
        self.extremes.clear();
        #[expect(clippy::cast_precision_loss, reason = "at most a minute of steps")]
        let count = path.len() as f64;
        let still = STILL * path.speed.iter().sum::<f64>() / count;
        if !still.is_finite() || still <= 0.0 {
            return;
        }
        let speed = |i: usize| path.speed[i].max(still);
        self.alternate(path.len(), speed);
        self.slow.push(0.0);
        for (place, here) in self.extremes.iter().enumerate() {
            let before = if place == 0 { 0 } else { self.extremes[place - 1] };
            let after = self.extremes.get(place + 1).copied().unwrap_or(path.len() - 1);
            // Fast first, then in turn; a slow moment is a fast one of the negative speed.
            let sign = if place % 2 == 0 { 1.0 } else { -1.0 };
            let middle = middle(|i| sign * speed(i), before, *here, after);
            if place % 2 == 0 { self.fast.push(middle) } else { self.slow.push(middle) }
        }
        self.slow.push(count - 1.0);
    }

    /// Extremes in turn, a fast one first and last: a fast one counts once the speed fell to [`DEEP`] of it, a slow one
    /// once it rose again.
    fn alternate(&mut self, count: usize, speed: impl Fn(usize) -> f64) {
        let (mut here, mut rising) = (0, true);
        for i in 1..count {
            let further = if rising { speed(i) > speed(here) } else { speed(i) < speed(here) };
            let turned = if rising { speed(i) < DEEP * speed(here) } else { speed(i) * DEEP > speed(here) };
            if further {
                here = i;
            } else if turned {
                self.extremes.push(here);
                (here, rising) = (i, !rising);
            }
        }
        if rising {
            self.extremes.push(here);
        }
    }
}

/// The middle between where `height` falls to [`LEVEL`] of the way down from its height at `here` to the nearer of its
/// heights at `before` and `after`.
fn middle(height: impl Fn(usize) -> f64, before: usize, here: usize, after: usize) -> f64 {
    let top = height(here);
    let level = top - LEVEL * (top - height(before).max(height(after)));
    // Between the last step above the level and the first below it.
    let crossing = |above: usize, below: usize| {
        #[expect(clippy::cast_precision_loss, reason = "at most a minute of steps")]
        let (a, b) = (above as f64, below as f64);
        let fall = height(above) - height(below);
        if fall > 0.0 { a + (b - a) * ((height(above) - level) / fall).clamp(0.0, 1.0) } else { b }
    };
    let left = (before..here).rev().find(|i| height(*i) <= level).map_or(before, |i| i);
    let right = (here + 1..=after).find(|i| height(*i) <= level).map_or(after, |i| i);
    let begin = crossing((left + 1).min(here), left);
    let end = crossing(right.saturating_sub(1).max(here), right);
    0.5 * (begin + end)
}
