//! How decisions went over a period, and what changed against the one before.

use super::Operations;
use crate::domain::interval::wilson;
use crate::domain::time::Timestamp;
use crate::domain::trend::{Shift, shifts};
use crate::store::StoreResult;
use crate::store::buckets::{BucketQuery, Buckets, ReviewBacklog};
use crate::store::labels::Truth;

/// Shifts that are told.
const MAX_SHIFTS: usize = 8;
/// Sessions to review that are counted at most.
const MAX_BACKLOG: u32 = 100_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A length of time that the overview covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// An hour, by five minutes.
    Hour,
    /// Six hours, by a quarter of an hour.
    SixHours,
    /// A day, by hours.
    Day,
    /// A week, by six hours.
    Week,
    /// Thirty days, by days.
    Month,
    /// Ninety days, by days.
    Quarter,
}

impl Range {
    /// Every range, the shortest first.
    pub const ALL: [Self; 6] = [Self::Hour, Self::SixHours, Self::Day, Self::Week, Self::Month, Self::Quarter];

    /// The name used in requests and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
        }
    }

    /// The one called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    /// Its length and that of a step, ms.
    fn lengths(self) -> (i64, i64) {
        match self {
            Self::Hour => (HOUR_MS, 5 * MINUTE_MS),
            Self::SixHours => (6 * HOUR_MS, 15 * MINUTE_MS),
            Self::Day => (DAY_MS, HOUR_MS),
            Self::Week => (7 * DAY_MS, 6 * HOUR_MS),
            Self::Month => (30 * DAY_MS, DAY_MS),
            Self::Quarter => (90 * DAY_MS, DAY_MS),
        }
    }

    /// The period of this length that ends with the step of `now`.
    #[must_use]
    pub fn until(self, now: Timestamp, deployment: Option<String>) -> BucketQuery {
        let (length, step_ms) = self.lengths();
        let until = now.0 - now.0.rem_euclid(step_ms) + step_ms;
        BucketQuery { since: Timestamp(until - length), until: Timestamp(until), step_ms, deployment }
    }
}

/// How many of some labelled sessions were decided in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Those decided so.
    pub part: u64,
    /// All of them.
    pub whole: u64,
}

impl Rate {
    /// The share's 95 % interval; `None` of nothing.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        wilson(self.part, self.whole)
    }

    /// Counts one more.
    pub fn add(&mut self, is_part: bool) {
        self.whole += 1;
        self.part += u64::from(is_part);
    }
}

/// How a period went.
#[derive(Debug)]
pub struct Overview {
    /// The period.
    pub period: BucketQuery,
    /// What was decided.
    pub buckets: Buckets,
    /// What changed, the largest first.
    pub shifts: Vec<Shift>,
    /// Sessions that stand at review.
    pub backlog: ReviewBacklog,
    /// Campaigns that grew within a day, and their sessions.
    pub campaigns: (u64, u64),
    /// Of those labelled human in the period, how many passed before the label.
    pub people: Rate,
    /// Of those labelled bots in the period, how many passed before the label.
    pub bots: Rate,
}

impl Operations {
    /// How a period that ends now went, in one deployment or in all.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn overview(&self, range: Range, deployment: Option<String>) -> StoreResult<Overview> {
        let now = self.clock.now().wall;
        let period = range.until(now, deployment.clone());
        let day_ago = Timestamp(now.0.saturating_sub(DAY_MS));
        let (buckets, backlog, campaigns, labelled) = tokio::try_join!(
            self.lists.buckets(period.clone()),
            self.lists.review_backlog(deployment.clone(), MAX_BACKLOG),
            self.lists.open_campaigns(day_ago, deployment.clone()),
            self.lists.labelled(period.since, deployment),
        )?;
        let (mut people, mut bots) = (Rate::default(), Rate::default());
        for one in &labelled {
            let rate = if one.truth == Truth::Human { &mut people } else { &mut bots };
            rate.add(one.decided == crate::domain::result::Decision::Pass);
        }
        let shifts = shifts(buckets.now, buckets.before, &buckets.facets, MAX_SHIFTS);
        Ok(Overview { period, buckets, shifts, backlog, campaigns, people, bots })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_the_present_step_and_is_whole_steps_long() {
        let now = Timestamp(1_790_000_123_456);
        for range in Range::ALL {
            assert_eq!(Range::parse(range.name()), Some(range));
            let period = range.until(now, None);
            assert!(period.since < now && now < period.until && period.until.0 - now.0 <= period.step_ms);
            assert_eq!((period.until.0 % period.step_ms, (period.until.0 - period.since.0) % period.step_ms), (0, 0));
        }
        assert_eq!(Range::parse("2h"), None);
    }
}
