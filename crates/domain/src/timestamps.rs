//! Times that can't be milliseconds: a client that sends seconds, microseconds or nanoseconds is told so.
//!
//! Two things speak: how far apart consecutive movements are, and how the span of the movements compares with the
//! duration that the client measured. A person who rests, taps or moves for a moment only is neither.

use super::refusal::{FieldPath, Refusal};

/// Fewest steps in time that tell a unit by themselves.
const MIN_STEPS: u32 = 10;
/// Steps below this, in ms, are those of times in seconds: 60 Hz gives 0.016.
const TINY_MS: f64 = 0.05;
/// Steps above this, in ms, are longer than a recorder waits while somebody moves.
const LONG_MS: f64 = 1_000.0;
/// The typical step of times in microseconds is above this: 240 Hz gives 4,166. Slow taps come sooner.
const MIN_MICROSECOND_STEP: f64 = 3_000.0;
/// Steps above this are those of times in nanoseconds: a 1,000 Hz mouse gives 1,000,000.
const MIN_NANOSECOND_STEP: f64 = 400_000.0;
/// Pauses are steps of another size than the rest. Of ten steps in seconds, this many may be pauses of half a second or
/// less, and of a hundred this many may be of any length.
const PAUSES: Pauses = Pauses { of_ten: 2, of_hundred: 5 };
/// The longest pause, in seconds, that counts as one of many.
const PAUSE: f64 = 0.5;
/// Beside a duration of another unit, most steps are below this, in ms...
const SHORT_BESIDE_DURATION_MS: f64 = 0.2;
/// ...or at least this.
const LONG_BESIDE_DURATION_MS: f64 = 400.0;
/// A span and a duration are apart by a power of a thousand where this factor covers the rest.
const TOLERANCE: f64 = 2.5;

/// A duration that is a thousand times the span is that of somebody who hardly moved where the span is shorter, ms...
const MIN_SPAN_MS: f64 = 1_000.0;
/// ...or where it is not so close to a thousand times: a duration is the span and at most half as much again.
const MICROSECOND_DURATION: std::ops::RangeInclusive<f64> = 900.0..=1_500.0;

struct Pauses {
    of_ten: u32,
    of_hundred: u32,
}

/// A unit of time that is no millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    /// What makes milliseconds of it.
    fn mend(self) -> &'static str {
        match self {
            Self::Seconds => "multiply by 1000",
            Self::Microseconds => "divide by 1000",
            Self::Nanoseconds => "divide by 1000000",
        }
    }
}

/// How many of the steps forward in time are of which size.
#[derive(Debug, Default)]
struct Steps {
    all: u32,
    tiny: u32,
    short: u32,
    below_pause: u32,
    long_beside_duration: u32,
    long: u32,
    microseconds: u32,
    nanoseconds: u32,
    /// The sum of those that are not long, ms.
    ordinary_ms: f64,
    earliest: f64,
    latest: f64,
}

impl Steps {
    fn of(t: &[f64]) -> Self {
        let first = t.first().copied().unwrap_or(0.0);
        let mut steps = Self { earliest: first, latest: first, ..Self::default() };
        for pair in t.windows(2) {
            let step = pair[1] - pair[0];
            steps.earliest = steps.earliest.min(pair[1]);
            steps.latest = steps.latest.max(pair[1]);
            steps.all += u32::from(step > 0.0);
            steps.tiny += u32::from(step > 0.0 && step < TINY_MS);
            steps.short += u32::from(step > 0.0 && step < SHORT_BESIDE_DURATION_MS);
            steps.below_pause += u32::from(step > 0.0 && step < PAUSE);
            steps.long_beside_duration += u32::from(step >= LONG_BESIDE_DURATION_MS);
            steps.long += u32::from(step > LONG_MS);
            steps.microseconds += u32::from(step >= MIN_MICROSECOND_STEP);
            steps.nanoseconds += u32::from(step >= MIN_NANOSECOND_STEP);
            steps.ordinary_ms += if step > 0.0 && step <= LONG_MS { step } else { 0.0 };
        }
        steps
    }

    fn most(&self, part: u32) -> bool {
        2 * part > self.all
    }

    fn nearly_all(&self, part: u32) -> bool {
        100 * part >= (100 - PAUSES.of_hundred) * self.all
    }

    /// Microseconds or nanoseconds, by the size of most steps.
    fn large(&self) -> Unit {
        if self.most(self.nanoseconds) { Unit::Nanoseconds } else { Unit::Microseconds }
    }

    /// The unit that the steps alone tell. `clicks` of that number are explained by as many steps that are long: a tap
    /// comes with its own movement.
    fn alone(&self, clicks: usize) -> Option<Unit> {
        if self.all < MIN_STEPS {
            return None;
        }
        let mostly_tiny = 10 * self.tiny >= (10 - PAUSES.of_ten) * self.all;
        if self.nearly_all(self.tiny) || (mostly_tiny && self.nearly_all(self.below_pause)) {
            return Some(Unit::Seconds);
        }
        let tapped = u32::try_from(clicks).is_ok_and(|clicks| 2 * clicks >= self.all);
        let long = self.nearly_all(self.long) && self.most(self.microseconds);
        (long && (!tapped || self.most(self.nanoseconds))).then(|| self.large())
    }

