//! Decisions counted by time: one row for each bucket of time, deployment and thing that sessions have in common. Stores
//! move the counts in the transaction that writes, changes or erases a result, so they equal a recount of the results.
//!
//! What retention removes stays counted: counts name nobody, and have a retention of their own. Buckets are made of five
//! minutes; as they age, [`BucketStore::fold_buckets`] adds them up to hours and days.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;

use super::StoreResult;
use super::encoding::Numbered as _;
use super::labels::Truth;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, ScoreKind};
use playproof_domain::time::Timestamp;
use playproof_domain::trend::{DeviceClass, Facet, FacetTally, Tally};

/// Length of the smallest buckets, ms; what is asked for begins and ends at a multiple of it.
pub const BUCKET_MS: i64 = 300_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How buckets grow with age: length of those folded, length of those made of them, and the age from which they are. Times
/// asked for that are older begin at a multiple of the larger length.
pub(crate) const FOLDS: [(i64, i64, i64); 2] = [(BUCKET_MS, HOUR_MS, 50 * HOUR_MS), (HOUR_MS, DAY_MS, 16 * DAY_MS)];
/// Buckets of the larger length that one step makes at most.
pub(crate) const MAX_FOLDED: i64 = 24;
/// Most labels of people, and of bots, that [`BucketStore::labelled`] looks at.
pub const MAX_LABELLED: u32 = 5_000;

/// What the sessions of a row of counts have in common, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeptFacet {
    /// The deployment alone; every session once.
    All,
    Device,
    Model,
    /// Sessions with several reasons are in several rows.
    Reason,
}

impl KeptFacet {
    /// Every facet, in the order in which stores number them.
    pub(crate) const ALL: [Self; 4] = [Self::All, Self::Device, Self::Model, Self::Reason];
}

/// A result, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) deployment: &'a str,
    pub(crate) scored_at: i64,
    pub(crate) device: DeviceClass,
    /// The model's number in the store.
    pub(crate) model: i64,
}

/// A row of counts: the bucket's start, deployment, facet and value.
pub(crate) type BucketKey = (i64, String, i64, i64);

/// Changes of counts that are to be written, in the order of their rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketChanges(BTreeMap<BucketKey, [i64; 3]>);

impl BucketChanges {
    /// Counts a result with a decision and its reasons; `sign` is 1, or -1 for one that no longer stands.
    pub(crate) fn count(&mut self, result: Counted<'_>, decision: Decision, reasons: Reasons, sign: i64) {
        let slot = result.scored_at - result.scored_at.rem_euclid(BUCKET_MS);
        let Some(place) = Decision::ALL.iter().position(|one| *one == decision) else { return };
        let mut add = |facet: KeptFacet, value: i64| {
            let key = (slot, result.deployment.to_owned(), facet.number(), value);
            self.0.entry(key).or_default()[place] += sign;
        };
        add(KeptFacet::All, 0);
        add(KeptFacet::Device, result.device.number());
        add(KeptFacet::Model, result.model);
        reasons.iter().for_each(|reason| add(KeptFacet::Reason, reason.number()));
    }

    /// Takes what changes anything.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (BucketKey, [i64; 3])> + use<> {
        std::mem::take(&mut self.0).into_iter().filter(|(_, counts)| *counts != [0; 3])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A period, and how it is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketQuery {
    /// Its begin.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Length of a step, ms; the period is a multiple of it, and it of [`BUCKET_MS`].
    pub step_ms: i64,
    /// Only this deployment.
    pub deployment: Option<String>,
}

impl BucketQuery {
    /// Begin of the period of the same length before it.
    #[must_use]
    pub fn earlier(&self) -> Timestamp {
        Timestamp(self.since.0.saturating_sub(self.until.0.saturating_sub(self.since.0)))
    }
}

/// The decisions of a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Begin of each step of the period in which something was decided, its deployment, and what was decided.
    pub steps: Vec<(Timestamp, String, Tally)>,
    /// All of the period.
    pub now: Tally,
    /// All of the period before.
    pub before: Tally,
    /// By what sessions have in common, in both periods.
    pub facets: Vec<FacetTally>,
}

