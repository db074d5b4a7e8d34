//! How the service does by what people said of sessions: decisions and scores of labelled people and bots, beside those of
//! late.

use std::collections::BTreeMap;

use super::Operations;
use super::trends::{Range, Rate};
use crate::domain::result::ScoreKind;
use crate::domain::time::Timestamp;
use crate::domain::trend::Tally;
use crate::store::StoreResult;
use crate::store::labels::Truth;

/// Width of a bin of scores.
pub const BIN: f64 = 0.1;
/// Bins, up to the largest score.
pub const BINS: usize = 61;
/// Newest results whose scores are looked at.
const MAX_LIVE: u32 = 10_000;
/// About how many labelled people a training needs, as some of them are kept back to judge it.
pub const PEOPLE_FOR_TRAINING: u64 = 270;
const DAY_MS: i64 = 86_400_000;
/// Days of which labels are told.
const DAYS: i64 = 30;

/// Scores by bins of [`BIN`]: counts of labelled people, labelled bots and late sessions.
#[derive(Debug)]
pub struct Histogram {
    /// Of people.
    pub people: Vec<u64>,
    /// Of bots.
    pub bots: Vec<u64>,
    /// Of the newest results, whatever they are.
    pub live: Vec<u64>,
    /// Results of the last 24 hours; `None` where nothing was decided in the day before them.
    pub live_a_day: Option<u64>,
}

/// Labelled people and bots that have something in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged {
    /// What was decided of people, before their labels.
    pub people: Tally,
    /// What was decided of bots, before their labels.
    pub bots: Tally,
}

impl Judged {
    /// The share of people that passed.
    #[must_use]
    pub fn people_passed(&self) -> Rate {
        Rate { part: self.people.pass, whole: self.people.total() }
    }

    /// The share of bots that passed.
    #[must_use]
    pub fn bots_passed(&self) -> Rate {
        Rate { part: self.bots.pass, whole: self.bots.total() }
    }
}

/// How the service does.
#[derive(Debug)]
pub struct Evaluation {
    /// All labels together.
    pub all: Judged,
    /// By claimed device.
    pub devices: BTreeMap<&'static str, Judged>,
    /// By the people that a result was calibrated on: those of a recorder, or all together.
    pub classes: BTreeMap<String, Judged>,
    /// Scores.
    pub histogram: Histogram,
    /// Labels of the last thirty days: begin of the day, people and bots; days without any are left out.
    pub days: Vec<(Timestamp, u64, u64)>,
}

/// The bin of a score.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are 0 to 6")]
fn bin(score: f64) -> usize {
    ((score.max(0.0) / BIN) as usize).min(BINS - 1)
}

impl Operations {
    /// How the service does in one deployment, or in all.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn evaluation(&self, deployment: Option<String>) -> StoreResult<Evaluation> {
        let day = Range::Day.until(self.clock.now().wall, deployment.clone());
        let (days_before, live, labelled) = tokio::try_join!(
            self.lists.buckets(day),
            self.lists.recent_scores(deployment.clone(), MAX_LIVE),
            self.lists.labelled(Timestamp(0), deployment),
        )?;
        let empty = || vec![0; BINS];
        let histogram = Histogram { people: empty(), bots: empty(), live: empty(), live_a_day: None };
        let (devices, classes) = (BTreeMap::new(), BTreeMap::new());
        let mut told = Evaluation { all: Judged::default(), devices, classes, histogram, days: Vec::new() };
        let (mut days, begin) = (BTreeMap::new(), self.clock.now().wall.0 - DAYS * DAY_MS);
        for one in labelled {
            let tally = Tally::from(one.decided);
            let parts = [
                &mut told.all,
                told.devices.entry(one.device.name()).or_default(),
                told.classes.entry(one.class).or_default(),
            ];
            for part in parts {
                *(if one.truth == Truth::Human { &mut part.people } else { &mut part.bots }) += tally;
            }
            if let Some(score) = one.score.filter(|_| one.kind == ScoreKind::Calibrated) {
                let bins =
                    if one.truth == Truth::Human { &mut told.histogram.people } else { &mut told.histogram.bots };
                bins[bin(score)] += 1;
            }
            if one.labelled_at.0 >= begin {
                let day: &mut (u64, u64) = days.entry(one.labelled_at.0.div_euclid(DAY_MS)).or_default();
                *(if one.truth == Truth::Human { &mut day.0 } else { &mut day.1 }) += 1;
            }
        }
        told.days = days.into_iter().map(|(day, (human, bot))| (Timestamp(day * DAY_MS), human, bot)).collect();
        for score in live.iter().filter_map(|(_, score)| *score) {
            told.histogram.live[bin(score)] += 1;
        }
        // A day is told of whoever was there the day before.
        told.histogram.live_a_day = (days_before.before.total() > 0).then(|| days_before.now.total());
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_in_a_bin() {
        assert_eq!((bin(0.0), bin(0.05), bin(1.0), bin(6.0), bin(9.0), bin(-1.0)), (0, 0, 10, 60, 60, 0));
    }
}
