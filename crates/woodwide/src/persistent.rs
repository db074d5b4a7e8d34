//! One dataset that stays: each batch is appended to the rows kept here, the whole goes up again, and of the answer only
//! the batch's own rows are read.
//!
//! The ledger says which rows of which upload are whose. It is written before the upload and holds for that upload
//! alone, so an answer is read with its own map or not at all; whoever starts after a crash begins a new upload. Rows
//! are kept without ids, so that what stays here and there names nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Scores, id_of, version_of};
use super::dataset::short_digest;
use super::failure::Failure;
use super::layout::{Layout, Slot};
use super::reference::Reference;
use super::service::Service;
use super::settings::Generation;
use super::table::{Cells, Table};
use super::transport::{Body, Kind, Request};
use super::{beta, ga};
use playproof_detector::{DetectorState, Row};
use playproof_domain::time::Timestamp;

/// Most rows in the dataset.
const MAX_ROWS: usize = 2000;
/// Most bytes in it.
const MAX_BYTES: usize = 2 << 20;
/// Known people it starts with: small datasets are answered with nothing.
const FIRST_ROWS: usize = 1000;
/// Most sessions in a batch, so that it fits beside the known people that some models need in each call.
pub(super) const MAX_SESSIONS: usize = 900;
/// The row counts of so many uploads in a row differ, also once the dataset is full: an older one is told by its size.
const SIZES: u64 = 64;
/// Every so many uploads the dataset begins anew: in the GA generation each leaves a version, and only the whole can be
/// removed.
const MAX_VERSIONS: u64 = 20;
/// Pause between questions that are answered with nothing: first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A row that is kept: claims and features, no id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept(String, String, Vec<f64>);

impl Kept {
    fn cells(&self) -> Cells<'_> {
        Cells { game_type: &self.0, device_type: &self.1, features: &self.2 }
    }

    fn of(cells: Cells<'_>) -> Self {
        Self(cells.game_type.to_owned(), cells.device_type.to_owned(), cells.features.to_vec())
    }
}

/// What is in one upload.
#[derive(Debug, Serialize, Deserialize)]
struct Ledger {
    /// Uploads so far; no two have the same.
    upload: u64,
    /// Of the file.
    digest: String,
    /// For each row after the kept ones: the session's number in the queue, or nothing for a known row.
    map: Vec<Option<i64>>,
    /// The rows before them.
    kept: Vec<Kept>,
}

/// The rows as this process knows them.
#[derive(Debug, Default)]
struct Held {
    loaded: bool,
    upload: u64,
    kept: VecDeque<Kept>,
    /// The dataset's id in the GA generation, once found.
    dataset: Option<String>,
}

/// The dataset. One question at a time: each replaces what the one before asked about.
pub(super) struct Persistent {
    name: String,
    memory: Arc<dyn DetectorState>,
    reference: Arc<Reference>,
    held: Mutex<Held>,
}

/// What was put on the service.
enum Upload {
    Ga(ga::Dataset),
    Beta(String),
}

impl Persistent {
    /// The dataset called `name`, with what `memory` holds of it.
    pub(super) fn new(name: String, memory: Arc<dyn DetectorState>, reference: Arc<Reference>) -> Self {
        Self { name, memory, reference, held: Mutex::default() }
    }