/// Adds rows of counts up to [`Buckets`].
pub(crate) struct Summed<'a> {
    query: &'a BucketQuery,
    steps: BTreeMap<(i64, String), Tally>,
    facets: Vec<FacetTally>,
    places: HashMap<Facet, usize>,
    sums: (Tally, Tally),
}

impl<'a> Summed<'a> {
    pub(crate) fn new(query: &'a BucketQuery) -> Self {
        Self { query, steps: BTreeMap::new(), facets: Vec::new(), places: HashMap::new(), sums: Default::default() }
    }

    /// Adds a row: its facet, and the step of the period that it is of, or -1 for the period before.
    pub(crate) fn add(&mut self, facet: Facet, step: i64, tally: Tally) {
        if let Facet::Deployment(whose) = &facet {
            if step < 0 {
                self.sums.1 += tally;
            } else {
                self.sums.0 += tally;
                *self.steps.entry((step, whose.clone())).or_default() += tally;
            }
        }
        let place = *self.places.entry(facet.clone()).or_insert_with(|| {
            self.facets.push(FacetTally { facet, now: Tally::default(), before: Tally::default() });
            self.facets.len() - 1
        });
        let sum = &mut self.facets[place];
        *(if step < 0 { &mut sum.before } else { &mut sum.now }) += tally;
    }

    /// The sums, the largest facets first.
    pub(crate) fn done(mut self) -> Buckets {
        let begin = |step: i64| Timestamp(self.query.since.0 + step * self.query.step_ms);
        let nothing = |tally: &Tally| tally.total() == 0;
        self.facets.retain(|sum| !nothing(&sum.now) || !nothing(&sum.before));
        self.facets.sort_by_key(|sum| std::cmp::Reverse((sum.now.total(), sum.before.total())));
        let steps = self.steps.into_iter().filter(|(_, tally)| !nothing(tally));
        Buckets {
            steps: steps.map(|((step, whose), tally)| (begin(step), whose, tally)).collect(),
            now: self.sums.0,
            before: self.sums.1,
            facets: self.facets,
        }
    }
}

/// A labelled result, with what the service had decided by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledResult {
    /// What it is.
    pub truth: Truth,
    /// When somebody said so.
    pub labelled_at: Timestamp,
    /// The decision before the label.
    pub decided: Decision,
    /// What the score is.
    pub kind: ScoreKind,
    /// The score as answered.
    pub score: Option<f64>,
    /// The device that it claims.
    pub device: DeviceClass,
    /// Whose people it was calibrated on.
    pub class: String,
}

/// Results that stand at review.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReviewBacklog {
    /// How many.
    pub waiting: u64,
    /// Whether there may be more.
    pub is_more: bool,
    /// When the oldest was scored.
    pub oldest: Option<Timestamp>,
}

/// What was decided, by time.
#[async_trait]
pub trait BucketStore {
    /// What was decided in a period and in the one before it.
    async fn buckets(&self, query: BucketQuery) -> StoreResult<Buckets>;

    /// One bounded step of adding up old buckets, and of forgetting those older than `keep`; whether more is due.
    async fn fold_buckets(&self, keep: Duration, now: Timestamp) -> StoreResult<bool>;

    /// The stored results that stand at review, counted up to `most`.
    async fn review_backlog(&self, deployment: Option<String>, most: u32) -> StoreResult<ReviewBacklog>;

    /// When the newest results were scored, and their calibrated scores where they have one; at most `most`, the newest
    /// first.
    async fn recent_scores(&self, deployment: Option<String>, most: u32) -> StoreResult<Vec<(Timestamp, Option<f64>)>>;

    /// The newest labels given at `since` or later with what was decided before the first of them, at most [`MAX_LABELLED`] of
    /// people and as many of bots, which come after them.
    async fn labelled(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<Vec<LabelledResult>>;
}
