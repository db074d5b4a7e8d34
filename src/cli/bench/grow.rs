//! `bench store --grow`: what the same calls cost in stores with a short and with a long history, by turns.
//!
//! Each size has a store of its own, filled by the database and not by intake. The rounds go through all stores, so what
//! else the machine does meanwhile falls on each size alike.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::store::{Bench, NOW, open_empty_at, per, template};
use crate::detector::embedded::Model;
use crate::domain::time::{Now, Timestamp};
use crate::store::history::History;
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{Cursor, ResultQuery, Retention, Store};

/// Sessions of a day of the history, so a hundred thousand are seven weeks and ten million are fourteen years.
const PER_DAY: i64 = 2_000;
const DAY_MS: i64 = 24 * 3_600_000;
const PER_USER: i64 = 50;
const SUBMITS: u64 = 2_000;
/// The first number of a session that is submitted; those of histories are smaller.
const FIRST_SUBMITTED: u64 = 1 << 40;
const PAGES: i64 = 40;
/// Retention is not measured where it would take a large part of the history.
const MIN_PRUNED: i64 = 50_000;
const COLUMNS: [&str; 6] = ["submit us", "claim+settle ms", "page ms", "deep page ms", "user page ms", "day pruned ms"];

/// A store with a history, and what its calls took.
struct Grown {
    bench: Bench,
    history: History,
    /// The next session's number, and the last batch's.
    submitted: u64,
    token: u64,
    days_pruned: i64,
    rounds: Vec<[Option<f64>; COLUMNS.len()]>,
}