    /// Appends the rows of `layout`, asks, and gives the answer about them alone, in their order.
    pub(super) async fn ask(
        &self,
        service: &Service,
        version: &str,
        layout: &Layout,
        rows: &[Row],
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Scores, Failure> {
        let busy = |_| Failure::away("the batch before holds the persistent dataset", false);
        let mut held = timeout_at(deadline, self.held.lock()).await.map_err(busy)?;
        if !held.loaded {
            self.load(&mut held).await?;
        }
        let upload = held.upload + 1;
        let table = self.trimmed(&mut held.kept, upload, layout, rows);
        let ledger = Ledger {
            upload,
            digest: short_digest(&table.csv),
            map: layout.slots.iter().map(|slot| session(*slot, rows)).collect(),
            kept: held.kept.iter().cloned().collect(),
        };
        // Before anything is sent; from here on nobody else uses this number.
        self.write(&ledger).await?;
        held.upload = upload;
        let put = match service.generation {
            Generation::Ga => {
                if upload.is_multiple_of(MAX_VERSIONS) {
                    self.begin_anew(service, &mut held.dataset, now, deadline).await;
                }
                self.put_ga(service, &mut held.dataset, &table, deadline).await.map(Upload::Ga)
            }
            Generation::Beta => self.put_beta(service, &table, deadline).await.map(Upload::Beta),
        }?;
        let answered = poll(service, version, &put, table.rows, deadline).await;
        if matches!(answered, Err(Failure::Missing(_))) {
            held.dataset = None;
        }
        let answered = answered?;
        if let Upload::Beta(id) = &put {
            still_ours(service, id, &table, deadline).await?;
        }
        let own = self.own(&ledger, layout, rows, &answered).await?;
        held.kept
            .extend(rows.iter().map(|row| Kept(row.game_type.clone(), row.device_type.clone(), row.features.clone())));
        Ok(own)
    }

    /// What the last process knew, or known people for a start. What was being asked then is asked anew by whoever asked.
    async fn load(&self, held: &mut Held) -> Result<(), Failure> {
        if let Some(ledger) = self.read().await? {
            held.upload = ledger.upload;
            held.kept = ledger.kept.into();
        } else {
            let people = 0..FIRST_ROWS.min(self.reference.len());
            held.kept = people.map(|place| Kept::of(self.reference.row(place))).collect();
        }
        held.loaded = true;
        Ok(())
    }

    /// The file: kept rows, the oldest of which give way, and then the batch's.
    fn trimmed(&self, kept: &mut VecDeque<Kept>, upload: u64, layout: &Layout, rows: &[Row]) -> Table {
        let varied = usize::try_from(upload % SIZES).unwrap_or_default();
        let room = (MAX_ROWS - varied).saturating_sub(layout.slots.len());
        kept.drain(..kept.len().saturating_sub(room));
        loop {
            let cells = kept.iter().map(Kept::cells).chain(layout.cells(rows, &self.reference));
            let table = Table::new(self.name.clone(), cells);
            let over = table.csv.len().saturating_sub(MAX_BYTES);
            if over == 0 || kept.is_empty() {
                return table;
            }
            let oldest = (kept.len() * over).div_ceil(table.csv.len()).clamp(1, kept.len());
            kept.drain(..oldest);
        }
    }

    /// The rows of this upload's batch, by the map that was written for it.
    async fn own(&self, ledger: &Ledger, layout: &Layout, rows: &[Row], all: &Scores) -> Result<Scores, Failure> {
        let replaced = || Failure::away("another upload took the persistent dataset's place", false);
        let written = self.read().await?.ok_or_else(replaced)?;
        if (written.upload, &written.digest) != (ledger.upload, &ledger.digest) {
            return Err(replaced());
        }
        let first = written.kept.len();
        let fits = written.map.len() == layout.slots.len()
            && written.map.iter().zip(&layout.slots).all(|(written, slot)| *written == session(*slot, rows))
            && all.flags.len() == first + written.map.len();
        if !fits {
            return Err(Failure::Protocol("the persistent dataset's map is about other rows".to_owned()));
        }
        let flags = all.flags.iter().skip(first).copied().collect();
        let scores = all.scores.as_ref().map(|scores| scores.iter().skip(first).copied().collect());
        Ok(Scores { flags, scores })
    }

    /// Looks for the dataset, unless it is known.
    async fn find(&self, service: &Service, known: &mut Option<String>, deadline: Instant) -> Result<(), Failure> {
        if known.is_none() {
            let found = ga::datasets(&service.transport, &self.name, deadline).await?;
            *known = found.into_iter().find(|(_, name)| *name == self.name).map(|(id, _)| id);
        }
        Ok(())
    }

    /// Removes the dataset and all its versions; the upload that follows makes it again, or, where that failed, goes on
    /// with it.
    async fn begin_anew(&self, service: &Service, known: &mut Option<String>, now: Timestamp, deadline: Instant) {
        let retired = match self.find(service, known, deadline).await {
            Ok(()) => match known.take() {
                Some(id) => service.retire(&id, now, deadline).await,
                None => Ok(()),
            },
            Err(failure) => Err(failure),
        };
        if let Err(error) = retired {
            tracing::debug!(%error, "the persistent dataset's old versions could not be removed; it is tried again later");
        }
    }

    /// A new version of the dataset, which is made where it is not there.
    async fn put_ga(
        &self,
        service: &Service,
        known: &mut Option<String>,
        table: &Table,
        deadline: Instant,
    ) -> Result<ga::Dataset, Failure> {
        let transport = &service.transport;
        self.find(service, known, deadline).await?;
        let field = match known.as_ref() {
            Some(id) => ("dataset_id", id.clone()),
            None => ("dataset_name", self.name.clone()),
        };
        let reply = transport.send(&upload("/datasets", vec![field], table), deadline).await;
        if reply.is_err() {
            // Made by a lost answer, or removed meanwhile: the next batch looks.
            *known = None;
        }
        let reply = reply?.json()?;
        let id = id_of(&reply, "dataset").ok_or_else(|| Failure::Protocol("the upload names no dataset".to_owned()))?;
        // Whatever is newest there may be somebody else's: only the version of this answer is asked about.
        let version = version_of(&reply, "dataset");
        let version = version.ok_or_else(|| Failure::Protocol("the upload names no version".to_owned()))?;
        *known = Some(id.clone());
        if let Ok(job) = ga::job_of(&reply) {
            ga::finished(transport, &job, deadline).await?;
        }
        Ok(ga::Dataset { id, version: Some(version) })
    }

    /// The dataset anew, under the id of this very answer: what bears the name without one may hold older rows.
    async fn put_beta(&self, service: &Service, table: &Table, deadline: Instant) -> Result<String, Failure> {
        let fields = vec![("name", self.name.clone()), ("overwrite", "true".to_owned())];
        // The same rows again change nothing.
        let request = Request { repeatable: true, ..upload("/api/datasets", fields, table) };
        let reply = service.transport.send(&request, deadline).await?.json()?;
        id_of(&reply, "dataset").ok_or_else(|| Failure::Protocol("the upload names no dataset".to_owned()))
    }

    async fn read(&self) -> Result<Option<Ledger>, Failure> {
        let failed = |error: String| Failure::away(&format!("the persistent dataset's ledger: {error}"), false);
        let bytes = self.memory.get(&self.key()).await.map_err(failed)?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))).transpose()
    }

    async fn write(&self, ledger: &Ledger) -> Result<(), Failure> {
        let failed = |error: String| Failure::away(&format!("the persistent dataset's ledger: {error}"), false);
        let bytes = serde_json::to_vec(ledger).map_err(|error| failed(error.to_string()))?;
        self.memory.put(&self.key(), Some(bytes)).await.map_err(failed)
    }

    fn key(&self) -> String {
        format!("woodwide/persistent/{}", self.name)
    }
}

