//! Jobs. Nothing runs in the background: what a job made is there from the start, and its status is a function of the
//! time and of the outcome that was decided when it began.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::detector::Verdict;
use crate::fault::{Fault, Struck};
use crate::route::Generation;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    Ingest,
    Train,
    InferSync,
    InferBatch,
    Explain,
}

impl JobKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "dataset_ingest",
            Self::Train => "train",
            Self::InferSync => "infer_sync",
            Self::InferBatch => "infer_batch",
            Self::Explain => "infer_explain",
        }
    }
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Succeeds,
    Fails(String),
    Ends(&'static str),
    /// It shows this status for ever.
    Stays(String),
}

impl Outcome {
    /// The outcome that faults decide, unless the work itself failed.
    pub(crate) fn decide(kind: JobKind, struck: &[Struck], worked: Result<(), String>) -> Self {
        let forced = struck.iter().find_map(|struck| match (&struck.fault, kind) {
            (Fault::IngestFailed(why), JobKind::Ingest)
            | (Fault::TrainFailed(why), JobKind::Train)
            | (Fault::InferFailed(why), JobKind::InferBatch) => Some(Self::Fails(why.clone())),
            (Fault::JobStuck(status) | Fault::JobStatus(status), _) => Some(Self::Stays(status.clone())),
            (Fault::JobCanceled, _) => Some(Self::Ends("canceled")),
            (Fault::JobRejected, _) => Some(Self::Ends("rejected")),
            _ => None,
        });
        forced.unwrap_or_else(|| worked.map_or_else(Self::Fails, |()| Self::Succeeds))
    }
}

/// A version of a dataset or model, as jobs refer to it.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) id: String,
    pub(crate) version_id: String,
    pub(crate) number: u32,
}

/// How results are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Json,
    Csv,
    Parquet,
}

impl Output {
    pub(crate) const NAMES: [&'static str; 3] = ["json", "csv", "parquet"];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Parquet => "application/octet-stream",
        }
    }
}

/// What an inference job scored, kept to render its results from.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) input: Bytes,
    pub(crate) verdicts: Arc<Vec<Verdict>>,
    pub(crate) output: Output,
    pub(crate) per_row: bool,
    /// The faults of the request; they show in the results.
    pub(crate) struck: Vec<Struck>,
}

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: JobKind,
    pub(crate) generation: Generation,
    pub(crate) created: i64,
    /// When it was let loose; not before an upload is complete.
    pub(crate) started: Option<i64>,
    pub(crate) takes_ms: i64,
    pub(crate) outcome: Outcome,
    pub(crate) canceled: Option<i64>,
    pub(crate) created_by: Option<String>,
    pub(crate) dataset: Option<Reference>,
    pub(crate) dataset_name: Option<String>,
    pub(crate) model: Option<Reference>,
    pub(crate) parent: Option<String>,
    pub(crate) input_filename: Option<String>,
    pub(crate) scored: Option<Scored>,
    pub(crate) explanations: Option<Value>,
    /// Identical requests for a batch find an earlier job by this.
    pub(crate) cache_key: Option<String>,
}

impl Job {
    /// Its status now.
    pub(crate) fn status(&self, now: i64) -> String {
        let status = match (&self.outcome, self.started) {
            (_, None) => "waiting_for_upload",
            (Outcome::Stays(status), _) => return status.clone(),
            _ if self.canceled.is_some() => "canceled",
            (_, Some(started)) if now - started < self.takes_ms / 10 => "queued",
            (_, Some(started)) if now - started < self.takes_ms => "running",
            (Outcome::Succeeds, _) => "succeeded",
            (Outcome::Fails(_), _) => "failed",
            (Outcome::Ends(status), _) => status,
        };
        status.to_owned()
    }

    pub(crate) fn succeeded(&self, now: i64) -> bool {
        self.status(now) == "succeeded"
    }

    /// Whether it will not change any more.
    pub(crate) fn is_over(&self, now: i64) -> bool {
        matches!(self.status(now).as_str(), "succeeded" | "failed" | "canceled" | "rejected")
    }

    /// When it ended.
    pub(crate) fn finished(&self, now: i64) -> Option<i64> {
        self.canceled.or_else(|| self.started.map(|at| at + self.takes_ms).filter(|_| self.is_over(now)))
    }

    /// The share of the work that is done, in percent.
    pub(crate) fn progress(&self, now: i64) -> f64 {
        if self.is_over(now) {
            return 100.0;
        }
        let done = self.started.map_or(0, |started| (now - started).clamp(0, self.takes_ms));
        let real = |millis| std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64();
        if self.takes_ms == 0 { 0.0 } else { 100.0 * real(done) / real(self.takes_ms) }
    }

    /// The reason of a failure.
    pub(crate) fn error(&self, now: i64) -> Option<&str> {
        match (&self.outcome, self.status(now).as_str()) {
            (Outcome::Fails(why), "failed") => Some(why),
            (Outcome::Ends("rejected"), "rejected") => Some("the job was rejected"),
            _ => None,
        }
    }

    /// The bytes it keeps in memory for its own.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let Some(scored) = &self.scored else { return 0 };
        let input = if self.dataset.is_some() { 0 } else { scored.input.len() };
        u64::try_from(input + scored.verdicts.len() * size_of::<Verdict>()).unwrap_or(u64::MAX)
    }
}
