//! All sketches in memory, and on demand in a store on disk as well, settled there as a node would.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rayon::prelude::*;

use super::super::store::{Bench, NOW, open_empty, template};
use super::number;
use crate::domain::batch::Trigger;
use crate::domain::id::{LeaseToken, Seq};
use crate::domain::result::{Source, Verdict};
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Movement, Sketch};
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{BatchEnd, BatchOutcome, ClaimRequest, MemberOutcome, NewSession, NewSketch, Settlement, Store};

/// Sessions settled in one go.
const BATCH: usize = 1_000;

/// The sketches kept so far. The number of one in memory is its row in the store, less one.
pub(super) struct Kept {
    pub(super) memory: Index,
    store: Option<OnDisk>,
}

struct OnDisk {
    store: Box<dyn Store>,
    /// The folder of an embedded store.
    folder: Option<tempfile::TempDir>,
    runtime: tokio::runtime::Runtime,
    template: NewSession,
    waiting: Vec<Sketch>,
    settled: u64,
}

impl Kept {
    /// With the embedded store behind, where `on_disk`, or the shared one in the empty database at `url`.
    pub(super) fn new(on_disk: bool, url: Option<&str>) -> anyhow::Result<Self> {
        let store = match url {
            Some(url) => Some(OnDisk::shared(url)?),
            None if on_disk => Some(OnDisk::embedded()?),
            None => None,
        };
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

    /// How many sessions a second are compared with a store on disk behind the index: made a movement, looked up, their
    /// candidates read from the store and compared, fifty at a time on every core.
    pub(super) fn look_up(&mut self, sessions: &[Session]) -> anyhow::Result<String> {
        let Some(on_disk) = &mut self.store else { return Ok(String::new()) };
        on_disk.settle()?;
        let (started, mut looked) = (Instant::now(), 0);
        let memory = &self.memory;
        while started.elapsed() < Duration::from_secs(10) {
            sessions.par_chunks(50).try_for_each(|sessions| {
                let movements: Vec<Movement> = sessions.iter().filter_map(Movement::of).collect();
                let asked: Vec<Vec<i64>> = movements.iter().map(|movement| memory.candidates(movement)).collect();
                let seqs: Vec<Seq> = asked.iter().flatten().map(|id| Seq(id + 1)).collect();
                let kept = on_disk.runtime.block_on(on_disk.store.sketches(seqs))?;
                let kept: HashMap<i64, Sketch> = kept.into_iter().map(|c| (c.seq.0 - 1, c.sketch)).collect();
                for (movement, asked) in movements.iter().zip(&asked) {
                    for sketch in asked.iter().filter_map(|id| kept.get(id)) {
                        let _ = movement.compare(sketch);
                    }
                }
                anyhow::Ok(())
            })?;
            looked += sessions.len();
        }
        let per_second = number(looked) / started.elapsed().as_secs_f64();
        let settled = on_disk.settled;
        let mut text = format!("{per_second:.0} sessions a second are compared with {settled} sketches in a store");
        if let Some(bytes) = on_disk.bytes()? {
            let each = bytes / f64::from(u32::try_from(settled).unwrap_or(u32::MAX));
            let _ = write!(text, "; {each:.0} bytes a session there with its row and result");
        }
        Ok(text)
    }
}

impl OnDisk {
    fn embedded() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(".").context("cannot create a folder for the store here")?;
        let room = CapacityLimits { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
        let settings = SqliteSettings { folder: folder.path().to_owned(), room, autostart: false };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = Box::new(SqliteStore::open(&settings, NOW.wall)?);
        Ok(Self { store, folder: Some(folder), runtime, template: template(30), waiting: Vec::new(), settled: 0 })
    }

    fn shared(url: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = Box::new(runtime.block_on(open_empty(url))?);
        Ok(Self { store, folder: None, runtime, template: template(30), waiting: Vec::new(), settled: 0 })
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
            let kept = claim.members.iter().zip(sketches).map(|(m, sketch)| NewSketch { seq: m.seq, sketch });
            store.keep_sketches(kept.collect()).await?;
            let end = BatchEnd {
                outcome: BatchOutcome::Scored,
                attempts: 1,
                detector_ms: 0.0,
                error: None,
                agreement: None,
                false_discovery: None,
            };
            store.settle(claim.lease, Settlement { outcomes, end: Some(end), ..Settlement::default() }, NOW).await?;
            anyhow::Ok(())
        })?;
        self.settled += count as u64;
        Ok(())
    }

    /// Bytes of an embedded store's files.
    fn bytes(&self) -> anyhow::Result<Option<f64>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let mut bytes = 0;
        for file in std::fs::read_dir(folder.path())? {
            bytes += file?.metadata()?.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "a size for a printed rate")]
        let bytes = bytes as f64;
        Ok(Some(bytes))
    }
}
