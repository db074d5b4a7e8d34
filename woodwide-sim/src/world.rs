//! Everything the simulated service remembers: datasets and models with their versions, jobs, keys. In memory, bounded,
//! gone when the process ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::detector::Detector;
use crate::job::{Job, JobKind, Reference};
use crate::route::Generation;

/// Jobs that are remembered; beyond it the oldest inference that is over is forgotten.
const MAX_JOBS: usize = 5_000;
/// Datasets and models that can be there at a time.
pub(crate) const MAX_THINGS: usize = 10_000;

/// A named table with its versions, newest last.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) id: String,
    pub(crate) generation: Generation,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) archived: bool,
    pub(crate) versions: Vec<DatasetVersion>,
}

/// The content of a dataset.
#[derive(Debug)]
pub(crate) struct DatasetVersion {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) created: i64,
    pub(crate) job_id: String,
    pub(crate) filename: String,
    /// What a signed upload promised: its type and its length.
    pub(crate) promised: Option<(String, u64)>,
    pub(crate) content: Option<Bytes>,
    pub(crate) rows: usize,
    pub(crate) schema: Value,
}

/// A trained model with its versions, newest last.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) generation: Generation,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) dataset_name: String,
    /// What it was trained on and how, for retraining and for finding an equal one.
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) recipe: Value,
    pub(crate) versions: Vec<ModelVersion>,
}

/// One training of a model.
#[derive(Debug, Clone)]
pub(crate) struct ModelVersion {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) created: i64,
    pub(crate) dataset: Reference,
    pub(crate) job_id: String,
    pub(crate) detector: Option<Arc<Detector>>,
    pub(crate) schema: Value,
}

/// A key that opens the API.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) secret: String,
    /// May manage keys, and only that sees credits.
    pub(crate) is_user: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) created: i64,
    pub(crate) expires: Option<i64>,
    /// The status it is refused with.
    pub(crate) refused: Option<u16>,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(crate) struct World {
    random: ChaCha8Rng,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) models: Vec<Model>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) keys: Vec<Key>,
    /// Signed uploads by their idempotency key: the digest of the request and its answer.
    pub(crate) prepared: HashMap<String, (String, Value)>,
    /// Conflicts given so far for each version.
    pub(crate) conflicts: HashMap<String, u64>,
    /// Signed addresses that were used.
    pub(crate) used_addresses: HashSet<String>,
    /// When the content of each digest was first sent along with a question.
    seen: HashMap<[u8; 32], i64>,
}

/// Contents whose first sight is remembered.
const MAX_SEEN: usize = 10_000;

/// The alphabet of ids: no 0, 1, I, L, O.
const ALPHABET: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
const BETA_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            datasets: Vec::new(),
            models: Vec::new(),
            jobs: Vec::new(),
            keys: Vec::new(),
            prepared: HashMap::new(),
            conflicts: HashMap::new(),
            used_addresses: HashSet::new(),
            seen: HashMap::new(),
        }
    }

    /// How long ago, ms, this content was first sent along with a question.
    pub(crate) fn age(&mut self, content: &[u8], now: i64) -> i64 {
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        now - *self.seen.entry(Sha256::digest(content).into()).or_insert(now)
    }

    /// A new id such as `ds_A8K2P9QX`.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}", self.letters(ALPHABET, 8))
    }

    /// A new id of the beta: 20 letters and digits.
    pub(crate) fn beta_id(&mut self) -> String {
        self.letters(BETA_ALPHABET, 20)
    }

    /// A new secret.
    pub(crate) fn secret(&mut self) -> String {
        format!("sk_live_{}", self.letters(BETA_ALPHABET, 32))
    }

    fn letters(&mut self, of: &[u8], count: usize) -> String {
        (0..count).map(|_| char::from(of[self.random.random_range(0..of.len())])).collect()
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().rev().find(|job| job.id == id)
    }

    pub(crate) fn job_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().rev().find(|job| job.id == id)
    }

    pub(crate) fn dataset(&self, generation: Generation, id: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.generation == generation && dataset.id == id)
    }

    pub(crate) fn model(&self, generation: Generation, id: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.generation == generation && model.id == id)
    }

    /// The dataset that has this version, and the version.
    pub(crate) fn dataset_version(&self, version_id: &str) -> Option<(&Dataset, &DatasetVersion)> {
        self.datasets.iter().find_map(|dataset| Some((dataset, dataset.versions.iter().find(|v| v.id == version_id)?)))
    }

    pub(crate) fn dataset_version_mut(&mut self, version_id: &str) -> Option<&mut DatasetVersion> {
        self.datasets.iter_mut().flat_map(|dataset| &mut dataset.versions).find(|version| version.id == version_id)
    }

    pub(crate) fn model_version_mut(&mut self, version_id: &str) -> Option<&mut ModelVersion> {
        self.models.iter_mut().flat_map(|model| &mut model.versions).find(|version| version.id == version_id)
    }

    /// The detector of a version that is still there.
    pub(crate) fn detector(&self, version_id: &str) -> Option<Arc<Detector>> {
        self.models.iter().flat_map(|model| &model.versions).find(|v| v.id == version_id)?.detector.clone()
    }

    /// `processing`, `ready` or `failed`, after the job that makes the version.
    pub(crate) fn version_status(&self, job_id: &str, now: i64) -> &'static str {
        match self.job(job_id).map(|job| job.status(now)).as_deref() {
            None | Some("succeeded") => "ready",
            Some("failed" | "canceled" | "rejected") => "failed",
            Some(_) => "processing",
        }
    }

    /// The newest version of a dataset that can be used.
    pub(crate) fn ready_dataset_version<'a>(&self, dataset: &'a Dataset, now: i64) -> Option<&'a DatasetVersion> {
        dataset.versions.iter().rev().find(|v| v.content.is_some() && self.version_status(&v.job_id, now) == "ready")
    }

    /// The newest version of a model that can be used.
    pub(crate) fn ready_model_version<'a>(&self, model: &'a Model, now: i64) -> Option<&'a ModelVersion> {
        model.versions.iter().rev().find(|v| v.detector.is_some() && self.version_status(&v.job_id, now) == "ready")
    }

    /// Remembers a job, and forgets the oldest inferences beyond the limit.
    pub(crate) fn add_job(&mut self, job: Job, now: i64) {
        self.jobs.push(job);
        while self.jobs.len() > MAX_JOBS {
            let forgettable = |job: &Job| !matches!(job.kind, JobKind::Ingest | JobKind::Train) && job.is_over(now);
            let Some(at) = self.jobs.iter().position(forgettable) else { break };
            self.jobs.remove(at);
        }
    }

    /// Bytes of datasets and results.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let contents = self.datasets.iter().flat_map(|dataset| &dataset.versions).filter_map(|v| v.content.as_ref());
        let contents: u64 = contents.map(|content| u64::try_from(content.len()).unwrap_or(u64::MAX)).sum();
        contents + self.jobs.iter().map(Job::kept_bytes).sum::<u64>()
    }

    /// Makes room for `more` bytes by forgetting the oldest results; false when that is not enough.
    pub(crate) fn make_room(&mut self, more: usize, limit: u64) -> bool {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let mut kept = self.kept_bytes();
        for job in &mut self.jobs {
            if kept.saturating_add(more) <= limit {
                return true;
            }
            kept -= job.kept_bytes();
            job.scored = None;
        }
        kept.saturating_add(more) <= limit
    }
}