/// Measures stores of these sizes, and gives the table.
pub(super) async fn run(sizes: &[u64], rounds: u32, movements: usize, url: Option<&str>) -> anyhow::Result<String> {
    let most = MIN_PRUNED / 2 / PER_DAY;
    anyhow::ensure!(i64::from(rounds) < most, "at most {} rounds: each takes a day from the history", most - 1);
    let folder = tempfile::tempdir_in(".").context("cannot create a folder for the stores here")?;
    let mut stores = Vec::new();
    for size in sizes {
        let history =
            History { sessions: i64::try_from(*size)?, begin: NOW.wall, step_ms: DAY_MS / PER_DAY, per_user: PER_USER };
        let started = Instant::now();
        let store: Arc<dyn Store> = if let Some(url) = url {
            let store = open_empty_at(&schema(url, *size).await?, history.end()).await?;
            store.make_history(history).await?;
            Arc::new(store)
        } else {
            let folder = folder.path().join(size.to_string());
            let room = CapacityLimits { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
            let store = SqliteStore::open(&SqliteSettings { folder, room, autostart: false }, NOW.wall)?;
            store.make_history(history).await?;
            Arc::new(store)
        };
        tracing::info!(size, seconds = started.elapsed().as_secs(), "filled a store");
        let mut template = template(movements);
        template.first.scored_at = history.end();
        template.user_id = Some(History::user(history.users()));
        let bench = Bench { store, template, model: Model::bundled()? };
        stores.push(Grown { bench, history, submitted: FIRST_SUBMITTED, token: 0, days_pruned: 0, rounds: Vec::new() });
    }
    // The first round finds caches and statements cold, in every size.
    for round in 0..=rounds {
        for store in &mut stores {
            let measured = store.round().await?;
            if round > 0 {
                store.rounds.push(measured);
            }
        }
    }
    Ok(table(&stores))
}

/// `url` with an empty schema for the store of a size.
async fn schema(url: &str, size: u64) -> anyhow::Result<String> {
    let name = format!("grow_{size}");
    crate::store::postgres::make_schema(url, &name).await?;
    let sign = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{sign}options=-csearch_path%3D{name}"))
}

impl Grown {
    fn now(&self) -> Now {
        Now { wall: self.history.end(), monotonic: Duration::ZERO }
    }

    /// What each call takes now; in the order of [`COLUMNS`].
    async fn round(&mut self) -> anyhow::Result<[Option<f64>; COLUMNS.len()]> {
        let now = self.now();
        let started = Instant::now();
        self.bench.submit(self.submitted..self.submitted + SUBMITS).await?;
        self.submitted += SUBMITS;
        let submit = per(started, SUBMITS);

        let started = Instant::now();
        let batches = SUBMITS / 50;
        for _ in 0..batches {
            self.token += 1;
            self.bench.batch(self.token, now).await?;
        }
        let claim = per(started, batches) / 1e3;

        let first = ResultQuery { limit: 100, ..ResultQuery::default() };
        let page = self.pages(|_| first.clone()).await?;
        let deep = self
            .pages(|n| {
                // All over the newer half: retention takes days from the older one.
                let row = self.history.sessions / 2 + n * (self.history.sessions / 2 - 1) / PAGES;
                let scored_at = Timestamp(self.history.accepted_at(row).0 + 1_000);
                ResultQuery { after: Some(Cursor { scored_at, row }), limit: 100, ..ResultQuery::default() }
            })
            .await?;
        let user = self
            .pages(|n| {
                let number = (n * 7_919 + i64::from(self.round_number())) % self.history.users();
                ResultQuery { user: Some(History::user(number)), limit: 20, ..ResultQuery::default() }
            })
            .await?;
        let pruned = if self.history.sessions >= MIN_PRUNED { Some(self.prune_day().await?) } else { None };
        Ok([Some(submit), Some(claim), Some(page), Some(deep), Some(user), pruned])
    }

    fn round_number(&self) -> u32 {
        u32::try_from(self.rounds.len()).unwrap_or(0)
    }

    /// Milliseconds of a page of results.
    async fn pages(&self, query: impl Fn(i64) -> ResultQuery) -> anyhow::Result<f64> {
        let started = Instant::now();
        for n in 1..=PAGES {
            let page = self.bench.store.results(query(n)).await?;
            anyhow::ensure!(!page.rows.is_empty(), "a page without results");
        }
        Ok(per(started, PAGES.unsigned_abs()) / 1e3)
    }

    /// Milliseconds until the oldest day is gone.
    async fn prune_day(&mut self) -> anyhow::Result<f64> {
        self.days_pruned += 1;
        let until = self.history.begin.0 + self.days_pruned * DAY_MS;
        let age = Duration::from_millis(u64::try_from(self.now().wall.0 - until)?);
        let kept = Duration::from_secs(365 * 24 * 3600);
        let retention = Retention { results: age, telemetry: kept, telemetry_flagged: kept };
        let started = Instant::now();
        while self.bench.store.prune(retention, self.now().wall).await?.more {}
        Ok(per(started, 1) / 1e3)
    }
}

/// Medians of the rounds, and how many times as much each call takes in the largest store.
fn table(stores: &[Grown]) -> String {
    let medians: Vec<[Option<f64>; COLUMNS.len()]> = stores
        .iter()
        .map(|store| std::array::from_fn(|column| median(store.rounds.iter().filter_map(|row| row[column]).collect())))
        .collect();
    let mut text = format!("{:>20}", "results");
    for column in COLUMNS {
        let _ = write!(text, "{column:>17}");
    }
    for (store, row) in stores.iter().zip(&medians) {
        let _ = write!(text, "\n{:>20}", store.history.sessions);
        for value in row {
            text.push_str(&cell(*value));
        }
    }
    let Some(last) = medians.last() else { return text };
    for (store, row) in stores.iter().zip(&medians).take(stores.len().saturating_sub(1)) {
        let _ = write!(text, "\n{:>20}", format!("largest / {}", store.history.sessions));
        for (small, large) in row.iter().zip(last) {
            text.push_str(&cell(small.zip(*large).map(|(small, large)| large / small)));
        }
    }
    text
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>17}", "-"), |value| format!("{value:>17.2}"))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
