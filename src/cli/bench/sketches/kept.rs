//! All sketches in memory, and on demand in a store on disk as well, settled there as a node would.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::super::store::{Bench, NOW, template};
use super::{Args, changes::Change, number};
use crate::domain::batch::Trigger;
use crate::domain::id::{LeaseToken, Seq};
use crate::domain::result::{Source, Verdict};
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Movement, SAME, Sketch};
use crate::store::sqlite::{Room, SqliteSettings, SqliteStore};
use crate::store::{
    BatchEnd, BatchOutcome, ClaimRequest, MemberOutcome, NewSession, NewSketch, Settlement, Store as _,
};

/// Sessions settled in one go.
const BATCH: usize = 1_000;

/// The sketches kept so far. The number of one in memory is its row in the store, less one.
pub(super) struct Kept {
    pub(super) memory: Index,
    store: Option<OnDisk>,
}

struct OnDisk {
    store: SqliteStore,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    template: NewSession,
    waiting: Vec<Sketch>,
    settled: u64,
}

impl Kept {
    pub(super) fn new(on_disk: bool) -> anyhow::Result<Self> {
        let store = if on_disk { Some(OnDisk::new()?) } else { None };
        Ok(Self { memory: Index::default(), store })
    }

    /// Keeps a sketch; its number.
    pub(super) fn insert(&mut self, sketch: Sketch) -> anyhow::Result<i64> {
        if let Some(store) = &mut self.store {
            store.waiting.push(sketch.clone());
            if store.waiting.len() == BATCH {
                store.settle()?;
            }
        }
        Ok(self.memory.insert(sketch))
    }

    /// A table of the replays found in the store, one row a change, and how long the look-ups took, one by one.
    pub(super) fn look_up(&mut self, args: &Args, sessions: &[Session], ids: &[Option<i64>]) -> anyhow::Result<String> {
        let Some(on_disk) = &mut self.store else { return Ok(String::new()) };
        on_disk.settle()?;
        let every = usize::try_from(args.every.get()).context("--every is too large")?;
        let mut table = format!(
            "on disk, {} sketches, {:.0} bytes a session with its row and result\n\
             change             found    p50 ms   p99 ms   (candidates and comparing; the movement is made before)\n",
            on_disk.settled,
            on_disk.bytes()? / f64::from(u32::try_from(on_disk.settled).unwrap_or(u32::MAX)),
        );
        for change in Change::ALL {
            let (mut found, mut times) = (0, Vec::new());
            for i in (0..sessions.len()).step_by(every) {
                let replay =
                    change.apply(&sessions[i], &mut ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(i as u64)));
                let Some(movement) = Movement::of(&replay) else {
                    times.push(0.0);
                    continue;
                };
                let started = Instant::now();
                let asked = vec![movement.asked()];
                let candidates = on_disk.runtime.block_on(on_disk.store.alike(asked))?;
                let own = ids[i].map(|id| Seq(id + 1));
                let alike = candidates.iter().flatten().filter(|candidate| {
                    movement.compare(&candidate.sketch).is_some_and(|like| like.left <= SAME)
                        && Some(candidate.seq) == own
                });
                found += usize::from(alike.count() > 0);
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let share = 100.0 * number(found) / number(times.len());
            let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            writeln!(table, "{:<16} {share:>6.1} % {p50:>8.2} {p99:>8.2}", change.name())?;
        }
        Ok(table)
    }
}

impl OnDisk {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(".").context("cannot create a folder for the store here")?;
        let room = Room { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
        let settings = SqliteSettings { folder: folder.path().to_owned(), room, autostart: false };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = SqliteStore::open(&settings, NOW.wall)?;
        Ok(Self { store, folder, runtime, template: template(30), waiting: Vec::new(), settled: 0 })
    }

    /// Submits a session for each waiting sketch, claims them and settles them with their sketches.
    fn settle(&mut self) -> anyhow::Result<()> {
        let sketches = std::mem::take(&mut self.waiting);
        if sketches.is_empty() {
            return Ok(());
        }
        let count = sketches.len();
        let (store, template, first) = (&self.store, &self.template, self.settled);
        self.runtime.block_on(async {
            let sessions = (first..).take(count).filter_map(Bench::key);
            let sessions = sessions.map(|key| NewSession { key, ..template.clone() });
            let accepted = stream::iter(sessions).map(|session| store.accept(session)).buffered(BATCH);
            accepted.try_for_each(|_| std::future::ready(Ok(()))).await?;
            let request = ClaimRequest {
                trigger: Trigger::Full,
                max: u32::try_from(count)?,
                up_to: None,
                accepted_by: None,
                lease: Duration::from_secs(60),
                token: LeaseToken(first),
                owner: "bench".to_owned(),
                source: Source::Embedded,
            };
            let claim = store.claim(request, NOW).await?.context("the queue is empty")?;
            let verdict = Verdict { source: Source::Embedded, ..template.first.verdict.clone() };
            let scored = |seq| (seq, MemberOutcome::Scored(Box::new(verdict.clone())));
            let outcomes = claim.members.iter().map(|m| scored(m.seq)).collect();
            let kept = claim.members.iter().zip(sketches);
            let sketches = kept.map(|(m, sketch)| NewSketch { seq: m.seq, sketch, matches: Vec::new() }).collect();
            let end = BatchEnd {
                outcome: BatchOutcome::Scored,
                attempts: 1,
                detector_ms: 0.0,
                error: None,
                agreement: None,
                false_discovery: None,
            };
            store.settle(claim.lease, Settlement { outcomes, sketches, end: Some(end) }, NOW).await?;
            anyhow::Ok(())
        })?;
        self.settled += count as u64;
        Ok(())
    }

    /// Bytes of the store's files.
    fn bytes(&self) -> anyhow::Result<f64> {
        let mut bytes = 0;
        for file in std::fs::read_dir(self.folder.path())? {
            bytes += file?.metadata()?.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "a size for a printed rate")]
        let bytes = bytes as f64;
        Ok(bytes)
    }
}