    /// The unit of the times, or of `duration`, where the two are a power of a thousand apart.
    fn beside(&self, duration: f64) -> Option<(Fault, Unit)> {
        let span = self.latest - self.earliest;
        if duration <= 0.0 || span <= 0.0 {
            return None;
        }
        if apart(duration, span).is_some() && self.most(self.short) {
            return Some((Fault::Times, Unit::Seconds));
        }
        if apart(span, duration).is_some() && self.most(self.long_beside_duration) {
            return Some((Fault::Times, self.large()));
        }
        // The steps are those of milliseconds, so it is the duration that is not.
        if apart(self.ordinary_ms, duration) == Some(1) {
            return Some((Fault::Duration, Unit::Seconds));
        }
        if self.most(self.short) || self.most(self.long_beside_duration) {
            return None;
        }
        let thousand =
            span >= MIN_SPAN_MS && self.all >= MIN_STEPS && MICROSECOND_DURATION.contains(&(duration / span));
        let unit = thousand.then_some(Unit::Microseconds);
        unit.or_else(|| (apart(duration, span) == Some(2)).then_some(Unit::Nanoseconds))
            .map(|unit| (Fault::Duration, unit))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Times,
    Duration,
}

/// The power of a thousand, 1 to 3, by which `more` exceeds `less`.
fn apart(more: f64, less: f64) -> Option<u32> {
    [(1e3, 1), (1e6, 2), (1e9, 3)].into_iter().find_map(|(factor, power)| {
        let ratio = more / less / factor;
        (1.0 / TOLERANCE..=TOLERANCE).contains(&ratio).then_some(power)
    })
}

/// Refuses a session whose times can't be milliseconds: the times of its movements, beside how many clicks it has and the
/// duration that the client measured.
///
/// # Errors
/// A [`Refusal`] that names the likely unit and the mend.
pub fn check(t: &[f64], clicks: usize, duration_ms: f64) -> Result<(), Refusal> {
    if are_plainly_milliseconds(t, duration_ms) {
        return Ok(());
    }
    check_in_full(t, clicks, duration_ms)
}

/// Whether nothing of what [`check_in_full`] asks first can hold. Most sessions are told by this, in a fraction of the
/// time.
fn are_plainly_milliseconds(t: &[f64], duration: f64) -> bool {
    let first = t.first().copied().unwrap_or(0.0);
    let (mut all, mut tiny, mut long) = (0u64, 0u64, 0u64);
    let (mut earliest, mut latest) = (first, first);
    for (before, after) in t.iter().zip(t.iter().skip(1)) {
        let step = after - before;
        all += u64::from(step > 0.0);
        tiny += u64::from(step > 0.0 && step < TINY_MS);
        long += u64::from(step > LONG_MS);
        earliest = if *after < earliest { *after } else { earliest };
        latest = if *after > latest { *after } else { latest };
    }
    let alone =
        10 * tiny >= (10 - u64::from(PAUSES.of_ten)) * all || 100 * long >= (100 - u64::from(PAUSES.of_hundred)) * all;
    let span = latest - earliest;
    // The sum of the steps that are not long is at most this; a duration in seconds is a thousandth of it.
    #[expect(clippy::cast_precision_loss, reason = "a count of movements")]
    let ordinary = all as f64 * LONG_MS;
    let beside = duration > 0.0
        && span > 0.0
        && (apart(duration, span).is_some()
            || apart(span, duration).is_some()
            || ordinary / duration > 1e3 / TOLERANCE / 2.0);
    !alone && !beside
}

fn check_in_full(t: &[f64], clicks: usize, duration_ms: f64) -> Result<(), Refusal> {
    let steps = Steps::of(t);
    if steps.all == 0 {
        return Ok(());
    }
    let alone = steps.alone(clicks).map(|unit| (Fault::Times, unit));
    let Some((fault, unit)) = alone.or_else(|| steps.beside(duration_ms)) else { return Ok(()) };
    let (name, mend) = (unit.name(), unit.mend());
    Err(match fault {
        Fault::Times => {
            let usual = |step: f64| match unit {
                Unit::Seconds => step > 0.0 && step < SHORT_BESIDE_DURATION_MS,
                Unit::Microseconds | Unit::Nanoseconds => step >= LONG_BESIDE_DURATION_MS,
            };
            let at = t.windows(2).position(|pair| usual(pair[1] - pair[0])).map_or(1, |before| before + 1);
            let path = FieldPath::ItemField("movements", at, "timestamp");
            let message = format!(
                "is {:.6} after the one before, as is usual for {name}; send every timestamp in milliseconds ({mend})",
                t[at] - t[at - 1]
            );
            Refusal::timestamp_unit(path, message)
        }
        Fault::Duration => {
            let message = format!("looks like {name} beside the times of the movements; send milliseconds ({mend})");
            Refusal::timestamp_unit(FieldPath::Field("durationMs"), message)
        }
    })
}

#[cfg(test)]
#[path = "timestamps_tests.rs"]
mod tests;