fn session(slot: Slot, rows: &[Row]) -> Option<i64> {
    match slot {
        Slot::Session(place) => rows.get(place).map(|row| row.id.0),
        Slot::Known(_) | Slot::Outlier => None,
    }
}

fn upload(path: &str, fields: Vec<(&'static str, String)>, table: &Table) -> Request {
    let body = Body::File { fields, name: format!("{}.csv", table.name), csv: table.csv.clone() };
    Request { kind: Kind::Transfer, ..Request::post(path.to_owned(), body) }
}

/// Asks about an upload until there is an answer.
async fn poll(
    service: &Service,
    version: &str,
    upload: &Upload,
    rows: usize,
    deadline: Instant,
) -> Result<Scores, Failure> {
    let (transport, model) = (&service.transport, &service.model);
    let mut pause = PAUSE.0;
    loop {
        let answered = match upload {
            Upload::Ga(dataset) => ga::infer_dataset(transport, model, version, dataset, rows, deadline).await,
            Upload::Beta(id) => beta::infer(transport, model, id, rows, deadline).await,
        };
        match answered {
            Err(Failure::NotReady(_)) if Instant::now() + pause < deadline => sleep(pause).await,
            other => return other,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// A beta answer names no version: the dataset must still be the one that was put there.
async fn still_ours(service: &Service, id: &str, table: &Table, deadline: Instant) -> Result<(), Failure> {
    let dataset = service.transport.send(&Request::get(format!("/api/datasets/{id}")), deadline).await?.json()?;
    let differs = |name: &str, ours: usize| {
        let theirs = dataset.get(name).filter(|value| !value.is_null());
        theirs.is_some_and(|value: &Value| *value != json!(ours))
    };
    if differs("num_rows", table.rows) {
        return Err(Failure::Protocol("the persistent dataset holds other rows than were sent".to_owned()));
    }
    Ok(())
}
