//! One timeline for a recording in which the client's clock was set back.
//!
//! After such a step the times start over from a moment before. Sorted, the two halves would interleave; undone, the
//! recording is what it would have been. A late event looks alike but belongs to where its time says: it is left to be
//! sorted. What is stored stays as it was sent.

use std::borrow::Cow;

use super::session::{Click, Movements, Session};

/// Most steps back in one recording. Where there are more, events arrive in disorder and times are sorted.
const MAX_STEPS: usize = 2;
/// The smallest step that is undone, ms. A step is known to about an interval, so one of 50 ms is always undone.
const MIN_STEP_MS: f64 = 40.0;
/// The largest step that is undone, ms.
const MAX_STEP_MS: f64 = 5_000.0;
/// A longer interval is a pause and says nothing of the recorder's rate.
const MAX_INTERVAL_MS: f64 = 120.0;

/// The session with steps of its clock undone; the session itself where its times are in order, or in a disorder that
/// no step of a clock explains.
#[must_use]
pub fn without_steps(session: &Session) -> Cow<'_, Session> {
    let t = &session.movements.t;
    if t.is_sorted() {
        return Cow::Borrowed(session);
    }
    let Some(parts) = parts(&session.movements) else { return Cow::Borrowed(session) };
    let mut session = session.clone();
    for click in &mut session.clicks {
        click.t += shift(&session.movements, &parts, click);
    }
    for part in &parts {
        for t in &mut session.movements.t[part.begin..part.end] {
            *t += part.shift;
        }
    }
    Cow::Owned(session)
}

/// Movements between two steps of the clock.
#[derive(Clone, Copy, Debug)]
struct Part {
    begin: usize,
    end: usize,
    /// What puts it on the first part's clock, ms.
    shift: f64,
}

/// The parts between steps of the clock; `None` where there is no step, or anything else out of order.
fn parts(moves: &Movements) -> Option<Vec<Part>> {
    let t = &moves.t;
    let mut falls = (1..t.len()).filter(|k| t[*k] < t[*k - 1]);
    let found: Vec<usize> = falls.by_ref().take(MAX_STEPS).collect();
    if falls.next().is_some() {
        return None;
    }
    let interval = typical_interval(t);
    let (mut parts, mut begin, mut shift) = (Vec::with_capacity(MAX_STEPS + 1), 0, 0.0);
    for (place, fall) in found.iter().enumerate() {
        let end = found.get(place + 1).copied().unwrap_or(t.len());
        let back = t[fall - 1] - t[*fall];
        if back + interval < MIN_STEP_MS || back > MAX_STEP_MS || is_late(moves, begin, *fall, end) {
            return None;
        }
        parts.push(Part { begin, end: *fall, shift });
        shift += back + interval;
        begin = *fall;
    }
    parts.push(Part { begin, end: t.len(), shift });
    Some(parts)
}

/// The median of the intervals within movement, ms.
fn typical_interval(t: &[f64]) -> f64 {
    let steps = t.windows(2).map(|pair| pair[1] - pair[0]);
    let mut intervals: Vec<f64> = steps.filter(|step| *step > 0.0 && *step <= MAX_INTERVAL_MS).collect();
    let middle = intervals.len() / 2;
    if intervals.is_empty() {
        return 0.0;
    }
    *intervals.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Whether the movements from `fall` on are events that arrived late and not those after a step of the clock: there are
/// too few to fill the time gone back, and the first lies where the pointer was at its time, not where it was last.
fn is_late(moves: &Movements, begin: usize, fall: usize, end: usize) -> bool {
    let (t, before) = (&moves.t, fall - 1);
    let overtaken = fall + moves.t[fall..end].partition_point(|t| *t <= moves.t[before]);
    let filled = t[overtaken - 1] - t[fall] >= 0.5 * (t[before] - t[fall]);
    if filled || t[fall] < t[begin] {
        return false;
    }
    let here = (moves.x[fall], moves.y[fall]);
    let last = (moves.x[before], moves.y[before]);
    let after = begin + t[begin..fall].partition_point(|earlier| *earlier <= t[fall]);
    let (low, high) = (after.saturating_sub(1).max(begin), after.min(before));
    let share = if t[high] > t[low] { (t[fall] - t[low]) / (t[high] - t[low]) } else { 0.0 };
    let between = |column: &[f64]| column[low] + share * (column[high] - column[low]);
    distance(here, (between(&moves.x), between(&moves.y))) < distance(here, last)
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// The shift of the part that `click` belongs to: the one whose times are nearest to its own and, of several around it,
/// the one whose pointer was nearest.
fn shift(moves: &Movements, parts: &[Part], click: &Click) -> f64 {
    let far = |part: &Part| {
        let t = &moves.t[part.begin..part.end];
        let after = t.partition_point(|t| *t <= click.t);
        let (low, high) = (after.saturating_sub(1), after.min(t.len() - 1));
        let nearest = if click.t - t[low] <= t[high] - click.t { low } else { high };
        let outside = (t[0] - click.t).max(click.t - t[t.len() - 1]).max(0.0);
        let at = part.begin + nearest;
        (outside, distance((click.x, click.y), (moves.x[at], moves.y[at])))
    };
    let nearest = parts.iter().min_by(|a, b| {
        let (a, b) = (far(a), far(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    nearest.map_or(0.0, |part| part.shift)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
