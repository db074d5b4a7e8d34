//! `bench store`: whether the embedded store's costs and the process's memory stay flat as sessions pile up.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::detector::embedded::Model;
use crate::domain::batch::Trigger;
use crate::domain::features::Extractor;
use crate::domain::heuristic::Heuristic;
use crate::domain::id::{LeaseToken, SessionId, SessionKey};
use crate::domain::record::{self, SessionDigest};
use crate::domain::result::{Source, Thresholds, Verdict};
use crate::domain::session::Session;
use crate::domain::time::{Now, Timestamp};
use crate::generator::{self, Family, Shape};
use crate::store::postgres::{PostgresSettings, PostgresStore, Time};
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{BatchEnd, BatchOutcome, ClaimRequest, FirstVerdict, MemberOutcome, NewSession, Settlement, Store};

/// Submitters at the same time.
const SUBMITTERS: usize = 64;
/// Sessions of a batch.
const BATCH_SIZE: u32 = 50;
pub(super) const NOW: Now = Now { wall: Timestamp(1_700_000_000_000), monotonic: Duration::ZERO };

/// Measure submit, claim, stats and result by id, and memory, in a store that holds ever more queued sessions
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Queued sessions at which to measure, ascending
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    sessions: Vec<u64>,
    /// Measure the shared store in this empty database instead
    #[arg(long)]
    url: Option<String>,
    /// Measure stores with histories of these many results in place of queues, e.g. 1000,100000,10000000; with `--url`
    /// each in a schema of its own, which is made anew
    #[arg(long, value_delimiter = ',', conflicts_with = "sessions")]
    grow: Vec<u64>,
    /// Rounds of `--grow`
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Movements of a session
    #[arg(long, default_value_t = 449)]
    movements: usize,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.grow.is_empty() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let table = runtime.block_on(super::grow::run(&args.grow, args.rounds, args.movements, args.url.as_deref()))?;
        crate::cli::say(&table)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(url) = &args.url {
        return shared(url, args.movements);
    }
    let folder = tempfile::tempdir_in(".").context("cannot create a folder for the store here")?;
    let bench = Bench {
        store: Arc::new(open_embedded(folder.path())?),
        template: template(args.movements),
        model: Model::bundled()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut table = String::from("  queued   submit us   claim+settle ms   stats us   result us   RSS MiB\n");
    runtime.block_on(async {
        let mut stored = 0;
        for size in &args.sessions {
            bench.submit(stored..*size).await?;
            stored = *size;
            table += &bench.measure(&mut stored).await?;
        }
        anyhow::Ok(())
    })?;
    crate::cli::say(table.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The shared store: group commit beside single commits, and batches beside ever more finished sessions.
fn shared(url: &str, movements: usize) -> anyhow::Result<ExitCode> {
    const PLAIN: u64 = 3_000;
    const GROUPED: u64 = 20_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let table = runtime.block_on(async {
        let store = Arc::new(open_empty(url).await?);
        let bench = Bench {
            store: Arc::clone(&store) as Arc<dyn Store>,
            template: template(movements),
            model: Model::bundled()?,
        };
        let mut text = format!("record of {} bytes\n", bench.template.record.len());
        let mut next = 0;
        for round in 1..=3 {
            let plain: Vec<NewSession> = (next..next + PLAIN)
                .filter_map(Bench::key)
                .map(|key| NewSession { key, ..bench.template.clone() })
                .collect();
            let started = Instant::now();
            store.insert_one_by_one(&plain).await?;
            let single = 1e6 / per(started, PLAIN);
            let started = Instant::now();
            bench.submit(next..next + GROUPED).await?;
            next += GROUPED;
            let grouped = 1e6 / per(started, GROUPED);
            let _ = writeln!(
                text,
                "round {round}: one INSERT and COMMIT at a time {single:.0} /s, {SUBMITTERS} submitters {grouped:.0} /s, \
                 {:.1} times as many",
                grouped / single
            );
        }
        let mut finished = 0;
        let mut token = 0;
        for target in [10_000, 1_000_000] {
            store.make_finished(target - finished).await?;
            finished = target;
            let mut rounds = Vec::new();
            for _ in 0..5 {
                let started = Instant::now();
                for _ in 0..50 {
                    token += 1;
                    bench.batch(token, NOW).await?;
                }
                rounds.push(per(started, 50) / 1e3);
            }
            rounds.sort_by(f64::total_cmp);
            let _ = writeln!(
                text, "{target} finished: claim and settle of 50 takes {:.2} ms (median of 5)", rounds[2]);
        }
        anyhow::Ok(text)
    })?;
    crate::cli::say(table.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The shared store in an empty database.
///
/// # Errors
/// When it cannot be opened, or holds sessions: a benchmark fills it.
pub(super) async fn open_empty(url: &str) -> anyhow::Result<PostgresStore> {
    open_shared(url, Time::Database, Timestamp(0)).await
}

/// The shared store in an empty database, with `now` as its first time and the caller's from then on.
///
/// # Errors
/// As [`open_empty`].
pub(super) async fn open_empty_at(url: &str, now: Timestamp) -> anyhow::Result<PostgresStore> {
    open_shared(url, Time::Callers, now).await
}

async fn open_shared(url: &str, time: Time, now: Timestamp) -> anyhow::Result<PostgresStore> {
    let settings = PostgresSettings {
        url: url.to_owned(),
        connections: 8,
        queue_limit: u64::MAX,
        store_limit: None,
        autostart: false,
        time,
        patience: Duration::ZERO,
    };
    let store = PostgresStore::open(&settings, now).await?;
    anyhow::ensure!(
        store.snapshot().await?.counts.accepted == 0,
        "the database holds sessions; name an empty one, this command fills it"
    );
    Ok(store)
}

/// One generated session as intake would store it.
pub(super) fn template(movements: usize) -> NewSession {
    let session: Session = generator::generate(Family::WindMouse, 1, Shape { movements: Some(movements) });
    let features = Extractor::default().v1(&session);
    let verdict = Verdict::heuristic(&Heuristic::judge(&features), &Thresholds::default());
    let mut record = Vec::new();
    record::encode(&session, &mut Vec::new(), &mut record);
    NewSession {
        key: SessionKey { deployment: String::new(), id: session.id },
        user_id: None,
        game_type: session.game_type,
        device_type: session.device_type,
        digest: SessionDigest::of(&record),
        record,
        features,
        reasons: verdict.reasons,
        first: FirstVerdict { verdict, scored_at: NOW.wall, latency_ms: 0.1 },
        is_final: false,
        challenge: None,
    }
}

/// Fills an empty embedded store in `folder` with `count` finished sessions.
pub(super) async fn fill_with_finished(folder: &Path, count: u64, movements: usize) -> anyhow::Result<()> {
    /// Submitted before they are finished: a queue as a node has it.
    const ROUND: u64 = 5_000;
    let bench =
        Bench { store: Arc::new(open_embedded(folder)?), template: template(movements), model: Model::bundled()? };
    let (mut submitted, mut token) = (0, 0);
    while submitted < count {
        let until = count.min(submitted + ROUND);
        bench.submit(submitted..until).await?;
        for _ in 0..(until - submitted).div_ceil(u64::from(BATCH_SIZE)) {
            token += 1;
            bench.batch(token, NOW).await?;
        }
        submitted = until;
    }
    Ok(())
}

/// An embedded store without limits, whose scheduler is not told to run.
fn open_embedded(folder: &Path) -> anyhow::Result<SqliteStore> {
    let room = CapacityLimits { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
    Ok(SqliteStore::open(&SqliteSettings { folder: folder.to_owned(), room, autostart: false }, NOW.wall)?)
}

pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) template: NewSession,
    pub(super) model: Model,
}

impl Bench {
    pub(super) fn key(n: u64) -> Option<SessionKey> {
        // A multiplication spreads the identifiers as random ones are spread.
        let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(SessionKey { deployment: String::new(), id: SessionId::parse(&format!("{spread:016x}-{n}"))? })
    }

    pub(super) async fn submit(&self, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
        let sessions = numbers.filter_map(Self::key).map(|key| NewSession { key, ..self.template.clone() });
        let accepted = stream::iter(sessions).map(|session| self.store.accept(session)).buffer_unordered(SUBMITTERS);
        accepted.try_for_each(|_| std::future::ready(Ok(()))).await?;
        Ok(())
    }

    /// One row of the table. What it claims it first submits, so that the queue keeps its size.
    async fn measure(&self, stored: &mut u64) -> anyhow::Result<String> {
        const SUBMITS: u64 = 5_000;
        const BATCHES: u64 = 100;
        const LOOKS: u64 = 1_000;
        let queued = *stored;
        let started = Instant::now();
        self.submit(queued..queued + SUBMITS).await?;
        *stored += SUBMITS;
        let submit = per(started, SUBMITS);

        let started = Instant::now();
        for token in 0..BATCHES {
            self.batch(token, NOW).await?;
        }
        let claim = per(started, BATCHES);

        let started = Instant::now();
        for _ in 0..LOOKS {
            self.store.snapshot().await?;
        }
        let stats = per(started, LOOKS);

        let started = Instant::now();
        for n in 0..LOOKS {
            let key = Self::key(n * (queued / LOOKS)).context("a key")?;
            self.store.session(key).await?;
        }
        let result = per(started, LOOKS);
        Ok(format!(
            "{queued:>8} {submit:>11.1} {:>17.2} {stats:>10.1} {result:>11.1} {:>9.1}\n",
            claim / 1e3,
            resident_mib()?
        ))
    }

    pub(super) async fn batch(&self, token: u64, now: Now) -> anyhow::Result<()> {
        let request = ClaimRequest {
            trigger: Trigger::Full,
            max: BATCH_SIZE,
            up_to: None,
            accepted_by: None,
            lease: Duration::from_secs(60),
            token: LeaseToken(token),
            owner: "bench".to_owned(),
            source: Source::Embedded,
        };
        let claim = self.store.claim(request, now).await?.context("the queue is empty")?;
        let verdict =
            Verdict { source: Source::Embedded, model: self.model.identity(), ..self.template.first.verdict.clone() };
        let outcomes =
            claim.members.iter().map(|m| (m.seq, MemberOutcome::Scored(Box::new(verdict.clone())))).collect();
        let end = BatchEnd {
            outcome: BatchOutcome::Scored,
            attempts: 1,
            detector_ms: 0.0,
            error: None,
            agreement: None,
            false_discovery: None,
        };
        self.store.settle(claim.lease, Settlement { outcomes, end: Some(end), ..Settlement::default() }, now).await?;
        Ok(())
    }
}

/// Microseconds each.
pub(super) fn per(started: Instant, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let count = count as f64;
    started.elapsed().as_secs_f64() * 1e6 / count
}

/// Memory of this process that is not the system's cache of files.
fn resident_mib() -> anyhow::Result<f64> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("this system does not tell a process's memory")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.context("this system does not tell a process's memory")? / 1024.0)
}
